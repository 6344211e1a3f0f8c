"""Attempts as traces: an attempt is a trace, its phases are spans, what happened meanwhile are events of a span.

Ids are derived from the log's id and the seqs of events, and times are those of events: the same log gives the same
traces whenever, wherever and however often it is asked. The wait before a claim belongs to the attempt's trace as its
first span, because "why did it take so long" is asked of the whole; it begins before its parent does.

Pure: events go in, traces of attempts that have ended come out; only what waits or runs is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from kugetsu.domain.events import Event
from kugetsu.domain.state import ENDS
from kugetsu.model.clock import parse
from kugetsu.model.errors import BadInput
from kugetsu.model.record import field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    Value = str | int | float | bool
    Clean = Callable[[str], str]

#: Events of one span that are kept (OpenTelemetry's own limit); what is beyond is counted.
MOST_EVENTS = 128

_WAIT_ENDS = frozenset({"task.completed", "task.failed", "task.cancelled"})
_WAIT_BEGINS = frozenset({"task.queued", "task.requeued", "task.retried", "task.parked"})
#: What happens to a task that waits, with what of its data is told.
_WHILE_WAITING = {
    "task.held": ("gate", "reason", "until"),
    "task.moved": ("priority", "was_priority"),
    "task.parked": ("gate", "reason", "until"),
    "task.resumed": ("why",),
    "claim.lost": ("gate", "reason"),
}
#: What happens in an attempt, with what of its data is told.
_WHILE_WORKING = {
    "attempt.stop_requested": ("reason",),
    "issue.read": ("state", "comments", "problem"),
    "attempt.unsettled": ("reason",),
    "attempt.continued": ("overdue_seconds",),
    "orphans.ended": ("signalled", "killed"),
    "lock.removed": ("path", "age_seconds"),
}


@record
class Link:
    """Another span that one rests on: its ids, and what it is to it."""

    trace: str
    span: str
    relation: str


@record
class Span:
    """One phase: ids in hex, times in microseconds since 1970 UTC; ``failed`` is None where nothing is said of it."""

    id: str
    parent: str | None
    name: str
    start: int
    end: int
    attributes: dict[str, Value] = field(factory=dict)
    events: list[tuple[str, int, dict[str, Value]]] = field(factory=list)
    dropped: int = 0
    links: list[Link] = field(factory=list)
    failed: bool | None = None
    message: str = ""

    def __post_init__(self) -> None:
        self.end = max(self.start, self.end)  # clocks go back


@record
class Trace:
    """An attempt that has ended: its spans, the first one the root, and the machine that ran it. ``ended`` is the seq
    and the time of its end."""

    id: str
    attempt: str
    task: str
    issue: str | None
    host: str
    ended: tuple[int, str]
    spans: list[Span] = field(factory=list)


@record
class _Wait:
    """A task that waits, since an event."""

    begun: Event
    #: What queued the task, when that was seen, and the claim of the attempt before.
    first: Event | None
    previous: Event | None
    events: list[Event] = field(factory=list)
    dropped: int = 0

    def add(self, event: Event) -> None:
        if len(self.events) < MOST_EVENTS:
            self.events.append(event)
        else:
            self.dropped += 1


@record
class _Attempt:
    """An attempt that runs: its claim, the wait before it, its milestones, and what happened."""

    claimed: Event
    wait: _Wait | None
    asked_by: Event | None
    marks: dict[str, Event] = field(factory=dict)
    events: list[Event] = field(factory=list)


class Traces:
    """Takes the events of a log in order and gives the trace of each attempt when it has ended.

    ``clean`` is applied to every text that people or agents wrote.
    """

    def __init__(self, clean: Clean, log_id: str = "") -> None:
        self._clean = clean
        self._log_id = log_id
        self._waits: dict[str, _Wait] = {}
        self._asked: dict[str, Event] = {}
        self._live: dict[str, _Attempt] = {}

    @property
    def live(self) -> list[str]:
        """The attempts that have not ended."""
        return list(self._live)

    @property
    def log_id(self) -> str:
        """The id of the log, from its first event."""
        return self._log_id

    def add(self, event: Event) -> Trace | None:
        """Take the next event in; the trace of the attempt that it ends."""
        kind, task, attempt = event["type"], event.get("task"), event.get("attempt")
        if kind == "log.created":
            self._log_id = event["data"]["log_id"]
        elif kind == "attempt.claimed":
            self._claim(event)
        elif kind in ENDS:
            live = self._live.pop(event["attempt"], None)
            return self._trace(live, event) if live is not None else None
        elif attempt in self._live and not kind.startswith("task."):
            live = self._live[attempt]
            live.marks.setdefault(kind, event)
            if kind in _WHILE_WORKING and len(live.events) < MOST_EVENTS:
                live.events.append(event)
        elif task is not None:
            self._wait(kind, task, event)
        return None

    def _wait(self, kind: str, task: str, event: Event) -> None:
        wait = self._waits.get(task)
        waits = wait is not None and wait.begun["type"] != "attempt.claimed"
        if kind in _WAIT_ENDS:
            self._waits.pop(task, None)
            self._asked.pop(task, None)
        elif kind in _WAIT_BEGINS and not (kind == "task.parked" and waits):
            asker = self._live.get(event["by"].get("attempt", "")) if kind == "task.queued" else None
            if asker is not None:
                self._asked[task] = asker.claimed
            first = event if kind == "task.queued" else wait.first if wait is not None else None
            self._waits[task] = _Wait(event, first, wait.previous if wait is not None else None)
        elif wait is not None and waits and kind in _WHILE_WAITING:
            wait.add(event)

    def _claim(self, event: Event) -> None:
        task = event["task"]
        wait = self._waits.get(task)
        self._live[event["attempt"]] = _Attempt(event, wait, self._asked.get(task))
        # What stays is only what the next attempt of the task points back to.
        self._waits[task] = _Wait(event, wait.first if wait is not None else None, event)

    # -- spans -------------------------------------------------------------------------------------------------------

    def _id(self, event: Event, name: str, digits: int) -> str:
        return hashlib.sha256(f"{self._log_id}:{event['seq']}:{name}".encode()).hexdigest()[:digits]

    def _trace(self, live: _Attempt, ended: Event) -> Trace:
        claimed, marks = live.claimed, live.marks
        host = str(claimed["by"].get("host", ""))
        about = (claimed["attempt"], claimed["task"], claimed.get("issue"))
        trace = Trace(self._id(claimed, "trace", 32), *about, host, (ended["seq"], ended["at"]))
        root = Span(self._id(claimed, "attempt", 16), None, f"attempt {claimed['attempt']}", _at(claimed), _at(ended))
        trace.spans.append(root)
        self._describe(root, live, ended)
        if live.wait is not None and live.wait.begun["type"] != "attempt.claimed":
            trace.spans.append(self._queued(live.wait, claimed, root))
        running = marks.get("attempt.running")
        trace.spans.append(self._phase(root, "starting", claimed, running or ended))
        preparing = marks.get("session.preparing")
        if preparing is not None:
            prepared = marks.get("session.prepared")
            phase = self._phase(trace.spans[-1], "preparing", preparing, prepared or ended)
            phase.attributes["kugetsu.session"] = str(preparing.get("session") or "")
            trace.spans.append(phase)
        if running is not None:
            phase = self._phase(root, "running", running, ended)
            phase.attributes |= _process(running["data"])
            trace.spans.append(phase)
        stop = marks.get("attempt.stop_requested")
        if stop is not None:
            phase = self._phase(root, "stopping", stop, ended)
            phase.attributes["kugetsu.reason"] = self._clean(stop["data"]["reason"])
            trace.spans.append(phase)
        return trace

    def _phase(self, parent: Span, name: str, begun: Event, ended: Event) -> Span:
        return Span(self._id(begun, name, 16), parent.id, name, _at(begun), _at(ended))

    def _queued(self, wait: _Wait, claimed: Event, root: Span) -> Span:
        span = self._phase(root, "queued", wait.begun, claimed)
        span.attributes["kugetsu.wait.since"] = wait.begun["type"]
        data = wait.begun["data"]
        if data.get("reason"):
            span.attributes["kugetsu.reason"] = self._clean(data["reason"])
        if wait.first is not None:
            span.attributes["kugetsu.task.queued_seq"] = wait.first["seq"]
            span.attributes["kugetsu.task.priority"] = wait.first["data"]["priority"]
            span.attributes["kugetsu.task.via"] = wait.first["data"]["via"]
        span.events = [self._happened(event, _WHILE_WAITING) for event in wait.events]
        span.dropped = wait.dropped
        return span

    def _happened(self, event: Event, told: dict[str, tuple[str, ...]]) -> tuple[str, int, dict[str, Value]]:
        attributes: dict[str, Value] = {"kugetsu.seq": event["seq"]}
        for name in told[event["type"]]:
            value = event["data"].get(name)
            if isinstance(value, str):
                attributes[f"kugetsu.{name}"] = self._clean(value)
            elif value is not None:
                attributes[f"kugetsu.{name}"] = value
        return event["type"], _at(event), attributes

    def _describe(self, root: Span, live: _Attempt, ended: Event) -> None:
        claimed, data = live.claimed, ended["data"]
        root.attributes = self._of_claim(claimed, live.wait.first if live.wait is not None else None)
        root.attributes |= self._of_end(ended)
        for name in ("attempt.running", "session.prepared"):
            found = live.marks.get(name)
            if found is not None and found["data"].get("agent_session"):
                root.attributes["gen_ai.conversation.id"] = found["data"]["agent_session"]
                break
        root.events = [self._happened(event, _WHILE_WORKING) for event in live.events]
        if live.wait is not None and live.wait.previous is not None:
            root.links.append(self._link(live.wait.previous, "previous attempt"))
        if live.asked_by is not None:
            root.links.append(self._link(live.asked_by, "asked for by"))
        stop = live.marks.get("attempt.stop_requested")
        if ended["type"] == "attempt.succeeded":
            root.failed = False
        elif stop is None or stop["data"]["reason"] != "cancel":  # what somebody cancelled is no failure
            root.failed = True
            root.message = self._clean(data["reason"])

    def _link(self, claimed: Event, relation: str) -> Link:
        return Link(self._id(claimed, "trace", 32), self._id(claimed, "attempt", 16), relation)

    def _of_claim(self, claimed: Event, queued: Event | None) -> dict[str, Value]:
        data, facts = claimed["data"], claimed.get("facts", {})
        found: dict[str, Any] = {
            "kugetsu.task.id": claimed["task"],
            "kugetsu.attempt.id": claimed["attempt"],
            "kugetsu.attempt.number": data["number"],
            "kugetsu.task.kind": data["kind"],
            "kugetsu.issue": claimed.get("issue"),
            "kugetsu.slot": data["slot"],
            "kugetsu.cap": facts.get("cap"),
            "kugetsu.live": len(data["live"]),
            "kugetsu.title": self._clean(queued["data"]["title"]) if queued is not None else None,
            "kugetsu.seq": claimed["seq"],
            "gen_ai.agent.name": str(facts.get("agent", "")).partition(":")[0] or None,
            "gen_ai.request.model": str(facts.get("agent", "")).partition(":")[2] or None,
        }
        if claimed.get("issue"):
            found["vcs.repository.name"] = claimed["issue"].rpartition("#")[0]
        return {name: value for name, value in found.items() if value is not None}

    def _of_end(self, ended: Event) -> dict[str, Value]:
        data = ended["data"]
        evidence = data["evidence"]
        pull = evidence.get("pull") or {}
        failed = ended["type"] != "attempt.succeeded"
        found: dict[str, Any] = {
            "kugetsu.outcome": ended["type"].partition(".")[2],
            "kugetsu.reason": self._clean(data["reason"]),
            "error.type": ended["type"].partition(".")[2] if failed else None,
            "process.exit.code": data["exit"],
            "kugetsu.signal": data["signal"],
            "kugetsu.tokens": data["tokens"],
            "kugetsu.cost": float(data["cost"]),
            "kugetsu.commits": evidence.get("commits"),
            "kugetsu.pushed": evidence.get("pushed"),
            "kugetsu.files.dirty": evidence.get("dirty"),
            "kugetsu.rescue": data["rescue"],
            "vcs.ref.head.name": evidence.get("branch"),
            "vcs.ref.head.revision": evidence.get("head"),
            "vcs.change.id": str(pull["number"]) if "number" in pull else None,
            "vcs.change.state": pull.get("state"),
        }
        return {name: value for name, value in found.items() if isinstance(value, str | int | float)}


def _process(data: dict[str, Any]) -> dict[str, Value]:
    found = {"process.pid": data["agent"].get("pid"), "process.executable.name": data["program"].rpartition("/")[2]}
    return {name: value for name, value in found.items() if value is not None}


def _at(event: Event) -> int:
    try:
        return parse(event["at"])
    except BadInput:  # an event that says no time: it is shown at the beginning of time, not left out
        return 0
