"""Where an issue stands, as a person sees it: its session, its open tasks, how the last one ended, and its review."""

from __future__ import annotations

from kugetsu.domain.machines import OPEN_REVIEW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from kugetsu.domain.state import Session, State, Task

#: Where an issue may stand. What runs or waits goes before what came of earlier runs.
STANDINGS = (
    *("running", "pending", "parked"),
    *("asks", "failed", "broken", "cancelled", *OPEN_REVIEW, "merged", "closed", "idle", "destroyed"),
)
#: Those in which a person is asked to look at the work.
TO_REVIEW = ("to_review", "changes_requested", "checks_failed", "conflicting")


def last_tasks(state: State) -> dict[str, Task]:
    """Session → the last of its finished tasks that are in the state."""
    return {task.session: task for task in map(state.tasks.__getitem__, state.finished)}


def standing(state: State, session: Session, last: Mapping[str, Task]) -> str:
    """Where the session's issue stands (`STANDINGS`); ``last`` as `last_tasks` made it."""
    waits = {state.tasks[task].state for task in state.of_issue.get(session.key, ())}
    if session.attempt is not None or "notified" in waits:
        return "running"
    if waits:
        return "pending" if "pending" in waits else "parked"
    if session.state in ("broken", "destroyed"):
        return session.state
    task = last.get(session.key)
    if task is not None and task.state != "completed":
        return "failed" if task.state == "error" else "cancelled"
    if task is None and session.result_kind == "failed":
        return "failed"
    if session.result_kind == "question":
        return "asks"
    return session.review if session.review != "none" else "idle"
