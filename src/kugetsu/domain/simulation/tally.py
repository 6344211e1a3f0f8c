"""What became of the tasks and of the slots, counted event by event: the same for what happened and for what would
have happened."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.events import Event
from kugetsu.domain.intervals import Intervals, Wait
from kugetsu.domain.state import ENDS, Usage, empty
from kugetsu.model.record import field, record

_FINISHED = {"task.completed": "completed", "task.failed": "error", "task.cancelled": "cancelled"}


@record
class Life:
    """What became of one task. Times in microseconds; ``waited`` sums up its waits that are over, ``waits_since`` is
    the beginning of the one that is not."""

    issue: str | None
    queued: int
    first_claim: int | None = None
    last_end: int | None = None
    waited: int = 0
    waits_since: int | None = None
    #: completed, error or cancelled; None while it is not finished.
    state: str | None = None
    usage: Usage = field(factory=Usage)

    def see(self, kind: str, data: dict[str, Any], at: int) -> None:
        """Count one event of the task."""
        self.usage.count(kind, data)
        if kind == "attempt.claimed" and self.first_claim is None:
            self.first_claim = at
        elif kind in ENDS:
            self.last_end = at
        elif kind in _FINISHED:
            self.state = _FINISHED[kind]
            self.last_end = at
        elif kind == "task.requeued":
            self.state = None


class Ledger:
    """All lives, the claims in their order, and how full the slots were.

    The lives of tasks in ``frozen`` are not counted on behind ``horizon``: where the record ends nobody knows what
    became of them. ``fill`` has an entry (time, live dev attempts, waiting tasks, cap) for each change.
    """

    def __init__(self, frozen: frozenset[str] = frozenset(), horizon: int | None = None) -> None:
        self.lives: dict[str, Life] = {}
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
            self.lives.setdefault(task, Life(event.get("issue"), at))
        if kind == "attempt.claimed":
            self.claims.append((task, data["number"], at))
        life = self.lives.get(task)
        if life is None or (self.horizon is not None and at > self.horizon and task in self.frozen):
            return
        life.see(kind, data, at)
        life.waited += sum((one.until or at) - one.since for one in closed if isinstance(one, Wait))
        wait = self._intervals.waits.get(task)
        life.waits_since = wait.since if wait is not None else None

    def settle(self, at: int, live: int, waiting: int, cap: int) -> None:
        """How full the slots are from ``at`` on."""
        if not self.fill or self.fill[-1][1:] != (live, waiting, cap):
            self.fill.append((at, live, waiting, cap))
