"""Recorded user actions, repeated on the simulated queue; those that no longer apply are skipped."""

from __future__ import annotations

from collections.abc import Callable

from kugetsu.domain.decide import queue, sessions
from kugetsu.domain.events import Event
from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.simulation.engine import Simulation
from kugetsu.model.errors import KugetsuError

Act = Callable[[Simulation, Event], None]


def _as_it_is(simulation: Simulation, event: Event) -> None:
    simulation.take(event)


def _with_priority(simulation: Simulation, event: Event) -> Event:
    wanted = simulation.changes.priority(event["task"], event.get("issue"))
    if wanted is None:
        return event
    return {**event, "data": {**event["data"], "priority": wanted}}


def _queued(simulation: Simulation, event: Event) -> None:
    simulation.take(_with_priority(simulation, event))


def _start(simulation: Simulation, event: Event) -> None:
    """`start` claims at once; if it cannot, its task waits as with `--queue`. It was not refused: no pause held it."""
    _queued(simulation, event)
    if not simulation.claim(event["task"], "self", despite_pause=True):
        simulation.noted.add("start", event["task"])


def _claim(simulation: Simulation, event: Event) -> None:
    """A claim that the queue's order does not explain: made at its time if the task waits for this attempt then."""
    task = simulation.state.tasks.get(event["task"])
    waits = (
        task is not None and task.state in ("pending", "parked") and task.usage.attempts + 1 == event["data"]["number"]
    )
    if waits and simulation.claim(event["task"], "self"):
        simulation.noted.add("forced", event["task"])


def _moved(simulation: Simulation, event: Event) -> None:
    task = simulation.state.tasks.get(event["task"])
    if task is None or task.state not in ("pending", "parked"):
        simulation.noted.add("late", event["task"])
        return
    simulation.take(_with_priority(simulation, event))


def _edited(simulation: Simulation, event: Event) -> None:
    """A message changes neither when a task starts nor how long it runs."""


def _cancel(simulation: Simulation, event: Event) -> None:
    task = simulation.state.tasks.get(event["task"])
    if task is None or task.state in FINISHED_TASK:
        simulation.noted.add("late", event["task"])
        return
    attempt = task.attempt
    new_events = queue.cancel(simulation.state, task.id, event["data"].get("reason", "cancelled"))
    simulation.apply(new_events)
    if attempt is not None and new_events:
        simulation.stop(attempt)


def _retried(simulation: Simulation, event: Event) -> None:
    task = simulation.state.tasks.get(event["task"])
    was = event["data"].get("was")
    if task is None and "record" in event["data"]:  # it had left the list
        simulation.take(event)
        return
    if task is None or (task.state == "completed" and was != "completed"):
        simulation.noted.add("late", event["task"])
        return
    if "kept" in event["data"]:
        if task.state == was:
            simulation.take(event)
        return
    try:
        new_events = queue.retry(simulation.state, task.id)
    except KugetsuError:  # it is waiting or running: nobody would type this
        simulation.noted.add("late", event["task"])
        return
    simulation.apply(new_events, event["seq"])


def _unblock(simulation: Simulation, event: Event) -> None:
    data = event["data"]
    try:
        new_events = queue.unblock(simulation.state, data["gate"], data["subject"])
    except KugetsuError:  # nothing is held
        return
    simulation.apply(new_events)


def _parked_again(simulation: Simulation, event: Event) -> None:
    task = simulation.state.tasks.get(event["task"])
    if task is not None and task.state == "pending":
        simulation.take(event)


def _cleared(simulation: Simulation, event: Event) -> None:
    state = simulation.state
    known = [task for task in event["data"]["tasks"] if task in state.tasks]
    gone = [task for task in known if state.tasks[task].state in FINISHED_TASK and not state.wanted(task)]
    if gone:
        simulation.take({**event, "data": {**event["data"], "tasks": gone}})


def _acknowledged(simulation: Simulation, event: Event) -> None:
    task = simulation.state.tasks.get(event.get("task", ""))
    again = event["type"] == "task.acknowledged"
    if task is not None and task.state == "error" and bool(task.acknowledged) != again:
        simulation.take({**event, "data": {"failure": task.changed}})


