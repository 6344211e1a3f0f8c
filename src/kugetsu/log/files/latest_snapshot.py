"""The checkpoint: the fold at some event, so that a command folds only what came after it.

Disposable. It is believed only when it is whole (its own digest), of this version, and the log really has its event
at its place; otherwise the fold starts from the beginning. It is not synced: after a power cut it may be newer than
the log, and then does not fit.
"""

from __future__ import annotations

import os

from kugetsu.host import atomic
from kugetsu.log.codec import GENESIS, seal
from kugetsu.log.files.segments import Cursor, cursor_in, fits, read_sealed
from kugetsu.model import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "checkpoint"


class Checkpoint:
    """A state (as the projection dumped it) and the place after the last event folded into it."""

    __slots__ = ("cursor", "size", "state")

    def __init__(self, cursor: Cursor, state: Any, size: int) -> None:
        self.cursor = cursor
        self.state = state
        self.size = size


def read(directory: str, version: str, name: str = NAME) -> Checkpoint | None:
    """The checkpoint that is there, when it is whole and of this version; whether it fits the log is not looked at."""
    path = os.path.join(directory, name)
    content = read_sealed(path)
    if content is None or content.get("version") != version:
        return None
    try:
        size = os.stat(path).st_size
    except OSError:
        return None
    return Checkpoint(cursor_in(content), content["state"], size)


def load(directory: str, version: str, name: str = NAME) -> Checkpoint | None:
    """The checkpoint, when it can be believed (see the module)."""
    found = read(directory, version, name)
    return found if found is not None and fits(directory, found.cursor) else None


def store(directory: str, version: str, cursor: Cursor, state: Any, name: str = NAME) -> int:
    """Write a checkpoint atomically: its size in bytes. Raises OSError when the folder cannot be written."""
    content = {
        "seq": cursor.seq,
        "segment": cursor.segment,
        "offset": cursor.offset,
        "last": cursor.sha.decode(),
        "version": version,
        "state": state,
    }
    data, _ = seal(GENESIS, jsontext.dumps(content)[:-1])
    atomic.write(os.path.join(directory, name), data)
    return len(data)
