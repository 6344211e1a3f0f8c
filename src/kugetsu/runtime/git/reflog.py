"""What the reflog of a HEAD says: which commits were made there, and which a checkout left that were on no branch."""

from __future__ import annotations

import os

from kugetsu.runtime.git import checkouts

_MADE = {"commit", "merge", "rebase", "cherry-pick", "revert", "am", "pull"}
"""What the messages of entries begin with whose commits git may have made there (builtin/commit.c and others)."""
_CAME = ("fast-forward", "(start)", "(abort)")
"""What they hold when the commit was there before."""


def has_reflog(git_dir: str) -> bool:
    """Whether there is one: `core.logAllRefUpdates` may say no."""
    return os.path.exists(git_dir + "/logs/HEAD")


def made_commits(git_dir: str, ref: str = "HEAD", *, since: str = "") -> list[str]:
    """The commits that were made there, or on that branch (`refs/heads/…`), the last one first, each once.

    `since` is a commit: only what came after it was first checked out counts.
    """
    entries = _entries(git_dir, ref)
    begin = next((number for number, (_, after, _) in enumerate(entries) if since and after == since), -1)
    made = [after for _, after, message in entries[begin + 1 :] if _is_made(message)]
    return list(dict.fromkeys(reversed(made)))


def _is_made(message: str) -> bool:
    how, _, _ = message.partition(":")
    if how.partition(" ")[0] not in _MADE:
        return False
    # What a commit's own subject says is not looked at.
    told = how if how.startswith("commit") else message.lower()
    return not any(word in told for word in _CAME)


def left_commits(git_dir: str) -> list[str]:
    """The commits that a checkout left and that were on no branch: `git submodule update` does so without a word."""
    left = []
    for before, _, message in _entries(git_dir):
        words = message.split()
        if message.startswith("checkout: moving from ") and len(words) > 3 and words[3] == before:
            left.append(before)
    return left


def _entries(git_dir: str, ref: str = "HEAD") -> list[tuple[str, str, str]]:
    """Commit before, commit after and message of each entry, in their order."""
    found = []
    for line in checkouts.read_lines(f"{git_dir}/logs/{ref}"):
        head, _, message = line.partition("\t")
        words = head.split(" ", 2)
        if len(words) > 2:
            found.append((words[0], words[1], message))
    return found
