"""WHEN: a point of the log as one types it: `214`, `@`, `@-3`, an ISO time, `10m ago`."""

from __future__ import annotations

import time

from kugetsu.log import transactions
from kugetsu.log.protocol import EventLog
from kugetsu.model import clock
from kugetsu.model.errors import BadInput, NotFound
from kugetsu.model.record import record

FORMS = "a seq (214), @ (now), @-3, a time (2026-11-23T10:00:02Z, 2026-11-23T10:00, 2026-11-23) or 10m ago"
COMING = "18:00 (today or tomorrow), 2h, or 2026-11-23T18:00"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@record
class When:
    """A point: ``seq`` an event, ``back`` so many events before the last, or ``at`` a UTC time; one of them is set."""

    seq: int | None = None
    back: int | None = None
    at: str | None = None


def parse(text: str, now: str) -> When:
    """The point that ``text`` names; a time without a zone is this machine's. Raises BadInput."""
    text = " ".join(text.split())
    if text.isascii() and text.isdigit() and len(text) < 16:
        return When(seq=int(text))
    if text.startswith("@"):
        back = text[2:] if text[1:2] == "-" else ""
        if text == "@" or (back.isascii() and back.isdigit() and len(back) < 16):
            return When(back=int(back or "0"))
        raise _unknown(text)
    if text.endswith(" ago"):
        return When(at=clock.add_seconds(now, -_span(text)))
    return When(at=_time(text))


def until(text: str, now: str) -> str:
    """The coming time that ``text`` names: `18:00` (this machine's, today or tomorrow), `2h`, or a time as `parse`
    takes it. Raises BadInput, also for one that is over."""
    text = " ".join(text.split())
    if text[-1:] in _UNITS and text[:-1].isascii() and text[:-1].isdigit():
        span = _span(f"{text} ago")
        if span > 0:
            return clock.add_seconds(now, span)
    elif text[-3:-2] == ":" and len(text) in (4, 5):
        return _next(text, now)
    elif text[4:5] == text[7:8] == "-":
        at = _time(text)
        if at > now:
            return at
        raise BadInput(f"{text[:60]} is over", f"write {COMING}")
    raise _not_coming(text)


def _next(text: str, now: str) -> str:
    """When this machine's clock next shows ``text``; a day later, because a day may have 23 or 25 hours."""
    for days in (0, 1):
        t = time.localtime(clock.parse(now) // 1_000_000 + days * 86_400)
        try:
            at = _time(f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}T{text:0>5}")
        except BadInput as problem:
            raise _not_coming(text) from problem
        if at > now:
            return at
    raise _not_coming(text)


def _not_coming(text: str) -> BadInput:
    return BadInput(f"not a coming time: {text[:60]!r}", f"write {COMING}")


def is_point(text: str) -> bool:
    """Whether ``text`` is written as a point; any other word may be a name."""
    return text.isdigit() or text.startswith("@") or text.endswith(" ago") or (text[4:5] == text[7:8] == "-")


def _span(text: str) -> float:
    number, unit = text[:-5].strip(), text[-5:-4]
    if unit not in _UNITS or not (number.isascii() and number.isdigit() and len(number) < 8):
        raise _unknown(text)
    return float(int(number) * _UNITS[unit])


def _time(text: str) -> str:
    whole = text
    if len(text) == 10:
        whole += "T00:00:00"
    elif len(text) == 16:
        whole += ":00"
    try:
        micros = clock.parse(whole)
    except BadInput as problem:
        raise _unknown(text) from problem
    if whole[-1] not in "Zz" and whole[-6:-5] not in ("+", "-"):
        # What was taken for UTC is a reading of this machine's clock: the zone's distance at that time is taken off.
        seconds, fraction = divmod(micros, 1_000_000)
        micros = round(time.mktime((*time.gmtime(seconds)[:8], -1))) * 1_000_000 + fraction
    return clock.from_micros(micros)


def _unknown(text: str) -> BadInput:
    return BadInput(f"not a point in time: {text[:60]!r}", f"write {FORMS}")


def state_of(log: EventLog, when: When) -> tuple[int | None, str | None]:
    """The seq after which there was a state, or (None, time): a seq in a transaction means the state after all of it,
    because before that nothing was so yet. Raises NotFound for an event that is not there."""
    seq, at = resolve(log, when)
    if seq is None:
        return None, at

    return transactions.last_of(log, seq), None


def resolve(log: EventLog, when: When) -> tuple[int | None, str | None]:
    """The very event that is meant, its seq, or (None, time). Raises NotFound for an event that is not there."""
    if when.at is not None:
        return None, when.at
    head = log.head().seq
    seq = when.seq if when.seq is not None else head - (when.back or 0)
    if not 0 <= seq <= head:
        known = f"the log has events 1 to {head}" if head else "the log is empty"
        raise NotFound(f"no event {seq}: {known}", "kugetsu history --all" if head else "kugetsu init")
    return seq, None
