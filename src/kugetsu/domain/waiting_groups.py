"""The waiting tasks in groups of which every gate says the same, kept from one plan to the next.

A long queue is made of tasks that only their places tell apart: one of each group is asked for all of it. Between two
plans only the tasks that events have named are grouped anew, so that a plan costs what has changed and not the queue.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from kugetsu.domain import gates
from kugetsu.domain.recent_subjects import RecentSubjects
from kugetsu.domain.state import queue_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kugetsu.domain.recent_subjects import Subjects
    from kugetsu.domain.state import State, Task

    #: A task's `queue_order`, and its id.
    Place = tuple[int, int, int, str]
    #: What gates read of a task that has no history of its own, and the gate that is recorded for it.
    Key = tuple[str | None, str, str, str, str]


def before(places: Sequence[Place], end: Place | None) -> Sequence[Place]:
    """The places of a group before ``end``, or all."""
    return places if end is None else places[: bisect_left(places, end)]


class Alike:
    """Which waiting tasks of a state no gate can tell apart, while it stays as it is: those of the same `key`.

    A task has one only if its issue has no session, no attempt and no other task, no host failed to prepare it, it has
    no time to wait for, and what it comes after is completed.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._busy = {attempt.issue for attempt in state.attempts.values()}
        #: The tasks that met a limit or an outage.
        self.met: set[str] = {limit["task"] for limit in state.limits.values()}

    def key(self, task: Task) -> Key | None:
        """The group of a waiting task; None if it stands alone."""
        issue, state = task.issue, self._state
        if (
            issue is None
            or task.state != "pending"
            or task.not_before is not None
            or task.unprepared
            or (task.after and not all(gates.completed(state, earlier) for earlier in task.after))
            or task.prior_usage is not None
            or issue in state.sessions
            or issue in self._busy
            or len(state.of_issue.get(issue, ())) != 1
            or task.id in self.met
        ):
            return None
        options = repr(task.options) if task.options else ""
        source = repr(task.repository) if task.repository else ""
        return task.held, task.kind, issue.rpartition("#")[0], options, source


class WaitingGroups:
    """The waiting tasks of a state: `refill` it once, or let it `follow` the same state from plan to plan.

    What makes a task stand alone is always an event that names it, its issue, its session or a task that it comes
    after, or else an entry of `State.limits`.
    """

    def __init__(self) -> None:
        self._state: State | None = None
        self._count = 0
        self._known: dict[str, tuple[Place, Key | None]] = {}
        self._groups: dict[Key | None, list[Place]] = {}

    def __iter__(self) -> Iterator[Sequence[Place]]:
        """The places of each group in the queue's order, and of each task that stands alone."""
        for key, places in self._groups.items():
            if key is not None:
                yield places
            else:
                yield from ([place] for place in places)

    def follow(self, state: State) -> None:
        """Become the groups of ``state``: of what was folded into it since, if it is the same one as before."""
        recent = state.recent
        if recent is None:
            recent = state.recent = RecentSubjects()
        subjects = recent.since(self._count) if state is self._state else None
        self._state = None  # whatever goes wrong from here on, the next time all tasks are grouped anew
        if subjects is None:
            self.refill(state)
        else:
            self._take_in(state, subjects)
        self._state, self._count = state, recent.count

    def _take_in(self, state: State, subjects: Iterable[Subjects]) -> None:
        """Group the tasks anew that events may have told apart from others."""
        alike = Alike(state)
        named = set(alike.met)
        for task_id, issue, session in subjects:
            if task_id is not None:
                named |= {task_id, *state.successors.get(task_id, ())}
            for key in (issue, session):
                named.update(state.of_issue.get(key or "", ()))
        for one in named:
            self._regroup(state, one, alike)

    def refill(self, state: State) -> None:
        """Become the groups of ``state``, from scratch."""
        alike = Alike(state)
        self._known, self._groups = {}, {}
        keys: dict[Key | None, Key | None] = {}  # 10,000 equal ones would be as many tuples to keep
        for task in state.waiting():
            place, key = (*queue_order(task), task.id), alike.key(task)
            key = keys.setdefault(key, key)
            self._known[task.id] = place, key
            self._groups.setdefault(key, []).append(place)

    def _regroup(self, state: State, task_id: str, alike: Alike) -> None:
        """Move a task to its present place, or remove it."""
        task = state.tasks.get(task_id)
        entry: tuple[Place, Key | None] | None = None
        if task is not None and task.state in ("pending", "parked"):
            entry = (*queue_order(task), task.id), alike.key(task)
        known = self._known.get(task_id)
        if known == entry:
            return
        if known is not None:
            place, key = self._known.pop(task_id)
            places = self._groups[key]
            del places[bisect_left(places, place)]
            if not places:
                del self._groups[key]
        if entry is not None:
            self._known[task_id] = entry
            insort(self._groups.setdefault(entry[1], []), entry[0])
