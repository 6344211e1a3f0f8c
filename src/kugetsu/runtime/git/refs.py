"""Refs and the reflog: read from git's own files, or asked of git for repositories that keep refs in tables."""

from __future__ import annotations

import os

from kugetsu.runtime.git import checkouts
from kugetsu.runtime.git.checkouts import has_reftable, read_line
from kugetsu.runtime.git.command import ask

# Where a fork and its origin are both remotes, issues live with the origin: the order in which GitHub's `gh` asks.
_STUB = "ref: refs/heads/.invalid"


def default_branch(common_dir: str, remote: str) -> str | None:
    """The branch that the clone knows as its remote's HEAD; None if unknown."""
    target = symbolic_ref(common_dir, f"refs/remotes/{remote}/HEAD")
    prefix = f"refs/remotes/{remote}/"
    return target.removeprefix(prefix) if target is not None and target.startswith(prefix) else None


def symbolic_ref(git_dir: str, name: str = "HEAD") -> str | None:
    """The target of a symbolic ref; None if it is missing or holds a commit.

    A repository in the reftable format has no such file (or, for HEAD, one that names `.invalid`): git is asked.
    """
    text = read_line(f"{git_dir}/{name}")
    if (text is None or text == _STUB) and has_reftable(git_dir):
        answer = ask(["symbolic-ref", "-q", name], git_dir, env={"GIT_DIR": git_dir})
        return answer.out.strip() or None if answer.code == 0 else None
    return text[5:].strip() if text is not None and text.startswith("ref:") else None


def is_ref(git_dir: str, name: str) -> bool:
    """Whether a repository in the reftable format has a ref that others have as a file."""
    if not has_reftable(git_dir):
        return False
    return ask(["rev-parse", "-q", "--verify", name], git_dir, env={"GIT_DIR": git_dir}).code == 0


_MADE = {"commit", "merge", "rebase", "cherry-pick", "revert", "am", "pull"}
"""What the messages of entries begin with whose commits git may have made there (builtin/commit.c and others)."""

_CAME = ("fast-forward", "(start)", "(abort)")
"""What they hold when the commit was there before."""


def has_reflog(git_dir: str) -> bool:
    """Whether there is a reflog: `core.logAllRefUpdates` may disable it."""
    return os.path.exists(git_dir + "/logs/HEAD")


def made_commits(git_dir: str, ref: str = "HEAD", *, since: str = "") -> list[str]:
    """The commits made there, or on that branch (`refs/heads/…`), each once, the last one first.

    `since` is a commit: only what came after its first checkout counts.
    """
    entries = _entries(git_dir, ref)
    begin = next((number for number, (_, after, _) in enumerate(entries) if since and after == since), -1)
    made = [after for _, after, message in entries[begin + 1 :] if _is_made(message)]
    return list(dict.fromkeys(reversed(made)))


def made_between(git_dir: str, began: float, ended: float, ref: str = "HEAD") -> list[str]:
    """The commits made there between two times (epoch seconds), as `made_commits`. git keeps whole seconds: what was
    made in the first one may have come before."""
    lines = checkouts.read_last_lines(f"{git_dir}/logs/{ref}")
    made = []
    for line in lines:
        head, _, message = line.partition("\t")
        words = head.split(" ")
        if len(words) > 3 and words[-2].isdigit() and began < int(words[-2]) <= ended and _is_made(message):
            made.append(words[1])
    return list(dict.fromkeys(reversed(made)))


def _is_made(message: str) -> bool:
    how, _, _ = message.partition(":")
    if how.partition(" ")[0] not in _MADE:
        return False
    # What a commit's own subject says is not looked at.
    told = how if how.startswith("commit") else message.lower()
    return not any(word in told for word in _CAME)


def left_commits(git_dir: str) -> list[str]:
    """The commits on no branch that a checkout left: `git submodule update` does so silently."""
    left = []
    for before, _, message in _entries(git_dir):
        words = message.split()
        if message.startswith("checkout: moving from ") and len(words) > 3 and words[3] == before:
            left.append(before)
    return left


def _entries(git_dir: str, ref: str = "HEAD") -> list[tuple[str, str, str]]:
    """Commit before, commit after and message of each entry, in order."""
    found = []
    for line in checkouts.read_lines(f"{git_dir}/logs/{ref}"):
        head, _, message = line.partition("\t")
        words = head.split(" ", 2)
        if len(words) > 2:
            found.append((words[0], words[1], message))
    return found


def current_branch(worktree: str | None) -> str | None:
    """The branch that is checked out in a worktree; None for a detached HEAD, or without a worktree."""
    git_dir = checkouts.git_dir_of(worktree) if worktree is not None else None
    return branch_of(git_dir) if git_dir is not None else None


def branch_of(git_dir: str) -> str | None:
    """The branch that HEAD names in a git folder; None for a detached HEAD."""
    head = symbolic_ref(git_dir)
    return head.removeprefix("refs/heads/") if head is not None else None
