"""The events of a file of another place, checked, in order, in an unnamed temporary file: read at any place again."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import IO

from kugetsu.log.codec import event_of
from kugetsu.model import jsontext
from kugetsu.model.errors import BadInput, KugetsuError, reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Event

_IN_MEMORY = 8 << 20
"""Bytes that are held in memory; more go to the disk (TMPDIR)."""
_STRIDE = 256
"""Events between two whose place is known."""
_READ = 256 * 1024
_SORTED_MOST = 2_000_000
"""Events that are sorted at most: 100 MB of memory."""


def checked(line: bytes) -> Event:
    """The event of a line that was found to hold one."""
    event = event_of(line)
    assert event is not None
    return event


class TempStore:
    """Lines of events in ascending order of their seqs; each seq once."""

    def __init__(self) -> None:
        self._file: IO[bytes] = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by close()
        self._size = 0
        self._seqs: list[int] = []
        self._offsets: list[int] = []
        self.count = 0
        self.first = 0
        self.last = 0

    def add(self, seq: int, line: bytes) -> None:
        """Append the line of an event that comes after all the others. Raises KugetsuError when the disk is full."""
        if self.count % _STRIDE == 0:
            self._seqs.append(seq)
            self._offsets.append(self._size)
        try:
            self._file.write(line + b"\n")
        except OSError as problem:
            said = reason_of(problem)
            hint = "set TMPDIR to a folder on a disk with more room"
            raise KugetsuError(f"the temporary file cannot be written: {said}", hint) from problem
        self._size += len(line) + 1
        self.count += 1
        self.first = self.first or seq
        self.last = seq

    def lines(self, after: int = 0) -> Iterator[bytes]:
        """The lines from shortly before the event that follows ``after``, to the end. Several may read at a time."""
        place = bisect_right(self._seqs, after + 1) - 1 if after else 0
        offset = self._offsets[max(place, 0)] if self._offsets else 0
        rest = b""
        while True:
            self._file.seek(offset)
            piece = self._file.read(_READ)
            if not piece:
                return
            offset += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines

    def events(self, after: int = 0, until: int | None = None) -> Iterator[Event]:
        """The events with ``after`` < seq <= ``until``."""
        for event, _ in self.with_lines(after, until):
            yield event

    def with_lines(self, after: int = 0, until: int | None = None) -> Iterator[tuple[Event, bytes]]:
        """The same, each with its line."""
        if self.count == 0 or (until is not None and until <= after):
            return
        for line in self.lines(after):
            event = checked(line)
            seq = event["seq"]
            if seq <= after:
                continue
            if until is not None and seq > until:
                return
            yield event, line

    def at(self, offset: int, size: int) -> bytes:
        """The line that stands at a place."""
        self._file.seek(offset)
        return self._file.read(size)

    def close(self) -> None:
        """Give the temporary file back; it is gone then."""
        self._file.close()


def in_order(spool: TempStore) -> tuple[TempStore, int]:
    """Another spool with what is in this one, sorted by seq; and how many lines of a seq that is there were left out.

    Raises BadInput for more events than are sorted in memory.
    """
    if spool.count > _SORTED_MOST:
        raise BadInput(
            f"its {spool.count} events are not in their order", "export the log anew: it is written in order"
        )
    seqs, offsets, sizes = array("Q"), array("Q"), array("L")
    offset = 0
    for line in spool.lines():
        seqs.append(jsontext.loads(line)["seq"])
        offsets.append(offset)
        sizes.append(len(line))
        offset += len(line) + 1
    made = TempStore()
    left_out = 0
    for place in sorted(range(len(seqs)), key=seqs.__getitem__):
        if seqs[place] == made.last:
            left_out += 1
            continue
        made.add(seqs[place], spool.at(offsets[place], sizes[place]))
    return made, left_out
