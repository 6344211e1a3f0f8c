"""The report in a terminal: what needs the person, one block an item; the rest is counted, a line a group."""

from __future__ import annotations

from kugetsu.domain.report import GROUPS, PERSONAL
from kugetsu.views import point
from kugetsu.views.report.rows import TITLES, done_words, facts_of, name, next_of, period
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
    for group in GROUPS:
        rows = [row for row in report["items"] if row["group"] == group]
        shown += _group(group, rows, report["done"] if group == "done" else {}, screen, everything=everything)
    return shown + _older(report["older"], screen, everything=everything)


def _group(group: str, rows: list[RowData], done: dict[str, int], screen: Screen, *, everything: bool) -> list[str]:
    """A group: what needs the person is listed, the rest is counted in one line."""
    listed = rows if everything else [row for row in rows if group in PERSONAL or row["for_a_person"]][:LISTED]
    others = [row for row in rows if row not in listed]
    title = TITLES[group].upper()
    shown = [_painted(group, screen)(title)] if listed else []
    for row in listed:
        shown += _item(row, screen)
    if group == "done":
        counts = {code: number for code, number in done.items() if not everything or code == "followed"}
        said = done_words(counts)
    else:
        said = _named(others, screen)
    if not said:
        return shown
    command = screen.command(_MORE.get(group, "kugetsu report --all"))
    if listed:
        return shown + _beside(f"  and {said}", command, screen)
    return shown + _beside(f"{title}  {said}", command, screen, lambda text: _titled(text, title, screen))


def _named(rows: list[RowData], screen: Screen) -> str:
    """The issues of a group, the first few by their names."""
    if len(rows) <= NAMED:
        return ", ".join(screen.issue(name(row)) for row in rows)
    return f"{', '.join(screen.issue(name(row)) for row in rows[: NAMED - 1])} and {len(rows) - NAMED + 1} more"


def _older(rows: list[RowData], screen: Screen, *, everything: bool) -> list[str]:
    """What still needs the person from before the period."""
    title = "OPEN FROM BEFORE"
    if not rows:
        return []
    if everything:
        return [screen.bold(title), *(part for row in rows for part in _item(row, screen))]
    numbers = {group: sum(row["group"] == group for row in rows) for group in PERSONAL}
    said = ", ".join(f"{number} {TITLES[group]}" for group, number in numbers.items() if number)
    command = screen.command("kugetsu report --all")
    return _beside(f"{title}  {said}", command, screen, lambda text: _titled(text, title, screen))


def _titled(text: str, title: str, screen: Screen) -> str:
    return text.replace(title, screen.bold(title), 1)


def _painted(group: str, screen: Screen) -> Callable[[str], str]:
    return {"asks": screen.yellow, "review": screen.green, "failed": screen.red}.get(group, screen.bold)


def _item(row: RowData, screen: Screen) -> list[str]:
    """The issue and its title, what came of it, the agent's last sentence, and the command that comes next."""
    issue, title = screen.issue(name(row)), row["title"]
    shown = [_head(issue, title, screen)] if not screen.narrow else _folded(f"{issue}  {title}", "  ", screen)
    facts = " · ".join(facts_of(row))
    said = _folded(f"“{row['said']}”", _BELOW, screen) if row["said"] else []
    if row["group"] == "asks":  # the question is what matters: all of it
        return [*shown, *said, *_beside(_BELOW + facts, next_of(row, screen), screen)]
    if said and not screen.narrow:
        said = [cut(f"{_BELOW}“{row['said']}”", screen.cuts_at)]
    return [*shown, *_beside(_BELOW + facts, next_of(row, screen), screen), *map(screen.dim, said)]


def _head(issue: str, title: str, screen: Screen) -> str:
    room = None if screen.width is None else max(screen.width - columns(issue) - 4, 8)
    return f"  {screen.bold(issue)}  {cut(title, room)}".rstrip()


def _folded(text: str, indent: str, screen: Screen) -> list[str]:
    """``text`` in at most `MOST` lines, indented; the last of them is cut."""
    parts = screen.wrapped(text, len(indent))
    if len(parts) > MOST and screen.width is not None:
        parts = [*parts[: MOST - 1], cut(" ".join(parts[MOST - 1 :]), screen.width - len(indent))]
    return [indent + part for part in parts]


def _beside(text: str, command: str, screen: Screen, paint: Callable[[str], str] | None = None) -> list[str]:
    """``text`` and a command, flush right in its line, or below it where there is no room."""
    paint = paint or (lambda plain: plain)
    if not text.strip():
        return [_BELOW + command]
    if screen.width is None:
        return [f"{paint(text)}{' ' * _GAP}{command}"]
    room = screen.width - columns(command) - columns(text)
    if room >= _GAP and not screen.narrow:
        return [f"{paint(text)}{' ' * room}{command}"]
    indent = " " * (len(text) - len(text.lstrip(" ")))
    parts = _folded(text.strip(), indent, screen)
    return [paint(parts[0]), *parts[1:], _BELOW + command]
