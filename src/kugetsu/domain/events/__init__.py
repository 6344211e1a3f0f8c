"""The events: every kind is declared here once. Kinds are never removed and never change their meaning; a new shape is
a new version with an upcaster from the one before."""

from __future__ import annotations

from kugetsu.domain.events import attempts, sessions, system, tasks
from kugetsu.domain.events.attempts import Identity
from kugetsu.domain.events.declaration import CATALOGUE, MALFORMED, Event, Kind, keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["CATALOGUE", "MALFORMED", "PRESENT", "Event", "Identity", "Kind", "missing_keys", "upcast"]

_DECLARED = (attempts, sessions, system, tasks)  # importing them filled the catalogue

PRESENT: dict[str, int] = {name: kind.version for name, kind in CATALOGUE.items() if kind.version != 1}
"""The present version of the kinds that have had another one."""


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
