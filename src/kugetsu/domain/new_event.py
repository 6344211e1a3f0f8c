"""An event before the log has given it a place: what a decision returns and `EventLog.transact` appends."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class NewEvent:
    """One event to append.

    ``cause`` is the seq of the event that led to this one; a negative number counts back inside the same
    transaction (-1 is the new_event before this one) and is resolved when the seq is known. ``facts`` are the inputs
    that the decision read, recorded so that it can be decided again.
    """

    __slots__ = ("attempt", "cause", "data", "facts", "issue", "session", "task", "type")

    def __init__(
        self,
        type: str,
        data: dict[str, Any] | None = None,
        *,
        issue: str | None = None,
        task: str | None = None,
        attempt: str | None = None,
        session: str | None = None,
        cause: int | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        self.type = type
        self.data: dict[str, Any] = {} if data is None else data
        self.issue = issue
        self.task = task
        self.attempt = attempt
        self.session = session
        self.cause = cause
        self.facts = facts

    def __repr__(self) -> str:
        subject = self.attempt or self.task or self.session or self.issue or ""
        return f"Draft({self.type} {subject} {self.data})"
