"""Whose commits they are: those of a run that landed in another checkout, and those on its branch that it did not make.

An agent may `cd` to the clone that its worktree was made from, and others may push to its branch. The reflog of a
checkout shows which commits were made there, and when. Who made them it does not show: the user may commit there too.
So what the agent's program recorded of its commands decides, where it records them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence

from kugetsu.agents.commands import Command
from kugetsu.runtime.git import checkouts, refs
from kugetsu.runtime.git.checkouts import Checkout
from kugetsu.runtime.git.command import ask

_FOLDER = re.compile(r"""(?:\bcd|\bpushd|\bgit\s+-C)\s+(?:--\s+)?("[^"]+"|'[^']+'|[^\s;&|]+)""")
_COMMITS = re.compile(r"\b(?:commit|merge|rebase|cherry-pick|revert|am|pull)\b")
"""What may stand in a command that makes commits; each command runs in a shell of its own."""
_NAMED = 50
"""Folders of such commands that are looked at."""
_SHORT = 7
"""Characters of a commit's id that `git commit` prints, at least."""


def checkout_of(
    worktree: str,
    began: float,
    ended: float,
    commands: Sequence[Command],
    *,
    others: Collection[str],
    passing: str | None = None,
) -> str | None:
    """The folder of another checkout in which the run committed between two times (epoch seconds); None for none.

    ``others`` are the worktrees of other sessions: what lands there is theirs. ``passing`` is a folder that goes with
    the run: repositories in it were made to try something out. Of a run whose commands are not recorded, every commit
    counts that was made in a checkout of the same repository.
    """
    own = checkouts.at(os.path.realpath(worktree))
    if own is None:
        return None
    recorded = [command for command in commands if command.line]
    foreign = {os.path.realpath(other) for other in others}
    named = list(_named(recorded, worktree))
    tried = os.path.realpath(passing) + "/" if passing is not None else None
    seen = {own.git_dir}
    for checkout in (*named, *_of_repository(own)):
        top = os.path.realpath(checkout.top)
        if checkout.git_dir in seen or top in foreign or (tried is not None and f"{top}/".startswith(tried)):
            continue
        seen.add(checkout.git_dir)
        made = refs.made_between(checkout.git_dir, began, ended)
        if made and (not recorded or checkout in named or _prints(recorded, made)):
            return top
    return None


def made_here(clone: str, worktree: str | None, branch: str, since: str) -> set[str] | None:
    """The commits made in the worktree or on its branch after the commit ``since``; None where no reflog tells."""
    git_dir = checkouts.git_dir_of(worktree) if worktree is not None else None
    checkout = checkouts.find(clone)
    if checkout is None or git_dir is None or not refs.has_reflog(git_dir):
        return None
    made = refs.made_commits(git_dir, since=since)
    return {*made, *refs.made_commits(checkout.common_dir, f"refs/heads/{branch}", since=since)}


def commits_of(folder: str, head: str, base_commit: str, base_branch: str) -> list[str] | None:
    """The commits of a branch that ends in ``head``, without those of its base; None if the repository lacks it."""
    bases = [f"--glob=refs/remotes/*/{base_branch}"] if base_branch else []
    answer = ask(["rev-list", head, "--not", *([base_commit] if base_commit else []), *bases, "--"], folder)
    return answer.out.split() if answer.code == 0 else None


def _of_repository(own: Checkout) -> Iterator[Checkout]:
    """The main checkout and the linked worktrees of a repository."""
    if os.path.basename(own.common_dir) == ".git":
        main = checkouts.at(os.path.dirname(own.common_dir))
        if main is not None:
            yield main
    folder = own.common_dir + "/worktrees"
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = checkouts.worktree_of(f"{folder}/{name}")
        linked = checkouts.at(os.path.realpath(path)) if path is not None else None
        if linked is not None:
            yield linked


def _named(commands: Sequence[Command], worktree: str) -> Iterator[Checkout]:
    """The checkouts in which commands may have committed, also those of other repositories."""
    folders: dict[str, None] = {}
    for command in commands:
        if not _COMMITS.search(command.line):
            continue
        at = os.path.join(worktree, os.path.expanduser(command.folder)) if command.folder else worktree
        folders[at] = None
        for name in _FOLDER.findall(command.line):
            folders[os.path.join(at, os.path.expanduser(os.path.expandvars(name.strip("\"'"))))] = None
    for folder in list(folders)[:_NAMED]:
        checkout = checkouts.find(folder) if os.path.isdir(folder) else None
        if checkout is not None and not checkout.bare:
            yield checkout


def _prints(commands: Sequence[Command], commits: Sequence[str]) -> bool:
    """Whether a command printed one of the commits, as `git commit` does."""
    return any(commit[:_SHORT] in command.output for command in commands for commit in commits)
