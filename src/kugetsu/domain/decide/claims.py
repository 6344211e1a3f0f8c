"""Decisions on claims: who gets a slot now, and what holds the others back."""

from __future__ import annotations

from kugetsu.domain import gates
from kugetsu.domain.draft import Draft
from kugetsu.domain.fold import queued
from kugetsu.domain.state import Task
from kugetsu.errors import CapReached, Conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.gates import Verdict
    from kugetsu.domain.state import Identity, State


class Offer:
    """What a claimer brings: the lease that it holds already, its own identity, and the counters of the issue's
    earlier life for the case that the issue has no session now."""

    __slots__ = ("carried", "claimer", "lease")

    def __init__(self, lease: str, claimer: Identity, carried: dict[str, Any] | None = None) -> None:
        self.lease = lease
        self.claimer = claimer
        self.carried = carried


def lowest_free_slot(state: State, cap: int) -> int | None:
    """The lowest slot from 1 to ``cap`` that no live dev attempt holds; None when there is none."""
    held = {attempt.slot for attempt in state.live("dev")}
    return next((slot for slot in range(1, cap + 1) if slot not in held), None)


def claim(state: State, task: Task, offer: Offer, facts: ClaimFacts) -> list[Draft]:
    """The events that give ``task`` a slot: [] when a gate is closed (ask `gates.first_closed` which).

    ``task`` may be one that the same transaction queues: it is then not in ``state`` yet, and its ``changed`` is the
    seq that it will have.
    """
    if gates.first_closed(state, task, facts) is not None:
        return []
    slot = lowest_free_slot(state, facts["cap"]) if task.kind == "dev" else None
    if task.kind == "dev" and slot is None:
        return []
    drafts: list[Draft] = []
    about: dict[str, Any] = {"issue": task.issue, "task": task.id, "cause": task.changed}
    if task.state == "parked":
        drafts.append(Draft("task.resumed", {"why": "time"}, **about))
    if task.session not in state.sessions:
        drafts.append(Draft("session.requested", _wanted(task, offer), session=task.session, **about))
    data: dict[str, Any] = {
        "number": task.made + 1,
        "kind": task.kind,
        "slot": slot,
        "lease": offer.lease,
        "claimer": offer.claimer,
        "live": [other.id for other in state.live("dev")],
    }
    attempt = f"{task.id}.{task.made + 1}"
    recorded = dict(facts)
    drafts.append(Draft("attempt.claimed", data, attempt=attempt, session=task.session, facts=recorded, **about))
    return drafts


def _wanted(task: Task, offer: Offer) -> dict[str, Any]:
    repository = task.issue.rsplit("#", 1)[0] if task.issue else None
    data: dict[str, Any] = {"kind": "issue" if task.issue else "pm", "repository": repository}
    if offer.carried:
        data["carried"] = offer.carried
    return data


def start(state: State, enqueued: Draft, offer: Offer, facts: ClaimFacts) -> list[Draft]:
    """Queue a task and claim its slot in one transaction, or refuse and change nothing.

    Raises CapReached when the machine is full, Conflict when another gate is closed.
    """
    task = queued(
        {
            "seq": state.seq + 1,
            "at": facts["now"],
            "task": enqueued.task,
            "issue": enqueued.issue,
            "data": enqueued.data,
        }
    )
    closed = gates.first_closed(state, task, facts)
    if closed is not None:
        raise refusal(closed)
    return [enqueued, *claim(state, task, offer, facts)]


def refusal(closed: Verdict) -> CapReached | Conflict:
    """The error that a closed gate is to someone who wanted to start now."""
    until = f" until {closed.until}" if closed.until else ""
    message = f"not started: {closed.reason}{until}"
    if closed.gate in gates.FULL or closed.gate == "stagger":
        return CapReached(message, hint="wait for one to end (kugetsu status), or queue it: kugetsu start --queue …")
    return Conflict(message, hint=closed.lift)


class Plan:
    """What the dispatcher would do now: the task to claim, the reasons that changed, when to look again.

    Made without the lock; the claim is decided again under it.
    """

    __slots__ = ("candidate", "held", "next_look")

    def __init__(self, candidate: str | None, held: list[tuple[str, Verdict]], next_look: str | None) -> None:
        self.candidate = candidate
        self.held = held
        self.next_look = next_look


def plan(state: State, facts: ClaimFacts) -> Plan:
    """Look at every waiting task in order: the first with all gates open is the candidate."""
    candidate: str | None = None
    held: list[tuple[str, Verdict]] = []
    looks: list[str] = []
    for task in state.waiting():
        closed = gates.first_closed(state, task, facts)
        if closed is None:
            candidate = candidate or task.id
            continue
        if closed.until is not None:
            looks.append(closed.until)
        if closed.gate != task.held:
            held.append((task.id, closed))
    return Plan(candidate, held, min(looks) if looks else None)


def hold(state: State, held: list[tuple[str, Verdict]], facts: ClaimFacts) -> list[Draft]:
    """One ``task.held`` for each task whose reason is still new."""
    drafts: list[Draft] = []
    for task_id, closed in held:
        task = state.tasks.get(task_id)
        if task is None or task.state not in ("pending", "parked") or task.held == closed.gate:
            continue
        data = {"gate": closed.gate, "reason": closed.reason, "rests_on": closed.rests_on, "until": closed.until}
        cause = closed.rests_on or task.changed
        drafts.append(Draft("task.held", data, issue=task.issue, task=task.id, cause=cause, facts=dict(facts)))
    return drafts


def dispatch(state: State, planned: Plan, offer: Offer | None, facts: ClaimFacts) -> list[Draft]:
    """The plan, decided again on the state under the lock: holds that are still new, the claim if it still may be."""
    drafts = hold(state, planned.held, facts)
    if planned.candidate is not None and offer is not None:
        task = state.tasks.get(planned.candidate)
        if task is not None:
            drafts += claim(state, task, offer, facts)
    return drafts
