"""What decides which append comes next: the database itself, or the relay on this host that leads to it."""

from __future__ import annotations

from typing import Protocol

from kugetsu.log.files.segments import Head
from kugetsu.model.errors import LogUnreachable
from kugetsu.model.record import record

CLIENT = 1
"""The version of what this program appends and expects; the database refuses one below its ``min_client``."""

PAGE = 2000
"""Lines that are read at once: some 0.7 MB."""


@record
class Tail:
    """What follows an event: ``lines`` in order, at most as many as were asked for; and the log's ``head`` then."""

    lines: list[bytes]
    head: Head


@record
class Fence:
    """The end of a host's ``term`` in the database, in one transaction with an append. ``sure``: a person says that the
    host is gone; else it has to have been silent for its time to live, by the database's clock."""

    host: str
    term: int
    sure: bool = False


def left_open(text: str, remedy: str | None = None) -> LogUnreachable:
    """The error for an append of which nobody knows whether it happened; ``remedy``: by which the database answers."""
    look = "look at `kugetsu history` once the database answers, before you do the same again"
    return LogUnreachable(f"{text}; the append may or may not have happened", f"{remedy}; {look}" if remedy else look)


class Arbiter(Protocol):
    """Every method raises LogUnreachable, and LogDiverged if its log is not the one that was read."""

    def append(
        self,
        at: Head,
        lines: list[bytes],
        *,
        held: bool,
        again: bool = False,
        fence: Fence | None = None,
        within: float | None = None,
    ) -> list[bytes] | None:
        """Append a transaction after ``at``, durably; None when it is done, also if an earlier answer was lost.

        Else nothing was appended, and the first lines after ``at`` are returned: fold them and decide again.
        ``held``: the head was held; it is released in any case. ``again``: these very lines were sent before, and what
        came of it is unknown. ``fence``: what to fence with it; Conflict is raised, and nothing appended, if that host
        is heard of.
        """

    def hold(self, at: Head) -> list[bytes] | None:
        """Let nobody else append until `append` or `release`, for two seconds at most; what follows ``at``.

        None, and nothing held, if that is too much to be read in that time.
        """

    def release(self) -> None:
        """End the hold without an append."""

    def tail(self, at: Head, most: int = PAGE) -> Tail:
        """The lines that follow ``at``."""

    def forget_parent(self) -> None:
        """In a forked child: leave the connection to the parent, without a word on it."""

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
