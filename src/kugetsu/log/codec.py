"""Events as lines: how new_events become bytes, and how a block of bytes becomes verified events.

A line is the event's JSON with ``sha`` as its last key: the first 32 hex digits of SHA-256 over the previous line's
``sha`` (32 ASCII bytes) and this line's bytes before ``,"sha":``. The first line's predecessor is 32 zeros.
"""

from __future__ import annotations

from kugetsu.domain.events import PRESENT, validation
from kugetsu.model import jsontext, lean
from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.new_event import NewEvent


GENESIS = b"0" * 32
"""The digest before the first event."""

DIGEST_SIZE = 32
"""Hex digits of a line's digest."""

_PREFIX = b',"sha":"'
_SUFFIX = b'"}'
TAIL_SIZE = len(_PREFIX) + DIGEST_SIZE + len(_SUFFIX)
"""Bytes of a line from ``,"sha":`` to its end, without the newline."""

_LONG = 1000
"""Bytes from which a line is checked for too deep nesting: shorter ones are harmless."""

_LARGE = 1536 * 1024
"""Bytes from which OpenSSL's digest (0.45 µs a line instead of 1.3 µs) is worth its import of 3 ms."""

_sha256: Callable[[bytes], Any] = lean.sha256()
_hashed = 0


def _hash_for(size: int) -> Callable[[bytes], Any]:
    """SHA-256 for ``size`` more bytes: a process that has much to hash switches to OpenSSL's."""
    global _hashed, _sha256
    if _hashed < _LARGE:
        _hashed += size
        if _hashed >= _LARGE:
            import hashlib

            _sha256 = hashlib.sha256
    return _sha256


def digest(previous: bytes, body: bytes) -> bytes:
    """The digest (32 hex bytes) of a line whose bytes before ``,"sha":`` are ``body``."""
    hexdigest: str = _hash_for(len(body))(previous + body).hexdigest()
    return hexdigest[:DIGEST_SIZE].encode()


