"""Checks the whole log: every line of every segment, and the latest snapshot against a full fold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from kugetsu.domain.events import MALFORMED, validation
from kugetsu.log.codec import GENESIS, TAIL_SIZE, blame, digest, event_of, stated, verified
from kugetsu.log.files import segments, snapshots
from kugetsu.log.files.block_reader import BlockReader
from kugetsu.log.files.damage_report import DamagedLine
from kugetsu.log.files.repair import completes
from kugetsu.log.files.segments import Cursor, Head
from kugetsu.log.projection import Projection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Event

_READ = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not verify. ``seq`` is 0 when unknown; ``kind`` is a stable word; ``text`` is for people."""

    seq: int
    segment: str
    offset: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Torn:
    """An unfinished write at the log's end: not damage, the next append repairs it."""

    segment: str
    offset: int
    bytes: int


@dataclass(slots=True)
class Verification:
    """The result of a check of the whole log. ``count`` events verify; ``head`` is the last of them. ``note`` is why
    the chain cannot be checked at all: an exported log was redacted."""

    count: int = 0
    segments: int = 0
    head: Head = field(default_factory=lambda: Head(0, GENESIS.decode()))
    problems: list[Problem] = field(default_factory=list)
    torn: Torn | None = None
    note: str | None = None
    #: Why a shared log's database could not be compared with its mirror; None if it was, or if there is none.
    unreached: str | None = None
    #: Events whose data does not fit their kind, by seq: not damage, and never acted on.
    malformed: dict[int, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged; a torn tail is not damage."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Repair:
    """The result of a repair. ``event`` is the `log.repaired` with what was cut and where it is kept; None if nothing
    was torn, or if only the last newline was added. ``reread``: a mirror was read again from the shared log instead."""

    repaired: bool
    event: Event | None
    problems: list[Problem]
    reread: bool = False


@dataclass(slots=True)
class Stats:
    """Counts and sizes of a log; times are those of the events."""

    events: int = 0
    bytes: int = 0
    segments: int = 0
    types: dict[str, int] = field(default_factory=dict)
    first_at: str | None = None
    last_at: str | None = None


def verify(directory: str, projection: Projection[Any], expected_head: Head | None) -> Verification:
    """Check every line; see `EventLog.verify`. Memory does not grow with the log."""
    return _Check(directory, projection, expected_head).run()


class _Check:
    """One walk over all lines: digests, seqs, transactions, names; and the fold, to check the latest snapshot."""

    def __init__(self, directory: str, projection: Projection[Any], expected_head: Head | None) -> None:
        self._directory = directory
        self._projection = projection
        self._expected = expected_head
        self._found = Verification()
        self._seq = 0
        self._sha = GENESIS
        self._otherwise: bytes | None = None
        self._more = 0
        self._committed = Head(0, GENESIS.decode())
        self._state = projection.empty()
        self._latest = snapshots.read(directory, projection.VERSION)

    def run(self) -> Verification:
        found = self._found
        firsts = segments.first_seqs(self._directory)
        self._names()
        pending_at = Cursor()
        for place, first in enumerate(firsts):
            found.segments += 1
            if first != self._seq + 1:
                text = f"the segment should start with event {self._seq + 1}: a segment is missing or misnamed"
                self._problem("missing", text, first, 0, self._seq + 1)
                self._seq = first - 1
            pending_at = self._segment(first, last=place == len(firsts) - 1)
        if self._more and found.torn is None and firsts:
            size = os.path.getsize(os.path.join(self._directory, segments.name(firsts[-1])))
            found.torn = Torn(segments.name(pending_at.segment), pending_at.offset, size - pending_at.offset)
        found.head = self._committed
        self._check_latest_reached()
        self._check_head_reached()
        return found

    def _names(self) -> None:
        try:
            entries = os.listdir(self._directory)
        except FileNotFoundError:
            return
        for entry in sorted(entries):
            if entry.endswith(segments.SUFFIX) and segments.first_seq_of(entry) is None:
                text = f"{entry} is not the name of a segment"
                self._found.problems.append(Problem(0, entry, 0, "name", text))

    def _segment(self, first: int, last: bool) -> Cursor:
        """Check one segment; where its last unfinished transaction starts, for a tail to be described."""
        start = Cursor(first, 0, self._seq, self._sha)
        offset = 0
        for line, whole in _lines(os.path.join(self._directory, segments.name(first))):
            if not whole:
                self._unfinished(first, start, line, offset, last)
                break
            self._line(first, offset, line)
            offset += len(line) + 1
            if not self._more:
                start = Cursor(first, offset, self._seq, self._sha)
        if self._more and not last:
            self._problem("framing", "the segment ends inside a transaction", first, offset, self._seq)
            self._more = 0
        return start

    def _unfinished(self, first: int, start: Cursor, line: bytes, offset: int, last: bool) -> None:
        name = segments.name(first)
        if not last:
            self._problem("newline", "the segment does not end with a whole event", first, offset, self._seq + 1)
            return
        try:
            completes(line, Cursor(first, offset, self._seq, self._sha))
        except DamagedLine as damage:
            self._problem(damage.kind, damage.text, first, offset, damage.seq)
            self._more = 0
            return
        self._found.torn = Torn(name, start.offset, offset + len(line) - start.offset)

    def _line(self, first: int, offset: int, line: bytes) -> None:
        expected = self._seq + 1
        sha = verified(self._sha, line)
        if sha is None and self._otherwise is not None:
            sha = verified(self._otherwise, line)
        if sha is None:
            self._problem("digest", blame(line), first, offset, expected)
            self._resume_after(line)
            return
        event = event_of(line)
        if event is None:
            self._misshapen(first, offset, line, sha)
            return
        more = event.get("more", 0)
        if self._otherwise is None:
            if event.get("seq") != expected:
                text = f"event {expected} was expected, found {event.get('seq')}"
                self._problem("seq", text, first, offset, expected)
            if self._more and more != self._more - 1:
                self._problem("framing", "the event does not continue its transaction", first, offset, expected)
        # After a damaged line, whose own seq may have been changed, trust the seq of a line that verifies.
        self._seq = event["seq"]
        self._sha = sha
        self._more = more
        self._otherwise = None
        self._found.count += 1
        self._accept(event, Cursor(first, offset + len(line) + 1, self._seq, sha))

    def _misshapen(self, first: int, offset: int, line: bytes, sha: bytes) -> None:
        """A line that verifies but is not an event: its writer knew the digest, so the chain continues with it."""
        self._seq += 1
        found = validation.misshapen(orjson.loads(line))
        self._problem("shape", f"it verifies, but is not an event: {found}", first, offset, self._seq)
        self._sha = sha
        self._otherwise = None
        self._more = 0

    def _resume_after(self, line: bytes) -> None:
        """The digests that the next line may follow, so that one flip is one problem: the one that the damaged line
        states (its body was changed) or the one of its body (its digest was changed)."""
        computed = digest(self._sha, line[:-TAIL_SIZE])
        self._otherwise = stated(line) or computed
        self._sha = computed
        self._seq += 1
        self._more = 0

    def _accept(self, event: Event, cursor: Cursor) -> None:
        if event["type"] == MALFORMED:
            self._found.malformed[event["seq"]] = f"{event['data']['type']} {event['data']['problem']}"
        sound = not self._found.problems
        if sound:
            self._projection.fold(self._state, event)
        sha = cursor.sha.decode()
        if not self._more:
            self._committed = Head(cursor.seq, sha)
        expected = self._expected
        if expected is not None and cursor.seq == expected.seq and sha != expected.sha:
            text = f"event {cursor.seq} is not the sealed one: its digest is {sha}, not {expected.sha}"
            self._problem("head", text, cursor.segment, cursor.offset, cursor.seq)
        saved = self._latest
        # The fold of a snapshot took such events as they are.
        if sound and not self._found.malformed and saved is not None and saved.cursor.seq == cursor.seq:
            self._compare(saved, cursor)

    def _compare(self, saved: snapshots.Snapshot, cursor: Cursor) -> None:
        place = (saved.cursor.segment, saved.cursor.offset, saved.cursor.sha)
        if place != (cursor.segment, cursor.offset, cursor.sha):
            text = "the checkpoint belongs to another log (it is ignored; delete it)"
        else:
            folded = orjson.loads(orjson.dumps(self._projection.dump(self._state)))
            if folded == saved.state:
                return
            text = "the checkpoint differs from the fold of the events before it: delete it to have it rebuilt"
        self._found.problems.append(Problem(cursor.seq, snapshots.LATEST, 0, "checkpoint", text))

    def _check_latest_reached(self) -> None:
        saved = self._latest
        if saved is not None and saved.cursor.seq > self._seq:
            text = f"the checkpoint knows event {saved.cursor.seq}, the log ends at {self._seq}: the log's end was lost"
            self._found.problems.append(Problem(self._seq + 1, snapshots.LATEST, 0, "missing", text))

    def _check_head_reached(self) -> None:
        expected = self._expected
        if expected is not None and expected.seq > self._committed.seq:
            text = f"event {expected.seq} was sealed, the log ends at {self._committed.seq}: the log's end was lost"
            self._found.problems.append(Problem(self._committed.seq + 1, "", 0, "missing", text))

    def _problem(self, kind: str, text: str, first: int, offset: int, seq: int) -> None:
        self._found.problems.append(Problem(seq, segments.name(first), offset, kind, text))


def _lines(path: str) -> Iterator[tuple[bytes, bool]]:
    """The lines of a file, and whether each ended with its newline."""
    rest = b""
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_READ):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield line, True
    if rest:
        yield rest, False


def stats(directory: str, *, trusted: bool = False) -> Stats:
    """Count the committed events; see `EventLog.stats`."""
    found = Stats()
    for first in segments.first_seqs(directory):
        found.segments += 1
        found.bytes += os.path.getsize(os.path.join(directory, segments.name(first)))
    tail = BlockReader(directory, Cursor(), trusted=trusted)
    try:
        while (block := tail.next_block()) is not None:
            for event in block.events:
                kind = event["type"]
                found.types[kind] = found.types.get(kind, 0) + 1
            found.first_at = found.first_at or block.events[0]["at"]
            found.last_at = block.events[-1]["at"]
            tail.advance(block)
    finally:
        tail.close()
    found.events = sum(found.types.values())
    return found
