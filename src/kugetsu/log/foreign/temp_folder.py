"""A folder in TMPDIR that exists as long as its process, and is removed however the process ends.

After a SIGKILL the next process that makes one removes it, because its owner's lock is free.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import threading
import weakref
from types import FrameType

_PREFIX = "kugetsu-from-"
_LOCK = "lock"

_live: set[str] = set()


class TempFolder:
    """One such folder, `path`; readable by its owner only."""

    def __init__(self) -> None:
        _remove_leftovers()
        self.path = tempfile.mkdtemp(prefix=_PREFIX)
        _live.add(self.path)
        # Locked before it gets its name: a visible lock file is held as long as its owner is alive.
        new = os.path.join(self.path, "new")
        self._lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.rename(new, os.path.join(self.path, _LOCK))
        self.close = weakref.finalize(self, _remove, self.path, self._lock, os.getpid())
        _mind_signals()


def _remove(path: str, lock: int, owner: int) -> None:
    if os.getpid() != owner:
        return
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)
    _live.discard(path)


def _mind_signals() -> None:
    """Remove the folders before a signal ends the process, unless the signal is handled elsewhere."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    for path in _live:
        shutil.rmtree(path, ignore_errors=True)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _remove_leftovers() -> None:
    """Remove this user's folders whose owners have ended."""
    for entry in os.scandir(tempfile.gettempdir()):
        if not entry.name.startswith(_PREFIX) or not entry.is_dir(follow_symlinks=False):
            continue
        try:
            if entry.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            fd = os.open(os.path.join(entry.path, _LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # another user's, or one that is being made
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(entry.path, ignore_errors=True)
        except BlockingIOError:
            continue  # its owner is alive
        finally:
            os.close(fd)
