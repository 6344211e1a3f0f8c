"""Keeps an agent's files within a size while it writes: of a file that is over, the middle is dropped.

The agent has the files open for appending, so they cannot be rotated by name, and what is cut off at the end would be
missed. A hole is punched instead: the beginning and the end stay, the blocks between are free, and not a byte that is
written meanwhile is lost.

Kept free of imports: the lean supervisor loads it, and ctypes only when a file is over.
"""

from __future__ import annotations

import os

from kugetsu.host import run_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_BLOCK = 4096
_KEEP_SIZE_AND_PUNCH = 0x01 | 0x02  # <linux/falloc.h>


class OutputCap:
    """Looks after the files of one agent. ``most`` bytes of each are kept at most, about."""

    def __init__(self, files: Iterable[str], most: int) -> None:
        self._dropped = dict.fromkeys(files, 0)  # where the hole ends; it begins at `_head`
        self._most = most
        self._head = most // 4 // _BLOCK * _BLOCK
        self.failed = False

    def step(self) -> bool:
        """Drop what is too much; False when a file is over and its file system cannot drop a part of a file."""
        for path, dropped in self._dropped.items():
            try:
                size = os.stat(path).st_size
            except OSError:
                continue
            kept = size - max(dropped - self._head, 0)
            if kept <= self._most:
                continue
            end = (size - self._most // 2) // _BLOCK * _BLOCK
            if end > self._head:
                if not _punch(path, self._head, end - self._head):
                    return False
                self._dropped[path] = end
        return True


def _punch(path: str, start: int, length: int) -> bool:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    punch = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    if punch is None:  # macOS
        return False
    try:
        fd = run_files.open_file(path, os.O_WRONLY)
    except OSError:
        return True  # the agent removed it, or put something else there: nothing is kept
    try:
        given = (ctypes.c_int(fd), ctypes.c_int(_KEEP_SIZE_AND_PUNCH), ctypes.c_int64(start), ctypes.c_int64(length))
        return int(punch(*given)) == 0
    finally:
        os.close(fd)
