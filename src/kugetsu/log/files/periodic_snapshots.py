"""Milestones: checkpoints kept at intervals, so that the state at any point of the past is near one.

Disposable, as the checkpoint is, and believed under the same conditions. They are written on the side while the log
grows, and by whoever travels through a stretch that has none.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from kugetsu.log.files import index, latest_snapshot
from kugetsu.log.files.block_reader import BlockReader, CollectionPaused
from kugetsu.log.files.latest_snapshot import Checkpoint
from kugetsu.log.files.segments import Cursor
from kugetsu.log.projection import Projection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Event

FOLDER = "milestones"


def keep(directory: str, projection: Projection[Any], cursor: Cursor, state: Any, every: int) -> None:
    """Write the milestone of ``state`` at ``cursor``, unless its ``every`` events have one. Raises OSError."""
    folder = os.path.join(directory, FOLDER)
    same = [seq for seq in _seqs(folder) if seq // every == cursor.seq // every]
    if cursor.seq < every or any(_believed(directory, projection, seq) for seq in same):
        return
    os.makedirs(folder, mode=0o700, exist_ok=True)
    latest_snapshot.store(directory, projection.VERSION, cursor, projection.dump(state), name=_name(cursor.seq))


def state_at(directory: str, projection: Projection[Any], seq: int | None, at: str | None, every: int) -> Any:
    """The state after event ``seq``, or before the first event that is later than ``at``; a state of its own.

    Raises LogDamaged.
    """
    start = _nearest(directory, projection, seq, at)
    state = projection.empty() if start is None else projection.load(start.state)
    tail = BlockReader(directory, Cursor() if start is None else start.cursor.copy(), settle=False)
    guard = _guard(directory)
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
                    with contextlib.suppress(OSError):  # it only saves time
                        keep(directory, projection, tail.cursor, state, every)
        return state
    finally:
        tail.close()
        if guard is not None:
            os.close(guard)


def _is_beyond(event: Event, seq: int | None, at: str | None) -> bool:
    return (seq is not None and event["seq"] > seq) or (at is not None and event["at"] > at)


def _guard(directory: str) -> int | None:
    try:
        return index.try_guard(directory) if os.path.isdir(directory) else None
    except OSError:
        return None


def _nearest(directory: str, projection: Projection[Any], seq: int | None, at: str | None) -> Checkpoint | None:
    """The last milestone that is not beyond the point, found by bisection; None to start from the beginning.

    Clocks go back, the order of events does not: what is compared is the latest time of all events up to a milestone.
    """
    seqs = [one for one in _seqs(os.path.join(directory, FOLDER)) if seq is None or one <= seq]
    found: Checkpoint | None = None
    low, high = 0, len(seqs)
    while low < high:
        middle = (low + high) // 2 if at is not None else high - 1
        one = _believed(directory, projection, seqs[middle])
        if one is None:
            del seqs[middle]
            high -= 1
        elif at is not None and projection.latest(projection.load(one.state)) > at:
            high = middle
        else:
            found, low = one, middle + 1
    return found


def _believed(directory: str, projection: Projection[Any], seq: int) -> Checkpoint | None:
    found = latest_snapshot.load(directory, projection.VERSION, name=_name(seq))
    return found if found is not None and found.cursor.seq == seq else None


def _name(seq: int) -> str:
    return os.path.join(FOLDER, f"{seq:020d}")


def _seqs(folder: str) -> list[int]:
    try:
        entries = os.listdir(folder)
    except OSError:
        return []
    return sorted(int(entry) for entry in entries if len(entry) == 20 and entry.isdecimal())
