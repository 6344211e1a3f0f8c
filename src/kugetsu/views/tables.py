"""Tables, no wider than the screen: columns are cut; on a narrow screen the rest of a row stands below it, whole."""

from __future__ import annotations

from kugetsu.model.record import record
from kugetsu.views.text import columns, cut, harmless, pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kugetsu.views.screen import Screen

    Paint = Callable[[int, str, str], str]
    Row = Sequence[str]

GAP = "  "
#: A column that gives way is not cut below this many columns.
NARROWEST = 6
#: Lines that a cell takes at most: it may be 100 kB long.
MOST = 12
#: What stands below a row is indented by.
BELOW = "  "


@record
class Column:
    """A column of a table: its title, whether it is flushed right, whether it gives way when space is short, whether
    it is never cut, for it is to be typed, and whether it holds names of issues, which are shortened such that they
    stay apart (`views.names`)."""

    title: str
    right: bool = False
    gives: bool = False
    whole: bool = False
    names: bool = False


def table(
    screen: Screen,
    heads: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    paint: Paint | None = None,
    indent: str = "",
    titles: bool = True,
) -> list[str]:
    """The lines of a table, no wider than the screen: one a row, or several where the screen is too narrow.

    ``paint`` is given column, value and padded value, and returns the latter coloured. Columns that are empty in
    every row and have no title are left out.
    """
    shown = [[harmless(value) for value in row] for row in rows]
    all_rows = [[head.title for head in heads], *shown] if titles else shown
    widths = [max((columns(row[at]) for row in all_rows), default=0) for at in range(len(heads))]
    if not _narrow(screen, heads, widths, shown, len(indent)):
        return _stacked(screen, heads, shown, paint=paint, indent=indent, titles=titles)
    rows = _with_names(heads, shown, widths)
    lines: list[str] = []
    for number, row in enumerate([*all_rows[: len(all_rows) - len(shown)], *rows]):
        cells = []
        for at, value in enumerate(row):
            if not widths[at]:
                continue
            value = cut(value, widths[at])
            padded = pad(value, widths[at], heads[at].right)
            if titles and number == 0:
                padded = screen.dim(padded) if padded.strip() else padded
            elif paint is not None and value:
                padded = paint(at, row[at], padded)
            cells.append(padded)
        lines.append((indent + GAP.join(cells)).rstrip())
    return lines


def _with_names(heads: Sequence[Column], rows: Sequence[Row], widths: Sequence[int]) -> Sequence[Row]:
    """The rows, with names of issues shortened to the widths of their columns."""
    for at, head in enumerate(heads):
        if head.names and any(columns(row[at]) > widths[at] for row in rows):
            from kugetsu.views.names import shortened  # most screens hold their tables

            texts = shortened({row[at] for row in rows}, widths[at])
            rows = [[*row[:at], texts[row[at]], *row[at + 1 :]] for row in rows]
    return rows


def _narrowest_column(head: Column, at: int, rows: Sequence[Row]) -> int:
    """How far a column may give way."""
    if not head.names:
        return NARROWEST
    from kugetsu.views.names import least

    return max(NARROWEST, least({row[at] for row in rows}))


def _narrow(screen: Screen, heads: Sequence[Column], widths: list[int], rows: Sequence[Row], indent: int) -> bool:
    """Take columns from those that give way, the widest first, until the table fits; whether it does, with nothing cut
    that must not be."""
    if screen.width is None:
        return True
    excess = indent + sum(width + len(GAP) for width in widths if width) - len(GAP) - screen.width
    if excess <= 0 or screen.narrow:
        return excess <= 0
    floors = [_narrowest_column(head, at, rows) for at, head in enumerate(heads)]
    giving = [at for at, head in enumerate(heads) if head.gives]
    others = [at for at, head in enumerate(heads) if not head.gives and not head.whole]
    for group in (giving, others):
        while excess > 0 and (able := [at for at in group if widths[at] > floors[at]]):
            widest = max(able, key=lambda at: widths[at])
            # Down to the next widest at once, or as far as needed: a cell may be 100 kB long.
            floor = max([floors[widest], *(widths[at] for at in able if at != widest)])
            step = min(excess, max(widths[widest] - floor, 1))
            widths[widest] -= step
            excess -= step
    return excess <= 0


