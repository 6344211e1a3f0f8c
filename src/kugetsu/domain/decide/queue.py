"""Decisions on the queue: enqueue, cancel, retry, clear."""

from __future__ import annotations

from kugetsu.domain.draft import Draft
from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.errors import BadInput, Conflict, KugetsuError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from kugetsu.domain.state import State, Task

#: Characters of a message's first line that lists show.
TITLE_LENGTH = 100


def title_of(message: str) -> str:
    """The first line of a message that says something, cut to what a list can show."""
    for line in message.splitlines():
        if line.strip():
            line = " ".join(line.split())
            return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + "…"
    return ""


def require_initialised(state: State) -> None:
    """Raise unless `kugetsu init` has been run in this directory."""
    if not state.initialised:
        raise KugetsuError("kugetsu is not set up here yet", hint="kugetsu init")


def find_task(state: State, task_id: str) -> Task:
    """The task of that id; NotFound when the state has none."""
    task = state.tasks.get(task_id)
    if task is None:
        raise unknown(state, task_id)
    return task


def unknown(state: State, task_id: str) -> NotFound:
    """The error for a task id that the state does not have."""
    hint = f"kugetsu history {task_id}" if _was_made(state, task_id) else "kugetsu queue list"
    return NotFound(f"there is no task {task_id} in the queue", hint=hint)


def _was_made(state: State, task_id: str) -> bool:
    number = task_id[1:]
    return task_id[:1] == "q" and number.isdigit() and 0 < int(number) <= state.tasks_made


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
) -> list[Draft]:
    """A new task at the end of the queue. ``repository`` names the clone that the command was typed in.

    Raises BadInput for a dev task without an issue, NotFound when a task in ``after`` is not in the state: of one
    that has left it nobody knows here whether it was completed.
    """
    require_initialised(state)
    _require_text(message)
    if (kind == "dev") != (issue is not None):
        raise BadInput(f"a {kind} task {'needs an' if kind == 'dev' else 'has no'} issue")
    for earlier in after:
        if earlier not in state.tasks:
            gone = _was_made(state, earlier)
            message = f"{earlier} has left the queue" if gone else f"there is no task {earlier}"
            hint = f"kugetsu history {earlier}" if gone else "kugetsu queue list"
            raise NotFound(f"{message}: nothing can come after it", hint=hint)
    data: dict[str, Any] = {
        "kind": kind,
        "message": message,
        "title": title_of(message),
        "priority": priority,
        "after": list(dict.fromkeys(after)),
        "repository": repository,
        "via": via,
    }
    return [Draft("task.queued", data, issue=issue, task=f"q{state.tasks_made + 1}")]


def _require_text(message: str) -> None:
    try:
        message.encode("utf-8")
    except UnicodeEncodeError as problem:
        hint = "write it as UTF-8 (iconv -t UTF-8)"
        raise BadInput(f"the message is not UTF-8 text: byte or character {problem.start + 1}", hint) from None


def cancel(state: State, task_id: str, reason: str) -> list[Draft]:
    """Cancel a waiting task, or request the stop of the one that works (its runner then ends the agent)."""
    task = find_task(state, task_id)
    if task.state in FINISHED_TASK:
        raise Conflict(f"{task_id} is {task.state} already", hint=f"kugetsu history {task_id}")
    if task.attempt is None:
        return [Draft("task.cancelled", {"reason": reason}, issue=task.issue, task=task.id, cause=task.changed)]
    attempt = state.attempts[task.attempt]
    # A stop for another reason (a timeout) would let the task be tried again: the cancel is told beside it.
    if attempt.stop == "cancel":
        return []
    return [
        Draft(
            "attempt.stop_requested",
            {"reason": "cancel"},
            issue=task.issue,
            task=task.id,
            attempt=attempt.id,
            session=attempt.session,
            cause=attempt.claimed,
        )
    ]


def dequeue(state: State, task_id: str | None) -> list[Draft]:
    """Take a waiting task (the next one when none is named) out of the queue without running it."""
    if task_id is None:
        waiting = state.waiting()
        if not waiting:
            raise NotFound("nothing waits in the queue", hint="kugetsu queue list --all")
        task = waiting[0]
    else:
        task = find_task(state, task_id)
    if task.attempt is not None:
        raise Conflict(f"{task.id} is being worked on by {task.attempt}", hint=f"kugetsu queue cancel {task.id}")
    return cancel(state, task.id, "dequeued")


def retry(state: State, task_id: str) -> list[Draft]:
    """Let a task go on now: a finished one is queued again, a parked or pausing one stops waiting."""
    task = find_task(state, task_id)
    if task.state in FINISHED_TASK:
        return [Draft("task.requeued", {"was": task.state}, issue=task.issue, task=task.id, cause=task.changed)]
    if task.attempt is not None:
        raise Conflict(f"{task_id} is being worked on by {task.attempt}", hint=f"kugetsu logs {task.attempt} -f")
    if task.not_before is None:
        raise Conflict(f"{task_id} already waits for its turn", hint=f"kugetsu why {task_id}")
    return [Draft("task.resumed", {"why": "retry"}, issue=task.issue, task=task.id, cause=task.changed)]


def clear(state: State, before: str | None) -> list[Draft]:
    """Retire the finished tasks that were finished before a time (all of them when it is None).

    One that is not completed stays while an open task comes after it: that one would else never start.
    """
    retired = [
        task_id
        for task_id in state.finished
        if (before is None or state.tasks[task_id].changed_at < before) and not state.wanted(task_id)
    ]
    if not retired:
        return []
    return [Draft("queue.cleared", {"tasks": retired, "older_than": before})]


def cancel_waiting(state: State, reason: str) -> list[Draft]:
    """Cancel everything that waits."""
    return [draft for task in state.waiting() for draft in cancel(state, task.id, reason)]
