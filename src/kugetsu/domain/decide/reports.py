"""The decision on the daily report: once a day it is due, and notifications deliver it."""

from __future__ import annotations

from kugetsu.domain import report
from kugetsu.domain.decision import decision
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.report import Start
from kugetsu.domain.state import State


@decision("reports.due")
def due(state: State, day: str) -> list[NewEvent]:
    """The report of a ``day`` is due (`2026-11-23`, as the machine's calendar has it); [] if it was before: clocks go
    back, also over midnight."""
    if state.daily is not None and day in state.daily["days"]:
        return []
    start = since(state)
    data = {"day": day, "after": start.seq, "since": start.at or None, "eventful": report.eventful(state, start)}
    return [NewEvent("report.due", data)]


def since(state: State) -> Start:
    """Where the daily report begins: at the previous one, or at one that somebody acknowledged since."""
    start = report.start_of(state)
    daily = state.daily
    if daily is not None and (state.reported is None or daily["upto"] > state.reported["upto"]):
        return Start(daily["upto"], daily["at"], "given")
    return start
