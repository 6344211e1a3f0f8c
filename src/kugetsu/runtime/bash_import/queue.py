"""The old queues: `queue/items/` (one file per task) and its predecessor `queue.json` (three lists by priority)."""

from __future__ import annotations

from typing import Any

from kugetsu.model import clock
from kugetsu.model.errors import BadInput
from kugetsu.runtime.bash_import.model import PlanBuilder, Record, TakeTask
from kugetsu.runtime.bash_import.reading import OldDirectory
from kugetsu.runtime.bash_import.sessions import OldSessions

PRIORITIES = {"dev_followups": 20, "user_interrupts": 10, "background": 0}
"""The lists of `queue.json`, the most urgent first, and their tasks' priority."""

LONGEST = 1 << 20
"""Bytes of a message, as for every message to kugetsu."""

_ITEMS = "queue/items"
_LISTS = "queue.json"


def plan(old: OldDirectory, builder: PlanBuilder, sessions: OldSessions, daemon: int | None) -> None:
    """Plan the tasks in queue order. `daemon` is the pid of the bash tool's daemon, if it is running."""
    ids: set[str] = set()
    waiting: list[tuple[tuple[float, int, str], str, dict[str, Any]]] = []
    for _, source, value in builder.files(old, _ITEMS, "task", ".json"):
        record = Record(source, "task", value, _issue(sessions, value))
        if not isinstance(value, dict):
            builder.unclear(record, "it is not an object")
        elif value.get("state") not in ("pending", "notified"):
            state = value.get("state")
            known = state in ("completed", "error")
            text = f"it is {state}: history" if known else f"its state {str(state)[:60]!r} does not wait"
            builder.kept(record, text)
            _remember(ids, value)
        else:
            waiting.append((_place(value, source), source, value))
    for _, source, value in sorted(waiting, key=lambda entry: entry[0]):
        _plan_task(builder, sessions, daemon, ids, source, value)
    _plan_lists(old, builder, sessions, daemon, ids)


def _plan_task(
    builder: PlanBuilder, sessions: OldSessions, daemon: int | None, ids: set[str], source: str, value: dict[str, Any]
) -> None:
    record = Record(source, "task", value, _issue(sessions, value))
    before = builder.known.of_source.get(source)
    if before is not None and builder.known.became.get(record.digest) is None:
        builder.kept(record, f"an earlier import made {before} of it; it has changed since")
        _remember(ids, value)
        return
    notes: list[str] = []
    if value.get("state") == "notified":
        pid = _agent_of(sessions, value)
        if pid is not None:
            builder.held(record, f"its agent is still running (pid {pid}): wait or stop it, then import again")
            return
        notes.append("it was started, and its agent is no longer running: queued again")
        if _pids(value) == []:
            notes.append("its agent's pid is not recorded: check that no opencode still works on it")
    _plan_waiting(builder, sessions, daemon, ids, record, notes, 0)


def _plan_waiting(
    builder: PlanBuilder,
    sessions: OldSessions,
    daemon: int | None,
    ids: set[str],
    record: Record,
    notes: list[str],
    priority: int,
) -> None:
    value = record.value
    if not _remember(ids, value):
        builder.unclear(record, f"another task has the id {value['id'][:60]} too")
        return
    try:
        issue = str(sessions.naming.issue(value.get("issue_ref")))
        message = builder.funnel.usable(_message(value.get("message")))
    except BadInput as problem:
        builder.unclear(record, problem.message)
        return
    pid = sessions.busy.get(issue)
    if pid is not None:
        builder.held(record, f"an agent is still working on {issue} (pid {pid}): wait or stop it, then import again")
        return
    if daemon is not None:
        builder.held(record, f"the bash tool's daemon is still running (pid {daemon}): stop it, then import again")
        return
    if message != value["message"]:
        notes.append("a secret was removed from its message: agents get secrets from env/default.env")
    notes += sessions.naming.note(value.get("issue_ref"))
    builder.taken(record, TakeTask(issue, message, priority), f"task for {issue}", notes)


