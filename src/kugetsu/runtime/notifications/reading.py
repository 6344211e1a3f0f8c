"""The notifications in a log, read backwards from the head so that the newest are found first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kugetsu.runtime.notifications.notice import Notice, located, notice_of
from kugetsu.runtime.workspace import Workspace

#: Events read back from the head first; each further step is twice as long.
FIRST_LOOK = 500
#: Events read back from the head at most: half a second's worth.
LOOK_BACK = 50_000


@dataclass(frozen=True, slots=True)
class Found:
    """``notices``, the oldest first; ``more``: older ones exist, or were not read: then ``looked_from`` is the first
    event read, else 0."""

    notices: list[Notice]
    more: bool
    looked_from: int


def latest(ws: Workspace, *, after: int, until: int, limit: int) -> Found:
    """The latest ``limit`` notifications between the events ``after`` and ``until``."""
    found: list[Notice] = []
    lowest = max(after, until - LOOK_BACK)
    high, step = until, FIRST_LOOK
    while high > lowest and len(found) <= limit:
        low = max(lowest, high - step)
        found = [*_of(ws, low, high), *found]
        high, step = low, step * 2
    more = len(found) > limit
    cut_off = not more and lowest > after
    kept = found[len(found) - limit :] if more else found
    state, servers = ws.state(), ws.config.servers()
    return Found([located(notice, state, servers) for notice in kept], more or cut_off, lowest if cut_off else 0)


def of_seqs(ws: Workspace, seqs: Iterable[int]) -> list[Notice]:
    """The notifications of these events."""
    wanted = set(seqs)
    state, servers = ws.state(), ws.config.servers()
    return [located(notice, state, servers) for notice in _of(ws, min(wanted) - 1, max(wanted)) if notice.seq in wanted]


def following(ws: Workspace, after: int) -> Iterator[Notice | None]:
    """Notifications after the event ``after`` as they come; None at least once a second without any."""
    for event in ws.log.follow(after):
        notice = notice_of(event) if event is not None else None
        if notice is not None:
            located(notice, ws.state(), ws.config.servers())
        if notice is not None or event is None:
            yield notice


def _of(ws: Workspace, after: int, until: int) -> list[Notice]:
    return [notice for event in ws.log.read(after, until) if (notice := notice_of(event)) is not None]
