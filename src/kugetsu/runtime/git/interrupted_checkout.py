"""Worktrees that a kill left incomplete: recognised by git's own marks, and finished if nothing of anyone's is at
stake.

While it works, `git worktree add` keeps its record of the worktree locked with the reason `initializing`.
"""

from __future__ import annotations

import contextlib
import os
import time

from kugetsu.host import proc
from kugetsu.model.errors import Conflict
from kugetsu.model.plural import listed
from kugetsu.runtime.git import checkouts, pins
from kugetsu.runtime.git.command import ask, commit_of, git
from kugetsu.runtime.process import identity

INITIALIZING = "initializing"
"""git's reason for the lock since 2.17 (builtin/worktree.c)."""

_PATIENCE = 120.0  # seconds for a git that outlives its killed starter
_FINISH_TIMEOUT = 600.0  # as for a fresh checkout


def admin_folder(common_dir: str, path: str) -> str | None:
    """git's record (`worktrees/<id>`) of the worktree at `path`; None when git knows of none."""
    path = os.path.realpath(path)
    folder = common_dir + "/worktrees"
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    for name in names:
        place = checkouts.worktree_of(f"{folder}/{name}")
        if place is not None and os.path.realpath(place) == path:
            return f"{folder}/{name}"
    return None


def is_unfinished(admin: str, path: str) -> bool:
    """Whether the worktree exists but was never completed."""
    if not os.path.isdir(path):
        return False
    return checkouts.read_line(admin + "/locked") == INITIALIZING or not os.path.exists(admin + "/index")


def finish(admin: str, path: str) -> bool:
    """Complete a worktree; True if it is complete now, False if it must be made from the start.

    Raises Conflict if it holds a file that is not the commit's: then someone worked in it.
    """
    _wait_for_git(path)
    if not is_unfinished(admin, path):
        return True  # the git that was started then has done it
    if set(os.listdir(path)) <= {".git"}:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + "/.git")  # git's pointer to its record; nothing was checked out yet
        return False
    for lock in ("index.lock", "HEAD.lock"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{admin}/{lock}")  # no git is at work: it left them when it was killed
    if commit_of("HEAD", path) is None:
        raise _not_ours(path, sorted(set(os.listdir(path)) - {".git"}))
    git(["read-tree", "HEAD"], path, timeout=_FINISH_TIMEOUT)
    strange = _strange_files(path)
    if strange:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(admin + "/index")  # as it was, so that the next try looks again
        raise _not_ours(path, strange)
    git(["checkout-index", "-q", "-f", "-a", "-u"], path, timeout=_FINISH_TIMEOUT, env=pins.POINTERS, checkout=True)
    git(["worktree", "unlock", path], path)
    return True


def _strange_files(path: str) -> list[str]:
    """Files that no interrupted checkout left: untracked ones, and those that do not begin like the commit's."""
    out = git(["status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"], path, timeout=_FINISH_TIMEOUT)
    strange = []
    for entry in out.split("\0"):
        state, name = entry[:2], entry[3:]
        if not name or state == " D" or (state == " M" and _is_beginning(path, name)):
            continue
        strange.append(name)
    return strange


def _is_beginning(path: str, name: str) -> bool:
    """Whether a file is the beginning of the commit's: the checkout was killed while writing it."""
    file = os.path.join(path, name)
    if os.path.islink(file) or not os.path.isfile(file):
        return False
    # --filters gives the bytes that a checkout writes (line ends, large file storage).
    command = ["cat-file", "--filters", f"HEAD:{name}"]
    wanted = ask(command, path, timeout=_FINISH_TIMEOUT, env=pins.POINTERS, checkout=True)
    with open(file, "rb") as opened:
        return wanted.code == 0 and wanted.out.encode("utf-8", "surrogateescape").startswith(opened.read())


def _wait_for_git(path: str) -> None:
    """Wait while a git is still making the worktree. Raises Conflict if it does not end."""
    until = time.monotonic() + _PATIENCE
    while _git_at_work(path):
        if time.monotonic() > until:
            raise Conflict(f"git is still creating the worktree {path}", "wait for it, or end that git process")
        time.sleep(0.1)


def _git_at_work(path: str) -> bool:
    """Whether a `git worktree add` of the path, or its checkout, is running. Without /proc (macOS): no."""
    wanted = os.fsencode(path)
    for pid in identity.pids():
        with contextlib.suppress(OSError):  # it ended, or belongs to someone else
            words = proc.command_line(pid)
            if not os.path.basename(words[0]).startswith(b"git"):
                continue
            if (b"worktree" in words and wanted in words) or os.readlink(f"/proc/{pid}/cwd") == path:
                return True
    return False


def _not_ours(path: str, names: list[str]) -> Conflict:
    return Conflict(
        f"the worktree {path} was never completed, and contains files that are not its commit's: {listed(names)}",
        f"check them, then move the folder away: mv {path} ELSEWHERE",
    )
