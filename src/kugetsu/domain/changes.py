"""The changes between two points of the log: record by record, field by field, each with the latest event behind it.

The state of the first point is folded on to the second, and after each event the records that it can change are
compared with their earlier values. So memory does not grow with the events between: records that came and went are
dropped again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any

from kugetsu.domain.events import Event
from kugetsu.domain.fold import fold
from kugetsu.domain.state import ENDS, EVERYTHING, State
from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    Key = tuple[str, str]
    Values = tuple[Any, ...]

#: The compared fields by kind of record: the most important first, counters last.
FIELDS: dict[str, tuple[str, ...]] = {
    "task": (
        *("state", "not_before", "reason", "attempt", "title", "priority", "order", "after", "held", "parked_for"),
        *("result", "acknowledged", "made", "used", "retries", "parks", "tokens", "cost"),
    ),
    "attempt": ("state", "slot", "stop", "agent_session"),
    "session": (
        *("state", "reason", "attempt", "branch", "base_branch", "worktree", "agent_session", "pr", "pr_state"),
        *("result", "review", "set_up"),
        *("title", "pushed", "commits", "dirty", "comments", "fruitless", "attempts", "parks", "tokens", "cost"),
    ),
    "label": ("intake",),
    "loop": ("brake", "turns", "unanswered"),
    "mark": ("shown",),
    "daemon": ("state", "pid"),
    "slot": ("attempt",),
    "limit": ("until", "task"),
    "pause": ("since", "until"),
    "repository": ("path", "url"),
    "setting": ("value",),
    "notices": ("read",),
    "sink": ("upto", "open", "last", "hosts"),
    "kugetsu": ("initialised", "log"),
    "log": ("refused",),
}
_COUNTERS = {name: f"usage.{name}" for name in ("attempts", "retries", "parks", "tokens", "cost")}
#: The attributes of compared fields that have another name.
_PATHS: dict[str, dict[str, str]] = {
    "task": {**_COUNTERS, "made": "usage.attempts", "reason": "why", "result": "result_kind"},
    "attempt": {},
    "session": {
        **_COUNTERS,
        "fruitless": "usage.no_progress_runs",
        "result": "result_kind",
        "set_up": "set_up_code",
    },
}
_READERS = {kind: attrgetter(*(paths.get(name, name) for name in FIELDS[kind])) for kind, paths in _PATHS.items()}
#: Records of the state that an issue on the forge has, beside its session.
_OF_ISSUES = {"label": "intake", "loop": "loops", "mark": "marks"}
_PLACES = {"task": "tasks", "attempt": "attempts", "session": "sessions"}
_SLOT = FIELDS["attempt"].index("slot")
#: Events of tasks and attempts that change the session of their issue.
_OF_SESSIONS = frozenset(("task.parked", "task.resumed", "attempt.claimed", "attempt.running", *ENDS))
#: Counters: shown as a difference, not as two values.
COUNTERS = frozenset(
    ("made", "used", "retries", "parks", "tokens", "cost", "attempts", "commits", "dirty", "comments", "fruitless")
) | {"refused", "upto", "turns", "unanswered"}
#: The kinds of records, in the order of report.
KINDS = (
    *(
        "kugetsu",
        "daemon",
        "slot",
        "task",
        "attempt",
        "session",
        "label",
        "loop",
        "mark",
        "limit",
        "pause",
        "repository",
        "setting",
        "notices",
        "sink",
    ),
    "log",
)
#: Kinds with exactly one record, which only changes.
_ALWAYS = frozenset(("kugetsu", "daemon", "slot", "setting", "notices", "log"))


@record
class Field:
    """One field of a record: its value before and after, and the event that changed it last."""

    name: str
    was: Any
    now: Any
    seq: int


@record
class Change:
    """One changed record. ``what`` is changed, came, went, or left (a task that changed and has left the state since it
    finished); ``seq`` the event that did it (of a changed record the one that changed its state, else the last one);
    ``issue`` the issue or session that it belongs to."""

    kind: str
    key: str
    what: str
    seq: int
    fields: list[Field]
    issue: str | None

    def concerns(self, name: str) -> bool:
        """Whether it is about this task (including its attempts), issue, session or attempt."""
        return name in (self.key, self.issue) or (self.kind == "attempt" and self.key.partition(".")[0] == name)

    def reversed(self) -> Change:
        """The reverse change."""
        what = {"came": "went", "went": "came"}.get(self.what, self.what)
        fields = [Field(field.name, field.now, field.was, field.seq) for field in self.fields]
        return Change(self.kind, self.key, what, self.seq, fields, self.issue)


class Comparison:
    """Folds ``state`` on, in place, and tracks how it differs from the first state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._start: dict[Key, Values] = dict(_records(state))
        self._now: dict[Key, Values] = dict(self._start)
        self._seqs: dict[Key, dict[str, int]] = {}
        #: Records that went, each with the event and its last values.
        self._gone: dict[Key, tuple[int, Values]] = {}
        self._came: dict[Key, int] = {}
        self._issues: dict[Key, str] = dict(_issues(state))
        self._limits = [*state.limits]
        self._refused = state.violations_seen
        self._tasks = len(state.tasks)
        #: How many tasks, attempts and sessions came and went, by kind; how many tasks left the list.
        self.passed: dict[str, int] = {}
        self.left = 0

    def add(self, event: Event) -> None:
        """Fold the next event."""
        state, seq = self.state, event["seq"]
        fold(state, event)
        for key in _touched(event):
            self._compare(key, event)
        if event["type"].startswith(("task.", "hold.")):
            for label in {*state.limits, *self._limits}:
                self._compare(("limit", label), event)
            self._limits = [*state.limits]
        if len(state.tasks) < self._tasks:
            self._retired(event)
        self._tasks = len(state.tasks)
        if state.violations_seen != self._refused:
            self._refused = state.violations_seen
            self._compare(("log", ""), event)
        if event["type"] == "setting.changed":
            self._set(event["data"], seq)

    def _compare(self, key: Key, event: Event) -> None:
        seq = event["seq"]
        values = _values(self.state, key)
        known = self._now.get(key)
        if known is None:
            if values is not None:
                self._begin(key, values, seq)
        elif values is None:
            self._end(key, known, event)
        elif values != known:
            seqs = self._seqs.setdefault(key, {})
            for name, value, old in zip(FIELDS[key[0]], values, known, strict=True):
                if value != old:
                    seqs[name] = seq
            self._now[key] = values
        if key[0] == "attempt" and (values is None) != (known is None):
            self._slot((values or known or ())[_SLOT], event)

    def _begin(self, key: Key, values: Values, seq: int) -> None:
        self._now[key] = values
        if key in self._gone:  # it is back: a session that was destroyed and created again
            was = self._gone.pop(key)[1]
            names = zip(FIELDS[key[0]], values, was, strict=True)
            empty = not any(was)  # it had nothing left: all of it is of this event
            self._seqs.setdefault(key, {}).update({name: seq for name, value, old in names if empty or value != old})
        else:
            self._came[key] = seq
        if key[0] in _OF_ISSUES:
            self._issues[key] = key[1]
        elif key[0] in ("task", "attempt"):
            record: Any = getattr(self.state, _PLACES[key[0]])[key[1]]
            self._issues[key] = record.session

    def _end(self, key: Key, known: Values, event: Event) -> None:
        del self._now[key]
        if self._came.pop(key, None) is not None and key not in self._start:
            self._seqs.pop(key, None)
            self._issues.pop(key, None)
            if key[0] in _PLACES:
                self.passed[key[0]] = self.passed.get(key[0], 0) + 1
            return
        kind = event["type"]
        if key[0] == "attempt" and kind.startswith("attempt."):
            known = (kind.partition(".")[2], known[_SLOT], event["data"].get("reason"), *known[3:])
        elif key[0] == "session":
            known = ("destroyed", *known[1:])
        elif key[0] != "task":
            known = (None,) * len(known)
        self._gone[key] = (event["seq"], known)

    def _slot(self, slot: int | None, event: Event) -> None:
        if slot is not None:
            key = ("slot", str(slot))
            self._start.setdefault(key, (None,))
            self._now.setdefault(key, (None,))
            self._compare(key, event)

    def _retired(self, event: Event) -> None:
        """Finished tasks left the list, which is not a change of theirs.

        Nor of tasks that come after them: the fold removes a completed one from their lists, which are kept here.
        """
        tasks = self.state.tasks
        for key in [key for key in self._now if key[0] == "task" and key[1] not in tasks]:
            self.left += 1
            self._end(key, self._now[key], event)

    def _set(self, data: Any, seq: int) -> None:
        of = f" [{data['repository']}]" if data.get("repository") else ""
        host = self.state.hosts.get(data.get("host", ""))
        key = ("setting", f"{f'{host.name}:' if host is not None else ''}{data.get('key')}{of}")
        self._start.setdefault(key, (data.get("old"),))
        self._now[key] = (data.get("new"),)
        self._seqs.setdefault(key, {})["value"] = seq

    def changes(self) -> list[Change]:
        """The records that differ now, in the order of `KINDS`."""
        found = [change for key in dict.fromkeys((*self._start, *self._now)) if (change := self._change(key))]
        found.sort(key=lambda change: (KINDS.index(change.kind), *_natural(change.key)))
        return found

    def _change(self, key: Key) -> Change | None:
        was, now = self._start.get(key), self._now.get(key)
        seqs = self._seqs.get(key, {})
        what, event = "changed", 0
        if key in self._gone:
            event, now = self._gone[key]
            what = "went" if key[0] != "task" else "left"
        elif was is None:
            what, event = "came", self._came.get(key, 0)
        if now is None or (was is None and key[0] in _ALWAYS):
            return None
        names = FIELDS[key[0]]
        both = zip(names, was if was is not None else (None,) * len(names), now, strict=True)
        fields = [
            Field(name, old, value, seqs.get(name, event))
            for name, old, value in both
            if (value if was is None else value != old)
        ]
        if not fields:
            return None
        stated = [field.seq for field in fields if field.name == "state"] or [max(field.seq for field in fields)]
        main = event if what in ("came", "went") else stated[0]
        return Change(key[0], key[1], what, main or self.state.seq, fields, self._issues.get(key))


