"""End a session: remove its worktree and its agent session, keep its history. Every doubt keeps the user's work."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kugetsu.domain.decide import sessions as decide
from kugetsu.domain.state import Session
from kugetsu.model.errors import Conflict, KugetsuError, NotFound
from kugetsu.runtime import host_id, liveness, pull_requests
from kugetsu.runtime.base_branches import BaseBranches, Merged
from kugetsu.runtime.forges import Forges
from kugetsu.runtime.git import inner_rescue, integrity, removal, repositories, rescue
from kugetsu.runtime.git.removal import RemovalPolicy, way_on
from kugetsu.runtime.git.repositories import Repository
from kugetsu.runtime.pull_requests import Seen
from kugetsu.runtime.workspace import Workspace

NAMED = 20
"""Unsaved files that the event names."""


def destroy(
    ws: Workspace,
    key: str,
    *,
    force: bool,
    reason: str = "destroy",
    strict: bool = False,
    known: Known | None = None,
) -> dict[str, Any]:
    """Destroy the session ``key``; returns its `session.destroyed` event.

    Refused (Conflict) on another host than that of its worktree; without ``force`` also while an agent works in it,
    tasks wait for it, its pull request is (or may be) open or has yet to be opened, or its worktree holds uncommitted
    work or commits that are nowhere else: `refusals` gives all of these reasons. With ``force`` the work is put on a
    rescue branch first. ``strict``: see `RemovalPolicy`; ``known`` is what the caller saw of its work, else it is
    looked up here.
    """
    session = require_unused(ws, key, force)
    if session.kind == "issue" and not force:
        known = known or look_up(ws, session)
        _require_not_open(key, known.seen)
        _require_not_owed(session, known)
    # One after the other: the worktree that a second one would remove may be that of the next session.
    # The forge was asked before: no request is made while a lock is held.
    with repositories.locked(ws.paths, "destroy " + key):
        return _destroy(ws, key, force, reason, strict, known or Known())


@dataclass(frozen=True, slots=True)
class Known:
    """What was seen of a session's work: its pull request (None: nobody was asked), and its branch if the base branch
    has it."""

    seen: Seen | None = None
    merged: Merged | None = None

    @property
    def safe_commits(self) -> list[str]:
        """Commits that are safe although no branch shows it: what they reach is in the base branch, maybe squashed."""
        merged = [self.merged.commit] if self.merged is not None else []
        return [*(self.seen.merged_head if self.seen is not None else []), *merged]


def refusals(ws: Workspace, key: str, known: Known) -> list[KugetsuError]:
    """Everything for which `destroy` refuses without ``force``; [] if it does not. Raises NotFound."""
    found: list[KugetsuError] = []
    session = decide.find_session(ws.state(), key)
    care = RemovalPolicy(kept=known.safe_commits, disposable=disposable(ws), resumed=bool(session.destroying))
    checks: list[Callable[[], object]] = [lambda: require_unused(ws, key, False)]
    if session.kind == "issue":
        checks.append(lambda: _require_not_open(key, known.seen))
        checks.append(lambda: _require_not_owed(session, known))
        if host_id.is_own(ws, session.host):  # the path of another host's worktree is another thing here
            checks.append(lambda: _require_kept_elsewhere(ws, session, care))
    for check in checks:
        try:
            check()
        except NotFound:
            raise
        except KugetsuError as problem:
            found.append(problem)
    return found


def look_up(ws: Workspace, session: Session) -> Known:
    """What is to be seen of an issue's session now. Never raises for what forges, remotes and repositories do."""
    merged = None
    with suppress(KugetsuError):  # then its commits count as nowhere else
        merged = BaseBranches(ws).merged(session) if session.commits else None
    if not ws.config.flag("WORKTREE_CHECK_PR_STATUS"):
        return Known(None, merged)
    return Known(pull_requests.inspect(ws, session, Forges(ws)), merged)


def require_unused(ws: Workspace, key: str, force: bool) -> Session:
    """The session. Raises Conflict while an agent works in it or, without `force`, tasks wait for it, and if it is
    another host's, or of the directory of which this one is a copy."""
    state = ws.state()
    session = decide.find_session(state, key)
    liveness.require_original(ws.paths, state)
    decide.unused(state, session, force)
    host_id.require_here(ws, session, f"kugetsu destroy {'--force ' if force else ''}{key}")
    return session


def _require_not_open(key: str, seen: Seen | None) -> None:
    if seen is None:
        return
    over = f"kugetsu destroy --force {key}"
    if seen.state == "open":
        raise Conflict(f"the pull request of {key} is open: {seen.url}", hint=f"merge or close it, or: {over}")
    if seen.may_be_open:
        what = f"has a pull request, {seen.url}, which may be open" if seen.url else "may have an open pull request"
        raise Conflict(f"{key} {what}: {seen.why}", hint=f"{seen.hint} (or: {over})" if seen.hint else over)


