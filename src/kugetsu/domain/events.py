"""The event catalogue: every kind of event, its version, what its data holds, and how older versions are read.

A kind's data is a TypedDict: what an event of that kind carries beside its envelope (seq, at, type, v, issue, task,
attempt, session, cause, by, facts). Kinds are never removed and never change their meaning; a new shape is a new
version with an upcaster from the one before.

Annotations are evaluated here: `__required_keys__` does not see NotRequired in postponed ones.
"""

from collections.abc import Callable
from typing import Any, NotRequired, TypedDict

from kugetsu.domain.attempt_shapes import (
    AttemptClaimed,
    AttemptContinued,
    AttemptEnded,
    AttemptRunning,
    AttemptStarting,
    AttemptStopRequested,
    AttemptUnsettled,
    ClaimLost,
    LockRemoved,
    OrphansEnded,
)
from kugetsu.domain.attempt_shapes import Identity as Identity
from kugetsu.domain.notification_shapes import (
    NoticeFailed,
    NoticeSending,
    NoticeSent,
    NoticesRead,
    NoticesUnread,
    SinkDisabled,
    SinkEnabled,
)


class LogCreated(TypedDict):
    """The first event: which log this is."""

    log_id: str
    kugetsu: str


class LogRepaired(TypedDict):
    """A torn tail was cut off; its bytes are kept."""

    segment: str
    offset: int
    bytes: int
    kept: str


class Initialised(TypedDict):
    """`kugetsu init` made the directory usable."""

    agent: str
    kugetsu: str


class RepositoryRegistered(TypedDict):
    """Where worktrees of a repository are made from; with neither, it is registered no more."""

    repository: str
    path: NotRequired[str]
    url: NotRequired[str]


class SettingChanged(TypedDict):
    """`kugetsu config set` wrote the file; the file stays the truth, this says who changed it when."""

    key: str
    old: str | None
    new: str


class SessionRequested(TypedDict):
    """A session is wanted. ``carried`` are the counters of the issue's earlier life, read from its history."""

    kind: str
    repository: str | None
    carried: NotRequired[dict[str, Any]]


class SessionPreparing(TypedDict):
    """Intent: the worktree and the agent's session are about to be made.

    ``follows``: the branch is a fresh one after a merged one: its name (``branch``), its pull request (``url``, or
    None), and how many commits it has that came after the merge (``later``, None when nobody knows)."""

    repository: str | None
    source: str | None
    branch: str | None
    agent: str
    follows: NotRequired[dict[str, Any]]


class SessionPrepared(TypedDict):
    """Outcome: worktree and agent session are there. ``notes`` are sentences on what is not as one would expect.

    ``follows``: that of the intent, or of an earlier one that got no outcome."""

    agent: str
    agent_session: str
    worktree: str
    source: str | None
    branch: str | None
    base_branch: str | None
    base_commit: str | None
    base_session: str | None
    created: bool
    fetched: str
    notes: NotRequired[list[str]]
    follows: NotRequired[dict[str, Any]]


class SessionBroken(TypedDict):
    """The session cannot be used as it is; it is prepared anew before the next attempt."""

    reason: str


class SessionRescued(TypedDict):
    """The work of an earlier attempt (``of``), which could not be saved when that ended, is on ``branch`` now; None:
    nothing of it was left."""

    branch: str | None
    of: str


class SessionDestroying(TypedDict):
    """Intent: worktree and agent session are about to be removed."""

    force: bool
    reason: str


class SessionDestroyed(TypedDict):
    """Outcome: what was removed, what was kept where. ``ignored``: files that git ignores or was told to overlook, and
    that a forced removal deleted; no branch has them."""

    worktree: str | None
    branch: str | None
    rescue: str | None
    kept: list[str]
    ignored: NotRequired[list[str]]


class SessionPr(TypedDict):
    """A pull request belongs to the session (none, when ``url`` is None). ``source``: ``said`` with the request for
    work, ``set-pr``, found by the ``branch`` before or after a run, or ``undo``; absent where nobody recorded it."""

    url: str | None
    source: NotRequired[str]


class IssueRead(TypedDict):
    """What the forge said of the issue before a run; ``problem`` is why it could not be read. The texts themselves are
    in the run's prompt: ``digest`` is the SHA-256 of what was read."""

    title: str | None
    state: str | None
    comments: int
    url: str | None
    digest: str | None
    problem: str | None


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
    carried: NotRequired[dict[str, Any]]


