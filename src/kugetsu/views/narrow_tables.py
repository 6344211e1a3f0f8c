"""Tables on a screen that is too narrow for them: what fits stands side by side, the rest of a row below it, whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kugetsu.views.screen import Screen
from kugetsu.views.text import GAP, columns, cut, pad
from kugetsu.views.wrap import folded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.views.text import Column, Paint

    Row = Sequence[str]

#: Lines that a cell takes at most: it may be 100 kB long.
MOST = 12
#: What stands below a row is indented by.
BELOW = "  "


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


def stacked(
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
