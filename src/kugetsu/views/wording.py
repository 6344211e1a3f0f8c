"""The words of events: one line for each kind. Unknown kinds are shown by their data."""

from __future__ import annotations

from collections.abc import Callable

from kugetsu.domain.events import CATALOGUE, MALFORMED, Event, upcast
from kugetsu.domain.events.attempts import (
    AttemptClaimed,
    AttemptContinued,
    AttemptEnded,
    AttemptRunning,
    ClaimLost,
    LockRemoved,
    OrphansEnded,
    Outcome,
    Unfinished,
)
from kugetsu.domain.events.sessions import IssueRead
from kugetsu.domain.events.system import (
    FilesPruned,
    NoticeFailed,
    NoticeSending,
    RecordImported,
    RepositoryRegistered,
    SettingChanged,
)
from kugetsu.domain.events.tasks import (
    CountersCorrected,
    HoldLifted,
    HoldRestored,
    QueueAcknowledged,
    QueueCleared,
    QueuePaused,
    TaskFailed,
    TaskHeld,
    TaskMoved,
    TaskQueued,
    TaskRequeued,
    TaskRetried,
)
from kugetsu.domain.results import uncommitted
from kugetsu.domain.state import ENDS
from kugetsu.model import result_words
from kugetsu.model.plural import counted
from kugetsu.redaction.funnel import redact
from kugetsu.views import gates, host_wording, intake, loops, parks, queue, session_wording, times, verification
from kugetsu.views.results import review_words
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Characters of a message that a row shows; the whole message is in the event.
MESSAGE_LENGTH = 60


def words(event: Event) -> str:
    """One printable line with the content of ``event``, without its envelope."""
    name = event["type"]
    kind = CATALOGUE.get(name)
    if kind is None or event["v"] > kind.version:
        return line(_malformed(event["data"]) if name == MALFORMED else _raw(event["data"]))
    data = upcast(event)["data"]
    if name == "session.destroyed" and event.get("issue") is None:
        data = {**data, "worktree": None}  # the user's own clone, which older logs name
    if name in _TEMPLATES:
        return line(_TEMPLATES[name].format_map(data))
    return line(_UNTIL[name](data, event["at"]) if name in _UNTIL else _TELL[name](data))


def who(by: dict[str, Any]) -> str:
    """Who wrote an event: ``daemon``, ``cli``, another program, or the attempt whose agent ran the command."""
    if by.get("attempt"):
        return line(str(by["attempt"]))
    first, _, rest = str(by.get("cmd", "")).partition(" ")
    if first != "kugetsu":
        return line(first) or "cli"
    return "daemon" if rest.startswith("queue-daemon") else "cli"


def verb(by: dict[str, Any]) -> str:
    """The command that wrote an event, without its arguments: ``kugetsu queue enqueue …``."""
    words = str(by.get("cmd", "")).split()
    kept = 0
    while kept < min(len(words), 3) and words[kept].replace("-", "").isalpha() and words[kept][0] != "-":
        kept += 1
        if kept == 2 and words[1] not in ("queue", "queue-daemon", "config", "log", "notify"):
            break
    return line(" ".join(words[:kept])) + (" …" if len(words) > kept else "")


def quoted(message: str) -> str:
    """The beginning of a message, in quotes."""
    text = line(redact(message)[: 4 * MESSAGE_LENGTH])
    return f'"{text[:MESSAGE_LENGTH]}…"' if len(text) > MESSAGE_LENGTH or len(message) > len(text) + 60 else f'"{text}"'


def _malformed(data: dict[str, Any]) -> str:
    return f"{data['type']} {data['problem']}: {_raw(data['data'])}"


def _raw(data: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}"[:80] for name, value in data.items())[:200]


def reason_words(reason: str) -> str:
    """A reason; kugetsu's own codes in plain words."""
    words_of = {
        "time": "the wait is over",
        "open": "its gate has opened",
        "set_up": "the settings of its set-up have changed",
        "accepted": "what its repository supplies was accepted",
        "retry": "on request",
        "lift": "unblocked",
        "answered": "the outage is over",
        "cancel": "cancelled on request",
        "undo": "undone",
        "pull_merged": "its pull request was merged",
        "pull_closed": "its pull request was closed",
        "issue_closed": "its issue was closed",
        "intake_unlabelled": "the issue's label was removed",
        "intake_closed": "the issue was closed",
        "intake_switched_off": "the repository has no INTAKE_LABEL any more",
        "intake_gone": "its issue asked for no work any more when the run ended",
        "intake_missing": "the forge has the issue no longer",
        "intake_needs_label": "the issue needs the label again",
    }
    return words_of.get(reason, reason)


