"""Decisions on claims: which task gets a slot now, and what holds the others back."""

from __future__ import annotations

from kugetsu.domain import capacity_gates, gates, outages, task_options
from kugetsu.domain.decide import queue
from kugetsu.domain.decision import decision
from kugetsu.domain.fold.tasks import queued
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import SETUP, Attempt, State, Task
from kugetsu.domain.verdict import Verdict
from kugetsu.model.clock import add_seconds
from kugetsu.model.errors import AgentUnavailable, CapReached, Conflict
from kugetsu.model.record import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from kugetsu.domain.events import Identity
    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.placement import Placement
    from kugetsu.domain.waiting_groups import Key, Place, WaitingGroups
    from kugetsu.domain.waiting_line import WaitingLine


#: The identity of a claimer that claims nothing.
NOBODY: Identity = {"boot": "", "pid": 0, "start": 0}


@value
class ClaimRequest:
    """What a claimer provides: the lease that it already holds, and its own identity."""

    lease: str = ""
    claimer: Identity = NOBODY


def lowest_free_slot(state: State, facts: ClaimFacts) -> int | None:
    """The lowest slot from 1 to the cap that no live dev attempt of this host holds, or None."""
    held = {attempt.slot for attempt in capacity_gates.live_here(state, facts)}
    return next((slot for slot in range(1, facts["cap"] + 1) if slot not in held), None)


@decision("claims.claim", offer=ClaimRequest)
def claim(state: State, task_id: str, offer: ClaimRequest, facts: ClaimFacts) -> list[NewEvent]:
    """The events that give a task a slot; [] if a gate is closed (`gates.first_closed` names it)."""
    return _claim(state, state.tasks[task_id], offer, facts)


def _claim(
    state: State, task: Task, offer: ClaimRequest, facts: ClaimFacts, planned: int | None = None
) -> list[NewEvent]:
    """As `claim`. ``task`` may be one that the same transaction queues, and so not yet in ``state``; its ``changed`` is
    the seq that it will have. ``planned`` is the seq of the state on which a dispatcher chose it, and is recorded.
    """
    if gates.first_closed(state, task, facts) is not None:
        return []
    slot = lowest_free_slot(state, facts) if task.kind == "dev" else None
    if task.kind == "dev" and slot is None:
        return []
    new_events: list[NewEvent] = []
    about: dict[str, Any] = {"issue": task.issue, "task": task.id, "cause": task.changed}
    if task.state == "parked":
        new_events.append(NewEvent("task.resumed", {"why": _resumed_by(state, task, facts)}, **about))
    if task.session not in state.sessions:
        new_events.append(NewEvent("session.requested", _wanted(task), session=task.session, **about))
    data: dict[str, Any] = {
        "number": task.usage.attempts + 1,
        "kind": task.kind,
        "slot": slot,
        "lease": offer.lease,
        "claimer": offer.claimer,
        "live": [other.id for other in capacity_gates.live_here(state, facts)],
    }
    own = task_options.label(task, task_options.facts_of(task, facts)["agent"])
    if own != facts["agent"]:
        data["agent"] = own
    attempt = f"{task.id}.{task.usage.attempts + 1}"
    recorded: dict[str, Any] = dict(facts)
    if planned is not None:
        recorded["planned"] = planned
    if state.shared:
        from kugetsu.domain import hosts

        recorded |= hosts.caps(state)
    new_events.append(NewEvent("attempt.claimed", data, attempt=attempt, session=task.session, facts=recorded, **about))
    return new_events


def _resumed_by(state: State, task: Task, facts: ClaimFacts) -> str:
    """Why the wait of a parked task has ended (`events.tasks.TaskResumed`)."""
    if task.not_before is not None and not gates.pauses(task, facts):
        return "time"
    if task.parked_for == SETUP and facts.get("names_set_up"):
        from kugetsu.domain import worktree_setup

        return worktree_setup.what_changed(state, task, facts) or "open"
    return "time" if task.not_before is not None else "open"


