"""When the worktree of an attempt was made ready, and when its work was verified, from the events that recorded it."""

from __future__ import annotations

from kugetsu.model.clock import parse
from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Event

_MICRO = 1_000_000


@record
class Phase:
    """A part of an attempt, in microseconds since 1970 UTC, and what came of it: the ``code`` of
    `events.verification.WorktreeSetUp` or of `events.attempts.Verification`."""

    since: int
    until: int
    code: str
    command: str | None
    exit: int | None


def set_up(event: Event) -> Phase:
    """The phase that ``worktree.set_up`` ended."""
    data, until = event["data"], parse(event["at"])
    return Phase(until - round(data["seconds"] * _MICRO), until, data["code"], data["command"], data["exit"])


def verification(event: Event) -> Phase | None:
    """The verification in the evidence of an attempt's end; None where none began.

    Logs of before its times were recorded have how long the command ran: it was the last that was done.
    """
    found = event["data"]["evidence"].get("verification") or {}
    if found.get("began") and found.get("ended"):
        since, until = parse(found["began"]), parse(found["ended"])
    elif found.get("seconds") is not None:
        until = parse(event["at"])
        since = until - round(found["seconds"] * _MICRO)
    else:
        return None
    return Phase(since, max(since, until), found["code"], found.get("command"), found.get("exit"))
