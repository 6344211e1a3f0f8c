"""How long tasks waited, by the gate that held them; and how long slots stood empty meanwhile.

A wait begins with the event that closes a task's way (queued, held, retried, parked) and ends with the next one. Two
reasons are added to the gates: `turn`, when nothing was recorded that holds a task (the time until a dispatcher took
it), and `daemon` for all the time in which none ran, whatever stood recorded then.

A daemon that ended without a word says nothing of when. It is taken for dead from the first moment, after the last
sign of life, at which it owed an answer that never came: a task whose way was open, or a slot that was free for one
that waited for a slot. While nothing was owed nobody suffered from its death.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from kugetsu.domain import gates
from kugetsu.domain.audit.spans import MICRO, Clock, Spans
from kugetsu.domain.events import Event
from kugetsu.domain.state import State, Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    #: Takes a wait that is over, in microseconds: its reason, task, issue, since, until, and the event it began with.
    Told = Callable[[str, str, str | None, int, int, int], None]

#: The reason of a wait that no gate is recorded for.
TURN = "turn"
#: What holds a task is the missing daemon, when it is only one of these that stands recorded.
OF_DAEMON = frozenset((TURN, "daemon", "agent", *gates.FULL))
#: What tasks are parked for.
_PARKED = ("provider", "progress")


#: What a daemon answers at once when its time is over: it claims the task, or says what holds it now.
_ANSWERED = frozenset(("backoff", *_PARKED))
#: A living daemon answers within so many microseconds, also after an error or where it must poll.
PATIENCE = 60 * MICRO


class _Wait:
    """``owed``: nothing holds the task, and a daemon that lives says at once what it makes of that."""

    __slots__ = ("held", "issue", "owed", "seq", "since", "until", "wanted")

    def __init__(self, held: str, since: int, seq: int, until: int | None, issue: str | None) -> None:
        self.held = held
        self.since = since
        self.seq = seq
        self.until = until
        self.issue = issue
        self.owed = False
        self.wanted = True


class _Silence:
    """A time in which the daemon owed an answer. Nobody knows yet whether it was slow, or dead: what is counted since
    then is kept both ways. Few waits end in such a time, as it is the daemon that ends them."""

    __slots__ = ("ended", "idle", "idle_of_daemon", "seq", "since")

    def __init__(self, since: int, seq: int) -> None:
        self.since = since
        self.seq = seq
        #: Waits that have ended since, and when.
        self.ended: list[tuple[str, _Wait, int]] = []
        #: What `Waits.idle` got since, and what `daemon` would have got instead.
        self.idle: dict[str, int] = {}
        self.idle_of_daemon = 0


def heartbeat(event: Event) -> bool:
    """Whether only a daemon that lives can have written the event."""
    facts = event.get("facts")
    return event["type"] in _SIGNS or (isinstance(facts, dict) and facts.get("dispatcher") == "daemon")


class Waits:
    """Feed it a log from ``state`` on, which was there at ``begins``; ``cap`` is how many slots there were, when known.

    ``only``: waits of this issue, task or session; slots are those of all. ``told`` hears of every wait that is over.
    """

    def __init__(
        self, state: State, begins: str, cap: int | None, only: str | None = None, told: Told | None = None
    ) -> None:
        self._clock = Clock()
        self._only = only
        self._told = told
        self._at = self._clock.micros(begins) if begins else 0
        self._seq = state.seq
        self._cap = cap
        self._open: dict[str, _Wait] = {}
        self._due: list[tuple[int, str, int]] = []
        self._counts: dict[str, int] = {}
        self._live = {attempt.id for attempt in state.live("dev")}
        self._daemon = state.daemon.state == "running"
        self._silent: _Silence | None = None
        #: Open waits that a daemon owes an answer; those that it owes one when a slot is free.
        self._owed = self._for_slot = 0
        self.by_gate: dict[str, Spans] = {}
        #: gate → slot-microseconds that stood empty while dev tasks waited for that gate.
        self.idle: dict[str, int] = {}
        #: Slot-microseconds: empty at all, empty while a dev task waited, used.
        self.empty = self.empty_while_waiting = self.used = 0
        #: Since when a daemon was dead, and when that was noticed.
        self.deaths: list[tuple[int, int]] = []
        for task in state.waiting():
            held, until = self._standing(task, begins)
            self._begin(task.id, held, self._at, task.held_seq or task.changed, until, task.issue)

    def _standing(self, task: Task, begins: str) -> tuple[str, int | None]:
        """The recorded reason of a task that waits at the beginning, and until when."""
        if task.state == "parked":
            until = self._clock.micros(task.not_before) if task.not_before is not None else None
            return ("provider", until) if until is not None else ("progress", None)
        if task.not_before is not None and (task.not_before > begins or task.held in (None, "backoff")):
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
        if self._silent is not None and heartbeat(event):
            self._lives()
        handler(self, event, now)
        self._seq = event["seq"]
        facts = event.get("facts")
        if facts is not None and "cap" in facts:
            self._cap = facts["cap"]

    def end(self, now: str, *, dead: bool = False) -> None:
        """The log ends here: what still waits has waited until ``now``. ``dead``: the daemon that the log calls
        running was found dead, then or later."""
        moment = max(self._clock.micros(now), self._at) if now else self._at
        self._advance(moment)
        if dead and self._daemon:
            self._dies(moment, self._seq)
        for task_id in list(self._open):
            self._close(task_id, moment)
        self._lives()

    def _queued(self, event: Event, now: int) -> None:
        self._begin(event["task"], TURN, now, event["seq"], None, event.get("issue"))

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

    def _nothing(self, event: Event, now: int) -> None:
        """It says that the daemon lives, and nothing of waits."""

    # --- the daemon -------------------------------------------------------------------------------------------

    def _daemon_runs(self, event: Event, now: int) -> None:
        self._dispatcher(True, now, event["seq"])

    def _daemon_ends(self, event: Event, now: int) -> None:
        if event["type"] == "daemon.lost" and self._daemon:
            self._dies(now, event["seq"])
            return
        self._lives()
        self._dispatcher(False, now, event["seq"])

    def _dispatcher(self, runs: bool, since: int, seq: int) -> None:
        if runs == self._daemon:
            return
        concerned = [(task_id, wait) for task_id, wait in self._open.items() if wait.held in OF_DAEMON]
        for task_id, wait in concerned:
            self._close(task_id, max(since, wait.since))
        self._daemon = runs
        for task_id, wait in concerned:
            begun, by = (wait.since, wait.seq) if wait.since > since else (since, seq)
            self._begin(task_id, wait.held, begun, by, None, wait.issue, wait.owed)

    def _listen(self) -> None:
        """Time passes from here on: note that the daemon owes an answer now, or that it owes none any more."""
        owes = self._owed > 0 or (self._for_slot > 0 and self._cap is not None and len(self._live) < self._cap)
        if self._silent is None:
            if owes and self._daemon:
                self._silent = _Silence(self._at, self._seq)
        elif not owes and self._at - self._silent.since < PATIENCE:
            self._lives()

    def _lives(self) -> None:
        """The daemon was slow, not dead: what was recorded held the tasks."""
        silent, self._silent = self._silent, None
        if silent is not None:
            for task_id, wait, until in silent.ended:
                self._tell(wait.held, task_id, wait, wait.since, until, wait.seq)

    def _dies(self, now: int, seq: int) -> None:
        """The daemon is found dead: it was so since it owed an answer."""
        silent, self._silent = self._silent, None
        since = now
        if silent is not None:
            since, seq = silent.since, silent.seq
            for task_id, wait, until in silent.ended:
                if wait.since < since:
                    self._tell(wait.held, task_id, wait, wait.since, since, wait.seq)
                begun, by = (wait.since, wait.seq) if wait.since > since else (since, seq)
                self._tell("daemon", task_id, wait, begun, until, by)
            for gate, empty in silent.idle.items():
                self.idle[gate] -= empty
            self.idle["daemon"] = self.idle.get("daemon", 0) + silent.idle_of_daemon
        self.deaths.append((since, now))
        self._dispatcher(False, since, seq)

    # --- waits ------------------------------------------------------------------------------------------------

    def _reason(self, wait: _Wait) -> str:
        return "daemon" if not self._daemon and wait.held in OF_DAEMON else wait.held

    def _begin(
        self, task_id: str, held: str, now: int, seq: int, until: int | None, issue: str | None, owed: bool = True
    ) -> None:
        self._close(task_id, now)
        wait = self._open[task_id] = _Wait(held, now, seq, until, issue)
        wait.owed = owed and held == TURN
        wait.wanted = self._only in (None, task_id, issue or "pm")
        if until is not None:
            heappush(self._due, (until, task_id, seq))
        self._count(wait, 1)

    def _count(self, wait: _Wait, by: int) -> None:
        if wait.owed:
            self._owed += by
        elif wait.held == "slots":
            self._for_slot += by
        if wait.wanted and wait.issue is not None:
            reason = self._reason(wait)
            self._counts[reason] = self._counts.get(reason, 0) + by

    def _go_on(self, event: Event, held: str, now: int, until: str | None) -> None:
        before = self._open.get(event["task"])
        if before is not None:
            due = self._clock.micros(until) if until is not None else None
            self._begin(event["task"], held, now, event["seq"], due, before.issue)

    def _close(self, task_id: str, now: int) -> None:
        wait = self._open.pop(task_id, None)
        if wait is None:
            return
        self._count(wait, -1)
        if now > wait.since:
            if self._silent is not None and wait.held in OF_DAEMON:
                self._silent.ended.append((task_id, wait, now))
            else:
                self._tell(self._reason(wait), task_id, wait, wait.since, now, wait.seq)

    def _tell(self, reason: str, task_id: str, wait: _Wait, since: int, until: int, seq: int) -> None:
        if not wait.wanted:
            return
        spans = self.by_gate.get(reason)
        if spans is None:
            spans = self.by_gate[reason] = Spans()
        spans.add(until - since, (task_id, seq))
        if self._told is not None:
            self._told(reason, task_id, wait.issue, since, until, seq)

    # --- time -------------------------------------------------------------------------------------------------

    def _advance(self, now: int) -> None:
        """Let time pass: what a task waited for until some time is over by then."""
        while self._due and self._due[0][0] <= now:
            until, task_id, seq = heappop(self._due)
            wait = self._open.get(task_id)
            if wait is not None and wait.seq == seq and wait.until == until:
                self._flow(until)
                owed = wait.held in _ANSWERED
                self._begin(task_id, TURN, max(until, wait.since), seq, None, wait.issue, owed)
        self._flow(now)

    def _flow(self, now: int) -> None:
        span = now - self._at
        if span <= 0:
            return
        self._listen()
        self._at = now
        if self._cap is None:
            return
        live = len(self._live)
        self.used += live * span
        free = self._cap - live
        if free <= 0:
            return
        self.empty += free * span
        silent = self._silent
        waiting = of_daemon = 0
        for gate, number in self._counts.items():
            if number:
                waiting += number
                empty = min(free, number) * span
                self.idle[gate] = self.idle.get(gate, 0) + empty
                if silent is not None and gate in OF_DAEMON:
                    silent.idle[gate] = silent.idle.get(gate, 0) + empty
                    of_daemon += number
        if silent is not None:
            silent.idle_of_daemon += min(free, of_daemon) * span
        self.empty_while_waiting += min(free, waiting) * span


_SIGNS = frozenset(("daemon.started", "daemon.lease_replaced", "daemon.stopped"))
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
    "claim.lost": Waits._nothing,
    "daemon.lease_replaced": Waits._nothing,
    "daemon.started": Waits._daemon_runs,
    "daemon.draining": Waits._daemon_ends,
    "daemon.stopped": Waits._daemon_ends,
    "daemon.lost": Waits._daemon_ends,
}
