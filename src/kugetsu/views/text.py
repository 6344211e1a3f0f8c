"""Text for a terminal: made harmless, measured in columns, cut, and laid out in tables.

What agents and users wrote, and what a foreign log holds, may have control characters that move the cursor, recolour
or retitle a terminal. Texts pass through `line` or `block` before they are laid out, and so through the redaction
funnel; every cell of a table and every line that a command prints is made harmless once more, whoever made it. Columns
are counted as a terminal does: two for a CJK character or an emoji, none for a combining mark.
"""

from __future__ import annotations

from kugetsu.redaction.funnel import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kugetsu.views.screen import Screen

    Paint = Callable[[int, str, str], str]

ELLIPSIS = "…"
GAP = "  "
#: A column that gives way is not cut below this many columns.
NARROWEST = 6
#: The codes with which `screen.Screen` paints.
COLOURS = frozenset(("0", "1", "2", "31", "32", "33"))
_JOINERS = "\u200c\u200d\ufe0e\ufe0f"  # they shape emoji and scripts, and move no cursor


def line(text: str) -> str:
    """``text`` as one harmless line: white space becomes single spaces, other unprintable characters are escaped."""
    text = redact(text)
    if text.isprintable() and "  " not in text:
        return text.strip(" ")
    return _escaped(" ".join(text.split()))


def block(text: str) -> list[str]:
    """``text`` as harmless lines, its line breaks and indents kept."""
    return [_escaped(part.expandtabs(4).rstrip()) for part in redact(text).replace("\r\n", "\n").split("\n")]


def harmless(text: str, *, colours: bool = False) -> str:
    """``text`` as one line without anything that a terminal obeys, but for kugetsu's own ``colours``."""
    if text.isprintable():
        return text
    if not colours or "\x1b[" not in text:
        return _escaped(text)
    first, *rest = text.split("\x1b[")
    shown = _escaped(first)
    for part in rest:
        code, end, after = part.partition("m")
        shown += f"\x1b[{code}m{_escaped(after)}" if end and code in COLOURS else _escaped(f"\x1b[{part}")
    return shown


def json_harmless(text: str) -> str:
    """A JSON document that says the same, with the characters that a terminal obeys written as JSON escapes."""
    if text.isascii() and "\x7f" not in text:
        return text
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() or c in _JOINERS else _json_escape(c) for c in text)


def _json_escape(c: str) -> str:
    code = c.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{code[at : at + 4]}" for at in range(0, len(code), 4))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _JOINERS else " " if c.isspace() else ascii(c)[1:-1] for c in text)


def columns(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(c) for c in text)


def _columns_of(c: str) -> int:
    if c < "\u0300":
        return 1
    import unicodedata

    if c in _JOINERS or unicodedata.combining(c):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def cut(text: str, width: int | None) -> str:
    """``text`` within ``width`` columns, its end replaced by … when it is longer; None cuts nothing."""
    if width is None or columns(text) <= width:
        return text
    if width < 1:
        return ""
    kept, used = [], 0
    for c in text:
        used += _columns_of(c)
        if used > width - 1:
            break
        kept.append(c)
    return "".join(kept).rstrip() + ELLIPSIS


def wrapped(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` columns, broken at spaces; a longer word is cut."""
    parts: list[str] = []
    now = ""
    for word in text.split(" "):
        if now and columns(now) + 1 + columns(word) > width:
            parts.append(now)
            now = word
        else:
            now = f"{now} {word}" if now else word
    return [cut(part, width) for part in (*parts, now)]


def side_by_side(parts: Sequence[str], screen: Screen) -> list[str]:
    """Ways to go on in one line; a line each where there is no room, so that nothing of a command is cut."""
    together = (" " * 8).join(parts)
    if screen.source is None or screen.width is None or columns(together) <= screen.width:
        return [together]
    return list(parts)


def pad(text: str, width: int, right: bool = False) -> str:
    """``text`` filled up with spaces to ``width`` columns, to the left of it when ``right``."""
    fill = " " * (width - columns(text))
    return fill + text if right else text + fill


class Column:
    """A column of a table: its title, whether it is flushed right, whether it gives way when space is short, and
    whether it is never cut, for it is to be typed."""

    __slots__ = ("gives", "right", "title", "whole")

    def __init__(self, title: str, *, right: bool = False, gives: bool = False, whole: bool = False) -> None:
        self.title = title
        self.right = right
        self.gives = gives
        self.whole = whole


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
    if not _narrow(screen, heads, widths, len(indent)):
        from kugetsu.views.narrow_tables import stacked

        return stacked(screen, heads, shown, paint=paint, indent=indent, titles=titles)
    lines: list[str] = []
    for number, row in enumerate(all_rows):
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


def _narrow(screen: Screen, heads: Sequence[Column], widths: list[int], indent: int) -> bool:
    """Take columns from those that give way, the widest first, until the table fits; whether it does, with nothing cut
    that must not be."""
    if screen.width is None:
        return True
    excess = indent + sum(width + len(GAP) for width in widths if width) - len(GAP) - screen.width
    if excess > 0 and screen.narrow:
        return False
    giving = [at for at, head in enumerate(heads) if head.gives]
    others = [at for at, head in enumerate(heads) if not head.gives and not head.whole]
    for group in (giving, others):
        while excess > 0 and group:
            widest = max(group, key=lambda at: widths[at])
            if widths[widest] <= NARROWEST:
                break
            # Down to the next widest at once, or as far as needed: a cell may be 100 kB long.
            rest = [widths[at] for at in group if at != widest]
            floor = max(NARROWEST, *rest) if rest else NARROWEST
            step = min(excess, max(widths[widest] - floor, 1))
            widths[widest] -= step
            excess -= step
    return excess <= 0
