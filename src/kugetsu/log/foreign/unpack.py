"""An exported log unpacked into one segment, which the ordinary engine reads.

Lines that are not events are skipped and counted, events out of order are sorted, and every digest is compared with its
line. Redaction changes lines, so the chain of a bundle cannot be verified. In the segment every line begins with its
seq and ends with its digest, as kugetsu writes it: other lines are rewritten, the rest stay byte for byte.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from typing import IO, Any

from kugetsu.domain.events import Event
from kugetsu.log.codec import GENESIS, UnverifiedError, decode, events_in, stated, verified
from kugetsu.log.files.block_reader import CollectionPaused
from kugetsu.log.files.segments import name, seq_at
from kugetsu.log.foreign.bundle_reader import Contents, read
from kugetsu.model import jsontext
from kugetsu.model.errors import BadInput, KugetsuError, reason_of
from kugetsu.model.record import field, record

_MOST_NOTHING = 3_000_000
"""The most lines without an event in a file that is accepted as a log: 2 MB packed can have 2 GB of them."""
_LISTED = 20
"""The most lines of each sort that are listed one by one."""
_SORTED_MOST = 2_000_000
"""The most events that are sorted: 100 MB of memory."""
_PIECE = 1 << 20


@record
class Findings:
    """The findings on the lines during unpacking; line numbers count from 1."""

    contents: Contents = field(factory=Contents)
    lines: int = 0
    #: Lines without an event: the first ones; and how many, without and with the empty ones.
    garbage: list[int] = field(factory=list)
    garbage_seen: int = 0
    nothing: int = 0
    repeated: int = 0
    disorder: bool = False
    #: First and last seq of each gap between two events.
    holes: list[tuple[int, int]] = field(factory=list)
    #: Events whose digest does not fit their line and the digest before it.
    unsealed: list[int] = field(factory=list)
    unsealed_seen: int = 0
    #: Events after a missing one, and events with redacted parts.
    unchecked: int = 0
    redacted: int = 0
    count: int = 0
    first: int = 0
    last: int = 0
    #: The latest time of all events of the state.
    latest: str = ""
    #: The event after which the state is shown, if the file ends in a transaction.
    whole: int | None = None

    @property
    def seq(self) -> int:
        """The last event of the state."""
        return self.last if self.whole is None else self.whole

    @property
    def all_changed(self) -> bool:
        """Whether all lines were changed, so that no digest can be checked."""
        checkable = self.count - self.unchecked - self.redacted
        return self.contents.kind == "bundle" or (checkable > 1 and self.unsealed_seen == checkable)


def unpack(path: str, directory: str) -> Findings:
    """Write the log in ``path`` as the only segment of ``directory``, which is empty.

    Raises NotFound, BadInput for a file without a log (or with too much), KugetsuError if it cannot be read, or its
    events cannot be written.
    """
    target = os.path.join(directory, name(1))
    with CollectionPaused():
        unpacked = _Unpacked(path, target, Findings())
        try:
            read(path, unpacked.found.contents, unpacked.take)
        finally:
            unpacked.close()
        if unpacked.found.disorder:
            unpacked = _sorted(unpacked)
    unpacked.note_unfinished()
    return unpacked.found


class _Unpacked:
    """The segment being written, and the findings so far."""

    def __init__(self, path: str, target: str, found: Findings) -> None:
        self.path = path
        self.target = target
        self.found = found
        self._file: IO[bytes] = _written(open, target, "wb")
        self._sha = GENESIS
        #: Whether all lines so far were those of a log, and so are checked together.
        self._intact = True
        # After the last whole transaction: how many events, the last one, and the latest time.
        self._whole = (0, 0, "")

    def take(self, lines: list[bytes]) -> None:
        """Check some lines, and write their events."""
        kept: list[bytes] = self._take_intact(lines) if self._intact else []
        lines = lines[len(kept) :]
        for line, event in zip(lines, events_in(lines) if lines else [], strict=True):
            self.found.lines += 1
            if event is None:
                self._skip(line)
            elif event["seq"] == self.found.last:
                self.found.repeated += 1
            else:
                kept.append(self._checked(line, event))
        if kept:
            _written(self._file.write, b"\n".join([*kept, b""]))

    def _take_intact(self, lines: list[bytes]) -> list[bytes]:
        """The first lines that continue the earlier ones as in a log: whole transactions."""
        found = self.found
        if found.contents.kind == "bundle":  # redacted
            self._intact = False
            return []
        try:
            block = decode(b"\n".join([*lines, b""]), found.last, self._sha)
        except UnverifiedError:
            self._intact = False
            return []
        if not block.events or not all(line.startswith(b'{"seq":') for line in block.lines):
            return []
        found.lines += len(block.lines)
        found.count += len(block.lines)
        found.first = found.first or block.events[0]["seq"]
        found.last = block.events[-1]["seq"]
        found.latest = max(found.latest, max(event["at"] for event in block.events))
        self._sha = block.sha
        self._whole = (found.count, found.last, found.latest)
        return block.lines

    def _skip(self, line: bytes) -> None:
        found = self.found
        found.nothing += 1
        if found.nothing > _MOST_NOTHING:
            said = f"more than {_MOST_NOTHING:,} lines of {self.path} are not events"
            raise BadInput(said, "is it a bundle, a log export, a log folder or a segment?")
        if line.strip():
            found.garbage_seen += 1
            if len(found.garbage) < _LISTED:
                found.garbage.append(found.lines)

    def _checked(self, line: bytes, event: Event) -> bytes:
        """The line to write. Its digest is checked if possible: the previous event exists, and `log export` did not
        redact the line."""
        found, seq, last = self.found, event["seq"], self.found.last
        sha = verified(self._sha, line) if found.contents.kind != "bundle" else None
        if sha is None or not line.startswith(b'{"seq":'):
            line, sha = self._unverified(line, event, sha)
        self._sha = sha
        if seq < last:
            found.disorder = True
        elif seq != last + 1 and last and len(found.holes) < _LISTED:
            found.holes.append((last + 1, seq - 1))
        found.first = found.first or seq
        found.last = seq
        found.count += 1
        if event["at"] > found.latest:
            found.latest = event["at"]
        if "more" not in event:
            self._whole = (found.count, seq, found.latest)
        return line

    def _unverified(self, line: bytes, event: Event, sha: bytes | None) -> tuple[bytes, bytes]:
        """The line in kugetsu's form, and the digest that it states."""
        found, seq, said = self.found, event["seq"], stated(line)
        if event.get("redacted") is True:
            found.redacted += 1
        elif sha is None and seq != found.last + 1 and said is not None:
            found.unchecked += 1
        elif sha is None:
            found.unsealed_seen += 1
            if len(found.unsealed) < _LISTED:
                found.unsealed.append(seq)
        if said is not None and seq_at(line[:64]) == seq:
            return line, said
        return _rewritten(line, event)

    def close(self) -> None:
        """Complete and close the segment."""
        _written(self._file.close)

    def note_unfinished(self) -> None:
        """If the file ends in a transaction, the state is that before it, as in a log with a torn end. (Among selected
        events the transactions are unknown.)"""
        count, last, latest = self._whole
        if 0 < count < self.found.count and not self.found.holes:
            self.found.whole, self.found.latest = last, latest


