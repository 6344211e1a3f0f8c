"""Compares a transaction with the decision made now: the first differing event, where it differs, and the category."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from kugetsu.domain.events import PRESENT, Event, upcast
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.verdict import Verdict
from kugetsu.model import REDACTED as MARK
from kugetsu.model.record import record

if TYPE_CHECKING:
    #: How the two sides differ.
    Found = Literal["missing", "unexpected", "different"]
    #: The category: `config` and `code version` explain one of the others.
    Category = Literal["missing", "unexpected", "different", "config", "code version"]

#: The fields that a decision sets, in the order of report; the log adds the others.
DECIDED = ("type", "task", "attempt", "session", "issue", "data", "facts", "cause")
#: The most places of a difference that are reported.
MOST_PLACES = 20
#: A text of which a bundle keeps only the length.
_MEASURED = re.compile(r"\[\d+ characters\]\??")
#: Represents a value that one side lacks.
ABSENT = "(absent)"


@record
class Place:
    """Where two events differ: a path (``data.slot``), and its value on each side."""

    path: str
    recorded: Any
    decided: Any


class Mismatch:
    """The first event in which two sides differ. ``recorded`` is None if it is missing, ``decided`` if it is not
    decided now; ``seq`` is its own, or that which a missing one would have."""

    __slots__ = ("decided", "found", "places", "recorded", "seq")

    def __init__(self, found: Found, seq: int, recorded: Event | None, decided: Event | None) -> None:
        self.found: Found = found
        self.seq = seq
        self.recorded = recorded
        self.decided = decided
        self.places = _places(recorded, decided) if recorded is not None and decided is not None else []


@record
class Tried:
    """A setting, the value that the facts name, and the one that the transaction fits; both as written in the file."""

    fact: str
    key: str
    recorded: str
    would: str


class Divergence(Mismatch):
    """A mismatch and its explanation.

    ``refusal`` is the error of the decision now, or the closed gate; ``setting`` the value of a setting that it fits,
    ``missing_fact`` the fact that it does not record, ``written_by`` the version that wrote it (None: unknown), ``by``
    and ``at`` who and when.
    """

    __slots__ = ("at", "by", "category", "first", "last", "missing_fact", "refusal", "setting", "written_by")

    def __init__(
        self,
        mismatch: Mismatch,
        group: Sequence[Event],
        *,
        category: Category,
        refusal: Exception | Verdict | None = None,
        setting: Tried | None = None,
        missing_fact: str | None = None,
    ) -> None:
        super().__init__(mismatch.found, mismatch.seq, mismatch.recorded, mismatch.decided)
        self.category: Category = category
        self.refusal = refusal
        self.setting = setting
        self.missing_fact = missing_fact
        self.first, self.last = group[0]["seq"], group[-1]["seq"]
        self.at: str = group[0]["at"]
        self.by: dict[str, Any] = group[0].get("by", {})
        self.written_by: str | None = version_of(group[0])


def version_of(event: Event) -> str | None:
    """The version of kugetsu that wrote an event; None if not recorded."""
    version = event.get("by", {}).get("kugetsu")
    return str(version) if version is not None else None


def agree(group: Sequence[Event], new_events: Sequence[NewEvent]) -> bool:
    """A quick comparison of new_events with events: True is certain, False is not."""
    if len(group) != len(new_events):
        return False
    for event, new_event in zip(group, new_events, strict=True):
        cause = new_event.cause
        if cause is not None and cause < 0:
            cause += event["seq"]
        if (
            event["type"] != new_event.type
            or event.get("task") != new_event.task
            or event.get("attempt") != new_event.attempt
            or event.get("session") != new_event.session
            or event.get("issue") != new_event.issue
            or event.get("cause") != cause
            or event["data"] != new_event.data
            or event.get("facts") != new_event.facts
        ):
            return False
    return True


def mismatch(group: Sequence[Event], new_events: Sequence[NewEvent]) -> Mismatch | None:
    """The first event in which a transaction (its events in their present versions) and the new_events differ."""
    first = group[0]["seq"]
    decided = [event_of(new_event, first + place) for place, new_event in enumerate(new_events)]
    recorded = [told(event) for event in group]
    for place in range(max(len(recorded), len(decided))):
        left = recorded[place] if place < len(recorded) else None
        right = decided[place] if place < len(decided) else None
        if left is None or (right is not None and _comes_later(left, right, decided[place:], recorded[place:])):
            return Mismatch("missing", first + place, None, right)
        if right is None or left["type"] != right["type"]:
            at = _telling(place, recorded, decided)
            return Mismatch("unexpected", first + at, group[at], None)
        if not _same(left, right):
            return Mismatch("different", first + place, group[place], right)
    return None


def _subject(event: Event) -> tuple[Any, ...]:
    return event["type"], event.get("task"), event.get("session")


def _comes_later(one: Event, other: Event, others: Sequence[Event], ones: Sequence[Event]) -> bool:
    """Whether ``other`` is an extra event before ``one``: ``one`` follows it, and its own side lacks it."""
    return any(_subject(one) == _subject(event) for event in others[1:]) and all(
        _subject(other) != _subject(event) for event in ones
    )


def _telling(place: int, recorded: Sequence[Event], decided: Sequence[Event]) -> int:
    """Of the events from ``place`` on that are not decided, the one that was decided from facts: the others come with
    it."""
    known = [_subject(event) for event in decided]
    extra = [at for at in range(place, len(recorded)) if _subject(recorded[at]) not in known]
    return next((at for at in extra if "facts" in recorded[at]), place)


def told(event: Event) -> Event:
    """The decided fields of an event."""
    return {name: event[name] for name in DECIDED if name in event}


def event_of(new_event: NewEvent, seq: int) -> Event:
    """The same of the event that a new_event would become."""
    cause = new_event.cause + seq if new_event.cause is not None and new_event.cause < 0 else new_event.cause
    made = {
        "type": new_event.type,
        "task": new_event.task,
        "attempt": new_event.attempt,
        "session": new_event.session,
        "issue": new_event.issue,
        "data": plain(new_event.data),
        "facts": plain(new_event.facts),
        "cause": cause,
    }
    return {name: value for name, value in made.items() if value is not None}


def plain(value: Any) -> Any:
    """A value after a JSON round trip."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def present(group: Sequence[Event]) -> Sequence[Event]:
    """The events in the present versions of their kinds."""
    for event in group:
        if event["v"] != PRESENT[event["type"]]:
            break
    else:
        return group

    return [upcast(event) for event in group]


def _places(recorded: Event, decided: Event) -> list[Place]:
    places: list[Place] = []
    left, right = told(recorded), told(decided)
    for name in DECIDED:
        _compare(name, left.get(name, ABSENT), right.get(name, ABSENT), places)
    return places[:MOST_PLACES]


def _same(recorded: Any, decided: Any) -> bool:
    places: list[Place] = []
    _compare("", recorded, decided, places)
    return not places


def _is_taken_out(recorded: Any, decided: Any) -> bool:
    """Whether a text was redacted, before it was written or in a bundle, and so cannot be compared."""
    return (
        isinstance(recorded, str)
        and isinstance(decided, str)
        and (MARK in recorded or _MEASURED.fullmatch(recorded) is not None)
    )


def _compare(path: str, left: Any, right: Any, places: list[Place]) -> None:
    if left == right or _is_taken_out(left, right):
        return
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(key for key in right if key not in left)]:
            _compare(f"{path}.{key}", left.get(key, ABSENT), right.get(key, ABSENT), places)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for at, (one, other) in enumerate(zip(left, right, strict=True)):
            _compare(f"{path}[{at}]", one, other, places)
    else:
        places.append(Place(path, left, right))
