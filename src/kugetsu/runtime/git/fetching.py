"""Settle the branch that work starts from, and fetch it with the issue's own branch.

The remote is asked for its default branch during the fetch: a clone's `origin/HEAD` dates from when it was made. Both
run at once, so a fresh worktree waits for one answer. In a user's clone nothing changes but what a fetch changes;
kugetsu's own clones follow the default branch.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from kugetsu.model.errors import GitFailed, KugetsuError
from kugetsu.runtime.git import refs, remedies, transport
from kugetsu.runtime.git.child import Answer, failure
from kugetsu.runtime.git.command import ask, git
from kugetsu.runtime.git.refs import branch_of
from kugetsu.runtime.git.repositories import Repository

FETCH_TIMEOUT = 60.0
"""Seconds for fetching the base branch before work starts from what is known here."""

_PRUNES = 5
"""Refs in the way that are removed before a fetch is given up."""


@dataclass(slots=True)
class Fetched:
    """The base branch (`HEAD`: no branch), `problem`, why nothing was fetched (None: it was), `in_the_way`, a branch of
    the remote that excludes the issue's (empty: none), and `notes` for people."""

    base_branch: str
    problem: str | None = None
    in_the_way: str = ""
    notes: list[str] = field(default_factory=list)


def fetch_base(
    repository: Repository, branch: str, base_branch: str = "", *, timeout: float = FETCH_TIMEOUT, own: bool = False
) -> Fetched:
    """Fetch the base branch and the issue's. What a remote does is never raised: see `problem`.

    `base_branch` is the setting (empty: the remote's default branch); `own`: the clone is kugetsu's.
    """
    remote = repository.remote
    if remote is None:
        return Fetched(base_branch or branch_of(repository.common_dir) or "HEAD", "the clone has no remote")
    known = refs.default_branch(repository.common_dir, remote)
    fetched = Fetched(base_branch or known or "")
    try:
        asked = _Asked(repository, remote, branch, timeout)
        if not fetched.base_branch:
            fetched.base_branch = asked.default()
        _fetch(repository, remote, branch, fetched, timeout, None if base_branch else asked)
        fetched.in_the_way = asked.in_the_way()
        if not fetched.in_the_way and asked.answered:
            _prune_around(repository, remote, branch, fetched)
    except KugetsuError as error:
        fetched.problem = error.message
        fetched.base_branch = fetched.base_branch or branch_of(repository.common_dir) or "HEAD"
        fetched.notes.append(f"nothing was fetched, work starts from what the clone has: {error.message}")
        return fetched
    if own and not base_branch and fetched.base_branch != known:
        target = f"refs/remotes/{remote}/{fetched.base_branch}"
        ask(["symbolic-ref", f"refs/remotes/{remote}/HEAD", target], repository.path)
    return fetched


class _Asked:
    """Asks the remote, in a thread, for its default branch and for branches that exclude the issue's (`fix` excludes
    `fix/issue-1`)."""

    def __init__(self, repository: Repository, remote: str, branch: str, timeout: float) -> None:
        self._remote = remote
        self._branch = branch
        self._lines: list[str] = []
        self._problem: KugetsuError | None = None
        self._thread = threading.Thread(target=self._ask, args=(repository, branch, timeout), daemon=True)
        self._thread.start()

    def _ask(self, repository: Repository, branch: str, timeout: float) -> None:
        parts = branch.split("/")
        excluding = [f"refs/heads/{'/'.join(parts[:end])}" for end in range(1, len(parts))]
        args = ["ls-remote", "--symref", self._remote, "HEAD", *excluding, f"refs/heads/{branch}/*"]
        try:
            self._lines = transport.git(args, repository.path, timeout=timeout).splitlines()
        except KugetsuError as problem:
            self._problem = problem

    def default(self) -> str:
        """Wait for the default branch. Raises GitFailed if the remote cannot be reached or names none."""
        for line in self._answer():
            if line.startswith("ref: refs/heads/"):
                return line[len("ref: refs/heads/") :].partition("\t")[0]
        raise GitFailed(f"the remote {self._remote} has no HEAD: it is empty", "push a first commit to it")

    @property
    def answered(self) -> bool:
        """True once the remote has answered."""
        self._thread.join()
        return self._problem is None

    def in_the_way(self) -> str:
        """A branch of the remote that excludes the issue's; empty for none, or if the remote does not tell."""
        self._thread.join()
        for line in self._lines:
            name = line.partition("\trefs/heads/")[2]
            if name and (self._branch.startswith(f"{name}/") or name.startswith(f"{self._branch}/")):
                return name
        return ""

    def _answer(self) -> list[str]:
        self._thread.join()
        if self._problem is not None:
            raise self._problem
        return self._lines


