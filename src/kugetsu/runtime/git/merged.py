"""Merged branches, and fresh ones beside them: `fix/issue-1-2` after `fix/issue-1`."""

from __future__ import annotations

import os

from kugetsu.model.errors import Conflict, KugetsuError
from kugetsu.model.plural import counted, listed
from kugetsu.runtime.git import checkouts, fetching, transport
from kugetsu.runtime.git.changes import changed_files, operation
from kugetsu.runtime.git.command import ask, commit_of, git
from kugetsu.runtime.git.refs import made_commits
from kugetsu.runtime.git.repositories import Repository

SWITCH_TIMEOUT = 600.0
"""Seconds for checking out another commit, as for a fresh worktree."""

_ASK_TIMEOUT = 15.0  # seconds for asking the remote whether it still has a branch
_NAMES = 1000  # fresh branches of one issue


def tip_of(repository: Repository, worktree: str | None, branch: str) -> str | None:
    """The commit of the worktree's HEAD, else of the branch in the clone; None if neither exists."""
    if worktree is not None and checkouts.git_dir_of(worktree) is not None:
        folder, ref = worktree, "HEAD"
    else:
        folder, ref = repository.path, f"refs/heads/{branch}"
    return commit_of(ref, folder)


def reaches(folder: str, commit: str, tip: str) -> bool:
    """Whether `commit` is in the history of `tip`; False when either is missing."""
    return ask(["merge-base", "--is-ancestor", commit, tip], folder).code == 0


def commits_after(folder: str, tip: str, merged: str, base_branch: str) -> int | None:
    """How many commits of `tip` are neither in `merged`, the head of a merged pull request, nor in a remote's base
    branch; None if the clone lacks that head."""
    if ask(["cat-file", "-e", f"{merged}^{{commit}}"], folder).code != 0:
        return None
    bases = [f"--glob=refs/remotes/*/{base_branch}"] if base_branch else []
    return int(git(["rev-list", "--count", tip, "--not", merged, *bases], folder))


def is_merged(repository: Repository, branch: str, tip: str, base_branch: str) -> bool:
    """Whether the branch has commits of its own, all in the remote's base branch, and the remote no longer has the
    branch. False unless certain."""
    remote = repository.remote
    if remote is None or not base_branch or not made_commits(repository.common_dir, f"refs/heads/{branch}"):
        return False
    if not reaches(repository.path, tip, f"refs/remotes/{remote}/{base_branch}"):
        return False
    try:
        asked = ["ls-remote", "--heads", remote, f"refs/heads/{branch}"]
        return not transport.git(asked, repository.path, timeout=_ASK_TIMEOUT).strip()
    except KugetsuError:
        return False


def base_of(repository: Repository, branch: str, setting: str) -> str:
    """The base branch, fetched. Never raises for what a remote does."""
    return fetching.fetch_base(repository, branch, setting).base_branch


def fresh_name(repository: Repository, branch: str) -> str:
    """The first of `<branch>-2`, `<branch>-3` … that is no branch here or on a remote. Raises Conflict."""
    refs = git(["for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes"], repository.path).splitlines()
    for number in range(2, _NAMES):
        name = f"{branch}-{number}"
        if not any(ref.endswith(f"/{name}") for ref in refs):
            return name
    raise Conflict(f"over {_NAMES} branches are named {branch}-…", "delete merged ones: git branch --merged")


def require_free(worktree: str, branch: str, why: str) -> None:
    """Raise Conflict if switching the worktree would carry work to another branch."""
    git_dir = checkouts.git_dir_of(worktree)
    changed = changed_files(worktree)
    doing = operation(git_dir) if git_dir is not None else None
    if not changed and doing is None:
        return
    what = f"a {doing} in progress" if doing else f"{counted(len(changed), 'uncommitted change')} ({listed(changed)})"
    raise Conflict(
        f"{why}, so more work needs a fresh branch, but its worktree {worktree} has {what}",
        f"commit or stash that there ({branch} keeps it), then try again",
    )


def switch(worktree: str, branch: str, base: str) -> None:
    """Check out a new branch at `base` in a worktree without changes. Raises GitFailed."""
    command = ["switch", "-q", "--no-track", "-c", branch, base]
    if ask(["show-ref", "--verify", "-q", f"refs/heads/{branch}"], worktree).code == 0:
        command = ["switch", "-q", branch]  # a try that was killed got as far as the branch
    git(command, worktree, timeout=SWITCH_TIMEOUT, checkout=True)


def folder_of(worktree: str | None, clone: str | None) -> str | None:
    """Where git can be asked about a session's commits: its worktree, else the clone."""
    return next((folder for folder in (worktree, clone) if folder is not None and os.path.isdir(folder)), None)