def _touched(event: Event) -> Iterator[Key]:
    """The records that an event may change."""
    kind: str = event["type"]
    data = event["data"]
    head = kind.partition(".")[0]
    task, attempt = event.get("task"), event.get("attempt")
    if task is not None:
        yield "task", task
    if attempt is not None:
        yield "attempt", attempt
    session = event.get("session")
    if session is not None:
        yield "session", session
    if kind in _OF_SESSIONS:
        issue = event.get("issue") or "pm"
        if issue != session:
            yield "session", issue
    if event.get("issue") is not None:
        for kind_of_record in _OF_ISSUES:
            yield kind_of_record, event["issue"]
    if head == "daemon":
        yield "daemon", ""
    elif head in ("notices", "notice", "sink"):
        yield "notices", ""
        if data.get("sink") is not None:
            yield "sink", str(data["sink"])
    elif head == "repository":
        yield "repository", str(data.get("repository"))
    elif kind in ("queue.paused", "queue.resumed"):
        yield "pause", data.get("repository") or EVERYTHING
    elif head in ("kugetsu", "log"):
        yield "kugetsu", ""


def _values(state: State, key: Key) -> Values | None:
    """The present values of a record, or None if it does not exist."""
    kind, name = key
    reader = _READERS.get(kind)
    if reader is None:
        return _small(state, kind, name)
    records: dict[str, Any] = getattr(state, _PLACES[kind])
    record = records.get(name)
    if record is None:
        return None
    values: Values = reader(record)
    return values


