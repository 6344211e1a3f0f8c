"""What an agent did last, read from the tails of its files: `kugetsu status` shows it, so it must stay cheap.

Only the last 64 KiB of each file are read, and no more is imported than `orjson`.
"""

from __future__ import annotations

import os

import orjson

from kugetsu import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TAIL_BYTES = 65536
SIGN = "kugetsu-agent "
"""How the lines begin that kugetsu's own plugin writes into the agent's stderr (see `opencode_plugin.js`)."""

_TEXT_LIMIT = 60


class Progress:
    """What an agent did last: ``last`` is short text like ``edit src/x.py``, ``at`` its UTC time.

    ``tokens`` and ``cost`` are those of the turn so far. ``running`` says that ``last`` is a tool which has not ended.
    All of them are None (False) when the agent told nothing yet.
    """

    __slots__ = ("at", "cost", "last", "running", "tokens")

    def __init__(
        self,
        last: str | None = None,
        at: str | None = None,
        tokens: int | None = None,
        cost: float | None = None,
        running: bool = False,
    ) -> None:
        self.last = last
        self.at = at
        self.tokens = tokens
        self.cost = cost
        self.running = running


def of_opencode(output: str, errors: str | None = None) -> Progress:
    """The progress of an `opencode run --format json`; missing files count as empty."""
    seen = Progress()
    newest = 0
    for line in tail_lines(output):
        event = _object(line)
        if event is not None:
            newest = _take_event(seen, event, newest)
    for line in tail_lines(errors) if errors else ():
        if line.startswith(SIGN.encode()):
            event = _object(line[len(SIGN) :])
            if event is not None:
                newest = _take_sign(seen, event, newest)
    return seen


def of_text(output: str) -> Progress:
    """The progress of a program that prints plain text: its last line, at the time of its last write."""
    lines = [line for line in tail_lines(output, whole=False) if line.strip()]
    if not lines:
        return Progress()
    return Progress(last=short(lines[-1].decode("utf-8", "replace")), at=clock.from_epoch(os.stat(output).st_mtime))


def tail_lines(path: str, limit: int = TAIL_BYTES, *, whole: bool = True) -> list[bytes]:
    """The lines in the last ``limit`` bytes of a file, oldest first; with ``whole`` only those that are all there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    try:
        start = max(0, os.fstat(fd).st_size - limit)
        data = os.pread(fd, limit, start)
    finally:
        os.close(fd)
    lines = data.split(b"\n")
    if start and whole:
        del lines[0]
    if whole and lines:
        del lines[-1]  # after the last newline: nothing, or a line that is still being written
    return lines


def short(text: str) -> str:
    """A text as one line of at most 60 characters."""
    line = " ".join(text.split())
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
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _take_event(seen: Progress, event: dict[str, Any], newest: int) -> int:
    """Folds one event of opencode's output; returns the newest time (ms) so far."""
    part = event.get("part")
    at = event.get("timestamp")
    if not isinstance(part, dict) or not isinstance(at, int):
        return newest
    kind = event.get("type")
    if kind == "tool_use":
        state = part.get("state")
        _say(seen, describe_tool(str(part.get("tool")), state if isinstance(state, dict) else {}), at)
    elif kind == "text":
        _say(seen, short(str(part.get("text") or "")), at)
    elif kind == "step_finish":
        _add_usage(seen, part)
    return max(newest, at)


def _take_sign(seen: Progress, event: dict[str, Any], newest: int) -> int:
    at = event.get("at")
    if not isinstance(at, int):
        return newest
    if event.get("type") == "usage":
        # These are sums over the whole turn, the tail of the output holds only its last steps.
        seen.tokens, seen.cost = event.get("total"), event.get("cost")
    if at < newest:
        return newest
    if event.get("type") == "tool":
        _say(seen, short(f"{event.get('tool')} {event.get('title') or ''}"), at)
        seen.running = True
    elif event.get("type") == "retry":
        _say(seen, short(f"retries: {event.get('message')}"), at)
    return at


def _say(seen: Progress, text: str, at: int) -> None:
    if text:
        seen.last = text
        seen.at = clock.from_epoch(at / 1000)
        seen.running = False


def _add_usage(seen: Progress, part: dict[str, Any]) -> None:
    tokens, cost = part.get("tokens"), part.get("cost")
    if isinstance(tokens, dict) and isinstance(tokens.get("total"), int):
        seen.tokens = (seen.tokens or 0) + tokens["total"]
    if isinstance(cost, int | float):
        seen.cost = (seen.cost or 0.0) + cost
