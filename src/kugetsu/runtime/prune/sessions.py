"""Sessions that can go: their pull request is merged or closed, their issue is closed, or nothing of them is left."""

from __future__ import annotations

import contextlib
import os

from kugetsu.domain.state import Session, State
from kugetsu.forge.failures import ForgeFailure
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.model.plural import counted
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import destroy, pull_requests
from kugetsu.runtime.forges import Forges, one_line
from kugetsu.runtime.git.command import ask
from kugetsu.runtime.git.published import is_on_a_remote
from kugetsu.runtime.git.removal import RemovalPolicy
from kugetsu.runtime.prune.model import Item, Plan
from kugetsu.runtime.pull_requests import Seen
from kugetsu.runtime.workspace import Workspace


def add_sessions(ws: Workspace, state: State, forges: Forges, found: Plan) -> None:
    """Judge every issue's session into ``found``. Base and PM sessions always stay."""
    for session in sorted(state.sessions.values(), key=lambda session: session.changed):
        if session.kind != "issue":
            continue
        busy = _busy(ws, state, session)
        if busy:
            found.keep("session", session.key, *busy)
            continue
        try:
            _judge(ws, session, forges, found)
        except (KugetsuError, OSError) as problem:
            found.keep("session", session.key, f"it cannot be examined: {problem}")


def _busy(ws: Workspace, state: State, session: Session) -> list[str]:
    if session.attempt is not None:
        return [f"{session.attempt} works in it"]
    waiting = [task.id for task in state.waiting() if task.session == session.key]
    if waiting:
        return [f"{', '.join(waiting)} waits for it"]
    if session.worktree is not None and not _is_ours(ws, session.worktree):
        return ["its worktree lies outside of KUGETSU_DIR"]
    return []


def _is_ours(ws: Workspace, worktree: str) -> bool:
    """True if it lies directly below `worktrees/` and is not a link to elsewhere."""
    return os.path.realpath(worktree) == os.path.join(os.path.realpath(ws.paths.worktrees), os.path.basename(worktree))


def _judge(ws: Workspace, session: Session, forges: Forges, found: Plan) -> None:
    seen = pull_requests.inspect(ws, session, forges)
    why, against = _why_it_can_go(session, forges, seen)
    if why is None:
        found.keep("session", session.key, *against, unqueried=_is_unqueried(session, forges, seen))
        return
    care = RemovalPolicy(
        kept=seen.merged_head,
        strict=True,
        resumed=bool(session.destroying),
        disposable=destroy.disposable(ws),
    )
    reasons = destroy.why_keep(ws, session, care)
    if reasons:
        found.keep("session", session.key, f"{why}, but its worktree has {'; '.join(reasons)}")
        return
    paths = [session.worktree] if session.worktree is not None and os.path.isdir(session.worktree) else []
    found.items.append(Item("session", session.key, paths, why, seen=seen))


def _why_it_can_go(session: Session, forges: Forges, seen: Seen) -> tuple[str | None, list[str]]:
    """Why it can go, or None and the reasons against it."""
    if seen.state == "open":
        return None, [f"its {seen.name} is open"]
    if seen.state == "unknown":
        return None, [f"its {seen.name} may be open: {seen.why}" if seen.url else f"it may have one open: {seen.why}"]
    if session.destroying:
        return "its removal was interrupted", []
    gone = session.worktree is None or not os.path.lexists(session.worktree)
    if gone and (session.branch is None or _is_nowhere(session)):
        nowhere = "its worktree is gone, and its branch does not exist"
        return nowhere if session.branch else "nothing was created for it", []
    later = pull_requests.later_commits(session, seen.pull) if seen.pull is not None and seen.state == "merged" else 0
    if later:
        return None, [f"{counted(later, 'commit')} came after its {seen.name} was merged"]
    if seen.state in ("merged", "closed"):
        return f"its {seen.name} is {seen.state}", []
    return _by_issue(session, forges)


def _is_unqueried(session: Session, forges: Forges, seen: Seen) -> bool:
    if seen.state in ("none", "unknown"):
        with contextlib.suppress(BadInput):  # an old spelling
            return forges.of(parse_ref(session.key).host) is None
    return False


def _by_issue(session: Session, forges: Forges) -> tuple[str | None, list[str]]:
    ref = parse_ref(session.key)
    try:
        issue = forges.ask(ref.host, lambda forge: forge.issue(ref.owner, ref.repo, ref.number))
    except (ForgeFailure, BadInput) as problem:
        return None, [f"its issue may be open: {one_line(problem)}"]
    return ("its issue is closed", []) if issue.state == "closed" else (None, ["its issue is open"])


def _is_nowhere(session: Session) -> bool:
    """Whether its repository exists and knows the branch neither locally nor on a remote."""
    if session.source is None or not os.path.isdir(session.source):
        return False
    answer = ask(["for-each-ref", "--count=1", f"refs/heads/{session.branch}"], session.source)
    here = answer.code != 0 or bool(answer.out.strip())
    return not here and not is_on_a_remote(session.branch or "", session.source)
