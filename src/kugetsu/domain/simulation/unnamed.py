"""The decision behind a transaction of an older version, which does not name it."""

from __future__ import annotations

from collections.abc import Sequence

from kugetsu.domain.decide.undo import undoes
from kugetsu.domain.events import Event
from kugetsu.domain.state import ENDS

#: The first event's kind → the decision.
_BY_KIND = {
    **dict.fromkeys(ENDS, "attempts.finish"),
    "log.created": "sessions.initialise",
    "kugetsu.initialised": "sessions.initialise",
    "repository.registered": "sessions.register",
    "session.prepared": "sessions.prepared",
    "session.broken": "sessions.broken",
    "session.destroyed": "sessions.destroyed",
    "counters.corrected": "sessions.correct_counters",
    "task.queued": "queue.enqueue",
    "task.moved": "queue.move",
    "task.cancelled": "queue.cancel",
    "task.requeued": "queue.retry",
    "task.resumed": "queue.retry",
    "queue.cleared": "queue.clear",
    "queue.paused": "queue.pause",
    "queue.resumed": "queue.resume",
    "intake.seen": "intake.look",
    "intake.gone": "intake.gone",
    "hold.lifted": "queue.unblock",
    "attempt.running": "attempts.running",
    "person.attached": "persons.attach",
    "person.left": "persons.leave",
    "daemon.started": "daemon.started",
    "daemon.lease_replaced": "daemon.lease_replaced",
    "daemon.draining": "daemon.drain",
    "daemon.stopped": "daemon.stopped",
    "daemon.lost": "daemon.lost",
}


def decision_of(group: Sequence[Event]) -> str:
    """The name of the decision if a simulation needs it, else ""."""
    types = [event["type"] for event in group]
    if types[-1] == "record.imported":
        return "importing.keep_record"
    if types[-1] == "session.destroying":
        return "sessions.destroying"
    if "attempt.claimed" in types:
        return "claims.start" if types[0] == "task.queued" else "claims.dispatch"
    if any(undoes(event) is not None for event in group):
        return "undo.compensate"
    if types[0] == "attempt.stop_requested" and group[0]["data"]["reason"] == "cancel":
        return "queue.cancel"
    return _BY_KIND.get(types[0], "")