def _require_not_owed(session: Session, known: Known) -> None:
    """Raise Conflict while kugetsu has yet to open its pull request, which ends with the session."""
    over = known.merged is not None or (known.seen is not None and known.seen.state == "merged")
    if session.owed is not None and not over:
        text = f"the pull request of {session.key} has yet to be opened, for branch {session.owed['branch']}"
        raise Conflict(text, hint=f"kugetsu history {session.key} (or: kugetsu destroy --force {session.key})")


def _destroy(ws: Workspace, key: str, force: bool, reason: str, strict: bool, known: Known) -> dict[str, Any]:
    session = decide.find_session(ws.state(), key)
    resumed = bool(session.destroying)  # asked now: from the intent on it says so of this one too
    seen = known.seen
    care = RemovalPolicy(kept=known.safe_commits, disposable=disposable(ws), strict=strict, resumed=resumed)
    if session.kind == "issue" and not force:
        if seen is not None and session.pr is not None and seen.url is not None and session.pr != seen.url:
            raise Conflict(f"{key} got another pull request: {session.pr}", hint="try again")
        _require_kept_elsewhere(ws, session, care)
    if session.kind == "issue" and force:
        _require_repository(session)
    intent = ws.log.transact(
        lambda state: decide.destroying(state, key, force, reason, host=host_id.sharing(ws, state))
    )[-1]
    begun = intent["seq"] if ws.state().hosts else None  # with files nobody else could end it
    gone = _Gone()
    decide.require_begun(ws.state(), key, begun)  # this process may have been paused here, past the loss of its host
    try:
        if session.kind == "issue":
            _remove_worktree(ws, session, gone, force, care, begun)
            _note_branch(ws, session, gone)
        _delete_agent_session(ws, session, gone.kept)
    except (KugetsuError, OSError) as problem:
        # The intent closes the gate: without an outcome nothing would ever start on the issue.
        why = f"could not be destroyed: {problem}"
        if gone.rescue is not None and gone.rescue not in why:
            why += f"; its work is kept on {gone.rescue}"
        ws.log.transact(lambda state: decide.not_destroyed(state, key, why, begun))
        raise
    outcome = {
        "worktree": gone.worktree,
        "branch": session.branch,
        "rescue": gone.rescue,
        "kept": gone.kept,
        **({"ignored": gone.ignored} if gone.ignored else {}),
    }
    return ws.log.transact(lambda state: decide.destroyed(state, key, outcome, begun=begun))[-1]


class _Gone:
    """What became of a session: the removed worktree, the branch with its work, what else was kept, and unsaved files
    that went."""

    def __init__(self) -> None:
        self.ignored: list[str] = []
        self.worktree: str | None = None
        self.rescue: str | None = None
        self.kept: list[str] = []

    def name_rescue(self, branch: str) -> None:
        """The first branch has the most: a later one may be of a partly removed worktree."""
        if self.rescue is None:
            self.rescue = branch
        elif branch != self.rescue and f"branch {branch}" not in self.kept:
            self.kept.append(f"branch {branch}")


def _require_kept_elsewhere(ws: Workspace, session: Session, care: RemovalPolicy) -> None:
    path = session.worktree
    if path is not None and integrity.holds_files(path):
        integrity.repair(session.source, path)
        fault = integrity.fault(session.source, path)
        if fault is not None:
            raise Conflict(
                f"the worktree of {session.key} was kept, {path} holds files and is no longer a git worktree: {fault}",
                hint=f"inspect it: ls -a {path}; to end the session and keep the folder under another name: "
                f"kugetsu destroy --force {session.key}",
            )
    reasons = why_keep(ws, session, care)
    if reasons:
        raise Conflict(
            f"the worktree of {session.key} was kept, it has {'; '.join(reasons)}",
            hint=way_on(session.worktree or "", reasons, f"kugetsu destroy --force {session.key}"),
        )


def _require_repository(session: Session) -> None:
    """Raise Conflict if the repository of files that would go is missing: it may be on an unmounted disk."""
    path, source = session.worktree, session.source
    if path is None or source is None or not integrity.holds_files(path) or integrity.is_repository(source):
        return
    raise Conflict(
        f"the worktree of {session.key} was kept, {path} holds files and its repository {source} is gone",
        hint=f"restore the repository; or keep the files: {integrity.keeping(path)}, "
        f"then: kugetsu destroy --force {session.key}",
    )


def why_keep(ws: Workspace, session: Session, care: RemovalPolicy) -> list[str]:
    """The reasons in its worktree against ending an issue's session (`removal.why_keep`)."""
    if session.worktree is None or not os.path.isdir(session.worktree):
        return []
    return removal.why_keep(session.worktree, session.branch or "", _repository(ws, session), care)


def disposable(ws: Workspace) -> list[str]:
    """The patterns of ignored files that may go with a worktree."""
    return ws.config.text("DISPOSABLE_FILES").split()


