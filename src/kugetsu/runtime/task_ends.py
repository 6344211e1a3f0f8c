"""Wait until tasks have ended: each end as it comes, woken by the log.

A task has ended when it is completed, in error or cancelled; and it is `blocked`, which nobody should wait for, when
nothing but a person lets it go on: it is parked without a time, or comes after a task that was not completed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kugetsu.domain import gates
from kugetsu.domain.decide import queue
from kugetsu.domain.events import Event, upcast
from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.state import ENDS, FINISHES, State, Task
from kugetsu.model.errors import NotFound
from kugetsu.model.record import record
from kugetsu.runtime import submit
from kugetsu.runtime.query.subjects import Subject
from kugetsu.runtime.workspace import Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BLOCKED = "blocked"
#: Kinds after which a waiting task may be blocked: its own park, or what became of one that it comes after.
_BLOCKING = ("task.parked", "task.failed", "task.cancelled", "task.moved", "queue.cleared")
#: Results of a completed task that want a person before anything comes of it.
UNDELIVERED = ("question", "push_refused")


@record
class End:
    """How a task ended. ``state`` is completed, error, cancelled or blocked; ``event`` is the event that says so;
    ``result`` what came of its latest attempt (`events.attempts.Result`)."""

    task: str
    issue: str | None
    state: str
    event: Event
    result: dict[str, Any] | None

    @property
    def good(self) -> bool:
        """Whether it is completed, and nobody has to answer or act for what it made."""
        return self.state == "completed" and (self.result or {}).get("kind") not in UNDELIVERED


def open_tasks(state: State) -> list[str]:
    """The tasks that wait or run, in the order in which they were queued."""
    found = [task for task in state.tasks.values() if task.state not in FINISHED_TASK]
    return [task.id for task in sorted(found, key=lambda task: task.queued)]


def tasks_of(ws: Workspace, subject: Subject) -> list[str]:
    """The tasks that a user means: a task itself, and of an issue (or the PM session) its open ones, else its latest.

    Raises NotFound if nothing was ever queued for it.
    """
    if subject.kind in ("task", "attempt"):
        return [subject.key]
    state = ws.state()
    mine = [task.id for task in state.tasks.values() if task.session == subject.key and task.state not in FINISHED_TASK]
    if mine:
        return mine
    latest = [event["task"] for event in ws.log.read_key(subject.key) if event["type"] == "task.queued"]
    if not latest:
        raise NotFound(f"no task was ever queued for {subject}", "kugetsu queue list --all")
    return latest[-1:]


def ends(ws: Workspace, wanted: Sequence[str]) -> Iterator[End]:
    """The ends of these tasks, each once: those that have ended at once, the others as they do.

    What died meanwhile is settled, as by `start --wait`. Raises NotFound for a task that was never queued.
    """
    state = ws.state()
    seen = state.seq
    left: dict[str, None] = {}
    for task_id in dict.fromkeys(wanted):
        end = _ended(ws, state, task_id)
        if end is None:
            left[task_id] = None
        else:
            yield end
    watch = submit.Deaths(ws)
    for event in ws.log.follow(seen) if left else ():
        if event is None:
            watch.look(left)
            continue
        for end in _news(ws, event, left):
            del left[end.task]
            yield end
        if not left:
            return


def _ended(ws: Workspace, state: State, task_id: str) -> End | None:
    task = state.tasks.get(task_id)
    if task is not None and task.state not in FINISHED_TASK and not blocked(state, task):
        return None
    finished = task is None or task.state in FINISHED_TASK
    last = None
    for event in ws.log.read_key(task_id):
        # After its end come other events too: an acknowledgement.
        told = event["type"] in FINISHES if finished else event["type"].startswith("task.")
        if told and event["seq"] <= state.seq:
            last = event
    if last is None:
        raise queue.unknown(state, task_id)
    return _end(ws, last, FINISHES[last["type"]] if finished else BLOCKED)


def _news(ws: Workspace, event: Event, left: dict[str, None]) -> list[End]:
    kind = event["type"]
    found = []
    if kind in FINISHES and event["task"] in left:
        found.append(_end(ws, event, FINISHES[kind]))
    if kind in _BLOCKING:
        state = ws.state()
        over = {end.task for end in found}
        tasks = (state.tasks.get(task_id) for task_id in left if task_id not in over)
        found += [_end(ws, event, BLOCKED, task) for task in tasks if task is not None and blocked(state, task)]
    return found


def blocked(state: State, task: Task) -> bool:
    """Whether nothing but a person lets a waiting task go on."""
    if task.state not in ("pending", "parked"):
        return False
    return (task.state == "parked" and task.not_before is None) or gates.stranded(state, task) is not None


def _end(ws: Workspace, event: Event, state: str, task: Task | None = None) -> End:
    if task is not None:
        return End(task.id, task.issue, state, event, task.result)
    return End(event["task"], event.get("issue"), state, event, _result(ws, event["task"]))


def _result(ws: Workspace, task_id: str) -> dict[str, Any] | None:
    """What came of the task's latest attempt, also of a task that has left the state."""
    task = ws.state().tasks.get(task_id)
    if task is not None:
        return task.result
    found: dict[str, Any] | None = None
    for event in ws.log.read_key(task_id):
        if event["type"] in ENDS:
            found = upcast(event)["data"]["result"]
    return found
