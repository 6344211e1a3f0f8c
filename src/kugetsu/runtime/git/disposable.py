"""Ignored files that may go with a worktree because they can be made again.

That is so for files which the setting DISPOSABLE_FILES names, and for what tools say of their own folders: a
CACHEDIR.TAG (https://bford.info/cachedir/), a Python virtual environment's pyvenv.cfg. All other ignored files count as
somebody's work: nobody else knows what is in them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase

from kugetsu.host import run_files
from kugetsu.runtime.git.command import git

_TAG = b"Signature: 8a477f597d28d172789f06886806bc55"


def ignored(
    top: str, patterns: Sequence[str], apart: Collection[str] = (), env: Mapping[str, str] | None = None
) -> list[str]:
    """The ignored files of a repository's worktree that may not go; a folder of which all is ignored counts once.

    `apart` are folders of further repositories within it, which are examined by themselves, as `git clean -X` leaves
    them alone. Raises GitFailed.
    """
    options = ["--porcelain", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=all", "--ignored"]
    entries = git(["status", *options], top, env=env).split("\0")
    names = [entry[3:] for entry in entries if entry.startswith("!! ")]
    return [name for name in names if _holds_work(top, name.rstrip("/"), patterns, apart)]


def _holds_work(top: str, name: str, patterns: Sequence[str], apart: Collection[str]) -> bool:
    """Whether a file that may not go is at this path, or below it."""
    left = [name]
    while left:
        name = left.pop()
        path = f"{top}/{name}"
        is_link = os.path.islink(path)
        is_folder = not is_link and os.path.isdir(path)
        if path in apart or any(matches(name, pattern, is_folder=is_folder or is_link) for pattern in patterns):
            continue
        if not is_folder:
            return True
        if not os.path.exists(path + "/pyvenv.cfg") and not _is_tagged(path):
            try:
                left += [f"{name}/{below}" for below in os.listdir(path)]
            except OSError:  # nobody can say what is in it
                return True
    return False


def matches(name: str, pattern: str, *, is_folder: bool) -> bool:
    """Whether a file, by its path within the worktree, is one of a pattern's (`settings`), or lies in a folder that is.

    A pattern is the name of a file or folder at any depth, or with a slash before its end the path from the top; a
    slash at the end makes it one of folders only. `*`, `?` and `[…]` match within one name.
    """
    parts = name.split("/")
    if pattern.endswith("/") and not is_folder:
        parts = parts[:-1]
    wanted = pattern.strip("/").split("/")
    if "/" in pattern.rstrip("/"):
        return len(parts) >= len(wanted) and all(map(fnmatchcase, parts, wanted))
    return any(fnmatchcase(part, wanted[0]) for part in parts)


def _is_tagged(folder: str) -> bool:
    try:
        return run_files.read(folder + "/CACHEDIR.TAG", len(_TAG)) == _TAG
    except OSError:  # not there, or a FIFO that an agent made
        return False
