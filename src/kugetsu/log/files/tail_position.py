"""Finds the log's end without folding, for events that are appended without a decision."""

from __future__ import annotations

import os

from kugetsu.log.codec import DIGEST_SIZE, GENESIS, verified
from kugetsu.log.files.segments import Cursor, first_seqs, name, seq_at
from kugetsu.model import jsontext

_LAST_LINES = 4096
"""Bytes read from the end to find the last event; for a longer one the whole tail is read."""


class TailPosition:
    """Remembers the log's last end, and checks for a new one. Only under the log's lock."""

    __slots__ = ("_cursor", "_directory", "_fd", "inode")

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._cursor: Cursor | None = None
        self._fd = -1
        self.inode = 0

    def find(self) -> Cursor | None:
        """The place after the last event, if the log ends with a whole transaction whose last line fits the digest
        stated before it; None if not, or if the last bytes do not show it."""
        segment = self._segment()
        while segment:
            path = os.path.join(self._directory, name(segment))
            try:
                status = os.stat(path)
            except FileNotFoundError:
                return None
            known = self._cursor
            if known is not None and known.offset == status.st_size and self.inode == status.st_ino:
                found: Cursor | None = known
            else:
                self._open(path, status.st_ino)
                found = self._last_event(segment, status.st_size)
            if found is None or not os.access(os.path.join(self._directory, name(found.seq + 1)), os.F_OK):
                self._cursor = found
                return found.copy() if found else None
            self._cursor = None
            segment = self._segment()
        return None

    def moved(self, cursor: Cursor) -> None:
        """The caller appended up to ``cursor``."""
        self._cursor = cursor

    def _segment(self) -> int:
        if self._cursor is not None:
            return self._cursor.segment
        firsts = first_seqs(self._directory)
        return firsts[-1] if firsts else 0

    def _open(self, path: str, inode: int) -> None:
        if self._fd < 0 or self.inode != inode:
            self.close()
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.inode = inode

    def close(self) -> None:
        """Close the segment; the next check opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    __del__ = close

    def _last_event(self, segment: int, size: int) -> Cursor | None:
        data = os.pread(self._fd, _LAST_LINES, max(0, size - _LAST_LINES))
        start = data.rfind(b"\n", 0, -1) + 1
        if not data.endswith(b"\n") or (not start and segment != 1):
            return None
        previous = data[start - 3 - DIGEST_SIZE : start - 3] if start else GENESIS
        line = data[start:-1]
        sha = verified(previous, line)
        if sha is None:
            return None
        seq = seq_at(line[:64])
        if seq is None or (b'"more":' in line and "more" in jsontext.loads(line)):
            return None
        return Cursor(segment, size, seq, sha)