def _rewritten(line: bytes, event: Event) -> tuple[bytes, bytes]:
    """A line of another form in kugetsu's, with the digest that it states, or `GENESIS` if none."""
    given = event.get("sha")
    sha = stated(b',"sha":"%b"}' % given.encode()) if isinstance(given, str) and given.isascii() else None
    content = {"seq": event["seq"], **jsontext.loads(line)}
    content.pop("sha", None)
    sha = sha or GENESIS
    return jsontext.dumps(content)[:-1] + b',"sha":"%b"}' % sha, sha


def _written(write: Callable[..., Any], *arguments: Any) -> Any:
    """The result of ``write``. Raises KugetsuError if the temporary folder cannot be written."""
    try:
        return write(*arguments)
    except OSError as problem:
        hint = "set TMPDIR to a folder on a disk with more room"
        raise KugetsuError(f"the temporary folder cannot be written: {reason_of(problem)}", hint) from problem


def _sorted(first: _Unpacked) -> _Unpacked:
    """The same events in order, each seq once. Raises BadInput for more than are sorted in memory."""
    count = first.found.count
    if count > _SORTED_MOST:
        raise BadInput(f"its {count} events are out of order", "export the log again: an export is in order")
    found = Findings()
    found.contents, found.disorder = first.found.contents, True
    second = _Unpacked(first.path, first.target + ".sorted", found)
    try:
        with open(first.target, "rb") as file:
            for lines in _in_order(file):
                second.take(lines)
    finally:
        second.close()
    found.repeated += first.found.repeated
    found.lines, found.nothing = first.found.lines, first.found.nothing
    found.garbage, found.garbage_seen = first.found.garbage, first.found.garbage_seen
    os.replace(second.target, first.target)
    second.target = first.target
    return second


def _in_order(file: IO[bytes]) -> Iterator[list[bytes]]:
    """The lines of a segment by their seqs, some at a time."""
    seqs, offsets, offset = array("Q"), array("Q"), 0
    for line in file:
        seqs.append(seq_at(line[:64]) or 0)
        offsets.append(offset)
        offset += len(line)
    lines: list[bytes] = []
    size = 0
    for place in sorted(range(len(seqs)), key=seqs.__getitem__):
        file.seek(offsets[place])
        lines.append(file.readline()[:-1])
        size += len(lines[-1])
        if size >= _PIECE:
            yield lines
            lines, size = [], 0
    yield lines
