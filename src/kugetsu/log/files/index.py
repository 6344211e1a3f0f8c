"""The index: the places of the events of an issue, task or session, so that a history costs only its own length.

Disposable. `log/index/<generation>/<bucket>` holds fixed records (tag of the key, offset, segment) in log order, at
most one with the same tag for an event; `log/index/head` names the event up to which the index is complete, and each
bucket's size and checksum: bytes beyond them (from a crash or power cut) are overwritten, missing ones cause a rebuild.
Events after the head are found by reading the log's tail. An event found through the index is verified against the
digest that the line before it states, and must have the key; a record that leads elsewhere, or not past the previous
one, discards the index.
"""

from __future__ import annotations

import os
from struct import Struct

from kugetsu.host import atomic
from kugetsu.host.ownership import is_own
from kugetsu.log.codec import GENESIS, TAIL_SIZE, event_of, seal, verified
from kugetsu.log.files import segments
from kugetsu.log.files.block_reader import BlockReader, CollectionPaused
from kugetsu.log.files.segments import Cursor
from kugetsu.model import jsontext
from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kugetsu.domain.events import Event
    from kugetsu.log.codec import Block

FOLDER = "index"
KEYS = ("issue", "task", "session")

_BUCKETS = 256
_RECORD = Struct("<4sIQ")
_FORMAT = 3
"""Version of the index's files; an index of another version is rebuilt. Version 2 had two records for an event that
names one key twice, as its issue and as its session."""

_NEAR = 512 * 1024
"""Bytes of log after the index's head that are read faster than indexed: some 1,200 events, 3 ms."""

_FLUSH = 50_000
"""Events whose records are gathered before they are written: 10 MB."""

_EVENT_READ = 4096
"""Bytes first read for one event; a longer one takes a second read."""


@record
class IndexHead:
    """The place up to which the index is complete (``cursor``), and each bucket file's size and CRC-32."""

    cursor: Cursor
    generation: int
    sizes: list[int]
    checks: list[int]


def try_guard(directory: str) -> int | None:
    """Take the lock for writing index and snapshots: a descriptor to close, or None if another process has it.

    Raises OSError if the folder cannot be written.
    """
    import fcntl

    folder = os.path.join(directory, FOLDER)
    if not is_own(directory):
        return None  # root only reads another user's log
    os.makedirs(folder, mode=0o700, exist_ok=True)
    fd = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError:
        os.close(fd)
        raise
    return fd


def load_head(directory: str) -> IndexHead | None:
    """The index's head if it is whole and fits this log."""
    content = segments.read_sealed(os.path.join(directory, FOLDER, "head"))
    if content is None or content.get("format") != _FORMAT:
        return None
    cursor = segments.cursor_in(content)
    if not segments.fits(directory, cursor):
        return None
    return IndexHead(cursor, content["generation"], content["sizes"], content["checks"])


def _store_head(directory: str, head: IndexHead) -> None:
    cursor = head.cursor
    content = {
        "format": _FORMAT,
        "generation": head.generation,
        "segment": cursor.segment,
        "offset": cursor.offset,
        "seq": cursor.seq,
        "last": cursor.sha.decode(),
        "sizes": head.sizes,
        "checks": head.checks,
    }
    data, _ = seal(GENESIS, jsontext.dumps(content)[:-1])
    atomic.write(os.path.join(directory, FOLDER, "head"), data)


def extend(directory: str, at_most: int | None = None) -> IndexHead:
    """Index the events after the head, ``at_most`` so many; the caller holds the lock.

    Raises OSError if the index cannot be written, DamagedLine if the log does not verify.
    """
    head = load_head(directory) or _begin(directory)
    tail = BlockReader(directory, head.cursor.copy())
    writer = _Writer(directory, head)
    start = tail.cursor.seq
    try:
        with CollectionPaused():
            while (block := tail.next_block()) is not None:
                writer.add(block, tail.cursor)
                tail.advance(block)
                if writer.count >= _FLUSH:
                    writer.flush(tail.cursor)
                if at_most is not None and tail.cursor.seq - start >= at_most:
                    break
    finally:
        tail.close()
    if writer.count:
        writer.flush(tail.cursor)
    return head


def _begin(directory: str) -> IndexHead:
    """Start a new generation, and remove the files of older ones."""
    import shutil

    folder = os.path.join(directory, FOLDER)
    generations = [int(entry) for entry in os.listdir(folder) if entry.isdecimal()]
    for old in generations:
        shutil.rmtree(os.path.join(folder, str(old)), ignore_errors=True)
    generation = max(generations, default=0) + 1
    os.mkdir(os.path.join(folder, str(generation)), 0o700)
    return IndexHead(Cursor(), generation, [0] * _BUCKETS, [0] * _BUCKETS)


