"""Events of tasks and of the queue: requests, waits, outcomes."""

from __future__ import annotations

from kugetsu.domain.events.declaration import ALL, Carried, Safe, TypedDict, event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NotRequired

    from kugetsu.domain.events.declaration import Event, Time


class Counters(TypedDict):
    """An issue's usage over its whole life (`state.ISSUE_COUNTERS`)."""

    attempts: int
    parks: int
    tokens: int
    cost: float
    fruitless: int


class Reaction(TypedDict):
    """A turn that answers feedback: the ``turn``-th of its pull request, about these ``items``
    (`events.reactions.Feedback`)."""

    turn: int
    items: list[str]


class Options(TypedDict, total=False):
    """What a task was given for itself, before the settings: its agent program, model, attempts, hours of each; and the
    labels that a host must offer to work on it."""

    agent: str
    model: str
    max_attempts: int
    timeout_hours: float
    labels: list[str]


@event("task.queued", exempt="kind message after repository via options", undoable=True)
class TaskQueued(TypedDict):
    """A request for work. ``repository`` is the source of its worktree, if the command was typed in a clone;
    ``from_issue``: its message is the issue's own text, as the forge had it; ``carried`` are the counters of the
    issue's earlier sessions, if it has no session now. ``reaction``: the daemon queued it to answer feedback."""

    kind: str
    message: str
    title: str
    priority: int
    after: list[str]
    repository: dict[str, str] | None
    via: str
    options: NotRequired[Options]
    from_issue: NotRequired[bool]
    carried: NotRequired[Carried | None]
    reaction: NotRequired[Reaction]


@event("task.moved", exempt=ALL, undoable=True)
class TaskMoved(TypedDict):
    """The waiting task was moved: higher priorities first, then lower orders. ``after`` are the tasks that it comes
    after, if these were changed too."""

    priority: int
    order: int
    was_priority: int
    was_order: int
    after: NotRequired[list[str]]
    was_after: NotRequired[list[str]]


@event("task.held", exempt="gate", irrevocable="wait_recorded")
class TaskHeld(TypedDict):
    """The dispatcher considered the task and found a gate closed; logged if the gate changes. ``reason`` is the gate's
    code and ``values`` its inputs (`verdict.Verdict`); without values it is text of an earlier version."""

    gate: str
    reason: str
    values: NotRequired[dict[str, Any]]
    rests_on: int
    until: Time | None


@event("task.retried", irrevocable="wait_recorded")
class TaskRetried(TypedDict):
    """An attempt failed; another follows, not before a time."""

    not_before: Time
    used: int
    max_attempts: int
    reason: str


class Outage(TypedDict):
    """A failure that every task would meet: a refused key, a program that cannot be started. It closes the ``gate``
    (``provider`` or ``agent``) ``until`` an attempt tries again; it was met ``times`` times; ``remedy`` ends it. Of
    several hosts only ``host`` met it, if that is there."""

    gate: str
    remedy: str
    times: int
    until: Time
    host: NotRequired[str]


def _parked_by_a_limit(event: Event) -> Event:
    """Version 1 knew usage limits only."""
    return {**event, "v": 2, "data": {**event["data"], "gate": "provider"}}


@event(
    "task.parked",
    version=2,
    upcasters={1: _parked_by_a_limit},
    since={"gate": 2},
    exempt="gate limit",
    irrevocable="limit_recorded",
)
class TaskParked(TypedDict):
    """The task waits without using up an attempt. ``gate`` is ``provider`` (a usage ``limit`` until a time),
    ``progress`` (runs without progress; until a user unblocks it, with ``until`` and ``limit`` None), ``setup`` (its
    worktree could not be made ready; until it is tried again, or with ``until`` None until a user does), ``branch`` (it
    has parted from its remote branch; until one of them moves, or a user retries it) or ``forge`` (its issue could not
    be read before its agent's start; until it is asked for again). ``again``: its unblocking was undone; it was already
    counted. ``outage``: it met not a usage limit of ``limit``, but a failure that every task would meet. ``reason`` and
    ``values`` as in `TaskHeld`; without values, text."""

    until: Time | None
    stated: bool
    limit: str | None
    reason: str
    values: NotRequired[dict[str, Any]]
    gate: str
    again: NotRequired[bool]
    outage: NotRequired[Outage]


@event(
    "task.resumed",
    undoable=True,
    irrevocable="wait_ended",
)
class TaskResumed(TypedDict):
    """A parked task waits no longer. ``why``: ``time``, ``open`` (its gate opened), ``set_up`` (its set-up has other
    settings), ``accepted`` (what its repository supplies was), ``answered`` (an outage ended), or ``retry`` or ``lift``
    (a user unblocked it)."""

    why: str


@event("task.completed", irrevocable="agent_done")
class TaskCompleted(TypedDict):
    """The agent finished; the evidence is in the attempt's event."""

    summary: str


