"""Commits that others pushed to the branch of a worktree: they are taken in before the next run, and never lost.

Nothing is forced, rebased or merged here: a worktree that is behind is fast-forwarded; one that has parted from its
remote branch is for a person.
"""

from __future__ import annotations

from dataclasses import dataclass

from kugetsu.model.errors import Diverged
from kugetsu.runtime.git import elsewhere, merged, refs, transport
from kugetsu.runtime.git.command import ask, commit_of, git
from kugetsu.runtime.git.fetching import FETCH_TIMEOUT
from kugetsu.runtime.git.repositories import Repository

ASK_TIMEOUT = 15.0
"""Seconds to ask a remote where a branch is."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A worktree's ``branch`` was fast-forwarded from ``was`` to ``head`` by so many ``commits``."""

    branch: str
    was: str
    head: str
    commits: int


def take_in(repository: Repository, worktree: str, since: str) -> Forwarded | None:
    """Fetch the branch of a worktree and fast-forward to what others pushed; None if there is nothing of theirs.

    ``since`` is the commit where the work began. Raises Diverged, naming both commits, if the worktree cannot be
    fast-forwarded: it has other commits, or changed files are in the way. Raises GitFailed if the remote does not
    answer.
    """
    remote, branch, head = repository.remote, refs.current_branch(worktree), commit_of("HEAD", worktree)
    if remote is None or branch is None or head is None:
        return None
    listed = transport.git(["ls-remote", remote, f"refs/heads/{branch}"], repository.path, timeout=ASK_TIMEOUT)
    theirs = listed.partition("\t")[0].strip()
    if not theirs or theirs == head or merged.reaches(worktree, theirs, head):
        return None
    spec = f"+refs/heads/{branch}:refs/remotes/{remote}/{branch}"
    quiet = ["-q", "--no-tags", "--no-auto-gc", "--no-recurse-submodules", "--no-write-fetch-head"]
    transport.git(["fetch", *quiet, remote, spec], repository.path, timeout=FETCH_TIMEOUT)
    if merged.reaches(worktree, head, theirs):
        return _forward(remote, worktree, branch, head, theirs)
    made = elsewhere.made_here(repository.path, worktree, branch, since) or set()
    new = git(["rev-list", theirs, "--not", head], worktree).split()
    if set(new) <= made:
        return None  # the work as it was before it was rewritten here
    raise Diverged(
        f"{branch} has parted from {remote}: {head[:12]} here, {theirs[:12]} there with commits by others",
        f"merge or rebase them, then go on: git -C {worktree} merge {remote}/{branch}",
        _evidence("parted", remote, worktree, branch, head, theirs),
    )


def _evidence(kind: str, remote: str, worktree: str, branch: str, head: str, theirs: str) -> dict[str, str]:
    return {"kind": kind, "branch": branch, "remote": remote, "here": head, "there": theirs, "worktree": worktree}


def _forward(remote: str, worktree: str, branch: str, head: str, theirs: str) -> Forwarded:
    answer = ask(["merge", "-q", "--ff-only", theirs], worktree, checkout=True)
    if answer.code != 0:
        raise Diverged(
            f"{branch} cannot be fast-forwarded from {head} to {theirs}, to which others pushed: changed files are in "
            "the way",
            f"commit or put away what git -C {worktree} status shows, then: git -C {worktree} merge {remote}/{branch}",
            _evidence("in_the_way", remote, worktree, branch, head, theirs),
        )
    return Forwarded(branch, head, theirs, int(git(["rev-list", "--count", theirs, "--not", head], worktree)))
