"""Who held which slot when, what held the others back meanwhile, and when a daemon was there: from the events alone."""

from __future__ import annotations

from collections.abc import Iterable

from kugetsu.domain.audit.waits import OF_DAEMON, TURN, Waits
from kugetsu.domain.decide.attempts import ENDS
from kugetsu.domain.events import Event
from kugetsu.domain.simulation.micros import micros_of, text_of
from kugetsu.domain.state import State

#: What a task has of its own until a time; and the gates that open by themselves at the time that their event says.
_PAUSES = ("parked", "backoff")
_TIMED = (*_PAUSES, "provider")
_DAEMON = {"daemon.started": "running", "daemon.draining": "draining", "daemon.stopped": None, "daemon.lost": None}


class Holding:
    """One attempt's time in a slot (None: the PM session). ``ran`` is when its agent ran, ``until`` when it ended, both
    None when that is not yet or was never; ``seq`` is the claim, ``end_seq`` the outcome."""

    __slots__ = ("attempt", "end", "end_seq", "issue", "ran", "reason", "seq", "since", "slot", "task", "until")

    def __init__(self, attempt: str, task: str, issue: str | None, slot: int | None, since: str, seq: int) -> None:
        self.attempt = attempt
        self.task = task
        self.issue = issue
        self.slot = slot
        self.since = since
        self.seq = seq
        self.ran: str | None = None
        self.until: str | None = None
        self.end: str | None = None
        self.end_seq = 0
        self.reason = ""


class Hold:
    """A time in which a task waited for a gate: one that the dispatcher named, a pause (``backoff``), ``parked``, or
    ``daemon`` while none was there."""

    __slots__ = ("gate", "issue", "reason", "seq", "since", "task", "until")

    def __init__(self, task: str, issue: str | None, gate: str, reason: str, since: str, seq: int) -> None:
        self.task = task
        self.issue = issue
        self.gate = gate
        self.reason = reason
        self.since = since
        self.seq = seq
        self.until: str | None = None


class Shift:
    """A time in which a daemon was there: ``running`` or ``draining``; ``end`` says how it ended."""

    __slots__ = ("end", "seq", "since", "state", "until")

    def __init__(self, state: str, since: str, seq: int) -> None:
        self.state = state
        self.since = since
        self.seq = seq
        self.until: str | None = None
        self.end: str | None = None


class Timeline:
    """Everything between two times. ``slots`` is the highest number of slots that was allowed or held; ``unheld``
    are the waits that go on at its end although nothing is known to hold the task."""

    __slots__ = ("holdings", "holds", "seq", "shifts", "since", "slots", "unheld", "until")

    def __init__(self, since: str, until: str) -> None:
        self.since = since
        self.until = until
        self.seq = 0
        self.slots = 0
        self.holdings: list[Holding] = []
        self.holds: list[Hold] = []
        self.shifts: list[Shift] = []
        self.unheld: list[Hold] = []


def collect(
    state: State,
    events: Iterable[Event],
    since: str,
    until: str,
    key: str | None = None,
    *,
    cap: int | None = None,
    dead: bool = False,
) -> Timeline:
    """The timeline from ``state`` (the fold at ``since``) and the events after it, to ``until``.

    ``key`` leaves only what is an issue's, a task's, an attempt's or the PM session's (``pm``). ``cap``: how many slots
    there were at ``since``, when known. ``dead``: the daemon that the log calls running at ``until`` was found dead,
    then or later.
    """
    found = Timeline(since, until)
    live: dict[str, Holding] = {}
    waits = _Waits(found)
    _begin(found, state, live, waits)
    absence = _Absence(state, since, cap)
    for event in events:
        absence.add(event)
        found.seq = event["seq"]
        _take(found, event, live, waits)
    waits.end()
    absence.end(found, dead)
    if key is not None:  # what belongs to no issue is the PM session's
        found.holdings = [one for one in found.holdings if key in (one.issue or "pm", one.task, one.attempt)]
        found.holds = [one for one in found.holds if key in (one.issue or "pm", one.task)]
        found.unheld = [one for one in found.unheld if key in (one.issue or "pm", one.task)]
    return found


def _begin(found: Timeline, state: State, live: dict[str, Holding], waits: _Waits) -> None:
    found.seq = state.seq
    for attempt in state.attempts.values():
        held = Holding(attempt.id, attempt.task, attempt.issue, attempt.slot, attempt.claimed_at, attempt.claimed)
        held.ran = attempt.running_at
        live[attempt.id] = held
        found.holdings.append(held)
        found.slots = max(found.slots, attempt.slot or 0)
    for task in state.waiting():
        pauses = "parked" if task.state == "parked" else "backoff" if task.not_before else None
        if pauses is not None and (task.not_before is None or task.not_before > found.since):
            hold = Hold(task.id, task.issue, pauses, task.reason or "", found.since, task.changed)
            waits.begin(hold, task.not_before)
        elif task.held is not None and task.held not in _PAUSES:
            limits = [limit["until"] for limit in state.limits.values()] if task.held == "provider" else []
            hold = Hold(task.id, task.issue, task.held, task.reason or "", found.since, task.held_seq)
            waits.begin(hold, max(limits, default=None))
    if state.daemon.runs:
        found.shifts.append(Shift(state.daemon.state, state.daemon.changed_at, state.daemon.changed))


