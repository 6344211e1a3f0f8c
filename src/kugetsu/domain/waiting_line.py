"""The waiting tasks, kept in the queue's order from event to event instead of sorted for every plan.

For `claims.plan` if the reasons of all waits are not needed: it then checks only the tasks that might start.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from kugetsu.domain import capacity_gates, gates
from kugetsu.domain.facts import ClaimFacts
from kugetsu.domain.state import State, Task, queue_order
from kugetsu.domain.task_options import choose_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    Place = tuple[int, int, int, str]


class WaitingLine:
    """The waiting tasks in order; `update` it with every task that changes."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._of_pm: list[Place] = []
        self._known: dict[str, tuple[Place, bool]] = {}
        self._own_agents: set[str] = set()

    def __len__(self) -> int:
        return len(self._places)

    def agents_differ(self, facts: ClaimFacts) -> bool:
        """Whether a task that waits may have an agent or model of its own: a usage limit does not hold all alike."""
        return bool(self._own_agents or any("agent" in own for own in facts.get("repositories", {}).values()))

    def refill(self, state: State) -> None:
        """Add the waiting tasks of a state."""
        for task in state.waiting():
            self.update(state, task.id)

    def update(self, state: State, task_id: str) -> None:
        """Insert a task at its present place, or remove it."""
        task = state.tasks.get(task_id)
        waits = task is not None and task.state in ("pending", "parked")
        place = (*queue_order(task), task_id) if task is not None and waits else None
        known = self._known.get(task_id)
        if place is not None and task is not None and choose_own(task):
            self._own_agents.add(task_id)
        else:
            self._own_agents.discard(task_id)
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

    def contenders(self, state: State, facts: ClaimFacts) -> Iterator[Task]:
        """The tasks that might start, in order: none without a dispatcher, only the PM agent's while the machine is
        full, none after an uncompleted task. During a usage limit the task that met it, which may end it, is first.
        """
        if not self._places or not gates.daemon(state, state.tasks[self._places[0][-1]], facts).open:
            return
        full = len(capacity_gates.live_here(state, facts)) >= facts["cap"]
        places = self._of_pm if full else self._places
        limit = state.limits.get(facts["agent"]) if not self.agents_differ(facts) else None
        prober = limit["task"] if limit is not None and limit["until"] > facts["now"] else None
        if prober in self._known and (self._known[prober][1] or not full):
            yield state.tasks[prober]
        for place in places:
            task = state.tasks[place[-1]]
            if task.id != prober and all(gates.completed(state, earlier) for earlier in task.after):
                yield task