class TaskMoved(TypedDict):
    """Someone gave the task another place among those that wait: higher priorities first, then lower orders.
    ``after`` are the tasks that it comes after, when these were changed too."""

    priority: int
    order: int
    was_priority: int
    was_order: int
    after: NotRequired[list[str]]
    was_after: NotRequired[list[str]]


class TaskHeld(TypedDict):
    """The dispatcher considered the task and a gate said no; logged when the gate changes."""

    gate: str
    reason: str
    rests_on: int
    until: str | None


class TaskRetried(TypedDict):
    """An attempt failed and another will be made, not before a time."""

    not_before: str
    used: int
    max_attempts: int
    reason: str


class Outage(TypedDict):
    """What every task would meet: a refused key, a program that cannot be started. It closes the ``gate`` (``provider``
    or ``agent``) ``until`` an attempt tries it again; it was met ``times`` times; ``remedy`` mends it."""

    gate: str
    remedy: str
    times: int
    until: str


class TaskParked(TypedDict):
    """Waits and uses up no attempt. ``gate`` says for what: ``provider``, a usage ``limit`` until a time, or
    ``progress``, runs that changed nothing: until someone lifts it (``until`` and ``limit`` are then None).
    ``again``: what let it go on was undone; it was counted when it was parked before. ``outage``: it met no usage limit
    of ``limit``, but what every task would meet."""

    until: str | None
    stated: bool
    limit: str | None
    reason: str
    gate: str
    again: NotRequired[bool]
    outage: NotRequired[Outage]


class TaskResumed(TypedDict):
    """The wait is over: by time, or because someone lifted it."""

    why: str


class TaskCompleted(TypedDict):
    """The agent finished; evidence stands beside in the attempt's event."""

    summary: str


class TaskFailed(TypedDict):
    """Attempts used up, or a failure that no retry helps."""

    reason: str
    used: int
    max_attempts: int


class TaskCancelled(TypedDict):
    """Taken out of the queue on request."""

    reason: str


class Kept(TypedDict):
    """What a cancelled task had: attempts used, its place in the queue, the time that it waits for."""

    used: int
    order: int
    not_before: str | None


class TaskRequeued(TypedDict):
    """A finished task is wanted again, with all its attempts; or, when its cancellation was undone, as it was: ``kept``
    has the attempts used, its place in the queue, and the time that it waits for."""

    was: str
    kept: NotRequired[Kept]


class HoldLifted(TypedDict):
    """What holds tasks back is lifted: ``gate`` is ``progress`` (``subject`` an issue) or ``provider`` (``subject``
    agent and model). ``why`` is ``answered`` when an attempt of the task ``by`` showed that an outage is over; absent
    when someone lifted it."""

    gate: str
    subject: str
    why: NotRequired[str]
    by: NotRequired[str]


class HoldRestored(TypedDict):
    """A lift was undone: the usage limit (or the ``outage``) of ``subject`` holds again until a time, as ``task`` met
    it, or the issue ``subject`` counts its ``fruitless`` runs again."""

    gate: str
    subject: str
    until: str | None
    task: str | None
    fruitless: int
    outage: NotRequired[Outage]


class CountersCorrected(TypedDict):
    """The counters that the issue took over from its earlier sessions were not those of its history: ``old`` is what
    was counted until now, ``new`` what its history counts; each has the names in `lives.COUNTED`. The event's cause is
    the one that carried the wrong counters."""

    old: dict[str, Any]
    new: dict[str, Any]


class QueueCleared(TypedDict):
    """Finished tasks left the queue's listing; their history stays."""

    tasks: list[str]
    older_than: str | None


class DaemonStarted(TypedDict):
    """A dispatcher runs."""

    identity: Identity
    lease: str


class DaemonLeaseReplaced(TypedDict):
    """Somebody deleted the file of the dispatcher's lease ``replaced``: it lives on, and holds ``lease`` instead."""

    replaced: str
    lease: str


class DaemonDraining(TypedDict):
    """No new attempts; it stops when the last one has ended."""

    reason: str


class DaemonStopped(TypedDict):
    """The dispatcher ended in order."""

    reason: str


class DaemonLost(TypedDict):
    """The dispatcher's lease is free although it never said that it stopped."""

    identity: Identity | None


class FilesPruned(TypedDict):
    """Intent and outcome of `prune`. ``what``: worktree (no session names it), registration (git's record of a worktree
    that is gone), run (an attempt's transcript) or lease."""

    what: str
    paths: list[str]
    reason: str