def _wanted(task: Task) -> dict[str, Any]:
    repository = task.issue.rsplit("#", 1)[0] if task.issue else None
    data: dict[str, Any] = {"kind": "issue" if task.issue else "pm", "repository": repository}
    if task.prior_usage:
        data["carried"] = task.prior_usage
    return data


def _as_queued(state: State, enqueued: NewEvent, facts: ClaimFacts) -> Task:
    """The task that ``enqueued`` makes as the next event."""
    place = {"seq": state.seq + 1, "at": facts["now"]}
    return queued({**place, "task": enqueued.task, "issue": enqueued.issue, "data": enqueued.data})


@decision("claims.lost_start")
def lost_start(
    state: State,
    issue: str,
    planned: int,
    facts: ClaimFacts,
    carried: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
) -> list[NewEvent]:
    """One ``claim.lost`` for a `start` on an issue whose gates were open in the state ``planned``; see `lost`."""
    task = _as_queued(state, wanted(state, issue, carried, options), facts)
    return lost(state, task, planned, facts, of_task=False)


def wanted(
    state: State, issue: str, carried: dict[str, Any] | None = None, options: dict[str, Any] | None = None
) -> NewEvent:
    """The task that a `start` on an issue queues, as far as gates read it."""
    return queue.enqueue(state, kind="dev", issue=issue, message="", via="start", carried=carried, options=options)[0]


def held_back(state: State, enqueued: NewEvent, facts: ClaimFacts) -> Verdict | None:
    """The gate that keeps a task from starting in the transaction that queues it; None if all are open."""
    return gates.first_closed(state, _as_queued(state, enqueued, facts), facts)


@decision("claims.start", enqueued="queue.enqueue", offer=ClaimRequest)
def start(
    state: State, enqueued: NewEvent, offer: ClaimRequest, facts: ClaimFacts, pr: str | None = None
) -> list[NewEvent]:
    """Queue a task and claim its slot in one transaction, or refuse and change nothing. ``pr`` is the pull request of
    the work, tied before the agent starts, because its prompt names it.

    Raises CapReached if all slots are taken, AgentUnavailable if the agent cannot be started, Conflict if another gate
    is closed.
    """
    closed = held_back(state, enqueued, facts)
    if closed is not None:
        raise refusal(closed)
    task = _as_queued(state, enqueued, facts)
    new_events = [enqueued, *_claim(state, task, offer, facts)]
    session = state.sessions.get(task.session)
    known = session.pr if session is not None else (task.prior_usage or {}).get("pr")
    if pr is not None and pr != known:
        said = {"url": pr, "source": "said"}
        new_events.append(NewEvent("session.pr", said, issue=task.issue, session=task.session, cause=-1))
    return new_events


def refusal(closed: Verdict) -> AgentUnavailable | CapReached | Conflict:
    """The error for a `start` that finds a gate closed."""
    values = {"gate": closed.gate, "code": closed.code, "values": closed.values, "until": closed.until}
    if closed.gate == "agent":
        return AgentUnavailable.because("gate_closed", **values)
    if closed.gate in gates.FULL:
        return CapReached.because("gate_closed", **values)
    return Conflict.because("gate_closed", **values)


def lost(state: State, task: Task, planned: int, facts: ClaimFacts, *, of_task: bool = True) -> list[NewEvent]:
    """One ``claim.lost`` for a claim of ``task`` if all its gates were open in the state ``planned`` and one is closed
    now, else []. ``of_task`` is False for a `start`, whose task was never queued.

    Only a claimer that saw all gates open has lost a race: one that finds the slots taken records nothing.
    """
    closed = gates.first_closed(state, task, facts)
    if closed is None:
        return []
    winner = _faster(state, task, closed, planned, facts)
    behind = winner.claimed if winner is not None else closed.rests_on or (task.changed if of_task else 0)
    data = {
        "gate": closed.gate,
        "reason": closed.code,
        "values": closed.values,
        "to": winner.id if winner is not None else None,
        "behind_seq": behind,
    }
    recorded = {**facts, "planned": planned}
    named = task.id if of_task else None
    return [NewEvent("claim.lost", data, issue=task.issue, task=named, cause=behind or None, facts=recorded)]


