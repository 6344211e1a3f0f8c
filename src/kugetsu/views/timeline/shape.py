"""What every form of the timeline shares: the scale of time, the lanes, the words."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.timeline import Hold, Holding, Timeline
from kugetsu.model import clock
from kugetsu.views import times
from kugetsu.views.text import line

#: Seconds between two marks of the axis, the smallest that leaves enough room is taken.
STEPS = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 7 * 86_400)


class Scale:
    """Where a time lies between the timeline's ends, from 0 to 1."""

    __slots__ = ("since", "span", "until")

    def __init__(self, since: str, until: str) -> None:
        self.since = since
        self.until = until
        self.span = max(clock.seconds_between(since, until), 0.001)

    def place(self, at: str | None) -> float:
        """The place of a time; of one that has not come yet (None) the end."""
        if at is None:
            return 1.0
        return min(max(clock.seconds_between(self.since, at) / self.span, 0.0), 1.0)

    def ticks(self, most: int) -> list[str]:
        """At most so many round times between the ends, as UTC text."""
        step = next((step for step in STEPS if self.span / step <= most), STEPS[-1])
        while self.span / step > most:
            step *= 2
        first = clock.parse(self.since)
        offset = (times.local(self.since).tm_gmtoff or 0) * 1_000_000
        width = step * 1_000_000
        at = -(-(first + offset) // width) * width - offset
        found = []
        while at <= first + self.span * 1_000_000:
            found.append(clock.from_micros(at))
            at += width
        return found

    def label(self, at: str) -> str:
        """A mark's text: the day when it is midnight, seconds when the whole is short."""
        if self.span > 86_400 and times.time_of_day(at, seconds=False) == "00:00":
            return times.day(at)[5:]
        return times.time_of_day(at, seconds=self.span < 300)


def slots(found: Timeline) -> list[int | None]:
    """The slots that have a lane, in order; None, last, is the PM session's when it was used."""
    numbered: list[int | None] = list(range(1, found.slots + 1))
    return [*numbered, None] if any(one.slot is None for one in found.holdings) else numbered


def gates(found: Timeline) -> list[str]:
    """The gates that held a task back, the one first met first."""
    return list(dict.fromkeys(one.gate for one in found.holds))


def gate_row(gate: str) -> str:
    """The name of a gate's row: the daemon has one of its own, of when it was there."""
    return "no daemon" if gate == "daemon" else gate


def lane(slot: int | None) -> str:
    """The name of a slot's lane."""
    return f"slot {slot}" if slot is not None else "pm"


def tried_again(one: Holding) -> bool:
    """Whether it is not the first attempt at its task."""
    return not one.attempt.endswith(".1")


def about_holding(one: Holding, scale: Scale) -> str:
    """A holding in one line."""
    until = one.until or scale.until
    lasted = times.duration(times.since(one.since, until))
    ended = f"{one.end}: {line(one.reason)}" if one.end else "runs"
    again = " (tried again)" if tried_again(one) else ""
    return f"{one.attempt}{again} {one.issue or 'PM agent'}, {times.time_of_day(one.since)} for {lasted}, {ended}"


def about_hold(one: Hold, scale: Scale) -> str:
    """A wait in one line."""
    lasted = times.duration(times.since(one.since, one.until or scale.until))
    return f"{one.task} waits ({one.gate}) from {times.time_of_day(one.since)} for {lasted}: {line(one.reason)}"


def data(found: Timeline) -> dict[str, Any]:
    """`kugetsu timeline --json`."""

    def plain(one: Any) -> dict[str, Any]:
        return {name: getattr(one, name) for name in one.__slots__}

    return {
        "since": found.since,
        "until": found.until,
        "seq": found.seq,
        "slots": found.slots,
        "holdings": [plain(one) for one in found.holdings],
        "holds": [plain(one) for one in found.holds],
        "daemon": [plain(one) for one in found.shifts],
    }
