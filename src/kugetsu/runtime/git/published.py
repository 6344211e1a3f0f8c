"""Where the work of a worktree was pushed to, whatever its branch was called then.

An agent may rename its branch, switch branches, or push under another name. git keeps the reflog of the worktree's HEAD
(which commits were made here) and the remote-tracking branches, which a push moves.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.git import checkouts, transport
from kugetsu.runtime.git.command import ask, commit_of, git
from kugetsu.runtime.git.refs import made_commits

MOST = 3
"""Commits by which pull requests are searched: each may cost a request."""

REMOTES = 3
"""Remotes of a clone that are asked: its own, and forks."""

ASK_TIMEOUT = 15.0
"""Seconds to ask one remote for its branches after a run, while the attempt holds its slot."""


@dataclass(slots=True)
class Published:
    """The `branches` of remotes that have a worktree's work, and the `commits` at their ends, the last one first;
    `made` are all commits of the work.

    `unknown`: the clone does not track its remote's branches (bare, single-branch) and cannot tell; `commits` are those
    that may have been pushed.
    """

    branches: set[str] = field(default_factory=set)
    commits: list[str] = field(default_factory=list)
    unknown: bool = False
    made: list[str] = field(default_factory=list)


def published(
    repository: str,
    path: str | None,
    branch: str,
    *,
    base_branch: str = "",
    since: str = "",
    made: Collection[str] = (),
) -> Published:
    """Where the work on `branch` in the worktree at `path` was pushed, as far as its clone `repository` knows.

    `since` is the commit where the work began; `made` are commits seen there, for a worktree that is gone. Raises
    GitFailed.
    """
    found = Published()
    here = path is not None and os.path.isdir(path) and checkouts.git_dir_of(path) is not None
    commits = found.made = _made(path or "", since) if here else list(made)
    for name, commit in _remote_branches(repository):
        if name != base_branch and (name == branch or commit in commits):
            found.branches.add(name)
            found.commits.append(commit)
    if commits:
        # Somebody may have pushed more on top of it; but once it is in the base branch, everybody's is on top of it.
        above = {name for name, _ in _remote_branches(repository, "--contains", commits[0])}
        found.branches |= above if base_branch not in above else set()
        found.commits.append(commits[0])
        found.unknown = not above and not follows(repository, branch)
    found.commits = list(dict.fromkeys(reversed(found.commits)))[:MOST]
    return found


def left_on_a_branch(path: str, since: str) -> tuple[str, str] | None:
    """The last commit made in the worktree after `since` that is on a branch, and that branch: an agent may commit on a
    branch of its own and switch back. None without one. Raises GitFailed."""
    for commit in _made(path, since)[:MOST]:
        args = ["for-each-ref", "--count=1", "--format=%(refname:lstrip=2)", "--contains", commit, "refs/heads"]
        names = ask(args, path).out.split() or [name for name, _ in _remote_branches(path, "--contains", commit)]
        if names:
            return commit, names[0]
    return None


def ask_remotes(clone: str, head: str) -> str | None:
    """Ask the remotes of `clone` for a branch that ends in `head`, and record it as a remote-tracking branch.

    A push leaves no trace in a bare or single-branch clone, nor does a push to a URL. Returns None if every remote
    answered, else why one did not. Raises GitFailed.
    """
    problem = None
    for remote in git(["remote"], clone).split()[:REMOTES]:
        try:
            listed = transport.git(["ls-remote", "--heads", remote], clone, timeout=ASK_TIMEOUT)
        except KugetsuError as failure:
            problem = problem or failure.message
            continue
        for line in listed.splitlines():
            commit, _, ref = line.partition("\t")
            if commit == head:
                name = ref.removeprefix("refs/heads/")
                ask(["update-ref", "-m", "kugetsu: pushed", f"refs/remotes/{remote}/{name}", head], clone)
                return None
    return problem


def commits_of_no_remote(path: str, branch: str, clone: str) -> int:
    """How many commits of the HEAD of the worktree at ``path`` no remote is known to have; the remotes are asked where
    a push of ``branch`` leaves no trace in the clone. Raises GitFailed."""
    head = commit_of("HEAD", path)
    if head is None:
        return 0
    counting = ["rev-list", "--count", head, "--not", "--remotes"]
    found = int(git(counting, path))
    if found and not follows(clone, branch):
        ask_remotes(clone, head)
        found = int(git(counting, path))
    return found


def branches_of_no_remote(
    folder: str, named: Collection[str], made: Collection[str], kept: Sequence[str], *, leave_out: str
) -> list[tuple[str, str]]:
    """The branches of a clone, each with its last commit, that have commits of an issue and of no remote: they are
    ``named``, or have one of the commits ``made`` there. What ``kept`` reaches, and a branch before in the list, counts
    as known; branches whose names begin with ``leave_out`` do not count, here or on a remote. Raises GitFailed."""
    form = ["--sort=-committerdate", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads"]
    known, found = [*kept], list[tuple[str, str]]()
    for line in git(["for-each-ref", *form], folder).splitlines():
        tip, _, name = line.partition(" ")
        if name.startswith(leave_out):
            continue
        before = ["--not", *known, f"--exclude=*/{leave_out}*", "--remotes"]
        only_here = git(["rev-list", tip, *before], folder).split()
        if only_here and (name in named or not set(made).isdisjoint(only_here)):
            found.append((name, tip))
            known.append(tip)
    return found


def branches_at(repository: str, remote: str, commit: str) -> list[str]:
    """The branches of a remote that end in a commit, else those that have it below their ends, as far as the clone
    knows. Raises GitFailed."""
    for option in ("--points-at", "--contains"):
        found = _remote_refs(repository, option, commit)
        names = [name for where, name, _ in found if where == remote]
        if names:
            return names
    return []


def is_on_a_remote(branch: str, repository: str) -> bool:
    """Whether a remote has the branch, as far as the repository knows; True when git cannot tell."""
    # Two stars: a remote may be called `team/fork`.
    answer = ask(["for-each-ref", "--count=1", f"refs/remotes/**/{branch}"], repository)
    return answer.code != 0 or bool(answer.out.strip())


def follows(repository: str, branch: str) -> bool:
    """Whether a push of the branch leaves a trace in the clone: a remote's `fetch` covers it."""
    answer = ask(["config", "--get-regexp", r"^remote\..*\.fetch$"], repository)
    for line in answer.out.splitlines():
        source = line.partition(" ")[2].partition(":")[0].lstrip("+")
        start, star, end = source.partition("*")
        ref = f"refs/heads/{branch}"
        if ref == source or (star and ref.startswith(start) and ref.endswith(end)):
            return True
    return False


