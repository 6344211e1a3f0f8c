"""What a recorded transaction says of the inputs of its decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from kugetsu.domain.decide import claims
from kugetsu.domain.events import Event
from kugetsu.domain.facts import ClaimFacts


class MissingFactError(Exception):
    """The transaction does not record something that its decision reads now."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it does not record {name}, which its decision reads")
        self.name = name


class UnknownError(Exception):
    """Nobody here decides such a transaction: it was written by a later version, or by nobody."""


def facts_of(event: Event, needed: frozenset[str] | set[str]) -> dict[str, Any]:
    """The facts of an event, as a copy; MissingFactError when one of ``needed`` is not among them."""
    facts = dict(event.get("facts", ()))
    for name in sorted(needed - facts.keys()):
        raise MissingFactError(name)
    return facts


def claim_facts(event: Event) -> ClaimFacts:
    """The facts that gates read, and ``planned`` where a dispatcher recorded it. Raises MissingFactError."""
    return cast(ClaimFacts, facts_of(event, ClaimFacts.__required_keys__))


def planned_of(facts: ClaimFacts) -> int:
    """Take the seq of the state that a plan was made from out of the facts. Raises MissingFactError."""
    everything = cast("dict[str, Any]", facts)
    if "planned" not in everything:
        raise MissingFactError("planned")
    return int(everything.pop("planned"))


def claimed_in(group: Sequence[Event]) -> Event | None:
    """The claim that a transaction makes."""
    return next((event for event in group if event["type"] == "attempt.claimed"), None)


def offer_of(claimed: Event) -> claims.ClaimRequest:
    """What its claimer brought."""
    return claims.ClaimRequest(claimed["data"]["lease"], claimed["data"]["claimer"])