def _take(found: Timeline, event: Event, live: dict[str, Holding], waits: _Waits) -> None:
    kind, data, at = event["type"], event["data"], event["at"]
    if kind in _DAEMON:
        _turn(found, event)
    elif kind == "attempt.claimed":
        held = Holding(event["attempt"], event["task"], event.get("issue"), data["slot"], at, event["seq"])
        live[held.attempt] = held
        found.holdings.append(held)
        cap = event.get("facts", {}).get("cap", 0)
        found.slots = max(found.slots, cap, data["slot"] or 0)
        waits.release(event["task"], at)
    elif kind == "attempt.running":
        if event["attempt"] in live:
            live[event["attempt"]].ran = at
    elif kind in ENDS:
        ended = live.pop(event["attempt"], None)
        if ended is not None:
            ended.until, ended.end = at, kind.removeprefix("attempt.")
            ended.end_seq, ended.reason = event["seq"], data["reason"]
    elif kind.startswith("task.") and kind != "task.moved":
        gate = {"task.held": data.get("gate"), "task.retried": "backoff", "task.parked": "parked"}.get(kind)
        if kind == "task.held" and waits.pauses(event["task"], gate):
            return
        waits.release(event["task"], at)
        if gate is not None:
            due = data.get("not_before" if kind == "task.retried" else "until") if gate in _TIMED else None
            waits.begin(Hold(event["task"], event.get("issue"), gate, data["reason"], at, event["seq"]), due)


class _Waits:
    """The holds that have not ended yet, and when those that end by themselves do."""

    def __init__(self, found: Timeline) -> None:
        self._found = found
        self._open: dict[str, tuple[Hold, str | None]] = {}

    def begin(self, hold: Hold, due: str | None) -> None:
        self._open[hold.task] = hold, due
        self._found.holds.append(hold)

    def pauses(self, task: str, gate: str | None) -> bool:
        """Whether it is parked or pauses already, and a dispatcher only says so too: the wait goes on."""
        return gate in _PAUSES and task in self._open and self._open[task][0].gate == gate

    def release(self, task: str, at: str) -> None:
        hold, due = self._open.pop(task, (None, None))
        if hold is not None:
            hold.until = at if due is None else min(at, max(due, hold.since))

    def end(self) -> None:
        """What is due by the end of the timeline is over by then."""
        for task, (_, due) in list(self._open.items()):
            if due is not None and due <= self._found.until:
                self.release(task, self._found.until)


def _turn(found: Timeline, event: Event) -> None:
    if found.shifts and found.shifts[-1].until is None:
        found.shifts[-1].until = event["at"]
        found.shifts[-1].end = event["type"].removeprefix("daemon.")
    state = _DAEMON[event["type"]]
    if state is not None:
        found.shifts.append(Shift(state, event["at"], event["seq"]))


class _Absence:
    """Tells what was waited for while no daemon was there, as `Waits` counts it: nobody records that at the time."""

    def __init__(self, state: State, since: str, cap: int | None) -> None:
        self._heard: list[Hold] = []
        self._unheld: list[Hold] = []
        self._end: int | None = None
        self._waits = Waits(state, since, cap, told=self._hear)
        self.add = self._waits.add

    def _hear(self, gate: str, task: str, issue: str | None, since: int, until: int, seq: int) -> None:
        if gate not in OF_DAEMON:
            return
        hold = Hold(task, issue, gate, "", text_of(since), seq)
        hold.until = text_of(until) if self._end is None or until < self._end else None
        if gate != TURN:
            self._heard.append(hold)
        elif hold.until is None:
            self._unheld.append(hold)

    def end(self, found: Timeline, dead: bool) -> None:
        """Let the holds and the shifts of ``found``, which are as recorded, be those that there were."""
        self._end = micros_of(found.until)
        self._waits.end(found.until, dead=dead)
        said: dict[tuple[str, str], list[Hold]] = {}
        for hold in found.holds:
            said.setdefault((hold.task, hold.gate), []).append(hold)
        for hold in self._heard:
            recorded = [one for one in said.get((hold.task, hold.gate), ()) if one.seq <= hold.seq]
            hold.reason = recorded[-1].reason if recorded else "no daemon was there" if hold.gate == "daemon" else ""
        found.holds = [hold for hold in found.holds if hold.gate not in OF_DAEMON] + self._heard
        found.holds.sort(key=lambda hold: (hold.since, hold.seq))
        found.unheld = self._unheld
        ran = [one for one in found.shifts if one.state == "running" and (one.end == "lost" or one.until is None)]
        for shift, (since, _) in zip(ran, self._waits.deaths, strict=False):
            shift.until, shift.end = max(text_of(since), shift.since), "lost"
