"""Decisions on the intake: what follows from a labelled issue, and from one that asks for work no longer."""

from __future__ import annotations

from typing import Any

from kugetsu.domain import intake
from kugetsu.domain.decide import queue, reviews
from kugetsu.domain.decision import decision
from kugetsu.domain.facts import IntakeFacts
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State

#: What is compared with what is known of an issue, beside code and values.
_SEEN = ("label", "body", "labelled_by", "labelled_at")


@decision("intake.look")
def look(
    state: State,
    issue: str,
    title: str,
    author: str,
    relation: str,
    facts: IntakeFacts,
    message: str = "",
    history: dict[str, Any] | None = None,
    carried: dict[str, Any] | None = None,
) -> list[NewEvent]:
    """Record what follows from a labelled issue, and queue its task with ``message`` if that is to be; [] if nothing
    changed. ``relation`` is what its ``author`` is to the repository; ``history`` as in `intake.judge`, ``carried`` as
    in `queue.enqueue`."""
    queue.require_initialised(state)
    found = intake.judge(state, issue, facts, history)
    entry = state.intake.get(issue)
    now: dict[str, Any] = {name: facts[name] for name in _SEEN}  # type: ignore[literal-required]
    now |= {"code": found.code, "values": found.values}
    task = state.tasks.get(found.withdrawn or "")
    waits = task is not None and task.state in ("pending", "parked")
    if entry is not None and all(entry[name] == value for name, value in now.items()) and not waits:
        return []
    data = {**now, "title": title, "author": author, "relation": relation}
    before = intake.known(state, issue, facts, history)
    if before is not None and (entry is None or entry["of"][-1] is None):
        data["before"] = {name: before[name] for name in ("first", "task", "ended")}
    cause = entry["seq"] if entry is not None else None
    seen = NewEvent("intake.seen", data, issue=issue, cause=cause, facts=dict(facts))
    if task is not None and waits:
        return [seen, _withdrawn(issue, task.id, "needs_label")]
    if not found.fresh:
        return [seen]
    (queued,) = queue.enqueue(
        state,
        kind="dev",
        issue=issue,
        message=message,
        via="intake",
        priority=intake.priority_of(facts["labels"]),
        carried=carried,
        from_issue=True,
    )
    queued.cause = -1
    return [seen, queued]


@decision("intake.gone")
def gone(state: State, issue: str, code: str, over_at: str | None = None) -> list[NewEvent]:
    """The issue asks for work no longer (`events.intake.IntakeGone`): its waiting task that the intake queued is
    cancelled, and if the issue was closed, at ``over_at``, every one that was asked for before; [] if that is known."""
    entry = state.intake.get(issue)
    if entry is None:
        return []
    data = {"code": code, **({"over_at": over_at} if over_at is not None else {})}
    over = NewEvent("intake.gone", data, issue=issue, cause=entry["seq"])
    task = state.tasks.get(entry["task"] or "")
    own = [task] if task is not None and task.state in ("pending", "parked") else []
    others = [one for one in state.waiting() if one.issue == issue and one not in own]
    vain = [one for one in others if reviews.asked_before_close(one, state.sessions.get(issue), over_at)]
    return [over, *(_withdrawn(issue, one.id, code, place) for place, one in enumerate([*own, *vain], 1))]


def _withdrawn(issue: str, task: str, code: str, place: int = 1) -> NewEvent:
    return NewEvent("task.cancelled", {"reason": f"intake_{code}"}, issue=issue, task=task, cause=-place)
