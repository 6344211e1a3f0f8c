"""What an agent did last, read from the tails of its files: `kugetsu status` shows it, so it must stay cheap.

Only the last 64 KiB of each file are read, and nothing is imported that a short command would feel.
"""

from __future__ import annotations

import os

from kugetsu.host import run_files
from kugetsu.model import clock, jsontext
from kugetsu.model.record import record
from kugetsu.redaction.funnel import CUT, redact, redact_unfinished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TAIL_BYTES = 65536
SIGN = "kugetsu-agent "
"""How the lines begin that kugetsu's own plugin writes into the agent's stderr (see `plugin.js`)."""

_TEXT_LIMIT = 60
_RETRY = "retry"


@record
class Progress:
    """What an agent did last: ``last`` is short text like ``edit src/x.py``, ``at`` its UTC time.

    ``tokens`` and ``cost`` are those of the turn so far. ``running`` says that ``last`` is a tool which has not ended.
    All of them are None (False) when the agent told nothing yet.
    """

    last: str | None = None
    at: str | None = None
    tokens: int | None = None
    cost: float | None = None
    running: bool = False


def of_opencode(output: str, errors: str | None = None) -> Progress:
    """The progress of an `opencode run --format json`; missing files count as empty."""
    seen = Progress()
    for line in tail_lines(output):
        event = _object(line)
        if event is not None:
            _take_event(seen, event)
    now: dict[str, dict[str, Any]] = {}
    for line in tail_lines(errors) if errors else ():
        if line.startswith(SIGN.encode()):
            sign = _object(line[len(SIGN) :])
            if sign is not None:
                _take_sign(seen, now, sign)
    for sign in now.values():
        _note_sign(seen, sign)
    return seen


def of_text(output: str) -> Progress:
    """The progress of a program that prints plain text: its last line, at the time of its last write."""
    found = tail_lines(output, whole=False)
    lines = [line for line in found if line.strip()]
    if not lines:
        return Progress()
    text = lines[-1].decode("utf-8", "replace")
    unfinished = bool(found[-1])
    last = short(redact_unfinished(text) if unfinished else text)
    try:
        at = clock.from_own(os.lstat(output).st_mtime)
    except OSError:  # it went meanwhile
        at = None
    return Progress(last=last, at=at)


def tail_lines(path: str, limit: int = TAIL_BYTES, *, whole: bool = True) -> list[bytes]:
    """The lines in the last ``limit`` bytes of a file, oldest first; with ``whole`` only those that are all there, else
    the first begins with `funnel.CUT` where it is the end of a longer one.

    [] for a file that is missing or cannot be read: whoever needs the reason asks `run_files.problem`.
    """
    try:
        data, cut = run_files.tail(path, limit)
    except OSError:
        return []
    lines = data.split(b"\n")
    if cut and whole:
        del lines[0]
    elif cut:
        lines[0] = CUT.encode() + lines[0]
    if whole and lines:
        del lines[-1]  # after the last newline: nothing, or a line that is still being written
    return lines


def short(text: str) -> str:
    """A text as one line of at most 60 characters, redacted before it is cut."""
    line = " ".join(redact(text).split())
    return line if len(line) <= _TEXT_LIMIT else line[: _TEXT_LIMIT - 1].rstrip() + "…"


def describe_tool(tool: str, state: dict[str, Any]) -> str:
    """A tool call in a few words: ``edit src/x.py``, ``bash make test``. ``state`` is opencode's of that call."""
    title = state.get("title")
    if isinstance(title, str) and title:
        return short(f"{tool} {title}")
    given = state.get("input")
    for key in ("filePath", "command", "pattern", "url", "description", "path"):
        value = given.get(key) if isinstance(given, dict) else None
        if isinstance(value, str) and value:
            return short(f"{tool} {value}")
    return tool


def _object(line: bytes | str) -> dict[str, Any] | None:
    try:
        value = jsontext.loads(line if isinstance(line, bytes) else line.encode())
    except jsontext.JSONError:
        return None
    return value if isinstance(value, dict) else None


def _take_event(seen: Progress, event: dict[str, Any]) -> None:
    """Folds one event of opencode's output."""
    part = event.get("part")
    at = event.get("timestamp")
    if not isinstance(part, dict) or not isinstance(at, int):
        return
    kind = event.get("type")
    if kind == "tool_use":
        state = part.get("state")
        _note(seen, describe_tool(str(part.get("tool")), state if isinstance(state, dict) else {}), at)
    elif kind == "text":
        _note(seen, short(str(part.get("text") or "")), at)
    elif kind == "step_finish":
        _add_usage(seen, part)


def _take_sign(seen: Progress, now: dict[str, dict[str, Any]], sign: dict[str, Any]) -> None:
    """Folds one of the plugin's signs; ``now`` holds what has begun and not ended yet: tools, and a retry."""
    kind = sign.get("type")
    if kind == "tool":
        now[str(sign.get("id"))] = sign
    elif kind == "tool-end":
        now.pop(str(sign.get("id")), None)
    elif kind == "retry":
        now[_RETRY] = sign
    elif kind in ("resumed", "answering", "usage"):
        now.pop(_RETRY, None)
    if kind == "usage":
        # These are sums over the whole turn, the tail of the output holds only its last steps.
        seen.tokens, seen.cost = sign.get("total"), sign.get("cost")


def _note_sign(seen: Progress, sign: dict[str, Any]) -> None:
    at = sign.get("at")
    if not isinstance(at, int):
        return
    if sign.get("type") == "tool":
        _note(seen, short(f"{sign.get('tool')} {sign.get('title') or ''}"), at)
        seen.running = True
    else:
        _note(seen, short(f"retries: {sign.get('message')}"), at)


def _note(seen: Progress, text: str, at: int) -> None:
    if text:
        seen.last = text
        seen.at = clock.from_own(at / 1000)
        seen.running = False


def _add_usage(seen: Progress, part: dict[str, Any]) -> None:
    tokens, cost = part.get("tokens"), part.get("cost")
    if isinstance(tokens, dict) and isinstance(tokens.get("total"), int):
        seen.tokens = (seen.tokens or 0) + tokens["total"]
    if isinstance(cost, int | float):
        seen.cost = (seen.cost or 0.0) + cost
