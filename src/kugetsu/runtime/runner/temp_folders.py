"""A temporary folder (TMPDIR) for each attempt, removed with it: agents and their tools leave files behind.

It lies directly in the temporary folder of whoever started the runner: as large, fast and executable as usual, with a
path short enough for sockets (108 bytes). Its path is recorded in the run's folder first, for whoever settles a dead
attempt.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from kugetsu.host import run_files
from kugetsu.host.paths import Paths
from kugetsu.runtime import folders

VARIABLE = "TMPDIR"
_PREFIX = "kugetsu-q"
_DEFAULT = "/tmp"
_RECORD = "tmpdir"


def make(paths: Paths, environment: Mapping[str, str], attempt: str, nonce: str) -> str | None:
    """Make the attempt's folder and return its path; None if that fails: the agent then has the usual one.

    ``nonce`` is that of the attempt's lease: nobody can have made a folder of that name.
    """
    path = f"{outer(environment.get(VARIABLE)) or _DEFAULT}/kugetsu-{attempt}-{nonce[:8]}"
    try:
        run_files.replace(f"{paths.run(attempt)}/{_RECORD}", os.fsencode(path))
        os.mkdir(path, 0o700)
    except OSError:
        return None
    return path


def outer(path: str | None) -> str | None:
    """The temporary folder around an attempt's own; any other path unchanged."""
    while path and os.path.basename(path.rstrip("/")).startswith(_PREFIX):
        path = os.path.dirname(path.rstrip("/"))
    return path.rstrip("/") if path else path


def left(paths: Paths, attempt: str) -> str | None:
    """The attempt's folder, if it still exists and is this user's; None for anything else in the record."""
    try:
        path = os.fsdecode(run_files.read(f"{paths.run(attempt)}/{_RECORD}", 4096))
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    named = os.path.isabs(path) and os.path.basename(path).startswith(f"kugetsu-{attempt}-")
    ours = status.st_mode & 0o170000 == 0o040000 and status.st_uid == os.geteuid()
    return path if named and ours else None


def remove(paths: Paths, attempt: str) -> bool:
    """Remove the attempt's folder if none of its processes lives; whether it is gone.

    It stays if something is mounted in it (`folders.mounted_within`).
    """
    path = left(paths, attempt)
    if path is None:
        return True
    return folders.remove(path)
