"""Decisions on the queue: enqueue, cancel, retry, clear."""

from __future__ import annotations

from kugetsu.domain import outages
from kugetsu.domain.decision import decision
from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import BRANCH, SETUP
from kugetsu.model.errors import BadInput, Conflict, NotFound, NotSetUp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from kugetsu.domain.events.tasks import Recorded
    from kugetsu.domain.state import State, Task

#: Characters of a message's first line that lists show.
TITLE_LENGTH = 100


def title_of(message: str) -> str:
    """The first non-empty line of a message, cut to fit a list."""
    for line in message.splitlines():
        if line.strip():
            line = " ".join(line.split())
            return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + "…"
    return ""


def require_initialised(state: State) -> None:
    """Raise unless `kugetsu init` has been run in this directory."""
    if not state.initialised:
        raise NotSetUp


def find_task(state: State, task_id: str) -> Task:
    """The task of that id. Raises NotFound."""
    task = state.tasks.get(task_id)
    if task is None:
        raise unknown(state, task_id)
    return task


def unknown(state: State, task_id: str) -> NotFound:
    """The error for a task id that the state does not have."""
    return NotFound.because("task_unknown", task=task_id, made=was_made(state, task_id))


def was_made(state: State, task_id: str) -> bool:
    """Whether a task of that id was ever queued."""
    number = task_id[1:]
    return task_id[:1] == "q" and number.isdigit() and 0 < int(number) <= state.tasks_made


@decision("queue.enqueue")
def enqueue(
    state: State,
    *,
    kind: str,
    issue: str | None,
    message: str,
    via: str,
    priority: int = 0,
    after: Sequence[str] = (),
    repository: dict[str, str] | None = None,
    carried: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    from_issue: bool = False,
) -> list[NewEvent]:
    """A new task at the end of the queue. ``repository`` names the clone where the command was typed; ``options`` are
    its own (`events.tasks.Options`); ``carried`` are the counters of the issue's earlier sessions (`usage.of_history`),
    in case it has no session now. ``from_issue``: the message is the issue's own text.

    Raises BadInput for a dev task without an issue, NotFound if a task in ``after`` is not in the state: whether one
    that has left it was completed is unknown here.
    """
    require_initialised(state)
    _require_text(message)
    if (kind == "dev") != (issue is not None):
        raise BadInput.because("issue_missing" if issue is None else "issue_given", kind=kind)
    require_known(state, after)
    data: dict[str, Any] = {
        "kind": kind,
        "message": message,
        "title": title_of(message),
        "priority": priority,
        "after": list(dict.fromkeys(after)),
        "repository": repository,
        "via": via,
    }
    if options:
        data["options"] = options
    if from_issue:
        data["from_issue"] = True
    if carried and issue not in state.sessions:
        data["carried"] = carried
    return [NewEvent("task.queued", data, issue=issue, task=f"q{state.tasks_made + 1}")]


def require_known(state: State, after: Sequence[str]) -> None:
    """Raise NotFound if one of the tasks is not in the state: no task can wait for it."""
    for earlier in after:
        if earlier not in state.tasks:
            raise NotFound.because("earlier_task_unknown", task=earlier, made=was_made(state, earlier))


def _require_text(message: str) -> None:
    try:
        message.encode("utf-8")
    except UnicodeEncodeError as problem:
        raise BadInput.because("message_not_text", at=problem.start + 1) from None


@decision("queue.cancel")
def cancel(state: State, task_id: str, reason: str) -> list[NewEvent]:
    """Cancel a waiting task, or request the stop of a running one (its runner then ends the agent)."""
    task = find_task(state, task_id)
    if task.state in FINISHED_TASK:
        raise Conflict.because("task_finished", task=task_id, state=task.state)
    if task.attempt is None:
        return [NewEvent("task.cancelled", {"reason": reason}, issue=task.issue, task=task.id, cause=task.changed)]
    attempt = state.attempts[task.attempt]
    # After a stop for another reason (a timeout) the task would be retried, so record the cancellation too.
    if attempt.stop == "cancel":
        return []
    return [
        NewEvent(
            "attempt.stop_requested",
            {"reason": "cancel"},
            issue=task.issue,
            task=task.id,
            attempt=attempt.id,
            session=attempt.session,
            cause=attempt.claimed,
        )
    ]


