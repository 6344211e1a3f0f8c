"""An event of every kind in every version, with what its declaration asks for and with all that it allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kugetsu.domain.events import CATALOGUE, Event
from kugetsu.domain.events.declaration import SHAPES, keys
from kugetsu.domain.state import ENDS

AT = "2026-11-23T10:00:00.000000Z"
LATER = "2026-11-23T12:00:00.000000Z"
ISSUE = "example.org/o/r#1"
BY = {"cmd": "kugetsu queue enqueue", "pid": 7, "host": "h", "user": "u"}
FACTS = {"attempt.claimed": {"agent": "opencode:m", "cap": 3}}

#: What a key may say, where a reader tells its values apart.
SAYS = {
    "gate": ("provider", "progress"),
    "why": ("answered", "time"),
    "limit": ("opencode:m", "opencode:m"),
    "kind": ("dev", "pm"),
    "state": ("open", "merged"),
    "sink": ("mail", "mail"),
    "path": ("/r", "/r"),
    "was": ("to_review", "checks_failed"),
    "to": ("to_review", "checks_failed"),
}

#: (kind, older version) → what its data was, from what it is in the next version.
OLDER: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {
    **{(kind, 1): lambda data: {name: data[name] for name in data if name != "result"} for kind in ENDS},
    ("task.parked", 1): lambda data: {name: data[name] for name in ("until", "stated", "limit", "reason")},
}


def values(name: str, text: str, *, full: bool, second: bool) -> Any:
    """What a key of this annotation may hold; ``full``: more than null, nothing, empty."""
    if text.endswith(" | None"):
        return values(name, text.removesuffix(" | None"), full=full, second=second) if full else None
    if text == "str":
        return SAYS[name][second] if name in SAYS else f"a {name}"
    if text in SHAPES:
        return data(SHAPES[text], full=full, optional=full, second=second)
    if text.startswith("list[") and text[5:-1] in SHAPES:
        return [data(SHAPES[text[5:-1]], full=True, optional=True, second=second)] if full else []
    plain = {"int": 3, "Safe": 7, "float": 2.5, "bool": True, "Time": LATER, "Any": {"some": "thing"}}
    empty = {"int": 0, "Safe": 0, "float": 0.0, "bool": False, "Time": AT, "Any": None}
    lists: dict[str, Any] = {"list[str]": [f"a {name}"], "list[int]": [1]}
    lists |= {"dict[str, str]": {"path": "/r"}, "dict[str, Any]": {"failures": 3}}
    if text in lists:
        return lists[text] if full else type(lists[text])()
    return (plain if full else empty)[text]


def data(shape: type[Any], *, full: bool, optional: bool, second: bool = False) -> dict[str, Any]:
    """Data of a shape, with its optional keys or without."""
    made = {}
    for name, text in keys(shape).items():
        inner = text.removeprefix("NotRequired[").removesuffix("]") if text.startswith("NotRequired[") else text
        if inner == text or optional:
            made[name] = values(name, inner, full=full, second=second)
    return made


def event(kind: str, data: dict[str, Any], version: int = 0) -> Event:
    """An event of a kind about one task, its attempt and its session, in its present version."""
    made = {"seq": 90, "at": AT, "type": kind, "v": version or CATALOGUE[kind].version, "by": BY, "cause": 12}
    made |= {"issue": ISSUE, "task": "q1", "attempt": "q1.1", "session": ISSUE, "data": data}
    return made | ({"facts": FACTS[kind]} if kind in FACTS else {})


def samples(kind: str) -> Iterator[Event]:
    """Events of a kind: bare and full, with and without optional keys, in the present version and in older ones."""
    declared = CATALOGUE[kind]
    for full in (False, True):
        for optional in (False, True):
            for second in (False, True):
                made = data(declared.shape, full=full, optional=optional, second=second)
                yield event(kind, made)
                for version in range(declared.version - 1, 0, -1):
                    made = OLDER[kind, version](made)
                    yield event(kind, made, version)
