"""Whether a courier lives, and which process it is: a locked file `leases/courier`, one for each KUGETSU_DIR.

Unlike other leases it has one name for ever and is never deleted, so that whoever holds its lock is the only courier:
what an earlier one left half done was left by a dead one.
"""

from __future__ import annotations

import fcntl
import os
import time

from kugetsu.domain.events import Identity
from kugetsu.host.paths import Paths
from kugetsu.runtime.process import identity, lease

NAME = "courier"
#: Seconds for which taking it is tried: a probe (`alive`) holds the lock for an instant.
PATIENCE = 1.0


def take(paths: Paths) -> int | None:
    """Become the courier: the descriptor that holds the lock; None when another one lives."""
    path = paths.lease(NAME)
    give_up = time.monotonic() + PATIENCE
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                break
        except (BlockingIOError, FileNotFoundError):  # held for now; or deleted meanwhile, by hand
            pass
        os.close(fd)
        if time.monotonic() >= give_up:
            return None
        time.sleep(0.02)
    _sign(fd)
    return fd


def is_held(paths: Paths, fd: int) -> bool:
    """Whether the descriptor that `take` gave still makes the only courier: its file may have been deleted by hand."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(paths.lease(NAME)))
    except FileNotFoundError:
        return False


def alive(paths: Paths) -> bool:
    """Whether a courier lives."""
    return lease.alive(paths.leases, NAME)


def holder(paths: Paths) -> Identity | None:
    """The courier's process; None when none lives, or when it could not say who it is (a full disk)."""
    import orjson

    if not alive(paths):
        return None
    try:
        with open(paths.lease(NAME), "rb") as file:
            said = orjson.loads(file.read(1000))
    except (OSError, orjson.JSONDecodeError):
        return None
    who: Identity = said
    return who if isinstance(said, dict) and {"boot", "pid", "start"} <= said.keys() and identity.alive(who) else None


def _sign(fd: int) -> None:
    """Write down who holds it; a full disk costs only that others know its number."""
    import orjson

    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, orjson.dumps(identity.own()), 0)
    except OSError:
        return
