"""Undoing what lifted a hold on tasks (a usage limit, or runs without progress), and what restored one; see `undo`."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.decide import queue
from kugetsu.domain.decide.undone import UNDO, Undone, changed_since, refused
from kugetsu.domain.events import Event
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State, Task


def _parked(task: Task) -> dict[str, Any]:
    """The data to park a task again as before; ``made`` shows whether it has run since."""
    kept = {name: getattr(task, name) for name in ("not_before", "reason", "reason_values", "parked_for")}
    return {"task": task.id, "made": task.usage.attempts, **kept}


def _hold(before: State, gate: str, subject: str, tasks: list[Task]) -> Undone:
    """The hold that was lifted: a usage limit or an issue's runs without progress, and the tasks that it parked."""
    held: dict[str, Any] = {"gate": gate, "subject": subject, "tasks": [_parked(task) for task in tasks]}
    if gate == "provider":
        limit = before.limits[subject]
        if "outage" in limit:
            held["outage"] = limit["outage"]
        return {**held, "until": limit["until"], "met_by": limit["task"], "fruitless": 0, "attempts": 0}
    session = before.sessions.get(subject)
    prior = [(t.prior_usage or {}).get("fruitless") or 0 for t in before.tasks.values() if t.issue == subject]
    fruitless = session.usage.no_progress_runs if session is not None else max(prior, default=0)
    made = session.usage.attempts if session is not None else 0
    return {**held, "until": None, "met_by": None, "fruitless": fruitless, "attempts": made}


def describe_unblocked(event: Event, before: State) -> Undone:
    """What a person lifted: a usage limit, or the count of an issue."""
    if event["data"].get("why") is not None:
        raise refused(event)
    gate, subject = event["data"]["gate"], event["data"]["subject"]
    parked = [task for task in before.waiting() if task.state == "parked"]
    if gate == "provider":
        if subject not in before.limits:
            raise refused(event, why="nothing_changed")
        tasks = [task for task in parked if task.parked_for == subject]
    else:
        tasks = queue.without_progress(before, subject)
    return _hold(before, gate, subject, tasks)


def describe_resumed(event: Event, before: State) -> Undone:
    """The hold of a parked task that a person retried."""
    task = before.tasks.get(event["task"])
    if event["data"]["why"] != "retry" or task is None or task.state != "parked":
        raise refused(event)
    if task.parked_for == "progress":
        return _hold(before, "progress", task.session, [task])
    # An outage does not end with the wait of the task that met it: there is nothing to restore.
    limits = [key for key, limit in before.limits.items() if limit["task"] == task.id and "outage" not in limit]
    if not limits:
        raise refused(event)
    return _hold(before, "provider", limits[0], [task])


def restore(state: State, undone: Undone) -> list[NewEvent]:
    """The hold is there again, and the tasks that it parked are, as far as they have not gone on."""
    gate, subject = undone["gate"], undone["subject"]
    _require_restorable(state, undone)
    data = {
        "gate": gate,
        "subject": subject,
        "until": undone["until"],
        "task": undone["met_by"],
        "fruitless": undone["fruitless"],
    }
    if "outage" in undone:
        data["outage"] = undone["outage"]
    issue = subject if gate == "progress" and subject != "pm" else None
    session = subject if gate == "progress" else None
    new_events = [NewEvent("hold.restored", data, issue=issue, session=session, cause=undone[UNDO])]
    for was in undone["tasks"]:
        task = state.tasks.get(was["task"])
        if task is None or task.state != "pending" or task.usage.attempts != was["made"]:
            continue  # it has run or was cancelled; the hold on the others is restored nevertheless
        again = {
            "until": was["not_before"],
            "stated": True,
            "limit": was["parked_for"] if gate == "provider" else None,
            "reason": was["reason"] or "undone",
            "gate": gate,
            "again": True,
        }
        values = was.get("reason_values") if was["reason"] else {}
        if values is not None:
            again["values"] = values
        new_events.append(NewEvent("task.parked", again, issue=task.issue, task=task.id, cause=-len(new_events)))
    return new_events


def _require_restorable(state: State, undone: Undone) -> None:
    gate, subject = undone["gate"], undone["subject"]
    if gate == "provider":
        if undone["until"] <= undone["now"]:
            raise changed_since(undone, "limit_ended", subject=subject, until=undone["until"])
        if subject in state.limits:
            raise changed_since(undone, "limit_met_again", subject=subject)
        return
    session = state.sessions.get(subject)
    if session is not None and (session.usage.attempts != undone["attempts"] or session.usage.no_progress_runs):
        raise changed_since(undone, "session_worked_in", session=subject)
    if session is None and undone["attempts"]:
        raise changed_since(undone, "session_destroyed", session=subject)


def describe_restored(event: Event, _: State) -> Undone:
    """Which hold was restored."""
    return {name: event["data"][name] for name in ("gate", "subject")}


def unblock_again(state: State, undone: Undone) -> list[NewEvent]:
    """The restored hold is lifted again."""
    gate, subject = undone["gate"], undone["subject"]
    if gate == "provider" and state.limits.get(subject, {}).get("seq") != undone[UNDO]:
        raise changed_since(undone, "hold_replaced", subject=subject)
    new_events = queue.unblock(state, gate, subject)
    new_events[0].cause = undone[UNDO]
    return new_events
