"""The words of the intake: what follows from a labelled issue, and which labels show it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

#: code of `events.intake.IntakeSeen` → words, with its values.
_CODES: dict[str, Callable[[dict[str, Any]], str]] = {
    "queued": lambda v: f"labelled {v.get('label')}: queued",
}
#: code of `events.intake.IntakeGone` → words.
_GONE = {
    "unlabelled": "its label was removed",
    "closed": "it was closed",
    "switched_off": "its repository has no INTAKE_LABEL any more",
}


def words(code: str, values: dict[str, Any]) -> str:
    """What follows from a labelled issue, and why."""
    tell = _CODES.get(code)
    return tell(values) if tell is not None else code


def gone(code: str) -> str:
    """Why an issue no longer asks for work."""
    return _GONE.get(code, code)


def labels(add: Sequence[str], remove: Sequence[str]) -> str:
    """Labels that are added and removed."""
    return " ".join([*(f"+{name}" for name in add), *(f"-{name}" for name in remove)]) or "no label"
