"""The files of the log: their names, their order, and places in them."""

from __future__ import annotations

import os

from kugetsu.log.codec import DIGEST_SIZE, GENESIS, TAIL_SIZE, stated, verified
from kugetsu.model import jsontext
from kugetsu.model.record import record, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

SUFFIX: Final = ".jsonl"

SEGMENT_BYTES: Final = 8 * 1024 * 1024
"""Size from which the next transaction opens a new segment."""

SHARED: Final = "shared"
"""The file in the log's folder that makes it the mirror of a shared log (`log.shared`): not to be appended to."""

_DIGITS = 20


@value
class Head:
    """The last committed event: its ``seq`` (0 in an empty log) and its digest, 32 hex digits."""

    seq: int
    sha: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.sha}"


@record
class Cursor:
    """A place between two transactions: ``offset`` bytes into the segment whose first event is ``segment``.

    ``seq`` and ``sha`` are those of the event before it.
    """

    segment: int = 1
    offset: int = 0
    seq: int = 0
    sha: bytes = GENESIS

    def copy(self) -> Cursor:
        """A copy that can be moved independently."""
        return Cursor(self.segment, self.offset, self.seq, self.sha)


def name(first_seq: int) -> str:
    """The file name of the segment whose first event is ``first_seq``."""
    return f"{first_seq:0{_DIGITS}d}{SUFFIX}"


def is_shared(directory: str) -> bool:
    """Whether the log's folder is the mirror of a shared log: what is appended goes to its database."""
    return os.access(os.path.join(directory, SHARED), os.F_OK)


def first_seqs(directory: str) -> list[int]:
    """The first seqs of the existing segments, in order; [] if there is no log yet."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        from kugetsu.log.files.damage_report import unreadable  # a start-up of a whole log needs no report

        raise unreadable(error, directory) from error
    return sorted(first for entry in names if (first := first_seq_of(entry)) is not None)


def first_seq_of(entry: str) -> int | None:
    """The first seq in a segment's file name; None for any other file."""
    digits = entry[:_DIGITS]
    if len(entry) != _DIGITS + len(SUFFIX) or not entry.endswith(SUFFIX) or not digits.isdecimal():
        return None
    return int(digits) or None


def digest_before(fd: int, offset: int) -> bytes | None:
    """The digest stated by the line that ends right before ``offset``; None if no line ends there."""
    tail = os.pread(fd, TAIL_SIZE + 1, offset - TAIL_SIZE - 1) if offset > TAIL_SIZE else b""
    if len(tail) != TAIL_SIZE + 1 or not tail.endswith(b"\n"):
        return None
    return stated(tail[:-1])


def read_sealed(path: str) -> dict[str, Any] | None:
    """The JSON object of a disposable file with its own digest; None if it cannot be read or is not whole."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        # Disposable: treat an unreadable file as missing.
        return None
    if len(data) <= TAIL_SIZE or verified(GENESIS, data) is None:
        return None
    content: dict[str, Any] = jsontext.loads(data)
    return content


def cursor_in(content: dict[str, Any]) -> Cursor:
    """The cursor that a disposable file names."""
    return Cursor(content["segment"], content["offset"], content["seq"], content["last"].encode())


def fits(directory: str, cursor: Cursor) -> bool:
    """Whether the log has a line with the cursor's digest right before ``cursor``; the log's start always fits."""
    if not cursor.seq:
        return True
    try:
        fd = os.open(os.path.join(directory, name(cursor.segment)), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # The reader of the log reports that it is unreadable; here it only means that nothing fits.
        return False
    try:
        return digest_before(fd, cursor.offset) == cursor.sha
    finally:
        os.close(fd)


def start_of(directory: str, firsts: list[int], place: int) -> Cursor:
    """The cursor at the start of the segment ``firsts[place]``, with the last digest of the previous segment.

    Raises DamagedLine if that segment does not end with a whole line, or if the first segment is missing.
    """
    first = firsts[place]
    if place == 0:
        if first != 1:
            from kugetsu.log.files.damage_report import DamagedLine

            raise DamagedLine(
                "missing", f"the log starts at event {first}: earlier segments are missing", seq=1, segment=name(1)
            )
        return Cursor()
    before = name(firsts[place - 1])
    fd = os.open(os.path.join(directory, before), os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        sha = digest_before(fd, size)
    finally:
        os.close(fd)
    if sha is None:
        from kugetsu.log.files.damage_report import DamagedLine

        raise DamagedLine(
            "newline", "the segment does not end with a whole event", seq=first - 1, segment=before, offset=size
        )
    return Cursor(first, 0, first - 1, sha)


def seq_at(line_start: bytes) -> int | None:
    """The seq of a line, from its first bytes; None if they are not those of an event."""
    if not line_start.startswith(b'{"seq":'):
        return None
    digits = line_start[7:40].partition(b",")[0]
    return int(digits) if digits.isdigit() else None


def locate(directory: str, after: int) -> Cursor | None:
    """A cursor at or shortly before the event that follows ``after``: found by bisection.

    None if there is no log yet. The lines before the cursor are not verified: the last one's stated digest is used,
    and reading from the cursor on verifies.
    """
    firsts = first_seqs(directory)
    if not firsts:
        return None
    place = 0
    for index, first in enumerate(firsts):
        if first <= after + 1:
            place = index
    cursor = start_of(directory, firsts, place)
    if after <= cursor.seq:
        return cursor
    fd = os.open(os.path.join(directory, name(cursor.segment)), os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _bisect(fd, cursor, after)
    finally:
        os.close(fd)


_NEAR = 64 * 1024
"""Bytes that are read faster than bisected."""


def _bisect(fd: int, low: Cursor, after: int) -> Cursor:
    """Halve the way between ``low`` and the segment's end until the event after ``after`` is near."""
    low = low.copy()
    high = os.fstat(fd).st_size
    while high - low.offset > _NEAR:
        middle = (low.offset + high) // 2
        chunk = os.pread(fd, _NEAR, middle)
        start = _transaction_start(chunk)
        if start is None or middle + start >= high:
            high = middle  # one huge transaction, an unfinished line or a damaged one: read from ``low`` to find out
            continue
        offset, seq = middle + start, seq_at(chunk[start : start + 64])
        sha = stated(chunk[start - TAIL_SIZE - 1 : start - 1]) if start > TAIL_SIZE else digest_before(fd, offset)
        if seq is None or sha is None or len(sha) != DIGEST_SIZE or seq > after + 1:
            high = middle
        else:
            low.offset, low.seq, low.sha = offset, seq - 1, sha
    return low


def _transaction_start(chunk: bytes) -> int | None:
    """Where, within ``chunk``, a line starts that follows the last event of a transaction."""
    start = chunk.find(b"\n") + 1
    while start:
        end = chunk.find(b"\n", start)
        if end < 0:
            return None
        if b',"more":' not in chunk[start:end]:
            return end + 1 if len(chunk) > end + 64 else None
        start = end + 1
    return None
