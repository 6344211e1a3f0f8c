"""Notices that the log may have grown: by inotify if available, else by polling every 50 ms."""

from __future__ import annotations

import ctypes
import os
import select
import time

_MODIFY = 0x2
_ATTRIB = 0x4
_MOVED_TO = 0x80
_CREATE = 0x100
_DELETE = 0x200
_ONLY_DIRECTORY = 0x01000000

POLL = 0.05
"""Seconds between two polls without inotify (macOS, or no instance left of the usual 128)."""


class Watch:
    """Wakes a process that waits for the log. ``fileno()`` is for `select`; None means: poll every `POLL` seconds.

    ``rights``: also wake on a changed mode or a removed file.
    """

    def __init__(self, directory: str, *, rights: bool = False) -> None:
        self._directory = directory
        self._events = _MODIFY | _CREATE | _MOVED_TO | _ONLY_DIRECTORY | (_ATTRIB | _DELETE if rights else 0)
        self._fd = _inotify(directory, self._events)

    def fileno(self) -> int | None:
        """A descriptor that becomes readable if the log may have grown; None if polling is needed."""
        return None if self._fd < 0 else self._fd

    def drain(self) -> None:
        """Clear the wake-up; call it before reading the log."""
        if self._fd < 0:
            self._fd = _inotify(self._directory, self._events)  # the folder may exist now
            return
        try:
            while os.read(self._fd, 65536):
                pass
        except BlockingIOError:
            return

    def sleep(self, timeout: float) -> None:
        """Return when the log may have grown, at the latest after ``timeout`` seconds."""
        if timeout <= 0:
            return
        if self._fd < 0:
            time.sleep(min(timeout, POLL))
        else:
            select.select([self._fd], [], [], timeout)

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _inotify(directory: str, events: int) -> int:
    """An inotify descriptor on the folder; -1 if none is available."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        init, add = libc.inotify_init1, libc.inotify_add_watch
    except (ImportError, OSError, AttributeError):
        return -1
    fd: int = init(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        return -1
    add.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
    if add(fd, os.fsencode(directory), events) < 0:
        os.close(fd)
        return -1
    return fd