def _small(state: State, kind: str, name: str) -> Values | None:
    if kind == "daemon":
        return state.daemon.state, state.daemon.identity.get("pid") if state.daemon.identity is not None else None
    if kind == "slot":
        return (next((one.id for one in state.attempts.values() if str(one.slot) == name), None),)
    if kind == "limit":
        limit = state.limits.get(name)
        return (limit["until"], limit["task"]) if limit is not None else None
    if kind == "pause":
        pause = state.paused.get(name)
        return (pause["at"], pause["until"]) if pause is not None else None
    if kind == "repository":
        return _sources(state, name)
    if kind in _OF_ISSUES:
        return _of_issue(state, kind, name)
    if kind == "notices":
        return (state.notices_read,)
    if kind == "sink":
        box = state.outbox.get(name)
        if box is None:
            return None
        return (box["upto"], len(box["open"]), (box["last"] or {}).get("text"), len(box.get("hosts", ())))
    return (bool(state.initialised), state.log_id) if kind == "kugetsu" else (state.violations_seen,)


def _sources(state: State, name: str) -> Values | None:
    """The folder and the URL of a repository; of hosts that share the log, the folder of each."""
    found = state.repositories.get(name)
    if found is None:
        return None
    folders = [f"{one.name}:{one.folders[name]}" for one in state.hosts.values() if name in one.folders]
    return ", ".join(folders) or found.get("path"), found.get("url")


