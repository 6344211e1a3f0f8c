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
IGNORED = frozenset({"log.repaired", "setting.changed", "orphans.ended"})

#: The present version of every kind, when it is not 1; older events are brought up before they are folded.
PRESENT: dict[str, int] = {}


def fold(state: State, event: Event) -> None:
    """Apply one event to ``state``; never raises for what an event says, only for an event that is no event."""
    kind = event["type"]
    seq = event["seq"]
    handler = HANDLERS.get(kind)
    if handler is not None:
        try:
            if event["v"] != PRESENT.get(kind, 1):
                event = _in_present_version(state, event)
            handler(state, event)
        except KeyError as missing:
            state.violate(seq, f"{kind} does not say {missing}")
        except (TypeError, ValueError, AttributeError) as error:
            state.violate(seq, f"{kind} says something that cannot be read: {error}")
    elif kind not in IGNORED:
        state.violate(seq, f"{kind} is not a kind of event that this version knows")
    state.seq = seq
    state.at = event["at"]


# Handlers read all of an event before they change anything: one that lacks something changes nothing.


def _in_present_version(state: State, event: Event) -> Event:
    from kugetsu.domain.events import upcast

    present = PRESENT.get(event["type"], 1)
    if event["v"] > present:
        text = f"{event['type']} is of version {event['v']}, later than the {present} that this version knows"
        state.violate(event["seq"], text)
    return upcast(event)


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
    if task.id in state.tasks:
        state.violate(event["seq"], f"task.queued: {task.id} is there already")
        return
    state.tasks[task.id] = task
    _open(state, task)
    for earlier in task.after:
        state.successors.setdefault(earlier, []).append(task.id)
    number = task.id[1:]
    if number.isdigit() and int(number) > state.tasks_made:
        state.tasks_made = int(number)


def _open(state: State, task: Task) -> None:
    if task.issue is not None:
        state.of_issue.setdefault(task.issue, []).append(task.id)


def _close(state: State, task: Task) -> None:
    if task.issue is not None:
        same = state.of_issue[task.issue]
        same.remove(task.id)
        if not same:
            del state.of_issue[task.issue]


def queued(event: Event) -> Task:
    """The task that a ``task.queued`` event makes."""
    data = event["data"]
    task = Task(event["task"], data["kind"], event.get("issue"), data["title"])
    task.priority = data["priority"]
    task.after = list(dict.fromkeys(data["after"]))
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
    not_before, reason = event["data"]["not_before"], event["data"]["reason"]
    task = _move_task(state, event, "retry")
    if task is not None:
        task.retries += 1
        task.not_before = not_before
        task.reason = reason


def _task_parked(state: State, event: Event) -> None:
    data = event["data"]
    until, limit, reason = data["until"], data["limit"], data["reason"]
    task = _move_task(state, event, "park")
    if task is None:
        return
    task.parks += 1
    task.used -= 1
    task.not_before = until
    task.reason = reason
    stated = state.limits.get(limit)
    # A shorter pause (one that nobody stated) does not shorten what a provider stated before.
    if stated is None or stated["until"] <= until:
        state.limits[limit] = {"until": until, "seq": event["seq"], "task": task.id}
    session = state.sessions.get(task.session)
    if session is not None:
        session.parks += 1


def _task_resumed(state: State, event: Event) -> None:
    task = _move_task(state, event, "resume")
    if task is not None:
        task.not_before = None
        _lift(state, task)


def _lift(state: State, task: Task) -> None:
    """Forget the usage limits that this task ran into: its time has come, or someone wants to try."""
    for limit in [limit for limit, stated in state.limits.items() if stated["task"] == task.id]:
        del state.limits[limit]


def _task_completed(state: State, event: Event) -> None:
    _finish_task(state, event, "succeed", None)


def _task_failed(state: State, event: Event) -> None:
    _finish_task(state, event, "fail", event["data"]["reason"])


def _task_cancelled(state: State, event: Event) -> None:
    _finish_task(state, event, "cancel", event["data"]["reason"])


def _finish_task(state: State, event: Event, trigger: str, reason: str | None) -> None:
    task = _move_task(state, event, trigger)
    if task is None:
        return
    task.reason = reason
    task.not_before = None
    finished = state.finished
    finished[task.id] = None
    _close(state, task)
    while len(finished) > FINISHED_KEPT:
        oldest = next((task_id for task_id in finished if not state.wanted(task_id)), None)
        if oldest is None:
            break
        _retire(state, oldest)