def _queued(data: TaskQueued) -> str:
    extra = f" priority {data['priority']}" if data["priority"] else ""
    after = f" after {', '.join(data['after'])}" if data["after"] else ""
    own = queue.options_words(data.get("options") or {})
    # The title of a turn that answers feedback says what it is, in kugetsu's own words.
    asked = line(data["title"]) if data.get("reaction") else quoted(data["message"])
    return f"{asked}{extra}{after}{f', {own}' if own else ''}"


def _why(data: TaskHeld | TaskFailed | ClaimLost) -> str:
    """Why a gate holds a task back, or why a task failed."""
    return gates.reason(data["reason"], data.get("values"))


def _held(data: TaskHeld, written: str) -> str:
    return f"{_why(data)}, {_until(data['until'], written)}" if data["until"] else _why(data)


def _until(until: str, written: str) -> str:
    return f"until {times.moment(until, written)}"


def _moved(data: TaskMoved) -> str:
    parts = []
    if data["priority"] != data["was_priority"]:
        parts.append(f"priority {data['was_priority']} → {data['priority']}")
    if data["order"] != data["was_order"]:
        parts.append("forward" if data["order"] < data["was_order"] else "back")
    if "after" in data:
        parts.append(f"after {', '.join(data['after'])}" if data["after"] else "after nothing")
    return ", ".join(parts) or "to its previous place"


def _paused(data: QueuePaused, written: str) -> str:
    until = f", {_until(data['until'], written)}" if data["until"] else ", until it is resumed"
    return f"{data['repository'] or 'all repositories'}{until}"


def _unblocked(data: HoldLifted) -> str:
    if data.get("why") == "answered":
        return f"{data['subject']} works again, as {data.get('by')} showed"
    what = "the usage limit of" if data["gate"] == "provider" else "the count of runs without progress on"
    return f"{what} {data['subject']}"


def _restored(data: HoldRestored, written: str) -> str:
    if data["until"] is not None:
        return f"the usage limit of {data['subject']}, {_until(data['until'], written)}"
    return f"{counted(data['fruitless'], 'run')} without progress on {data['subject']}"


def _corrected(data: CountersCorrected) -> str:
    old, new = data["old"], data["new"]
    changed = [f"{name} {old.get(name, 0)} → {value}" for name, value in new.items() if old.get(name, 0) != value]
    return f"usage of its runs: {', '.join(changed)}"


def _read(data: IssueRead) -> str:
    if data["state"] is None:
        return f"not read: {data['problem']}"
    text = f"{data['state']}, {counted(data['comments'], 'comment')}, {quoted(data['title'] or '')}"
    return f"{text}; not read completely: {data['problem']}" if data["problem"] else text


def _retried(data: TaskRetried) -> str:
    at = times.time_of_day(data["not_before"])
    return f"again from {at}, {data['used']} of {counted(data['max_attempts'], 'attempt')} used"


def _claimed(data: AttemptClaimed) -> str:
    if data["slot"] is None:
        return "the PM session"
    live = ", ".join(data["live"])
    return f"slot {data['slot']}, live {live}" if live else f"slot {data['slot']}"


def _lost(data: ClaimLost) -> str:
    faster = f"{data['to']} was faster" if data["to"] else "another gate closed first"
    return f"not claimed, {faster}: {_why(data)}"


def _running(data: AttemptRunning) -> str:
    return f"{session_wording.short(data['agent_session'])}, pid {data['agent']['pid']}"


