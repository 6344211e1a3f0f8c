"""Settles the branch that work starts from, and fetches it together with the issue's own branch.

The remote is asked for its default branch beside the fetch: what a clone knows of it (`origin/HEAD`) dates from when
it was made. The two run at once, so that a fresh worktree waits for one answer of the server, not for two. In a
clone of the user's nothing is changed but what a fetch changes; kugetsu's own clones follow the default branch.
"""

from __future__ import annotations

import contextlib
import os
import time

from kugetsu.errors import GitFailed, KugetsuError
from kugetsu.runtime.git import checkouts, remedies, transport
from kugetsu.runtime.git.command import ask, failure, git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.runtime.git.command import Answer
    from kugetsu.runtime.git.repositories import Repository

FETCH_TIMEOUT = 60.0
"""Seconds for fetching the base branch before work starts from what is known here."""

_PRUNES = 5
"""Refs in the way that are looked at before a fetch is given up."""


class Fetched:
    """What came of it: the base branch (`HEAD`: no branch at all), `problem`, why nothing was fetched (None: it was),
    and `notes`, sentences for people on what is not as they would expect."""

    __slots__ = ("base_branch", "notes", "problem")

    def __init__(self, base_branch: str, problem: str | None = None) -> None:
        self.base_branch = base_branch
        self.problem = problem
        self.notes: list[str] = []


def fetch_base(
    repository: Repository, branch: str, base_branch: str = "", *, timeout: float = FETCH_TIMEOUT, own: bool = False
) -> Fetched:
    """Fetch the base branch and the issue's. Never raises for what a remote does: `problem` says it.

    `base_branch` is the setting (empty: the remote's default branch); `own` means that the clone is kugetsu's.
    """
    remote = repository.remote
    if remote is None:
        return Fetched(base_branch or own_branch(repository) or "HEAD", "the clone has no remote")
    known = checkouts.default_branch(repository.common_dir, remote)
    fetched = Fetched(base_branch or known or "")
    try:
        asked = None if base_branch else _Asked(repository, remote, timeout)
        if not fetched.base_branch and asked is not None:
            fetched.base_branch = asked.branch()
        _fetch(repository, remote, branch, fetched, timeout, asked)
    except KugetsuError as error:
        fetched.problem = error.message
        fetched.base_branch = fetched.base_branch or own_branch(repository) or "HEAD"
        fetched.notes.append(f"nothing was fetched, work starts from what is known here: {error.message}")
        return fetched
    if own and not base_branch and fetched.base_branch != known:
        target = f"refs/remotes/{remote}/{fetched.base_branch}"
        ask(["symbolic-ref", f"refs/remotes/{remote}/HEAD", target], repository.path)
    return fetched


def own_branch(repository: Repository) -> str | None:
    """The branch that the clone itself has checked out; None for none."""
    head = checkouts.symbolic_ref(repository.common_dir + "/HEAD")
    return head.removeprefix("refs/heads/") if head is not None else None


def default_of(repository: Repository, remote: str, timeout: float = FETCH_TIMEOUT) -> str:
    """The remote's default branch, asked of the remote. Raises GitFailed when it cannot be reached or has none."""
    out = transport.git(["ls-remote", "--symref", remote, "HEAD"], repository.path, timeout=timeout)
    for line in out.splitlines():
        if line.startswith("ref: refs/heads/"):
            return line[len("ref: refs/heads/") :].partition("\t")[0]
    raise GitFailed(f"the remote {remote} has no HEAD: it is empty", "push a first commit to it")


class _Asked:
    """The question for the remote's default branch, asked in a thread from the moment that this is made."""

    def __init__(self, repository: Repository, remote: str, timeout: float) -> None:
        import threading

        self._found = ""
        self._problem: KugetsuError | None = None
        self._thread = threading.Thread(target=self._ask, args=(repository, remote, timeout), daemon=True)
        self._thread.start()

    def _ask(self, repository: Repository, remote: str, timeout: float) -> None:
        try:
            self._found = default_of(repository, remote, timeout)
        except KugetsuError as problem:
            self._problem = problem

    def branch(self) -> str:
        """The answer, waited for. Raises what `default_of` raises."""
        self._thread.join()
        if self._problem is not None:
            raise self._problem
        return self._found


def _fetch(
    repository: Repository, remote: str, branch: str, fetched: Fetched, timeout: float, asked: _Asked | None
) -> None:
    """Fetch the base that is known, and the one that the remote names when that is another. Raises GitFailed."""
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
        named = asked.branch()
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
    """Delete the remote-tracking refs that are in the way of fetched ones and that the remote does not have any more.

    A full `git remote prune` would take away others of the user's as well.
    """
    prefix = f"refs/remotes/{remote}/"
    stale = [ref for ref in remedies.refs_in_the_way(answer) if ref.startswith(prefix)]
    if not stale:
        return False
    theirs = [f"refs/heads/{ref.removeprefix(prefix)}" for ref in stale]
    said = transport.git(["ls-remote", remote, *theirs], repository.path, timeout=timeout)
    there = {line.partition("\t")[2] for line in said.splitlines()}
    gone = [ref for ref, name in zip(stale, theirs, strict=True) if name not in there]
    for ref in gone:
        commit = git(["rev-parse", "--verify", ref], repository.path)
        git(["update-ref", "-d", ref, commit], repository.path)
        name = ref.removeprefix("refs/remotes/")
        fetched.notes.append(f"pruned {name} ({commit[:12]}), which the remote no longer has and which was in the way")
    return bool(gone)


def is_contention(said: str) -> bool:
    """Whether git lost a race for one of its lock files to another git, which holds them for moments only."""
    return "File exists" in said or "could not lock config file" in said or "but expected" in said


def is_own(repository: Repository, repositories: str) -> bool:
    """True for kugetsu's own bare clones, which lie below the folder `repositories`."""
    with contextlib.suppress(OSError):
        return os.path.realpath(repository.common_dir).startswith(os.path.realpath(repositories) + "/")
    return False
