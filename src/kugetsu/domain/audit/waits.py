"""How long tasks waited, by the gate that held them; and how long slots stood empty meanwhile."""

from __future__ import annotations

from collections.abc import Iterable

from kugetsu.domain.events import Event
from kugetsu.domain.interval_fold import Intervals, Meter
from kugetsu.domain.intervals import DAEMON, OF_DAEMON, Hold, Interval
from kugetsu.domain.state import State
from kugetsu.model.record import field, record

#: Spans of which a median is exact; of more, every second, fourth … is looked at.
SAMPLED = 4096


@record
class Spans:
    """Spans of time of one sort: number, total, longest (and whose), median. All in microseconds."""

    number: int = 0
    total: int = 0
    longest: int = 0
    #: Whose the longest was: what `add` was given with it.
    worst: tuple[str, int] | None = None
    _sample: list[int] = field(factory=list)
    _every: int = 1

    def add(self, span: int, whose: tuple[str, int]) -> None:
        """Count one span; ``whose`` is a task and the event with which it began."""
        if self.number % self._every == 0:
            self._sample.append(span)
            if len(self._sample) > SAMPLED:
                del self._sample[1::2]
                self._every *= 2
        self.number += 1
        self.total += span
        if self.worst is None or span > self.longest:
            self.longest, self.worst = span, whose

    def median(self) -> int:
        """The middle one; 0 when there is none."""
        ordered = sorted(self._sample)
        return ordered[len(ordered) // 2] if ordered else 0


@record
class HostUse:
    """Slot-microseconds of one host, ``used`` and ``empty``, by the cap that it had at the time."""

    used: int = 0
    empty: int = 0


class SlotUse(Meter):
    """Slot-microseconds: ``used``, ``empty``, ``empty_while_waiting`` (for a dev task), and of these ``idle`` by the
    gate that was waited for. ``only``: of the waits those of this issue or task; slots are those of all tasks.
    ``by_host``: by the id of each host that shares the log."""

    def __init__(self, only: str | None) -> None:
        self.by_host: dict[str, HostUse] = {}
        self.used = self.empty = self.empty_while_waiting = 0
        self.idle: dict[str, int] = {}
        self._only = only
        self._waiting: dict[str, int] = {}
        #: What `idle` got since the daemon owes an answer, and what `daemon` gets instead if it is found dead.
        self._doubtful: dict[str, int] | None = None
        self._of_daemon = 0

    def count(self, hold: Hold, by: int) -> None:
        """Count a dev task that waits."""
        if hold.issue is not None and concerns(hold, self._only):
            self._waiting[hold.gate] = self._waiting.get(hold.gate, 0) + by

    def pass_time(self, span: int, used: int, cap: int | None) -> None:
        """Count the slots that were used and those that were not."""
        if cap is None:
            return
        self.used += used * span
        free = cap - used
        if free <= 0:
            return
        self.empty += free * span
        doubtful = 0
        for gate, number in self._waiting.items():
            if number:
                empty = min(free, number) * span
                self.idle[gate] = self.idle.get(gate, 0) + empty
                if self._doubtful is not None and gate in OF_DAEMON:
                    self._doubtful[gate] = self._doubtful.get(gate, 0) + empty
                    doubtful += number
        self._of_daemon += min(free, doubtful) * span
        self.empty_while_waiting += min(free, sum(self._waiting.values())) * span

    def pass_on_host(self, host: str, span: int, used: int, cap: int) -> None:
        """Count those of one host."""
        use = self.by_host.setdefault(host, HostUse())
        use.used += used * span
        use.empty += max(cap - used, 0) * span

    def begin_silence(self) -> None:
        """Remember what counts otherwise if the daemon is dead."""
        self._doubtful, self._of_daemon = {}, 0

    def end_silence(self, *, dead: bool) -> None:
        """Count what was in doubt for the daemon if it is ``dead``."""
        if dead and self._doubtful is not None:
            for gate, empty in self._doubtful.items():
                self.idle[gate] -= empty
            self.idle[DAEMON] = self.idle.get(DAEMON, 0) + self._of_daemon
        self._doubtful = None


def concerns(hold: Hold, only: str | None) -> bool:
    """Whether a hold is of this issue, task or session (``pm``); None: of any."""
    return only in (None, hold.task, hold.issue or "pm")


class Waits:
    """Sums over a log's holds. ``only``: those of this issue, task or session; slots are those of all tasks."""

    def __init__(self, state: State, begins: str, cap: int | None, only: str | None = None) -> None:
        self._only = only
        self.by_gate: dict[str, Spans] = {}
        self.slots = SlotUse(only)
        self._intervals = Intervals(state, begins, cap, self.slots)

    @property
    def host_names(self) -> dict[str, str]:
        """The name of each host that shared the log, by its id."""
        return self._intervals.hosts.names

    def add(self, event: Event) -> None:
        """Take the next event in."""
        self._sum(self._intervals.add(event))

    def end(self, now: str, *, dead: bool = False) -> None:
        """The log ends here: what still waits has waited until ``now``. ``dead``: the daemon that the log calls
        running was found dead, then or later."""
        self._sum(self._intervals.settle(now, dead=dead))
        self._sum(self._intervals.open_holds())

    def _sum(self, intervals: Iterable[Interval]) -> None:
        for one in intervals:
            if isinstance(one, Hold) and concerns(one, self._only):
                spans = self.by_gate.setdefault(one.gate, Spans())
                spans.add((one.until or 0) - one.since, (one.task, one.seq))
