"""End a session: its worktree and its agent session go, its history stays. Every doubt keeps the user's work."""

from __future__ import annotations

import os

from kugetsu.domain.decide import sessions as decide
from kugetsu.errors import Conflict, KugetsuError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.state import Session
    from kugetsu.runtime.git.repositories import Repository
    from kugetsu.runtime.workspace import Workspace


def destroy(ws: Workspace, key: str, *, force: bool, reason: str = "destroy") -> dict[str, Any]:
    """Destroy the session ``key``; returns its `session.destroyed` event.

    Without ``force`` refused (Conflict, each reason named) while an agent works in it, tasks wait for it, the worktree
    holds uncommitted work, or commits are in no other place. With ``force`` the work is put on a rescue branch first.
    """
    from kugetsu.runtime.git import repositories

    # One after the other: the worktree that a second one would remove may be that of the next session.
    with repositories.locked(ws.paths, "destroy " + key):
        return _destroy(ws, key, force, reason)


def _destroy(ws: Workspace, key: str, force: bool, reason: str) -> dict[str, Any]:
    session = decide.find_session(ws.state(), key)
    if session.kind == "issue" and not force:
        _require_kept_elsewhere(ws, session)
    if session.state == "working" or session.attempt is not None:
        decide.destroying(ws.state(), key, force, reason)
    ws.log.transact(lambda state: decide.destroying(state, key, force, reason))
    kept: list[str] = []
    try:
        rescue = _remove_worktree(ws, session, kept, force) if session.kind == "issue" else None
        _delete_agent_session(ws, session, kept)
    except (KugetsuError, OSError) as problem:
        # The intent closes the gate: without an outcome nothing would start on the issue any more.
        why = f"could not be destroyed: {problem}"
        ws.log.transact(lambda state: decide.broken(state, key, why))
        raise
    outcome = {
        "worktree": session.worktree,
        "branch": session.branch,
        "rescue": rescue,
        "kept": kept,
    }
    return ws.log.transact(lambda state: decide.destroyed(state, key, outcome))[-1]


def _require_kept_elsewhere(ws: Workspace, session: Session) -> None:
    from kugetsu.runtime.git import worktrees

    if session.pr is not None and ws.config.flag("WORKTREE_CHECK_PR_STATUS"):
        # Whether it is open is the forge's to say; not knowing is treated as open.
        raise Conflict(
            f"{session.key} has a pull request, {session.pr}, which may be open",
            hint=f"kugetsu destroy --force {session.key}",
        )
    if session.worktree is None or not os.path.isdir(session.worktree):
        return
    reasons = worktrees.why_keep(session.worktree, session.branch or "", _repository(ws, session))
    if reasons:
        raise Conflict(
            f"the worktree of {session.key} is kept, it has {'; '.join(reasons)}",
            hint=f"commit and push in {session.worktree}, or: kugetsu destroy --force {session.key}",
        )


def _repository(ws: Workspace, session: Session) -> Repository:
    from kugetsu.runtime.git import repositories

    if session.repository is None or session.source is None:
        raise KugetsuError(f"the session {session.key} does not say where its worktree comes from")
    return repositories.at_path(session.repository, session.source, ws.config.servers())


def _remove_worktree(ws: Workspace, session: Session, kept: list[str], force: bool) -> str | None:
    from kugetsu.runtime.git import rescue, worktrees

    if session.worktree is None or not os.path.isdir(session.worktree):
        return None
    branch = session.branch or ""
    name = f"{session.key.rsplit('#', 1)[-1]}-{session.changed}"
    saved = rescue.rescue(session.worktree, name, branch=branch) if force else None
    if saved is not None and saved.left_out:
        raise Conflict(
            f"the worktree of {session.key} is kept: {saved.branch} could not take in {', '.join(saved.left_out[:5])}",
            hint=f"move that away by hand from {session.worktree}, then: kugetsu destroy --force {session.key}",
        )
    worktrees.remove(_repository(ws, session), session.worktree, branch, ws.paths, force=force)
    if branch:
        kept.append(f"branch {branch}")
    return saved.branch if saved is not None else None


def _delete_agent_session(ws: Workspace, session: Session, kept: list[str]) -> None:
    from kugetsu.runtime.environments import agent_of

    if session.agent_session is None:
        return
    agent = agent_of(ws, "pm" if session.kind == "pm" else "dev")
    if session.agent != agent.name:
        kept.append(f"{session.agent} session {session.agent_session}")
        return
    try:
        agent.delete_session(session.agent_session)
    except KugetsuError as problem:
        kept.append(f"{agent.name} session {session.agent_session} ({problem})")