def _retire(state: State, task_id: str) -> None:
    """Take a finished task out of the state. Those that come after it forget it only when it is completed: an id in
    their ``after`` that the state does not have was never completed."""
    del state.finished[task_id]
    task = state.tasks.pop(task_id)
    state.retired[task.state] = state.retired.get(task.state, 0) + 1
    for later in state.successors.pop(task_id, ()):
        if task.state == "completed":
            state.tasks[later].after.remove(task_id)
    for earlier in task.after:
        # The earlier one may have left before, without being completed.
        if earlier in state.successors:
            state.successors[earlier].remove(task_id)
            if not state.successors[earlier]:
                del state.successors[earlier]


def _task_requeued(state: State, event: Event) -> None:
    task = _move_task(state, event, "requeue")
    if task is not None:
        state.finished.pop(task.id, None)
        _open(state, task)
        _lift(state, task)
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
    data = event["data"]
    attempt_id, kind, slot, number = event["attempt"], data["kind"], data["slot"], data["number"]
    lease, claimer = data["lease"], data["claimer"]
    task = _move_task(state, event, "claim")
    if task is None:
        return
    attempt = Attempt(attempt_id, task.id, kind, task.issue, task.session)
    attempt.slot = slot
    attempt.lease = lease
    attempt.claimer = claimer
    attempt.claimed = event["seq"]
    attempt.claimed_at = event["at"]
    state.attempts[attempt.id] = attempt
    task.attempt = attempt.id
    task.made = number
    task.used += 1
    task.not_before = None
    session = state.sessions.get(task.session)
    if session is not None:
        session.attempt = attempt.id
        session.attempts += 1


def _attempt_starting(state: State, event: Event) -> None:
    runner = event["data"]["runner"]
    attempt = _move_attempt(state, event, "spawn")
    if attempt is not None:
        attempt.runner = runner


def _attempt_running(state: State, event: Event) -> None:
    agent, agent_session = event["data"]["agent"], event["data"]["agent_session"]
    attempt = _move_attempt(state, event, "run")
    if attempt is None:
        return
    attempt.agent = agent
    attempt.agent_session = agent_session
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
        data = event["data"]
        tokens, cost, evidence = data["tokens"], data["cost"], data["evidence"]
        attempt = _move_attempt(state, event, trigger)
        if attempt is None:
            return
        del state.attempts[attempt.id]
        task = state.tasks[attempt.task]
        task.attempt = None
        task.tokens += tokens
        task.cost += cost
        session = state.sessions.get(attempt.session)
        if session is None:
            return
        session.attempt = None
        session.tokens += tokens
        session.cost += cost
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
    session.destroying = 0
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
    data = event["data"]
    source, branch, agent = data["source"], data["branch"], data["agent"]
    session = _move_session(state, event, event["session"], "prepare")
    if session is not None:
        session.source = source
        session.branch = branch
        session.agent = agent


#: What a prepared session is known by, the same names in the event and in the record.
_PREPARED = ("agent", "agent_session", "worktree", "branch", "base_branch", "base_commit", "source")


def _session_prepared(state: State, event: Event) -> None:
    data = event["data"]
    known = [data[name] for name in _PREPARED]
    session = _move_session(state, event, event["session"], "ready")
    if session is None:
        return
    for name, value in zip(_PREPARED, known, strict=True):
        setattr(session, name, value)
    session.reason = None


def _session_broken(state: State, event: Event) -> None:
    reason = event["data"]["reason"]
    session = _move_session(state, event, event["session"], "break")
    if session is not None:
        session.reason = reason


def _session_destroying(state: State, event: Event) -> None:
    session = state.sessions.get(event["session"])
    if session is None:
        state.violate(event["seq"], f"session.destroying names the session {event['session']}, which is not there")
        return
    session.destroying = event["seq"]


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
        identity, lease = daemon.identity, daemon.lease
        if trigger == "start":
            identity, lease = event["data"]["identity"], event["data"]["lease"]
        dest = step("daemon", daemon.state, trigger)
        if dest is None:
            state.violate(event["seq"], f"{event['type']}: a daemon that is {daemon.state} cannot {trigger}")
            return
        daemon.state = dest
        daemon.changed = event["seq"]
        daemon.changed_at = event["at"]
        daemon.identity = identity
        daemon.lease = lease

    return handler


HANDLERS: dict[str, Handler] = {
    "log.created": _log_created,
    "kugetsu.initialised": _initialised,
    "repository.registered": _repository_registered,
    "session.requested": _session_requested,
    "session.preparing": _session_preparing,
    "session.prepared": _session_prepared,
    "session.broken": _session_broken,
    "session.destroying": _session_destroying,
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