class _Writer:
    """Gathers records by bucket, and appends them to the bucket files."""

    __slots__ = ("_buckets", "_directory", "_head", "_places", "count")

    def __init__(self, directory: str, head: IndexHead) -> None:
        self._directory = directory
        self._head = head
        self._buckets: dict[int, bytearray] = {}
        self._places: dict[str, tuple[bytearray, bytes]] = {}
        self.count = 0

    def add(self, block: Block, cursor: Cursor) -> None:
        segment, offset = cursor.segment, cursor.offset
        places, pack = self._places, _RECORD.pack
        for line, event in zip(block.lines, block.events, strict=True):
            # By tag, not by key: two keys that share a tag would find the event twice too.
            tags: list[bytes] = []
            for field in KEYS:
                key = event.get(field)
                if key is None:
                    continue
                records, tag = places.get(key) or self._place(key)
                if tag not in tags:
                    tags.append(tag)
                    records.extend(pack(tag, offset, segment))
            offset += len(line) + 1
        self.count += len(block.events)

    def _place(self, key: str) -> tuple[bytearray, bytes]:
        bucket, tag = _place_of(key)
        place = self._places[key] = (self._buckets.setdefault(bucket, bytearray()), tag)
        return place

    def flush(self, cursor: Cursor) -> None:
        """Write the records, then the head that makes them valid."""
        from zlib import crc32

        head = self._head
        for bucket, records in self._buckets.items():
            path = _bucket_path(self._directory, head.generation, bucket)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                written = os.pwrite(fd, records, head.sizes[bucket])
            finally:
                os.close(fd)
            if written != len(records):
                raise OSError(f"{path}: short write")
            head.sizes[bucket] += written
            head.checks[bucket] = crc32(records, head.checks[bucket])
        head.cursor = cursor.copy()
        _store_head(self._directory, head)
        self._buckets = {}
        self._places = {}
        self.count = 0


def _place_of(key: str) -> tuple[int, bytes]:
    """The bucket of a key, and the tag that its records carry. Keys that share both only cost time."""
    from zlib import crc32

    value = crc32(key.encode("utf-8", "backslashreplace"))
    return value % _BUCKETS, value.to_bytes(4, "little")


def _bucket_path(directory: str, generation: int, bucket: int) -> str:
    return os.path.join(directory, FOLDER, str(generation), f"{bucket:02x}")


# -- looking up ------------------------------------------------------------------------------------------------


class _AstrayError(Exception):
    """The index does not lead to the events of a key, and is discarded."""


def read_key(directory: str, key: str) -> Iterator[Event]:
    """The events whose issue, task or session is ``key``: by the index up to its head, then from the log's tail."""
    head = _current_head(directory)
    after = 0
    cursor = Cursor()
    if head is not None:
        try:
            for event in _indexed(directory, head, key):
                yield event
                after = event["seq"]
            cursor = head.cursor
        except _AstrayError:
            _discard(directory)
    tail = BlockReader(directory, cursor)
    try:
        while (block := tail.next_block()) is not None:
            for event in block.events:
                if event["seq"] > after and carries(event, key):
                    yield event
            tail.advance(block)
    finally:
        tail.close()


def carries(event: Event, key: str) -> bool:
    """Whether the event is about this issue, task or session."""
    return key in (event.get("issue"), event.get("task"), event.get("session"))


def _current_head(directory: str) -> IndexHead | None:
    """The index's head, after extending the index if it is far behind and no other process does."""
    head = load_head(directory)
    if _is_near(directory, head):
        return head
    try:
        guard = try_guard(directory) if os.path.isdir(directory) else None
        if guard is None:
            return head
        try:
            return extend(directory)
        finally:
            os.close(guard)
    except OSError:
        # The folder cannot be written: read the log from the index's head on, or from its start.
        return head


def _is_near(directory: str, head: IndexHead | None) -> bool:
    firsts = segments.first_seqs(directory)
    if not firsts:
        return True
    cursor = Cursor() if head is None else head.cursor
    if firsts[-1] != cursor.segment:
        return False
    return os.stat(os.path.join(directory, segments.name(firsts[-1]))).st_size - cursor.offset < _NEAR


def _indexed(directory: str, head: IndexHead, key: str) -> Iterator[Event]:
    bucket, tag = _place_of(key)
    records = _bucket(directory, head, bucket)
    reader = _EventReader(directory)
    before = (0, 0)
    try:
        at = records.find(tag)
        while at >= 0:
            if at % _RECORD.size == 0:
                _, offset, segment = _RECORD.unpack_from(records, at)
                if (segment, offset) <= before:
                    raise _AstrayError
                before = (segment, offset)
                event = reader.event(segment, offset)
                if carries(event, key):
                    yield event
            at = records.find(tag, at + 1)
    finally:
        reader.close()


def _bucket(directory: str, head: IndexHead, bucket: int) -> bytes:
    from zlib import crc32

    size = head.sizes[bucket]
    if not size:
        return b""
    try:
        with open(_bucket_path(directory, head.generation, bucket), "rb") as file:
            records = file.read(size)
    except OSError as error:
        raise _AstrayError from error
    if len(records) != size or crc32(records) != head.checks[bucket]:
        raise _AstrayError
    return records


class _EventReader:
    """Reads single events by their place, keeping the last segment open."""

    __slots__ = ("_directory", "_fd", "_segment")

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._fd = -1
        self._segment = 0

    def event(self, segment: int, offset: int) -> Event:
        """The verified event at a place. Raises _AstrayError if there is none."""
        try:
            self._open(segment)
            before = min(offset, TAIL_SIZE + 1)
            size = _EVENT_READ
            while True:
                data = os.pread(self._fd, size, offset - before)
                end = data.find(b"\n", before)
                if end >= 0:
                    break
                if len(data) < size:
                    raise _AstrayError
                size *= 8
        except OSError as error:
            raise _AstrayError from error
        previous = data[before - 35 : before - 3] if before else self._digest_before(segment)
        line = data[before:end]
        event = event_of(line) if verified(previous, line) is not None else None
        if event is None:
            raise _AstrayError
        return event

    def _digest_before(self, segment: int) -> bytes:
        firsts = segments.first_seqs(self._directory)
        return segments.start_of(self._directory, firsts, firsts.index(segment)).sha

    def _open(self, segment: int) -> None:
        if self._segment == segment:
            return
        self.close()
        path = os.path.join(self._directory, segments.name(segment))
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._segment = segment

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _discard(directory: str) -> None:
    import contextlib

    with contextlib.suppress(OSError):
        os.unlink(os.path.join(directory, FOLDER, "head"))
