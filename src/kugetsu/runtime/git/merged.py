"""Merged branches, and fresh ones beside them: `fix/issue-1-2` after `fix/issue-1`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

from kugetsu.model.errors import Conflict, KugetsuError
from kugetsu.model.plural import counted, listed
from kugetsu.runtime.git import checkouts, fetching, transport
from kugetsu.runtime.git.changes import changed_files, operation
from kugetsu.runtime.git.command import ask, commit_of, git
from kugetsu.runtime.git.refs import has_reflog, made_commits
from kugetsu.runtime.git.repositories import Repository

SWITCH_TIMEOUT = 600.0
"""Seconds for checking out another commit, as for a fresh worktree."""

_ASK_TIMEOUT = 15.0  # seconds for asking the remote whether it still has a branch
_SQUASHER = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "kugetsu"), ("EMAIL", "kugetsu@localhost"), ("DATE", "2000-01-01T00:00:00Z"))
}
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


def found_in_base(
    repository: Repository, worktree: str | None, branch: str, base_branch: str, since: str
) -> tuple[str, str] | None:
    """The last commit of the branch (`tip_of`), and the base branch (a ref of the clone: its remote's, else its own)
    that has all its work, whether it was merged, rebased or squashed; None if none has.

    ``since`` is the commit where the work began. Asks no remote. Raises GitFailed.
    """
    tip = tip_of(repository, worktree, branch)
    if tip is None or not since or base_branch in ("", "HEAD", branch):
        return None
    names = [f"refs/heads/{base_branch}"]
    if repository.remote is not None:
        names.insert(0, f"refs/remotes/{repository.remote}/{base_branch}")
    made = _made_here(repository, worktree, branch, since)
    for name in names:
        if commit_of(name, repository.path) is not None and _has_work(repository, name, tip, made):
            return tip, name
    return None


def _made_here(repository: Repository, worktree: str | None, branch: str, since: str) -> list[str]:
    """The commits made on the branch or in the worktree after ``since``; those ahead of it where no reflog tells."""
    git_dir = checkouts.git_dir_of(worktree) if worktree is not None else None
    made = made_commits(repository.common_dir, f"refs/heads/{branch}", since=since)
    if git_dir is not None:
        made += made_commits(git_dir, since=since)
    if made or (git_dir is not None and has_reflog(git_dir)):
        return made
    ahead = ask(["rev-list", f"refs/heads/{branch}", f"^{since}"], repository.path)
    return ahead.out.split() if ahead.code == 0 else []


def _has_work(repository: Repository, base: str, tip: str, made: Sequence[str]) -> bool:
    """Whether ``base`` has the work up to ``tip``, of which ``made`` are commits."""
    folder = repository.path
    fork = ask(["merge-base", tip, base], folder).out.strip()
    if not fork:
        return False
    if fork == tip:
        # What only came from the base branch is nobody's work.
        return any(reaches(folder, commit, tip) for commit in made)
    ahead = ["rev-list", "--count", "--no-merges", "--cherry-pick", "--right-only"]
    if git([*ahead, f"{base}...{tip}"], folder) == "0":
        return True
    if ask(["diff", "--quiet", fork, tip], folder).code == 0:
        return False  # its commits cancel each other out
    with tempfile.TemporaryDirectory(prefix="kugetsu-") as objects:
        # One commit with all changes, as a squash makes it; its object is not written into the user's repository.
        env = {**_SQUASHER, "GIT_OBJECT_DIRECTORY": objects}
        env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = f"{repository.common_dir}/objects"
        squashed = git(["commit-tree", "-p", fork, "-m", "squashed", f"{tip}^{{tree}}"], folder, env=env)
        return git([*ahead, f"{base}...{squashed}"], folder, env=env) == "0"


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
