"""What git and this machine's processes show of what the bash tool recorded: worktrees, and agents at work.

It recorded pids alone, so the present owner of a pid is checked.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.git import checkouts, interrupted_checkout, refs, remotes
from kugetsu.runtime.git.checkouts import Checkout
from kugetsu.runtime.git.child import failure
from kugetsu.runtime.git.command import ask, commit_of
from kugetsu.runtime.process import identity

_OPENCODE = b"opencode"

_TOOL = (_OPENCODE, b"kugetsu")


class OldAgents:
    """The processes of this moment, read once."""

    def __init__(self) -> None:
        self._folders: dict[str, int] = {}
        for pid in identity.pids():
            if pid != os.getpid():
                self._inspect(pid)

    def _inspect(self, pid: int) -> None:
        with contextlib.suppress(OSError):  # it ended, or is another user's
            if any(_OPENCODE in os.path.basename(word) for word in _words(pid)[:2]):
                self._folders[os.readlink(f"/proc/{pid}/cwd")] = pid

    def alive(self, pid: object) -> bool:
        """Whether any process has that pid."""
        if not isinstance(pid, int) or isinstance(pid, bool) or not 1 < pid < 1 << 31:
            return False
        found = identity.stat(pid)
        return found is not None and not found.dead

    def works(self, pid: object) -> bool:
        """Whether the process with that pid looks like opencode or the bash tool."""
        if not isinstance(pid, int) or not self.alive(pid) or pid == os.getpid():
            return False
        try:
            words = b" ".join(_words(pid))
        except OSError:
            return False
        return any(name in words for name in _TOOL)

    def in_folder(self, path: str) -> int | None:
        """The pid of an opencode working in `path` or below."""
        inside = os.path.realpath(path)
        for folder, pid in self._folders.items():
            if folder == inside or folder.startswith(inside + "/"):
                return pid
        return None


def _words(pid: int) -> list[bytes]:
    if not identity.HAS_PROC:
        return identity.output("ps", "-p", str(pid), "-o", "command=").encode().split()
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read(65536).split(b"\0")


class NoWorktreeError(Exception):
    """Why a path is not a usable worktree. `gone`: nothing is there."""

    def __init__(self, reason: str, *, gone: bool = False) -> None:
        super().__init__(reason)
        self.gone = gone


@dataclass(frozen=True)
class Tree:
    """A worktree of a clone. `branch` is None for a detached HEAD; `names` are the clone's repositories by its remotes,
    the likeliest first.

    `base_branch` is the clone's HEAD of its remote, `base_commit` where the worktree left it; without a known base, its
    present commit, from which work is counted.
    """

    path: str
    source: str
    branch: str | None
    names: tuple[str, ...]
    base_branch: str | None
    base_commit: str | None


def worktree_at(path: object, servers: Mapping[str, str]) -> Tree:
    """The worktree at a recorded path. Raises NoWorktreeError."""
    if not isinstance(path, str) or not path:
        raise NoWorktreeError("it does not name a worktree")
    if not os.path.isabs(path) or "\0" in path:
        raise NoWorktreeError(f"its worktree {path[:200]!r} is not an absolute path")
    path = os.path.normpath(path)
    if not os.path.isdir(path):
        raise NoWorktreeError(f"its worktree {path} is missing", gone=True)
    checkout = checkouts.find(path)
    if checkout is None or checkout.top != os.path.realpath(path):
        raise NoWorktreeError(f"{path} is not a git worktree")
    if checkout.git_dir == checkout.common_dir:
        raise NoWorktreeError(f"{path} is a clone itself, not a worktree")
    admin = interrupted_checkout.admin_folder(checkout.common_dir, path)
    if admin is None:
        raise NoWorktreeError(f"{checkout.home} does not have {path} as its worktree (git worktree repair {path})")
    if interrupted_checkout.is_unfinished(admin, path):
        raise NoWorktreeError(f"the worktree {path} was never completed")
    named = remotes.repositories(checkout, servers)
    branch = _branch(path)
    base, commit = _base(path, checkout, named[0][0] if named else None)
    return Tree(path, checkout.home, branch, tuple(name for _, name in named), base, commit)


def _branch(path: str) -> str | None:
    command = ["symbolic-ref", "-q", "HEAD"]
    try:
        answer = ask(command, path)
    except KugetsuError as error:
        raise NoWorktreeError(error.message) from error
    if answer.code == 0:
        return answer.out.strip().removeprefix("refs/heads/")
    if answer.code == 1:
        return None
    raise NoWorktreeError(failure(command, answer).message)


def _base(path: str, checkout: Checkout, remote: str | None) -> tuple[str | None, str | None]:
    base = refs.default_branch(checkout.common_dir, remote) if remote is not None else None
    if base is not None:
        answer = ask(["merge-base", "HEAD", f"refs/remotes/{remote}/{base}"], path)
        if answer.code == 0:
            return base, answer.out.strip()
    return base, commit_of("HEAD", path)
