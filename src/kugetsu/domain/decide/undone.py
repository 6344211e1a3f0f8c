"""The facts for undoing an event, and why that is refused: for what describes an undo, and for what decides it."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from kugetsu.domain.events import CATALOGUE, Event
from kugetsu.model.errors import Conflict

Undone = dict[str, Any]
"""The result of `undo.described`: ``undo`` (the event's seq), ``type``, ``now``, and the data that its kind needs."""

UNDO = "undo"
"""The name, in the facts of an event that undoes, of the seq that it undoes."""
NOT_UNDONE = "not_undone"


def refused(event: Event, live: Container[str] = (), why: str | None = None) -> Conflict:
    """The error for an event that cannot be undone; ``live``: the attempts live now."""
    kind = CATALOGUE.get(event["type"])
    why = why or (kind.irrevocable if kind is not None else None) or "recorded"
    if why == "agent_started" and event.get("attempt") not in live:
        why = "agent_ended"
    came_with = event["type"] == "task.resumed" and event["data"].get("why") == "lift"
    return Conflict.because(
        "irrevocable",
        event=event["seq"],
        type=event["type"],
        why=why,
        task=event.get("task"),
        attempt=event.get("attempt"),
        session=event.get("session"),
        unblocked_by=event.get("cause") if came_with else None,
    )


def changed_since(undone: Undone, code: str, **values: Any) -> Conflict:
    """The error for an event that cannot be undone any more, because of what came after it."""
    return Conflict.because(NOT_UNDONE, event=undone[UNDO], code=code, values=values)