def _repository(ws: Workspace, session: Session) -> Repository:
    if session.repository is None or session.source is None:
        raise KugetsuError(f"the session {session.key} has no recorded repository")
    return repositories.at_path(session.repository, session.source, ws.config.servers())


def rescue_name(session: str, changed: int) -> str:
    """The name of the rescue branches of a removal that began after that change of the session (`Session.changed`)."""
    return f"{session.rpartition('#')[2]}-{changed}"


def aside(worktree: str, changed: int) -> str:
    """Where such a removal moves a folder that is no longer git's."""
    return f"{worktree}.kept-{changed}"


def _remove_worktree(
    ws: Workspace, session: Session, gone: _Gone, force: bool, care: RemovalPolicy, begun: int | None
) -> None:
    path, branch = session.worktree, session.branch or ""
    if path is None:
        return
    name = rescue_name(session.key, session.changed)
    if care.resumed:
        _take_over(ws, session, gone, name)
    if not os.path.isdir(path):
        return
    if force and _set_aside(session, path, gone):
        return
    repository = _repository(ws, session)
    if force:
        _rescue(session, repository, gone, name, resumed=care.resumed)
        lost = removal.not_rescued(path, repository, care)
        gone.ignored = lost if len(lost) <= NAMED else [*lost[:NAMED], f"and {len(lost) - NAMED} more"]

    def still_begun() -> None:
        """A paused process may wake here: the worktree may be that of the issue's next session by now."""
        if begun is not None:
            ws.log.transact(lambda _: [])
            decide.require_begun(ws.state(), session.key, begun, gone.rescue)

    if removal.remove(repository, path, branch, ws.paths, force=force, care=care, first=still_begun):
        gone.worktree = path


def _set_aside(session: Session, path: str, gone: _Gone) -> bool:
    """Move away a folder that is no longer git's: its files cannot be put on a branch."""
    integrity.repair(session.source, path)
    if integrity.fault(session.source, path) is None or not integrity.holds_files(path):
        return False
    place = aside(path, session.changed)
    if os.path.lexists(place):  # by this very removal, and the folder is there again: whose it is, nobody knows
        raise Conflict(
            f"{path} holds files, and {place} is there already", hint=f"move one of them away: ls -a {place}"
        )
    os.rename(path, place)
    gone.kept.append(f"folder {place}")
    return True


def _rescue(session: Session, repository: Repository, gone: _Gone, name: str, *, resumed: bool) -> None:
    """Put all work of the session's worktree on rescue branches. Raises Conflict if some cannot be moved."""
    path = session.worktree or ""
    saved = inner_rescue.rescue_all(repository, path, session.branch or "", name)
    for branch in saved.branches:
        gone.name_rescue(branch)
    # A removal that began earlier was preceded by a complete rescue, and may have taken a part of a repository. A kill
    # before that leaves repositories whose work is nowhere else.
    left_out = saved.left_out if resumed and inner_rescue.was_complete(repository, path, name) else saved.all_left_out
    if left_out:
        where = f"{', '.join(saved.branches)} could not take in" if saved.branches else "it has"
        raise Conflict(
            f"the worktree of {session.key} was kept: {where} {'; '.join(left_out[:5])}",
            hint=f"push that, or move it away from {path}, then: kugetsu destroy --force {session.key}",
        )
    inner_rescue.note_complete(repository, path, name)


def _take_over(ws: Workspace, session: Session, gone: _Gone, name: str) -> None:
    """Add what an interrupted removal had done but not recorded."""
    path = session.worktree or ""
    if os.path.isdir(place := aside(path, session.changed)):
        gone.kept.append(f"folder {place}")
    elif path and not os.path.isdir(path):
        gone.worktree = path
    repository = _clone(ws, session)
    for branch in rescue.made(repository.path, name) if repository is not None else []:
        gone.name_rescue(branch)


def _note_branch(ws: Workspace, session: Session, gone: _Gone) -> None:
    """Record that the issue's branch is kept, where it exists."""
    repository = _clone(ws, session) if session.branch is not None else None
    if repository is not None and removal.has_branch(repository, session.branch or ""):
        gone.kept.append(f"branch {session.branch}")


def _clone(ws: Workspace, session: Session) -> Repository | None:
    """Where the session's branches are; None if that is gone, and they with it."""
    try:
        return _repository(ws, session)
    except KugetsuError:
        return None


def _delete_agent_session(ws: Workspace, session: Session, kept: list[str]) -> None:
    if session.agent_session is None:
        return
    agent = ws.agent("pm" if session.kind == "pm" else "dev", {"agent": session.agent}, session.repository)
    if session.agent != agent.name:
        kept.append(f"{session.agent} session {session.agent_session}")
        return
    try:
        agent.delete_session(session.agent_session)
        if session.kind == "issue" and session.worktree is not None and not os.path.isdir(session.worktree):
            agent.forget_directory(session.worktree)
    except KugetsuError as problem:
        kept.append(f"{agent.name} session {session.agent_session} ({problem})")
