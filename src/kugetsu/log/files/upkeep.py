"""Keeping the disposable files fresh: checkpoint and index, one process at a time, never under the log's lock."""

from __future__ import annotations

import os
from typing import Any

from kugetsu.log.files import index, latest_snapshot, periodic_snapshots
from kugetsu.log.files.segments import Cursor
from kugetsu.log.projection import Projection

_INDEX_STRIDE = 5_000
"""Events (15 ms) that the index is extended by on the side; when it is further behind, its next reader does it."""


def mark_start(directory: str, projection: Projection[Any]) -> None:
    """Write the checkpoint of a short log: one at its start, of the empty state.

    All of the log is still read and verified by every command, which is cheap while it is short; but what comes with a
    dumped state (the domain keeps what its machines gave) need not be worked out again by each of them.
    """
    try:
        guard = index.try_guard(directory)
        if guard is None:
            return
        try:
            if not os.path.exists(os.path.join(directory, latest_snapshot.NAME)):
                latest_snapshot.store(directory, projection.VERSION, Cursor(), projection.dump(projection.empty()))
        finally:
            os.close(guard)
    except OSError:
        return  # a folder that cannot be written is no error: the file only saves time


def run(
    directory: str, projection: Projection[Any], cursor: Cursor, state: Any, due: int, every: int
) -> tuple[int, int]:
    """Write a checkpoint of ``state`` at ``cursor`` unless another process just did, and every so many events a
    milestone; extend the index to it.

    Returns the seq and the size in bytes of the checkpoint to count from. A folder that cannot be written is no
    error: the files only save time.
    """
    try:
        guard = index.try_guard(directory)
        if guard is None:
            return cursor.seq - due + due // 8, due * 1000  # someone is at it: look again a little later
        try:
            found = latest_snapshot.load(directory, projection.VERSION)
            if found is not None and cursor.seq - found.cursor.seq < due:
                return found.cursor.seq, found.size
            if found is None or cursor.seq // every > found.cursor.seq // every:
                periodic_snapshots.keep(directory, projection, cursor, state, every)
            size = latest_snapshot.store(directory, projection.VERSION, cursor, projection.dump(state))
            index.extend(directory, at_most=_INDEX_STRIDE)
            return cursor.seq, size
        finally:
            os.close(guard)
    except OSError:
        return cursor.seq, 0
