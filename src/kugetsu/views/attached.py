"""Who works on issues instead of an agent (`kugetsu attach`), as `status` shows it."""

from __future__ import annotations

from kugetsu.views import times
from kugetsu.views.tables import Column, table
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypedDict

    from kugetsu.domain.state import State
    from kugetsu.views.screen import Screen

    class AttachedData(TypedDict):
        """A person who works in an issue's session."""

        issue: str
        user: str
        host: str
        pid: int
        since: str


def collect(state: State) -> list[AttachedData]:
    """Who works in which session."""
    return [
        {
            "issue": session.key,
            "user": session.person["user"],
            "host": session.person["host"],
            "pid": session.person["holder"]["pid"],
            "since": session.person["at"],
        }
        for session in state.sessions.values()
        if session.person is not None
    ]


def lines(attached: Sequence[AttachedData], screen: Screen, now: str) -> list[str]:
    """A line for each issue that a person works on."""
    rows = []
    for one in attached:
        span = times.duration(times.since(one["since"], now))
        who = line(f"by {one['user']} for {span}, pid {one['pid']} on {one['host']}")
        rows.append(["attached", screen.issue(one["issue"]), who])
    heads = [Column(""), Column("", gives=True, names=True), Column("", gives=True)]
    return table(screen, heads, rows, titles=False) if rows else []