def _ended(data: AttemptEnded) -> str:
    parts = [data["reason"]]
    evidence = data["evidence"]
    commits = evidence.get("commits")
    if commits and "commit" not in data["reason"]:
        unknown = ", unknown whether pushed" if "pushed" in evidence else ""
        pushed = {True: ", pushed", False: ", not pushed", None: unknown}[evidence.get("pushed")]
        parts.append(counted(commits, "commit") + pushed)
    pull = evidence.get("pull")
    if pull and "pull request" not in data["reason"]:
        parts.append(f"pull request #{pull.get('number') or '?'} {pull.get('state') or 'of unknown state'}")
    loose = uncommitted(evidence)
    if loose and "uncommitted" not in data["reason"]:
        parts.append(counted(loose, "uncommitted file"))
    if data["tokens"]:
        parts.append(times.tokens(data["tokens"]))
    parts.append(_unfinished(data["outcome"]))
    parts += [note for note in data["outcome"].get("notes") or [] if note not in data["reason"]]
    if data["rescue"]:
        parts.append(f"kept on {data['rescue']}")
    if data.get("rescue_failed"):
        parts.append(f"its work could not be saved: {data['rescue_failed']}")
    return " · ".join(part for part in parts if part)


def _unfinished(outcome: Outcome) -> str:
    """Interrupted model calls, whose exact tokens are unknown."""
    details: Unfinished = outcome.get("details") or {}
    calls, most = details.get("unfinished_calls"), details.get("unfinished_tokens")
    if not calls:
        return ""
    bound = f"at most {times.amount(most)} tokens more" if most is not None else "its tokens are not known"
    return f"{counted(calls, 'model call')} cut off: {bound}"


def _registered(data: RepositoryRegistered) -> str:
    place = data.get("path") or data.get("url")
    return f"{data['repository']} from {place}" if place else f"{data['repository']} is no longer registered"


def _setting(data: SettingChanged) -> str:
    name = f"{data['key']} [{data['repository']}]" if "repository" in data else data["key"]
    return f"{name} {data['old'] or '(default)'} → {data['new']}"


def _orphans(data: OrphansEnded) -> str:
    killed = f", {data['killed']} of them with SIGKILL" if data["killed"] else ""
    return f"ended {counted(data['signalled'], 'process')} that outlived the agent{killed}"


def _continued(data: AttemptContinued) -> str:
    pid, late = data["runner"]["pid"], times.duration(data["overdue_seconds"])
    return f"runner pid {pid} was stopped (SIGSTOP), {late} past the time limit: continued"


def _unlocked(data: LockRemoved) -> str:
    return f"removed {data['path']}, {times.duration(data['age_seconds'])} old: the git that made it is dead"


def _imported(data: RecordImported) -> str:
    became = f" → {data['became']}" if data.get("became") else ""
    why = f": {data['reason']}" if data.get("reason") and not became else ""
    return f"{data['kind']} of the bash tool, {data['source']}{became}{why}"


def _pruned(data: FilesPruned) -> str:
    paths = data["paths"]
    which = paths[0] if len(paths) == 1 else counted(len(paths), "path")
    return f"{data['what']} {which}: {data['reason']}"


def _undelivered(data: NoticeFailed) -> str:
    tries = counted(data["tries"], "try")
    if data["not_before"] is None:
        return f"{data['sink']}: {data['reason']}; given up after {tries}"
    return f"{data['sink']}: {data['reason']}; again at {times.time_of_day(data['not_before'])}"


def _requeued(data: TaskRequeued) -> str:
    how = ", in its old place" if "kept" in data else ", had left the list" if "record" in data else ""
    return f"again, was {data['was']}{how}"


def _cleared(data: QueueCleared) -> str:
    return f"{counted(len(data['tasks']), 'finished task')} left the list"


def _failed(data: QueueAcknowledged) -> str:
    return f"{data['gone']} failed {'task' if data['gone'] == 1 else 'tasks'}"


def _sending(data: NoticeSending) -> str:
    return f"{data['sink']}: {counted(len(data['seqs']), 'notification')}"


#: Kinds whose words are a template of their data.
_TEMPLATES = {
    "log.created": "log {log_id:.12}, kugetsu {kugetsu}",
    "log.repaired": "cut {bytes} bytes of an unfinished write, kept in {kept}",
    "kugetsu.initialised": "kugetsu {kugetsu}, agent {agent}",
    "session.requested": "{kind} session",
    "session.broken": "{reason}",
    "task.completed": "{summary}",
    "task.acknowledged": "its failure, event {failure}, is acknowledged",
    "task.unacknowledged": "its failure, event {failure}, is to be acknowledged again",
    "attempt.starting": "runner pid {runner[pid]}",
    "attempt.unsettled": "ended, not recorded yet: {reason}",
    "daemon.started": "pid {identity[pid]}",
    "daemon.lease_replaced": "lease {replaced:.8}… was deleted; now holds {lease:.8}…",
    "daemon.draining": "{reason}",
    "daemon.stopped": "{reason}",
    "notices.read": "notifications up to event {until}",
    "notices.unread": "notifications after event {until}",
    "sink.enabled": "{sink}: notifications enabled after event {upto}",
    "sink.disabled": "{sink}: notifications disabled",
    "notice.sent": "{sink}: {detail}",
    "branch.merged": "{branch} is in {base_branch}",
    "report.acknowledged": "report up to event {upto}",
    "mark.failed": "labels not changed: {reason}",
}

