"""The mirror of a shared log on this host: the same lines in the same files as a log in files has.

What is written here is in the database already. So nothing waits for the disk, an unfinished end is cut and read again
instead of being repaired with an event, and whoever comes second with the same lines finds them there.
"""

from __future__ import annotations

import os

from kugetsu.log.codec import UnverifiedError, decode, stated
from kugetsu.log.files.append import SegmentWriter
from kugetsu.log.files.block_reader import BlockReader
from kugetsu.log.files.damage_report import DamagedLine
from kugetsu.log.files.segments import SEGMENT_BYTES, Cursor, Head, locate, name
from kugetsu.log.files.tail_position import TailPosition
from kugetsu.log.shared.arbiter import PAGE
from kugetsu.model import jsontext
from kugetsu.model.errors import LogDiverged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kugetsu.log.shared.arbiter import Arbiter

_PAST_THE_END = 1 << 62


class _MirrorWriter(SegmentWriter):
    """Writes to a mirror only; its lock is flock without portalocker, whose import takes 15 ms."""

    __slots__ = ()
    IS_MIRROR = True


class Mirror:
    """The files of one host's mirror. Several processes may have it open; not for several threads."""

    def __init__(self, directory: str, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.directory = directory
        self._writer = _MirrorWriter(directory, segment_bytes)
        self._tail = TailPosition(directory)

    def head(self) -> Head:
        """The last event that is there. Raises LogDamaged, LogWriteFailed."""
        self._writer.acquire()
        try:
            cursor, _ = self._end()
        finally:
            self._writer.release()
        return Head(cursor.seq, cursor.sha.decode())

    def extend(self, at: Head, lines: Sequence[bytes]) -> None:
        """Add whole transactions that the database has after ``at``, as far as they are not there yet.

        Raises LogDiverged if they do not follow what is there, LogDamaged, LogWriteFailed.
        """
        if not lines:
            return
        self._writer.acquire()
        try:
            end, inode = self._end()
            known = end.seq - at.seq
            if known < 0:
                raise DamagedLine("missing", "the mirror's end was lost while it was in use", seq=end.seq + 1)
            if known > len(lines):
                return
            if (stated(lines[known - 1]) if known else at.sha.encode()) != end.sha:
                raise diverged(end.seq)
            self._write(end, inode, lines[known:])
        finally:
            self._writer.release()

    def drop_from(self, cursor: Cursor) -> None:
        """Cut everything from ``cursor`` on, which the database has, to read it again. Raises LogWriteFailed."""
        from kugetsu.log.files.append import failed
        from kugetsu.log.files.segments import first_seqs

        self._writer.acquire()
        try:
            for first in first_seqs(self.directory):
                if first > cursor.segment or (first == cursor.segment and not cursor.offset):
                    os.unlink(os.path.join(self.directory, name(first)))
                elif first == cursor.segment:
                    os.truncate(os.path.join(self.directory, name(first)), cursor.offset)
        except OSError as error:
            raise failed(error, "the mirror's bad end cannot be cut off") from error
        finally:
            self._writer.release()
            self.close()

    def close(self) -> None:
        """Close every descriptor; the next use opens them again."""
        self._writer.close()
        self._tail.close()

    def _end(self) -> tuple[Cursor, int]:
        """The end, and the inode of its segment; an unfinished transaction is cut. Under the lock."""
        found = self._tail.find()
        if found is not None:
            return found, self._tail.inode
        reader = BlockReader(self.directory, locate(self.directory, _PAST_THE_END) or Cursor(), settle=False)
        try:
            while (block := reader.next_block(locked=True)) is not None:
                reader.advance(block)
            if reader.rest:
                self._writer.truncate(reader.cursor, reader.inode)
            return reader.cursor.copy(), reader.inode
        finally:
            reader.close()

    def _write(self, cursor: Cursor, inode: int, lines: Sequence[bytes]) -> None:
        """One write for what goes into one segment: a new one begins where a log in files begins it, too."""
        gathered: list[bytes] = []
        size = 0
        for transaction in transactions(lines):
            if size and cursor.offset + size >= self._writer.segment_bytes:
                inode = self._put(cursor, inode, gathered)
                gathered, size = [], 0
            gathered.extend(transaction)
            size += sum(map(len, transaction)) + len(transaction)
        if gathered:
            self._put(cursor, inode, gathered)
        self._tail.moved(cursor)

    def _put(self, cursor: Cursor, inode: int, lines: list[bytes]) -> int:
        data = b"\n".join([*lines, b""])
        self._writer.write(cursor, inode, data)
        cursor.offset += len(data)
        cursor.seq += len(lines)
        cursor.sha = stated(lines[-1]) or b""
        return self._writer.inode


def transactions(lines: Sequence[bytes]) -> Iterator[list[bytes]]:
    """The lines by transaction; a last one that is not whole is left out."""
    transaction: list[bytes] = []
    for line in lines:
        transaction.append(line)
        if not (b',"more":' in line and "more" in jsontext.loads(line)):
            yield transaction
            transaction = []


def verified(at: Head, lines: list[bytes]) -> list[bytes]:
    """The whole transactions at the start of a page of the database that follows ``at``.

    Raises LogDiverged if they do not follow, or were changed.
    """
    if not lines:
        return lines
    try:
        return decode(b"\n".join([*lines, b""]), at.seq, at.sha.encode(), settle=False).lines
    except UnverifiedError as error:
        raise diverged(at.seq + error.place, error.text) from None


def pull(mirror: Mirror, arbiter: Arbiter) -> Head:
    """Read what the arbiter has and the mirror has not; the head that both have then.

    Raises LogUnreachable, LogDiverged, LogDamaged, LogWriteFailed.
    """
    while True:
        at = mirror.head()
        if not pull_page(mirror, arbiter, at):
            return at


def pull_page(mirror: Mirror, arbiter: Arbiter, at: Head) -> bool:
    """Take over what follows ``at``; False if nothing does. Raises as `pull`."""
    most = PAGE
    while True:
        tail = arbiter.tail(at, most)
        if not tail.lines:
            if tail.head != at:
                same = min(tail.head.seq, at.seq - (tail.head.seq == at.seq))
                raise diverged(same, f"its head is {tail.head}, the mirror's {at}")
            return False
        whole = verified(at, tail.lines)
        if whole:
            mirror.extend(at, whole)
            return True
        most *= 8  # a transaction longer than the page


def diverged(seq: int, why: str = "the digests do not follow") -> LogDiverged:
    """The error for a database that has another event after ``seq`` than this host's mirror fits to."""
    return LogDiverged(
        f"the shared log's database is not the log of this host's mirror, from event {seq + 1} on at the latest: {why}",
        "nothing was changed; `kugetsu log verify` compares the two. Keep both until a person has decided: "
        "kugetsu help many-hosts",
    )
