"""The evidence of a run, apart from what its agent says: what git, the run's own files and the forge show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kugetsu.agents.commands import Command
from kugetsu.domain.state import Attempt, Session
from kugetsu.model import clock
from kugetsu.model.errors import BadInput
from kugetsu.runtime import answers, pull_requests
from kugetsu.runtime.git import comparison, elsewhere, integrity, refused_push
from kugetsu.runtime.git import evidence as git_evidence
from kugetsu.runtime.runner import findings, temp_folders
from kugetsu.runtime.workspace import Workspace


def of_worktree(session: Session | None, *, ask_remote: bool = False) -> dict[str, Any]:
    """What git shows of the session's worktree, after repairing it; empty without one. ``ask_remote``: see
    `collect`."""
    if session is None or session.kind != "issue" or session.worktree is None:
        return {}
    repaired = integrity.repair(session.source, session.worktree)
    seen = git_evidence.collect(
        session.worktree,
        session.base_commit or "",
        session.branch or "",
        repository_path=session.source,
        bases=comparison.refs_in(session.source, session.base_branch),
        ask_remote=ask_remote,
    )
    return seen.as_data() | ({"repaired": repaired} if repaired is not None else {})


def of_run(
    ws: Workspace, attempt: Attempt, session: Session | None, commands: list[Command], ended_at: str | None = None
) -> dict[str, Any]:
    """What the run's own files show, and what was known before it: ``findings`` (a path), ``refused_push``,
    ``elsewhere`` (another checkout in which it committed), ``head_before``, ``comments_before``."""
    if session is None or session.kind != "issue":
        return {}
    found: dict[str, Any] = {
        "head_before": session.head,
        "comments_before": session.comments,
        "findings": findings.written(ws.paths, attempt.id),
        "refused_push": refused_push.find(commands),
        "elsewhere": _elsewhere(ws, attempt, session, commands, ended_at),
    }
    return {name: value for name, value in found.items() if value is not None}


def _elsewhere(
    ws: Workspace, attempt: Attempt, session: Session, commands: list[Command], ended_at: str | None
) -> str | None:
    if session.worktree is None or attempt.running_at is None:
        return None
    state = ws.state()
    issues = [one for one in state.sessions.values() if one.kind == "issue" and one.key != session.key]
    others = [one.worktree for one in issues if one.worktree is not None]
    try:
        began, ended = (clock.parse(at) / 1e6 - clock.ahead() for at in (attempt.running_at, ended_at or clock.now()))
    except BadInput:
        return None
    recorded = any(command.line for command in commands)
    if not recorded and any(one.id != attempt.id and one.kind == attempt.kind for one in state.attempts.values()):
        return None  # nothing shows which of the runs it was
    passing = temp_folders.left(ws.paths, attempt.id)
    return elsewhere.checkout_of(session.worktree, began, ended, commands, others=others, passing=passing)


def of_forge(ws: Workspace, session: Session | None, began: str, commands: Sequence[Command] = ()) -> dict[str, Any]:
    """The pull request and the comments on the issue's forge; {} where it may not be contacted. The work began at
    ``began`` and ran these ``commands``."""
    if ws.config.text("KUGETSU_FORGE") == "off" or session is None or session.key.startswith("local/"):
        return {}

    return pull_requests.evidence(ws, session, began, posted=answers.posts(commands))