def _faster(state: State, task: Task, closed: Verdict, planned: int, facts: ClaimFacts) -> Attempt | None:
    """The live attempt that was claimed since ``planned`` and closed that gate: the latest, it took the last room."""
    if closed.gate == "waiting":
        return state.attempts.get(task.attempt or "")
    if closed.gate == "issue":
        rivals = [attempt for attempt in state.attempts.values() if attempt.issue == task.issue]
    elif closed.code == "repository_full" and task.issue is not None:
        rivals = capacity_gates.live_here(state, facts, task.issue.rpartition("#")[0])
    elif closed.gate == "repository" and task.issue is not None:
        rivals = state.live_in(task.issue.rpartition("#")[0])
    elif closed.code == "slots_full":
        rivals = capacity_gates.live_here(state, facts)
    elif closed.gate == "pm" or closed.gate in gates.FULL:
        rivals = state.live(task.kind)
    else:
        rivals = []
    return max((one for one in rivals if one.claimed > planned), key=lambda one: one.claimed, default=None)


@value
class Plan:
    """What the dispatcher does next: the task to claim, the changed reasons of waits, when to plan again.

    Made without the lock; the claim is decided again under it. ``seq`` is that of the state it was made from.
    """

    seq: int
    candidate: str | None
    held: list[tuple[str, Verdict]]
    next_look: str | None


def plan(state: State, facts: ClaimFacts, waiting: WaitingGroups | None = None) -> Plan:
    """Check every waiting task in order: the first with all gates open is the candidate. ``waiting`` are the groups of
    an earlier plan of the same state, which then costs only what has changed since.

    Of a log that hosts share, the tasks behind the candidate are left to the plan after its claim: another host may be
    faster.

    If the machine is full, for one reason or another (`gates.FULL`), only the first task in line records it: otherwise
    a long queue would log itself once for every agent that starts.
    """
    from kugetsu.domain import gate_round, placement, waiting_groups  # only dispatchers plan

    if waiting is None:
        waiting = waiting_groups.WaitingGroups()
        waiting.refill(state)
    else:
        waiting.follow(state)
    here = gate_round.GateRound(state, facts)
    asked = [(places, here.first_closed(state.tasks[places[0][-1]])) for places in waiting]
    first = min((places[0] for places, closed in asked if closed is None), default=None)
    end = first if state.hosts else None
    shut = [(places, closed) for places, closed in asked if closed is not None and (end is None or places[0] < end)]
    held = _changed_reasons(state, shut, placement.Placement(state, facts), end)
    looks = (_next_look(closed, facts) for _, closed in shut)
    soonest = min((look for look in looks if look is not None), default=None)
    return Plan(state.seq, first[-1] if first is not None else None, held, soonest)


def _next_look(closed: Verdict, facts: ClaimFacts) -> str | None:
    """When a closed gate is to be asked again; None: at the next event."""
    if closed.until is None and (closed.gate in gates.MACHINE or closed.code == "parked_by_divergence"):
        return add_seconds(facts["now"], gates.MACHINE_LOOK_SECONDS)
    return closed.until


def _changed_reasons(
    state: State, shut: list[tuple[Sequence[Place], Verdict]], placement: Placement, end: Place | None
) -> list[tuple[str, Verdict]]:
    """The tasks before ``end`` in the queue whose reason has changed, in their order, from the groups that a gate keeps
    back."""
    from kugetsu.domain import waiting_groups

    next_in_line = min((places[0] for places, closed in shut if closed.gate in gates.FULL), default=None)
    held: list[tuple[Place, Verdict]] = []
    for places, closed in shut:
        task = state.tasks[places[0][-1]]
        still_full = closed.gate in gates.FULL and task.held in gates.FULL
        if closed.gate == task.held or (still_full and places[0] != next_in_line):
            continue
        said = placement.held_by(task, closed)
        if said is not None and said.gate != task.held:
            told = places[:1] if still_full else waiting_groups.before(places, end)
            held += [(one, said) for one in told]
    held.sort(key=lambda one: one[0])
    return [(one[-1], said) for one, said in held]