@event(
    "task.failed",
    irrevocable="attempts_ended",
)
class TaskFailed(TypedDict):
    """The attempts are used up, or the failure is permanent. ``values``: how many ``failures`` used them up, the
    last one for that ``reason``; without values, only the text is known."""

    reason: str
    values: NotRequired[dict[str, Any]]
    used: int
    max_attempts: int


@event(
    "task.cancelled",
    undoable=True,
    irrevocable="agent_stopped_too",
)
class TaskCancelled(TypedDict):
    """Removed from the queue on request."""

    reason: str


class Kept(TypedDict):
    """The kept parts of a cancelled task: attempts used, its place in the queue, the time that it waits for."""

    used: int
    order: int
    not_before: Time | None


class Recorded(TypedDict):
    """A task that has left the state, as it was when it finished: its history and that of its issue, read from the log.
    ``after`` are the tasks that it comes after and that were never completed; ``carried`` as in `TaskQueued`;
    ``result`` that of its latest attempt (`events.attempts.Result`)."""

    kind: str
    issue: str | None
    title: str
    state: str
    priority: int
    after: list[str]
    queued: int
    queued_at: Time
    edited: int
    changed: int
    repository: dict[str, str] | None
    options: dict[str, Any]
    carried: Carried | None
    attempts: int
    retries: int
    parks: int
    tokens: int
    cost: float
    seconds: float
    result: dict[str, Any] | None
    reaction: NotRequired[dict[str, Any] | None]
    by_intake: NotRequired[bool]


@event(
    "task.requeued",
    exempt="record",
    undoable=True,
    irrevocable="finished_before",
)
class TaskRequeued(TypedDict):
    """A finished task is queued again, with all its attempts; or, if its cancellation was undone, as before
    (``kept``). ``record``: it had left the state."""

    was: str
    kept: NotRequired[Kept]
    record: NotRequired[Recorded]


@event("task.acknowledged", undoable=True)
class TaskAcknowledged(TypedDict):
    """Somebody has seen that the task failed, by the event ``failure``."""

    failure: Safe


@event("task.unacknowledged", undoable=True)
class TaskUnacknowledged(TypedDict):
    """`task.acknowledged` was undone: nobody has seen the ``failure``."""

    failure: Safe


@event("queue.acknowledged", undoable=True)
class QueueAcknowledged(TypedDict):
    """Somebody has seen that tasks failed of which only the number is kept: ``gone`` of them have left the state, and
    ``left`` remain to be acknowledged."""

    gone: int
    left: int


@event("queue.unacknowledged", undoable=True)
class QueueUnacknowledged(TypedDict):
    """`queue.acknowledged` was undone."""

    gone: int
    left: int


@event("task.edited", exempt="message was_message", undoable=True)
class TaskEdited(TypedDict):
    """The waiting task has another message; the previous one is in ``was_message``."""

    message: str
    title: str
    was_message: str


@event("queue.paused", exempt=ALL, undoable=True)
class QueuePaused(TypedDict):
    """No waiting task starts, of one repository or (None) of all, until a time or until the queue is resumed."""

    repository: str | None
    until: Time | None


@event("queue.resumed", exempt=ALL, undoable=True)
class QueueResumed(TypedDict):
    """The pause of one repository, or (None) of all, is over."""

    repository: str | None


@event(
    "queue.cleared",
    exempt=ALL,
    irrevocable="tasks_left",
)
class QueueCleared(TypedDict):
    """Finished tasks left the queue's list; their history stays."""

    tasks: list[str]
    older_than: Time | None


@event(
    "hold.lifted",
    exempt="gate subject why by",
    undoable=True,
    irrevocable="works_again",
)
class HoldLifted(TypedDict):
    """Tasks are unblocked: ``gate`` is ``progress`` (``subject`` an issue) or ``provider`` (``subject`` agent and
    model). ``why`` is ``answered`` if an attempt of the task ``by`` showed that an outage is over; absent if a user
    unblocked them."""

    gate: str
    subject: str
    why: NotRequired[str]
    by: NotRequired[str]


@event("hold.restored", exempt="gate subject", undoable=True)
class HoldRestored(TypedDict):
    """`hold.lifted` was undone: the usage limit (or the ``outage``) of ``subject`` applies again until a time, as
    ``task`` met it, or the issue ``subject`` has its ``fruitless`` runs again."""

    gate: str
    subject: str
    until: Time | None
    task: str | None
    fruitless: int
    outage: NotRequired[Outage]


@event("counters.corrected", exempt=ALL, irrevocable="counts_recorded")
class CountersCorrected(TypedDict):
    """The counters carried over from the issue's earlier sessions differed from its history: ``old`` are the previous
    counters, ``new`` those of its history. The event's cause is the one that carried the wrong counters."""

    old: Counters
    new: Counters
