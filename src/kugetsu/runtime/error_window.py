"""The window of a log that ends at its last error line: what the next turn is told of a failing command or check.

A log's end is often not its error: a coverage table, a cache that is saved, a container that is removed come after it.
A line that only says that something failed (`make: *** …`, `Process completed with exit code 1`) is the last resort.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kugetsu.model.plural import counted
from kugetsu.model.record import value
from kugetsu.redaction.funnel import redact

BUDGET = 8000
"""Characters of all windows of one check: 2,000 tokens."""

LINE_LENGTH = 400
"""Characters of a line; the middle of a longer one is left out."""

MOST_READ = 4_000_000
"""Characters of a log that are looked at: its end."""

MOST_STEPS = 4

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TIME = re.compile(r"^\ufeff?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z ?")

_ERROR = re.compile(
    r"""
    ^E\ {2,}\S | ^(?:FAILED|ERROR)\ \S | ^FAILED\ \(        # pytest, unittest
    | ^\s*---\ FAIL: | ^FAIL\b | ^\s*not\ ok\b              # go, jest, TAP
    | ^\s*[✗✕✖×]\  | ^\s*\d+\ failing\b                     # mocha, vitest
    | ^\s*\[?(?:error|fatal|failure)\b(?:\[\w+\])?\s*(?:[:!\]]|in\b|$)
    | \b(?:error|fatal\ error)(?:\[\w+\]|\ [A-Z]{1,5}\d+)?:\    # FILE:LINE: error: …
    | ^(?:Caused\ by:\ )?\S*(?:Error|Exception)(?:\ \[\w+\])?(?::|$)   # the end of a traceback
    | ^(?:\W{0,3}\w[\w./-]*:\ )?(?:panic|fatal|cannot|could\ not|unable\ to|undefined\ reference)\b
    | \bpanicked\ at\b | \bassert\w*\b.*\bfailed\b
    | \btest\ result:\ FAILED | ^test\ .*\ \.\.\.\ FAILED$
    | ^\S+(?::|\ )\d+(?::\d+)?:?\s+(?:error\b|[A-Z]{1,4}\d{2,4}\ )     # linters
    | \b[1-9]\d*\ (?:failed|failures?|errors?)\b
    | \bcommand\ not\ found\b | \bno\ such\ file\ or\ directory\b | \bpermission\ denied\b | \bsegmentation\ fault\b
    | \bno\ space\ left\ on\ device\b
    """,
    re.X | re.I,
)
_ONLY_FAILED = re.compile(
    r"^##\[error\]|^::error|^\s*❌|\bexit(?:ed with)?(?: code| status)?:? [1-9]\d*\b"
    r"|^(?:g?make|ninja)(?:\[\d+\])?: |^npm (?:ERR!|error)|\bELIFECYCLE\b|^ERROR: Job failed",
    re.I,
)
_COUNTED_NONE = re.compile(r"\b(?:0|no) (?:errors?|failed|failures?)\b", re.I)
_COUNTED_SOME = re.compile(r"\b[1-9]\d* (?:failed|failures?|errors?)\b", re.I)
_STEP = re.compile(r"^(?:##\[group\]Run |⭐ Run (?:Main )?)(?P<command>.*)$")
_STEP_FAILED = re.compile(r"^##\[error\]|^\s*❌\s+Failure\b")
_SHELL = "shell: "
"""After the script of a step, in the group that names it."""


@value
class Window:
    """Lines of a log up to its last error line. ``error`` is that line, None if none was found: then these are the last
    lines. ``before`` and ``after`` count the lines left out."""

    lines: tuple[str, ...]
    error: str | None
    before: int
    after: int

    def told(self) -> str:
        """The window as the next turn reads it: what is left out, and that no error line was found, is said."""
        head = [f"[{counted(self.before, 'line')} before]"] if self.before else []
        tail = [f"[{counted(self.after, 'line')} after the last error line]"] if self.after else []
        if self.error is None:
            head.insert(0, "[no error line found; the end of the output]" if self.lines else "[no output]")
        return "\n".join([*head, *self.lines, *tail])


def window(text: str, budget: int = BUDGET) -> Window:
    """The window of one command's output: at most ``budget`` characters, in whole lines, without control characters,
    redacted."""
    return _window(_lines(text), budget)


def of_log(text: str, budget: int = BUDGET) -> str:
    """The windows of a check's log: of each failing step, with its command, where the log has steps as GitHub's and
    Gitea's runners write them; else the window of the whole."""
    lines = _lines(text)
    steps = [(command, inner) for command, inner in _steps(lines) if any(map(_STEP_FAILED.match, inner))]
    if not steps:
        return _window(lines, budget).told()
    shown = steps[-MOST_STEPS:]
    parts = [f"$ {command}\n{_window(inner, budget // len(shown)).told()}" for command, inner in shown]
    if len(steps) > len(shown):
        parts.insert(0, f"[{counted(len(steps) - len(shown), 'failing step')} before]")
    return "\n\n".join(parts)


def last_error(text: str) -> str | None:
    """The last error line of an output; None if none is found."""
    lines = _lines(text)
    at = _last_error(lines)
    return lines[at] if at is not None else None


def plain(text: str) -> str:
    """The end of an output as it is shown: without escapes of terminals and control characters, of a progress bar its
    last state, lines of bounded length, redacted."""
    return "\n".join(_lines(text))


def without_escapes(text: str) -> str:
    """A text without the escape sequences of terminals."""
    return _ESCAPES.sub("", text)


def _window(lines: Sequence[str], budget: int) -> Window:
    at = _last_error(lines)
    end = len(lines) if at is None else at + 1
    begin, left = end, budget
    while begin and left > len(lines[begin - 1]):
        begin -= 1
        left -= len(lines[begin]) + 1
    return Window(tuple(lines[begin:end]), None if at is None else lines[at], begin, len(lines) - end)


def _last_error(lines: Sequence[str]) -> int | None:
    """Where the last error line is; of a log that only says that it failed, where it says so."""
    failed = None
    for at in range(len(lines) - 1, -1, -1):
        line = lines[at]
        if _COUNTED_NONE.search(line) and not _COUNTED_SOME.search(line):
            continue
        only_failed = _ONLY_FAILED.search(line) is not None
        if not only_failed and _ERROR.search(line):
            return at
        if only_failed and failed is None:
            failed = at
    return failed


def _steps(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The steps of a runner's log: command and output. What comes before the first belongs to none."""
    command, inner = None, list[str]()
    for line in lines:
        found = _STEP.match(line)
        if found is None:
            inner.append(line)
            continue
        if command is not None:
            yield _step(command, inner)
        command, inner = found["command"], []
    if command is not None:
        yield _step(command, inner)


def _step(command: str, inner: list[str]) -> tuple[str, list[str]]:
    """A step's whole script, where its group has it, and its output."""
    for at, line in enumerate(inner[:50]):
        if line.startswith(_SHELL):
            return "\n".join(inner[:at]) or command, inner[at:]
        if line.startswith("##["):
            break
    return command, inner


def _lines(text: str) -> list[str]:
    """The lines of a log as they are shown; empty ones at its end are left out."""
    cut = text[-MOST_READ:]
    if len(cut) < len(text):
        cut = cut.partition("\n")[2]
    plain = redact(without_escapes(cut))
    lines = [_shown(line) for line in plain.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _shown(line: str) -> str:
    """One line: of a progress bar its last state, without the runner's time, of bounded length."""
    line = line.rstrip("\r").rpartition("\r")[2]
    line = _CONTROLS.sub("", _TIME.sub("", line)).rstrip()
    if len(line) <= LINE_LENGTH:
        return line
    half = LINE_LENGTH // 2 - 1
    return f"{line[:half]} … {line[-half:]}"
