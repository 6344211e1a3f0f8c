"""Times as whole microseconds since 1970 UTC, so that a simulation adds and compares numbers, and back as text.

Cached: simulating one moment converts the same few times over and over.
"""

from __future__ import annotations

from functools import lru_cache

from kugetsu.model.clock import add_seconds, parse

_EPOCH = "1970-01-01T00:00:00.000000Z"
_KEPT = 1024
SECOND = 1_000_000


@lru_cache(_KEPT)
def micros_of(text: str) -> int:
    """Microseconds of a time's text. Raises BadInput."""
    return parse(text)


@lru_cache(_KEPT)
def text_of(micros: int) -> str:
    """The text of a time; exact to the microsecond until the year 2242."""
    return add_seconds(_EPOCH, micros / SECOND)
