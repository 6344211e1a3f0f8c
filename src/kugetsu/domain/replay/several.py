"""Transactions of several events, and those that may have several: what each of them decides again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from kugetsu.domain import gates
from kugetsu.domain.decide import attempts, claims, importing, notifications, queue, sessions
from kugetsu.domain.events import Event
from kugetsu.domain.facts import Ending, OutcomeFacts
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.replay.recorded import UnknownError, claim_facts, claimed_in, facts_of, offer_of, planned_of
from kugetsu.domain.replay.single import enqueue
from kugetsu.domain.state import State

if TYPE_CHECKING:
    #: The state after an earlier event: dispatchers plan on it and claim on a later one.
    Earlier = Callable[[int], State]

#: The trigger of the attempt's machine behind each kind of end.
HOW = {type: how for how, type in attempts.ENDED.items()}


def finish(state: State, ended: Event) -> list[NewEvent]:
    """How an attempt ended, and what follows."""
    facts = facts_of(ended, OutcomeFacts.__required_keys__ | {"verdict", "resets_at", "session_lost"})
    verdict, resets_at, lost = facts.pop("verdict"), facts.pop("resets_at"), facts.pop("session_lost")
    facts.pop("used", None)  # read from the state
    why = facts.pop("unavailable", {})
    said = dict(ended["data"])
    reason = said.pop("reason")
    ending = Ending(HOW[ended["type"]], verdict, reason, resets_at=resets_at, session_lost=lost, **why, **said)
    return attempts.finish(state, ended["attempt"], ending, cast(OutcomeFacts, facts))


def start(state: State, group: Sequence[Event]) -> list[NewEvent]:
    """A task that is queued and claimed at once."""
    claimed = claimed_in(group)
    assert claimed is not None
    queued = enqueue(state, group[0])[0]
    said = next((event["data"]["url"] for event in group if event["type"] == "session.pr"), None)
    return claims.start(state, queued, offer_of(claimed), claim_facts(claimed), said)


def dispatch(state: State, group: Sequence[Event], earlier: Earlier) -> list[NewEvent]:
    """A dispatcher's plan, made from the state that it was made from, and what came of it under the lock."""
    claimed = claimed_in(group)
    recorded = next((event for event in group if "facts" in event), group[-1])
    facts = claim_facts(recorded)
    if "planned" not in facts and claimed is not None:
        return claims.claim(state, state.tasks[claimed["task"]], offer_of(claimed), facts)
    plan = claims.plan(earlier(planned_of(facts)), facts)
    if claimed is not None:
        return claims.dispatch(state, plan, offer_of(claimed), facts)
    # A dispatcher that has a candidate brings an offer: if that was not taken, a gate must have been closed by then.
    return claims.dispatch(state, plan, claims.ClaimRequest("", {"boot": "", "pid": 0, "start": 0}), facts)


def lost_start(state: State, lost: Event, earlier: Earlier) -> list[NewEvent]:
    """A `start` that saw its way open and found it closed under the lock; what it wanted was never queued."""
    facts = claim_facts(lost)
    planned = planned_of(facts)
    looked = earlier(planned)
    closed = claims.held_back(looked, _wanted(looked, lost), facts)
    if closed is not None:
        raise claims.refusal(closed)
    return claims.lost_start(state, _wanted(state, lost), planned, facts)


def _wanted(state: State, lost: Event) -> NewEvent:
    return queue.enqueue(state, kind="dev", issue=lost["issue"], message="", via="start")[0]


def closed_gate(state: State, group: Sequence[Event]) -> str | None:
    """The gate that keeps the task which ``group`` claims from starting, in words; None when none does."""
    claimed = claimed_in(group)
    task = state.tasks.get(claimed["task"]) if claimed is not None else None
    if claimed is None or task is None or "facts" not in claimed:
        return None
    closed = gates.first_closed(state, task, claim_facts(claimed))
    return f"gate {closed.gate}: {closed.reason}" if closed is not None else None


def initialise(state: State, group: Sequence[Event]) -> list[NewEvent]:
    """The first events of a log."""
    created, last = group[0]["data"], group[-1]["data"]
    if group[-1]["type"] == "log.created":
        return sessions.create_log(state, created["log_id"], created["kugetsu"])
    return sessions.initialise(state, created.get("log_id", ""), last["kugetsu"], last["agent"])


def sending(state: State, group: Sequence[Event]) -> list[NewEvent]:
    """The intent to deliver notifications, for the first time or again."""
    data = group[0]["data"]
    box = state.outbox[data["sink"]]
    again = box["open"].get(data["delivery"])
    if again is not None:
        return notifications.sending_again(state, data["sink"], data["delivery"], again["sending"])
    batches = [notifications.Batch(event["data"]["lane"], event["data"]["seqs"]) for event in group]
    # Each notification is an event behind those that were taken up before.
    after = min(min(batch.seqs) for batch in batches) - 1
    return notifications.sending(state, data["sink"], batches, after, data["upto"])


def take_over(state: State, group: Sequence[Event]) -> list[NewEvent]:
    """What became of a record of the bash tool, and the record behind it."""
    imported = group[-1]
    return importing.record(_taken(state, group[:-1]), imported["data"], imported.get("issue"))


def _taken(state: State, group: Sequence[Event]) -> list[NewEvent]:
    """What became of an imported record."""
    if not group:
        return []
    data = group[0]["data"]
    match group[0]["type"]:
        case "setting.changed":
            return sessions.setting_changed(data["key"], data["old"], data["new"])
        case "repository.registered":
            return importing.take_repository(state, data["repository"], data["url"])
        case "task.queued":
            return importing.take_task(
                state,
                group[0]["issue"],
                message=data["message"],
                priority=data["priority"],
                carried=data.get("carried"),
            )
        case "session.requested":
            made = next(event["data"] for event in group if event["type"] == "session.prepared")
            names = ("agent_session", "worktree", "source", "branch", "base_branch", "base_commit")
            tied = [event["data"]["url"] for event in group if event["type"] == "session.pr"]
            return importing.take_session(
                state,
                group[0]["session"],
                found={name: made[name] for name in names},
                pr=tied[0] if tied else None,
                carried=data.get("carried"),
            )
    raise UnknownError(f"this version imports nothing as {group[0]['type']}")