def _of_issue(state: State, kind: str, issue: str) -> Values | None:
    """What follows from its label, the loop of its pull request, the label of kugetsu's that the forge shows."""
    if kind == "label":
        seen = state.intake.get(issue)
        return ({"code": seen["code"], "values": seen["values"]},) if seen is not None else None
    if kind == "mark":
        mark = state.marks.get(issue)
        return (mark["label"],) if mark is not None and mark["label"] is not None else None
    loop = state.loops.get(issue)
    if loop is None:
        return None
    unanswered = [item for item in loop["items"].values() if item["open"] and item["counts"] and item["turn"] is None]
    values = loop["held"]["code"] if loop["held"] is not None else None, loop["turns"], len(unanswered)
    return values if any(values) else None


def _records(state: State) -> Iterator[tuple[Key, Values]]:
    names: dict[str, Iterable[str]] = {
        "task": state.tasks,
        "attempt": state.attempts,
        "session": state.sessions,
        "repository": state.repositories,
        "label": state.intake,
        "loop": state.loops,
        "mark": state.marks,
        "sink": state.outbox,
        "limit": state.limits,
        "pause": state.paused,
        "slot": [str(attempt.slot) for attempt in state.attempts.values() if attempt.slot is not None],
        **dict.fromkeys(("kugetsu", "daemon", "notices", "log"), ("",)),
    }
    for kind, keys in names.items():
        for name in keys:
            values = _values(state, (kind, name))
            if values is not None:
                yield (kind, name), values


def _issues(state: State) -> Iterator[tuple[Key, str]]:
    for task in state.tasks.values():
        yield ("task", task.id), task.session
    for attempt in state.attempts.values():
        yield ("attempt", attempt.id), attempt.session
    for kind, place in _OF_ISSUES.items():
        for issue in getattr(state, place):
            yield (kind, issue), issue


def _natural(key: str) -> tuple[str, list[int], str]:
    """Sort q9 before q10, q10.1 before q10.2, and all other names as texts."""
    head, rest = key[:1], key[1:]
    parts = rest.split(".")
    if head == "q" and all(part.isdigit() for part in parts):
        return head, [int(part) for part in parts], ""
    return ("", [int(key)], "") if key.isdigit() else ("", [], key)
