"""An event before the log has given it a place: what a decision returns and `EventLog.transact` appends."""

from __future__ import annotations

from kugetsu.model.record import field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@record
class NewEvent:
    """One event to append.

    ``cause`` is the seq of the event that led to this one; a negative number counts back inside the same
    transaction (-1 is the new event before this one) and is resolved when the seq is known. ``facts`` are the inputs
    that the decision read. The first event of a transaction names the ``decision`` that gave it, and those of its
    ``arguments`` that the events do not hold (`domain.decision`); what was only observed has none.
    """

    type: str
    data: dict[str, Any] = field(factory=dict)
    issue: str | None = None
    task: str | None = None
    attempt: str | None = None
    session: str | None = None
    cause: int | None = None
    facts: dict[str, Any] | None = None
    decision: str | None = None
    arguments: dict[str, Any] | None = None