class RecordImported(TypedDict):
    """One record of a bash tool's directory as it was: ``source`` its file, ``kind`` what it was there."""

    source: str
    kind: str
    record: NotRequired[Any]
    digest: NotRequired[str]
    became: NotRequired[str | None]
    reason: NotRequired[str | None]


Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class Kind:
    """What the catalogue says of one kind of event: its version, its data's shape, its upcasters by old version."""

    __slots__ = ("shape", "upcasters", "version")

    def __init__(self, shape: Any, version: int = 1, upcasters: dict[int, Upcaster] | None = None) -> None:
        self.shape = shape
        self.version = version
        self.upcasters = upcasters or {}


def _parked_by_a_limit(event: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew usage limits only."""
    return {**event, "v": 2, "data": {**event["data"], "gate": "provider"}}


CATALOGUE: dict[str, Kind] = {
    "log.created": Kind(LogCreated),
    "log.repaired": Kind(LogRepaired),
    "kugetsu.initialised": Kind(Initialised),
    "repository.registered": Kind(RepositoryRegistered),
    "setting.changed": Kind(SettingChanged),
    "session.requested": Kind(SessionRequested),
    "session.preparing": Kind(SessionPreparing),
    "session.prepared": Kind(SessionPrepared),
    "session.broken": Kind(SessionBroken),
    "session.rescued": Kind(SessionRescued),
    "session.destroying": Kind(SessionDestroying),
    "session.destroyed": Kind(SessionDestroyed),
    "session.pr": Kind(SessionPr),
    "issue.read": Kind(IssueRead),
    "task.queued": Kind(TaskQueued),
    "task.moved": Kind(TaskMoved),
    "task.held": Kind(TaskHeld),
    "task.retried": Kind(TaskRetried),
    "task.parked": Kind(TaskParked, 2, {1: _parked_by_a_limit}),
    "task.resumed": Kind(TaskResumed),
    "task.completed": Kind(TaskCompleted),
    "task.failed": Kind(TaskFailed),
    "task.cancelled": Kind(TaskCancelled),
    "task.requeued": Kind(TaskRequeued),
    "counters.corrected": Kind(CountersCorrected),
    "queue.cleared": Kind(QueueCleared),
    "hold.lifted": Kind(HoldLifted),
    "hold.restored": Kind(HoldRestored),
    "attempt.claimed": Kind(AttemptClaimed),
    "claim.lost": Kind(ClaimLost),
    "attempt.starting": Kind(AttemptStarting),
    "attempt.running": Kind(AttemptRunning),
    "attempt.stop_requested": Kind(AttemptStopRequested),
    "attempt.succeeded": Kind(AttemptEnded),
    "attempt.failed": Kind(AttemptEnded),
    "attempt.timed_out": Kind(AttemptEnded),
    "attempt.killed": Kind(AttemptEnded),
    "attempt.lost": Kind(AttemptEnded),
    "attempt.unsettled": Kind(AttemptUnsettled),
    "attempt.continued": Kind(AttemptContinued),
    "orphans.ended": Kind(OrphansEnded),
    "lock.removed": Kind(LockRemoved),
    "daemon.started": Kind(DaemonStarted),
    "daemon.lease_replaced": Kind(DaemonLeaseReplaced),
    "daemon.draining": Kind(DaemonDraining),
    "daemon.stopped": Kind(DaemonStopped),
    "daemon.lost": Kind(DaemonLost),
    "notices.read": Kind(NoticesRead),
    "notices.unread": Kind(NoticesUnread),
    "sink.enabled": Kind(SinkEnabled),
    "sink.disabled": Kind(SinkDisabled),
    "notice.sending": Kind(NoticeSending),
    "notice.sent": Kind(NoticeSent),
    "notice.failed": Kind(NoticeFailed),
    "record.imported": Kind(RecordImported),
    "files.pruning": Kind(FilesPruned),
    "files.pruned": Kind(FilesPruned),
}


def missing_keys(type: str, data: dict[str, Any]) -> list[str]:
    """The required keys of the kind's shape that ``data`` lacks; raises KeyError for a kind that is not known."""
    required: frozenset[str] = CATALOGUE[type].shape.__required_keys__
    return sorted(required - data.keys())


def upcast(event: dict[str, Any]) -> dict[str, Any]:
    """``event`` in its kind's present version; an event of a later version than is known comes back as it is."""
    kind = CATALOGUE.get(event["type"])
    if kind is None:
        return event
    while event["v"] < kind.version:
        event = kind.upcasters[event["v"]](event)
    return event
