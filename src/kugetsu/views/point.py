"""Of which point of the past, or of which file, a screen tells."""

from __future__ import annotations

from typing import TypedDict

from kugetsu.domain.state import State
from kugetsu.views import times
from kugetsu.views.screen import Screen
from kugetsu.views.text import cut

TYPE_CHECKING = False
if TYPE_CHECKING:

    class AsOf(TypedDict):
        """The last event that counts, and the point's time (UTC)."""

        seq: int
        at: str

    class Asked(AsOf):
        """A point at which the gates were asked: the event whose recorded facts they were given, and its time; None
        when no event had recorded any."""

        facts_from: int | None
        facts_at: str | None


def as_of(state: State, now: str) -> AsOf:
    """The point at which ``state`` was, at the time ``now``."""
    return {"seq": state.seq, "at": now}


def heading(point: AsOf | None, screen: Screen) -> list[str]:
    """The first line of a screen that does not tell of the present; none for the present."""
    if point is None:
        return []
    at = point["at"]
    said = f"as of event {point['seq']}, {times.day(at)} {times.time_of_day(at)} {times.zone(at)}"
    return [screen.bold(cut(said, screen.cuts_at))]
