"""Counts what becomes of the tasks and slots, event by event; the same for a recorded and a simulated history."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.events import Event
from kugetsu.domain.interval_fold import Intervals
from kugetsu.domain.intervals import Wait
from kugetsu.domain.state import ENDS, FINISHES, Usage, empty
from kugetsu.model.record import field, record


@record
class TaskTally:
    """What became of one task. Times in microseconds; ``waited`` is the sum of its ended waits, ``waits_since`` the
    start of the current one."""

    issue: str | None
    queued: int
    first_claim: int | None = None
    last_end: int | None = None
    waited: int = 0
    waits_since: int | None = None
    #: completed, error or cancelled; None while unfinished.
    state: str | None = None
    usage: Usage = field(factory=Usage)

    def see(self, kind: str, data: dict[str, Any], at: int) -> None:
        """Count one event of the task."""
        self.usage.count(kind, data)
        if kind == "attempt.claimed" and self.first_claim is None:
            self.first_claim = at
        elif kind in ENDS:
            self.last_end = at
        elif kind in FINISHES:
            self.state = FINISHES[kind]
            self.last_end = at
        elif kind == "task.requeued":
            self.state = None


class Tally:
    """All tasks, the claims in their order, and how full the slots were.

    Tasks in ``frozen`` are not counted after ``horizon``, the record's end: their outcome is unknown. ``fill`` has an
    entry (time, live dev attempts, waiting tasks, cap) for each change.
    """

    def __init__(self, frozen: frozenset[str] = frozenset(), horizon: int | None = None) -> None:
        self.tasks: dict[str, TaskTally] = {}
        self.claims: list[tuple[str, int, int]] = []
        self.fill: list[tuple[int, int, int, int]] = []
        self.frozen = frozen
        self.horizon = horizon
        self._intervals = Intervals(empty())

    def see(self, event: Event, at: int) -> None:
        """Count one event of a task."""
        task = event.get("task")
        if task is None:
            return
        kind, data = event["type"], event["data"]
        closed = self._intervals.add(event)
        if kind == "task.queued":
            self.tasks.setdefault(task, TaskTally(event.get("issue"), at))
        if kind == "attempt.claimed":
            self.claims.append((task, data["number"], at))
        counts = self.tasks.get(task)
        if counts is None or (self.horizon is not None and at > self.horizon and task in self.frozen):
            return
        counts.see(kind, data, at)
        counts.waited += sum((one.until or at) - one.since for one in closed if isinstance(one, Wait))
        wait = self._intervals.waits.get(task)
        counts.waits_since = wait.since if wait is not None else None

    def settle(self, at: int, live: int, waiting: int, cap: int) -> None:
        """Record how full the slots are from ``at`` on."""
        if not self.fill or self.fill[-1][1:] != (live, waiting, cap):
            self.fill.append((at, live, waiting, cap))
