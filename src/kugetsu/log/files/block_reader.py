"""Reads the log from a place on, without a lock: committed events, verified, across segments."""

from __future__ import annotations

import gc
import os
import time

from kugetsu.domain.events import validation
from kugetsu.log.codec import Block, UnverifiedError, decode, decode_trusted
from kugetsu.log.files.segments import Cursor, first_seqs, name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.log.files.damage_report import DamagedLine

_FIRST_READ = 64 * 1024
"""Bytes read if little is expected: a block of this size needs no memory mapping of its own."""

_BLOCK = 128 * 1024
"""Bytes read at a time once there is more: some 300 events, which stay in the processor's cache (1.8 µs an event are
2.4 µs with blocks of 1 MiB)."""

_SECOND_LOOKS = 5
"""How often an unlocked reader retries before it reports damage: a repair may be rewriting the tail."""


class CollectionPaused:
    """Pauses Python's collection of cycles: events have none, and collecting doubles the time of a fold."""

    __slots__ = ("_was_on",)

    def __enter__(self) -> None:
        self._was_on = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._was_on:
            gc.enable()


class BlockReader:
    """A cursor with the segment open below it.

    ``settle``: validate every event's shape; not needed if they are only folded (`refused`).
    ``trusted``: the lines were checked when they were unpacked.
    ``rest`` is True if the bytes after the cursor are not a whole transaction: one that is being written, or, under
    the lock, a torn one.
    """

    __slots__ = (
        "_fd",
        "_known_last",
        "_path",
        "_segment",
        "_settle",
        "_size",
        "_trusted",
        "_unfinished",
        "cursor",
        "directory",
        "inode",
        "rest",
    )

    def __init__(self, directory: str, cursor: Cursor, *, settle: bool = True, trusted: bool = False) -> None:
        self.directory = directory
        self.cursor = cursor
        self.rest = False
        self.inode = 0
        self._fd = -1
        self._segment = 0
        self._path = ""
        self._known_last = 0
        self._size = _FIRST_READ
        self._settle = settle
        self._trusted = trusted
        self._unfinished: tuple[int, int, int] | None = None

    def next_block(self, locked: bool = False) -> Block | None:
        """The next committed events, or None if there are no more now; `advance` moves past them.

        ``locked``: the caller holds the log's lock, so no one else is writing, and damage is reported at once.
        Raises DamagedLine.
        """
        self.rest = False
        while self._open():
            length = self._length() - self.cursor.offset
            if length:
                block = self._read(length, locked)
                if block is not None:
                    return block
                if self.rest and not self._is_followed(length):
                    return None
                continue
            if not self._next_segment():
                return None
        return None

    def advance(self, block: Block) -> None:
        """Move past a block of `next_block`."""
        cursor = self.cursor
        cursor.offset += block.size
        cursor.seq = block.events[-1]["seq"]
        cursor.sha = block.sha

    def refused(self, block: Block) -> DamagedLine | None:
        """After a fold of ``block`` raised: what is wrong with its first line that is not an event; None if nothing."""
        place = validation.first_misshapen(block.events)
        if place is None:
            return None
        offset = sum(len(line) + 1 for line in block.lines[:place])
        text = f"it verifies, but is not an event: {validation.misshapen(block.events[place])}"
        return self._damaged("shape", text, place, offset)

    def has_grown(self) -> bool:
        """Whether the open segment has more bytes than were read; cheap, but does not see a next segment."""
        return self._segment != self.cursor.segment or os.fstat(self._fd).st_size != self.cursor.offset

    def close(self) -> None:
        """Close the segment; the cursor stays, and the next read opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._segment = 0

    __del__ = close

    def pending(self) -> bytes:
        """The bytes after the cursor, for the holder of the lock to repair."""
        return os.pread(self._fd, self._length() - self.cursor.offset, self.cursor.offset)

    def _open(self) -> bool:
        cursor = self.cursor
        if self._segment == cursor.segment:
            return True
        self.close()
        path = os.path.join(self.directory, name(cursor.segment))
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            firsts = first_seqs(self.directory)
            if firsts[:1] == [cursor.segment]:
                return self._open()  # the log's first segment, just created
            if cursor.seq or firsts:
                raise self._damaged("missing", "the segment is missing") from None
            return False
        except OSError as error:
            from kugetsu.log.files.damage_report import unreadable

            raise unreadable(error, self.directory if isinstance(error, NotADirectoryError) else path) from error
        self._segment = cursor.segment
        self._path = path
        self.inode = os.fstat(self._fd).st_ino
        return True

    def _length(self) -> int:
        """The segment's present size. Raises DamagedLine if what was read of it no longer exists."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            raise self._damaged("missing", "the segment was removed while it was in use") from None
        if status.st_ino != self.inode:
            raise self._damaged("replaced", "the segment was replaced by another file while it was in use")
        if status.st_size < self.cursor.offset:
            raise self._damaged("missing", "committed events at the segment's end are missing")
        return status.st_size

    def _next_segment(self) -> bool:
        """Whether to read on: the next segment exists, or more was appended."""
        cursor = self.cursor
        following = cursor.seq + 1
        if following == cursor.segment:
            return False
        if os.access(os.path.join(self.directory, name(following)), os.F_OK):
            cursor.segment = following
            cursor.offset = 0
            return True
        if self._known_last == cursor.segment:
            return False
        # Once for each segment: it is the last one, or the next one is missing.
        if first_seqs(self.directory)[-1] == cursor.segment:
            self._known_last = cursor.segment
            return False
        if self._length() > cursor.offset or os.access(os.path.join(self.directory, name(following)), os.F_OK):
            return True
        raise self._damaged("missing", "the segment that follows is missing")

    def _is_followed(self, length: int) -> bool:
        """Whether to look again at the ``length`` bytes behind the cursor, which are no whole transaction: a later
        segment is there, which a writer only opens behind a whole one.

        Raises DamagedLine when they are still the same at the second look: a segment that is not the last is torn.
        """
        cursor = self.cursor
        if first_seqs(self.directory)[-1] == cursor.segment:
            return False
        seen = (cursor.segment, cursor.offset, length)
        if self._unfinished == seen:
            raise self._damaged("newline", "the segment does not end with a whole event, and a later one follows")
        self._unfinished = seen  # written to its end meanwhile, or repaired, before the next segment was opened
        return True

    def _read(self, length: int, locked: bool) -> Block | None:
        cursor = self.cursor
        size = self._size
        seen = b""
        looks = 0 if locked else _SECOND_LOOKS
        while True:
            data = os.pread(self._fd, min(size, length), cursor.offset)
            try:
                if self._trusted:
                    block = decode_trusted(data, cursor.sha)
                else:
                    block = decode(data, cursor.seq, cursor.sha, settle=self._settle)
            except UnverifiedError as bad:
                if looks and data != seen:
                    looks -= 1
                    seen = data
                    time.sleep(0.002)
                    continue
                raise self._damaged(bad.kind, bad.text, bad.place, bad.offset) from None
            if block.events:
                self._size = _BLOCK if len(data) == size else _FIRST_READ
                return block
            if len(data) < size or size >= length:
                self.rest = block.rest
                return None
            size *= 8

    def _damaged(self, kind: str, text: str, place: int = 0, offset: int = 0) -> DamagedLine:
        from kugetsu.log.files.damage_report import DamagedLine  # not needed for a whole log

        cursor = self.cursor
        return DamagedLine(
            kind, text, seq=cursor.seq + 1 + place, segment=name(cursor.segment), offset=cursor.offset + offset
        )
