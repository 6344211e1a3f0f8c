"""Counts and lists of names in a sentence."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 commit`, `2 commits`; `plural` when it is not the noun with an s: `2 stashes`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Sequence[object], most: int = 3) -> str:
    """The first few names, separated by commas; an ellipsis stands for the others."""
    return ", ".join(map(str, names[:most])) + (", …" if len(names) > most else "")
