"""The operation that git is in the middle of in a worktree, and its uncommitted files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kugetsu.runtime.folders import walk
from kugetsu.runtime.git import copies, refs
from kugetsu.runtime.git.command import git

# What only a file in the git folder may reach while a merge, rebase or cherry-pick is under way.
HELD = (
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "MERGE_AUTOSTASH",
    "rebase-merge/orig-head",
    "rebase-merge/autostash",
    "rebase-apply/orig-head",
    "rebase-apply/autostash",
)

_REFS = ("CHERRY_PICK_HEAD", "REVERT_HEAD")

# One line a file; a submodule counts when its commit or its content changed.
_STATUS = ("--porcelain=v2", "--branch", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=none")


@dataclass(slots=True)
class Status:
    """A worktree beside its commit: its `branch` (None for a detached HEAD), the files that differ (`changed`; those of
    them that are `missing`), and the `new` ones, of which a repository in it, or an uninitialised submodule with files,
    counts as one."""

    branch: str | None = None
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def status(path: str, *, env: Mapping[str, str] | None = None) -> Status:
    """What is not committed in a worktree, except what its set-up left (`copies.left`): whoever counts or names it
    asks here. Raises GitFailed."""
    found, staged = Status(), set[str]()
    for entry in git(["status", *_STATUS], path, env=env).split("\0"):
        kind = entry[:2]
        if entry.startswith("# branch.head "):
            head = entry.removeprefix("# branch.head ")
            found.branch = None if head == "(detached)" else head
        elif kind == "? ":
            found.new.append(entry[2:])
        elif kind in ("1 ", "u "):
            name = entry.split(" ", 8 if kind == "1 " else 10)[-1]
            found.changed.append(name)
            if entry[2] != ".":
                staged.add(name)
            if entry[2:4] == ".D":
                found.missing.append(name)
    # What is staged may differ from what the set-up left, and somebody put it there.
    left = copies.left(path) - staged if found.changed or found.new else set()
    if left:
        found.changed = [name for name in found.changed if name not in left]
        found.new = [name for name in found.new if name not in left]
    found.new += [f"{link}/" for link in occupied(path, env=env)]
    return found


def changed_files(path: str, *, missing: bool = True, env: Mapping[str, str] | None = None) -> list[str]:
    """The files of a worktree that differ from its commit, new ones included. `missing`: deleted files count too.
    Raises GitFailed."""
    found = status(path, env=env)
    changed = found.changed if missing else [name for name in found.changed if name not in found.missing]
    return changed + found.new


def submodules(path: str, *, env: Mapping[str, str] | None = None) -> list[str]:
    """The paths of a worktree's submodules, initialised or not. Raises GitFailed."""
    entries = git(["ls-files", "--stage", "-z"], path, env=env).split("\0")
    return [entry.partition("\t")[2] for entry in entries if entry.startswith("160000 ")]


def occupied(path: str, *, env: Mapping[str, str] | None = None) -> list[str]:
    """Uninitialised submodules whose folders hold files: `git status` does not show these."""
    return [
        link
        for link in submodules(path, env=env)
        if not os.path.lexists(f"{path}/{link}/.git") and any(_files(f"{path}/{link}"))
    ]


def _files(folder: str) -> Iterator[str]:
    """The files below a folder; none if it is a file or missing."""
    for below, folders, files in walk(folder):
        yield from (os.path.join(below, name) for name in files)
        yield from (os.path.join(below, name) for name in folders if os.path.islink(os.path.join(below, name)))


def operation(git_dir: str) -> str | None:
    """What git is in the middle of in a worktree (`rebase`, `merge`, …); None for nothing."""
    for name, what in (
        ("rebase-merge", "rebase"),
        ("rebase-apply", "rebase"),
        ("MERGE_HEAD", "merge"),
        ("CHERRY_PICK_HEAD", "cherry-pick"),
        ("REVERT_HEAD", "revert"),
        ("BISECT_LOG", "bisect"),
        ("sequencer", "cherry-pick or revert"),
    ):
        if os.path.exists(f"{git_dir}/{name}") or (name in _REFS and refs.is_ref(git_dir, name)):
            return what
    return None
