"""Which files of a worktree the set-up brought (`worktree_setup`), noted in git's record of the worktree: ignored ones
that are copies of the user's, and those that WORKTREE_SETUP left and git does not ignore.

As long as one is as it was then, it is nobody's work."""

from __future__ import annotations

import hashlib
import json
import os

from kugetsu.host import run_files
from kugetsu.runtime.git import checkouts
from kugetsu.runtime.git.command import git

MOST_BYTES = 256 << 20
"""Bytes of all copies of a worktree."""

_RECORD = "kugetsu-copied"
_LEFT = "kugetsu-left"
_MOST_LEFT = 1000
_MOST_LEFT_BYTES = 64 << 20


def note(worktree: str, hashes: dict[str, str]) -> None:
    """Note copies, by their names and the hashes of their contents. Raises OSError."""
    git_dir = checkouts.git_dir_of(worktree)
    if git_dir is not None and hashes:
        _write(f"{git_dir}/{_RECORD}", {**_noted(f"{git_dir}/{_RECORD}"), **hashes})


def note_left(worktree: str, names: list[str]) -> bool:
    """Note the files that the set-up's command left; False, and nothing is noted, for more than can be kept track of.

    What is no regular file is not noted: it counts as work. Raises OSError.
    """
    git_dir = checkouts.git_dir_of(worktree)
    files = [name for name in names if run_files.is_regular(f"{worktree}/{name}")]
    if git_dir is None or (not files and not os.path.lexists(f"{git_dir}/{_LEFT}")):
        return True
    size = sum(os.lstat(f"{worktree}/{name}").st_size for name in files)
    fits = len(files) <= _MOST_LEFT and size <= _MOST_LEFT_BYTES
    _write(f"{git_dir}/{_LEFT}", {name: _hash(f"{worktree}/{name}") for name in files} if fits else {})
    return fits


def _write(path: str, hashes: dict[str, str]) -> None:
    run_files.replace(path, json.dumps(hashes).encode("utf-8", "surrogateescape"))


def _hash(path: str) -> str:
    return hashlib.sha256(run_files.read(path, MOST_BYTES + 1)).hexdigest()


def _noted(record: str) -> dict[str, str]:
    try:
        found = json.loads(run_files.read(record, 16 << 20))
    except (OSError, ValueError):
        return {}
    return {str(name): str(digest) for name, digest in found.items()} if isinstance(found, dict) else {}


def unchanged(worktree: str) -> set[str]:
    """The names of the copies that are as they were copied: the clone has them, or had them."""
    return _unchanged(worktree, _RECORD)


def left(worktree: str) -> set[str]:
    """The names of the files that are as the set-up's command left them: it makes them again."""
    return _unchanged(worktree, _LEFT)


def remove_left(worktree: str) -> bool:
    """Remove the new files that are as the set-up's command left them; whether nothing that it left is there now: a
    tracked file that it changed stays. Raises GitFailed, OSError."""
    git_dir = checkouts.git_dir_of(worktree)
    noted = _noted(f"{git_dir}/{_LEFT}") if git_dir is not None else {}
    new = set(git(["ls-files", "--others", "--exclude-standard", "-z"], worktree).split("\0")) if noted else set()
    kept = False
    for name, digest in noted.items():
        if not _is_as_noted(worktree, name, digest):
            continue
        if name in new:
            os.unlink(f"{worktree}/{name}")
        else:
            kept = True
    return not kept


def _unchanged(worktree: str, record: str) -> set[str]:
    git_dir = checkouts.git_dir_of(worktree)
    noted = _noted(f"{git_dir}/{record}") if git_dir is not None else {}
    return {name for name, digest in noted.items() if _is_as_noted(worktree, name, digest)}


def _is_as_noted(worktree: str, name: str, digest: str) -> bool:
    try:
        return _hash(f"{worktree}/{name}") == digest
    except OSError:  # gone, or something else
        return False