def plan_next(state: State, facts: ClaimFacts, line: WaitingLine) -> Plan:
    """As `plan`, but only as far as needed to find the candidate and the next time at which a gate opens: the reasons
    of most waits are left out."""
    from kugetsu.domain import gate_round, placement

    candidate: str | None = None
    next_in_line = True
    held: list[tuple[str, Verdict]] = []
    looks: list[str] = []
    here, place = gate_round.GateRound(state, facts), placement.Placement(state, facts)
    for task in line.contenders(state, facts):
        closed = here.first_closed(task)
        if closed is None:
            candidate = task.id
            break
        if closed.until is not None:
            looks.append(closed.until)
        full = closed.gate in gates.FULL
        if closed.gate != task.held and (next_in_line or not full or task.held not in gates.FULL):
            said = place.held_by(task, closed)
            if said is not None and said.gate != task.held:
                held.append((task.id, said))
        next_in_line = next_in_line and not full
        if _holds_the_rest(closed, line, facts):
            break  # it holds back all behind it as well
    return Plan(state.seq, candidate, held, min(looks) if looks else None)


def _holds_the_rest(closed: Verdict, line: WaitingLine, facts: ClaimFacts) -> bool:
    if closed.code in gates.PROVIDER_WIDE:
        return not line.agents_differ(facts)
    return closed.gate in gates.COMMON or closed.code == gates.QUEUE_WIDE


@decision("claims.hold")
def hold(state: State, planned: Plan, facts: ClaimFacts) -> list[NewEvent]:
    """One ``task.held`` for each planned task that a gate holds back for a new reason in ``state``."""
    from kugetsu.domain import placement, waiting_groups

    new_events: list[NewEvent] = []
    place, alike = placement.Placement(state, facts), waiting_groups.Alike(state)
    reasons: dict[Key, Verdict | None] = {}
    for task_id, _ in planned.held:
        task = state.tasks.get(task_id)
        if task is None or task.state not in ("pending", "parked"):
            continue
        key = alike.key(task)
        if key in reasons:
            closed = reasons[key]
        else:
            closed = gates.first_closed(state, task, facts)
            closed = place.held_by(task, closed) if closed is not None else None
            if key is not None:
                reasons[key] = closed
        if closed is None or closed.gate == task.held:
            continue
        # The gate of an outage opens at its time for one task, the probe; for the others the time is unknown.
        label = task_options.label(task, task_options.facts_of(task, facts)["agent"])
        sure = closed.gate not in ("provider", "agent") or outages.of(state, label) is None
        until = closed.until if sure else None
        new_events.append(_kept_back(task, closed, until, {**facts, "planned": planned.seq}))
    return new_events


def _kept_back(task: Task, closed: Verdict, until: str | None, recorded: dict[str, Any]) -> NewEvent:
    about: dict[str, Any] = {"issue": task.issue, "task": task.id, "cause": closed.rests_on or task.changed}
    why = {"reason": closed.code, "values": closed.values}
    if closed.gate in gates.PARKING and task.state == "pending":
        data: dict[str, Any] = {"until": None, "stated": False, "limit": None, "gate": closed.gate}
        return NewEvent("task.parked", {**data, **why}, facts=recorded, **about)
    data = {"gate": closed.gate, **why, "rests_on": closed.rests_on, "until": until}
    return NewEvent("task.held", data, facts=recorded, **about)


@decision("claims.dispatch", offer=ClaimRequest)
def dispatch(state: State, planned: Plan, offer: ClaimRequest | None, facts: ClaimFacts) -> list[NewEvent]:
    """The plan, decided again on the state under the lock: holds that are still new, and the claim if still possible,
    else how it was lost.

    ``facts`` are those of the plan.
    """
    new_events = hold(state, planned, facts)
    if planned.candidate is not None and offer is not None:
        task = state.tasks.get(planned.candidate)
        if task is not None:
            claimed = _claim(state, task, offer, facts, planned.seq)
            # Of many hosts nearly each claim has losers: to record them would wake all the others.
            new_events += claimed or (lost(state, task, planned.seq, facts) if not state.hosts else [])
    return new_events
