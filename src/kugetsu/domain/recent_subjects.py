"""What the latest events are about, for whoever keeps something of a state up to date from one event to the next."""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Event

    #: Task, issue and session of an event.
    Subjects = tuple[str | None, str | None, str | None]

#: Events that are kept.
EVENTS_KEPT = 1000


class RecentSubjects:
    """What the latest events that were folded into a state are about (`State.recent`); ``count`` of all of them."""

    __slots__ = ("_latest", "count")

    def __init__(self) -> None:
        self.count = 0
        self._latest: deque[Subjects] = deque(maxlen=EVENTS_KEPT)

    def add(self, event: Event) -> None:
        """The next event was folded."""
        self.count += 1
        self._latest.append((event.get("task"), event.get("issue"), event.get("session")))

    def since(self, count: int) -> list[Subjects] | None:
        """Those of the events after the first ``count``; None if not all of them are kept."""
        missed = self.count - count
        if missed > len(self._latest):
            return None
        return [self._latest[place] for place in range(-missed, 0)]
