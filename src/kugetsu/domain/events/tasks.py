"""Events of tasks and of the queue: what was requested, what the tasks waited for, how they ended."""

from __future__ import annotations

from kugetsu.domain.events.declaration import ALL, Carried, TypedDict, event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NotRequired

    from kugetsu.domain.events.declaration import Event, Time


class Counters(TypedDict):
    """What an issue has used over its whole life (`state.ISSUE_COUNTERS`)."""

    attempts: int
    parks: int
    tokens: int
    cost: float
    fruitless: int


@event("task.queued", exempt="kind message after repository via", undoable=True)
class TaskQueued(TypedDict):
    """A request for work. ``repository`` is where its worktree comes from, when the command was typed in a clone;
    ``carried`` are the counters of the issue's earlier life, when it has no session now."""

    kind: str
    message: str
    title: str
    priority: int
    after: list[str]
    repository: dict[str, str] | None
    via: str
    carried: NotRequired[Carried | None]


@event("task.moved", exempt=ALL, undoable=True)
class TaskMoved(TypedDict):
    """Someone gave the task another place among those that wait: higher priorities first, then lower orders.
    ``after`` are the tasks that it comes after, when these were changed too."""

    priority: int
    order: int
    was_priority: int
    was_order: int
    after: NotRequired[list[str]]
    was_after: NotRequired[list[str]]


@event("task.held", exempt="gate", irrevocable="wait_recorded")
class TaskHeld(TypedDict):
    """The dispatcher considered the task and a gate said no; logged when the gate changes. ``reason`` is the gate's
    code and ``values`` what it was decided from (`gates.Verdict`); without them it is words, as earlier versions wrote.
    """

    gate: str
    reason: str
    values: NotRequired[dict[str, Any]]
    rests_on: int
    until: Time | None


@event("task.retried", irrevocable="wait_recorded")
class TaskRetried(TypedDict):
    """An attempt failed and another will be made, not before a time."""

    not_before: Time
    used: int
    max_attempts: int
    reason: str


class Outage(TypedDict):
    """What every task would meet: a refused key, a program that cannot be started. It closes the ``gate`` (``provider``
    or ``agent``) ``until`` an attempt tries it again; it was met ``times`` times; ``remedy`` mends it."""

    gate: str
    remedy: str
    times: int
    until: Time


def _parked_by_a_limit(event: Event) -> Event:
    """Version 1 knew usage limits only."""
    return {**event, "v": 2, "data": {**event["data"], "gate": "provider"}}


@event(
    "task.parked",
    version=2,
    upcasters={1: _parked_by_a_limit},
    exempt="gate limit",
    irrevocable="limit_recorded",
)
class TaskParked(TypedDict):
    """Waits and uses up no attempt. ``gate`` says for what: ``provider``, a usage ``limit`` until a time, or
    ``progress``, runs that changed nothing: until someone unblocks it (``until`` and ``limit`` are then None).
    ``again``: what unblocked it was undone; it was counted when it was parked before. ``outage``: it met no usage limit
    of ``limit``, but what every task would meet. ``reason`` and ``values`` as in `TaskHeld`; without them, words."""

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
    """The wait is over: by time, or because someone unblocked it."""

    why: str


@event("task.completed", irrevocable="agent_done")
class TaskCompleted(TypedDict):
    """The agent finished; evidence stands beside in the attempt's event."""

    summary: str


@event(
    "task.failed",
    irrevocable="attempts_ended",
)
class TaskFailed(TypedDict):
    """Attempts used up, or a failure that no retry helps. ``values``: how many ``failures`` used the attempts up, the
    last one for that ``reason``; of a reason without them only the words are known."""

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
    """Taken out of the queue on request."""

    reason: str


class Kept(TypedDict):
    """What a cancelled task had: attempts used, its place in the queue, the time that it waits for."""

    used: int
    order: int
    not_before: Time | None


@event(
    "task.requeued",
    undoable=True,
    irrevocable="finished_before",
)
class TaskRequeued(TypedDict):
    """A finished task is wanted again, with all its attempts; or, when its cancellation was undone, as it was:
    ``kept``."""

    was: str
    kept: NotRequired[Kept]


@event(
    "queue.cleared",
    exempt=ALL,
    irrevocable="tasks_left",
)
class QueueCleared(TypedDict):
    """Finished tasks left the queue's listing; their history stays."""

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
    model). ``why`` is ``answered`` when an attempt of the task ``by`` showed that an outage is over; absent when
    someone unblocked them."""

    gate: str
    subject: str
    why: NotRequired[str]
    by: NotRequired[str]


@event("hold.restored", exempt="gate subject", undoable=True)
class HoldRestored(TypedDict):
    """`hold.lifted` was undone: the usage limit (or the ``outage``) of ``subject`` holds again until a time, as
    ``task`` met it, or the issue ``subject`` counts its ``fruitless`` runs again."""

    gate: str
    subject: str
    until: Time | None
    task: str | None
    fruitless: int
    outage: NotRequired[Outage]


@event("counters.corrected", exempt=ALL, irrevocable="counts_recorded")
class CountersCorrected(TypedDict):
    """The counters that the issue took over from its earlier sessions were not those of its history: ``old`` is what
    was counted until now, ``new`` what its history counts. The event's cause is the one that carried the wrong
    counters."""

    old: Counters
    new: Counters
