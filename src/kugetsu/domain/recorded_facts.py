"""The gates asked of a point of the past: with the facts of that time, as the nearest decision recorded them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kugetsu.domain.events import Event
from kugetsu.domain.facts import ClaimFacts, ReactionFacts
from kugetsu.domain.state import State
from kugetsu.model.clock import add_seconds

#: What the gates cannot be asked without, as the first version recorded it.
_NEEDED = {
    "cap": int,
    "agent": str,
    "cores": int,
    "warmup_seconds": int | float,
    "min_free_memory_mb": int,
    "max_attempts": int,
}
#: What else they read.
_READ = {
    "free_memory_mb": int | None,
    "free_disk_mb": int | None,
    "min_free_disk_mb": int,
    "issue_max_tokens": int,
    "issue_max_cost": int | float,
    "max_runs_without_progress": int,
    "repository_caps": dict,
}
#: What a repository has of its own (`facts.RepositoryFacts`).
_OWN = {**_NEEDED, **_READ, "max_agents": int, "timeout_hours": int | float}
#: What a turn that answers feedback, or the brake that holds it, was decided from (`facts.ReactionFacts`).
_OF_TURN = {"kinds": list, "delay_seconds": int | float, "max_reactions": int}
#: Facts of one decision only: they say nothing of the settings and the machine.
OF_ONE_DECISION = ("planned", "set_back", "despite_pause", "shared")
_WARMUP_MOST = 86_400.0


def decided(event: Event) -> bool:
    """True if an event records what the gates read (a claim, a hold, a lost claim)."""
    facts = event.get("facts")
    if not isinstance(facts, dict) or "free_memory_mb" not in facts:
        return False
    return all(isinstance(facts.get(name), kind) for name, kind in _NEEDED.items())


def complete(facts: Mapping[str, Any]) -> bool:
    """True if facts from another place have all that the gates read, each of its type."""
    kinds: dict[str, Any] = {**_NEEDED, **_READ}
    if not all(name in facts and isinstance(facts[name], kind) for name, kind in kinds.items()):
        return False
    if not all(isinstance(cap, int) for cap in facts["repository_caps"].values()):
        return False
    own = facts.get("repositories", {})
    if not isinstance(own, dict) or not all(map(_is_own, own.values())):
        return False
    warmup: float = facts["warmup_seconds"]
    return 0 <= warmup <= _WARMUP_MOST


def _is_own(facts: object) -> bool:
    """True if these can be what a repository has of its own."""
    return isinstance(facts, dict) and all(isinstance(value, _OWN.get(name, object)) for name, value in facts.items())


def facts_then(recorded: Mapping[str, Any], state: State, now: str, *, daemon: bool | None = None) -> ClaimFacts:
    """What the gates read at ``now``, the time of ``state``: the recorded settings and machine, that time, and whether
    a daemon ran (``daemon`` if known, else according to the log)."""
    facts: Any = {name: value for name, value in recorded.items() if name not in OF_ONE_DECISION}
    facts["now"] = now
    facts["warm_before"] = add_seconds(now, -facts["warmup_seconds"])
    ran = state.daemon.runs if daemon is None else daemon
    facts["dispatcher"] = "daemon" if ran else "none"
    known: ClaimFacts = facts
    return known


def turn_then(event: Event, now: str) -> ReactionFacts | None:
    """The settings that an event about the loop of a pull request recorded, asked of the time ``now``; None for an
    event that records none."""
    facts = event.get("facts")
    if not isinstance(facts, dict) or not all(isinstance(facts.get(name), kind) for name, kind in _OF_TURN.items()):
        return None
    known: ReactionFacts = {
        "now": now,
        "kinds": facts["kinds"],
        "delay_seconds": facts["delay_seconds"],
        "max_reactions": facts["max_reactions"],
    }
    return known
