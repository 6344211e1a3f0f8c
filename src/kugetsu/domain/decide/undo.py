"""Decisions on undoing: the events that reverse an earlier one, or why that is impossible.

The event to undo is described first (`described`): its content, and the state before it. That is history and does not
change; it is recorded in the facts of the appended events, so that the undo can be decided again from the log alone.
Under the log's lock `compensate` then checks that things still are as the event left them: a later change is never
overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

from kugetsu.domain.decide import pauses, queue, registrations, undo_holds
from kugetsu.domain.decide.undone import NOT_UNDONE, UNDO, Undone, changed_since, refused
from kugetsu.domain.decision import decision
from kugetsu.domain.events import Event
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Session, State, Task
from kugetsu.model import REDACTED
from kugetsu.model.errors import KugetsuError


def described(event: Event, before: State, now: str, live: Container[str] = ()) -> Undone:
    """The facts for undoing ``event``; ``before`` is the state right before it, ``live`` the attempts live now.
    Raises Conflict if it can never be undone, with the reason and an alternative."""
    if event["type"] not in _BY_KIND:
        raise refused(event, live)
    describe, _ = _BY_KIND[event["type"]]
    return {UNDO: event["seq"], "type": event["type"], "now": now, **describe(event, before)}


@decision("undo.compensate")
def compensate(state: State, undone: Sequence[Undone]) -> list[NewEvent]:
    """The events that undo all of them. Raises Conflict if things are no longer as those events left them."""
    return [new_event for one in undone for new_event in _compensate(state, one)]


def _compensate(state: State, undone: Undone) -> list[NewEvent]:
    try:
        _, undo = _BY_KIND[undone["type"]]
        new_events = undo(state, undone)
    except KugetsuError as problem:
        if problem.refusal is None or problem.refusal == NOT_UNDONE:
            raise
        # a refusal of the queue's own decision
        raise changed_since(undone, problem.refusal, **problem.values) from problem
    new_events[0].facts = undone
    return new_events


def undoes(event: Event) -> int | None:
    """The seq of the event that ``event`` undoes, or None."""
    seq: int | None = event.get("facts", {}).get(UNDO)
    return seq


def _task(state: State, undone: Undone) -> Task:
    task = state.tasks.get(undone["task"])
    if task is None:
        raise changed_since(undone, "task_gone", task=undone["task"])
    return task


def _about(task: Task, undone: Undone) -> dict[str, Any]:
    return {"issue": task.issue, "task": task.id, "cause": undone[UNDO]}


# --- tasks ----------------------------------------------------------------------------------------------------------


def _name_task(event: Event, _: State) -> Undone:
    return {"task": event["task"]}


def _unqueue(state: State, undone: Undone) -> list[NewEvent]:
    task = _task(state, undone)
    if task.attempt is not None:
        raise changed_since(undone, "task_running", task=task.id, attempt=task.attempt)
    if task.id in state.finished:
        raise changed_since(undone, "task_finished", task=task.id, state=task.state)
    if task.usage.attempts:
        raise changed_since(undone, "task_worked_on", task=task.id, attempts=task.usage.attempts)
    return [NewEvent("task.cancelled", {"reason": "undo"}, **_about(task, undone))]


def _describe_cancelled(event: Event, before: State) -> Undone:
    task = before.tasks.get(event["task"])
    if task is None or event.get("attempt"):
        raise refused(event)
    return {"task": task.id, "kept": {"used": task.used, "order": task.order, "not_before": task.not_before}}


def _uncancel(state: State, undone: Undone) -> list[NewEvent]:
    task = _task(state, undone)
    if task.state != "cancelled" or task.changed != undone[UNDO]:
        raise changed_since(undone, "task_changed", task=task.id, state=task.state, event=task.changed)
    return [NewEvent("task.requeued", {"was": "cancelled", "kept": undone["kept"]}, **_about(task, undone))]


def _describe_requeued(event: Event, _: State) -> Undone:
    if event["data"]["was"] != "cancelled":
        raise refused(event)
    return {"task": event["task"]}


def _unrequeue(state: State, undone: Undone) -> list[NewEvent]:
    task = _task(state, undone)
    if task.changed != undone[UNDO] or task.state != "pending":
        raise changed_since(undone, "requeued_task_changed", task=task.id, state=task.state, event=task.changed)
    return [NewEvent("task.cancelled", {"reason": "undo"}, **_about(task, undone))]


_PLACE = ("priority", "order", "after")


def _describe_moved(event: Event, _: State) -> Undone:
    data = event["data"]
    places = {name: data[name] for name in _PLACE if name in data}
    return {"task": event["task"], "place": places, "was": {name: data[f"was_{name}"] for name in places}}


def _unmove(state: State, undone: Undone) -> list[NewEvent]:
    task = _task(state, undone)
    if task.state not in ("pending", "parked"):
        raise changed_since(undone, "task_not_waiting", task=task.id, state=task.state)
    place, was = undone["place"], undone["was"]
    if (task.priority, task.order) != (place["priority"], place["order"]) or _comes_after_others(state, task, place):
        raise changed_since(undone, "task_moved", task=task.id)
    data: dict[str, Any] = {**was, "was_priority": task.priority, "was_order": task.order}
    if "after" in was:
        queue.require_known(state, was["after"])
        queue.require_no_circle(state, task.id, was["after"])
        data["was_after"] = list(task.after)
    return [NewEvent("task.moved", data, **_about(task, undone))]


def _describe_edited(event: Event, _: State) -> Undone:
    data = event["data"]
    return {"task": event["task"], "message": data["was_message"], "was_message": data["message"]}


def _unedit(state: State, undone: Undone) -> list[NewEvent]:
    task = _task(state, undone)
    new_events = queue.edit(state, task.id, undone["message"], undone["was_message"], undone[UNDO])
    for new_event in new_events:
        new_event.cause = undone[UNDO]
    return new_events


def _comes_after_others(state: State, task: Task, place: dict[str, Any]) -> bool:
    """Whether its dependencies were replaced since. Completed tasks that left the state do not count."""
    recorded = place.get("after")
    if recorded is None:
        return False
    return task.after != [earlier for earlier in recorded if earlier in task.after or earlier in state.tasks]


def _describe_acknowledged(event: Event, _: State) -> Undone:
    return {"task": event["task"], "failure": event["data"]["failure"]}


def _acknowledge_failure(state: State, undone: Undone) -> list[NewEvent]:
    task = _task(state, undone)
    if task.changed != undone["failure"] or task.acknowledged:
        raise changed_since(undone, "failure_changed", task=task.id, state=task.state)
    return [NewEvent("task.acknowledged", {"failure": task.changed}, **_about(task, undone))]


def _unacknowledge_failure(state: State, undone: Undone) -> list[NewEvent]:
    task = _task(state, undone)
    if task.acknowledged != undone[UNDO]:
        raise changed_since(undone, "failure_changed", task=task.id, state=task.state)
    return [NewEvent("task.unacknowledged", {"failure": task.changed}, **_about(task, undone))]


def _describe_gone(event: Event, _: State) -> Undone:
    return {"gone": event["data"]["gone"]}


def _unacknowledge_gone(state: State, undone: Undone) -> list[NewEvent]:
    data = {"gone": undone["gone"], "left": state.unacknowledged_gone + undone["gone"]}
    return [NewEvent("queue.unacknowledged", data, cause=undone[UNDO])]


def _acknowledge_gone(state: State, undone: Undone) -> list[NewEvent]:
    left = state.unacknowledged_gone - undone["gone"]
    if left < 0:
        raise changed_since(undone, "gone_acknowledged")
    return [NewEvent("queue.acknowledged", {"gone": undone["gone"], "left": left}, cause=undone[UNDO])]


# --- marks, pull requests, repositories -----------------------------------------------------------------------------


def _describe_mark(event: Event, before: State) -> Undone:
    return {"until": event["data"]["until"], "was": before.notices_read}


def _unread(state: State, undone: Undone) -> list[NewEvent]:
    _require_mark(state, undone)
    return [NewEvent("notices.unread", {"until": undone["was"]}, cause=undone[UNDO])]


def _read_again(state: State, undone: Undone) -> list[NewEvent]:
    _require_mark(state, undone)
    return [NewEvent("notices.read", {"until": undone["was"]}, cause=undone[UNDO])]


def _require_mark(state: State, undone: Undone) -> None:
    if state.notices_read != undone["until"]:
        raise changed_since(undone, "notifications_read", until=state.notices_read)
    if undone["was"] == undone["until"]:
        raise changed_since(undone, "notifications_unchanged")


def _describe_pr(event: Event, before: State) -> Undone:
    session = before.sessions.get(event["session"])
    if session is None or session.pr == event["data"]["url"]:
        raise refused(event)
    return {"session": session.key, "url": event["data"]["url"], "was": session.pr}


def _untie(state: State, undone: Undone) -> list[NewEvent]:
    session = state.sessions.get(undone["session"])
    if session is None:
        raise changed_since(undone, "session_destroyed", session=undone["session"])
    if session.pr != undone["url"]:
        raise changed_since(undone, "pr_changed", session=session.key, pr=session.pr)
    issue = session.key if session.kind == "issue" else None
    data = {"url": undone["was"], "source": "undo"}
    return [NewEvent("session.pr", data, issue=issue, session=session.key, cause=undone[UNDO])]


def _unregister(state: State, undone: Undone) -> list[NewEvent]:
    if not registrations.holds(state, undone):
        raise changed_since(undone, "repository_changed", repository=undone["repository"])
    return registrations.unregister(state, undone, undone[UNDO])


def _describe_review(event: Event, before: State) -> Undone:
    session = before.sessions.get(event["session"])
    if session is None:
        raise refused(event)
    was = event["data"].get("was", session.review)
    return {"session": event["session"], "was": was, "head": session.reviewed}


def _review_again(state: State, undone: Undone) -> list[NewEvent]:
    session = _reviewed(state, undone, "approved")
    data = {"to": undone["was"], "head": undone["head"]}
    return [NewEvent("review.reopened", data, issue=session.key, session=session.key, cause=undone[UNDO])]


def _describe_reopened(event: Event, before: State) -> Undone:
    if event["session"] not in before.sessions:
        raise refused(event)
    return {"session": event["session"], "to": event["data"]["to"]}


def _reviewed_again(state: State, undone: Undone) -> list[NewEvent]:
    session = _reviewed(state, undone, undone["to"])
    data = {"was": session.review, "head": (session.pull or {}).get("head") or session.head}
    return [NewEvent("review.done", data, issue=session.key, session=session.key, cause=undone[UNDO])]


def _reviewed(state: State, undone: Undone, review: str) -> Session:
    session = state.sessions.get(undone["session"])
    if session is None:
        raise changed_since(undone, "session_destroyed", session=undone["session"])
    if session.review != review:
        raise changed_since(undone, "review_changed", session=session.key, state=session.review)
    return session


def _describe_report(event: Event, before: State) -> Undone:
    now = event["seq"] if event["type"] == "report.acknowledged" else (event["data"]["was"] or {}).get("seq")
    return {"report": now, "was": before.reported}


def _unacknowledge(state: State, undone: Undone) -> list[NewEvent]:
    if (state.reported or {}).get("seq") != undone["report"]:
        raise changed_since(undone, "report_acknowledged")
    return [NewEvent("report.unacknowledged", {"was": undone["was"]}, cause=undone[UNDO])]


#: kind → the facts for undoing an event of it, and the events that undo it.
_BY_KIND: dict[str, tuple[Callable[[Event, State], Undone], Callable[[State, Undone], list[NewEvent]]]] = {
    "task.queued": (_name_task, _unqueue),
    "task.cancelled": (_describe_cancelled, _uncancel),
    "task.requeued": (_describe_requeued, _unrequeue),
    "task.moved": (_describe_moved, _unmove),
    "task.edited": (_describe_edited, _unedit),
    "queue.paused": (pauses.described, pauses.unpause),
    "queue.resumed": (pauses.described, pauses.pause_again),
    "task.acknowledged": (_describe_acknowledged, _unacknowledge_failure),
    "task.unacknowledged": (_describe_acknowledged, _acknowledge_failure),
    "queue.acknowledged": (_describe_gone, _unacknowledge_gone),
    "queue.unacknowledged": (_describe_gone, _acknowledge_gone),
    "task.resumed": (undo_holds.describe_resumed, undo_holds.restore),
    "hold.lifted": (undo_holds.describe_unblocked, undo_holds.restore),
    "hold.restored": (undo_holds.describe_restored, undo_holds.unblock_again),
    "notices.read": (_describe_mark, _unread),
    "notices.unread": (_describe_mark, _read_again),
    "session.pr": (_describe_pr, _untie),
    "repository.registered": (registrations.described, _unregister),
    "review.done": (_describe_review, _review_again),
    "review.reopened": (_describe_reopened, _reviewed_again),
    "report.acknowledged": (_describe_report, _unacknowledge),
    "report.unacknowledged": (_describe_report, _unacknowledge),
}

#: The kinds that may be undone; `setting.changed` is undone by the code that writes the file (`setting`).
KINDS = frozenset(_BY_KIND)


def standing(changes: Iterable[Event]) -> Event | None:
    """The latest of some changes of one thing that is still in effect: an undone one and its undo do not count. None if
    all were undone."""
    left: dict[int, Event] = {}
    for change in changes:
        if left.pop(undoes(change) or 0, None) is None:
            left[change["seq"]] = change
    return next(reversed(left.values()), None)


def setting(event: Event, current: str | None, later: Event | None) -> str:
    """The old value of a setting. ``current`` is its value in the file alone (None if that cannot be read), redacted as
    in the log; ``later`` the latest event after ``event`` that changed it and is still in effect.

    Raises Conflict if it was changed since, or if the old value is unknown.
    """
    data, undone = event["data"], {UNDO: event["seq"]}
    key, old = data["key"], data["old"]
    about = {"key": key, "of": data["repository"]} if "repository" in data else {"key": key}
    if later is not None:
        raise changed_since(undone, "setting_changed", event=later["seq"], **about)
    if current != data["new"]:
        raise changed_since(undone, "setting_edited", current=current, **about)
    if old is None or REDACTED in old:
        raise changed_since(undone, "setting_redacted" if old is not None else "setting_unread", **about)
    value: str = old
    return value
