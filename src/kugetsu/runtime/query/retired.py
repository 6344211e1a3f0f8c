"""Tasks that have left the state for the log: all of them, and one as it was when it finished."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from kugetsu.domain.events import Event
from kugetsu.domain.events.tasks import Recorded
from kugetsu.domain.fold import fold
from kugetsu.domain.state import FINISHES, State, Task, empty
from kugetsu.log.protocol import EventLog


class _Watched(dict[str, Task]):
    """The tasks of a state that keeps what is taken out of it."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[Task] = []

    def pop(self, key: str) -> Task:  # type: ignore[override]
        """Take a task out, and keep it."""
        task = super().pop(key)
        self.left.append(task)
        return task


def tasks(log: EventLog, until: int) -> Iterator[Task]:
    """The tasks that the state after the event ``until`` no longer has, in the order in which they left it.

    Reads the log twice and keeps none of it in memory. Raises LogDamaged before the first task.
    """
    returns = Counter(event["task"] for event in log.read(until=until) if _returns(event))
    state, watched = empty(), _Watched()
    state.tasks = watched
    for event in log.read(until=until):
        if _returns(event):
            returns[event["task"]] -= 1
        fold(state, event)
        for task in watched.left:
            if not returns[task.id]:  # else it comes back later: it is told then
                yield task
        watched.left.clear()


def _returns(event: Event) -> bool:
    """Whether the event brings back a task that has left the state."""
    return event["type"] == "task.requeued" and "record" in event["data"]


def record(log: EventLog, state: State, task_id: str) -> Recorded | None:
    """A task that ``state`` no longer has, as it was when it finished; None if the log does not know its end."""
    ended = _end(log, task_id)
    if ended is None:
        return None
    # Before its end: the event itself may have taken it out of the state.
    task: Task | None = log.state_at(seq=ended["seq"] - 1).tasks.get(task_id)
    if task is None:
        return None
    return {
        "kind": task.kind,
        "issue": task.issue,
        "title": task.title,
        "state": FINISHES[ended["type"]],
        "priority": task.priority,
        "after": [earlier for earlier in task.after if not _completed(log, state, earlier)],
        "queued": task.queued,
        "queued_at": task.queued_at,
        "edited": task.edited,
        "changed": ended["seq"],
        "repository": task.repository,
        "options": task.options,
        "carried": None,
        "attempts": task.usage.attempts,
        "retries": task.usage.retries,
        "parks": task.usage.parks,
        "tokens": task.usage.tokens,
        "cost": task.usage.cost,
        "seconds": task.usage.seconds,
        "result": task.result,
        "reaction": task.reaction,
        "by_intake": task.by_intake,
    }


def _end(log: EventLog, task_id: str) -> Event | None:
    """The event that finished the task last."""
    found = None
    for event in log.read_key(task_id):
        if event["type"] in FINISHES and event.get("task") == task_id:
            found = event
    return found


def _completed(log: EventLog, state: State, task_id: str) -> bool:
    """Whether a task was completed when it left the state."""
    if task_id in state.tasks:
        return False
    ended = _end(log, task_id)
    return ended is not None and ended["type"] == "task.completed"
