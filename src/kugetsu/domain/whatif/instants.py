"""Times as whole microseconds since 1970 UTC, so that a simulation adds and compares numbers, and back as text."""

from __future__ import annotations

from kugetsu.clock import add_seconds, parse

_EPOCH = "1970-01-01T00:00:00.000000Z"
SECOND = 1_000_000


def micros_of(text: str) -> int:
    """Microseconds of a time's text. Raises BadInput."""
    return parse(text)


def text_of(micros: int) -> str:
    """The text of a time; exact to the microsecond until the year 2242."""
    return add_seconds(_EPOCH, micros / SECOND)


def later(text: str, micros: int) -> str:
    """The time that many microseconds later."""
    return add_seconds(text, micros / SECOND)