def _attached(simulation: Simulation, event: Event) -> None:
    """A person took the session; if an agent works in it now, they would have waited."""
    session = simulation.state.sessions.get(event["session"])
    if session is not None and session.attempt is None and session.person is None:
        simulation.take(event)


def _left(simulation: Simulation, event: Event) -> None:
    session = simulation.state.sessions.get(event["session"])
    if session is not None and session.person is not None:
        simulation.take(event)


def _destroy(simulation: Simulation, event: Event) -> None:
    data = event["data"]
    try:
        new_events = sessions.destroying(simulation.state, event["session"], data["force"], data["reason"])
    except KugetsuError:  # an agent works in it, tasks wait for it, or it does not exist yet
        if event.get("issue") is not None:
            simulation.noted.add("kept", event["session"])
        return
    simulation.apply(new_events, event["seq"])


def _destruction_over(simulation: Simulation, event: Event) -> None:
    session = simulation.state.sessions.get(event["session"])
    if session is not None and session.destroying:
        simulation.take(event)


def _by_the_loop(simulation: Simulation, event: Event) -> None:
    """What the forge made the daemon do: the work is queued when it was; what was seen on the forge stays outside."""
    act = {"task.queued": _queued, "task.cancelled": _cancel}.get(event["type"])
    if act is not None:
        act(simulation, event)


def _undone(simulation: Simulation, event: Event) -> None:
    act = _TAKEN_BACK.get(event["type"])
    if act is not None:
        act(simulation, event)


#: How each kind of event that undoes another is repeated.
_TAKEN_BACK: dict[str, Act] = {
    "task.cancelled": _cancel,
    "task.requeued": _retried,
    "task.acknowledged": _acknowledged,
    "task.unacknowledged": _acknowledged,
    "task.moved": _moved,
    "task.edited": _edited,
    "queue.paused": _as_it_is,
    "queue.resumed": _as_it_is,
    "task.parked": _parked_again,
    "hold.lifted": _unblock,
    "hold.restored": _as_it_is,
    "repository.registered": _as_it_is,
}

_ALL, _FIRST, _LAST = slice(None), slice(0, 1), slice(-1, None)
_IMPORTS = ("keep_record", "take_setting", "take_session", "take_task", "take_repository")
_DAEMON = ("started", "lease_replaced", "lost", "drain", "stopped")

#: For each decision that is an input of the queue: which of its events are repeated, and how.
ACTS: dict[str, tuple[slice, Act]] = {
    "claims.start": (_FIRST, _start),
    "claims.claim": (_FIRST, _claim),
    "queue.enqueue": (_FIRST, _queued),
    "queue.cancel": (_ALL, _cancel),
    "queue.dequeue": (_ALL, _cancel),
    "queue.cancel_waiting": (_ALL, _cancel),
    "queue.move": (_FIRST, _moved),
    "queue.retry": (_FIRST, _retried),
    "queue.unblock": (_FIRST, _unblock),
    "queue.clear": (_FIRST, _cleared),
    "queue.edit": (_FIRST, _edited),
    "queue.pause": (_ALL, _as_it_is),
    "queue.resume": (_ALL, _as_it_is),
    "queue.acknowledge": (_ALL, _acknowledged),
    **dict.fromkeys(
        ("intake.look", "intake.gone", "reactions.react", "reactions.withdrawn", "reviews.observe"),
        (_ALL, _by_the_loop),
    ),
    "undo.compensate": (_ALL, _undone),
    "persons.attach": (_FIRST, _attached),
    "persons.leave": (_FIRST, _left),
    "sessions.destroying": (_LAST, _destroy),
    "sessions.destroyed": (_ALL, _destruction_over),
    "sessions.broken": (_ALL, _destruction_over),
    "sessions.initialise": (_ALL, _as_it_is),
    "sessions.register": (_ALL, _as_it_is),
    "sessions.correct_counters": (_ALL, _as_it_is),
    **dict.fromkeys((f"importing.{name}" for name in _IMPORTS), (_ALL, _as_it_is)),
    **dict.fromkeys((f"daemon.{name}" for name in _DAEMON), (_ALL, _as_it_is)),
}
