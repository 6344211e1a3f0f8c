"""Times as numbers, and many spans of time summed up in a bounded place."""

from __future__ import annotations

from kugetsu.model.clock import parse

MICRO = 1_000_000
#: Spans of which a median is exact; of more, every second, fourth … is looked at.
SAMPLED = 4096


class Clock:
    """Microseconds of the log's time texts; those of one minute cost a slice and an addition."""

    __slots__ = ("_base", "_minute")

    def __init__(self) -> None:
        self._minute = ""
        self._base = 0

    def micros(self, at: str) -> int:
        """Microseconds since 1970 of a time as the log writes it (27 characters)."""
        minute = at[:17]
        if minute != self._minute:
            self._base = parse(minute + "00.000000Z")
            self._minute = minute
        return self._base + int(at[17:19]) * MICRO + int(at[20:26])


class Spans:
    """Spans of time of one sort: number, total, longest (and whose), median. All in microseconds."""

    __slots__ = ("_every", "_sample", "longest", "number", "total", "worst")

    def __init__(self) -> None:
        self.number = 0
        self.total = 0
        self.longest = 0
        #: Whose the longest was: what `add` was given with it.
        self.worst: tuple[str, int] | None = None
        self._sample: list[int] = []
        self._every = 1

    def add(self, span: int, whose: tuple[str, int]) -> None:
        """Count one span; ``whose`` is a task and the event with which it began."""
        if self.number % self._every == 0:
            self._sample.append(span)
            if len(self._sample) > SAMPLED:
                del self._sample[1::2]
                self._every *= 2
        self.number += 1
        self.total += span
        if self.worst is None or span > self.longest:
            self.longest, self.worst = span, whose

    def median(self) -> int:
        """The middle one; 0 when there is none."""
        ordered = sorted(self._sample)
        return ordered[len(ordered) // 2] if ordered else 0
