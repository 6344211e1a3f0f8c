"""Lines wider than the screen go on below: no word is lost, and a command stays in one piece where a line holds it.

A line is folded first where it has gaps of blanks, for there one part of it ends; a part behind a short label goes on
below itself. Colours go on where the line does.
"""

from __future__ import annotations

from kugetsu.views.text import DESK, columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Blanks that part statements of a line, as before `why: kugetsu why q7`; fewer part the cells of one.
APART = 6
#: Columns that what goes on is indented by.
HANG = 2
#: Ends of a word that end a command, or a fact in a row of facts.
_ENDS = (",", ";", ":", ")")
_DOT = "·"


def folded(text: str, width: int, hang: int = HANG, *, words: bool = True) -> list[str]:
    """``text`` as lines of at most ``width`` columns, those after the first indented by ``hang`` more; unless its
    ``words`` may be parted only as one line for each statement.

    ``text`` may be coloured. A word that is longer than a line is broken on less than `DESK` columns, else left whole.
    """
    if len(text) <= width and text.isascii():
        return [text]
    plain, escapes = _without_colours(text)
    if columns(plain) <= width:
        return [text]
    places = _Fold(plain, width, hang, words=words).places
    return list(_coloured(plain, places, escapes)) if escapes else [_line(plain, *place) for place in places]


def _line(plain: str, indent: int, start: int, end: int) -> str:
    return " " * indent + plain[start:end].rstrip(" ")


class _Fold:
    """Where the lines of a text begin and end in it, and how far each is indented: ``places``."""

    def __init__(self, plain: str, width: int, hang: int, *, words: bool) -> None:
        self.places: list[tuple[int, int, int]] = []
        self._plain = plain
        self._width = width
        self._words = words
        start = len(plain) - len(plain.lstrip(" "))
        base = min(start, width // 2)
        self._begin(base, start)
        before = start
        for first, last in _parts(plain):
            gap = first - before
            goes_on = base + hang
            if before > start and (gap >= APART or (words and not self._holds(last))):
                if gap < APART and self._labelled(first, last):
                    goes_on = self._used(first)
                else:
                    self._end(before)
                    self._begin(base if gap >= APART else goes_on, first)
                    goes_on = base + hang
            self._fill(first, last, goes_on)
            before = last
        self._end(before)

    def _begin(self, indent: int, start: int) -> None:
        self._indent, self._start = indent, start

    def _end(self, end: int) -> None:
        self.places.append((self._indent, self._start, end))

    def _used(self, end: int) -> int:
        """Columns of the line that is being filled, up to ``end``."""
        return self._indent + columns(self._plain[self._start : end])

    def _holds(self, end: int) -> bool:
        return self._used(end) <= self._width

    def _labelled(self, first: int, last: int) -> bool:
        """Whether what is on the line is short enough to label a part, which then goes on below itself."""
        used = self._used(first)
        room = self._width - used
        return used <= self._width * 2 // 5 and all(columns(word) <= room for word in self._plain[first:last].split())

    def _fill(self, first: int, last: int, goes_on: int) -> None:
        if not self._words:
            return
        before = first
        for start, end in _together(self._plain, first, last, self._width - goes_on):
            if not self._holds(end) and start > self._start and before > self._start:
                self._end(before)
                self._begin(goes_on, start)
            if self._width < DESK:
                self._break(end, goes_on)
            before = end

    def _break(self, end: int, goes_on: int) -> None:
        while not self._holds(end):
            at, used = self._start, self._indent
            while at == self._start or used + columns(self._plain[at]) <= self._width:
                used += columns(self._plain[at])
                at += 1
            self._end(at)
            self._begin(goes_on, at)


def _parts(plain: str) -> Iterator[tuple[int, int]]:
    """Where the parts of a line begin and end that two blanks or more are between."""
    at, size = 0, len(plain)
    while at < size:
        if plain[at] == " ":
            at += 1
            continue
        end = plain.find("  ", at)
        end = size if end < 0 else end
        yield at, len(plain[:end].rstrip(" "))
        at = end


def _together(plain: str, first: int, last: int, room: int) -> Iterator[tuple[int, int]]:
    """Where the words begin and end; those of a command, and those of one of the facts between two dots, are one."""
    words = list(_words(plain, first, last))
    at = 0
    while at < len(words):
        start = words[at][0]
        for upto in (_command(plain, words, at), _fact(plain, words, at)):
            if upto > at and columns(plain[start : words[upto][1]]) <= room:
                at = upto
                break
        yield start, words[at][1]
        at += 1


def _words(plain: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    while first < last:
        end = plain.find(" ", first, last)
        end = last if end < 0 else end
        yield first, end
        first = end + 1


def _command(plain: str, words: list[tuple[int, int]], at: int) -> int:
    """The last word of the command that begins at ``at``; ``at`` itself where none does."""
    if plain[slice(*words[at])].lstrip("(") != "kugetsu":
        return at
    while at + 1 < len(words) and not plain[slice(*words[at])].endswith(_ENDS):
        at += 1
    return at


def _fact(plain: str, words: list[tuple[int, int]], at: int) -> int:
    """The dot behind the fact that begins at ``at``, or its last word; ``at`` itself where no dot tells of a fact."""
    if at and plain[slice(*words[at - 1])] != _DOT:
        return at
    for upto in range(at, len(words)):
        if plain[slice(*words[upto])] == _DOT:
            return upto
    return len(words) - 1 if at else 0


def _without_colours(text: str) -> tuple[str, list[tuple[int, str]]]:
    """The text alone, and its escapes with the place before which each stands."""
    if "\x1b" not in text:
        return text, []
    first, *rest = text.split("\x1b[")
    plain, escapes = first, []
    for part in rest:
        code, _, said = part.partition("m")
        escapes.append((len(plain), f"\x1b[{code}m"))
        plain += said
    return plain, escapes


_END = "\x1b[0m"


def _coloured(plain: str, places: list[tuple[int, int, int]], escapes: list[tuple[int, str]]) -> Iterator[str]:
    """The lines, each with the colours of its own: what is on at a line's end is ended there and begun anew."""
    on, at = "", 0
    for indent, start, end in places:
        shown, done = "", start
        while at < len(escapes) and (escapes[at][0] < end or (escapes[at][0] == end and escapes[at][1] == _END)):
            place, code = escapes[at]
            at += 1
            if place <= start:
                on = "" if code == _END else code
                continue
            shown += (on if done == start else "") + plain[done:place] + code
            on, done = "" if code == _END else code, place
        shown += (on if done == start else "") + plain[done:end].rstrip(" ")
        yield " " * indent + shown + (_END if on else "")
