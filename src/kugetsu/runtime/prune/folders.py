"""Folders below `worktrees/` without a session, and git's records of missing worktrees."""

from __future__ import annotations

import os
from collections.abc import Mapping

from kugetsu.domain.state import Session, State
from kugetsu.forge.failures import ForgeFailure
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.model.plural import counted
from kugetsu.model.record import replace
from kugetsu.model.refs import parse_repository
from kugetsu.runtime import destroy, host_id, pull_requests
from kugetsu.runtime.base_branches import BaseBranches
from kugetsu.runtime.forges import Forges, one_line
from kugetsu.runtime.git import checkouts, inner, interrupted_checkout, refs, removal
from kugetsu.runtime.git.changes import operation
from kugetsu.runtime.git.command import ask, commit_of
from kugetsu.runtime.git.published import commits_of_no_remote
from kugetsu.runtime.git.repositories import Repository
from kugetsu.runtime.prune.model import (
    NO_WORKTREE,
    PULL_OPEN,
    UNKNOWN,
    UNSAVED,
    Item,
    Known,
    Plan,
    claimed_folders,
    known_repositories,
    moved_folders,
)
from kugetsu.runtime.workspace import Workspace


def care_of(ws: Workspace) -> removal.RemovalPolicy:
    """How closely a folder is examined. No session shows whether a removal was interrupted, but missing files are lost
    already, and not by us."""
    return removal.RemovalPolicy(strict=True, resumed=True, disposable=destroy.disposable(ws))


