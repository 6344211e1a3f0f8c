"""The inputs of a simulation, read from a log: user actions, what every attempt did, and the machine's facts."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from copy import deepcopy
from itertools import accumulate
from statistics import median
from typing import TYPE_CHECKING, Any

from kugetsu.domain import state_codec
from kugetsu.domain.events import Event
from kugetsu.domain.simulation.micros import SECOND
from kugetsu.domain.simulation.tally import Tally
from kugetsu.domain.state import State, empty
from kugetsu.model.record import field, record

if TYPE_CHECKING:
    Moment = tuple[int, float]

#: A longer delay between open gates and the claim is a pause of the dispatcher, not a latency.
PAUSE_MICROS = 10 * SECOND


@record
class Past:
    """What one attempt did. Times in microseconds; ``running`` and ``ended`` are None if it never got there.

    ``verdict`` is what its end meant for the task (`Ending`), ``brought`` whether it changed anything (None if
    unknown), ``stopped`` when it was cancelled, ``facts`` what its end was decided from, ``lag`` how old these were
    when the end was written. ``seqs`` are the seqs of its events claimed, running, ended.
    """

    task: str
    number: int
    kind: str
    label: str | None
    claimed: int
    seqs: list[int]
    running: int | None = None
    ended: int | None = None
    stopped: int | None = None
    how: str = "lose"
    verdict: str = "retry"
    reason: str = ""
    tokens: int = 0
    cost: float = 0.0
    brought: bool | None = None
    resets_at: str | None = None
    facts: dict[str, Any] = field(factory=dict)
    lag: int = 0

    @property
    def startup(self) -> int:
        """From the claim to the running agent; to the end if none ever ran."""
        until = self.running if self.running is not None else self.ended
        return (until if until is not None else self.claimed) - self.claimed

    @property
    def work(self) -> int | None:
        """How long its agent ran; None if none ran or its end is unknown."""
        return self.ended - self.running if self.ended is not None and self.running is not None else None

    @property
    def cancelled(self) -> bool:
        """Whether it was cut short, so that its full duration is unknown."""
        return self.stopped is not None and self.verdict != "done"


@record
class Limit:
    """A usage limit of an agent and model: from the attempt that met it until its end, as far as known."""

    label: str | None
    since: int
    until: int
    #: The end that the provider stated, or None.
    resets_at: str | None


@record
class Latency:
    """How long a claim's gates were open before it was made, and the seq of that claim."""

    micros: int
    seq: int


class Pauses:
    """Spans in which no dispatcher acted although a task could have started. A moment is a time and, to order events of
    the same time, a seq (half a seq less for the settings that a transaction shows, right before it)."""

    def __init__(self) -> None:
        self.spans: list[tuple[Moment, Moment]] = []
        self._begins: list[Moment] = []
        self._latest: list[Moment] = []

    def add(self, since: Moment, until: Moment) -> None:
        """Add a span."""
        place = bisect_right(self._begins, since)
        self._begins.insert(place, since)
        self.spans.insert(place, (since, until))
        before = self._latest[place - 1] if place else until
        self._latest[place:] = list(accumulate((end for _, end in self.spans[place:]), max, initial=before))[1:]

    def over(self, at: Moment) -> Moment:
        """When a dispatcher acts again after ``at``: ``at`` itself outside of all pauses. It acts at the end of a
        pause, even if the next one begins then."""
        place = bisect_right(self._begins, at) - 1
        while place >= 0 and self._latest[place] > at:
            at = self._latest[place]
            place = bisect_left(self._begins, at) - 1
        return at


class Scenario:
    """The recorded inputs of a simulation, and what really happened (``tally``).

    ``base`` is the state at its start, copied for each simulation (`state_codec.dump`, or None for the empty one).
    ``steps`` are the facts of decisions by the time and seq at which they were first known, ``known`` the earlier ones.
    ``deeds`` are the actions of users and other causes outside of the queue: for each transaction its time, first seq,
    decision, and the events to repeat (`user_actions.ACTS`).
    """

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.base: dict[str, Any] | None = None
        #: The counts before its start.
        self.counted = Tally()
        self.begins = 0
        #: The task whose gates are open at its start, and since when.
        self.open: tuple[str, Moment] | None = None
        self.known: dict[str, Any] = {}
        self.steps: list[tuple[int, float, dict[str, Any]]] = []
        self.deeds: list[tuple[int, int, str, Sequence[Event]]] = []
        self.pasts: dict[str, list[Past]] = {}
        self.limits: list[Limit] = []
        self.latencies: dict[tuple[str, int], Latency] = {}
        #: Claims that no step of a dispatcher explains: time and seq.
        self.forced: dict[tuple[str, int], tuple[int, int]] = {}
        self.pauses = Pauses()
        self.prepared: dict[str, Event] = {}
        self.live: list[Past] = []
        self.horizon = 0
        self.last_seq = 0

    def attempts(self) -> Iterable[Past]:
        """All attempts, task by task."""
        return (past for pasts in self.pasts.values() for past in pasts)

    def typical(self) -> Past:
        """The stand-in for an unknown attempt: the median of all completed ones, else of all that ended."""
        ended = [past for past in self.attempts() if past.work is not None and not past.cancelled]
        done = [past for past in ended if past.verdict == "done"] or ended
        middle = Past("", 0, "dev", None, 0, [self.last_seq + 1, 0, 0])
        middle.how, middle.verdict, middle.reason = "succeed", "done", "assumed"
        middle.seqs = [self.last_seq + 1] * 3
        middle.running = round(median(past.startup for past in ended)) if ended else SECOND
        middle.ended = middle.running + (round(median(past.work or 0 for past in done)) if done else SECOND)
        middle.tokens = round(median(past.tokens for past in done)) if done else 0
        middle.cost = median(past.cost for past in done) if done else 0.0
        middle.brought = True
        return middle

    def usual_latency(self) -> int:
        """The median latency of the recorded claims."""
        return round(median(one.micros for one in self.latencies.values())) if self.latencies else 0


def state_of(dumped: dict[str, Any] | None) -> State:
    """A new copy of a dumped state; the empty one for None."""
    return empty() if dumped is None else state_codec.load(deepcopy(dumped))
