"""The lines of `status` about issues that wait for a person: those that ask something, those to be reviewed."""

from __future__ import annotations

from kugetsu.domain.standing import TO_LOOK_AT, last_tasks, standing
from kugetsu.views.results import next_command
from kugetsu.views.tables import Column, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from kugetsu.domain.state import Session, State
    from kugetsu.views.screen import Screen

    class Asking(TypedDict):
        """How many issues, the keys of the first of them, and the command that comes next."""

        count: int
        issues: list[str]
        command: str | None


#: Issues that are named.
NAMED = 5


def collect(state: State) -> tuple[Asking, Asking]:
    """The issues that ask something, and those whose work is to be reviewed, the longest waiting first."""
    last = last_tasks(state)
    asks: list[Session] = []
    to_review: list[Session] = []
    for session in state.sessions.values():
        stands = standing(state, session, last)
        if stands == "asks":
            asks.append(session)
        elif stands in TO_LOOK_AT:
            to_review.append(session)
    return _data(asks), _data(to_review)


def _data(sessions: list[Session]) -> Asking:
    sessions.sort(key=lambda session: session.changed)
    command = "kugetsu report" if sessions else None
    if len(sessions) == 1:
        command = next_command(sessions[0].key, sessions[0].result, sessions[0].review)
    return {"count": len(sessions), "issues": [session.key for session in sessions[:NAMED]], "command": command}


def lines(asks: Asking, to_review: Asking, screen: Screen) -> list[str]:
    """A line each, if there are any: how many, the first of them, the command."""
    heads = [Column(""), Column("", gives=True), Column("", whole=True)]
    shown = []
    for label, found in (("asks you ", asks), ("to review", to_review)):
        if found["command"] is None:
            continue
        names = ", ".join(map(screen.issue, found["issues"]))
        more = ", …" if found["count"] > len(found["issues"]) else ""
        command = found["command"].replace(f" {screen.default_host}/", " ")
        row = [label, f"{found['count']}: {names}{more}", screen.command(command)]
        # Each for itself: a long command of one must not take the room of the other's names.
        shown += table(
            screen, heads, [row], paint=lambda at, _, text: screen.yellow(text) if at == 0 else text, titles=False
        )
    return shown
