"""Whether a session's folder is still the worktree that was made there, and its repair where git can.

An agent, a clean-up script or a move of the clone may take a worktree's `.git` file, its files, git's record of it or
the repository. Then git fails in the folder, or finds a repository above it.
"""

from __future__ import annotations

import os
import shlex

from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.git import checkouts, interrupted_checkout
from kugetsu.runtime.git.command import ask


def fault(source: str | None, path: str) -> str | None:
    """What is wrong with the worktree at `path` of the repository at `source`; None when it is whole.

    Reads git's files only. Without a `source` any repository will do.
    """
    path = os.path.realpath(path)
    if not os.path.lexists(path):
        return "it is gone"
    if not os.path.isdir(path):
        return "a file is in its place"
    names = os.listdir(path)
    if not names:
        return "it was emptied"
    common_dir = _common_dir(source) if source is not None else None
    if source is not None and common_dir is None:
        return f"its repository {source} is gone"
    if ".git" not in names:
        return "its .git file is gone"
    checkout = checkouts.at(path)
    if checkout is None:
        return "it is no longer a git repository: git's record of it was removed, or its repository was moved"
    if common_dir is None:
        return None
    if os.path.realpath(checkout.common_dir) != common_dir:
        return f"it belongs to the repository {checkout.home}"
    owner = _owner(checkout, path)
    return f"its .git file is that of {owner}" if owner is not None else None


def _owner(checkout: checkouts.Checkout, path: str) -> str | None:
    """The folder whose branch and index git would use at `path`, if that is another one: the main worktree, or a
    worktree still in its own place. A worktree that was moved is known by its `.git` file only."""
    if checkout.git_dir == checkout.common_dir:
        return checkout.common_dir.removesuffix("/.git")
    place = checkouts.worktree_of(checkout.git_dir)
    if place is None or os.path.realpath(place) == path:
        return None
    there = checkouts.at(place)
    return place if there is not None and os.path.samefile(there.git_dir, checkout.git_dir) else None


def is_repository(source: str) -> bool:
    """Whether the repository that worktrees were made from exists."""
    return _common_dir(source) is not None


def holds_files(path: str) -> bool:
    """Whether something at `path` must not be replaced by a new worktree."""
    return os.path.lexists(path) and (not os.path.isdir(path) or bool(os.listdir(path)))


def repair(source: str | None, path: str) -> str | None:
    """Restore a worktree's `.git` file where git still has its record; what was wrong, None if nothing was done.

    Deletes nothing. `git worktree repair` restores the file of every worktree that lacks it. It is not given the path:
    if the file names another worktree's record, git would change that one.
    """
    found = fault(source, path)
    common_dir = _common_dir(source) if source is not None else None
    if found is None or source is None or common_dir is None or not holds_files(path) or not os.path.isdir(path):
        return None
    admin = interrupted_checkout.admin_folder(common_dir, path)
    if admin is None:
        return None
    try:
        attach(admin, path)
        ask(["worktree", "repair"], source)
    except (KugetsuError, OSError):
        return None
    return found if fault(source, path) is None else None


def attach(admin: str, path: str) -> None:
    """Restore a worktree's missing `.git` file, which names git's record of it. Raises OSError."""
    if not os.path.lexists(path + "/.git"):
        with open(path + "/.git", "x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"gitdir: {admin}\n")


def remedy(path: str) -> str:
    """The remedy for a folder that is no longer its worktree."""
    return f"keep its content: {keeping(path)}, then start again: a new worktree is created on the same branch"


def keeping(path: str) -> str:
    """The shell command that keeps a folder under another name."""
    return f"mv {shlex.quote(path)} {shlex.quote(path + '.kept')}"


def _common_dir(source: str) -> str | None:
    checkout = checkouts.at(os.path.realpath(source)) if os.path.isdir(source) else None
    return os.path.realpath(checkout.common_dir) if checkout is not None else None
