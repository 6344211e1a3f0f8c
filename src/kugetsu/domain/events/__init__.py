"""The events: every kind is declared here once. Kinds are never removed and never change their meaning; a new shape is
a new version with an upcaster from the previous one."""

from __future__ import annotations

from kugetsu.domain.events.declaration import DECLARED, MALFORMED, Event, Identity, Kind, keys
from kugetsu.model.lean import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["CATALOGUE", "MALFORMED", "PRESENT", "Event", "Identity", "Kind", "missing_keys", "upcast"]

_MODULES = {
    "attempts": ("attempt", "claim", "lock", "orphans"),
    "hosts": ("host",),
    "intake": ("intake", "mark"),
    "persons": ("person",),
    "reactions": ("feedback", "reaction"),
    "reviews": ("branch", "pull", "report", "review"),
    "sessions": ("issue", "session"),
    "system": ("daemon", "files", "kugetsu", "log", "notice", "notices", "record", "repository", "setting", "sink"),
    "tasks": ("counters", "hold", "queue", "task"),
    "verification": ("base", "setup", "work", "worktree"),
}
"""Module → the first words of the kinds that it declares."""

_MODULE_OF = {word: module for module, words in _MODULES.items() for word in words}


class Catalogue(Mapping[str, Kind]):
    """Every kind by its name. A module of declarations is imported with the first of its kinds that is looked up:
    most commands meet kinds of few."""

    def __getitem__(self, name: str) -> Kind:
        if name not in DECLARED:
            _declare(_MODULE_OF[name.partition(".")[0]])
        return DECLARED[name]

    def __iter__(self) -> Iterator[str]:
        for module in _MODULES:
            _declare(module)
        return iter(DECLARED)

    def __len__(self) -> int:
        return sum(1 for _ in self)


CATALOGUE = Catalogue()


class _Versions(dict[str, int]):
    def __missing__(self, name: str) -> int:
        kind = CATALOGUE.get(name)
        if kind is None:
            return 1
        self[name] = kind.version
        return kind.version


PRESENT = _Versions()
"""The present version of each kind; 1 for an unknown one."""


def _declare(module: str) -> None:
    __import__(f"{__name__}.{module}")


def missing_keys(type: str, data: dict[str, Any]) -> list[str]:
    """The required keys of the kind's shape that ``data`` lacks; raises KeyError for a kind that is not known."""
    texts = keys(CATALOGUE[type].shape)
    return sorted(name for name, text in texts.items() if name not in data and not text.startswith("NotRequired"))


def upcast(event: Event) -> Event:
    """``event`` in its kind's present version; an event of a later version than is known comes back as it is."""
    kind = CATALOGUE.get(event["type"])
    if kind is None:
        return event
    while event["v"] < kind.version:
        event = kind.upcasters[event["v"]](event)
    return event
