"""What is taken over from a log: what people did and when, what every attempt did, and how the machine was."""

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
from kugetsu.domain.simulation.tally import Ledger
from kugetsu.domain.state import State, empty
from kugetsu.model.record import field, record

if TYPE_CHECKING:
    Moment = tuple[int, float]

#: A way that was open for longer before its task was claimed was no latency: the dispatcher did not look.
PAUSE_MICROS = 10 * SECOND


@record
class Past:
    """What one attempt did. Times in microseconds; ``running`` and ``ended`` are None when it never came to that.

    ``verdict`` is what its end meant for the task (`Ending`), ``brought`` whether it changed anything: True,
    False, or None when nothing was said of it. ``stopped`` is when somebody cancelled it, ``facts`` what its end was
    decided from, ``lag`` how old these were when the end was written. ``seqs`` are its events claimed, running, ended.
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
        """From the claim to the agent that runs; to its end when none ever ran."""
        until = self.running if self.running is not None else self.ended
        return (until if until is not None else self.claimed) - self.claimed

    @property
    def work(self) -> int | None:
        """For how long its agent ran; None when none ran, or when nobody knows how it ended."""
        return self.ended - self.running if self.ended is not None and self.running is not None else None

    @property
    def cancelled(self) -> bool:
        """Whether somebody cut it short: for how long it would have run nobody knows."""
        return self.stopped is not None and self.verdict != "done"


@record
class Limit:
    """A usage limit of an agent and model: from the attempt that ran into it until its end, as far as is known."""

    label: str | None
    since: int
    until: int
    #: The end that the provider stated; None when it stated none.
    resets_at: str | None


@record
class Latency:
    """How long the way of a claim was open before it was made, and the seq of that claim."""

    micros: int
    seq: int


class Pauses:
    """Spans in which no dispatcher looked although a task could have started. A moment is a time and, for what happens
    at the same time, a seq (half a seq less: what a transaction tells of the settings, right before it)."""

    def __init__(self) -> None:
        self.spans: list[tuple[Moment, Moment]] = []
        self._begins: list[Moment] = []
        self._latest: list[Moment] = []

    def add(self, since: Moment, until: Moment) -> None:
        """One more."""
        place = bisect_right(self._begins, since)
        self._begins.insert(place, since)
        self.spans.insert(place, (since, until))
        before = self._latest[place - 1] if place else until
        self._latest[place:] = list(accumulate((end for _, end in self.spans[place:]), max, initial=before))[1:]

    def over(self, at: Moment) -> Moment:
        """When a dispatcher looks again after ``at``: ``at`` itself, outside of all pauses. The end of a pause is a
        look, also when the next one begins with it."""
        place = bisect_right(self._begins, at) - 1
        while place >= 0 and self._latest[place] > at:
            at = self._latest[place]
            place = bisect_left(self._begins, at) - 1
        return at


class Scenario:
    """The recorded inputs of a simulation, and what really happened (``ledger``).

    ``base`` is the state when it begins, made anew for each simulation (`state_codec.dump`, or None for the empty one).
    ``steps`` are the facts of decisions by the time and seq at which they were first known, ``known`` those from
    before; ``deeds`` what people and other causes outside of the queue did: for each transaction its time, its first
    seq, its decision, and those of its events that are done again (`user_actions.ACTS`).
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.base: dict[str, Any] | None = None
        #: What was counted before it begins.
        self.counted = Ledger()
        self.begins = 0
        #: The task whose way is open when it begins, and since when.
        self.open: tuple[str, Moment] | None = None
        self.known: dict[str, Any] = {}
        self.steps: list[tuple[int, float, dict[str, Any]]] = []
        self.deeds: list[tuple[int, int, str, Sequence[Event]]] = []
        self.pasts: dict[str, list[Past]] = {}
        self.limits: list[Limit] = []
        self.latencies: dict[tuple[str, int], Latency] = {}
        #: Claims that no dispatcher's look explains: time and seq.
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
        """An attempt of which nothing is known: the middle of all that were done, or of all that ended."""
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
    """A state of its own."""
    return empty() if dumped is None else state_codec.load(deepcopy(dumped))
