"""The waiting tasks in the order in which a dispatcher considers them.

Finds what `claims.plan` finds (a test compares the two) without checking every task: none after the first that may
start, and only the PM agent's tasks while all slots are taken.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kugetsu.domain import gates
from kugetsu.domain.facts import ClaimFacts
from kugetsu.domain.state import State
from kugetsu.model.record import record

if TYPE_CHECKING:
    Place = tuple[int, int, int, str]

#: Gates whose verdict is the same for every task.
_COMMON = (gates.daemon, gates.stagger, gates.memory, gates.disk)


@record
class Choice:
    """What the dispatcher finds: the task to claim, when a gate opens by time (UTC text), and the tasks to park."""

    candidate: str | None
    wake: str | None
    park: list[str]


class Line:
    """The waiting tasks in order; `update` it with every task that changes."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._of_pm: list[Place] = []
        self._known: dict[str, tuple[Place, bool]] = {}
        #: task → the uncompleted task that it comes after, as of its last check.
        self._behind: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._places)

    def refill(self, state: State) -> None:
        """Add the waiting tasks of a state."""
        for task in state.waiting():
            self.update(state, task.id)

    def update(self, state: State, task_id: str) -> None:
        """Insert a task at its present place, or remove it."""
        self._behind.pop(task_id, None)
        task = state.tasks.get(task_id)
        waits = task is not None and task.state in ("pending", "parked")
        place = (-task.priority, task.order, task.queued, task_id) if task is not None and waits else None
        known = self._known.get(task_id)
        if known is not None:
            if known[0] == place:
                return
            del self._known[task_id]
            for places in (self._places, self._of_pm) if known[1] else (self._places,):
                del places[bisect_left(places, known[0])]
        if place is not None and task is not None:
            pm = task.kind == "pm"
            self._known[task_id] = (place, pm)
            for places in (self._places, self._of_pm) if pm else (self._places,):
                insort(places, place)

    def choose(self, state: State, facts: ClaimFacts) -> Choice:
        """The first task whose gates are all open, as the dispatcher finds it."""
        if not self._places:
            return Choice(None, None, [])
        first = state.tasks[self._places[0][-1]]
        for gate in _COMMON:
            verdict = gate(state, first, facts)
            if not verdict.open:
                return Choice(None, verdict.until, [])
        full = len(state.live("dev")) >= facts["cap"]
        places = self._of_pm if full else self._places
        limit = state.limits.get(facts["agent"])
        if limit is None or limit["until"] <= facts["now"]:
            return self._first_open(state, facts, places)
        # Only the task that met the usage limit may start while it lasts.
        known = self._known.get(limit["task"])
        found = self._first_open(state, facts, [known[0]] if known is not None and (known[1] or not full) else [])
        if found.wake is None or limit["until"] < found.wake:
            found.wake = limit["until"]
        return found

    def _first_open(self, state: State, facts: ClaimFacts, places: Iterable[Place]) -> Choice:
        wake: str | None = None
        park: list[str] = []
        for place in places:
            task = state.tasks[place[-1]]
            behind = self._behind.get(task.id)
            # Hundreds may wait for a task that failed for good. A completed one leaves ``after`` with the state.
            if behind is not None and behind in task.after and not _completed(state, behind):
                continue
            closed = gates.first_closed(state, task, facts)
            if closed is None:
                return Choice(task.id, wake, park)
            if closed.gate == "dependencies":
                self._behind[task.id] = next(earlier for earlier in task.after if not _completed(state, earlier))
            if closed.until is not None and (wake is None or closed.until < wake):
                wake = closed.until
            if closed.gate in gates.PARKING and task.state == "pending":
                park.append(task.id)
        return Choice(None, wake, park)


def _completed(state: State, task_id: str) -> bool:
    task = state.tasks.get(task_id)
    return task is not None and task.state == "completed"
