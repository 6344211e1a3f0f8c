"""Which ignored files of a worktree are copies of the user's (`worktree_setup.copying`), noted in git's record of it.

As long as one is as it was copied, it is nobody's work."""

from __future__ import annotations

import hashlib
import json

from kugetsu.host import run_files
from kugetsu.runtime.git import checkouts

MOST_BYTES = 256 << 20
"""Bytes of all copies of a worktree."""

_RECORD = "kugetsu-copied"


def note(worktree: str, hashes: dict[str, str]) -> None:
    """Note copies, by their names and the hashes of their contents. Raises OSError."""
    git_dir = checkouts.git_dir_of(worktree)
    if git_dir is not None and hashes:
        noted = {**_noted(git_dir), **hashes}
        run_files.replace(f"{git_dir}/{_RECORD}", json.dumps(noted).encode("utf-8", "surrogateescape"))


def _noted(git_dir: str) -> dict[str, str]:
    try:
        found = json.loads(run_files.read(f"{git_dir}/{_RECORD}", 16 << 20))
    except (OSError, ValueError):
        return {}
    return {str(name): str(digest) for name, digest in found.items()} if isinstance(found, dict) else {}


def unchanged(worktree: str) -> set[str]:
    """The names of the copies that are as they were copied: the clone has them, or had them."""
    git_dir = checkouts.git_dir_of(worktree)
    found = set()
    for name, digest in (_noted(git_dir) if git_dir is not None else {}).items():
        try:
            if hashlib.sha256(run_files.read(f"{worktree}/{name}", MOST_BYTES + 1)).hexdigest() == digest:
                found.add(name)
        except OSError:  # gone, or something else
            continue
    return found