def _fetch(
    repository: Repository, remote: str, branch: str, fetched: Fetched, timeout: float, asked: _Asked | None
) -> None:
    """Fetch the known base, and the one that the remote names if it differs. Raises GitFailed."""
    problem: GitFailed | None = None
    try:
        _fetch_once(repository, remote, branch, fetched, timeout)
    except GitFailed as error:
        problem = error
    if asked is None:
        if problem is not None:
            raise problem
        return
    try:
        named = asked.default()
    except KugetsuError:
        if problem is not None:
            raise problem from None
        return  # an old server that does not name it, or a HEAD that names no branch: what is known here holds
    if named != fetched.base_branch:
        before, fetched.base_branch = fetched.base_branch, named
        try:
            _fetch_once(repository, remote, branch, fetched, timeout)
        except GitFailed:
            fetched.base_branch = before
            raise
    elif problem is not None:
        raise problem


def _fetch_once(repository: Repository, remote: str, branch: str, fetched: Fetched, timeout: float) -> None:
    base = fetched.base_branch
    specs = [f"+refs/heads/{base}:refs/remotes/{remote}/{base}"]
    if not base.startswith(branch):
        # A pattern, because a plain name would fail the fetch when the remote has no such branch yet.
        specs.append(f"+refs/heads/{branch}*:refs/remotes/{remote}/{branch}*")
    quiet = ["-q", "--no-tags", "--no-auto-gc", "--no-recurse-submodules", "--no-write-fetch-head"]
    args = ["fetch", *quiet, remote, *specs]
    answer = transport.ask(args, repository.path, timeout=timeout)
    if answer.code != 0 and is_contention(answer.err):
        time.sleep(0.2)
        answer = transport.ask(args, repository.path, timeout=timeout)
    for _ in range(_PRUNES):
        if answer.code == 0 or not _prune(repository, remote, answer, fetched, timeout):
            break
        answer = transport.ask(args, repository.path, timeout=timeout)
    if answer.code != 0:
        raise failure(args, answer)


def _prune(repository: Repository, remote: str, answer: Answer, fetched: Fetched, timeout: float) -> bool:
    """Delete the remote-tracking refs that are in the way and that the remote no longer has.

    A full `git remote prune` would delete others of the user's too.
    """
    prefix = f"refs/remotes/{remote}/"
    stale = [ref for ref in remedies.refs_in_the_way(answer.err) if ref.startswith(prefix)]
    if not stale:
        return False
    theirs = [f"refs/heads/{ref.removeprefix(prefix)}" for ref in stale]
    listing = transport.git(["ls-remote", remote, *theirs], repository.path, timeout=timeout)
    there = {line.partition("\t")[2] for line in listing.splitlines()}
    gone = [ref for ref, name in zip(stale, theirs, strict=True) if name not in there]
    _delete(repository, gone, fetched)
    return bool(gone)


def _prune_around(repository: Repository, remote: str, branch: str, fetched: Fetched) -> None:
    """Delete the remote-tracking refs that would keep the clone from recording a push of the issue's branch.

    For a remote that has none of these branches: the push succeeds there, and would count as not made here.
    """
    prefix = f"refs/remotes/{remote}/"
    parts = branch.split("/")
    above = {prefix + "/".join(parts[:end]) for end in range(1, len(parts))}
    patterns = [*sorted(above), f"{prefix}{branch}/"]
    found = git(["for-each-ref", "--format=%(refname)", *patterns], repository.path).splitlines()
    _delete(repository, [ref for ref in found if ref in above or ref.startswith(f"{prefix}{branch}/")], fetched)


def _delete(repository: Repository, refs: Iterable[str], fetched: Fetched) -> None:
    for ref in refs:
        commit = git(["rev-parse", "--verify", ref], repository.path)
        git(["update-ref", "-d", ref, commit], repository.path)
        name = ref.removeprefix("refs/remotes/")
        fetched.notes.append(f"pruned {name} ({commit[:12]}), in the way, and gone from the remote")


def is_contention(error_output: str) -> bool:
    """Whether git lost a race for one of its lock files, which another git holds for moments."""
    return any(words in error_output for words in ("File exists", "could not lock config file", "but expected"))


def is_own(repository: Repository, repositories: str) -> bool:
    """True for kugetsu's own bare clones, which lie below the folder `repositories`."""
    with contextlib.suppress(OSError):
        return os.path.realpath(repository.common_dir).startswith(os.path.realpath(repositories) + "/")
    return False
