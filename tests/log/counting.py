"""A small projection, new_events and a clock for tests of the log: nothing here knows the domain."""

from __future__ import annotations

import itertools
from typing import Any

from kugetsu.domain.new_event import NewEvent
from kugetsu.log.files.engine import FileLog

BY = {"cmd": "kugetsu test", "pid": 1, "host": "box", "user": "me"}


class Counting:
    """Counts events by type and by issue, and remembers the order of seqs in a running sum."""

    def __init__(self, version: str = "counting-1") -> None:
        self.VERSION = version
        self.folded = 0

    def empty(self) -> dict[str, Any]:
        return {"seq": 0, "sum": 0, "types": {}, "issues": {}, "latest": ""}

    def fold(self, state: dict[str, Any], event: dict[str, Any]) -> None:
        assert event["seq"] == state["seq"] + 1, "events are folded once each, in order"
        self.folded += 1
        state["seq"] = event["seq"]
        state["sum"] = (state["sum"] * 31 + event["seq"]) % 1_000_003
        state["latest"] = max(state["latest"], event["at"])
        for group, value in (("types", event["type"]), ("issues", event.get("issue"))):
            if value is not None:
                state[group][value] = state[group].get(value, 0) + 1

    def latest(self, state: dict[str, Any]) -> str:
        return str(state["latest"])

    def dump(self, state: dict[str, Any]) -> dict[str, Any]:
        return state

    def load(self, data: dict[str, Any]) -> dict[str, Any]:
        return data


class Clock:
    """A time that moves on by a microsecond at each look."""

    def __init__(self) -> None:
        self._ticks = itertools.count(1)

    def __call__(self) -> str:
        tick = next(self._ticks)
        return f"2026-11-23T10:{tick // 60_000_000 % 60:02d}:{tick // 1_000_000 % 60:02d}.{tick % 1_000_000:06d}Z"


def open_files(directory: str, projection: Counting | None = None, **settings: Any) -> FileLog:
    """A file engine on ``directory`` with the stand-in projection."""
    return FileLog(directory, projection or Counting(), BY, Clock(), **settings)


def noted(text: Any = "hello", **where: Any) -> NewEvent:
    """A new_event that says something."""
    return NewEvent("note.made", {"text": text}, **where)


def note(log: Any, text: Any = "hello", **where: Any) -> dict[str, Any]:
    """Append one event."""
    (event,) = log.transact(lambda state: [noted(text, **where)])
    return event


def fill(log: Any, count: int, issues: int = 7) -> None:
    """Append ``count`` events about ``issues`` issues and three tasks, in transactions of five."""
    for start in range(0, count, 5):
        log.transact(
            lambda state, start=start: [
                noted(n, issue=f"host/o/r#{n % issues}", task=f"q{n % 3}", session=f"ses_{n % 2}")
                for n in range(start, min(start + 5, count))
            ]
        )
