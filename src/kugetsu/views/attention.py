"""What needs attention, as `kugetsu status` shows it: a row for each, with the command that helps."""

from __future__ import annotations

from kugetsu.views.tables import Column, table
from kugetsu.views.text import cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.views.screen import Screen
    from kugetsu.views.status_data import Attention

_BELOW = " " * 6
#: Lines that a reason takes at most below its row: all of it is what the row's command shows.
REASON_LINES = 3


def lines(found: list[Attention], screen: Screen) -> list[str]:
    """The title, and a row for each entry."""
    return [_head(screen), *_rows(found, screen)]


def _head(screen: Screen) -> str:
    """The title; of another place or point also what commands that ask need, once: in each it would leave no room."""
    more = screen.command("kugetsu status").removeprefix("kugetsu status")
    return screen.yellow("attention") + (f"        append{more} to the commands below" if more else "")


def _rows(found: list[Attention], screen: Screen) -> list[str]:
    rows = [[screen.issue(entry["subject"]), entry["state"], entry["text"], entry["command"]] for entry in found]
    heads = [Column("", gives=True, names=True), Column(""), Column("", gives=True), Column("", whole=True)]

    def paint(at: int, value: str, text: str) -> str:
        return screen.state(value, text) if at == 1 else text

    rendered = table(screen, heads, rows, paint=paint, indent="  ", titles=False)
    if screen.width is None or screen.narrow or all(any(row[2] in one for one in rendered) for row in rows):
        return rendered
    # A reason that is cut to a few words says nothing: all of them stand below their rows.
    without = [[subject, state, "", command] for subject, state, _, command in rows]
    heading = table(screen, heads, without, paint=paint, indent="  ", titles=False)
    if len(heading) != len(rows):  # a command too long for the screen: each row is laid out below itself already
        return rendered
    rendered = []
    for row, shown in zip(rows, heading, strict=True):
        reason = screen.wrapped(row[2], len(_BELOW))
        if len(reason) > REASON_LINES:
            rest = " ".join(reason[REASON_LINES - 1 :])
            reason = [*reason[: REASON_LINES - 1], cut(rest, screen.width - len(_BELOW))]
        rendered += [shown, *(_BELOW + part for part in reason)]
    return rendered
