"""`fold(state, event)`: the one place where an event changes the state.

Every kind of the catalogue has a handler here or stands in `IGNORED` on purpose. What a machine refuses is noted as
a violation with its seq, and the fold goes on: one bad event never hides the rest. The state is changed in place,
because a million events are folded in a few seconds only when nothing is copied.
"""

from __future__ import annotations

from kugetsu.domain.machines import step
from kugetsu.domain.state import FINISHED_KEPT, Attempt, Session, State, Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Event = dict[str, Any]
    Handler = Callable[[State, Event], None]

#: Events that change nothing here, on purpose: they are told by `history` and checked by `log verify`.
IGNORED = frozenset({"log.repaired", "setting.changed", "orphans.ended", "session.destroying"})

#: The present version of every kind, when it is not 1; older events are brought up before they are folded.
PRESENT: dict[str, int] = {}


def fold(state: State, event: Event) -> None:
    """Apply one event to ``state``; never raises for what an event says, only for an event that is no event."""
    kind = event["type"]
    seq = event["seq"]
    if kind in PRESENT and event["v"] < PRESENT[kind]:
        from kugetsu.domain.events import upcast

        event = upcast(event)
    handler = HANDLERS.get(kind)
    if handler is not None:
        try:
            handler(state, event)
        except KeyError as missing:
            state.violate(seq, f"{kind} does not say {missing}")
    elif kind not in IGNORED:
        state.violate(seq, f"{kind} is not a kind of event that this version knows")
    state.seq = seq
    state.at = event["at"]


def _log_created(state: State, event: Event) -> None:
    state.log_id = event["data"]["log_id"]


def _initialised(state: State, event: Event) -> None:
    state.initialised = event["seq"]


def _repository_registered(state: State, event: Event) -> None:
    data = event["data"]
    state.repositories[data["repository"]] = {name: data[name] for name in ("path", "url") if data.get(name)}


# --- tasks -----------------------------------------------------------------------------------------------------


def _move_task(state: State, event: Event, trigger: str) -> Task | None:
    """The task of ``event`` after ``trigger``; None (and a violation) when there is none or its machine refuses."""
    task = state.tasks.get(event["task"])
    if task is None:
        state.violate(event["seq"], f"{event['type']} names the task {event['task']}, which is not in the queue")
        return None
    dest = step("task", task.state, trigger)
    if dest is None:
        state.violate(event["seq"], f"{event['type']}: a task that is {task.state} cannot {trigger}")
        return None
    task.state = dest
    task.changed = event["seq"]
    task.changed_at = event["at"]
    task.held = None
    return task


def _task_queued(state: State, event: Event) -> None:
    task = queued(event)
    state.tasks[task.id] = task
    number = task.id[1:]
    if number.isdigit() and int(number) > state.tasks_made:
        state.tasks_made = int(number)


def queued(event: Event) -> Task:
    """The task that a ``task.queued`` event makes."""
    data = event["data"]
    task = Task(event["task"], data["kind"], event.get("issue"), data["title"])
    task.priority = data["priority"]
    task.after = data["after"]
    task.repository = data["repository"]
    task.order = task.queued = task.changed = event["seq"]
    task.queued_at = task.changed_at = event["at"]
    return task


def _task_held(state: State, event: Event) -> None:
    task = state.tasks.get(event["task"])
    if task is None or task.state not in ("pending", "parked"):
        state.violate(event["seq"], f"task.held names {event['task']}, which does not wait")
        return
    task.held = event["data"]["gate"]
    task.held_seq = event["seq"]


def _task_retried(state: State, event: Event) -> None:
    task = _move_task(state, event, "retry")
    if task is not None:
        task.retries += 1
        task.not_before = event["data"]["not_before"]
        task.reason = event["data"]["reason"]


def _task_parked(state: State, event: Event) -> None:
    task = _move_task(state, event, "park")
    if task is None:
        return
    data = event["data"]
    task.parks += 1
    task.used -= 1
    task.not_before = data["until"]
    task.reason = data["reason"]
    state.limits[data["limit"]] = {"until": data["until"], "seq": event["seq"], "task": task.id}
    session = state.sessions.get(task.session)
    if session is not None:
        session.parks += 1


def _task_resumed(state: State, event: Event) -> None:
    task = _move_task(state, event, "resume")
    if task is not None:
        task.not_before = None
        for limit in [limit for limit, stated in state.limits.items() if stated["task"] == task.id]:
            del state.limits[limit]