def seal(previous: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Close a JSON object (``body`` without its last brace) with its digest: the line without newline, the digest."""
    sha = digest(previous, body)
    return body + _PREFIX + sha + _SUFFIX, sha


def verified(previous: bytes, line: bytes) -> bytes | None:
    """The digest of ``line`` (no newline) if it follows ``previous``; None if it does not verify."""
    body = line[:-TAIL_SIZE]
    sha = digest(previous, body)
    return sha if line[-TAIL_SIZE:] == _PREFIX + sha + _SUFFIX else None


def stated(line: bytes) -> bytes | None:
    """The digest that a line (no newline) claims to have, unchecked; None if it does not end with one."""
    tail = line[-TAIL_SIZE:]
    sha = tail[len(_PREFIX) : -len(_SUFFIX)]
    if len(tail) != TAIL_SIZE or not tail.startswith(_PREFIX) or not tail.endswith(_SUFFIX):
        return None
    return sha if not sha.strip(b"0123456789abcdef") else None


def encode(
    new_events: Sequence[NewEvent], first_seq: int, previous: bytes, at: str, by: dict[str, Any]
) -> tuple[list[bytes], bytes]:
    """One transaction: its lines (without newlines), and the digest of the last one.

    Raises TypeError or ValueError if a new_event cannot be written: a cause that points outside, a second decision,
    a value that is not JSON. Nothing has been written then.
    """
    if any(new_event.decision is not None for new_event in new_events[1:]):
        raise ValueError("a transaction is one decision: combine several under a decision of their own")
    lines: list[bytes] = []
    last = len(new_events) - 1
    for place, new_event in enumerate(new_events):
        seq = first_seq + place
        event = _envelope(new_event, seq, at, last - place, by)
        line, previous = seal(previous, _dumps(event)[:-1])
        lines.append(line)
    return lines, previous


def events_of(lines: list[bytes]) -> list[Event]:
    """The events exactly as every reader sees them: read back, since JSON has no tuples and no number keys."""
    return [jsontext.loads(line) for line in lines]


def _envelope(new_event: NewEvent, seq: int, at: str, more: int, by: dict[str, Any]) -> Event:
    event: Event = {"seq": seq, "at": at, "type": new_event.type, "v": PRESENT[new_event.type]}
    if new_event.issue is not None:
        event["issue"] = new_event.issue
    if new_event.task is not None:
        event["task"] = new_event.task
    if new_event.attempt is not None:
        event["attempt"] = new_event.attempt
    if new_event.session is not None:
        event["session"] = new_event.session
    cause = new_event.cause
    if cause is not None:
        if cause < 0:
            cause += seq
        if not 0 < cause < seq:
            raise ValueError(f"the cause of {new_event.type} (event {seq}) is {new_event.cause}: not an earlier event")
        event["cause"] = cause
    if more:
        event["more"] = more
    event["by"] = by
    if new_event.decision is not None:
        event["decision"] = new_event.decision
        if new_event.arguments is not None:
            event["arguments"] = new_event.arguments
    event["data"] = new_event.data
    if new_event.facts is not None:
        event["facts"] = new_event.facts
    return event


def _dumps(event: Event) -> bytes:
    try:
        return jsontext.dumps(event)
    except TypeError as error:
        if "UTF-8" not in str(error):
            raise
        # Arguments and file names that are not UTF-8 reach Python as lone surrogates, which JSON cannot carry.
        clean: bytes = jsontext.dumps(_printable(event))
        return clean


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    return value


@record
class Block:
    """The verified, committed events at the start of some bytes of a segment.

    ``size`` is their length in bytes and ``sha`` the digest of the last one; ``rest`` is True if bytes were
    left over: an unfinished line, or a transaction whose last event is not there yet.
    """

    events: list[Event]
    lines: list[bytes]
    size: int
    sha: bytes
    rest: bool


class UnverifiedError(Exception):
    """A whole line of a block does not verify, or does not have an event's shape (``kind``: ``digest`` or ``shape``);
    ``place`` and ``offset`` (within the block) locate it."""

    def __init__(self, place: int, offset: int, text: str, kind: str = "digest") -> None:
        super().__init__(text)
        self.place = place
        self.offset = offset
        self.text = text
        self.kind = kind


def decode(block: bytes, seq: int, sha: bytes, *, settle: bool = True) -> Block:
    """Read the committed events at the start of ``block``, which follow event ``seq`` with digest ``sha``.

    Without ``settle`` only the digests and the times are checked: anything else wrong with an event is left to a fold
    that survives it.

    Raises UnverifiedError if a whole line (one with its newline) was changed, or is not an event.
    """
    end = block.rfind(b"\n") + 1
    if not end:
        return Block([], [], 0, sha, bool(block))
    lines = block[: end - 1].split(b"\n")
    events = _load(lines)
    hashed = _hash_for(end)
    if events is None or len(events) != len(lines):
        raise _first_bad(lines, sha)
    previous = sha
    try:
        for line, event in zip(lines, events, strict=False):
            # The digest covers all but the line's last 42 bytes, and only one form of those parses to it.
            if hashed(previous + line[:-TAIL_SIZE]).hexdigest()[:DIGEST_SIZE] != event["sha"]:
                raise _first_bad(lines, sha)
            previous = line[-34:-2]
    except (KeyError, TypeError) as error:
        raise _first_bad(lines, sha) from error
    if settle:
        place = validation.settle(events, deep=_may_be_deep(lines))
    else:
        place = None if validation.have_times(events) else validation.first_misshapen(events)
    if place is not None:
        text = f"it verifies, but is not an event: {validation.misshapen(events[place])}"
        raise UnverifiedError(place, sum(len(line) + 1 for line in lines[:place]), text, "shape")
    return _committed(block, end, lines, events, seq, sha, previous)


def decode_trusted(block: bytes, sha: bytes) -> Block:
    """As `decode`, for lines that were checked when they were unpacked: no digest is verified, events may be missing
    between two of them, and every whole line counts.

    Raises UnverifiedError for lines that cannot be read nevertheless.
    """
    end = block.rfind(b"\n") + 1
    if not end:
        return Block([], [], 0, sha, bool(block))
    lines = block[: end - 1].split(b"\n")
    events = _load(lines)
    if events is None or len(events) != len(lines):
        raise UnverifiedError(0, 0, "the lines cannot be read together")
    if validation.settle(events, deep=_may_be_deep(lines)) is not None:
        raise UnverifiedError(0, 0, "not an event", "shape")
    return Block(events, lines, end, lines[-1][-34:-2], end < len(block))


def event_of(line: bytes) -> Event | None:
    """The event in a line, as every reader sees it; None if it is not JSON, or not an event. Its digest is not
    checked."""
    try:
        event = jsontext.loads(line)
    except jsontext.JSONError:
        return None
    if not isinstance(event, dict):
        return None
    events: list[Event] = [event]
    return events[0] if validation.settle(events, deep=_may_be_deep([line])) is None else None


def events_in(lines: list[bytes]) -> list[Event | None]:
    """As `event_of` of each line, at half the cost if all are events."""
    try:
        events: list[Any] = [jsontext.loads(line) for line in lines]
    except jsontext.JSONError:
        return [event_of(line) for line in lines]
    whole = all(isinstance(event, dict) for event in events)
    if whole and validation.settle(events, deep=_may_be_deep(lines)) is None:
        return events
    return [event_of(line) for line in lines]


def _may_be_deep(lines: list[bytes]) -> bool:
    if max(map(len, lines), default=0) < _LONG:
        return False
    return any(len(line) >= _LONG and line.count(b"[") + line.count(b"{") > validation.DEEPEST for line in lines)


def _load(lines: list[bytes]) -> list[Event] | None:
    try:
        events: list[Event] = jsontext.loads(b"[" + b",".join(lines) + b"]")
    except jsontext.JSONError:
        return None
    return events


def _committed(
    block: bytes, end: int, lines: list[bytes], events: list[Event], seq: int, sha: bytes, last: bytes
) -> Block:
    """Drop the events of an incomplete transaction at the end, and check that seqs are consecutive."""
    count = len(events)
    whole = count
    while whole and "more" in events[whole - 1]:
        whole -= 1
    size = end
    if whole < count:
        size -= sum(map(len, lines[whole:])) + count - whole
        last = lines[whole - 1][-34:-2] if whole else sha
        del events[whole:], lines[whole:]
    if whole and (events[0].get("seq") != seq + 1 or events[-1].get("seq") != seq + whole):
        raise UnverifiedError(0, 0, f"event {seq + 1} was expected, found event {events[0].get('seq')}")
    return Block(events, lines, size, last, size < len(block))


def _first_bad(lines: list[bytes], sha: bytes) -> UnverifiedError:
    offset = 0
    for place, line in enumerate(lines):
        if (following := verified(sha, line)) is None:
            return UnverifiedError(place, offset, blame(line))
        sha = following
        offset += len(line) + 1
    return UnverifiedError(0, 0, "the lines cannot be read together")


def blame(line: bytes) -> str:
    """What is wrong with a line that does not verify, in words."""
    try:
        event = jsontext.loads(line)
    except jsontext.JSONError as error:
        return f"the line is not JSON ({error} of the line)"
    if not isinstance(event, dict) or "seq" not in event:
        return "the line is not an event"
    return "the line's digest does not fit: it was changed, or lines before it are missing, repeated or swapped"
