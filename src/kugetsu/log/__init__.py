"""The event log: the protocol, the engine that keeps it in files, and how the log of a directory is opened."""

from __future__ import annotations

from kugetsu.domain.fold import fold
from kugetsu.domain.state import State, empty
from kugetsu.log.files.engine import FileLog
from kugetsu.log.files.segments import is_shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from kugetsu.domain.new_event import NewEvent
    from kugetsu.log.protocol import EventLog


class DomainProjection:
    """Folds events into the domain's State."""

    def __init__(self) -> None:
        from kugetsu.domain import state_codec

        self.VERSION = state_codec.VERSION
        self.empty: Callable[[], State] = empty
        self.fold: Callable[[State, dict[str, Any]], None] = fold
        self.latest: Callable[[State], str] = lambda state: state.latest
        self.dump: Callable[[State], Any] = state_codec.dump
        self.load: Callable[[Any], State] = state_codec.load


def open_log(
    directory: str,
    *,
    by: dict[str, Any],
    now: Callable[[], str],
    guard: Callable[[Sequence[NewEvent]], Sequence[NewEvent]] | None = None,
) -> EventLog:
    """The event log in ``directory`` (KUGETSU_DIR/log). Opening touches nothing on disk.

    ``by`` is recorded in every event appended through it; ``now`` gives UTC times with microseconds and ``Z``.
    ``guard`` gets every event before it is written, under the lock, and returns what may be written; it is called once
    without events before the lock is taken, to load what it needs. A folder that is the mirror of a shared log opens
    that one: `EventLog.transact` may then raise LogUnreachable.
    """
    if is_shared(directory):
        from kugetsu.log.shared.opening import open_shared

        return open_shared(directory, DomainProjection(), by=by, now=now, guard=guard)
    return FileLog(directory, DomainProjection(), by, now, guard=guard)
