"""`fold(state, event)`: the one place where an event changes the state.

Every kind declared as `folded` has a handler here. A refusal by a state machine is recorded as a violation with a seq,
and the fold continues: one bad event never hides the rest. The state is changed in place, because a million events fold
in a few seconds only if nothing is copied. Handlers read all of an event before they change anything: an incomplete
event changes nothing.
"""

from __future__ import annotations

from kugetsu.domain.events import CATALOGUE, MALFORMED, PRESENT, upcast
from kugetsu.domain.fold import attempts, daemons, sessions, tasks
from kugetsu.domain.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kugetsu.domain.events import Event

    Handler = Callable[[State, Event], None]


def fold(state: State, event: Event) -> None:
    """Apply one event to ``state``; never raises for the content of an event, only for what is not an event."""
    kind = event["type"]
    seq = event["seq"]
    handler = HANDLERS.get(kind)
    if handler is not None:
        try:
            if event["v"] != PRESENT[kind]:
                event = _in_present_version(state, event)
            handler(state, event)
        except KeyError as missing:
            state.violate(seq, f"{kind} does not say {missing}")
        except (TypeError, ValueError, AttributeError) as error:
            state.violate(seq, f"{kind} says something that cannot be read: {error}")
    elif kind == MALFORMED:
        state.violate(seq, f"{event['data'].get('type')} {event['data'].get('problem')}")
    elif kind not in CATALOGUE:
        state.violate(seq, f"{kind} is not a kind of event that this version knows")
    state.seq = seq
    state.at = at = event["at"]
    if at > state.latest:
        state.latest = at
    if state.recent is not None:
        state.recent.add(event)


def _in_present_version(state: State, event: Event) -> Event:
    present = PRESENT[event["type"]]
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
    name, host = data["repository"], state.hosts.get(data.get("host") or "")
    source = {name: data[name] for name in ("path", "url") if data.get(name)}
    if host is not None and "url" not in source:
        from kugetsu.domain.fold import hosts

        hosts.repository_registered(state, host, name, data.get("path"))
        return
    for each in state.hosts.values():
        each.folders.pop(name, None)  # a URL is for all of them
    if source:
        if data.get("host"):
            source["host"] = data["host"]
        state.repositories[name] = source
    else:
        state.repositories.pop(name, None)


HANDLERS: dict[str, Handler] = {
    "log.created": _log_created,
    "kugetsu.initialised": _initialised,
    "repository.registered": _repository_registered,
    "session.requested": sessions.session_requested,
    "session.preparing": sessions.session_preparing,
    "session.prepared": sessions.session_prepared,
    "session.broken": sessions.session_broken,
    "session.rescued": sessions.session_rescued,
    "session.destroying": sessions.session_destroying,
    "session.destroyed": sessions.session_destroyed,
    "session.pr": sessions.session_pr,
    "session.forwarded": sessions.session_forwarded,
    "issue.read": sessions.issue_read,
    "counters.corrected": sessions.counters_corrected,
    "task.queued": tasks.task_queued,
    "task.held": tasks.task_held,
    "task.retried": tasks.task_retried,
    "task.parked": tasks.task_parked,
    "task.resumed": tasks.task_resumed,
    "task.completed": tasks.task_completed,
    "task.failed": tasks.task_failed,
    "task.cancelled": tasks.task_cancelled,
    "task.requeued": tasks.task_requeued,
    "attempt.claimed": attempts.attempt_claimed,
    "attempt.starting": attempts.attempt_starting,
    "attempt.running": attempts.attempt_running,
    "attempt.stop_requested": attempts.attempt_stop_requested,
    "attempt.unsettled": attempts.attempt_unsettled,
    "attempt.succeeded": attempts.attempt_ended("succeed"),
    "attempt.failed": attempts.attempt_ended("fail"),
    "attempt.timed_out": attempts.attempt_ended("time_out"),
    "attempt.killed": attempts.attempt_ended("kill"),
    "attempt.lost": attempts.attempt_ended("lose"),
    "person.attached": sessions.person_attached,
    "person.left": sessions.person_left,
    "worktree.set_up": sessions.worktree_set_up,
    "setup.accepted": sessions.setup_accepted,
    "base.verified": sessions.base_verified,
    "work.verifying": sessions.work_verifying,
    "work.verified": sessions.work_verified,
    "daemon.started": daemons.daemon_started,
    "daemon.lease_replaced": daemons.daemon_lease_replaced,
    "daemon.draining": daemons.daemon_moved("drain"),
    "daemon.stopped": daemons.daemon_moved("stop"),
    "daemon.lost": daemons.daemon_moved("lose"),
}

_LATER = {
    "hosts": (
        "attempt.late",
        "host.joined",
        "host.draining",
        "host.undrained",
        "host.left",
        "host.lost",
        "host.returned",
        "setting.shared",
    ),
    "intake": ("intake.seen", "intake.gone", "mark.setting", "mark.set", "mark.failed"),
    "loops": ("feedback.seen", "reaction.held"),
    "notifications": (
        "notices.read",
        "notices.unread",
        "sink.enabled",
        "sink.disabled",
        "notice.sending",
        "notice.sent",
        "notice.failed",
    ),
    "queue": (
        "task.moved",
        "task.edited",
        "task.acknowledged",
        "task.unacknowledged",
        "queue.acknowledged",
        "queue.unacknowledged",
        "queue.cleared",
        "queue.paused",
        "queue.resumed",
        "hold.lifted",
        "hold.restored",
    ),
    "reviews": (
        "pull.observed",
        "pull.opening",
        "pull.opened",
        "pull.failed",
        "branch.merged",
        "review.done",
        "review.reopened",
        "report.acknowledged",
        "report.due",
        "report.unacknowledged",
    ),
}
"""Module → the kinds that only some logs have: it is imported with the first event of one. A handler has its kind's
name."""


def _later(module: str, kind: str) -> Handler:
    def first(state: State, event: Event) -> None:
        handlers = __import__(f"{__name__}.{module}", fromlist=[module])
        handler = HANDLERS[kind] = getattr(handlers, kind.replace(".", "_"))
        handler(state, event)

    return first


HANDLERS.update({kind: _later(module, kind) for module, kinds in _LATER.items() for kind in kinds})
