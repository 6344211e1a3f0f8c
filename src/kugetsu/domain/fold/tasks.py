"""Folds the life of a task: queued, held, retried, parked, finished, requeued, retired."""

from __future__ import annotations

from kugetsu.domain.fold.usage import FORGIVING
from kugetsu.domain.machines import FINISHED_TASK, step
from kugetsu.domain.state import (
    BRANCH,
    FINISHED_KEPT,
    FORGE,
    SETUP,
    UNACKNOWLEDGED_KEPT,
    State,
    Task,
    Usage,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.events import Event


def move_task(state: State, event: Event, trigger: str) -> Task | None:
    """The task of ``event`` after ``trigger``; None (and a violation) if there is none or its machine refuses."""
    task = state.tasks.get(event["task"])
    if task is None:
        state.violate(event["seq"], f"{event['type']} names the task {event['task']}, which is not in the queue")
        return None
    dest = step("task", task.state, trigger)
    if dest is None:
        state.violate(event["seq"], f"{event['type']}: a task that is {task.state} cannot {trigger}")
        return None
    task.state = dest
    task.changed = event["seq"]
    task.changed_at = event["at"]
    task.held = None
    return task


def task_queued(state: State, event: Event) -> None:
    """Fold of ``task.queued``."""
    task = queued(event)
    if task.id in state.tasks:
        state.violate(event["seq"], f"task.queued: {task.id} already exists")
        return
    state.tasks[task.id] = task
    _open(state, task)
    for earlier in task.after:
        state.successors.setdefault(earlier, []).append(task.id)
    number = task.id[1:]
    if number.isdigit() and int(number) > state.tasks_made:
        state.tasks_made = int(number)
    if state.intake:
        from kugetsu.domain.fold import intake

        intake.task_queued(state, event)
    if state.loops:
        from kugetsu.domain.fold import loops

        loops.task_queued(state, event, task)


def _open(state: State, task: Task) -> None:
    if task.issue is not None:
        state.of_issue.setdefault(task.issue, []).append(task.id)


def _close(state: State, task: Task) -> None:
    if task.issue is not None:
        same = state.of_issue[task.issue]
        same.remove(task.id)
        if not same:
            del state.of_issue[task.issue]


def queued(event: Event) -> Task:
    """The task that a ``task.queued`` event makes."""
    data = event["data"]
    task = Task(event["task"], data["kind"], event.get("issue"), data["title"])
    task.priority = data["priority"]
    task.after = list(dict.fromkeys(data["after"]))
    task.repository = data["repository"]
    task.prior_usage = data.get("carried")
    task.options = data.get("options") or {}
    task.reaction = data.get("reaction")
    task.by_intake = data.get("via") == "intake"
    task.order = task.queued = task.asked = task.changed = event["seq"]
    task.queued_at = task.asked_at = task.changed_at = event["at"]
    return task


def forget_earlier(state: State, task: Task) -> None:
    """Remove the task from the successors of those it came after; some may have left uncompleted."""
    for earlier in task.after:
        if earlier in state.successors:
            state.successors[earlier].remove(task.id)
            if not state.successors[earlier]:
                del state.successors[earlier]


def task_held(state: State, event: Event) -> None:
    """Fold of ``task.held``."""
    task = state.tasks.get(event["task"])
    if task is None or task.state not in ("pending", "parked"):
        state.violate(event["seq"], f"task.held names {event['task']}, which is not waiting")
        return
    task.held = event["data"]["gate"]
    task.held_seq = event["seq"]


def task_retried(state: State, event: Event) -> None:
    """Fold of ``task.retried``."""
    not_before, reason = event["data"]["not_before"], event["data"]["reason"]
    task = move_task(state, event, "retry")
    if task is not None:
        task.usage.retries += 1
        task.not_before = not_before
        task.reason, task.reason_values = reason, None


def task_parked(state: State, event: Event) -> None:
    """Fold of ``task.parked``."""
    data = event["data"]
    until, limit, reason, gate = data["until"], data["limit"], data["reason"], data["gate"]
    outage = data.get("outage")
    task = move_task(state, event, "park")
    if task is None:
        return
    task.not_before = until
    task.reason, task.reason_values = reason, data.get("values")
    task.parked_for = limit or gate
    if data.get("again"):
        return
    task.usage.parks += 1
    if gate in ("provider", SETUP, BRANCH, FORGE):
        task.used -= 1
    if outage is not None and limit is not None:
        _meet(state, task, limit, outage, event)
    elif limit is not None and until is not None:
        stated = state.limits.get(limit)
        # A shorter, assumed pause does not shorten one that a provider stated before. A provider that states a limit
        # answers, so an outage is over.
        if stated is None or "outage" in stated or stated["until"] <= until:
            state.limits[limit] = {"until": until, "at": event["at"], "seq": event["seq"], "task": task.id}
    session = state.sessions.get(task.session)
    if session is not None:
        session.usage.parks += 1


def _meet(state: State, task: Task, limit: str, outage: dict[str, Any], event: Event) -> None:
    """Record an outage that the task met; a task that meets it in the same pause as another changes nothing."""
    from kugetsu.domain import outages

    task.outage = outages.MET
    known = state.limits.get(limit)
    entry = {"until": outage["until"], "at": event["at"], "seq": event["seq"], "task": task.id}
    if known is not None:
        later = outage["times"] > known["outage"]["times"] if "outage" in known else outage["until"] > known["until"]
        later |= "outage" in known and outage.get("host") != known["outage"].get("host")  # another host meets the like
        if not later:
            return
    state.limits[limit] = {**entry, "outage": outage, "reason": event["data"]["reason"]}


def task_resumed(state: State, event: Event) -> None:
    """Fold of ``task.resumed``."""
    why, known = event["data"]["why"], state.tasks.get(event["task"])
    accepted = None
    if known is not None and known.parked_for == BRANCH and why in FORGIVING:
        from kugetsu.domain import divergence

        accepted = divergence.accepted(known)
    task = move_task(state, event, "resume")
    if task is None:
        return
    task.accepted = accepted or task.accepted
    if why in FORGIVING:
        task.asked_at, task.asked = event["at"], event["seq"]
    task.not_before = None
    _forget_limits(state, task)
    if why in FORGIVING:
        task.outage = ""
        task.unprepared = []
    if task.parked_for == "progress" and why in FORGIVING:
        forgive(state, task.session)
    session = state.sessions.get(task.session)
    if task.parked_for == SETUP and why in FORGIVING and session is not None:
        session.set_up = None  # its failures are counted anew
    task.parked_for = None


def forgive(state: State, key: str) -> None:
    """Reset the issue's runs without progress: a user wants it to continue."""
    set_no_progress_runs(state, key, 0)


def set_no_progress_runs(state: State, key: str, runs: int) -> None:
    """Set how many runs without progress an issue has: in its session, and in what its tasks keep for the next one."""
    session = state.sessions.get(key)
    if session is not None:
        session.usage.no_progress_runs = runs
    for task in state.tasks.values():
        if task.issue == key and task.prior_usage is not None:
            task.prior_usage = {**task.prior_usage, "fruitless": runs}


def _forget_limits(state: State, task: Task) -> None:
    """Remove the usage limits that this task met: their time has passed, or a user retries."""
    for limit, stated in list(state.limits.items()):
        # Only an attempt shows that an outage has ended.
        if stated["task"] == task.id and "outage" not in stated:
            del state.limits[limit]


def task_completed(state: State, event: Event) -> None:
    """Fold of ``task.completed``."""
    _finish_task(state, event, "succeed", None)


def task_failed(state: State, event: Event) -> None:
    """Fold of ``task.failed``."""
    _finish_task(state, event, "fail", event["data"]["reason"], event["data"].get("values"))


def task_cancelled(state: State, event: Event) -> None:
    """Fold of ``task.cancelled``."""
    task = _finish_task(state, event, "cancel", event["data"]["reason"])
    if task is not None and state.loops:
        from kugetsu.domain.fold import loops

        loops.task_cancelled(state, task)


def _finish_task(
    state: State, event: Event, trigger: str, reason: str | None, values: dict[str, Any] | None = None
) -> Task | None:
    task = move_task(state, event, trigger)
    if task is None:
        return None
    task.reason, task.reason_values = reason, values
    task.not_before = None
    task.acknowledged = 0
    _note_for_intake(state, task)
    _close(state, task)
    keep_finished(state, task.id)
    return task


def _note_for_intake(state: State, task: Task) -> None:
    if state.intake:
        from kugetsu.domain.fold import intake

        intake.task_moved(state, task)


def keep_finished(state: State, task_id: str) -> None:
    """Keep the task among the latest finished ones. The oldest of them leaves, but not while an open task depends on
    it; one that failed only moves to those that wait to be acknowledged."""
    finished = state.finished
    finished[task_id] = None
    while len(finished) > FINISHED_KEPT:
        oldest = next((kept for kept in finished if is_unacknowledged(state, kept) or not state.wanted(kept)), None)
        if oldest is None:
            break
        if is_unacknowledged(state, oldest):
            del finished[oldest]
            state.unacknowledged[oldest] = None
            if len(state.unacknowledged) > UNACKNOWLEDGED_KEPT:
                state.unacknowledged_gone += 1
                retire(state, next(iter(state.unacknowledged)))
        else:
            retire(state, oldest)


def is_unacknowledged(state: State, task_id: str) -> bool:
    """Whether a task failed, and nobody has acknowledged it."""
    task = state.tasks[task_id]
    return task.state == "error" and not task.acknowledged


def retire(state: State, task_id: str) -> None:
    """Remove a finished task from the state. Tasks that come after it drop it only if it was completed: an id in their
    ``after`` that the state does not have was never completed."""
    _leave_finished(state, task_id)
    task = state.tasks.pop(task_id)
    state.retired[task.state] = state.retired.get(task.state, 0) + 1
    if task.changed > state.retired_upto:
        state.retired_upto, state.retired_at = task.changed, task.changed_at
    for later in state.successors.pop(task_id, ()):
        if task.state == "completed":
            state.tasks[later].after.remove(task_id)
    forget_earlier(state, task)


def _leave_finished(state: State, task_id: str) -> None:
    state.finished.pop(task_id, None)
    state.unacknowledged.pop(task_id, None)


def task_requeued(state: State, event: Event) -> None:
    """Fold of ``task.requeued``: with all attempts, or as before if its cancellation was undone."""
    kept = event["data"].get("kept") or {"used": 0, "order": event["seq"], "not_before": None}
    used, order, not_before = kept["used"], kept["order"], kept["not_before"]
    record = event["data"].get("record")
    if record is not None and event["task"] not in state.tasks:
        if record["state"] not in FINISHED_TASK:
            state.violate(event["seq"], f"task.requeued brings back a task that is {record['state']}")
            return
        _bring_back(state, _recorded(event, record))
        state.last_returned = event["seq"]
    task = move_task(state, event, "requeue")
    if task is not None:
        _leave_finished(state, task.id)
        _open(state, task)
        _note_for_intake(state, task)
        if state.loops:
            from kugetsu.domain.fold import loops

            loops.task_requeued(state, task)
        task.acknowledged, task.withdrawn = 0, False
        if "kept" not in event["data"]:
            _forget_limits(state, task)
            task.asked_at, task.asked = event["at"], event["seq"]
            task.unprepared = []
        task.order = order
        task.used = used
        task.outage = ""
        task.not_before = not_before
        task.reason = task.reason_values = None


def _recorded(event: Event, record: dict[str, Any]) -> Task:
    """The task that had left the state, as the event records it."""
    task = Task(event["task"], record["kind"], record["issue"], record["title"], record["state"])
    task.priority = record["priority"]
    task.after = list(record["after"])
    task.queued, task.queued_at = record["queued"], record["queued_at"]
    task.asked_at, task.asked = task.queued_at, task.queued
    task.edited, task.repository = record["edited"], record["repository"]
    task.options = dict(record["options"])
    task.prior_usage = record["carried"]
    task.result = record["result"]
    task.reaction, task.by_intake = record.get("reaction"), bool(record.get("by_intake"))
    task.usage = Usage(
        attempts=record["attempts"],
        retries=record["retries"],
        parks=record["parks"],
        tokens=record["tokens"],
        cost=record["cost"],
        seconds=record["seconds"],
    )
    task.begun = task.usage.attempts > 0
    return task


def _bring_back(state: State, task: Task) -> None:
    state.tasks[task.id] = task
    if state.retired.get(task.state, 0) > 0:
        state.retired[task.state] -= 1
    for earlier in task.after:
        if earlier in state.tasks:  # one that has left finds its successors when it comes back
            state.successors.setdefault(earlier, []).append(task.id)
    later = [other.id for other in state.tasks.values() if task.id in other.after]
    if later:
        state.successors[task.id] = later
