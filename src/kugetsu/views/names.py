"""Names of issues (`host/owner/repo#14`) that are too long for where they stand.

The host gives way first, then the owner, then the middle of the repository's name. The number stays, and so does what
tells a name apart from the others on the screen: `…hub.com/a/b#1` beside `…lab.com/a/b#1`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

ELLIPSIS = "…"
#: Columns of a repository's name that stay in a column of names, when it is longer.
READABLE = 10
#: What may stand around a name in a sentence.
_AROUND = "'\",;:.()"


def split(word: str) -> tuple[str, str] | None:
    """A word as the path and the number (`#14`) of an issue; None if it is not the name of one."""
    path, mark, number = word.rpartition("#")
    return (path, mark + number) if "/" in path and number.isascii() and number.isdigit() else None


def shortened(names: Iterable[str], width: int) -> dict[str, str]:
    """Each name → its text of at most ``width`` columns (names are ASCII). Words that name no issue stay as they are.

    Repositories stay distinct unless ``width`` is below `least`; numbers are kept even then.
    """
    shown: dict[str, str] = {}
    paths: dict[str, tuple[str, str]] = {}
    room: dict[str, int] = {}
    for name in names:
        parts = split(name)
        if parts is None and "/" not in name:
            shown[name] = name
            continue
        path, number = parts or (name, "")
        paths[name] = (path, number)
        room[path] = min(room.get(path, width), width - len(number))
    texts = _distinct(room)
    for name, (path, number) in paths.items():
        text = texts[path] if texts is not None else _end(path, max(width - len(number), 0))
        shown[name] = text + number
    return shown


def least(names: Collection[str]) -> int:
    """The fewest columns in which the names can be read and told apart."""
    parts = [split(name) or (name, "") for name in names if "/" in name]
    room: dict[str, int] = {}
    for path, number in parts:
        room[path] = max(room.get(path, 0), len(number))
    floor = max((_readable(path) + len(number) for path, number in parts), default=0)
    most = max((len(path) + len(number) for path, number in parts), default=0)
    while floor < most and _distinct({path: floor - number for path, number in room.items()}) is None:
        floor += 1
    return floor


def cut_word(word: str, room: int, *, last: bool) -> str | None:
    """The word in which a text is cut, in ``room`` columns, if it names an issue: its number stays, or all of it goes.
    None if it names none. ``last``: nothing comes after it."""
    name = word.strip(_AROUND)
    parts = split(name)
    if parts is None:
        return None
    before, _, after = word.partition(name)
    end = after if last else ELLIPSIS
    room -= len(before + end)
    return before + shortened([name], room)[name] + end if room > len(parts[1]) + 1 else ELLIPSIS


def _readable(path: str) -> int:
    own = len(path.rpartition("/")[2]) + len("…/")
    return min(own, READABLE, len(path))


def _distinct(room: dict[str, int]) -> dict[str, str] | None:
    """Each path → its text in as many columns as it has, no two the same; None where there is no such way."""
    texts = {path: _end(path, width) for path, width in room.items()}
    for path, others in _alike(texts).items():
        found = next((text for text in _windows(path, others, room[path]) if text not in texts.values()), None)
        if found is None:
            return None
        texts[path] = found
    return texts


def _alike(texts: dict[str, str]) -> dict[str, list[str]]:
    """The paths that have the same text as others, each with those."""
    by_text: dict[str, list[str]] = {}
    for path, text in texts.items():
        by_text.setdefault(text, []).append(path)
    return {
        path: [other for other in group if other != path] for group in by_text.values() if group[1:] for path in group
    }


def _end(path: str, width: int) -> str:
    """The end of a path: without its host if that is enough, else as many columns as there are."""
    if len(path) <= width:
        return path
    _, _, rest = path.partition("/")
    if rest and len(rest) + 2 <= width:
        return f"{ELLIPSIS}/{rest}"
    return _last(path, width)


def _last(path: str, width: int) -> str:
    """The last ``width`` columns, with an ellipsis in the first of them."""
    if width < 2:
        return ELLIPSIS[: max(width, 0)]
    return ELLIPSIS + path[max(len(path) - width + 1, 0) :]


def _windows(path: str, others: list[str], width: int) -> Iterable[str]:
    """Texts of a path that show where it differs from others with the same end: `…back…-service`."""
    same = max(_same_end(path, other) for other in others)
    for end in range(min(same, width // 2), -1, -1):
        tail = path[len(path) - end :]
        head = _last(path[: len(path) - same], width - len(tail) - len(ELLIPSIS) * (end < same))
        if head.strip(ELLIPSIS):
            yield head + (ELLIPSIS if end < same else "") + tail


def _same_end(one: str, other: str) -> int:
    """How many characters at the end of both are the same."""
    count = 0
    while count < min(len(one), len(other)) and one[-1 - count] == other[-1 - count]:
        count += 1
    return count
