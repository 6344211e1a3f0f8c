"""Folds what people change in the queue: tasks moved, edited, acknowledged, cleared; pauses; holds that are lifted."""

from __future__ import annotations

from kugetsu.domain.fold.tasks import (
    forget_earlier,
    forgive,
    is_unacknowledged,
    keep_finished,
    retire,
    set_no_progress_runs,
)
from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.state import EVERYTHING, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Event


def task_moved(state: State, event: Event) -> None:
    """Fold of ``task.moved``."""
    data = event["data"]
    priority, order, after = data["priority"], data["order"], data.get("after")
    task = state.tasks.get(event["task"])
    if task is None or task.state not in ("pending", "parked"):
        state.violate(event["seq"], f"task.moved names {event['task']}, which is not waiting")
        return
    task.priority = priority
    task.order = order
    if after is not None:
        forget_earlier(state, task)
        task.after = list(after)
        for earlier in task.after:
            state.successors.setdefault(earlier, []).append(task.id)


def task_edited(state: State, event: Event) -> None:
    """Fold of ``task.edited``."""
    title = event["data"]["title"]
    task = state.tasks.get(event["task"])
    if task is None or task.state not in ("pending", "parked"):
        state.violate(event["seq"], f"task.edited names {event['task']}, which is not waiting")
        return
    task.title = title
    task.edited = event["seq"]


def queue_paused(state: State, event: Event) -> None:
    """Fold of ``queue.paused``; it replaces an earlier pause of the same."""
    repository, until = event["data"]["repository"], event["data"]["until"]
    state.paused[repository or EVERYTHING] = {"until": until, "at": event["at"], "seq": event["seq"]}


def queue_resumed(state: State, event: Event) -> None:
    """Fold of ``queue.resumed``."""
    repository = event["data"]["repository"] or EVERYTHING
    if state.paused.pop(repository, None) is None:
        state.violate(event["seq"], f"queue.resumed: {repository} is not paused")


def hold_lifted(state: State, event: Event) -> None:
    """Fold of ``hold.lifted``."""
    gate, subject, by = event["data"]["gate"], event["data"]["subject"], event["data"].get("by")
    if gate == "provider":
        state.limits.pop(subject, None)
        if by is not None:
            _tell_apart(state, by)
    else:
        forgive(state, subject)


def _tell_apart(state: State, by: str) -> None:
    """An attempt of the task ``by`` ended an outage: if the others meet it again, the fault is their own."""
    from kugetsu.domain import outages

    for task in state.tasks.values():
        if task.outage == outages.MET:
            task.outage = outages.OWN if task.id != by else ""


def hold_restored(state: State, event: Event) -> None:
    """Fold of ``hold.restored``."""
    data = event["data"]
    gate, subject, until, task, fruitless = (data[name] for name in ("gate", "subject", "until", "task", "fruitless"))
    if gate == "provider":
        state.limits[subject] = {"until": until, "at": event["at"], "seq": event["seq"], "task": task}
        if "outage" in data:
            state.limits[subject] |= {"outage": data["outage"], "reason": ""}
    else:
        set_no_progress_runs(state, subject, fruitless)


def task_acknowledged(state: State, event: Event) -> None:
    """Fold of ``task.acknowledged``: one that stayed for that alone is among the latest finished ones again."""
    failure, task = event["data"]["failure"], state.tasks.get(event["task"])
    if task is None or task.changed != failure or not is_unacknowledged(state, task.id):
        state.violate(event["seq"], f"task.acknowledged names {event['task']}, which has no such failure")
        return
    task.acknowledged = event["seq"]
    if task.id in state.unacknowledged:
        del state.unacknowledged[task.id]
        keep_finished(state, task.id)


def task_unacknowledged(state: State, event: Event) -> None:
    """Fold of ``task.unacknowledged``."""
    failure, task = event["data"]["failure"], state.tasks.get(event["task"])
    if task is None or task.changed != failure or not task.acknowledged:
        state.violate(event["seq"], f"task.unacknowledged names {event['task']}, which is not acknowledged")
        return
    task.acknowledged = 0


def queue_acknowledged(state: State, event: Event) -> None:
    """Fold of ``queue.acknowledged``, and of ``queue.unacknowledged``."""
    left: int = event["data"]["left"]
    state.unacknowledged_gone = max(0, left)


queue_unacknowledged = queue_acknowledged


def queue_cleared(state: State, event: Event) -> None:
    """Fold of ``queue.cleared``."""
    for task_id in event["data"]["tasks"]:
        task = state.tasks.get(task_id)
        if task is not None and task.state in FINISHED_TASK:
            retire(state, task_id)
        else:
            state.violate(event["seq"], f"queue.cleared names {task_id}, which is not finished")
