"""Lock files that a killed git left: every later git refuses to work beside one ("File exists").

A lock is dead when nobody has it open and no git is at work there: both, because git closes some long before it removes
them (`git commit` during hooks and its editor). Without /proc no lock is called dead.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator

from kugetsu.host import proc, run_files
from kugetsu.runtime.folders import walk
from kugetsu.runtime.git import checkouts
from kugetsu.runtime.git.checkouts import Checkout
from kugetsu.runtime.process import identity

_SUFFIX = ".lock"
#: Folders of a git folder that hold no lock which stops a commit, a fetch or a checkout, and can be large.
_SKIPPED = frozenset({"objects", "hooks", "lfs", "worktrees"})


class Lock:
    """A dead lock file: its path and its age in seconds."""

    __slots__ = ("_key", "age", "path")

    def __init__(self, path: str, status: os.stat_result) -> None:
        self.path = path
        self.age = max(0.0, time.time() - status.st_mtime)
        self._key = (status.st_ino, status.st_mtime_ns)

    def remove(self) -> bool:
        """Remove it unless another lock has taken its place; whether it was removed. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(self.path)
            if (status.st_ino, status.st_mtime_ns) == self._key:
                os.unlink(self.path)
                return True
        return False


def of_worktree(path: str, branch: str | None) -> list[Lock]:
    """The dead locks of a linked worktree's record, and of the branch checked out in it."""
    checkout = checkouts.find(path) if os.path.isdir(path) else None
    if checkout is None or checkout.top != os.path.realpath(path) or checkout.git_dir == checkout.common_dir:
        return []
    found = _dead(list(_locks_below(checkout.git_dir)), checkout, shared=False)
    if branch:
        found += _dead([f"{checkout.common_dir}/refs/heads/{branch}{_SUFFIX}"], checkout, shared=True)
    return found


def of_clone(checkout: Checkout) -> list[Lock]:
    """The dead locks of what all worktrees of a clone share."""
    return _dead(list(_locks_below(checkout.common_dir)), checkout, shared=True)


def _locks_below(folder: str) -> Iterator[str]:
    for where, folders, files in walk(folder):
        folders[:] = [name for name in folders if name not in _SKIPPED]
        yield from (os.path.join(where, name) for name in files if name.endswith(_SUFFIX))


def _dead(paths: list[str], checkout: Checkout, *, shared: bool) -> list[Lock]:
    found = []
    for path in paths:
        if run_files.is_regular(path):
            with contextlib.suppress(FileNotFoundError):
                found.append(Lock(path, os.lstat(path)))
    if not found or _in_use({lock.path for lock in found}, checkout, shared=shared):
        return []
    return found


def _in_use(paths: Collection[str], checkout: Checkout, *, shared: bool) -> bool:
    """Whether a git may be at work in the clone (`shared`) or in this worktree, or a lock is open."""
    if not identity.HAS_PROC:
        return True
    return any(_is_git_of(pid, checkout, shared=shared) or _has_open(pid, paths) for pid in identity.pids())


def _is_git_of(pid: int, checkout: Checkout, *, shared: bool) -> bool:
    command = b"\0".join(proc.command_line(pid))
    if not os.path.basename(command.partition(b"\0")[0]).startswith(b"git"):
        return False
    folder = os.fsencode(checkout.common_dir if shared else checkout.git_dir)
    if folder in command or os.fsencode(checkout.top) in command or folder in proc.environ(pid):
        return True
    try:
        where = checkouts.find(os.readlink(f"/proc/{pid}/cwd"))
    except FileNotFoundError:
        return False  # it has ended
    except OSError:
        return True  # another user's: nobody can tell where it works
    if where is None:
        return False
    return where.common_dir == checkout.common_dir if shared else where.git_dir == checkout.git_dir


def _has_open(pid: int, paths: Collection[str]) -> bool:
    with contextlib.suppress(OSError):  # nothing is left to look with
        return any(target in paths for _, target in proc.open_files(pid))
    return False
