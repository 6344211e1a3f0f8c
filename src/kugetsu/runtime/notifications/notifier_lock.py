"""The lock that makes a process the only notifier of a KUGETSU_DIR: the file `leases/courier`.

Unlike other leases it has a fixed name and is never deleted: whoever holds it knows that an earlier notifier is dead.
"""

from __future__ import annotations

import fcntl
import os
import time

import orjson

from kugetsu.domain.events import Identity
from kugetsu.host.paths import Paths
from kugetsu.runtime.process import identity, lease

NAME = "courier"
#: Seconds to retry taking it: a probe (`alive`) holds the lock for an instant.
PATIENCE = 1.0


def take(paths: Paths) -> int | None:
    """Become the notifier: the descriptor that holds the lock; None when another one lives."""
    path = paths.lease(NAME)
    give_up = time.monotonic() + PATIENCE
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                break
        except (BlockingIOError, FileNotFoundError):  # held for an instant, or deleted by hand
            pass
        os.close(fd)
        if time.monotonic() >= give_up:
            return None
        time.sleep(0.02)
    _sign(fd)
    return fd


def is_held(paths: Paths, fd: int) -> bool:
    """Whether the descriptor still is the lock: its file may have been deleted by hand."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(paths.lease(NAME)))
    except FileNotFoundError:
        return False


def alive(paths: Paths) -> bool:
    """Whether a notifier lives."""
    return lease.alive(paths.leases, NAME)


def holder(paths: Paths) -> Identity | None:
    """The notifier's process; None without one, or when it could not record itself (a full disk)."""
    if not alive(paths):
        return None
    try:
        with open(paths.lease(NAME), "rb") as file:
            content = orjson.loads(file.read(1000))
    except (OSError, orjson.JSONDecodeError):
        return None
    if not isinstance(content, dict) or not {"boot", "pid", "start"} <= content.keys():
        return None
    who: Identity = {"boot": content["boot"], "pid": content["pid"], "start": content["start"]}
    return who if identity.alive(who) else None


def _sign(fd: int) -> None:
    """Record who holds it; on a full disk only its pid stays unknown."""
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, orjson.dumps(identity.own()), 0)
    except OSError:
        return