class _Layout:
    """Which columns stand side by side, how wide; the others, in their order, stand ``below``."""

    __slots__ = ("below", "beside", "widths")

    def __init__(self, heads: Sequence[Column], rows: Sequence[Row], room: int, *, titles: bool) -> None:
        cells = [[head.title * titles, *(row[at] for row in rows)] for at, head in enumerate(heads)]
        self.widths = [max(map(columns, column)) for column in cells]
        used = [at for at, width in enumerate(self.widths) if width]
        first = used[0]
        # A long name stands in a line of its own, so that it does not take the others' room.
        short = [width for width in map(columns, cells[first]) if 0 < width <= room * 3 // 5]
        self.widths[first] = max(short, default=self.widths[first])
        self.beside = list(used)
        # What is typed and what may be long goes below first. Then a first column of several words gives way before
        # numbers do: they are there to be compared.
        self._make_room(room, lambda at: heads[at].whole)
        self._make_room(room, lambda at: heads[at].gives)
        narrowest = max(map(_narrowest, cells[first]))
        if narrowest <= self.widths[first] - self._excess(room):
            self.widths[first] -= max(self._excess(room), 0)
        self._make_room(room, lambda _: True)
        self.widths[first] = min(self.widths[first], room)
        self.below = [at for at in used if at not in self.beside]

    def _excess(self, room: int) -> int:
        return sum(self.widths[at] + len(GAP) for at in self.beside) - len(GAP) - room

    def _make_room(self, room: int, goes: Callable[[int], bool]) -> None:
        for at in self.beside[:0:-1]:
            if self._excess(room) > 0 and goes(at):
                self.beside.remove(at)


def _stacked(
    screen: Screen, heads: Sequence[Column], rows: Sequence[Row], *, paint: Paint | None, indent: str, titles: bool
) -> list[str]:
    """The lines of the table. Rows without titles need not stand in line: each is laid out for itself."""
    room = (screen.width or 0) - len(indent)

    def plain(_at: int, _value: str, padded: str) -> str:
        return padded

    lines: list[str] = []
    for group in [rows] if titles else [[row] for row in rows]:
        layout = _Layout(heads, group, room, titles=titles)
        if titles:
            named = (pad(heads[at].title, layout.widths[at], heads[at].right) for at in layout.beside)
            lines.append(indent + screen.dim(GAP.join(named).rstrip()))
        for row in group:
            shown = _beside(heads, row, layout, room, paint or plain)
            shown += [BELOW + part for part in _below(heads, row, layout, room - len(BELOW), paint or plain)]
            lines += [indent + part for part in shown]
    return lines


def _beside(heads: Sequence[Column], row: Row, layout: _Layout, room: int, paint: Paint) -> list[str]:
    """What stands side by side; above it a name that is too long, and below it the words of a first cell that wraps."""
    from kugetsu.views.wrap import folded  # most screens hold their tables

    first, *others = layout.beside
    width = layout.widths[first] if others else room
    above, parts = [], folded(cut(row[first], MOST * room), width, 0)
    if _narrowest(row[first]) > width:
        above, parts = folded(cut(row[first], MOST * room), room, 0), [""]
    parts = [paint(first, row[first], pad(part, width, heads[first].right)) if part else " " * width for part in parts]
    cells = [parts[0]]
    for at in others:
        padded = pad(row[at], layout.widths[at], heads[at].right)
        cells.append(paint(at, row[at], padded) if row[at] else padded)
    return [part for part in (*above, GAP.join(cells).rstrip(), *map(str.rstrip, parts[1:])) if part]


def _below(heads: Sequence[Column], row: Row, layout: _Layout, room: int, paint: Paint) -> list[str]:
    """The other cells, as many in a line as fit; numbers with their title, what is typed in a line of its own."""
    from kugetsu.views.wrap import folded

    lines: list[str] = []
    used = room
    for at in layout.below:
        value = cut(row[at], MOST * room)
        if value in ("", "-"):
            continue
        head = heads[at]
        said = value if head.gives or head.whole else f"{head.title.lower()} {value}".lstrip()
        parts = folded(said, room, 0)
        shown = [paint(at, row[at], part) for part in parts]
        if lines and not head.whole and len(parts) == 1 and used + len(GAP) + columns(said) <= room:
            lines[-1] += GAP + shown[0]
            used += len(GAP) + columns(said)
        else:
            lines += shown
            used = room if head.whole else columns(parts[-1])
    return lines


def _narrowest(text: str) -> int:
    """Columns of the longest word, and of the blanks before it all."""
    return len(text) - len(text.lstrip(" ")) + max(map(columns, text.split(" ")))
