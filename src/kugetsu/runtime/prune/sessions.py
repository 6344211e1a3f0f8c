"""Sessions that can go: their pull request is merged or closed, the base branch has their work, their issue is closed,
or nothing of them is left."""

from __future__ import annotations

import contextlib
import os

from kugetsu.domain.state import Session, State
from kugetsu.forge.failures import ForgeFailure
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.model.plural import counted
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import destroy, host_id, pull_requests
from kugetsu.runtime.base_branches import BaseBranches, Merged
from kugetsu.runtime.destroy import Known
from kugetsu.runtime.forges import Forges, one_line
from kugetsu.runtime.git.command import ask
from kugetsu.runtime.git.published import is_on_a_remote
from kugetsu.runtime.git.removal import RemovalPolicy
from kugetsu.runtime.prune.model import ELSEWHERE, IN_USE, ISSUE_OPEN, PULL_OPEN, UNKNOWN, UNSAVED, Item, Plan
from kugetsu.runtime.pull_requests import Seen
from kugetsu.runtime.workspace import Workspace

MERGED = "its branch is merged into the base branch"

TYPE_CHECKING = False
if TYPE_CHECKING:
    #: A reason, and the group of those who share it.
    Why = tuple[str, str]


def add_sessions(ws: Workspace, state: State, forges: Forges, found: Plan) -> None:
    """Judge every issue's session into ``found``. Base and PM sessions always stay."""
    bases = BaseBranches(ws)
    for session in sorted(state.sessions.values(), key=lambda session: session.changed):
        if session.kind != "issue":
            continue
        busy = _busy(ws, state, session)
        if busy is not None:
            found.keep("session", session.key, busy[0], group=busy[1])
            continue
        try:
            _judge(ws, session, forges, bases, found)
        except (KugetsuError, OSError) as problem:
            found.keep("session", session.key, f"it cannot be examined: {problem}", group=UNKNOWN)


def _busy(ws: Workspace, state: State, session: Session) -> Why | None:
    if session.attempt is not None:
        return f"{session.attempt} works in it", IN_USE
    if session.person is not None:
        return f"{session.person['user']} works in it (kugetsu attach)", IN_USE
    waiting = [task.id for task in state.waiting() if task.session == session.key]
    if waiting:
        return f"{', '.join(waiting)} waits for it", IN_USE
    why = _elsewhere(ws, session)
    return (why, ELSEWHERE) if why is not None else None


def _elsewhere(ws: Workspace, session: Session) -> str | None:
    """Why nothing here may remove its worktree: it is another host's, or the user's."""
    if not host_id.is_own(ws, session.host):
        return f"its worktree is on {host_id.name_of(ws.state(), session.host)}"
    if session.worktree is not None and not _is_ours(ws, session.worktree):
        return "its worktree lies outside of KUGETSU_DIR"
    return None


def why_kept(ws: Workspace, session: Session, known: Known) -> str | None:
    """Why a session whose work is merged stays after all, as far as its pull request and its folder tell; None if it
    can go, unless its worktree holds something (`destroy.destroy`)."""
    if (why := _elsewhere(ws, session)) is not None:
        return why
    seen = known.seen
    against = _open_pull(seen) if seen is not None else None
    if against is None and seen is not None and seen.state == "merged" and known.merged is None:
        later = _later(session, seen)
        return f"{counted(later, 'commit')} came after its {seen.name} was merged" if later else None
    return against


def _is_ours(ws: Workspace, worktree: str) -> bool:
    """True if it lies directly below `worktrees/` and is not a link to elsewhere."""
    return os.path.realpath(worktree) == os.path.join(os.path.realpath(ws.paths.worktrees), os.path.basename(worktree))


