"""What a gate answers."""

from __future__ import annotations

from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@record
class Verdict:
    """What one gate answers: ``code`` names the answer, ``values`` (JSON) are what it was decided from. ``rests_on`` is
    the seq of the event behind it (0: no single event), ``until`` the time at which it opens by itself, if any."""

    gate: str
    open: bool
    code: str
    values: dict[str, Any]
    rests_on: int = 0
    until: str | None = None


#: The answers that have no values, made once: a plan asks for a dozen of them for each waiting task.
_PLAIN: dict[tuple[str, str], Verdict] = {}


def opened(gate: str, code: str, **values: Any) -> Verdict:
    """The gate does not hold the task back."""
    if values:
        return Verdict(gate, True, code, values)
    found = _PLAIN.get((gate, code))
    if found is None:
        found = _PLAIN[gate, code] = Verdict(gate, True, code, values)
    return found


def closed(gate: str, code: str, rests_on: int = 0, until: str | None = None, **values: Any) -> Verdict:
    """The gate holds the task back."""
    return Verdict(gate, False, code, values, rests_on, until)
