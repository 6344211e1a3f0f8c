"""Counts and lists of names in a sentence."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """`1 attempt`, `2 attempts`, `2 tries`, `2 processes`, `2 stashes`."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{number} {noun[:-1]}ies"
    return f"{number} {noun}{'es' if noun.endswith(('s', 'sh', 'ch')) else 's'}"


def listed(names: Sequence[object], most: int = 3) -> str:
    """The first few names, separated by commas; an ellipsis stands for the others."""
    return ", ".join(map(str, names[:most])) + (", …" if len(names) > most else "")
