"""What happened, in words: one line for each kind of event. Kinds that are not known are shown by their data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kugetsu.domain.events import MALFORMED
from kugetsu.domain.fold.usage import uncommitted
from kugetsu.redaction.funnel import redact
from kugetsu.views import times
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    Data = dict[str, Any]

#: Kinds that name a moment to come: its day is said where it is not the day on which that was written.
_WITH_UNTIL = frozenset({"task.held", "task.parked", "hold.restored"})

#: Characters of a message that a row shows; the whole message is in the event.
MESSAGE_LENGTH = 60


def words(event: dict[str, Any]) -> str:
    """One harmless line that says what ``event`` says, without its envelope."""
    tell = _TELL.get(event["type"])
    try:
        said = tell(_meant(event)) if tell is not None else _raw(event["data"])
    except (KeyError, TypeError, AttributeError):  # an event of another version, or one that was damaged
        said = _raw(event["data"])
    return line(said)


def _meant(event: dict[str, Any]) -> Data:
    """The data of an event. Only an issue's session has a worktree to lose: older logs name the user's clone too."""
    data: Data = event["data"]
    if event["type"] == "session.destroyed" and event.get("issue") is None:
        return {**data, "worktree": None}
    if event["type"] in _WITH_UNTIL:
        return {**data, "written": event["at"]}
    return data


def who(by: dict[str, Any]) -> str:
    """``daemon``, ``runner`` or ``cli``: which process of kugetsu wrote an event; the attempt whose agent typed it."""
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
    """A message's beginning in quotes."""
    said = line(redact(message)[: 4 * MESSAGE_LENGTH])
    return f'"{said[:MESSAGE_LENGTH]}…"' if len(said) > MESSAGE_LENGTH or len(message) > len(said) + 60 else f'"{said}"'


def _raw(data: Any) -> str:
    if not isinstance(data, dict):
        return str(data)[:200]
    return ", ".join(f"{name} {value}"[:80] for name, value in data.items())[:200]


def _short(session: str | None) -> str:
    """An agent's session id at a length that a row can show."""
    if not session:
        return ""
    return session if len(session) <= 14 else session[:12] + "…"


def _said(reason: str) -> str:
    """The reasons that are words of the program, in people's words."""
    known = {
        "time": "its time has come",
        "open": "what held it is gone",
        "retry": "on request",
        "lift": "what held it was lifted",
        "answered": "what held it works again",
        "cancel": "cancelled on request",
        "undo": "undone",
    }
    return known.get(reason, reason)


def _queued(data: Data) -> str:
    extra = f" priority {data['priority']}" if data["priority"] else ""
    after = f" after {', '.join(data['after'])}" if data["after"] else ""
    return f"{quoted(data['message'])}{extra}{after}"


def _held(data: Data) -> str:
    return f"{data['reason']}, {_until(data)}" if data["until"] else str(data["reason"])


def _until(data: Data) -> str:
    return f"until {times.moment(data['until'], data['written'])}"


def _moved(data: Data) -> str:
    said = []
    if data["priority"] != data["was_priority"]:
        said.append(f"priority {data['was_priority']} → {data['priority']}")
    if data["order"] != data["was_order"]:
        said.append("forward" if data["order"] < data["was_order"] else "back")
    if "after" in data:
        said.append(f"after {', '.join(data['after'])}" if data["after"] else "after nothing")
    return ", ".join(said)


def _lifted(data: Data) -> str:
    if data.get("why") == "answered":
        return f"{data['subject']} works again: {data['by']} got further"
    what = "the usage limit of" if data["gate"] == "provider" else "the count of fruitless runs on"
    return f"{what} {data['subject']}"


def _restored(data: Data) -> str:
    if data["gate"] == "provider":
        return f"the usage limit of {data['subject']}, {_until(data)}"
    return f"{times.counted(data['fruitless'], 'fruitless run')} on {data['subject']}"


def _corrected(data: Data) -> str:
    old, new = data["old"], data["new"]
    changed = [f"{name} {old.get(name, 0)} → {value}" for name, value in new.items() if old.get(name, 0) != value]
    return f"what its runs used: {', '.join(changed)}"


def _read(data: Data) -> str:
    if data["state"] is None:
        return f"not read: {data['problem']}"
    said = f"{data['state']}, {times.counted(data['comments'], 'comment')}, {quoted(data['title'] or '')}"
    return f"{said}; not read in whole: {data['problem']}" if data["problem"] else said


def _retried(data: Data) -> str:
    at = times.time_of_day(data["not_before"])
    return f"again from {at}, {data['used']} of {data['max_attempts']} attempts used"


