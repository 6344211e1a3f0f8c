"""Keeps a host's mirror up to date while somebody on it waits for the log: one thread of one process at a time.

A lock elects it; when its process ends, the next one that waits takes over. It listens first and reads the tail then:
the other way round an append in between would wake nobody. Who listens behind a pooler that hands each statement to
another session hears nothing; it notices, and asks every second.
"""

from __future__ import annotations

import os
import random
import select
import threading

from kugetsu.log.shared.kept import LOCK
from kugetsu.log.shared.mirror import Mirror, pull
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kugetsu.log.shared.postgres import Database

_LOOK_AGAIN = 20.0
"""Seconds after which the tail is read without a notification, too: one may get lost."""

_POLL = 1.0
"""Seconds between two looks: for the lock, and at a database that does not notify."""

_LONGEST_PAUSE = 15.0


class Keeper:
    """The thread. ``trouble`` is why the mirror is not up to date now; None if it is, or if another process keeps it.
    ``polls``: the database's notifications do not arrive. ``synced``: when it looked last. ``changed`` is
    called in the thread when there is trouble, and when it is over."""

    def __init__(
        self,
        directory: str,
        database: Callable[[], Database],
        segment_bytes: int,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.directory = directory
        self.trouble: KugetsuError | None = None
        self.polls = False
        self.synced: str | None = None
        self._open = database
        self._changed = changed
        self._segment_bytes = segment_bytes
        self._lock = -1
        self._stopped, self._stop = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="kugetsu-log-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        os.write(self._stop, b"!")
        self._thread.join()
        self.forget()

    def forget(self) -> None:
        """Close the descriptors; in a forked child, which has them but not the thread."""
        for fd in (self._lock, self._stop, self._stopped):
            if fd >= 0:
                os.close(fd)
        self._lock = self._stop = self._stopped = -1

    def _run(self) -> None:
        while not self._is_elected():
            if self._sleeps(_POLL):
                return
        mirror = Mirror(self.directory, self._segment_bytes)
        pause = 0.1
        while True:
            database: Database | None = None
            try:
                database = self._open()
                self._begin(database)
                pause = 0.1
                self._keep(database, mirror)
                return
            except KugetsuError as error:
                self.trouble = error
                self._changed()
            finally:
                mirror.close()
                if database is not None:
                    database.close()
            if self._sleeps(pause * random.uniform(0.8, 1.2)):
                return
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _is_elected(self) -> bool:
        import fcntl

        if self._lock < 0:
            path = os.path.join(self.directory, LOCK)
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _begin(self, database: Database) -> None:
        database.listen()
        self.polls = not database.hears_others(_POLL)

    def _keep(self, database: Database, mirror: Mirror) -> None:
        """Until it is stopped. Raises LogUnreachable when the connection broke."""
        while True:
            pull(mirror, database)
            was_away = self.trouble is not None
            self.trouble, self.synced = None, clock.now()
            if was_away:
                self._changed()
            if self.polls:
                if self._sleeps(_POLL):
                    return
                continue
            while not database.notified(0):
                ready, _, _ = select.select([database.fileno(), self._stopped], [], [], _LOOK_AGAIN)
                if self._stopped in ready:
                    return
                if not ready:
                    break

    def _sleeps(self, seconds: float) -> bool:
        """Sleep; True if it is stopped meanwhile."""
        return bool(select.select([self._stopped], [], [], seconds)[0])