#: Kinds with a future time, shown with its day unless that is the day of the event.
_UNTIL: dict[str, Callable[[Any, str], str]] = {
    "task.held": _held,
    "task.parked": parks.parked,
    "hold.restored": _restored,
    "queue.paused": _paused,
}

_TELL: dict[str, Callable[[Any], str]] = {
    "repository.registered": _registered,
    "setting.changed": _setting,
    "session.preparing": session_wording.preparing,
    "session.prepared": session_wording.prepared,
    "session.rescued": session_wording.rescued,
    "session.forwarded": loops.forwarded,
    "session.destroying": session_wording.destroying,
    "session.destroyed": session_wording.destroyed,
    "session.pr": session_wording.pull_request,
    "person.attached": lambda data: f"{data['user']} took the session, pid {data['holder']['pid']} on {data['host']}",
    "person.left": lambda data: data["reason"],
    "issue.read": _read,
    "pull.observed": session_wording.observed,
    "pull.opening": session_wording.opening,
    "pull.opened": session_wording.opened,
    "pull.failed": session_wording.not_opened,
    "review.done": lambda data: f"was {review_words(data['was'])}",
    "review.reopened": lambda data: f"{review_words(data['to'])} again",
    "intake.seen": lambda data: intake.seen(data["title"], data["code"], data.get("values") or {}),
    "intake.gone": lambda data: intake.gone(data["code"]),
    "mark.setting": lambda data: intake.labels(data["add"], data["remove"]),
    "mark.set": lambda data: data["label"] or "no label of kugetsu",
    "feedback.seen": lambda data: loops.feedback(data["items"], data["gone"]),
    "reaction.held": lambda data: result_words.held(data["code"], data["values"]),
    "worktree.set_up": verification.set_up,
    "setup.accepted": verification.accepted,
    "base.verified": verification.base,
    "work.verifying": verification.verifying,
    "work.verified": verification.verified,
    "report.due": lambda data: (
        f"report of {data['day']}" if data["eventful"] else f"nothing to report of {data['day']}"
    ),
    "report.unacknowledged": lambda data: f"report up to event {data['was']['upto'] if data['was'] else 0} again",
    "task.queued": _queued,
    "task.moved": _moved,
    "task.edited": lambda data: quoted(data["message"]),
    "queue.resumed": lambda data: data["repository"] or "all repositories",
    "task.retried": _retried,
    "task.resumed": lambda data: reason_words(data["why"]),
    "task.failed": lambda data: _why(data),
    "task.cancelled": lambda data: reason_words(data["reason"]),
    "task.requeued": _requeued,
    "queue.cleared": _cleared,
    "queue.acknowledged": lambda data: f"{_failed(data)} that left the list before",
    "queue.unacknowledged": lambda data: f"{_failed(data)} to be acknowledged again",
    "hold.lifted": _unblocked,
    "counters.corrected": _corrected,
    "attempt.claimed": _claimed,
    "claim.lost": _lost,
    "attempt.running": _running,
    "attempt.stop_requested": lambda data: reason_words(data["reason"]),
    **dict.fromkeys(ENDS, _ended),
    "attempt.continued": _continued,
    "orphans.ended": _orphans,
    "lock.removed": _unlocked,
    "record.imported": _imported,
    "files.pruning": _pruned,
    "files.pruned": _pruned,
    "daemon.lost": host_wording.daemon_lost,
    "host.joined": host_wording.joined,
    "host.draining": host_wording.draining,
    "host.undrained": host_wording.undrained,
    "host.left": host_wording.left,
    "host.lost": host_wording.lost,
    "host.returned": host_wording.returned,
    "setting.shared": host_wording.shared,
    "attempt.late": host_wording.late,
    "notice.sending": _sending,
    "notice.failed": _undelivered,
}
