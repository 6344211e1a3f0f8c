"""What an event must look like for anybody to read it: checked once, where lines become events.

A log's digests tell that a line is what was written, not that kugetsu wrote it: a foreign or hand-made event may hold
a number where a name belongs, or "yesterday" as a time. An event whose envelope is wrong is damage. One whose data
does not fit its kind is handed on as an event of the kind `MALFORMED`, which every reader can show and none acts on.

Keys and kinds that are not declared, and other versions of a kind, are not looked at.
"""

from __future__ import annotations

from kugetsu.domain.events import CATALOGUE, PRESENT
from kugetsu.domain.events.declaration import MALFORMED, SHAPES, TypedDict, keys
from kugetsu.model.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from kugetsu.domain.events import Event

    #: A value's allowed types, and what else must hold of a value of the first of them (None: nothing).
    Rule = tuple[tuple[type[Any], ...], Callable[[Any], bool] | None]
    Fields = tuple[tuple[str, tuple[type[Any], ...], Callable[[Any], bool] | None], ...]
    Checks = tuple[tuple[str, Callable[[Any], bool]], ...]

LARGEST = 1 << 53
"""Numbers from here on are not whole in every reader of JSON."""

DEEPEST = 100
"""Lists and objects within each other; kugetsu writes fewer than ten."""

_TIME = "0000-00-00T00:00:00.000000Z"
_DIGITS = str.maketrans("123456789", "000000000")
_NOTHING = type(None)


class Malformed(TypedDict):
    """What an event of the kind `MALFORMED` says: the kind that it claims, and what is wrong with its data."""

    type: str
    problem: str


_NAMED = {"task": ("task",), "attempt": ("attempt",), "session": ("session",), "counters": ("issue",)}
"""First word of a kind → what its events name in their envelope: every reader finds the record by it."""

_ENVELOPE: dict[str, tuple[type[Any], ...]] = {
    "seq": (int,),
    "at": (str,),
    "type": (str,),
    "v": (int,),
    **dict.fromkeys(("issue", "task", "attempt", "session", "decision", "sha"), (str,)),
    **dict.fromkeys(("cause", "more"), (int,)),
    **dict.fromkeys(("by", "arguments", "data", "facts"), (dict,)),
}
_REQUIRED = ("seq", "at", "type", "v", "data")
_NAMES: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    _NOTHING: "null",
}

_MOST = 1000
"""Shapes and hours that are known by heart."""

_envelopes: set[tuple[Any, ...]] = set()
_met: dict[tuple[Any, ...], Checks] = {}
_fields: dict[str, Fields] = {}
_hours: set[str] = set()
_missing = object()
"""What a key has that is absent: its type stands among those allowed where the key may be absent."""


# --- the envelope ---------------------------------------------------------------------------------------------------


def misshapen(event: Any) -> str | None:
    """What is wrong with the envelope of what should be an event, in words; None when nothing is."""
    if not isinstance(event, dict):
        return "it is not an object"
    for name in _REQUIRED:
        if name not in event:
            return f"it has no {name}"
    for name, value in event.items():
        types = _ENVELOPE.get(name)
        if types is not None and type(value) not in types:
            return f"its {name} is {_NAMES.get(type(value), 'something else')}, not {_NAMES[types[0]]}"
    if not 0 < event["seq"] < LARGEST:
        return "its seq is not a possible number"
    if not is_time(event["at"]):
        return "its at is not a time"
    if is_deep(event):
        return f"it has more than {DEEPEST} lists and objects within each other"
    return None


def is_time(at: str) -> bool:
    """Whether ``at`` is a time as the log writes it: UTC, microseconds, one width."""
    return at.isascii() and at.translate(_DIGITS) == _TIME and _is_moment(at)


def _is_moment(at: str) -> bool:
    """Whether digits in their places are a day and a time of it."""
    from kugetsu.model.clock import parse

    try:
        parse(at)
    except BadInput:
        return False
    return at[17] < "6"


