"""Whether the log can be written: not on a full disk, over a quota, or beyond a limit on file sizes."""

from __future__ import annotations

import contextlib
import errno
import os
import resource

from kugetsu.host.paths import Paths
from kugetsu.log.files.append import failed
from kugetsu.model.errors import KugetsuError, LogWriteFailed

#: Bytes that an end of an attempt may take in the log, and a file system's block.
_NEEDED = 8192


def is_own_limit(problem: LogWriteFailed) -> bool:
    """Whether only this process cannot write (its `ulimit -f`)."""
    cause = problem.__cause__
    return isinstance(cause, OSError) and cause.errno == errno.EFBIG


def refusal(paths: Paths) -> LogWriteFailed | None:
    """Why nothing can be written beside the log now; None if a small file can.

    Tried in the folder of leases: in the log's own it would wake everybody who watches it.
    """
    path = f"{paths.leases}/.room-{os.getpid()}"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, b"\0" * _NEEDED)
            os.fsync(fd)  # some file systems find out only then
        finally:
            os.close(fd)
    except OSError as problem:
        return failed(problem, "the log cannot be written")
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
    return None


def require_large_files(needed: int) -> None:
    """Let this process and its children write files of ``needed`` bytes, raising the soft limit if possible.

    Raises KugetsuError if the hard limit (`ulimit -f`) is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft == resource.RLIM_INFINITY:
        return
    if hard == resource.RLIM_INFINITY or hard >= needed:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        return
    raise KugetsuError(
        f"files may not exceed {hard >> 10} KiB here (ulimit -f), and the log's reach {needed >> 10} KiB",
        "start it where the limit is higher: ulimit -f unlimited",
    )