def add_folders(ws: Workspace, state: State, forges: Forges, found: Plan) -> None:
    """Add every entry of `worktrees/` without a session to ``found``."""
    claimed, moved = claimed_folders(ws, state), moved_folders(ws, state)
    known = known_repositories(ws, state)
    try:
        with os.scandir(ws.paths.worktrees) as entries:
            strays = sorted((entry for entry in entries), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in strays:
        path = f"{ws.paths.worktrees}/{entry.name}"
        if entry.is_symlink():
            found.keep("worktree", path, "it is a link, and links are not followed", group=NO_WORKTREE)
        elif os.path.realpath(path) in claimed:
            continue
        elif not entry.is_dir(follow_symlinks=False):
            found.keep("worktree", path, "it is a file", group=NO_WORKTREE)
        elif os.path.realpath(path) in _unexamined(ws, state):
            why = "its session has moved to another host, and what is only here was not saved yet: the daemon does that"
            found.keep("worktree", path, why, group=UNSAVED)
        else:
            _judge(ws, path, known, forges, found, moved.get(os.path.realpath(path)))


def _unexamined(ws: Workspace, state: State) -> set[str]:
    """The real paths of worktrees whose sessions moved meanwhile, until `host.returned` tells of them."""
    host = state.hosts.get(host_id.own(ws)) if state.hosts else None
    return {os.path.realpath(path) for path in host.left_behind} if host is not None else set()


def _judge(
    ws: Workspace, path: str, known: Mapping[str, Known], forges: Forges, found: Plan, moved: Session | None
) -> None:
    """``moved``: the session that had it, and is on another host by now."""
    owner = owner_of(path, known)
    if isinstance(owner, str):
        found.keep("worktree", path, owner, group=NO_WORKTREE)
        return
    repository = owner.repository
    try:
        branch = branch_of(path, repository)
        reasons = why_keep(ws, path, branch, repository, moved)
    except (KugetsuError, OSError) as problem:
        found.keep("worktree", path, f"it cannot be examined: {problem}", group=UNKNOWN)
        return
    now = f"its session is on {host_id.name_of(ws.state(), moved.host)} now" if moved is not None else None
    if reasons:
        found.keep("worktree", path, f"{now or 'it has no session'}, but it has {'; '.join(reasons)}", group=UNSAVED)
        return
    against = next(
        filter(None, (_pull_request(ws, repository, name, path, branch, forges) for name in owner.names)), None
    )
    if against is not None:
        found.keep("worktree", path, against, group=PULL_OPEN)
        return
    reason = f"{now or 'it has no session'}; it is a clean worktree of {repository.repository}"
    group = "clean and pushed, its session is on another host" if moved is not None else "clean, of no session"
    found.items.append(Item("worktree", path, [path], reason, group=group, repository=repository, moved=moved))


def why_keep(ws: Workspace, path: str, branch: str, repository: Repository, moved: Session | None) -> list[str]:
    """What keeps a folder without a session. Of one whose session has moved, commits count as safe only where a remote
    has them, or the base branch has their work: a branch of this clone is only here."""
    reasons = removal.why_keep(path, branch, repository, care_of(ws))
    if moved is None or reasons:
        return reasons
    commits = commits_of_no_remote(path, branch, repository.path)
    if not commits:
        return []
    here = replace(moved, host=None, worktree=path, source=repository.path, branch=branch or moved.branch)
    merged = BaseBranches(ws).merged(here)
    if merged is not None and merged.commit == commit_of("HEAD", path):
        return []
    return [f"{counted(commits, 'commit')} that no remote has"]


def owner_of(path: str, known: Mapping[str, Known]) -> Known | str:
    """The known repository whose worktree the folder is; else why it stays."""
    real = os.path.realpath(path)
    if not os.path.lexists(path + "/.git"):
        # A removal that was killed may have taken the pointer to git's record first.
        return next(
            (
                one
                for common_dir, one in known.items()
                if interrupted_checkout.admin_folder(common_dir, real) is not None
            ),
            "it is not a git worktree",
        )
    checkout = checkouts.find(path)
    if checkout is None or checkout.top != real:
        return "it is a worktree of a repository that is gone"
    if checkout.git_dir == checkout.common_dir:
        return "it is a repository itself"
    found = known.get(os.path.realpath(checkout.common_dir))
    return found if found is not None else f"it is a worktree of {checkout.home}, unknown to kugetsu"


def branch_of(path: str, repository: Repository) -> str:
    """The branch that is checked out in it; empty for none."""
    admin = interrupted_checkout.admin_folder(repository.common_dir, path)
    head = refs.symbolic_ref(admin) if admin is not None else None
    return head.removeprefix("refs/heads/") if head is not None else ""


def _pull_request(
    ws: Workspace, repository: Repository, name: str, path: str, branch: str, forges: Forges
) -> str | None:
    """Why a pull request of the branch keeps the folder; None without one, or if nobody can be asked."""
    host = parse_repository(name)[0]
    try:
        if not branch or forges.of(host) is None:
            return None
        pull = pull_requests.of_worktree(ws, forges, f"{name}#1", repository.path, path, branch)
    except (ForgeFailure, BadInput) as problem:
        return f"its branch {branch} may have an open pull request: {one_line(problem)}"
    if pull is not None and pull.state == "open":
        return f"pull request #{pull.number} of its branch {branch} is open"
    return None


# --- git's records ----------------------------------------------------------------------------------------------------


def add_registrations(ws: Workspace, state: State, found: Plan) -> None:
    """Add git's records of missing worktrees directly below `worktrees/` to ``found``."""
    claimed = claimed_folders(ws, state)
    top = os.path.realpath(ws.paths.worktrees)
    for known in known_repositories(ws, state).values():
        repository = known.repository
        folder = repository.common_dir + "/worktrees"
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            admin = f"{folder}/{name}"
            path = checkouts.worktree_of(admin) or ""
            ours = path and os.path.realpath(os.path.dirname(path)) == top
            if not ours or os.path.lexists(path) or os.path.realpath(path) in claimed:
                continue
            against = why_keep_record(path, admin, repository)
            if against is not None:
                found.keep("registration", path, against, group=UNSAVED)
                continue
            reason = f"it is gone, but git in {repository.path} still has a record of it"
            group = "the worktree is gone"
            found.items.append(Item("registration", path, [path], reason, group=group, repository=repository))


def why_keep_record(path: str, admin: str, repository: Repository) -> str | None:
    """Why git's record of a missing worktree stays: some work may be nowhere else."""
    if os.path.exists(admin + "/locked"):
        return "the worktree is gone, but git's record of it is locked"
    doing = operation(admin)
    if doing is not None:
        return f"the worktree is gone in the middle of a {doing}, and git's record of it holds that"
    within = inner.why_keep(inner.find(path, admin))
    if within:
        return f"the worktree is gone, and git's record of it holds {'; '.join(within)}"
    here = {"GIT_DIR": admin}
    only = ask(["rev-list", "--count", "HEAD", "--not", "--branches", "--remotes", "--tags"], repository.path, env=here)
    if only.code != 0 or only.out.strip() != "0":
        return "the worktree is gone, and git's record of it holds commits that no branch has"
    if ask(["diff-index", "--cached", "--quiet", "HEAD"], repository.path, env=here).code != 0:
        return "the worktree is gone, and git's record of it holds what was staged"
    return None
