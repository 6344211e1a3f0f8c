"""Snapshots of the fold: the latest, from which a command folds on, and periodic ones, close to every past point.

Disposable. A snapshot is used only if it is whole (its own digest), of this version, and the log has its event at its
place; otherwise the fold starts earlier. None is synced: after a power cut it may be newer than the log, and then does
not fit. They are written in passing, by one process at a time and never under the log's lock.
"""

from __future__ import annotations

import os

from kugetsu.log.codec import GENESIS, seal
from kugetsu.log.files.block_reader import BlockReader, CollectionPaused
from kugetsu.log.files.segments import Cursor, cursor_in, fits, read_sealed
from kugetsu.model import jsontext
from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.log.projection import Projection

LATEST = "checkpoint"
"""The file of the latest snapshot."""
PERIODIC = "milestones"
"""The folder of the periodic ones, each named by its seq."""

_INDEX_STRIDE = 5_000
"""Events (15 ms) by which the index is extended in passing; if it is further behind, its next reader extends it."""


@record
class Snapshot:
    """A state (as the projection dumped it), the place after the last event folded into it, and its size in bytes."""

    cursor: Cursor
    state: Any
    size: int


def read(directory: str, version: str, name: str = LATEST) -> Snapshot | None:
    """The stored snapshot if it is whole and of this version, whether or not it fits the log."""
    path = os.path.join(directory, name)
    content = read_sealed(path)
    if content is None or content.get("version") != version:
        return None
    try:
        size = os.stat(path).st_size
    except OSError:
        return None
    return Snapshot(cursor_in(content), content["state"], size)


def load(directory: str, version: str, name: str = LATEST) -> Snapshot | None:
    """The snapshot, if valid (see the module)."""
    found = read(directory, version, name)
    return found if found is not None and fits(directory, found.cursor) else None


def store(directory: str, version: str, cursor: Cursor, state: Any, name: str = LATEST) -> int:
    """Write a snapshot atomically; returns its size in bytes. Raises OSError if the folder cannot be written."""
    content = {
        "seq": cursor.seq,
        "segment": cursor.segment,
        "offset": cursor.offset,
        "last": cursor.sha.decode(),
        "version": version,
        "state": state,
    }
    data, _ = seal(GENESIS, jsontext.dumps(content)[:-1])
    path = os.path.join(directory, name)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        import contextlib

        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return len(data)


# -- the latest ------------------------------------------------------------------------------------------------


def mark_start(directory: str, projection: Projection[Any]) -> None:
    """Write the snapshot of a short log: at its start, of the empty state.

    Every command still reads and verifies the whole log, which is cheap while it is short; but it need not compute
    again what comes with a dumped state (the memo of the state machines).
    """
    try:
        guard = _guard(directory)
        if guard is None:
            return
        try:
            if not os.path.exists(os.path.join(directory, LATEST)):
                store(directory, projection.VERSION, Cursor(), projection.dump(projection.empty()))
        finally:
            os.close(guard)
    except OSError:
        return  # an unwritable folder is not an error: the file only saves time


def refresh(
    directory: str, projection: Projection[Any], cursor: Cursor, state: Any, due: int, every: int
) -> tuple[int, int]:
    """Write the latest snapshot, of ``state`` at ``cursor``, unless another process just did, and a periodic one after
    ``every`` events; extend the index to it.

    Returns the seq and the size in bytes of the snapshot to count from. An unwritable folder is not an error: the files
    only save time.
    """
    from kugetsu.log.files import index

    try:
        guard = index.try_guard(directory)
        if guard is None:
            return cursor.seq - due + due // 8, due * 1000  # another process is writing: retry later
        try:
            found = load(directory, projection.VERSION)
            if found is not None and cursor.seq - found.cursor.seq < due:
                return found.cursor.seq, found.size
            if found is None or cursor.seq // every > found.cursor.seq // every:
                keep(directory, projection, cursor, state, every)
            size = store(directory, projection.VERSION, cursor, projection.dump(state))
            index.extend(directory, at_most=_INDEX_STRIDE)
            return cursor.seq, size
        finally:
            os.close(guard)
    except OSError:
        return cursor.seq, 0


# -- periodic ones ---------------------------------------------------------------------------------------------


def keep(directory: str, projection: Projection[Any], cursor: Cursor, state: Any, every: int) -> None:
    """Write the periodic snapshot of ``state`` at ``cursor``, unless its ``every`` events have one. Raises OSError."""
    folder = os.path.join(directory, PERIODIC)
    same = [seq for seq in _seqs(folder) if seq // every == cursor.seq // every]
    if cursor.seq < every or any(_believed(directory, projection, seq) for seq in same):
        return
    os.makedirs(folder, mode=0o700, exist_ok=True)
    store(directory, projection.VERSION, cursor, projection.dump(state), name=_name(cursor.seq))


def state_at(
    directory: str, projection: Projection[Any], seq: int | None, at: str | None, every: int, *, trusted: bool = False
) -> Any:
    """The state after event ``seq``, or before the first event later than ``at``; a new object.

    Raises LogDamaged.
    """
    start = _nearest(directory, projection, seq, at)
    state = projection.empty() if start is None else projection.load(start.state)
    tail = BlockReader(directory, Cursor() if start is None else start.cursor.copy(), settle=False, trusted=trusted)
    try:
        guard = _guard(directory) if os.path.isdir(directory) else None
    except OSError:
        guard = None
    try:
        with CollectionPaused():
            while (block := tail.next_block()) is not None:
                try:
                    for event in block.events:
                        if _is_beyond(event, seq, at):
                            return state
                        projection.fold(state, event)
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise tail.refused(block) or error from error
                before = tail.cursor.seq
                tail.advance(block)
                if guard is not None and tail.cursor.seq // every > before // every:
                    try:
                        keep(directory, projection, tail.cursor, state, every)
                    except OSError:
                        continue  # it only saves time
        return state
    finally:
        tail.close()
        if guard is not None:
            os.close(guard)


def _is_beyond(event: Event, seq: int | None, at: str | None) -> bool:
    return (seq is not None and event["seq"] > seq) or (at is not None and event["at"] > at)


def _guard(directory: str) -> int | None:
    from kugetsu.log.files import index

    return index.try_guard(directory)


def _nearest(directory: str, projection: Projection[Any], seq: int | None, at: str | None) -> Snapshot | None:
    """The last periodic snapshot not beyond the point, found by bisection; None: start from the beginning.

    Clocks go back, the order of events does not: compares the latest time of all events up to a snapshot.
    """
    seqs = [each for each in _seqs(os.path.join(directory, PERIODIC)) if seq is None or each <= seq]
    found: Snapshot | None = None
    low, high = 0, len(seqs)
    while low < high:
        middle = (low + high) // 2 if at is not None else high - 1
        each = _believed(directory, projection, seqs[middle])
        if each is None:
            del seqs[middle]
            high -= 1
        elif at is not None and projection.latest(projection.load(each.state)) > at:
            high = middle
        else:
            found, low = each, middle + 1
    return found


def _believed(directory: str, projection: Projection[Any], seq: int) -> Snapshot | None:
    found = load(directory, projection.VERSION, name=_name(seq))
    return found if found is not None and found.cursor.seq == seq else None


def _name(seq: int) -> str:
    return os.path.join(PERIODIC, f"{seq:020d}")


def _seqs(folder: str) -> list[int]:
    try:
        entries = os.listdir(folder)
    except OSError:
        return []
    return sorted(int(entry) for entry in entries if len(entry) == 20 and entry.isdecimal())
