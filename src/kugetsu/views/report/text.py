"""The report in a terminal: what needs the person, one block an item; the rest is counted, a line a group."""

from __future__ import annotations

from kugetsu.domain.report import GROUPS, PERSONAL
from kugetsu.views import forge_looks, point, times
from kugetsu.views.names import shortened
from kugetsu.views.report.rows import TITLES, behind_words, done_words, facts_of, name, needs_a_person, next_of, period
from kugetsu.views.screen import Screen
from kugetsu.views.text import columns, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kugetsu.views.report.rows import ReportData, RowData

#: Items of a group that are listed unless everything is wanted.
LISTED = 20
#: Issues that the line of a group names.
NAMED = 4
#: Lines that facts and sentences of an item take at most.
MOST = 3
#: Columns that a title has at least beside its issue; else it stands below it.
LEAST_TITLE = 12
_ROW = "  "
#: What belongs to an item stands below it, indented by so much.
_BELOW = "      "
#: Columns at least between what is said and its command.
_GAP = 3
#: What shows more of a group that is only counted.
_MORE = {"running": "kugetsu status", "waiting": "kugetsu queue list"}


def lines(report: ReportData, screen: Screen, *, everything: bool = False) -> list[str]:
    """The screen of `kugetsu report`; ``everything`` lists each item."""
    shown = [*point.heading(report["as_of"], screen), *screen.wrapped(period(report))]
    shown += [screen.bold(part) for part in screen.wrapped(report["headline"])]
    text = _Text(screen, [*report["items"], *report["older"]], everything=everything)
    for group in GROUPS:
        rows = [row for row in report["items"] if row["group"] == group]
        shown += text.group(group, rows, report["done"] if group == "done" else {}, behind_words(report, group))
    return [*shown, *text.older(report["older"]), *forge_looks.lines(report["forges"], screen, report["now"])]


class _Text:
    """The lines of the groups; ``everything`` lists each item."""

    def __init__(self, screen: Screen, rows: list[RowData], *, everything: bool) -> None:
        self._screen = screen
        self._everything = everything
        names = [screen.issue(name(row)) for row in rows]
        self._names = shortened(names, screen.width - 2 * len(_ROW)) if screen.width is not None else {}

    def _name(self, row: RowData) -> str:
        whole = self._screen.issue(name(row))
        return self._names.get(whole, whole)

    def group(self, group: str, rows: list[RowData], done: dict[str, int], behind: str) -> list[str]:
        """A group: what needs the person is listed, the rest is counted in one line; ``behind``: what no row shows."""
        needs = rows if self._everything else [row for row in rows if needs_a_person(row)]
        listed = needs if self._everything else needs[:LISTED]
        title = TITLES[group].upper()
        shown = [_painted(group, self._screen)(title)] if listed else []
        for row in listed:
            shown += self._item(row)
        if group == "done":
            said = done_words(
                {code: count for code, count in done.items() if not self._everything or code == "same_issue"}
            )
        else:
            said = ", ".join(filter(None, (self._named([row for row in rows if row not in listed]), behind)))
        if not said:
            return shown
        command = self._screen.command(_MORE.get(group, "kugetsu report --all"))
        return shown + self._counted("and" if listed else title, said, command)

    def older(self, rows: list[RowData]) -> list[str]:
        """What still needs the person from before the period."""
        title = "OPEN FROM BEFORE"
        if not rows:
            return []
        if self._everything:
            return [self._screen.bold(title), *(part for row in rows for part in self._item(row))]
        numbers = {group: sum(row["group"] == group for row in rows) for group in PERSONAL}
        said = ", ".join(f"{number} {TITLES[group]}" for group, number in numbers.items() if number)
        return self._counted(title, said, self._screen.command("kugetsu report --all"))

    def _named(self, rows: list[RowData]) -> str:
        """The issues of a group, the first few by their names, with the time that they wait for."""
        names = [self._name(row) + self._until(row) for row in rows[:NAMED]]
        if len(rows) <= NAMED:
            return ", ".join(names)
        return f"{', '.join(names[: NAMED - 1])} and {len(rows) - NAMED + 1} more"

    def _until(self, row: RowData) -> str:
        return f" until {times.moment(row['until'], self._screen.now)}" if row["until"] is not None else ""

    def _counted(self, title: str, said: str, command: str) -> list[str]:
        """What is only counted, in a line with the command that shows more of it."""
        if title == "and":
            return self._beside(f"{_ROW}and {said}", command)
        bold = self._screen.bold(title)
        parts = self._beside(f"{title}  {said}", command)
        return [parts[0].replace(title, bold, 1), *parts[1:]]

    def _item(self, row: RowData) -> list[str]:
        """The issue and its title, what came of it, the agent's last sentence, and the command that comes next."""
        screen = self._screen
        shown = self._head(self._name(row), row["title"])
        facts = " · ".join(facts_of(row))
        command = next_of(row, screen)
        quoted = f"“{row['said']}”" if row["said"] else ""
        if row["group"] == "asks":  # the question is what matters: all of it
            said = self._folded(quoted, _BELOW, most=None) if quoted else []
            return [*shown, *said, *self._beside(_BELOW + facts, command)]
        if screen.narrow:
            said = self._folded(quoted, _BELOW) if quoted else []
        else:
            said = [cut(_BELOW + quoted, screen.cuts_at)] if quoted else []
        return [*shown, *self._beside(_BELOW + facts, command), *map(screen.dim, said)]

    def _head(self, issue: str, title: str) -> list[str]:
        screen = self._screen
        bold = screen.bold(issue)
        if screen.width is None:
            return [f"{_ROW}{bold}  {title}".rstrip()]
        room = screen.width - columns(issue) - 2 * len(_ROW)
        if room >= min(columns(title), LEAST_TITLE):
            return [f"{_ROW}{bold}  {cut(title, room)}".rstrip()]
        return [_ROW + bold, cut(_BELOW + title, screen.width)]

    def _folded(self, text: str, indent: str, most: int | None = MOST) -> list[str]:
        """``text`` in at most so many lines, indented; the last of them is cut."""
        screen = self._screen
        parts = screen.wrapped(text, len(indent))
        if most is not None and len(parts) > most and screen.width is not None:
            parts = [*parts[: most - 1], cut(" ".join(parts[most - 1 :]), screen.width - len(indent))]
        return [indent + part for part in parts]

    def _beside(self, text: str, command: str) -> list[str]:
        """``text`` and a command, flush right in its line, or below it where there is no room."""
        screen = self._screen
        if not text.strip():
            return [_BELOW + command]
        if screen.width is None:
            return [f"{text}{' ' * _GAP}{command}"]
        room = screen.width - columns(command) - columns(text)
        if room >= _GAP and not screen.narrow:
            return [f"{text}{' ' * room}{command}"]
        indent = " " * (len(text) - len(text.lstrip(" ")))
        return [*self._folded(text.strip(), indent), _BELOW + command]


def _painted(group: str, screen: Screen) -> Callable[[str], str]:
    return {"asks": screen.yellow, "label": screen.yellow, "review": screen.green, "failed": screen.red}.get(
        group, screen.bold
    )
