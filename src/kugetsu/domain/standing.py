"""Where an issue stands, as a person sees it: its session, its open tasks, how the last one ended, and its review."""

from __future__ import annotations

from kugetsu.domain.machines import OPEN_REVIEW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from kugetsu.domain.state import Session, State, Task

#: Where an issue may stand. What runs or waits goes before what came of earlier runs.
STANDINGS = (
    *("attached", "running", "pending", "parked"),
    *("asks", "failed", "broken", "cancelled", *OPEN_REVIEW, "merged", "closed", "idle", "destroyed"),
)
#: States of the review machine in which there is something to look at, or to send back to the agent.
TO_LOOK_AT = ("to_review", "changes_requested", "checks_failed", "conflicting")
#: States of the review machine in which the latest work has been dealt with.
DEALT_WITH = ("approved", "merged", "closed")


def last_tasks(state: State) -> dict[str, Task]:
    """Session → the last of its finished tasks in the state, of those that were not cancelled if there is one."""
    last: dict[str, Task] = {}
    for task_id in state.finished:
        task = state.tasks[task_id]
        if task.state != "cancelled" or last.get(task.session, task).state == "cancelled":
            last[task.session] = task
    return last


def title(state: State, session: Session, last: Mapping[str, Task]) -> str | None:
    """The issue's title, else that of its first open task, else of its last one in the state."""
    tasks = [state.tasks[task_id] for task_id in state.of_issue.get(session.key, ())]
    tasks += [last[session.key]] if session.key in last else []
    return session.title or (tasks[0].title if tasks else None)


def standing(state: State, session: Session, last: Mapping[str, Task]) -> str:
    """Where the session's issue stands (`STANDINGS`); ``last`` as `last_tasks` made it."""
    if session.person is not None:
        return "attached"
    waits = {state.tasks[task].state for task in state.of_issue.get(session.key, ())}
    if session.attempt is not None or "notified" in waits:
        return "running"
    if waits:
        return "pending" if "pending" in waits else "parked"
    if session.state in ("broken", "destroyed"):
        return session.state
    task = last.get(session.key)
    if task.state == "error" if task is not None else session.result_kind == "failed":
        return "failed"
    if session.result_kind == "question" and not dealt_with(session, task):
        return "asks"
    if session.review != "none":
        return session.review
    return "cancelled" if task is not None and task.state == "cancelled" else "idle"


def dealt_with(session: Session, task: Task | None) -> bool:
    """Whether the session's review ended after the task."""
    return session.review in DEALT_WITH and session.review_at > (task.changed_at if task is not None else "")