def _parked(data: Data) -> str:
    if data["until"] is None:
        return f"{data['reason']}; until someone lifts it"
    if data.get("again"):
        return f"{_until(data)}, as before"
    if "outage" in data:
        tries = times.counted(data["outage"]["times"], "try")
        at = times.time_of_day(data["outage"]["until"])
        return f"every task would meet it; gate {data['outage']['gate']} closed, tried again at {at} ({tries} so far)"
    said = "" if data["stated"] else " (no reset time known)"
    return f"{_until(data)}{said}, not counted as a failure"


def _claimed(data: Data) -> str:
    if data["slot"] is None:
        return "the PM session"
    live = ", ".join(data["live"])
    return f"slot {data['slot']}, live {live}" if live else f"slot {data['slot']}"


def _lost(data: Data) -> str:
    faster = f"{data['to']} was faster" if data["to"] else "the way was closed meanwhile"
    return f"not claimed, {faster}: {data['reason']}"


def _running(data: Data) -> str:
    return f"{_short(data['agent_session'])}, pid {data['agent'].get('pid', '?')}"


def _ended(data: Data) -> str:
    said = [data["reason"]]
    evidence = data["evidence"]
    if evidence.get("commits") and "commit" not in data["reason"]:
        unknown = ", unknown whether pushed" if "pushed" in evidence else ""
        pushed = {True: ", pushed", False: ", not pushed"}.get(evidence.get("pushed"), unknown)
        said.append(times.counted(evidence["commits"], "commit") + pushed)
    pull = evidence.get("pull")
    if pull and "pull request" not in data["reason"]:
        said.append(f"pull request #{pull['number']} {pull['state']}")
    loose = uncommitted(evidence)
    if loose and "uncommitted" not in data["reason"]:
        said.append(times.counted(loose, "uncommitted file"))
    if data["tokens"]:
        said.append(f"{times.amount(data['tokens'])} tokens")
    said.append(_unfinished(data["outcome"]))
    said += [note for note in data["outcome"].get("notes") or [] if note not in data["reason"]]
    if data["rescue"]:
        said.append(f"kept on {data['rescue']}")
    if data.get("rescue_failed"):
        said.append(f"its work could not be saved: {data['rescue_failed']}")
    return " · ".join(part for part in said if part)


def _unfinished(outcome: Data) -> str:
    """What nobody can know of the tokens: calls that were cut off."""
    details = outcome.get("details") or {}
    calls, most = details.get("unfinished_calls"), details.get("unfinished_tokens")
    if not calls:
        return ""
    bound = f"at most {times.amount(most)} tokens more" if most is not None else "its tokens are not known"
    return f"{times.counted(calls, 'model call')} cut off: {bound}"


def _prepared(data: Data) -> str:
    made = "made" if data["created"] else "found"
    branch = f", branch {data['branch']}" if data["branch"] else ""
    base = f" from {data['base_branch']}" if data["base_branch"] else ""
    notes = "".join(f"; {note}" for note in data.get("notes") or [])
    if data.get("follows"):
        notes += f"; a fresh branch, because {data['follows']['branch']} is merged"
    return f"{made} {_short(data['agent_session'])}{branch}{base}{notes}"


def _preparing(data: Data) -> str:
    branch = f", branch {data['branch']}" if data["branch"] else ""
    return f"worktree and {data['agent']} session{branch}"


def _destroyed(data: Data) -> str:
    said = ["removed worktree" if data["worktree"] else "there was no worktree to remove"]
    if data["rescue"]:
        said.append(f"work kept on {data['rescue']}")
    said += [f"kept {what}" for what in data["kept"]]
    if data.get("ignored"):
        said.append(f"deleted ignored files: {', '.join(str(name) for name in data['ignored'])}")
    return ", ".join(said)


def _registered(data: Data) -> str:
    place = data.get("path") or data.get("url")
    return f"{data['repository']} from {place}" if place else f"{data['repository']} no more"


def _setting(data: Data) -> str:
    return f"{data['key']} {data['old'] if data['old'] not in (None, '') else '(default)'} → {data['new']}"


def _orphans(data: Data) -> str:
    killed = f", {data['killed']} of them with SIGKILL" if data["killed"] else ""
    return f"ended {times.counted(data['signalled'], 'process')} that outlived the agent{killed}"


def _continued(data: Data) -> str:
    pid, late = data["runner"].get("pid", "?"), times.duration(data["overdue_seconds"])
    return f"runner pid {pid} was stopped (SIGSTOP), {late} past the time limit: continued"


