"""The boundaries of transactions: no state exists between two events of one."""

from __future__ import annotations

from kugetsu.domain.events import Event
from kugetsu.log.protocol import EventLog

_LOOK = 64
"""Events read at first to find the start of a transaction; most have only a few."""


def last_of(log: EventLog, seq: int) -> int:
    """The last event of the transaction of event ``seq``; ``seq`` itself if there is no such event."""
    found = next(iter(log.read(after=seq - 1, until=seq)), None) if seq > 0 else None
    return _end(found) if found is not None else seq


def first_of(log: EventLog, seq: int) -> int:
    """The first event of the transaction of event ``seq``; ``seq`` itself if there is no such event."""
    last, first, look = last_of(log, seq), seq, _LOOK
    while first > 1:
        before = list(log.read(after=max(first - 1 - look, 0), until=first - 1))
        for event in reversed(before):
            if _end(event) != last:
                return first
            first = int(event["seq"])
        if not before:
            break
        look *= 8
    return first


def _end(event: Event) -> int:
    """Its transaction's last seq: each event has the number of those that follow it."""
    return int(event["seq"]) + int(event.get("more", 0))
