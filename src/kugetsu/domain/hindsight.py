"""The gates asked of a point of the past: with the facts of that time, as the nearest decision recorded them."""

from __future__ import annotations

from kugetsu.clock import add_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.state import State

    Event = dict[str, Any]


#: What the gates cannot be asked without, as the first version recorded it.
_NEEDED = {
    "cap": int,
    "agent": str,
    "cores": int,
    "warmup_seconds": int | float,
    "min_free_memory_mb": int,
    "max_attempts": int,
}


def decided(event: Event) -> bool:
    """Whether an event records what the gates read (a claim, a hold, a lost claim)."""
    facts = event.get("facts")
    if not isinstance(facts, dict) or "free_memory_mb" not in facts:
        return False
    return all(isinstance(facts.get(name), kind) for name, kind in _NEEDED.items())


def facts_then(recorded: Mapping[str, Any], state: State, now: str) -> ClaimFacts:
    """What the gates read at ``now``, the time of ``state``: the recorded settings and machine, that time, and whether
    a daemon ran as far as the log knew."""
    facts: Any = {name: value for name, value in recorded.items() if name != "planned"}
    facts["now"] = now
    facts["warm_before"] = add_seconds(now, -facts["warmup_seconds"])
    facts["dispatcher"] = "daemon" if state.daemon.runs else "none"
    known: ClaimFacts = facts
    return known