def _plan_lists(
    old: OldDirectory, builder: PlanBuilder, sessions: OldSessions, daemon: int | None, ids: set[str]
) -> None:
    value = builder.json(old, _LISTS, "task", dict, "it is not an object with the three lists") or {}
    for name in [*PRIORITIES, *(name for name in value if name not in PRIORITIES)]:
        entries = value.get(name)
        if name not in PRIORITIES:
            builder.kept(Record(_LISTS, "other", {name: entries}), f"{name[:60]!r} is not one of its three lists")
        elif isinstance(entries, list):
            for entry in entries:
                _plan_listed(builder, sessions, daemon, ids, name, entry)
        elif entries is not None:
            builder.unclear(Record(_LISTS, "task", {name: entries}), f"{name} is not a list")


def _plan_listed(
    builder: PlanBuilder, sessions: OldSessions, daemon: int | None, ids: set[str], name: str, entry: Any
) -> None:
    record = Record(f"{_LISTS} ({name})", "task", entry, _issue(sessions, entry))
    if not isinstance(entry, dict) or "issue_ref" not in entry or "message" not in entry:
        builder.unclear(record, "it has no issue_ref and message")
    elif entry.get("state", "pending") != "pending":
        builder.kept(record, f"its state {str(entry['state'])[:60]!r} does not wait")
    else:
        _plan_waiting(builder, sessions, daemon, ids, record, [], PRIORITIES[name])


def _issue(sessions: OldSessions, value: Any) -> str | None:
    return sessions.naming.issue_or_none(value.get("issue_ref")) if isinstance(value, dict) else None


def _remember(ids: set[str], value: dict[str, Any]) -> bool:
    """Record a task's id; False if another task had it."""
    id = value.get("id")
    if not isinstance(id, str) or not id:
        return True
    new = id not in ids
    ids.add(id)
    return new


def _pids(value: dict[str, Any]) -> list[object]:
    return [value[name] for name in ("pid", "fork_pid") if value.get(name) not in (None, "", 0)]


def _agent_of(sessions: OldSessions, value: dict[str, Any]) -> int | None:
    """The pid of the agent still working on a task."""
    for pid in _pids(value):
        number = int(pid) if isinstance(pid, str) and pid.isascii() and pid.isdigit() and len(pid) < 10 else pid
        if isinstance(number, int) and sessions.agents.works(number):
            return number
    agent_session = value.get("opencode_session_id")
    if isinstance(agent_session, str) and agent_session in sessions.locked:
        return sessions.locked[agent_session]
    issue = _issue(sessions, value)
    return sessions.busy.get(issue) if issue is not None else None


def _message(value: object) -> str:
    """A task's message. Raises BadInput if no agent can be given it."""
    if not isinstance(value, str) or not value.strip():
        raise BadInput("it has no message")
    if "\0" in value:
        raise BadInput("its message contains a NUL character")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise BadInput("its message is not Unicode text") from None
    if size > LONGEST:
        raise BadInput(f"its message is over {LONGEST} bytes long")
    return value


def _place(value: dict[str, Any], source: str) -> tuple[float, int, str]:
    """A task's place in the queue: by waiting time, then by its id's number."""
    id = value.get("id")
    digits = id.removeprefix("q_") if isinstance(id, str) else ""
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 30 else 0
    return _seconds(value.get("pending_since")), number, source


def _seconds(time: object) -> float:
    """A time of the old files, text or number, in seconds since 1970; infinity if it is neither."""
    if isinstance(time, int | float) and not isinstance(time, bool):
        return float(time)
    if isinstance(time, str):
        if time.isascii() and time.replace(".", "", 1).isdigit() and len(time) < 20:
            return float(time)
        try:
            return clock.parse(time) / 1e6
        except BadInput:
            return float("inf")
    return float("inf")