def _made(path: str, since: str) -> list[str]:
    """The commits made in the worktree, the last one first; HEAD first if it is one of them."""
    made = made_commits(checkouts.git_dir_of(path) or "", since=since)
    head = commit_of("HEAD", path)
    return [commit for commit in made if commit == head] + [commit for commit in made if commit != head]


def _remote_branches(repository: str, *options: str) -> list[tuple[str, str]]:
    """Name and commit of the branches of all remotes; [] for a commit that git lacks. Raises GitFailed."""
    return [(name, commit) for _, name, commit in _remote_refs(repository, *options)]


def _remote_refs(repository: str, *options: str) -> list[tuple[str, str, str]]:
    """Remote, name and commit of the branches of all remotes, as `_remote_branches`."""
    args = ["for-each-ref", "--format=%(refname)%00%(objectname)%00%(symref)", *options, "refs/remotes"]
    answer = ask(args, repository)
    remotes = sorted(git(["remote"], repository).split(), key=len, reverse=True) if answer.out else []
    found = []
    for line in answer.out.splitlines():
        ref, commit, symbolic = line.split("\0")
        ref = ref.removeprefix("refs/remotes/")
        remote = next((remote for remote in remotes if ref.startswith(remote + "/")), ref.partition("/")[0])
        if not symbolic:
            found.append((remote, ref.removeprefix(remote + "/"), commit))
    return found
