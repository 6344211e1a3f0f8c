"""Transactions of one event: who decides each kind again."""

from __future__ import annotations

from collections.abc import Callable

from kugetsu.domain.decide import attempts, daemon, notifications, queue, sessions
from kugetsu.domain.events import Event
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.replay.recorded import MissingFactError, facts_of
from kugetsu.domain.state import State

#: The reason with which `queue clear --all` cancels, also when only one task waits.
CLEARED = "queue clear --all"


def enqueue(state: State, event: Event) -> list[NewEvent]:
    """What queues the task of a ``task.queued`` now."""
    asked = {name: value for name, value in event["data"].items() if name != "title"}
    return queue.enqueue(state, issue=event.get("issue"), **asked)


def _move(state: State, event: Event) -> list[NewEvent]:
    data, task = event["data"], event["task"]
    was = state.tasks[task].order
    first, last = data["order"] < was, data["order"] > was
    return queue.move(state, task, first=first, last=last, priority=data["priority"], after=data.get("after"))


def _cancel(state: State, event: Event) -> list[NewEvent]:
    reason = event["data"]["reason"]
    if reason == "dequeued":
        return queue.dequeue(state, event["task"])
    if reason == CLEARED:
        return queue.cancel_waiting(state, reason)
    return queue.cancel(state, event["task"], reason)


def _stop(state: State, event: Event) -> list[NewEvent]:
    if event["data"]["reason"] == "cancel":
        return queue.cancel(state, event["task"], "cancel")
    return attempts.stop(state, event["attempt"], event["data"]["reason"])


def _failed(state: State, event: Event) -> list[NewEvent]:
    data, facts = event["data"], facts_of(event, {"now", "again", "asked"})
    return notifications.failed(
        state,
        data["sink"],
        data["delivery"],
        data["reason"],
        now=facts["now"],
        again=facts["again"],
        asked=facts["asked"],
    )


def _register(state: State, event: Event) -> list[NewEvent]:
    source = {name: value for name, value in event["data"].items() if name != "repository"}
    return sessions.register(state, event["data"]["repository"], source)


def _request(state: State, event: Event) -> list[NewEvent]:
    return sessions.request(state, event["session"], event["data"]["kind"], event["data"]["repository"])


def _preparing(state: State, event: Event) -> list[NewEvent]:
    return sessions.preparing(state, event["session"], event["data"], event.get("attempt"))


def _prepared(state: State, event: Event) -> list[NewEvent]:
    return sessions.prepared(state, event["session"], event["data"], event.get("attempt"))


def _tie(state: State, event: Event) -> list[NewEvent]:
    if "source" not in event["data"]:
        raise MissingFactError("source")
    return sessions.set_pr(state, event["session"], event["data"]["url"], event["data"]["source"])


#: Who decides a transaction of one event, by its kind.
SINGLE: dict[str, Callable[[State, Event], list[NewEvent]]] = {
    "repository.registered": _register,
    "session.requested": _request,
    "session.preparing": _preparing,
    "session.prepared": _prepared,
    "session.broken": lambda state, event: sessions.broken(state, event["session"], event["data"]["reason"]),
    "session.rescued": lambda state, event: sessions.rescued(
        state, event["session"], event["data"]["branch"], event.get("attempt")
    ),
    "session.destroyed": lambda state, event: sessions.destroyed(state, event["session"], event["data"]),
    "session.pr": _tie,
    "counters.corrected": lambda state, event: sessions.correct_counters(
        state, event["issue"], event["data"]["new"], event["cause"]
    ),
    "task.queued": enqueue,
    "task.moved": _move,
    "task.cancelled": _cancel,
    "task.requeued": lambda state, event: queue.retry(state, event["task"]),
    "task.resumed": lambda state, event: queue.retry(state, event["task"]),
    "queue.cleared": lambda state, event: queue.clear(state, event["data"]["older_than"]),
    "attempt.starting": lambda state, event: attempts.starting(state, event["attempt"], event["data"]["runner"]),
    "attempt.running": lambda state, event: attempts.running(state, event["attempt"], **event["data"]),
    "attempt.stop_requested": _stop,
    "attempt.unsettled": lambda state, event: attempts.unsettled(state, event["attempt"], event["data"]["reason"]),
    "daemon.lease_replaced": lambda state, event: daemon.lease_replaced(
        state, event["data"]["replaced"], event["data"]["lease"]
    ),
    "daemon.draining": lambda state, event: daemon.drain(state, event["data"]["reason"]),
    "daemon.stopped": lambda state, event: daemon.stopped(state, event["data"]["reason"]),
    "daemon.lost": lambda state, _: daemon.lost(state),
    "notices.read": lambda state, event: notifications.mark_read(state, event["data"]["until"]),
    "sink.enabled": lambda state, event: notifications.enable(state, event["data"]["sink"]),
    "sink.disabled": lambda state, event: notifications.disable(state, event["data"]["sink"]),
    "notice.sent": lambda state, event: notifications.sent(
        state, event["data"]["sink"], event["data"]["delivery"], event["data"]["detail"]
    ),
    "notice.failed": _failed,
}
