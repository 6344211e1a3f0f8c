"""Clean checkouts of a commit for a while: `scratch/NONCE/NAME`, detached, NONCE being the lease of whom they serve.

A folder there whose lease nobody holds is left over: its owner was killed. Nothing in one is anybody's work, so it is
removed without a question. Which clone has git's record of it is written down before it is made.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from kugetsu.host import run_files
from kugetsu.host.paths import Paths
from kugetsu.model.errors import GitFailed, KugetsuError
from kugetsu.runtime import folders
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
        run_files.replace(f"{folder}/{_RECORD}", os.fsencode(clone))
        git(["worktree", "add", "--detach", path, commit], clone, timeout=ADD_TIMEOUT, env=_PLAIN)
        yield path
    except OSError as problem:
        raise KugetsuError(f"cannot use {folder}: {problem.strerror or problem}", "check the disk") from problem
    finally:
        remove(paths, nonce)


def tree_of(clone: str, commit: str) -> str:
    """The tree of a commit. Raises GitFailed."""
    return git(["rev-parse", f"{commit}^{{tree}}"], clone, env=_PLAIN)


def remove(paths: Paths, nonce: str) -> bool:
    """Remove every checkout of a lease, and git's records of them; whether they are gone.

    One stays if something is mounted in it.
    """
    folder = f"{paths.scratch}/{nonce}"
    if not os.path.lexists(folder):
        return True
    try:
        clone = os.fsdecode(run_files.read(f"{folder}/{_RECORD}", 4096))
    except (OSError, ValueError):
        clone = ""
    for name in folders.names(folder):
        if name == _RECORD:
            continue
        if not folders.remove(f"{folder}/{name}"):
            return False
        if os.path.isdir(clone):
            # The folder is gone: git forgets only its record, which a killed `worktree add` has left locked.
            with contextlib.suppress(GitFailed):
                ask(["worktree", "remove", "--force", "--force", f"{folder}/{name}"], clone, timeout=REMOVE_TIMEOUT)
    return folders.remove(folder)


def left_over(paths: Paths) -> list[str]:
    """The leases whose checkouts were left over: nobody holds them."""
    return [nonce for nonce in folders.names(paths.scratch) if not lease.alive(paths.leases, nonce)]