def _task_completed(state: State, event: Event) -> None:
    _finish_task(state, _move_task(state, event, "succeed"), None)


def _task_failed(state: State, event: Event) -> None:
    _finish_task(state, _move_task(state, event, "fail"), event["data"]["reason"])


def _task_cancelled(state: State, event: Event) -> None:
    _finish_task(state, _move_task(state, event, "cancel"), event["data"]["reason"])


def _finish_task(state: State, task: Task | None, reason: str | None) -> None:
    if task is None:
        return
    task.reason = reason
    task.not_before = None
    finished = state.finished
    finished[task.id] = None
    if len(finished) > FINISHED_KEPT:
        _retire(state, next(iter(finished)))


def _retire(state: State, task_id: str) -> None:
    del state.finished[task_id]
    task = state.tasks.pop(task_id)
    state.retired[task.state] = state.retired.get(task.state, 0) + 1


def _task_requeued(state: State, event: Event) -> None:
    task = _move_task(state, event, "requeue")
    if task is not None:
        state.finished.pop(task.id, None)
        task.order = event["seq"]
        task.used = 0
        task.not_before = None
        task.reason = None


def _queue_cleared(state: State, event: Event) -> None:
    for task_id in event["data"]["tasks"]:
        if task_id in state.finished:
            _retire(state, task_id)
        else:
            state.violate(event["seq"], f"queue.cleared names {task_id}, which is not finished")


# --- attempts --------------------------------------------------------------------------------------------------


def _move_attempt(state: State, event: Event, trigger: str) -> Attempt | None:
    attempt = state.attempts.get(event["attempt"])
    if attempt is None:
        state.violate(event["seq"], f"{event['type']} names the attempt {event['attempt']}, which is not live")
        return None
    dest = step("attempt", attempt.state, trigger)
    if dest is None:
        state.violate(event["seq"], f"{event['type']}: an attempt that is {attempt.state} cannot {trigger}")
        return None
    attempt.state = dest
    return attempt


def _attempt_claimed(state: State, event: Event) -> None:
    task = _move_task(state, event, "claim")
    if task is None:
        return
    data = event["data"]
    attempt = Attempt(event["attempt"], task.id, data["kind"], task.issue, task.session)
    attempt.slot = data["slot"]
    attempt.lease = data["lease"]
    attempt.claimer = data["claimer"]
    attempt.claimed = event["seq"]
    attempt.claimed_at = event["at"]
    state.attempts[attempt.id] = attempt
    task.attempt = attempt.id
    task.made = data["number"]
    task.used += 1
    task.not_before = None
    session = state.sessions.get(task.session)
    if session is not None:
        session.attempt = attempt.id
        session.attempts += 1


def _attempt_starting(state: State, event: Event) -> None:
    attempt = _move_attempt(state, event, "spawn")
    if attempt is not None:
        attempt.runner = event["data"]["runner"]


def _attempt_running(state: State, event: Event) -> None:
    attempt = _move_attempt(state, event, "run")
    if attempt is None:
        return
    data = event["data"]
    attempt.agent = data["agent"]
    attempt.agent_session = data["agent_session"]
    attempt.running_at = event["at"]
    _move_session(state, event, attempt.session, "work")


def _attempt_stop_requested(state: State, event: Event) -> None:
    attempt = state.attempts.get(event["attempt"])
    if attempt is None:
        state.violate(event["seq"], f"attempt.stop_requested names {event['attempt']}, which is not live")
        return
    attempt.stop = event["data"]["reason"]
    attempt.stop_seq = event["seq"]


def _attempt_ended(trigger: str) -> Handler:
    def handler(state: State, event: Event) -> None:
        attempt = _move_attempt(state, event, trigger)
        if attempt is None:
            return
        del state.attempts[attempt.id]
        data = event["data"]
        task = state.tasks[attempt.task]
        task.attempt = None
        task.tokens += data["tokens"]
        task.cost += data["cost"]
        session = state.sessions.get(attempt.session)
        if session is None:
            return
        session.attempt = None
        session.tokens += data["tokens"]
        session.cost += data["cost"]
        evidence = data["evidence"]
        if evidence:
            session.commits = evidence.get("commits", session.commits)
            session.dirty = evidence.get("dirty", session.dirty)
            session.pushed = evidence.get("pushed", session.pushed)
        if session.state == "working":
            _move_session(state, event, session.key, "rest")

    return handler


# --- sessions --------------------------------------------------------------------------------------------------


