"""The text of `kugetsu logs`: an agent's output (opencode's JSON events or plain lines), errors and outcome."""

from __future__ import annotations

from typing import Any

import orjson

from kugetsu.agents.last_activity import SIGN, describe_tool
from kugetsu.model.plural import counted
from kugetsu.redaction.funnel import Lines
from kugetsu.views import times
from kugetsu.views.screen import Screen
from kugetsu.views.tables import Column, table
from kugetsu.views.text import block, cut, line
from kugetsu.views.wording import words

#: Shown lines of a tool's output and of the agent's stderr; --raw has all.
TOOL_LINES = 6
ERROR_LINES = 10


def list_lines(found: list[dict[str, Any]], screen: Screen) -> list[str]:
    """The table of `kugetsu logs`; [] for no logs."""
    if not found:
        return []
    rows = [
        [
            entry["attempt"],
            screen.issue(entry["issue"]) or "-",
            entry["state"],
            f"{times.duration(times.since(entry['changed_at'], screen.now))} ago",
            times.amount(entry["bytes"]),
            line(entry["path"]),
        ]
        for entry in found
    ]
    heads = [
        Column("ATTEMPT"),
        Column("ISSUE", gives=True, names=True),
        Column("STATE"),
        Column("LAST", right=True),
        Column("BYTES", right=True),
        Column("FILE", gives=True),
    ]
    return table(screen, heads, rows)


class Reader:
    """Renders an agent's output line by line."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.tokens = 0
        self.secrets = Lines()

    def lines(self, raw: bytes) -> list[str]:
        """The lines for one line of output; [] for one that only programs need."""
        text = raw.decode("utf-8", "replace")
        event = _object(raw)
        if event is None:
            return block(text)
        part = event.get("part")
        part = part if isinstance(part, dict) else {}
        kind = event.get("type")
        if kind in ("text", "reasoning"):
            rows = block(str(part.get("text") or ""))
            return rows if kind == "text" else [self._screen.dim(f"  {row}") for row in rows]
        if kind == "tool_use":
            return self._tool(part)
        if kind == "step_finish":
            return self._step(part)
        if kind == "error":
            return [self._screen.red(f"error: {_error(event.get('error'))}")]
        return [] if kind == "step_start" else [self._screen.dim(cut(line(text), 200))]

    def _tool(self, part: dict[str, Any]) -> list[str]:
        state = part.get("state")
        state = state if isinstance(state, dict) else {}
        failed = state.get("status") == "error"
        head = f"▸ {line(describe_tool(str(part.get('tool')), state))}{_result(state)}"
        shown = [self._screen.red(head) if failed else self._screen.bold(head)]
        rows = block(str(state.get("error") if failed else state.get("output") or "").strip("\n"))
        rows = [row for row in rows if row] if len(rows) == 1 else rows
        rest = len(rows) - TOOL_LINES
        for row in rows[:TOOL_LINES]:
            shown.append(self._screen.dim(f"    {cut(row, (self._screen.width or 200) - 4)}"))
        if rest > 0:
            shown.append(self._screen.dim(f"    … {counted(rest, 'line')} more"))
        return shown

    def _step(self, part: dict[str, Any]) -> list[str]:
        tokens = part.get("tokens")
        if isinstance(tokens, dict) and isinstance(tokens.get("total"), int):
            self.tokens += tokens["total"]
        reason = part.get("reason")
        if reason in ("stop", "tool-calls"):
            return []
        return [self._screen.yellow(f"the answer ended early: {line(str(reason))}")]


def in_brief(raw: bytes) -> tuple[str, str] | None:
    """Kind (text, tool or error) and text of one line of output: texts whole, a tool call in one line; None for a line
    that only programs need."""
    event = _object(raw)
    if event is None:
        return "text", raw.decode("utf-8", "replace")
    part = event.get("part")
    part = part if isinstance(part, dict) else {}
    if event["type"] == "text":
        return "text", str(part.get("text") or "")
    if event["type"] == "tool_use":
        state = part.get("state")
        state = state if isinstance(state, dict) else {}
        failed = ": failed" if state.get("status") == "error" else ""
        return "tool", line(describe_tool(str(part.get("tool")), state)) + _result(state) + failed
    return ("error", _error(event.get("error"))) if event["type"] == "error" else None


def _object(raw: bytes) -> dict[str, Any] | None:
    if not raw.startswith(b"{"):
        return None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("type"), str) else None


def _result(state: dict[str, Any]) -> str:
    """A tool's exit status if not 0, and its duration from a second on."""
    parts = []
    metadata = state.get("metadata")
    if isinstance(metadata, dict) and metadata.get("exit"):
        parts.append(f"exit {metadata['exit']}")
    spent = state.get("time")
    if isinstance(spent, dict) and isinstance(spent.get("start"), int) and isinstance(spent.get("end"), int):
        seconds = (spent["end"] - spent["start"]) / 1000
        if seconds >= 1:
            parts.append(times.duration(seconds))
    return f"  ({', '.join(parts)})" if parts else ""


def _error(error: Any) -> str:
    if not isinstance(error, dict):
        return line(str(error))
    data = error.get("data")
    message = data.get("message") if isinstance(data, dict) else None
    return line(f"{error.get('name')}: {message}" if message else str(error.get("name")))


def end_lines(attempt: str, errors: list[bytes], ended: dict[str, Any] | None, screen: Screen) -> list[str]:
    """The end of the agent's stderr, and the attempt's outcome if it has ended."""
    shown: list[str] = []
    texts = [text for raw in errors if (text := raw.decode("utf-8", "replace")) and not text.startswith(SIGN)]
    if texts:
        shown.append(screen.dim("stderr"))
        shown += [screen.dim(f"  {row}") for text in texts for row in block(text)]
    if ended is not None:
        state = ended["type"].partition(".")[2]
        shown.append(f"{attempt} {screen.state(state, state)}: {words(ended)} (event {ended['seq']})")
        if found := (ended["data"].get("evidence") or {}).get("findings"):
            shown.append(f"findings: {line(found)}")
    return shown
