"""What a worktree holds beyond `git status`, and what would go with it: ignored files, files that git was told to
overlook, refs of its own, and processes working in it."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase

from kugetsu.host import run_files
from kugetsu.model.plural import counted, listed
from kugetsu.runtime.git import copies
from kugetsu.runtime.git.command import git
from kugetsu.runtime.git.inner import Inner
from kugetsu.runtime.process import identity

PASSING_SECONDS = 0.3
"""A process that is gone after this time was only passing through, such as another `prune`'s git."""

_CACHE_TAG = b"Signature: 8a477f597d28d172789f06886806bc55"  # https://bford.info/cachedir/

IGNORED = "that DISPOSABLE_FILES does not name"
"""Marks the reason about ignored files, and no other."""


def why_keep(path: str, within: Sequence[Inner] = (), patterns: Sequence[str] = ()) -> list[str]:
    """The reasons that these files give against removing the worktree at `path`. Raises GitFailed.

    `within` are the repositories in it (`inner.find`), whose ignored files count too; `patterns` are DISPOSABLE_FILES.
    """
    reasons = []
    ignored = ignored_files(path, within, patterns)
    if ignored:
        reasons.append(f"{counted(len(ignored), 'ignored file')} ({listed(ignored)}) {IGNORED}")
    overlooked = overlooked_files(path)
    if overlooked:
        reasons.append(f"{counted(len(overlooked), 'file')} that git is configured to overlook ({listed(overlooked)})")
    return reasons


def ignored_files(path: str, within: Sequence[Inner], patterns: Sequence[str]) -> list[str]:
    """The ignored files, of a worktree and of repositories in it, that must not be deleted. Raises GitFailed."""
    repositories = [inner for inner in within if os.path.exists(inner.git_dir + "/HEAD")]
    places = {inner.name: f"{path}/{inner.name}" for inner in repositories if _is_at(inner, f"{path}/{inner.name}")}
    apart = set(places.values())
    found = _ignored(path, patterns, apart | {f"{path}/{name}" for name in copies.unchanged(path)})
    for inner in repositories:
        if inner.top is not None and inner.name in places:
            names = _ignored(places[inner.name], patterns, apart, inner.env)
            found += [f"{inner.name}/{name}" for name in names]
    return found


def _is_at(inner: Inner, place: str) -> bool:
    """False for a submodule that is not checked out: another folder may have its name."""
    return inner.top is not None or os.path.realpath(place) == inner.git_dir


def why_busy(path: str) -> list[str]:
    """The reason that processes working in the worktree give against removing it."""
    pids = _at_work(os.path.realpath(path))
    return [f"a process at work in it (pid {listed(pids)})"] if pids else []


def own_refs(path: str) -> list[str]:
    """The commits of refs that belong to the worktree alone."""
    out = git(["for-each-ref", "--format=%(objecttype) %(objectname)", "refs/worktree", "refs/bisect"], path)
    return [line.removeprefix("commit ") for line in out.splitlines() if line.startswith("commit ")]


def overlooked_files(path: str) -> list[str]:
    """Existing tracked files whose changes git ignores (assume-unchanged, skip-worktree)."""
    entries = git(["ls-files", "-v", "-z"], path).split("\0")
    marked = [entry[2:] for entry in entries if entry and (entry[0].islower() or entry[0] == "S")]
    return [name for name in marked if os.path.lexists(os.path.join(path, name))]


def _at_work(path: str) -> list[str]:
    """The processes that stay in the worktree. Without /proc (macOS): none."""
    found = _in(path)
    if found:
        time.sleep(PASSING_SECONDS)
        still = _in(path)
        found = [pid for pid in found if pid in still]
    return found


def _in(path: str) -> list[str]:
    found = []
    for pid in identity.pids():
        try:
            folder = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue  # it ended, or belongs to someone else
        if folder == path or folder.startswith(path + "/"):
            found.append(str(pid))
    return found


# --- ignored files that may go because they can be made again ---------------------------------------------------------


def _ignored(
    top: str, patterns: Sequence[str], apart: Collection[str] = (), env: Mapping[str, str] | None = None
) -> list[str]:
    """The ignored files of a repository's worktree that must not go; a wholly ignored folder counts once.

    `apart` are further repositories within it, which are examined by themselves, as `git clean -X` leaves them alone,
    and unchanged copies of the user's files (`copies`). Files may go that DISPOSABLE_FILES names, or whose folder a
    tool marked: a CACHEDIR.TAG, a virtual environment's pyvenv.cfg. Raises GitFailed.
    """
    options = ["--porcelain", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=all", "--ignored"]
    entries = git(["status", *options], top, env=env).split("\0")
    names = [entry[3:] for entry in entries if entry.startswith("!! ")]
    return [name for name in names if _holds_work(top, name.rstrip("/"), patterns, apart)]


def _holds_work(top: str, name: str, patterns: Sequence[str], apart: Collection[str]) -> bool:
    """Whether a file that must not go is at this path or below it."""
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
    """Whether a file, by its path in the worktree, or a folder around it matches a pattern.

    A pattern is a name at any depth, or with a slash before its end a path from the top; with a slash at its end it
    matches folders only. `*`, `?` and `[…]` match within one name.
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
        return run_files.read(folder + "/CACHEDIR.TAG", len(_CACHE_TAG)) == _CACHE_TAG
    except OSError:  # not there, or a FIFO that an agent made
        return False
