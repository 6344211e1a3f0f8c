"""Bound an agent's files while it writes: drop the middle of a file that is too large.

The agent has the files open for appending, so they cannot be rotated, and a cut-off end would be missed. A hole is
punched instead: beginning and end stay, and nothing written meanwhile is lost.

Kept free of imports: the lean supervisor loads it, and ctypes only when a file is too large.
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
    """Bounds the files of one agent to about ``most`` bytes each."""

    def __init__(self, files: Iterable[str], most: int) -> None:
        self._dropped = dict.fromkeys(files, 0)  # where the hole ends; it begins at `_head`
        self._most = most
        self._head = most // 4 // _BLOCK * _BLOCK
        self.failed = False

    def step(self) -> bool:
        """Drop what is too much; False if a file is too large and its file system cannot punch holes."""
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