def _move_session(state: State, event: Event, key: str, trigger: str) -> Session | None:
    session = state.sessions.get(key)
    if session is None:
        state.violate(event["seq"], f"{event['type']} names the session {key}, which is not there")
        return None
    dest = step("session", session.state, trigger)
    if dest is None:
        state.violate(event["seq"], f"{event['type']}: a session that is {session.state} cannot {trigger}")
        return None
    session.state = dest
    session.changed = event["seq"]
    session.changed_at = event["at"]
    return session


def _session_requested(state: State, event: Event) -> None:
    key = event["session"]
    data = event["data"]
    if key in state.sessions:
        state.violate(event["seq"], f"session.requested: {key} is there already")
        return
    session = Session(key, data["kind"])
    session.repository = data["repository"]
    session.created_at = session.changed_at = event["at"]
    session.changed = event["seq"]
    carried = data.get("carried")
    if carried:
        session.attempts = carried["attempts"]
        session.parks = carried["parks"]
        session.tokens = carried["tokens"]
        session.cost = carried["cost"]
        session.pr = carried.get("pr")
    state.sessions[key] = session


def _session_preparing(state: State, event: Event) -> None:
    session = _move_session(state, event, event["session"], "prepare")
    if session is not None:
        data = event["data"]
        session.source = data["source"]
        session.branch = data["branch"]
        session.agent = data["agent"]


def _session_prepared(state: State, event: Event) -> None:
    session = _move_session(state, event, event["session"], "ready")
    if session is None:
        return
    data = event["data"]
    session.agent = data["agent"]
    session.agent_session = data["agent_session"]
    session.worktree = data["worktree"]
    session.branch = data["branch"]
    session.base_branch = data["base_branch"]
    session.base_commit = data["base_commit"]
    session.source = data["source"]
    session.reason = None


def _session_broken(state: State, event: Event) -> None:
    session = _move_session(state, event, event["session"], "break")
    if session is not None:
        session.reason = event["data"]["reason"]


def _session_destroyed(state: State, event: Event) -> None:
    session = _move_session(state, event, event["session"], "destroy")
    if session is not None:
        del state.sessions[session.key]


def _session_pr(state: State, event: Event) -> None:
    session = state.sessions.get(event["session"])
    if session is None:
        state.violate(event["seq"], f"session.pr names the session {event['session']}, which is not there")
        return
    session.pr = event["data"]["url"]


# --- the daemon ------------------------------------------------------------------------------------------------


def _daemon(trigger: str) -> Handler:
    def handler(state: State, event: Event) -> None:
        daemon = state.daemon
        dest = step("daemon", daemon.state, trigger)
        if dest is None:
            state.violate(event["seq"], f"{event['type']}: a daemon that is {daemon.state} cannot {trigger}")
            return
        daemon.state = dest
        daemon.changed = event["seq"]
        daemon.changed_at = event["at"]
        if trigger == "start":
            daemon.identity = event["data"]["identity"]
            daemon.lease = event["data"]["lease"]

    return handler


HANDLERS: dict[str, Handler] = {
    "log.created": _log_created,
    "kugetsu.initialised": _initialised,
    "repository.registered": _repository_registered,
    "session.requested": _session_requested,
    "session.preparing": _session_preparing,
    "session.prepared": _session_prepared,
    "session.broken": _session_broken,
    "session.destroyed": _session_destroyed,
    "session.pr": _session_pr,
    "task.queued": _task_queued,
    "task.held": _task_held,
    "task.retried": _task_retried,
    "task.parked": _task_parked,
    "task.resumed": _task_resumed,
    "task.completed": _task_completed,
    "task.failed": _task_failed,
    "task.cancelled": _task_cancelled,
    "task.requeued": _task_requeued,
    "queue.cleared": _queue_cleared,
    "attempt.claimed": _attempt_claimed,
    "attempt.starting": _attempt_starting,
    "attempt.running": _attempt_running,
    "attempt.stop_requested": _attempt_stop_requested,
    "attempt.succeeded": _attempt_ended("succeed"),
    "attempt.failed": _attempt_ended("fail"),
    "attempt.timed_out": _attempt_ended("time_out"),
    "attempt.killed": _attempt_ended("kill"),
    "attempt.lost": _attempt_ended("lose"),
    "daemon.started": _daemon("start"),
    "daemon.draining": _daemon("drain"),
    "daemon.stopped": _daemon("stop"),
    "daemon.lost": _daemon("lose"),
}
