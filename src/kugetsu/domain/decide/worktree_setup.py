"""Decisions on the set-up of worktrees: what a repository itself supplies to it is used once it is accepted."""

from __future__ import annotations

from kugetsu.domain import worktree_setup
from kugetsu.domain.decide.sessions import find_attempt, issue_of
from kugetsu.domain.decision import decision
from kugetsu.domain.new_event import NewEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.state import State


@decision("setup.first")
def first(state: State, repository: str, sha: str, lines: list[str], attempt_id: str | None = None) -> list[NewEvent]:
    """Accept the first that a repository supplies; [] if anything was accepted before."""
    if repository in state.accepted:
        return []
    attempt = state.attempts.get(attempt_id) if attempt_id is not None else None
    about: dict[str, Any] = {}
    if attempt is not None:
        about = {"issue": attempt.issue, "task": attempt.task, "attempt": attempt.id, "cause": attempt.claimed}
    data = {"repository": repository, "sha": sha, "lines": lines, "first": True}
    return [NewEvent("setup.accepted", data, **about)]


@decision("setup.accept")
def accept(state: State, repository: str, sha: str, lines: list[str]) -> list[NewEvent]:
    """A person accepts what a repository supplies; [] if it is accepted."""
    if worktree_setup.is_accepted(state, repository, sha):
        return []
    session = worktree_setup.asked(state, repository).get(sha)
    about: dict[str, Any] = {}
    if session is not None and session.set_up is not None:
        about = {"issue": issue_of(session), "cause": session.set_up["seq"]}
    data = {"repository": repository, "sha": sha, "lines": lines, "first": False}
    return [NewEvent("setup.accepted", data, **about)]


def made(state: State, attempt_id: str, data: dict[str, Any]) -> NewEvent:
    """What came of an attempt's set-up (`events.verification.WorktreeSetUp`). Raises NotFound if it is not live: its
    session may be on another host by now, where nothing was made ready."""
    attempt = find_attempt(state, attempt_id)
    about: dict[str, Any] = {"issue": attempt.issue, "task": attempt.task, "attempt": attempt.id}
    return NewEvent("worktree.set_up", data, session=attempt.session, cause=attempt.claimed, **about)