@decision("queue.dequeue")
def dequeue(state: State, task_id: str | None) -> list[NewEvent]:
    """Remove a waiting task (by default the next one) from the queue without running it."""
    if task_id is None:
        waiting = state.waiting()
        if not waiting:
            raise NotFound.because("queue_empty")
        task = waiting[0]
    else:
        task = find_task(state, task_id)
    if task.attempt is not None:
        raise Conflict.because("task_running", task=task.id, attempt=task.attempt)
    return cancel(state, task.id, "dequeued")


@decision("queue.move")
def move(
    state: State,
    task_id: str,
    *,
    first: bool = False,
    last: bool = False,
    priority: int | None = None,
    after: Sequence[str] | None = None,
) -> list[NewEvent]:
    """Move a waiting task; [] if it is already there.

    ``first`` moves it before all waiting tasks, with their highest priority; ``last`` after those of its priority;
    ``after`` replaces its dependencies. Raises NotFound, Conflict if it is not waiting, and BadInput if tasks would
    wait for each other in a circle.
    """
    task = find_task(state, task_id)
    if task.state not in ("pending", "parked"):
        raise Conflict.because("task_not_waiting", task=task_id, state=task.state)
    others = [other for other in state.waiting() if other is not task]
    rank, order = task.priority if priority is None else priority, task.order
    if first and priority is None:
        rank = max([rank, *(other.priority for other in others)])
    orders = [other.order for other in others if other.priority == rank]
    if first and orders and min(orders) < order:
        order = min(orders) - 1
    elif last and orders and max(orders) > order:
        order = max(orders) + 1
    data: dict[str, Any] = {
        "priority": rank,
        "order": order,
        "was_priority": task.priority,
        "was_order": task.order,
    }
    if after is not None and list(dict.fromkeys(after)) != task.after:
        require_known(state, after)
        require_no_circle(state, task_id, after)
        data["after"], data["was_after"] = list(dict.fromkeys(after)), list(task.after)
    if (rank, order) == (task.priority, task.order) and "after" not in data:
        return []
    return [NewEvent("task.moved", data, issue=task.issue, task=task.id, cause=task.changed)]


def require_untold(task: Task) -> None:
    """Raise Conflict unless the task waits: an agent has its message otherwise."""
    if task.attempt is not None:
        raise Conflict.because("task_told", task=task.id, attempt=task.attempt, issue=task.issue)
    if task.state not in ("pending", "parked"):
        raise Conflict.because("task_finished", task=task.id, state=task.state)


@decision("queue.edit")
def edit(state: State, task_id: str, message: str, was_message: str, edited: int) -> list[NewEvent]:
    """Give a waiting task another message; [] if it is the same. ``was_message`` is its message now, which the event
    ``edited`` gave it (0: the one that queued it).

    Raises NotFound, Conflict if it is not waiting or if its message was changed since ``edited``.
    """
    task = find_task(state, task_id)
    require_untold(task)
    if task.edited != edited:
        raise Conflict.because("task_edited", task=task_id, event=task.edited)
    _require_text(message)
    if message == was_message:
        return []
    data = {"message": message, "title": title_of(message), "was_message": was_message}
    return [NewEvent("task.edited", data, issue=task.issue, task=task.id, cause=edited or task.queued)]


def require_no_circle(state: State, task_id: str, after: Sequence[str]) -> None:
    """Raise BadInput, showing the circle, if ``task_id`` would wait for itself."""
    ways = [[task_id, earlier] for earlier in after]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        if way[-1] == task_id:
            raise BadInput.because("task_after_itself", task=task_id, way=way)
        if way[-1] in seen or way[-1] not in state.tasks:
            continue
        seen.add(way[-1])
        ways += [[*way, earlier] for earlier in state.tasks[way[-1]].after]


def without_progress(state: State, issue: str) -> list[Task]:
    """The tasks of an issue that are parked because its runs changed nothing."""
    parked = (task for task in state.waiting() if task.issue == issue and task.state == "parked")
    return [task for task in parked if task.not_before is None and task.parked_for not in (SETUP, BRANCH)]


