"""How long tasks waited, by the gate that held them; and how long slots stood empty meanwhile.

A wait begins with the event that closes a task's way (queued, held, retried, parked) and ends with the next one. Two
reasons are added to the gates: `turn`, when nothing was recorded that holds a task (the time until a dispatcher took
it), and `daemon` for all the time in which none ran, whatever stood recorded then.
"""

from __future__ import annotations

from heapq import heappop, heappush

from kugetsu.domain import gates
from kugetsu.domain.audit.spans import Clock, Spans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.state import State, Task

    Event = dict[str, Any]

#: The reason of a wait that no gate is recorded for.
TURN = "turn"
#: What holds a task is the missing daemon, when it is only one of these that stands recorded.
_OF_DAEMON = frozenset((TURN, "daemon", *gates.FULL))
#: What tasks are parked for.
_PARKED = ("provider", "progress")


class _Wait:
    __slots__ = ("dev", "held", "seq", "since", "until")

    def __init__(self, held: str, since: int, seq: int, until: int | None, dev: bool) -> None:
        self.held = held
        self.since = since
        self.seq = seq
        self.until = until
        self.dev = dev


class Waits:
    """Feed it a log from ``state`` on, which was there at ``begins``; ``cap`` is how many slots there were, when known.

    ``only``: waits of this issue, task or session; slots are those of all.
    """

    def __init__(self, state: State, begins: str, cap: int | None, only: str | None = None) -> None:
        self._clock = Clock()
        self._only = only
        self._at = self._clock.micros(begins) if begins else 0
        self._cap = cap
        self._open: dict[str, _Wait] = {}
        self._due: list[tuple[int, str, int]] = []
        self._counts: dict[str, int] = {}
        self._live = {attempt.id for attempt in state.live("dev")}
        self._daemon = state.daemon.state == "running"
        self.by_gate: dict[str, Spans] = {}
        #: gate → slot-microseconds that stood empty while dev tasks waited for that gate.
        self.idle: dict[str, int] = {}
        #: Slot-microseconds: empty at all, empty while a dev task waited, used.
        self.empty = self.empty_while_waiting = self.used = 0
        for task in state.waiting():
            if only in (None, task.id, task.session):
                held, until = self._standing(task, begins)
                self._begin(task.id, held, self._at, task.held_seq or task.changed, until, task.kind == "dev")

    def _standing(self, task: Task, begins: str) -> tuple[str, int | None]:
        """The recorded reason of a task that waits at the beginning, and until when."""
        if task.state == "parked":
            until = self._clock.micros(task.not_before) if task.not_before is not None else None
            return ("provider", until) if until is not None else ("progress", None)
        if task.not_before is not None and task.not_before > begins:
            return "backoff", self._clock.micros(task.not_before)
        return task.held or TURN, None

    # --- events -----------------------------------------------------------------------------------------------

    def add(self, event: Event) -> None:
        """Take the next event in."""
        kind = event["type"]
        handler = _HANDLERS.get(kind)
        if handler is None:
            return
        now = max(self._clock.micros(event["at"]), self._at)
        self._advance(now)
        handler(self, event, now)
        facts = event.get("facts")
        if facts is not None and "cap" in facts:
            self._cap = facts["cap"]

    def end(self, now: str) -> None:
        """The log ends here: what still waits has waited until ``now``."""
        moment = max(self._clock.micros(now), self._at) if now else self._at
        self._advance(moment)
        for task_id in list(self._open):
            self._close(task_id, moment)

    def _queued(self, event: Event, now: int) -> None:
        dev = event.get("issue") is not None
        if self._only in (None, event["task"], event.get("issue") or "pm"):
            self._begin(event["task"], TURN, now, event["seq"], None, dev)

    def _held(self, event: Event, now: int) -> None:
        gate = event["data"]["gate"]
        before = self._open.get(event["task"])
        # A dispatcher also says that what is parked or pauses does so: the wait goes on.
        if before is not None and (gate == before.held or (gate == "parked" and before.held in _PARKED)):
            return
        self._go_on(event, gate, now, event["data"]["until"])

    def _retried(self, event: Event, now: int) -> None:
        self._queued(event, now)
        self._go_on(event, "backoff", now, event["data"]["not_before"])

    def _parked(self, event: Event, now: int) -> None:
        self._queued(event, now)
        self._go_on(event, event["data"].get("gate", "provider"), now, event["data"]["until"])

    def _resumed(self, event: Event, now: int) -> None:
        self._go_on(event, TURN, now, None)

    def _over(self, event: Event, now: int) -> None:
        self._close(event["task"], now)

    def _claimed(self, event: Event, now: int) -> None:
        self._close(event["task"], now)
        if event["data"]["slot"] is not None:
            self._live.add(event["attempt"])

    def _ended(self, event: Event, _now: int) -> None:
        self._live.discard(event["attempt"])

    def _daemon_runs(self, event: Event, now: int) -> None:
        self._dispatcher(True, now, event["seq"])

    def _daemon_ends(self, event: Event, now: int) -> None:
        self._dispatcher(False, now, event["seq"])

    def _dispatcher(self, runs: bool, now: int, seq: int) -> None:
        if runs == self._daemon:
            return
        concerned = [task_id for task_id, wait in self._open.items() if wait.held in _OF_DAEMON]
        waits = [(task_id, self._open[task_id]) for task_id in concerned]
        for task_id, _ in waits:
            self._close(task_id, now)
        self._daemon = runs
        for task_id, wait in waits:
            self._begin(task_id, wait.held, now, seq, None, wait.dev)

    # --- waits ------------------------------------------------------------------------------------------------

    def _reason(self, wait: _Wait) -> str:
        return "daemon" if not self._daemon and wait.held in _OF_DAEMON else wait.held

    def _begin(self, task_id: str, held: str, now: int, seq: int, until: int | None, dev: bool) -> None:
        self._close(task_id, now)
        wait = self._open[task_id] = _Wait(held, now, seq, until, dev)
        if until is not None:
            heappush(self._due, (until, task_id, seq))
        if dev:
            reason = self._reason(wait)
            self._counts[reason] = self._counts.get(reason, 0) + 1

    def _go_on(self, event: Event, held: str, now: int, until: str | None) -> None:
        before = self._open.get(event["task"])
        if before is not None:
            due = self._clock.micros(until) if until is not None else None
            self._begin(event["task"], held, now, event["seq"], due, before.dev)

    def _close(self, task_id: str, now: int) -> None:
        wait = self._open.pop(task_id, None)
        if wait is None:
            return
        reason = self._reason(wait)
        if wait.dev:
            self._counts[reason] -= 1
        if now > wait.since:
            spans = self.by_gate.get(reason)
            if spans is None:
                spans = self.by_gate[reason] = Spans()
            spans.add(now - wait.since, (task_id, wait.seq))

    # --- time -------------------------------------------------------------------------------------------------

    def _advance(self, now: int) -> None:
        """Let time pass: what a task waited for until some time is over by then."""
        while self._due and self._due[0][0] <= now:
            until, task_id, seq = heappop(self._due)
            wait = self._open.get(task_id)
            if wait is not None and wait.seq == seq and wait.until == until:
                self._flow(until)
                self._begin(task_id, TURN, max(until, wait.since), seq, None, wait.dev)
        self._flow(now)

    def _flow(self, now: int) -> None:
        span = now - self._at
        if span <= 0:
            return
        self._at = now
        if self._cap is None:
            return
        live = len(self._live)
        self.used += live * span
        free = self._cap - live
        if free <= 0:
            return
        self.empty += free * span
        waiting = 0
        for gate, number in self._counts.items():
            if number:
                waiting += number
                self.idle[gate] = self.idle.get(gate, 0) + min(free, number) * span
        self.empty_while_waiting += min(free, waiting) * span


_HANDLERS = {
    "task.queued": Waits._queued,
    "task.requeued": Waits._queued,
    "task.held": Waits._held,
    "task.retried": Waits._retried,
    "task.parked": Waits._parked,
    "task.resumed": Waits._resumed,
    "task.completed": Waits._over,
    "task.failed": Waits._over,
    "task.cancelled": Waits._over,
    "attempt.claimed": Waits._claimed,
    "attempt.succeeded": Waits._ended,
    "attempt.failed": Waits._ended,
    "attempt.timed_out": Waits._ended,
    "attempt.killed": Waits._ended,
    "attempt.lost": Waits._ended,
    "daemon.started": Waits._daemon_runs,
    "daemon.draining": Waits._daemon_ends,
    "daemon.stopped": Waits._daemon_ends,
    "daemon.lost": Waits._daemon_ends,
}
