"""Branches that have parted from their remote branch, to which others pushed: no turn begins that nobody asked for.

The task is parked with both commits and uses no attempt up. It waits until one of the two has moved, as a merge or a
push moves them, or until a person retries it: the same divergence does not stop that task again.
"""

from __future__ import annotations

from kugetsu.domain.state import BRANCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.facts import ClaimFacts, Ending
    from kugetsu.domain.state import Attempt, State, Task

#: The verdict of an attempt that did not begin for it.
DIVERGED = "diverged"
#: The two commits: the worktree's, and the remote branch's.
COMMITS = ("here", "there")


def park(attempt: Attempt, ending: Ending) -> dict[str, Any]:
    """The data of ``task.parked``."""
    values = {"attempt": attempt.id, **(ending.evidence.get("diverged") or {})}
    parked = {"until": None, "stated": False, "limit": None, "gate": BRANCH}
    return {**parked, "reason": "parked_by_divergence", "values": values}


def is_parked(task: Task) -> bool:
    """Whether a task waits for its branch."""
    return task.state == "parked" and task.parked_for == BRANCH


def has_moved(state: State, task: Task, facts: ClaimFacts) -> bool:
    """Whether one of the two commits is another one by now: the worktree's, as the facts have it, or that of the pull
    request, if it was observed since."""
    was, session = task.reason_values or {}, state.sessions.get(task.session)
    if session is None:
        return True
    head = facts.get("branch_heads", {}).get(task.session)
    if head is not None and head != was.get("here"):
        return True
    pull = session.pull or {}
    return pull.get("seq", 0) > task.changed and pull.get("head") not in (None, was.get("there"))


def accepted(task: Task) -> dict[str, Any] | None:
    """The commits whose divergence a person accepts who retries a task that was parked for it."""
    values = task.reason_values or {}
    return {name: values.get(name) for name in COMMITS} if is_parked(task) else None
