"""Why an event cannot be undone, and what to do instead: one answer for every kind that `undo` has none for."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from kugetsu.model.errors import Conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    Event = dict[str, Any]

_AGENT = (
    "what an agent did stays done",
    "its work is in git: kugetsu history {attempt}; again: kugetsu queue retry {task}",
)
_LIVE = "an agent was started for it", "kugetsu queue cancel {task} stops it"
_OVER = "an agent was started for it, and has ended", "what came of it: kugetsu history {attempt}"
_WAITS = "it only says why the task waited", "kugetsu why {task}"
_SENT = "what was sent cannot be taken back", "kugetsu notify sinks"
_GONE = "what was removed from the disk is gone", None
_RECORD = "it is a record of what happened", None
_LOG = "the log begins with it", None

#: kind → why it cannot be undone, and what to do instead.
REASONS: dict[str, tuple[str, str | None]] = {
    "log.created": _LOG,
    "log.repaired": ("what was cut off was no whole event", "its bytes are kept: kugetsu history --all tells where"),
    "kugetsu.initialised": ("the directory is set up", "to begin anew: move KUGETSU_DIR away, and kugetsu init"),
    "session.requested": ("it made nothing yet but a name", "kugetsu destroy {session}"),
    "session.preparing": ("it made a worktree and a session of the agent", "kugetsu destroy {session}"),
    "session.prepared": ("it made a worktree and a session of the agent", "kugetsu destroy {session}"),
    "session.broken": ("it says what was found", "it is prepared anew before the next attempt"),
    "session.rescued": ("it only saved work", "to see where: kugetsu history {session}"),
    "session.destroying": ("it was the beginning of a removal", "kugetsu history {session}"),
    "session.destroyed": ("its worktree is gone", "kugetsu continue {session} MESSAGE makes a new one"),
    "session.pr": ("it changed nothing: the session had that pull request", None),
    "issue.read": ("it says what the forge answered", "the issue is read again before the next run"),
    "task.held": _WAITS,
    "task.retried": _WAITS,
    "task.parked": ("an agent met what it says", "to let the task go on now: kugetsu queue retry {task}"),
    "task.resumed": (
        "no wait of the past comes back by itself",
        "to keep the task from starting: kugetsu queue cancel {task}",
    ),
    "task.completed": ("an agent has done it", "kugetsu queue retry {task} runs it again"),
    "task.failed": ("it says how its attempts ended", "kugetsu queue retry {task} gives it new ones"),
    "task.cancelled": ("its agent was stopped with it", "kugetsu queue retry {task} queues it again"),
    "task.requeued": (
        "it was finished, and what it was then is history",
        "to take it out of the queue again: kugetsu queue cancel {task}",
    ),
    "counters.corrected": ("it says what the history of the issue counts", None),
    "hold.lifted": ("an agent found that it works again", "to keep a task from starting: kugetsu queue cancel ID"),
    "queue.cleared": (
        "the tasks have left the list for good, their history stays",
        "one that is wanted again: kugetsu history ID has its message, kugetsu queue enqueue takes it",
    ),
    "claim.lost": ("it changed nothing", None),
    "attempt.claimed": _LIVE,
    "attempt.starting": _LIVE,
    "attempt.running": _LIVE,
    "attempt.stop_requested": ("the agent was told to stop", "kugetsu queue retry {task} runs it again"),
    "attempt.succeeded": _AGENT,
    "attempt.failed": _AGENT,
    "attempt.timed_out": _AGENT,
    "attempt.killed": _AGENT,
    "attempt.lost": _AGENT,
    "attempt.unsettled": ("it says what somebody saw", None),
    "attempt.continued": ("a process goes on", "kugetsu queue cancel {task} ends it"),
    "lock.removed": ("a lock file of a git that is dead does not come back", None),
    "orphans.ended": ("processes that were ended do not come back", None),
    "daemon.started": ("a process was started", "kugetsu queue-daemon stop"),
    "daemon.lease_replaced": ("the lease before it was deleted", None),
    "daemon.draining": ("the daemon ends when its agents have", "then: kugetsu queue-daemon start"),
    "daemon.stopped": ("a process has ended", "kugetsu queue-daemon start"),
    "daemon.lost": ("a process has ended", "kugetsu queue-daemon start"),
    "sink.enabled": ("it follows from the settings", "kugetsu config set NOTIFY_SINKS …"),
    "sink.disabled": ("it follows from the settings", "kugetsu config set NOTIFY_SINKS …"),
    "notice.sending": _SENT,
    "notice.sent": _SENT,
    "notice.failed": _SENT,
    "record.imported": ("it is a copy of a record of the bash tool", None),
    "files.pruning": _GONE,
    "files.pruned": _GONE,
}


def refused(event: Event, live: Container[str] = ()) -> Conflict:
    """The error that tells why ``event`` cannot be undone; ``live``: the attempts that are live now."""
    why, instead = REASONS.get(event["type"], _RECORD)
    if (why, instead) == _LIVE and event.get("attempt") not in live:
        why, instead = _OVER
    names = {name: event.get(name) or "" for name in ("task", "attempt", "session")}
    hint = instead.format(**names) if instead is not None else None
    if event["type"] == "task.resumed" and event["data"].get("why") == "lift" and event.get("cause"):
        hint = f"it came with a lift, which can be undone: kugetsu undo {event['cause']}"
    return Conflict(f"event {event['seq']} ({event['type']}) cannot be undone: {why}", hint=hint)
