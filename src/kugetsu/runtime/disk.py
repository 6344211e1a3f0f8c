"""Whether the log can be written at all: on a full disk, over a quota, under a limit on the size of files."""

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
    """Whether only this process could not write (its `ulimit -f`), so that another one can."""
    cause = problem.__cause__
    return isinstance(cause, OSError) and cause.errno == errno.EFBIG


def refusal(paths: Paths) -> LogWriteFailed | None:
    """Why nothing can be written beside the log now; None when a file of some bytes can.

    Tried in the folder of leases: in the log's own it would wake up everybody who watches that.
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
    """Let this process and its children write files of ``needed`` bytes, raising the limit as far as it may.

    Raises KugetsuError when the limit that it was started under (`ulimit -f`) is lower and fixed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft == resource.RLIM_INFINITY:
        return
    if hard == resource.RLIM_INFINITY or hard >= needed:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        return
    raise KugetsuError(
        f"files may not grow beyond {hard >> 10} KiB here (ulimit -f), and the log's reach {needed >> 10} KiB",
        "start it where the limit is higher: ulimit -f unlimited",
    )
