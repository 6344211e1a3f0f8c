"""Events of the log, the settings, the daemon, the notifications, the files: of kugetsu itself."""

from __future__ import annotations

from kugetsu.domain.events.declaration import ALL, Identity, TypedDict, event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NotRequired

    from kugetsu.domain.events.declaration import Time


@event("log.created", exempt=ALL, irrevocable="log_begun")
class LogCreated(TypedDict):
    """The first event: which log this is."""

    log_id: str
    kugetsu: str


@event(
    "log.repaired",
    exempt=ALL,
    observed=True,
    folded=False,
    irrevocable="bytes_incomplete",
)
class LogRepaired(TypedDict):
    """A torn tail was cut off; its bytes are kept."""

    segment: str
    offset: int
    bytes: int
    kept: str


@event(
    "kugetsu.initialised",
    exempt=ALL,
    irrevocable="set_up",
)
class Initialised(TypedDict):
    """`kugetsu init` made the directory usable."""

    agent: str
    kugetsu: str


# A URL with a password was refused when it was given.
@event("repository.registered", exempt="repository path url", undoable=True)
class RepositoryRegistered(TypedDict):
    """Where worktrees of a repository are made from; with neither, it is no longer registered."""

    repository: str
    path: NotRequired[str | None]
    url: NotRequired[str | None]


@event("setting.changed", observed=True, folded=False, undoable=True)
class SettingChanged(TypedDict):
    """`kugetsu config set` wrote the file; the file stays the truth, this says who changed it when."""

    key: str
    old: str | None
    new: str


@event("daemon.started", exempt=ALL, irrevocable="daemon_started")
class DaemonStarted(TypedDict):
    """A dispatcher runs."""

    identity: Identity
    lease: str


@event("daemon.lease_replaced", irrevocable="lease_deleted")
class DaemonLeaseReplaced(TypedDict):
    """Somebody deleted the file of the dispatcher's lease ``replaced``: it lives on, and holds ``lease`` instead."""

    replaced: str
    lease: str


@event(
    "daemon.draining",
    irrevocable="daemon_draining",
)
class DaemonDraining(TypedDict):
    """No new attempts; it stops when the last one has ended."""

    reason: str


@event("daemon.stopped", irrevocable="daemon_ended")
class DaemonStopped(TypedDict):
    """The dispatcher ended in order."""

    reason: str


@event("daemon.lost", irrevocable="daemon_ended")
class DaemonLost(TypedDict):
    """The dispatcher's lease is free although it never recorded that it stopped."""

    identity: Identity | None


@event("notices.read", exempt=ALL, undoable=True)
class NoticesRead(TypedDict):
    """Someone has read the notifications up to the event ``until``."""

    until: int


@event("notices.unread", exempt=ALL, undoable=True)
class NoticesUnread(TypedDict):
    """A reading was undone: the mark is back at the event ``until``."""

    until: int


@event("sink.enabled", exempt=ALL, irrevocable="settings_followed")
class SinkEnabled(TypedDict):
    """A sink gets the notifications of events after ``upto``: what happened before is not sent."""

    sink: str
    upto: int


@event("sink.disabled", exempt=ALL, irrevocable="settings_followed")
class SinkDisabled(TypedDict):
    """A sink was taken out of the settings: its open deliveries are dropped, and what happens until it is enabled
    again is not sent."""

    sink: str


@event("notice.sending", exempt="sink lane delivery", irrevocable="notification_sent")
class NoticeSending(TypedDict):
    """Intent: the notifications of these events are about to be delivered, as one message. ``lane`` parts a sink's
    messages (an issue for comments); ``delivery`` is the id by which a receiver knows a repetition."""

    sink: str
    lane: str
    seqs: list[int]
    delivery: str
    upto: int


@event("notice.sent", exempt="sink lane delivery", irrevocable="notification_sent")
class NoticeSent(TypedDict):
    """Outcome: delivered."""

    sink: str
    lane: str
    delivery: str
    detail: str


@event("notice.failed", exempt="sink lane delivery", irrevocable="notification_sent")
class NoticeFailed(TypedDict):
    """Outcome: not delivered; tried again at ``not_before``, given up when that is None."""

    sink: str
    lane: str
    delivery: str
    tries: int
    not_before: Time | None
    reason: str


@event(
    "files.pruning",
    "files.pruned",
    exempt="paths",
    observed=True,
    folded=False,
    irrevocable="files_removed",
)
class FilesPruned(TypedDict):
    """Intent and outcome of `prune`. ``what``: worktree (no session names it), registration (git's record of a worktree
    that is gone), run (an attempt's transcript) or lease."""

    what: str
    paths: list[str]
    reason: str


@event(
    "record.imported",
    observed=True,
    folded=False,
    irrevocable="record_copied",
)
class RecordImported(TypedDict):
    """One record of a bash tool's directory as it was: ``source`` its file, ``kind`` what it was there."""

    source: str
    kind: str
    record: NotRequired[Any]
    digest: NotRequired[str]
    became: NotRequired[str | None]
    reason: NotRequired[str | None]