def _unlocked(data: Data) -> str:
    return f"removed {data['path']}, {times.duration(data['age_seconds'])} old: the git that made it is dead"


def _imported(data: Data) -> str:
    became = f" → {data['became']}" if data.get("became") else ""
    why = f": {data['reason']}" if data.get("reason") and not became else ""
    return f"{data['kind']} of the bash tool, {data['source']}{became}{why}"


def _pruned(data: Data) -> str:
    paths = data["paths"]
    which = paths[0] if len(paths) == 1 else times.counted(len(paths), "path")
    return f"{data['what']} {which}: {data['reason']}"


def _undelivered(data: Data) -> str:
    tries = times.counted(data["tries"], "try")
    if data["not_before"] is None:
        return f"{data['sink']}: {data['reason']}; given up after {tries}"
    return f"{data['sink']}: {data['reason']}; again at {times.time_of_day(data['not_before'])}"


_TELL: dict[str, Callable[[Data], str]] = {
    "log.created": lambda data: f"log {data['log_id'][:12]}, kugetsu {data['kugetsu']}",
    "log.repaired": lambda data: f"cut {data['bytes']} bytes of an unfinished write, kept in {data['kept']}",
    "kugetsu.initialised": lambda data: f"kugetsu {data['kugetsu']}, agent {data['agent']}",
    "repository.registered": _registered,
    "setting.changed": _setting,
    "session.requested": lambda data: f"{data['kind']} session wanted",
    "session.preparing": _preparing,
    "session.prepared": _prepared,
    "session.broken": lambda data: data["reason"],
    "session.rescued": lambda data: f"work of {data['of']} {'kept on ' + data['branch'] if data['branch'] else 'gone'}",
    "session.destroying": lambda data: f"{data['reason']}{', forced' if data['force'] else ''}",
    "session.destroyed": _destroyed,
    "session.pr": lambda data: data["url"] or "no pull request",
    "task.queued": _queued,
    "issue.read": _read,
    "task.moved": _moved,
    "task.held": _held,
    "task.retried": _retried,
    "task.parked": _parked,
    "task.resumed": lambda data: _said(data["why"]),
    "task.completed": lambda data: data["summary"],
    "task.failed": lambda data: data["reason"],
    "task.cancelled": lambda data: _said(data["reason"]),
    "task.requeued": lambda data: f"again, was {data['was']}{', in its old place' if 'kept' in data else ''}",
    "queue.cleared": lambda data: f"{times.counted(len(data['tasks']), 'finished task')} left the list",
    "hold.lifted": _lifted,
    "hold.restored": _restored,
    "counters.corrected": _corrected,
    "attempt.claimed": _claimed,
    "claim.lost": _lost,
    "attempt.starting": lambda data: f"runner pid {data['runner'].get('pid', '?')}",
    "attempt.running": _running,
    "attempt.stop_requested": lambda data: _said(data["reason"]),
    "attempt.succeeded": _ended,
    "attempt.failed": _ended,
    "attempt.timed_out": _ended,
    "attempt.killed": _ended,
    "attempt.lost": _ended,
    "attempt.unsettled": lambda data: f"ended, not recorded yet: {data['reason']}",
    "attempt.continued": _continued,
    "orphans.ended": _orphans,
    "lock.removed": _unlocked,
    "record.imported": _imported,
    "files.pruning": _pruned,
    "files.pruned": _pruned,
    "daemon.started": lambda data: f"pid {data['identity'].get('pid', '?')}",
    "daemon.lease_replaced": lambda data: f"somebody deleted {data['replaced'][:8]}…: it holds {data['lease'][:8]}…",
    "daemon.draining": lambda data: data["reason"],
    "daemon.stopped": lambda data: data["reason"],
    "notices.read": lambda data: f"notifications up to event {data['until']}",
    "notices.unread": lambda data: f"notifications after event {data['until']}",
    "sink.enabled": lambda data: f"{data['sink']}: notified of what comes after event {data['upto']}",
    "sink.disabled": lambda data: f"{data['sink']}: notified no more",
    "notice.sending": lambda data: f"{data['sink']}: {times.counted(len(data['seqs']), 'notification')}",
    "notice.sent": lambda data: f"{data['sink']}: {data['detail']}",
    "notice.failed": _undelivered,
    MALFORMED: lambda data: f"{data['type']} {data['problem']}: {_raw(data['data'])}",
    "daemon.lost": lambda data: f"pid {(data['identity'] or {}).get('pid', '?')} ended without a word",
}
