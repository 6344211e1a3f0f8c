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


def decided(event: Event) -> bool:
    """Whether an event records what the gates read (a claim, a hold, a lost claim)."""
    facts = event.get("facts")
    return isinstance(facts, dict) and "cap" in facts and "agent" in facts


def facts_then(recorded: Mapping[str, Any], state: State, now: str) -> ClaimFacts:
    """What the gates read at ``now``, the time of ``state``: the recorded settings and machine, that time, and whether
    a daemon ran as far as the log knew."""
    facts: Any = {name: value for name, value in recorded.items() if name != "planned"}
    facts["now"] = now
    facts["warm_before"] = add_seconds(now, -facts["warmup_seconds"])
    facts["dispatcher"] = "daemon" if state.daemon.state in ("running", "draining") else "none"
    known: ClaimFacts = facts
    return known
