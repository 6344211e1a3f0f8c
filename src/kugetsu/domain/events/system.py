"""Events of kugetsu itself: log, settings, daemon, notifications, files."""

from __future__ import annotations

from kugetsu.domain.events.declaration import ALL, Identity, TypedDict, event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NotRequired

    from kugetsu.domain.events.declaration import Time


@event("log.created", exempt=ALL, irrevocable="log_begun")
class LogCreated(TypedDict):
    """The first event, with the id of the log."""

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


# A URL with a password was refused as input.
@event("repository.registered", exempt="repository path url host", undoable=True)
class RepositoryRegistered(TypedDict):
    """The source of a repository's worktrees; with neither, the repository is no longer registered. A ``path`` is one
    of ``host``, in a log that several share."""

    repository: str
    path: NotRequired[str | None]
    url: NotRequired[str | None]
    host: NotRequired[str]


@event("setting.changed", exempt="host", observed=True, folded=False, undoable=True)
class SettingChanged(TypedDict):
    """`kugetsu config set` wrote the file. The file stays authoritative; this records who changed it and when.

    ``repository``: it is that one's own value. ``inherited``: before, that had the general value. ``host``: whose file
    it is, in a log that several share.
    """

    key: str
    old: str | None
    new: str
    repository: NotRequired[str]
    inherited: NotRequired[bool]
    host: NotRequired[str]


@event("setting.shared", irrevocable="setting_of_all")
class SettingShared(TypedDict):
    """A setting of all hosts (`model.settings.SHARED`): it is in the log, because two files would mean two values.
    ``old``: None if none was; ``new``: None for none."""

    key: str
    old: str | None
    new: str | None


@event("daemon.started", exempt=ALL, irrevocable="daemon_started")
class DaemonStarted(TypedDict):
    """A dispatcher is running."""

    identity: Identity
    lease: str


@event("daemon.lease_replaced", exempt="host", irrevocable="lease_deleted")
class DaemonLeaseReplaced(TypedDict):
    """The file of the dispatcher's lease ``replaced`` was deleted: the dispatcher continues and holds ``lease``.
    ``host`` here and below: the dispatcher's; older versions, which knew one host, did not record it."""

    replaced: str
    lease: str
    host: NotRequired[str]


@event("daemon.draining", exempt="host", irrevocable="daemon_draining")
class DaemonDraining(TypedDict):
    """The dispatcher starts no new attempts, and stops after the last one."""

    reason: str
    host: NotRequired[str]


@event("daemon.stopped", exempt="host", irrevocable="daemon_ended")
class DaemonStopped(TypedDict):
    """The dispatcher ended in order."""

    reason: str
    host: NotRequired[str]


@event("daemon.lost", exempt="host", irrevocable="daemon_ended")
class DaemonLost(TypedDict):
    """The dispatcher's lease is free although it never recorded that it stopped."""

    identity: Identity | None
    host: NotRequired[str]


@event("notices.read", exempt=ALL, undoable=True)
class NoticesRead(TypedDict):
    """The notifications up to the event ``until`` were read."""

    until: int


@event("notices.unread", exempt=ALL, undoable=True)
class NoticesUnread(TypedDict):
    """A reading was undone: the mark is back at the event ``until``."""

    until: int


@event("sink.enabled", exempt=ALL, irrevocable="settings_followed")
class SinkEnabled(TypedDict):
    """A sink gets the notifications of events after ``upto``; earlier ones are not sent. ``host``: one of a
    shared log that delivers them."""

    sink: str
    upto: int
    host: NotRequired[str]


@event("sink.disabled", exempt=ALL, irrevocable="settings_followed")
class SinkDisabled(TypedDict):
    """A sink was removed from the settings: its open deliveries are dropped, and events until it is enabled again are
    not sent. ``host`` of a shared log: only there, and other hosts that have the sink go on."""

    sink: str
    host: NotRequired[str]


@event("notice.sending", exempt="sink lane delivery host", irrevocable="notification_sent")
class NoticeSending(TypedDict):
    """Intent: deliver the notifications of these events as one message. ``lane`` separates a sink's messages (an issue
    for comments); ``delivery`` is the id by which a receiver recognises a repetition; ``host`` is who delivers, in a
    shared log."""

    sink: str
    lane: str
    seqs: list[int]
    delivery: str
    upto: int
    host: NotRequired[str]


@event("notice.sent", exempt="sink lane delivery", irrevocable="notification_sent")
class NoticeSent(TypedDict):
    """Outcome: delivered."""

    sink: str
    lane: str
    delivery: str
    detail: str


@event("notice.failed", exempt="sink lane delivery", irrevocable="notification_sent")
class NoticeFailed(TypedDict):
    """Outcome: not delivered; retried at ``not_before``, given up if that is None."""

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
    that is gone), checkout (a verification's), run (an attempt's transcript) or lease."""

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
    """One unchanged record of a bash tool's directory: ``source`` is its file, ``kind`` its kind there."""

    source: str
    kind: str
    record: NotRequired[Any]
    digest: NotRequired[str]
    became: NotRequired[str | None]
    reason: NotRequired[str | None]
