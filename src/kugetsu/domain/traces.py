"""Attempts as traces: an attempt is a trace, its phases are spans, what happened in a phase are events of its span.

Ids derive from the log's id and the seqs of events, and times are those of the events: every export of a log gives the
same traces. The wait before a claim is the first span in the attempt's trace, so that one trace explains the whole
delay; it begins before its parent does.

Pure: events go in, traces of attempts that have ended come out; only what waits or runs is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from kugetsu.domain import phases
from kugetsu.domain.events import Event
from kugetsu.domain.interval_fold import Intervals
from kugetsu.domain.intervals import Run
from kugetsu.domain.phases import Phase
from kugetsu.domain.state import empty
from kugetsu.model.clock import parse
from kugetsu.model.record import field, record

Value = str | int | float | bool
#: Redacts a text that people or agents wrote.
Clean = Callable[[str], str]
#: Words a recorded reason: of a gate's code and values, or of words without values.
Reason = Callable[[str, dict[str, Any] | None], str]

#: Events of one span that are kept (OpenTelemetry's own limit); more are counted only.
MOST_EVENTS = 128

#: Codes of a verification that say nothing of the work (`events.attempts.Verification`).
_NOT_JUDGED = frozenset(("nothing_ran", "base_failed", "not_run"))
_FINISHES = frozenset({"task.completed", "task.failed", "task.cancelled"})
#: What happens to a task that waits, and which of its data are exported.
_WHILE_WAITING = {
    "task.held": ("gate", "reason", "until"),
    "task.moved": ("priority", "was_priority"),
    "task.parked": ("gate", "reason", "until"),
    "task.resumed": ("why",),
    "claim.lost": ("gate", "reason"),
}
#: What happens in an attempt, and which of its data are exported.
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
    """Another span that a span refers to: its ids, and why."""

    trace: str
    span: str
    relation: str


@record
class Span:
    """One phase: ids in hex, times in microseconds since 1970 UTC; ``failed`` is None if unknown."""

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
class _Waited:
    """What is kept of a task: what queued it and began its current wait, the claims of its previous attempt and of the
    attempt that queued it, and what happened while it waited."""

    queued: Event | None = None
    begun: Event | None = None
    previous: Event | None = None
    queued_by: Event | None = None
    events: list[Event] = field(factory=list)
    dropped: int = 0


@record
class _Attempt:
    """An attempt that runs: its claim, the wait before it, the first event of each kind, and what happened."""

    claimed: Event
    waited: _Waited
    marks: dict[str, Event] = field(factory=dict)
    events: list[Event] = field(factory=list)


class Traces:
    """Takes the events of a log in order and gives the trace of each attempt when it ends."""

    def __init__(self, clean: Clean, reason: Reason) -> None:
        self._clean = clean
        self._reason = reason
        self._intervals = Intervals(empty())
        self._tasks: dict[str, _Waited] = {}
        self._live: dict[str, _Attempt] = {}
        #: The id of the log, from its first event.
        self.log_id = ""

    @property
    def live(self) -> list[str]:
        """The attempts that have not ended."""
        return list(self._live)

    def add(self, event: Event) -> Trace | None:
        """Take the next event in; the trace of the attempt that it ends."""
        kind, task, live = event["type"], event.get("task"), self._live.get(event.get("attempt", ""))
        for closed in self._intervals.add(event):
            if isinstance(closed, Run):
                return self._trace(self._live.pop(closed.attempt), event)
        if kind == "log.created":
            self.log_id = event["data"]["log_id"]
        elif kind == "attempt.claimed":
            self._claim(event)
        elif live is not None and not kind.startswith("task."):
            live.marks.setdefault(kind, event)
            if kind in _WHILE_WORKING and len(live.events) < MOST_EVENTS:
                live.events.append(event)
        elif task is not None:
            self._wait(kind, task, event)
        return None

    def _wait(self, kind: str, task: str, event: Event) -> None:
        wait = self._intervals.waits.get(task)
        if kind in _FINISHES:
            self._tasks.pop(task, None)
        elif wait is None:
            return
        elif wait.seq == event["seq"]:
            waited = self._tasks.get(task) or _Waited()
            asker = self._live.get(event["by"].get("attempt", "")) if kind == "task.queued" else None
            self._tasks[task] = _Waited(
                event if kind == "task.queued" else waited.queued,
                event,
                waited.previous,
                asker.claimed if asker is not None else waited.queued_by,
            )
        elif kind in _WHILE_WAITING:
            waited = self._tasks[task]
            if len(waited.events) < MOST_EVENTS:
                waited.events.append(event)
            else:
                waited.dropped += 1

    def _claim(self, event: Event) -> None:
        waited = self._tasks.get(event["task"]) or _Waited()
        self._live[event["attempt"]] = _Attempt(event, waited)
        # The next attempt at the task refers to this one.
        self._tasks[event["task"]] = _Waited(waited.queued, None, event, waited.queued_by)

    # -- spans -------------------------------------------------------------------------------------------------------

    def _id(self, event: Event, name: str, digits: int) -> str:
        return hashlib.sha256(f"{self.log_id}:{event['seq']}:{name}".encode()).hexdigest()[:digits]

    def _trace(self, live: _Attempt, ended: Event) -> Trace:
        claimed, marks = live.claimed, live.marks
        host = str(claimed["by"].get("host", ""))
        about = (claimed["attempt"], claimed["task"], claimed.get("issue"))
        trace = Trace(self._id(claimed, "trace", 32), *about, host, (ended["seq"], ended["at"]))
        begun, until = parse(claimed["at"]), parse(ended["at"])
        root = Span(self._id(claimed, "attempt", 16), None, f"attempt {claimed['attempt']}", begun, until)
        trace.spans.append(root)
        self._describe(root, live, ended)
        if live.waited.begun is not None:
            trace.spans.append(self._queued(live.waited, live.waited.begun, claimed, root))
        running = marks.get("attempt.running")
        first = len(trace.spans)
        trace.spans.append(self._phase(root, "starting", claimed, running or ended))
        preparing = marks.get("session.preparing")
        if preparing is not None:
            prepared = marks.get("session.prepared")
            phase = self._phase(trace.spans[first], "preparing", preparing, prepared or ended)
            phase.attributes["kugetsu.session"] = str(preparing.get("session") or "")
            trace.spans.append(phase)
        made_ready = marks.get("worktree.set_up")
        if made_ready is not None:
            trace.spans.append(self._part(trace.spans[first], "set-up", made_ready, phases.set_up(made_ready), "done"))
        verified = phases.verification(ended)
        if running is not None:
            phase = self._phase(root, "running", running, ended)
            phase.attributes |= _process(running["data"])
            trace.spans.append(phase)
            if verified is not None:
                trace.spans.append(self._part(phase, "verification", ended, verified, "passed"))
        stop = marks.get("attempt.stop_requested")
        if stop is not None:
            phase = self._phase(root, "stopping", stop, ended)
            phase.attributes["kugetsu.reason"] = self._reason_of(stop)
            trace.spans.append(phase)
        return trace

    def _phase(self, parent: Span, name: str, begun: Event, ended: Event) -> Span:
        return Span(self._id(begun, name, 16), parent.id, name, parse(begun["at"]), parse(ended["at"]))

    def _part(self, parent: Span, name: str, recorded: Event, phase: Phase, good: str) -> Span:
        """A part of another span that one event recorded, within it: clocks go back. It failed unless its code is
        ``good``, or says only that it was not done."""
        start = min(max(phase.since, parent.start), parent.end)
        span = Span(self._id(recorded, name, 16), parent.id, name, start, min(max(phase.until, start), parent.end))
        span.attributes = {"kugetsu.seq": recorded["seq"], "kugetsu.outcome": phase.code}
        if phase.command is not None:
            span.attributes["process.command_line"] = self._clean(phase.command)
        if phase.exit is not None:
            span.attributes["process.exit.code"] = phase.exit
        span.failed = None if phase.code in _NOT_JUDGED else phase.code != good
        span.message = phase.code if span.failed else ""
        return span

    def _queued(self, waited: _Waited, begun: Event, claimed: Event, root: Span) -> Span:
        span = self._phase(root, "queued", begun, claimed)
        span.attributes["kugetsu.wait.since"] = begun["type"]
        if begun["data"].get("reason"):
            span.attributes["kugetsu.reason"] = self._reason_of(begun)
        queued = waited.queued
        if queued is not None:
            span.attributes["kugetsu.task.queued_seq"] = queued["seq"]
            span.attributes["kugetsu.task.priority"] = queued["data"]["priority"]
            span.attributes["kugetsu.task.via"] = queued["data"]["via"]
        span.events = [self._event(event, _WHILE_WAITING) for event in waited.events]
        span.dropped = waited.dropped
        return span

    def _reason_of(self, event: Event) -> str:
        return self._clean(self._reason(event["data"]["reason"], event["data"].get("values")))

    def _event(self, event: Event, exported: dict[str, tuple[str, ...]]) -> tuple[str, int, dict[str, Value]]:
        attributes: dict[str, Value] = {"kugetsu.seq": event["seq"]}
        for name in exported[event["type"]]:
            value = event["data"].get(name)
            if isinstance(value, str):
                attributes[f"kugetsu.{name}"] = self._reason_of(event) if name == "reason" else self._clean(value)
            elif value is not None:
                attributes[f"kugetsu.{name}"] = value
        return event["type"], parse(event["at"]), attributes

    def _describe(self, root: Span, live: _Attempt, ended: Event) -> None:
        root.attributes = self._of_claim(live.claimed, live.waited.queued)
        root.attributes |= self._of_end(ended)
        for name in ("attempt.running", "session.prepared"):
            found = live.marks.get(name)
            if found is not None and found["data"].get("agent_session"):
                root.attributes["gen_ai.conversation.id"] = found["data"]["agent_session"]
                break
        root.events = [self._event(event, _WHILE_WORKING) for event in live.events]
        if live.waited.previous is not None:
            root.links.append(self._link(live.waited.previous, "previous attempt"))
        if live.waited.queued_by is not None:
            root.links.append(self._link(live.waited.queued_by, "asked for by"))
        stop = live.marks.get("attempt.stop_requested")
        if ended["type"] == "attempt.succeeded":
            root.failed = False
        elif stop is None or stop["data"]["reason"] != "cancel":  # a cancelled attempt is not a failure
            root.failed = True
            root.message = self._reason_of(ended)

    def _link(self, claimed: Event, relation: str) -> Link:
        return Link(self._id(claimed, "trace", 32), self._id(claimed, "attempt", 16), relation)

    def _of_claim(self, claimed: Event, queued: Event | None) -> dict[str, Value]:
        data, facts = claimed["data"], claimed.get("facts", {})
        reaction = queued["data"].get("reaction") if queued is not None else None
        found: dict[str, Any] = {
            "kugetsu.task.id": claimed["task"],
            "kugetsu.attempt.id": claimed["attempt"],
            "kugetsu.attempt.number": data["number"],
            "kugetsu.task.kind": data["kind"],
            "kugetsu.issue": claimed.get("issue"),
            "kugetsu.slot": data["slot"],
            "kugetsu.host": self._intervals.hosts.names.get((data.get("claimer") or {}).get("host") or ""),
            "kugetsu.cap": facts.get("cap"),
            "kugetsu.live": len(data["live"]),
            "kugetsu.reaction.turn": reaction["turn"] if reaction is not None else None,
            "kugetsu.reaction.items": len(reaction["items"]) if reaction is not None else None,
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
            "kugetsu.reason": self._reason_of(ended),
            "error.type": ended["type"].partition(".")[2] if failed else None,
            "process.exit.code": data["exit"],
            "kugetsu.signal": data["signal"],
            "kugetsu.tokens": data["tokens"],
            "kugetsu.cost": float(data["cost"]),
            "kugetsu.result": (data.get("result") or {}).get("kind"),
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