def _judge(ws: Workspace, session: Session, forges: Forges, bases: BaseBranches, found: Plan) -> None:
    seen = pull_requests.inspect(ws, session, forges)
    against = _open_pull(seen)
    if against is not None:
        unqueried = _is_unqueried(session, forges, seen)
        found.keep("session", session.key, against, group=PULL_OPEN, unqueried=unqueried)
        return
    why, merged = _over(session, seen), None
    if why is None:
        merged = _merged(bases, session)
        why = (f"its branch {merged.branch} is merged into {merged.base_branch}", MERGED) if merged else None
    if why is None:
        reason, group = _by_issue(session, forges, seen)
        if group is not None:
            unqueried = _is_unqueried(session, forges, seen)
            found.keep("session", session.key, reason, group=group, unqueried=unqueried)
            return
        why = reason, reason
    known = Known(seen, merged)
    care = RemovalPolicy(
        kept=known.safe_commits,
        strict=True,
        resumed=bool(session.destroying),
        disposable=destroy.disposable(ws),
    )
    reasons = destroy.why_keep(ws, session, care)
    if reasons:
        reason = f"{why[0]}, but its worktree has {'; '.join(reasons)}"
        found.keep("session", session.key, reason, group=UNSAVED)
        return
    paths = [session.worktree] if session.worktree is not None and os.path.isdir(session.worktree) else []
    found.items.append(Item("session", session.key, paths, why[0], group=why[1], known=known))


def _open_pull(seen: Seen) -> str | None:
    """Why its pull request keeps it."""
    if seen.state == "open":
        return f"its {seen.name} is open"
    if seen.state == "unknown":
        return f"its {seen.name} may be open: {seen.why}" if seen.url else f"it may have one open: {seen.why}"
    return None


def _over(session: Session, seen: Seen) -> Why | None:
    """Why it can go, as far as its record and its pull request tell."""
    if session.destroying:
        return "its removal was interrupted", "its removal was interrupted"
    gone = session.worktree is None or not os.path.lexists(session.worktree)
    if gone and session.branch is None:
        return "nothing was created for it", "nothing is left of it"
    if gone and _is_nowhere(session):
        return "its worktree is gone, and its branch does not exist", "nothing is left of it"
    if seen.state == "closed" or (seen.state == "merged" and not _later(session, seen)):
        return f"its {seen.name} is {seen.state}", f"its pull request is {seen.state}"
    return None


def _later(session: Session, seen: Seen) -> int:
    """How many commits came after its pull request was merged."""
    return (pull_requests.later_commits(session, seen.pull) if seen.pull is not None else None) or 0


def _merged(bases: BaseBranches, session: Session) -> Merged | None:
    """Its branch, if the base branch has it; what cannot be examined counts as not merged."""
    try:
        return bases.merged(session)
    except KugetsuError:
        return None


def _is_unqueried(session: Session, forges: Forges, seen: Seen) -> bool:
    if seen.state in ("none", "unknown"):
        with contextlib.suppress(BadInput):  # an old spelling
            return forges.of(parse_ref(session.key).host) is None
    return False


def _by_issue(session: Session, forges: Forges, seen: Seen) -> tuple[str, str | None]:
    """Why it can go, and None; or why not, and the group of those that stay for that."""
    if seen.state == "merged":
        return f"{counted(_later(session, seen), 'commit')} came after its {seen.name} was merged", UNSAVED
    ref = parse_ref(session.key)
    try:
        issue = forges.ask(ref.host, lambda forge: forge.issue(ref.owner, ref.repo, ref.number))
    except (ForgeFailure, BadInput) as problem:
        return f"its issue may be open: {one_line(problem)}", ISSUE_OPEN
    return f"its issue is {issue.state}", None if issue.state == "closed" else ISSUE_OPEN


def _is_nowhere(session: Session) -> bool:
    """Whether its repository exists and knows the branch neither locally nor on a remote."""
    if session.source is None or not os.path.isdir(session.source):
        return False
    answer = ask(["for-each-ref", "--count=1", f"refs/heads/{session.branch}"], session.source)
    here = answer.code != 0 or bool(answer.out.strip())
    return not here and not is_on_a_remote(session.branch or "", session.source)
