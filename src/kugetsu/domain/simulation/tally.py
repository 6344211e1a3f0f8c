"""What became of the tasks and of the slots, counted event by event: the same for what happened and for what would
have happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kugetsu.domain.state import ENDS
from kugetsu.model.record import field, record

if TYPE_CHECKING:
    from kugetsu.domain.events import Event

_FINISHED = {"task.completed": "completed", "task.failed": "error", "task.cancelled": "cancelled"}


@record
class Life:
    """What became of one task. Times in microseconds; ``waits`` are the spans in which it waited, the last one open
    (its end is None) while it does."""

    issue: str | None
    queued: int
    first_claim: int | None = None
    last_end: int | None = None
    waits: list[tuple[int, int | None]] = field(factory=list)
    #: completed, error or cancelled; None while it is not finished.
    state: str | None = None
    attempts: int = 0
    retries: int = 0
    parks: int = 0
    tokens: int = 0
    cost: float = 0.0

    def __post_init__(self) -> None:
        self.waits.append((self.queued, None))

    def waiting(self) -> bool:
        """Whether it waits now."""
        return bool(self.waits) and self.waits[-1][1] is None

    def _begin_wait(self, at: int) -> None:
        if not self.waiting():
            self.waits.append((at, None))

    def _end_wait(self, at: int) -> None:
        if self.waiting():
            self.waits[-1] = (self.waits[-1][0], at)

    def see(self, kind: str, data: Event, at: int) -> None:
        """Count one event of the task."""
        if kind == "attempt.claimed":
            self._end_wait(at)
            self.attempts += 1
            self.first_claim = at if self.first_claim is None else self.first_claim
        elif kind in ENDS:
            self.tokens += data["tokens"]
            self.cost += data["cost"]
            self.last_end = at
        elif kind == "task.retried":
            self.retries += 1
            self._begin_wait(at)
        elif kind == "task.parked":
            self.parks += 0 if data.get("again") else 1
            self._begin_wait(at)
        elif kind in _FINISHED:
            self.state = _FINISHED[kind]
            self.last_end = at
            self._end_wait(at)
        elif kind == "task.requeued":
            self.state = None
            self._begin_wait(at)


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

    def see(self, event: Event, at: int) -> None:
        """Count one event of a task."""
        task = event.get("task")
        if task is None:
            return
        kind, data = event["type"], event["data"]
        if kind == "task.queued":
            self.lives.setdefault(task, Life(event.get("issue"), at))
            return
        if kind == "attempt.claimed":
            self.claims.append((task, data["number"], at))
        life = self.lives.get(task)
        if life is not None and not (self.horizon is not None and at > self.horizon and task in self.frozen):
            life.see(kind, data, at)

    def settle(self, at: int, live: int, waiting: int, cap: int) -> None:
        """How full the slots are from ``at`` on."""
        if not self.fill or self.fill[-1][1:] != (live, waiting, cap):
            self.fill.append((at, live, waiting, cap))
