"""Whether a pause until a time is still on; a clock that was set back does not prolong it."""

from __future__ import annotations

from kugetsu.model.clock import add_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.state import State

#: Seconds by which a recorded time may lie ahead of the clock before that counts as set back.
CLOCK_MARGIN_SECONDS = 60.0


def set_back(state: State, now: str) -> bool:
    """True if the clock was set back: the log has an event of a time that has not come yet."""
    return state.latest > add_seconds(now, CLOCK_MARGIN_SECONDS)


def waits(until: str, since: str, now: str) -> bool:
    """True if a pause that began at ``since`` and lasts ``until`` a time goes on.

    It is over as well when ``now`` lies before its beginning: the clock was set back, and the end may be a year away.
    Not for a little before: facts are gathered before the log is locked, and the pause may have begun since.
    """
    return until > now and now >= add_seconds(since, -CLOCK_MARGIN_SECONDS)
