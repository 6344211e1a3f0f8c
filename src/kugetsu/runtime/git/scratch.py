"""Clean checkouts of a commit for a while: `scratch/NONCE/NAME`, detached, NONCE being the lease of whom they serve,
one at a time.

A folder there whose lease nobody holds is left over: its owner was killed. Nothing in one is anybody's work, so it is
removed without a question. Which clone has git's record of it is written down before it is made.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator

from kugetsu.host import run_files
from kugetsu.host.paths import Paths
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime import folders
from kugetsu.runtime.git import pins
from kugetsu.runtime.git.command import ask, git
from kugetsu.runtime.git.removal import REMOVE_TIMEOUT
from kugetsu.runtime.git.worktrees import ADD_TIMEOUT
from kugetsu.runtime.process import lease

_RECORD = "clone"
_PLAIN = {"GIT_NO_REPLACE_OBJECTS": "1"}
"""A commit's own files, whatever an agent had git replace them by."""


@contextlib.contextmanager
def checkout(paths: Paths, clone: str, commit: str, nonce: str, name: str) -> Iterator[str]:
    """The path of a new checkout of ``commit`` from the repository at ``clone``; removed at the end.

    Hooks and filters that only the clone's own configuration names do not run (`pins`): an agent may have written it.
    The caller holds the lease ``nonce``. Raises GitFailed, KugetsuError.
    """
    folder = paths.make(f"{paths.scratch}/{nonce}")
    path = f"{folder}/{name}"
    try:
        try:
            run_files.replace(f"{folder}/{_RECORD}", os.fsencode(f"{clone}\n{path}"))
        except OSError as problem:
            raise KugetsuError(f"cannot use {folder}: {problem.strerror or problem}", "check the disk") from problem
        git(["worktree", "add", "--detach", path, commit], clone, timeout=ADD_TIMEOUT, env={**_PLAIN, **pins.POINTERS})
        yield path
    finally:
        remove(paths, nonce)


def tree_of(clone: str, commit: str) -> str:
    """The tree of a commit. Raises GitFailed."""
    return git(["rev-parse", f"{commit}^{{tree}}"], clone, env=_PLAIN)


def remove(paths: Paths, nonce: str) -> bool:
    """Remove the checkout of a lease, what lies beside it, and git's record of it; whether it is gone.

    It stays if something is mounted in it.
    """
    folder = f"{paths.scratch}/{nonce}"
    if not os.path.lexists(folder):
        return True
    try:
        clone, _, path = os.fsdecode(run_files.read(f"{folder}/{_RECORD}", 8192)).rpartition("\n")
    except (OSError, ValueError):
        clone = path = ""
    if path and not folders.remove(path):
        return False
    if os.path.isdir(clone):
        # Its folder is gone: git forgets only its record, which a killed `worktree add` has left locked.
        with contextlib.suppress(KugetsuError):
            ask(["worktree", "remove", "--force", "--force", path], clone, timeout=REMOVE_TIMEOUT)
    return folders.remove(folder)


def left_over(paths: Paths, live: Collection[str]) -> list[str]:
    """The leases whose checkouts were left over: nobody holds them, and they belong to no ``live`` attempt
    (`State.leases`), which is settled with all that it left."""
    return [nonce for nonce in folders.names(paths.scratch) if nonce not in live and _is_free(paths, nonce)]


def _is_free(paths: Paths, nonce: str) -> bool:
    return os.path.isdir(f"{paths.scratch}/{nonce}") and not lease.alive(paths.leases, nonce)
