"""Decide a recorded transaction again: from the state before it and what its events say, and nothing else."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.decide import attempts, claims, daemon, queue, sessions
from kugetsu.domain.draft import Draft
from kugetsu.domain.state import State
from property.simulation import Event, envelope, folded

HOW = {type: how for how, type in attempts.ENDED.items()}


def redecide(state: State, group: list[Event], earlier: list[Event]) -> list[Event]:
    """The events that the decision behind ``group`` gives now. ``earlier`` is all that was recorded before it."""
    drafts = _decide(state, group, earlier)
    last = len(drafts) - 1
    return [envelope(draft, state.seq + 1 + place, group[0]["at"], last - place) for place, draft in enumerate(drafts)]


def _decide(state: State, group: list[Event], earlier: list[Event]) -> list[Draft]:
    types = [event["type"] for event in group]
    first = group[0]
    if types[0] in HOW:
        return _finish(state, first)
    if types[0] == "task.queued" and "attempt.claimed" in types:
        claimed = group[-1]
        return claims.start(state, _enqueue(state, first)[0], _offer(group), claimed["facts"])
    if types == ["claim.lost"] and "task" not in first:
        facts = dict(first["facts"])
        wanted = queue.enqueue(state, kind="dev", issue=first["issue"], message="-", via="start")[0]
        return claims.lost_start(state, wanted, facts.pop("planned"), facts)  # type: ignore[arg-type]
    if not {"attempt.claimed", "task.held", "claim.lost"}.isdisjoint(types) or types[-1] == "task.parked":
        return _dispatch(state, group, earlier)
    if "session.destroying" in types:
        data = group[-1]["data"]
        return sessions.destroying(state, group[-1]["session"], data["force"], data["reason"])
    if types[0] == "hold.lifted":
        return queue.lift(state, first["data"]["gate"], first["data"]["subject"])
    if types[0] == "task.cancelled" and len(group) > 1:
        return queue.cancel_waiting(state, first["data"]["reason"])
    return _single(state, first) if types[0] not in ("daemon.lost", "log.created") else _first_of_two(state, group)


def _finish(state: State, ended: Event) -> list[Draft]:
    data, facts = ended["data"], dict(ended["facts"])
    verdict, resets_at, lost = facts.pop("verdict"), facts.pop("resets_at"), facts.pop("session_lost")
    facts.pop("used")
    told: dict[str, Any] = {name: value for name, value in data.items() if name != "reason"}
    ending = attempts.Ending(
        HOW[ended["type"]], verdict, data["reason"], resets_at=resets_at, session_lost=lost, **told
    )
    return attempts.finish(state, ended["attempt"], ending, facts)  # type: ignore[arg-type]


def _enqueue(state: State, queued: Event) -> list[Draft]:
    data = {name: value for name, value in queued["data"].items() if name != "title"}
    return queue.enqueue(state, issue=queued.get("issue"), **data)


def _offer(group: list[Event]) -> claims.Offer:
    claimed = group[-1]["data"]
    return claims.Offer(claimed["lease"], claimed["claimer"])


def _dispatch(state: State, group: list[Event], earlier: list[Event]) -> list[Draft]:
    facts = dict(group[-1]["facts"])
    chosen_in = folded(earlier[: facts.pop("planned")])
    planned = claims.plan(chosen_in, facts)  # type: ignore[arg-type]
    if group[-1]["type"] == "claim.lost":
        return claims.dispatch(state, planned, claims.Offer("", {"boot": "", "pid": 0, "start": 0}), facts)  # type: ignore[arg-type]
    offer = _offer(group) if group[-1]["type"] == "attempt.claimed" else None
    return claims.dispatch(state, planned, offer, facts)  # type: ignore[arg-type]


def _first_of_two(state: State, group: list[Event]) -> list[Draft]:
    if group[0]["type"] == "log.created":
        data = group[0]["data"]
        return sessions.initialise(state, data["log_id"], data["kugetsu"], group[1]["data"]["agent"])
    return daemon.lost(state) if len(group) == 1 else daemon.started(state, **group[1]["data"])


def _single(state: State, event: Event) -> list[Draft]:
    data, task, key, attempt = event["data"], event.get("task"), event.get("session", ""), event.get("attempt")
    match event["type"]:
        case "task.queued":
            return _enqueue(state, event)
        case "task.moved":
            was = state.tasks[str(task)]
            first, last = data["order"] < was.order, data["order"] > was.order
            return queue.move(
                state, str(task), first=first, last=last, priority=data["priority"], after=data.get("after")
            )
        case "task.cancelled":
            return queue.cancel(state, str(task), data["reason"])
        case "task.requeued" | "task.resumed":
            return queue.retry(state, str(task))
        case "queue.cleared":
            return queue.clear(state, data["older_than"])
        case "attempt.starting":
            return attempts.starting(state, str(attempt), data["runner"])
        case "attempt.running":
            return attempts.running(state, str(attempt), **data)
        case "attempt.stop_requested":
            if data["reason"] == "cancel":
                return queue.cancel(state, str(task), "")
            return attempts.stop(state, str(attempt), data["reason"])
        case "session.preparing":
            return sessions.preparing(state, key, data, attempt)
        case "session.prepared":
            return sessions.prepared(state, key, data, attempt)
        case "session.broken":
            return sessions.broken(state, key, data["reason"])
        case "session.destroyed":
            return sessions.destroyed(state, key, data)
        case "daemon.started":
            return daemon.started(state, **data)
        case "daemon.draining":
            return daemon.drain(state, data["reason"])
        case "daemon.stopped":
            return daemon.stopped(state, data["reason"])
    raise AssertionError(f"nobody decides {event['type']} here")