def is_deep(value: Any) -> bool:
    """Whether lists and objects are within each other deeper than `DEEPEST`."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in (dict, list)
        ]
        if not level:
            return False
    return True


# --- a block of events ----------------------------------------------------------------------------------------------


def first_misshapen(events: list[Event]) -> int | None:
    """The place of the first event whose envelope is wrong; None when all are events."""
    return next((place for place, event in enumerate(events) if misshapen(event) is not None), None)


def settle(events: list[Event], *, deep: bool) -> int | None:
    """The place of the first event whose envelope is wrong, None when there is none; those whose data does not fit are
    replaced. ``deep``: some line is long enough to be nested too deep.

    Of an event whose keys and types were met before, only those values are looked at that a type says too little of.
    """
    if deep or not _have_envelopes(events):
        bad = first_misshapen(events)
        if bad is not None:
            return bad
    for place, event in enumerate(events):
        if "by" not in event:
            event["by"] = {}
        data = event["data"]
        checks = _met.get((*event, event["type"], event["v"], *data, *map(type, data.values())))
        if checks is None:
            checks = _meet(event)
        if checks is None or (checks and not all(check(data[name]) for name, check in checks)):
            events[place] = malformed(event)
    return None


def _have_envelopes(events: list[Event]) -> bool:
    """Whether all have one; False also where an event has keys that are not known by heart any more."""
    try:
        for event in events:
            shape = (*event, *map(type, event.values()))
            if shape not in _envelopes:
                if misshapen(event) is not None or len(_envelopes) >= _MOST:
                    return False
                _envelopes.add(shape)
            if not 0 < event["seq"] < LARGEST:
                return False
        return have_times(events)
    except (AttributeError, KeyError, TypeError):
        return False


def have_times(events: list[Event]) -> bool:
    """Whether all events have a time: the digits of all at once, their hours each once. It costs 0.2 µs an event."""
    try:
        times = [event["at"] for event in events]
        joined = "".join(times)
    except (KeyError, TypeError):
        return False
    if joined.translate(_DIGITS) != _TIME * len(times):
        return False
    if joined[14::27].strip("012345") or joined[17::27].strip("012345"):
        return False
    return all(map(_is_hour, {at[:13] for at in times}))


def _is_hour(hour: str) -> bool:
    if hour in _hours:
        return True
    if not _is_moment(f"{hour}:00:00.000000Z"):
        return False
    if len(_hours) >= _MOST:
        _hours.clear()
    _hours.add(hour)
    return True


# --- the data -------------------------------------------------------------------------------------------------------


def malformed(event: Event) -> Event:
    """``event`` as one of the kind `MALFORMED`: its data says what kind it claims to be, and what is wrong."""
    kind = event["type"]
    data = {"type": kind, "problem": _problem(event) or "cannot be read", "data": event["data"]}
    kept = {name: value for name, value in event.items() if name != "facts"}
    return {**kept, "type": MALFORMED, "v": 1, "data": data}


def _meet(event: Event) -> Checks | None:
    """What is still to be looked at in data of these keys and types, from now on known; None when those are wrong."""
    kind, data = event["type"], event["data"]
    fields = _compiled(kind) if event["v"] == PRESENT[kind] else ()
    if any(name not in event for name in _named(kind)):
        return None
    if not all(type(data.get(name, _missing)) in types for name, types, _ in fields):
        return None
    checks = tuple(
        (name, check)
        for name, types, check in fields
        if check is not None and name in data and type(data[name]) is not _NOTHING
    )
    if len(_met) < _MOST:
        _met[(*event, kind, event["v"], *data, *map(type, data.values()))] = checks
    return checks


def _named(kind: str) -> tuple[str, ...]:
    """What an event of this kind must name; a claim is of a task as well. Kinds that nobody knows name nothing."""
    if kind not in CATALOGUE:
        return ()
    return ("task", "attempt") if kind == "attempt.claimed" else _NAMED.get(kind.partition(".")[0], ())


def _problem(event: Event) -> str | None:
    data = event["data"]
    for name in _named(event["type"]):
        if name not in event:
            return f"does not name its {name}"
    for name, types, check in _compiled(event["type"]):
        value = data.get(name, _missing)
        if type(value) not in types:
            if value is _missing:
                return f"does not say {name!r}"
            return f"says {_NAMES.get(type(value), 'something else')} as {name!r}, not {_NAMES[types[0]]}"
        if check is not None and value is not None and value is not _missing and not check(value):
            return f"says something as {name!r} that cannot be read"
    return None


def _compiled(kind: str) -> Fields:
    """The fields of a kind; none of one that nobody knows."""
    if kind not in CATALOGUE and kind != MALFORMED:
        return ()
    fields = _fields.get(kind)
    if fields is None:
        shape = CATALOGUE[kind].shape if kind != MALFORMED else Malformed
        fields = _fields[kind] = _parsed(shape)
    return fields


def _parsed(shape: type[Any]) -> Fields:
    """The fields of a shape, from the texts of its annotations."""
    found = []
    for name, text in keys(shape).items():
        optional = text.startswith("NotRequired[")
        text = text.removeprefix("NotRequired[").removesuffix("]") if optional else text
        types, check = _rule(text.removesuffix(" | None"))
        if text.endswith(" | None"):
            types = (*types, _NOTHING)
        if text != "Any":
            found.append((name, (*types, object) if optional else types, check))
    return tuple(found)


def _rule(text: str) -> Rule:
    """The types of an annotation, and what must hold of a value of the first one."""
    simple: dict[str, Rule] = {
        "str": ((str,), None),
        "Time": ((str,), is_time),
        "int": ((int,), None),
        "Safe": ((int,), _is_small),
        "float": ((float, int), _is_finite),
        "bool": ((bool,), None),
        "list[str]": ((list,), _all_of(str)),
        "list[int]": ((list,), _all_of(int)),
        "dict[str, str]": ((dict,), None),
        "dict[str, Any]": ((dict,), None),
        "Any": ((), None),
    }
    return simple.get(text) or ((dict,), _object(SHAPES[text]))


def _is_small(value: int) -> bool:
    return -LARGEST < value < LARGEST


def _is_finite(value: float) -> bool:
    return -1e300 < value < 1e300


def _all_of(kind: type[Any]) -> Callable[[Any], bool]:
    def check(values: Iterable[Any]) -> bool:
        return all(type(value) is kind for value in values)

    return check


def _object(shape: type[Any]) -> Callable[[Any], bool]:
    """True if an object fits a shape, which is read at the first use."""
    fields: list[Fields] = []

    def check(found: Event) -> bool:
        if not fields:
            fields.append(_parsed(shape))
        for name, types, inner in fields[0]:
            value = found.get(name, _missing)
            if type(value) not in types or (inner is not None and type(value) is types[0] and not inner(value)):
                return False
        return True

    return check
