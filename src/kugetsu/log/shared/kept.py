"""Whether some process of this host keeps the mirror up to date. Small: `kugetsu status` loads it."""

from __future__ import annotations

import os

LOCK = "keeper"
"""The file in the log's folder whose lock the keeper holds."""


def is_kept(directory: str) -> bool:
    """Whether some process on this host keeps the mirror up to date, or tries to."""
    import fcntl

    try:
        fd = os.open(os.path.join(directory, LOCK), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
