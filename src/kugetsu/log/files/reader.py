"""Reads events in order: a range, or continuously as they arrive. Takes no lock and needs no state."""

from __future__ import annotations

import time
from collections.abc import Iterator

from kugetsu.log.files.block_reader import BlockReader
from kugetsu.log.files.segments import Cursor, locate
from kugetsu.log.files.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Event

_IDLE = 1.0
"""Seconds after which `follow` yields None, so that its caller can do other work."""


def read(directory: str, after: int, until: int | None, *, trusted: bool = False) -> Iterator[Event]:
    """The events with ``after`` < seq <= ``until`` that are committed now or while this runs."""
    cursor = locate(directory, after)
    if cursor is None or (until is not None and until <= after):
        return
    tail = BlockReader(directory, cursor, trusted=trusted)
    try:
        yield from _events(tail, after, until)
    finally:
        tail.close()


def read_lines(
    directory: str, after: int, until: int | None, *, trusted: bool = False
) -> Iterator[tuple[Event, bytes]]:
    """As `read`, each with its line as it was written, without the newline."""
    cursor = locate(directory, after)
    if cursor is None or (until is not None and until <= after):
        return
    tail = BlockReader(directory, cursor, trusted=trusted)
    try:
        yield from _lines(tail, after, until)
    finally:
        tail.close()


def _lines(tail: BlockReader, after: int, until: int | None) -> Iterator[tuple[Event, bytes]]:
    while (block := tail.next_block()) is not None:
        for event, line in zip(block.events, block.lines, strict=False):
            if event["seq"] <= after:
                continue
            if until is not None and event["seq"] > until:
                return
            yield event, line
        tail.advance(block)


def _events(tail: BlockReader, after: int, until: int | None = None) -> Iterator[Event]:
    while (block := tail.next_block()) is not None:
        for event in block.events:
            seq: int = event["seq"]
            if seq <= after:
                continue
            if until is not None and seq > until:
                return
            yield event
        tail.advance(block)


def follow(directory: str, after: int) -> Iterator[Event | None]:
    """Events after ``after`` forever; None if there was none for a second."""
    with Watch(directory) as watch:
        tail = BlockReader(directory, locate(directory, after) or Cursor())
        try:
            while True:
                watch.drain()
                fresh = False
                for event in _events(tail, after):
                    fresh = True
                    yield event
                if not fresh:
                    yield from _idle(watch, tail)
        finally:
            tail.close()


def _idle(watch: Watch, tail: BlockReader) -> Iterator[None]:
    deadline = time.monotonic() + _IDLE
    while (left := deadline - time.monotonic()) > 0:
        watch.sleep(left)
        watch.drain()
        if tail.next_block() is not None:
            return
    yield None


def wait(directory: str, after: int, timeout: float) -> bool:
    """Whether an event after ``after`` is committed, now or within ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    tail: BlockReader | None = None
    with Watch(directory) as watch:
        try:
            while True:
                watch.drain()
                if tail is None and (cursor := locate(directory, after)) is not None:
                    tail = BlockReader(directory, cursor)
                if tail is not None and next(_events(tail, after), None) is not None:
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                watch.sleep(left)
        finally:
            if tail is not None:
                tail.close()
