"""The leases with a fixed name: each makes a process the only one of its kind in a KUGETSU_DIR.

Unlike other leases such a file is never deleted: whoever holds it knows that an earlier holder is dead.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Mapping
from typing import Any

import orjson

from kugetsu.domain.events import Identity
from kugetsu.host.paths import Paths
from kugetsu.runtime import heard, host_clock, host_lease
from kugetsu.runtime.process import identity, lease

#: Seconds to retry taking one: a probe (`alive`) holds the lock for an instant.
PATIENCE = 1.0
_MOST_BYTES = 1 << 16


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
        self.sign(fd)
        return fd

    def sign(self, fd: int, notes: Mapping[str, str] | None = None) -> None:
        """Record who holds it, and what others may want to know of it; on a full disk that stays unknown."""
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, orjson.dumps({**identity.own(), "notes": dict(notes or {})}), 0)
        except OSError:
            return

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
        content = self._content(paths)
        if not {"boot", "pid", "start"} <= content.keys():
            return None
        who: Identity = {"boot": content["boot"], "pid": content["pid"], "start": content["start"]}
        return who if identity.alive(who) else None

    def notes(self, paths: Paths) -> dict[str, str]:
        """What its holder noted (`sign`); {} without one."""
        notes = self._content(paths).get("notes")
        return notes if isinstance(notes, dict) else {}

    def _content(self, paths: Paths) -> dict[str, Any]:
        if not self.alive(paths):
            return {}
        try:
            with open(paths.lease(self.name), "rb") as file:
                content = orjson.loads(file.read(_MOST_BYTES))
        except (OSError, orjson.JSONDecodeError):
            return {}
        return content if isinstance(content, dict) else {}


#: The process that delivers notifications (called so in earlier versions), the one that looks at pull requests, the one
#: that is opening a pull request, the one that verifies work whose run did not, and the one that appends to a shared
#: log for all others.
NOTIFIER = NamedLease("courier")
OBSERVER = NamedLease("observer")
OPENER = NamedLease("opener")
VERIFIER = NamedLease("verifier")
RELAY = NamedLease("relay")
NAMES = (NOTIFIER.name, OBSERVER.name, VERIFIER.name, OPENER.name, RELAY.name)
#: Every fixed name in that folder: none of these files is left over.
FIXED = (*NAMES, host_lease.NAME, host_clock.NAME, heard.NAME)
