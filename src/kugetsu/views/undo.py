"""What undoing an event does, in lines and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kugetsu.domain.events import PRESENT, Event
from kugetsu.domain.new_event import NewEvent
from kugetsu.model.record import values
from kugetsu.views import times
from kugetsu.views.screen import Screen
from kugetsu.views.text import line
from kugetsu.views.wording import words


def told(event: Event, screen: Screen) -> str:
    """``event 17, 10:41, task.cancelled q1: cancelled on request``."""
    return f"event {event['seq']}, {times.moment(event['at'], screen.now)}, {_what(event)}"


def plan(new_events: Sequence[NewEvent], screen: Screen) -> list[str]:
    """What would be appended."""
    as_events = ({**values(new), "v": PRESENT[new.type], "at": screen.now} for new in new_events)
    return [f"  {_what(event)}" for event in as_events]


def done(events: Sequence[Event]) -> list[str]:
    """What was appended."""
    return [f"event {event['seq']}: {_what(event)}" for event in events]


def data(events: Sequence[Event]) -> list[dict[str, Any]]:
    """What was appended, for programs."""
    return [
        {
            "seq": event["seq"],
            "type": event["type"],
            "task": event.get("task"),
            "session": event.get("session"),
            "text": words(event),
        }
        for event in events
    ]


def _what(event: Event) -> str:
    about = event.get("task") or event.get("session")
    return line(f"{event['type']}{f' {about}' if about else ''}: {words(event)}")