@decision("queue.unblock")
def unblock(state: State, gate: str, subject: str) -> list[NewEvent]:
    """Unblock tasks: reset an issue's runs without progress (``progress``), or end a usage limit or outage of an agent
    and model (``provider``); the tasks parked by it resume. Raises NotFound if there is none."""
    if gate == "provider":
        if subject not in state.limits:
            raise NotFound.because("limit_unknown", subject=subject)
        cause, parked = state.limits[subject]["seq"], outages.parked(state, subject)
    else:
        session = state.sessions.get(subject)
        parked = without_progress(state, subject)
        prior = [t for t in state.waiting() if t.issue == subject and (t.prior_usage or {}).get("fruitless")]
        if not parked and not prior and (session is None or not session.usage.no_progress_runs):
            raise NotFound.because("not_held_back", subject=subject)
        cause = session.changed if session is not None else (parked or prior)[0].changed
    issue = subject if gate == "progress" else None
    new_events = [NewEvent("hold.lifted", {"gate": gate, "subject": subject}, issue=issue, session=issue, cause=cause)]
    for place, task in enumerate(parked, 1):
        new_events.append(NewEvent("task.resumed", {"why": "lift"}, issue=task.issue, task=task.id, cause=-place))
    return new_events


@decision("queue.retry")
def retry(state: State, task_id: str, record: Recorded | None = None) -> list[NewEvent]:
    """Retry a task now: queue a finished one again, end the wait of a parked or pausing one. ``record`` is what the log
    knows of a task that has left the state."""
    if task_id not in state.tasks and record is not None:
        data = {"was": record["state"], "record": record}
        return [NewEvent("task.requeued", data, issue=record["issue"], task=task_id, cause=record["changed"])]
    task = find_task(state, task_id)
    if task.state in FINISHED_TASK:
        return [NewEvent("task.requeued", {"was": task.state}, issue=task.issue, task=task.id, cause=task.changed)]
    if task.attempt is not None:
        raise Conflict.because("task_already_running", task=task_id, attempt=task.attempt)
    if task.not_before is None and task.state != "parked" and not task.unprepared:
        raise Conflict.because("task_already_waiting", task=task_id)
    return [NewEvent("task.resumed", {"why": "retry"}, issue=task.issue, task=task.id, cause=task.changed)]


@decision("queue.acknowledge")
def acknowledge(state: State, subjects: Sequence[str]) -> list[NewEvent]:
    """Acknowledge the failures of tasks, and of the tasks of issues; of all tasks if none is named.

    [] if that was done before. Raises NotFound for a task that the state does not have, Conflict for one that did not
    fail and for an issue of which no task failed.
    """
    failed = state.failed()
    if not subjects:
        gone = state.unacknowledged_gone
        more = [NewEvent("queue.acknowledged", {"gone": gone, "left": 0})] if gone else []
        return [*map(_acknowledged, failed), *more]
    named: dict[str, Task] = {}
    for subject in subjects:
        named |= {task.id: task for task in _to_acknowledge(state, subject, failed)}
    return [_acknowledged(task) for task in named.values()]


def _to_acknowledge(state: State, subject: str, failed: Sequence[Task]) -> list[Task]:
    known = state.tasks.get(subject)
    found = [task for task in failed if subject in (task.id, task.session)]
    if found or (known is not None and known.acknowledged):
        return found
    if known is not None:
        raise Conflict.because("task_not_failed", task=known.id, state=known.state)
    if was_made(state, subject):
        raise NotFound.because("failed_task_gone", task=subject, gone=state.unacknowledged_gone)
    if any(subject == task.session and task.acknowledged for task in state.tasks.values()):
        return []
    raise NotFound.because("nothing_failed", subject=subject)


def _acknowledged(task: Task) -> NewEvent:
    data = {"failure": task.changed}
    return NewEvent("task.acknowledged", data, issue=task.issue, task=task.id, cause=task.changed)


@decision("queue.clear")
def clear(state: State, older_than: str | None, *, failed: bool = True) -> list[NewEvent]:
    """Retire the tasks that finished before the time ``older_than`` (None: all finished ones); without ``failed``, not
    those that failed and that nobody has acknowledged.

    One that was not completed stays while an open task depends on it, which otherwise could never start.
    """
    kept = () if failed else [task.id for task in state.failed()]
    retired = [
        task_id
        for task_id in state.finished
        if (older_than is None or state.tasks[task_id].changed_at < older_than)
        and task_id not in kept
        and not state.wanted(task_id)
    ]
    if not retired:
        return []
    return [NewEvent("queue.cleared", {"tasks": retired, "older_than": older_than})]


@decision("queue.cancel_waiting")
def cancel_waiting(state: State, reason: str) -> list[NewEvent]:
    """Cancel all waiting tasks."""
    return [new_event for task in state.waiting() for new_event in cancel(state, task.id, reason)]
