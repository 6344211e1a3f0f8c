"""The heading of a screen that shows a past point or a file."""

from __future__ import annotations

from kugetsu.views import times
from kugetsu.views.screen import Screen
from kugetsu.views.text import cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.runtime.query.points import AsOf


def heading(point: AsOf | None, screen: Screen) -> list[str]:
    """The first line of a screen that shows a past point; [] for the present."""
    if point is None:
        return []
    at = point["at"]
    heading = f"as of event {point['seq']}, {times.day(at)} {times.time_of_day(at)} {times.zone(at)}"
    return [screen.bold(cut(heading, screen.cuts_at))]
