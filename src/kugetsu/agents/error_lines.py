"""The line that names the cause, among those that a program wrote on its stderr.

A program's last line is often the least of it: the end of a quotation of the file that is wrong, the parameters of the
query that failed. What each kind of program does, decides: Python's traceback ends with its error; most others begin
a line with one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kugetsu.redaction.funnel import redact

#: Characters of a cause.
LENGTH = 160
_AFTER = 20

_FULL = re.compile(
    r"no space left on device|\bENOSPC\b(?!: no space)|\bEDQUOT\b|disk quota exceeded|\bSQLITE_FULL\b"
    r"|database or disk is full",
    re.I,
)
_ERROR = re.compile(
    r"^\W*(?:\w+:\s+){0,2}(?:\w+ )?"
    r"(?:\w*error|\w*exception|fatal|panic(?:ked)?|failed|cannot|could not|unable to)\b",
    re.I,
)
_DECORATION = re.compile(
    r"^(?:error: unexpected error|[-=_*~^|.\s]+|-{2,}.*-{2,}|params?:.*|at .+[:(]\d+.*|[\[\](){},;]+|Line \d+:.*"
    r"|note:.*|hint:.*)$",
    re.I,
)
_TRACEBACK = "Traceback (most recent call last):"


def cause(lines: Sequence[str]) -> str:
    """The cause in at most `LENGTH` characters; empty when nothing was written. A full disk is named before the errors
    that it leads to."""
    told = [line.strip() for line in lines if line.strip()]
    full = next((line for line in told if _FULL.search(line)), None)
    if full is not None:
        return _cut(full, _FULL)
    if _TRACEBACK in told:
        after = [line for line in lines[_last(lines, _TRACEBACK) :] if line.strip() and not line[0].isspace()]
        return _cut(after[-1] if len(after) > 1 else told[-1])
    plain = [line for line in told if not _DECORATION.match(line)]
    error = next((line for line in plain if _ERROR.search(line)), None)
    if error is not None:
        return _cut(error)
    return _cut((plain or told)[-1]) if told else ""


def is_of_a_full_disk(text: str) -> bool:
    """Whether an error says that a disk, or what the user may fill of it, is full."""
    return _FULL.search(text) is not None


def _last(lines: Sequence[str], wanted: str) -> int:
    return max(place for place, line in enumerate(lines) if line.strip() == wanted)


def _cut(line: str, about: re.Pattern[str] | None = None) -> str:
    """One line of bounded length, redacted before it is cut; of a long one the part around what matters."""
    line = " ".join(redact(line).split())
    if len(line) <= LENGTH:
        return line
    found = about.search(line) if about is not None else None
    if found is None or found.end() <= LENGTH - 1:
        return line[: LENGTH - 1].rstrip() + "…"
    begin = max(found.end() + _AFTER - (LENGTH - 2), 0)
    end = begin + LENGTH - 2
    return "…" + line[begin:end].strip() + ("…" if end < len(line) else "")
