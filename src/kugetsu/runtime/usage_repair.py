"""Counters of issues that are not those of their history: found by a scan of the log, corrected by an event.

The log's index once gave events twice, and what was read through it was written down as an issue's carried counters.
"""

from __future__ import annotations

from kugetsu.domain.audit.counters import Miscount, recount
from kugetsu.domain.decide import sessions
from kugetsu.domain.fold import usage
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.runtime.workspace import Workspace


class _StaleError(Exception):
    """The issue was counted on since the log was read."""


def miscounted(ws: Workspace) -> list[Miscount]:
    """The issues that are counted wrong now. Reads the whole log, when a session was ever destroyed: without one
    nothing is carried."""
    state = ws.state()
    if not state.last_destroyed:
        return []
    return [one for one in recount(lambda: ws.log.read(until=state.seq)) if not one.mended]


def correct(ws: Workspace, found: Miscount) -> None:
    """Append what makes the issue count from its history on. Raises LogDamaged, LogWriteFailed."""
    wanted: Miscount | None = found
    while wanted is not None:

        def decide(state: State, now: Miscount = wanted) -> list[NewEvent]:
            if usage.of_issue(state, now.issue) != now.recorded:
                raise _StaleError
            return sessions.correct_counters(state, now.issue, now.counted, now.seq)

        try:
            ws.log.transact(decide)
        except _StaleError:
            wanted = next((one for one in miscounted(ws) if one.issue == found.issue), None)
        else:
            return
