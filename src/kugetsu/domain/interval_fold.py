"""The `intervals` of a log, folded from its events one by one.

`Intervals` gives each interval as it closes; it keeps only those that are open.

A killed daemon leaves no record of when it died. It counts as dead from the first moment, after its last heartbeat, at
which it owed an answer that never came: to a task whose way was open, or to one that waited for a slot when one was
free. While it owed nothing, its death delayed nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from kugetsu.domain import phases
from kugetsu.domain.dispatching_hosts import DispatchingHosts
from kugetsu.domain.events import Event, upcast
from kugetsu.domain.intervals import DAEMON, MICRO, OF_DAEMON, TURN, Hold, Interval, Run, Shift, Wait
from kugetsu.domain.phases import Phase
from kugetsu.domain.state import BRANCH, FORGE, SETUP, State, Task
from kugetsu.model.clock import parse
from kugetsu.model.record import field, record, replace

#: Gates that a living daemon answers as soon as their time is over: it claims the task, or records what holds it now.
_TIMED = frozenset(("backoff", "provider", "progress", SETUP, BRANCH, FORGE))
#: A living daemon answers within so many microseconds, also after an error or where it must poll.
PATIENCE = 60 * MICRO


@record
class Silence:
    """A time in which the daemon owes an answer. Whether it is slow or dead is not known yet: ``ended`` are the holds
    that would count otherwise if it is dead. There are few, as it is the daemon that ends holds."""

    since: int
    seq: int
    ended: list[Hold] = field(factory=list)


def heartbeat(event: Event) -> bool:
    """Whether only a living daemon can have written the event."""
    facts = event.get("facts")
    return event["type"] in _HEARTBEATS or (isinstance(facts, dict) and facts.get("dispatcher") == "daemon")


class Meter:
    """Measures what is open at a time. `Intervals` calls it; this one measures nothing."""

    def count(self, hold: Hold, by: int) -> None:
        """A hold opened (``by`` is 1) or closed (-1)."""

    def pass_time(self, span: int, used: int, cap: int | None) -> None:
        """So many microseconds passed, with so many slots used of ``cap`` (None: not known)."""

    def pass_on_host(self, host: str, span: int, used: int, cap: int) -> None:
        """The part of that on one of the hosts that share the log (by its id)."""

    def begin_silence(self) -> None:
        """From here on the daemon owes an answer."""

    def end_silence(self, *, dead: bool) -> None:
        """It answered, or was found ``dead`` since the silence began."""


class Intervals:
    """The open intervals after the latest event: ``waits`` by task, ``runs`` by attempt, ``shift``.

    It goes on from ``state``, which was there at ``begins``; ``cap`` is how many slots there were, when known.
    ``hosts`` are those that share the log.
    """

    def __init__(self, state: State, begins: str = "", cap: int | None = None, meter: Meter | None = None) -> None:
        self.waits: dict[str, Wait] = {}
        self.runs: dict[str, Run] = {}
        self.shift: Shift | None = None
        self.hosts = DispatchingHosts(state)
        # What the caller knows is the cap of the host that decided last.
        self.cap = self.hosts.cap if self.hosts.shared else cap
        self.used_slots = len(state.live("dev"))
        self._meter = meter or Meter()
        self._at = parse(begins) if begins else 0
        self._seq = state.seq
        self._closed: list[Interval] = []
        self._due: list[tuple[int, int, Hold]] = []
        self._holds_made = 0
        self._daemon = self.hosts.any_runs
        self._silence: Silence | None = None
        #: Open holds that a daemon owes an answer, and those that it owes one as soon as a slot is free.
        self._owed = self._for_slot = 0
        if (first := self.hosts.first(state)) is not None:
            self.shift = Shift(first.state, parse(first.changed_at), first.changed)
        for one in state.attempts.values():
            run = Run(one.id, one.task, one.issue, one.slot, parse(one.claimed_at), one.claimed)
            run.host = one.host or ""
            run.ran = parse(one.running_at) if one.running_at is not None else None
            self.runs[one.id] = run
        for task in state.waiting():
            self._resume(state, task, begins)

    def _resume(self, state: State, task: Task, begins: str) -> None:
        """A task that waits at the beginning."""
        gate, seq, due, parked = TURN, task.changed, task.not_before, task.state == "parked"
        if task.held not in (None, "parked", "backoff"):
            gate, seq, parked = str(task.held), task.held_seq, False
            # The gate of an outage opens for one task, which finds out: for another nobody knows when.
            limits = [str(limit["until"]) for limit in state.limits.values() if "outage" not in limit]
            due = max(limits, default=None) if gate == "provider" else None
        elif parked and task.parked_for in (SETUP, FORGE) and (due is None or due > begins):
            gate = task.parked_for
        elif due is None and parked:
            gate = BRANCH if task.parked_for == BRANCH else "progress"
        elif due is not None and due > begins:
            gate = "provider" if parked else "backoff"
        else:  # its pause is over
            due, parked = None, False
        opens = parse(due) if due is not None else None
        hold = Hold(task.id, task.issue, gate, self._at, seq, task.reason or "", opens, parked, gate == TURN)
        hold.values = task.reason_values
        self.waits[task.id] = Wait(task.id, self._at, seq, "", hold)
        self._open_hold(hold)

    # --- events -----------------------------------------------------------------------------------------------

    def add(self, event: Event) -> Sequence[Interval]:
        """Take the next event in; the intervals that are closed by then."""
        kind = event["type"]
        handler = _HANDLERS.get(kind)
        if handler is None:
            if kind == "attempt.running" and event["attempt"] in self.runs:
                self.runs[event["attempt"]].ran = max(parse(event["at"]), self._at)
            elif kind == "worktree.set_up" and event.get("attempt") in self.runs:
                run = self.runs[event["attempt"]]
                run.set_up = _within(phases.set_up(event), run.since, max(parse(event["at"]), self._at))
            return ()
        now = max(parse(event["at"]), self._at)
        self._pass_time(now)
        if self._silence is not None and heartbeat(event):
            self._break_silence()
        handler(self, event, now)
        self._seq = event["seq"]
        facts = event.get("facts")
        if facts is not None and "cap" in facts:
            self.cap = self.hosts.cap_by(facts)
        return self._taken()

    def settle(self, now: str, *, dead: bool = False) -> Sequence[Interval]:
        """There are no more events until ``now``. ``dead``: the daemon that the log calls running was found dead, then
        or later. What is open after it stays open."""
        moment = max(parse(now), self._at) if now else self._at
        self._pass_time(moment)
        if dead and self._daemon and not self.hosts.shared:  # else it is one of several, and others may run
            since, seq = self._found_dead(moment, self._seq)
            if since < moment:
                self._dispatching(False, since, seq)
        self._break_silence()
        return self._taken()

    def open_holds(self) -> list[Hold]:
        """The holds that are open now, as if they ended now."""
        holds = [wait.hold for wait in self.waits.values()]
        return [replace(hold, until=self._at) for hold in holds if hold.since < self._at]

    def _taken(self) -> Sequence[Interval]:
        if not self._closed:
            return ()
        closed, self._closed = self._closed, []
        return closed

    def _queued(self, event: Event, now: int) -> None:
        self._begin(event, now, TURN)

    def _retried(self, event: Event, now: int) -> None:
        self._begin(event, now, "backoff", event["data"]["not_before"])

    def _parked(self, event: Event, now: int) -> None:
        data = event["data"]
        self._begin(event, now, data.get("gate", "provider"), data["until"], parked=True)

    def _held(self, event: Event, now: int) -> None:
        data, wait = event["data"], self.waits.get(event["task"])
        # The dispatcher also records that what is parked or pauses does so: that hold goes on.
        if wait is None or data["gate"] == wait.hold.recorded or (data["gate"] == "parked" and wait.hold.parked):
            return
        due = parse(data["until"]) if data["until"] is not None else None
        hold = Hold(wait.task, wait.hold.issue, data["gate"], now, event["seq"], data["reason"], due)
        hold.values = data.get("values")
        self._switch(wait, hold)

    def _resumed(self, event: Event, now: int) -> None:
        wait = self.waits.get(event["task"])
        if wait is not None:
            self._switch(wait, Hold(wait.task, wait.hold.issue, TURN, now, event["seq"], owed=True))

    def _finished(self, event: Event, now: int) -> None:
        self._end_wait(event["task"], now)

    def _claimed(self, event: Event, now: int) -> None:
        wait = self._end_wait(event["task"], now)
        self._end_run(event["attempt"])
        slot = event["data"]["slot"]
        run = Run(event["attempt"], event["task"], event.get("issue"), slot, now, event["seq"], wait)
        run.host = (event["data"].get("claimer") or {}).get("host") or ""
        self.runs[run.attempt] = run
        self.used_slots += slot is not None

    def _ended(self, event: Event, now: int) -> None:
        run = self._end_run(event["attempt"])
        if run is not None:
            run.until, run.end = now, event["type"].removeprefix("attempt.")
            run.end_seq, run.reason = event["seq"], event["data"]["reason"]
            run.result = upcast(event)["data"]["result"]
            verified = phases.verification(event)
            run.verified = _within(verified, run.since, now) if verified is not None else None
            self._closed.append(run)

    def _end_run(self, attempt: str) -> Run | None:
        run = self.runs.pop(attempt, None)
        self.used_slots -= run is not None and run.slot is not None
        return run

    def _sign(self, event: Event, now: int) -> None:
        """The event only shows that the daemon lives."""

    # --- the daemon -------------------------------------------------------------------------------------------

    def _daemon_started(self, event: Event, now: int) -> None:
        if self.hosts.started(event) and self._daemon:
            return  # one of another host ran already
        self._end_shift(event, now)
        self.shift = Shift("running", now, event["seq"])
        self._dispatching(True, now, event["seq"])

    def _daemon_ended(self, event: Event, now: int) -> None:
        if self.hosts.ended(event):
            return  # one of another host goes on
        if event["type"] == "daemon.lost" and self._daemon:
            self._dispatching(False, *self._found_dead(now, event["seq"]))
            return
        self._break_silence()
        self._end_shift(event, now)
        if event["type"] == "daemon.draining":
            self.shift = Shift("draining", now, event["seq"])
        self._dispatching(False, now, event["seq"])

    def _host_changed(self, event: Event, _now: int) -> None:
        """A host of a shared log joined, left or was lost, or the cap of all was set."""
        self.hosts.changed(event)
        self.cap = self.hosts.cap if self.hosts.shared else self.cap

    def _end_shift(self, event: Event, now: int) -> None:
        if self.shift is not None:
            self.shift.until, self.shift.end = now, event["type"].removeprefix("daemon.")
            self._closed.append(self.shift)
            self.shift = None

    def _dispatching(self, runs: bool, since: int, seq: int) -> None:
        """From ``since`` on a daemon dispatches, or none does: the holds that it opens count otherwise from then on."""
        if runs == self._daemon:
            return
        concerned = [wait for wait in self.waits.values() if wait.hold.recorded in OF_DAEMON]
        for wait in concerned:
            self._close_hold(wait.hold, max(since, wait.hold.since))
        self._daemon = runs
        for wait in concerned:
            hold = wait.hold
            begun, by = (hold.since, hold.seq) if hold.since > since else (since, seq)
            wait.hold = replace(hold, since=begun, seq=by, due=None, until=None)
            self._open_hold(wait.hold)

    def _listen(self) -> None:
        """Time passes from here on: note that the daemon owes an answer now, or that it owes none any more."""
        owes = self._owed > 0 or (self._for_slot > 0 and self.cap is not None and self.used_slots < self.cap)
        if self._silence is None:
            if owes and self._daemon:
                self._silence = Silence(self._at, self._seq)
                self._meter.begin_silence()
        elif not owes and self._at - self._silence.since < PATIENCE:
            self._break_silence()

    def _break_silence(self) -> None:
        """The daemon was slow, not dead: what was recorded held the tasks."""
        silence, self._silence = self._silence, None
        if silence is not None:
            self._closed += silence.ended
            self._meter.end_silence(dead=False)

    def _found_dead(self, now: int, seq: int) -> tuple[int, int]:
        """The daemon is found dead: since it owed an answer. That time, and the event before it."""
        silence, self._silence = self._silence, None
        since = now
        if silence is not None:
            since, seq = silence.since, silence.seq
            for hold in silence.ended:
                begun, by = (hold.since, hold.seq) if hold.since > since else (since, seq)
                if hold.since < since:
                    self._closed.append(replace(hold, until=since))
                self._closed.append(replace(hold, gate=DAEMON, since=begun, seq=by))
            self._meter.end_silence(dead=True)
        if self.shift is not None:
            self.shift.until, self.shift.end = max(since, self.shift.since), "lost"
            self._closed.append(self.shift)
            self.shift = None
        return since, seq

    # --- waits ------------------------------------------------------------------------------------------------

    def _begin(self, event: Event, now: int, gate: str, due: str | None = None, *, parked: bool = False) -> None:
        """The task waits, if it did not, and ``gate`` is why."""
        wait = self.waits.get(event["task"])
        if gate == TURN:
            self._end_wait(event["task"], now)
        issue, opens = event.get("issue"), parse(due) if due is not None else None
        reason = event["data"].get("reason") or ""
        hold = Hold(event["task"], issue, gate, now, event["seq"], reason, opens, parked, gate == TURN)
        hold.values = event["data"].get("values")
        if wait is None or gate == TURN:
            self.waits[hold.task] = Wait(hold.task, now, event["seq"], event["type"], hold)
            self._open_hold(hold)
        else:
            self._switch(wait, hold)

    def _switch(self, wait: Wait, hold: Hold) -> None:
        """The task waits on, for another reason."""
        self._close_hold(wait.hold, hold.since)
        wait.hold = hold
        self._open_hold(hold)

    def _end_wait(self, task: str, now: int) -> Wait | None:
        wait = self.waits.pop(task, None)
        if wait is not None:
            self._close_hold(wait.hold, now)
            wait.until = now
            self._closed.append(wait)
        return wait

    def _open_hold(self, hold: Hold) -> None:
        hold.gate = DAEMON if not self._daemon and hold.recorded in OF_DAEMON else hold.recorded
        if hold.due is not None:
            self._holds_made += 1
            heappush(self._due, (hold.due, self._holds_made, hold))
        self._count(hold, 1)
        self._meter.count(hold, 1)

    def _close_hold(self, hold: Hold, now: int) -> None:
        self._count(hold, -1)
        self._meter.count(hold, -1)
        hold.until = now
        if now > hold.since:
            to = self._silence.ended if self._silence is not None and hold.recorded in OF_DAEMON else self._closed
            to.append(hold)

    def _count(self, hold: Hold, by: int) -> None:
        if hold.owed:
            self._owed += by
        elif hold.recorded == "slots":
            self._for_slot += by

    # --- time -------------------------------------------------------------------------------------------------

    def _pass_time(self, now: int) -> None:
        """Let time pass: a hold whose time is over by then ends, and the task waits for its turn."""
        while self._due and self._due[0][0] <= now:
            due, _, hold = heappop(self._due)
            wait = self.waits.get(hold.task)
            if wait is not None and wait.hold is hold:
                self._flow(due)
                since, owed = max(due, hold.since), hold.recorded in _TIMED
                self._switch(wait, Hold(wait.task, hold.issue, TURN, since, hold.seq, owed=owed))
        self._flow(now)

    def _flow(self, now: int) -> None:
        span = now - self._at
        if span > 0:
            self._listen()
            self._at = now
            self._meter.pass_time(span, self.used_slots, self.cap)
            if self.hosts.shared:
                used = Counter(run.host for run in self.runs.values() if run.slot is not None)
                for host, cap in self.hosts.caps.items():
                    self._meter.pass_on_host(host, span, used[host], cap)


def _within(phase: Phase, since: int, until: int) -> Phase:
    """A phase within its attempt: clocks go back."""
    begun = min(max(phase.since, since), until)
    return replace(phase, since=begun, until=min(max(phase.until, begun), until))


_HEARTBEATS = frozenset(("daemon.started", "daemon.lease_replaced", "daemon.stopped"))
_HANDLERS: dict[str, Callable[[Intervals, Event, int], None]] = {
    "task.queued": Intervals._queued,
    "task.requeued": Intervals._queued,
    "task.held": Intervals._held,
    "task.retried": Intervals._retried,
    "task.parked": Intervals._parked,
    "task.resumed": Intervals._resumed,
    "task.completed": Intervals._finished,
    "task.failed": Intervals._finished,
    "task.cancelled": Intervals._finished,
    "attempt.claimed": Intervals._claimed,
    "attempt.succeeded": Intervals._ended,
    "attempt.failed": Intervals._ended,
    "attempt.timed_out": Intervals._ended,
    "attempt.killed": Intervals._ended,
    "attempt.lost": Intervals._ended,
    "claim.lost": Intervals._sign,
    **dict.fromkeys(("host.joined", "host.left", "host.lost", "setting.shared"), Intervals._host_changed),
    "daemon.lease_replaced": Intervals._sign,
    "daemon.started": Intervals._daemon_started,
    "daemon.draining": Intervals._daemon_ended,
    "daemon.stopped": Intervals._daemon_ended,
    "daemon.lost": Intervals._daemon_ended,
}
