"""The leases with a fixed name: each makes a process the only one of its kind in a KUGETSU_DIR.

Unlike other leases such a file is never deleted: whoever holds it knows that an earlier holder is dead.
"""

from __future__ import annotations

import fcntl
import os
import time

import orjson

from kugetsu.domain.events import Identity
from kugetsu.host.paths import Paths
from kugetsu.runtime.process import identity, lease

#: Seconds to retry taking one: a probe (`alive`) holds the lock for an instant.
PATIENCE = 1.0


class NamedLease:
    """The lock on the file `leases/NAME`, with its holder's identity as its content."""

    def __init__(self, name: str) -> None:
        self.name = name

    def take(self, paths: Paths) -> int | None:
        """Become the holder: the descriptor that holds the lock; None when another process does."""
        path = paths.lease(self.name)
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

    def is_held(self, paths: Paths, fd: int) -> bool:
        """Whether the descriptor still is the lock: its file may have been deleted by hand."""
        try:
            return os.path.samestat(os.fstat(fd), os.stat(paths.lease(self.name)))
        except FileNotFoundError:
            return False

    def alive(self, paths: Paths) -> bool:
        """Whether a process holds it."""
        return lease.alive(paths.leases, self.name)

    def holder(self, paths: Paths) -> Identity | None:
        """Its holder; None without one, or when it could not record itself (a full disk)."""
        if not self.alive(paths):
            return None
        try:
            with open(paths.lease(self.name), "rb") as file:
                content = orjson.loads(file.read(1000))
        except (OSError, orjson.JSONDecodeError):
            return None
        if not isinstance(content, dict) or not {"boot", "pid", "start"} <= content.keys():
            return None
        who: Identity = {"boot": content["boot"], "pid": content["pid"], "start": content["start"]}
        return who if identity.alive(who) else None


#: The process that delivers notifications (called so in earlier versions), and the one that looks at pull requests.
NOTIFIER = NamedLease("courier")
OBSERVER = NamedLease("observer")
NAMES = (NOTIFIER.name, OBSERVER.name)


def _sign(fd: int) -> None:
    """Record who holds it; on a full disk only its pid stays unknown."""
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, orjson.dumps(identity.own()), 0)
    except OSError:
        return
