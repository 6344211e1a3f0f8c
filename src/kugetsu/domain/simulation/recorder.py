"""Reads a scenario from a log: folds it event by event and records the inputs of the queue.

A dispatcher's decisions (claims, holds, retries, parks) are not inputs, with one exception: how long after the opening
of its gates a task was claimed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from kugetsu.domain import state_codec
from kugetsu.domain.decide import claims
from kugetsu.domain.events import MALFORMED, Event
from kugetsu.domain.fold import fold, usage
from kugetsu.domain.recorded_facts import OF_ONE_DECISION, decided, facts_then
from kugetsu.domain.replay.divergence import present
from kugetsu.domain.simulation import unnamed
from kugetsu.domain.simulation.micros import micros_of, text_of
from kugetsu.domain.simulation.scenario import PAUSE_MICROS, Latency, Limit, Past, Scenario
from kugetsu.domain.simulation.tally import Tally
from kugetsu.domain.simulation.user_actions import ACTS
from kugetsu.domain.state import ENDED, Session, empty
from kugetsu.domain.waiting_line import WaitingLine
from kugetsu.model.errors import BadInput

if TYPE_CHECKING:
    from kugetsu.domain.simulation.scenario import Moment


HOW = {type: how for how, type in ENDED.items()}

#: An attempt's consequence → its verdict, for logs that did not record it.
_VERDICTS = {
    "task.completed": "done",
    "task.retried": "retry",
    "task.parked": "limited",
    "task.failed": "give_up",
    "task.cancelled": "cancelled",
}

#: The runs without progress of a probe before an attempt's end is counted on it.
_PROBE = 7


def first_facts(events: Iterable[Event]) -> dict[str, Any] | None:
    """The first facts of a dispatching decision; None if nothing ever ran or was held."""
    return next((_settings(event["facts"]) for event in events if decided(event)), None)


def _settings(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in OF_ONE_DECISION}


#: What an event must name to be read as an input, by the first word of its kind.
_NAMED = {"task": ("task",), "attempt": ("task", "attempt"), "session": ("session",)}


def _is_complete(event: Event) -> bool:
    """False for an event of a damaged or forged log that does not fit its kind, or does not name its subject."""
    return event["type"] != MALFORMED and all(event.get(key) for key in _NAMED.get(event["type"].split(".")[0], ()))


class Recorder:
    """Reads events one by one; `scenario` is complete after the last.

    ``known`` are the log's first facts (`first_facts`); the simulation starts with the first event that is not earlier
    than ``since`` (UTC text).
    """

    def __init__(self, known: dict[str, Any], since: str | None = None) -> None:
        self.scenario = Scenario(Tally())
        self._known = known
        self._since = micros_of(since) if since is not None else None
        self._began = False
        self._now = 0
        self._state = empty()
        self._line = WaitingLine()
        self._live: dict[str, Past] = {}
        self._group: list[Event] = []
        self._candidate: str | None = None
        self._first = 0
        self._seq: float = 0
        self._open_since: Moment = (0, 0)
        #: Spans with open gates but no claim: task, number of the attempt that was not made, since, until.
        self._missed: list[tuple[str, int, Moment, Moment]] = []
        self._wake: int | None = None

    def add(self, event: Event) -> None:
        """Read the next event of the log."""
        self._group.append(event)
        if "more" not in event:
            group, self._group = self._group, []
            self._take(present(group))

    def finish(self) -> Scenario:
        """Complete the scenario after the last event."""
        scenario = self.scenario
        if not self._began:
            self._begin()
        scenario.horizon = self._now
        scenario.last_seq = self._state.seq
        self._miss((self._now + 1, 0))
        self._pause_where_missed()
        _shorten(scenario)
        return scenario

    def _take(self, group: Sequence[Event]) -> None:
        now = max(self._now, micros_of(group[0]["at"]))
        self._pass_time(now)
        self._now, self._seq, self._first = now, group[0]["seq"], group[0]["seq"]
        if not self._began and (self._since is None or now >= self._since):
            self._begin()
        for event in group:
            if decided(event):
                self._known = _settings(event["facts"])
                self._seq = self._first - 0.5
                self.scenario.steps.append((now, self._seq, self._known))
                self._choose()
                self._seq = self._first
        self._classify(group)
        for event in group:
            fold(self._state, event)
            self.scenario.tally.see(event, now)
            if "task" in event:
                self._line.update(self._state, event["task"])
        cap = self._known["cap"]
        self.scenario.tally.settle(now, len(self._state.live("dev")), len(self._line), cap)
        self._choose()

    def _begin(self) -> None:
        """Start the simulated part here."""
        self._began = True
        scenario = self.scenario
        scenario.begins = self._now
        scenario.known = self._known
        scenario.open = (self._candidate, self._open_since) if self._candidate is not None else None
        scenario.steps.clear()
        scenario.deeds.clear()
        scenario.live = list(self._live.values())
        scenario.counted = deepcopy(scenario.tally)
        if self._state.seq:
            scenario.base = deepcopy(state_codec.dump(self._state))

    # --- the dispatcher's looks -------------------------------------------------------------------------------------

    def _pass_time(self, until: int) -> None:
        """Step through the times before ``until`` at which a gate opens by time."""
        while self._wake is not None and self._wake <= until:
            self._now, self._seq = max(self._now, self._wake), -1
            self._wake = None
            self._choose()

    def _choose(self) -> None:
        if not len(self._line):
            self._miss((self._now, self._seq))
            self._candidate, self._wake = None, None
            return
        plan = claims.plan_next(self._state, facts_then(self._known, self._state, text_of(self._now)), self._line)
        self._wake = _later(plan.next_look, self._now)
        if plan.candidate != self._candidate:
            self._miss((self._now, self._seq))
            self._candidate, self._open_since = plan.candidate, (self._now, self._seq)

    def _miss(self, until: Moment) -> None:
        """A gate of the candidate closes without a claim."""
        if self._candidate is not None:
            task = self._state.tasks.get(self._candidate)
            number = task.usage.attempts + 1 if task is not None else 0
            self._missed.append((self._candidate, number, self._open_since, until))

    def _pause_where_missed(self) -> None:
        """Record a pause for every task that could have been claimed and was not within the usual latency."""
        scenario = self.scenario
        usual = Latency(scenario.usual_latency(), 0)
        for task, number, since, until in self._missed:
            if until[0] - since[0] >= scenario.latencies.get((task, number), usual).micros and until > since:
                scenario.pauses.add(since, until)

    def _claimed(self, claim: Event) -> None:
        self._seq = claim["seq"]
        task, scenario = claim["task"], self.scenario
        key = (task, claim["data"]["number"])
        if task != self._candidate:
            scenario.forced[key] = (self._now, claim["seq"])
            self._deed("claims.claim", [claim])
            return
        self._candidate = None
        since = scenario.pauses.over(self._open_since)
        if self._now - since[0] > PAUSE_MICROS:
            scenario.pauses.add(since, (self._now, claim["seq"]))
            since = (self._now, 0)
        scenario.latencies[key] = Latency(self._now - since[0], claim["seq"])

    # --- which decision a transaction is -----------------------------------------------------------------------------

    def _deed(self, name: str, events: Sequence[Event]) -> None:
        self.scenario.deeds.append((self._now, self._first, name, events))

    def _classify(self, group: Sequence[Event]) -> None:
        if not all(map(_is_complete, group)):
            return
        name = group[0].get("decision") or unnamed.decision_of(group)
        if name == "attempts.finish":
            self._attempt_ended(group)
        elif name.startswith("claims."):
            claim = next((event for event in group if event["type"] == "attempt.claimed"), None)
            if claim is not None:
                if name == "claims.start":
                    self._deed(name, group[:1])
                else:
                    self._claimed(claim)
                self._attempt_claimed(claim)
        elif name in ("sessions.destroyed", "sessions.broken"):
            session = self._state.sessions.get(group[0]["session"])
            if session is not None and session.destroying:
                self._deed(name, group)
        elif name == "sessions.prepared":
            self.scenario.prepared[group[0]["session"]] = group[0]
        elif name == "attempts.running":
            if (past := self._live.get(group[0]["attempt"])) is not None:
                past.running = self._now
                past.seqs[1] = group[0]["seq"]
        elif name in ACTS:
            for event in group:
                if event["type"] == "attempt.stop_requested" and event["attempt"] in self._live:
                    self._live[event["attempt"]].stopped = self._now
            self._deed(name, group[ACTS[name][0]])

    def _attempt_claimed(self, claim: Event) -> None:
        data = claim["data"]
        label = data.get("agent") or (claim["facts"]["agent"] if "facts" in claim else None)
        past = Past(claim["task"], data["number"], data["kind"], label, self._now, [claim["seq"], 0, 0])
        self.scenario.pasts.setdefault(past.task, []).append(past)
        self._live[claim["attempt"]] = past

    def _attempt_ended(self, group: Sequence[Event]) -> None:
        end = group[0]
        past = self._live.pop(end["attempt"], None)
        if past is None:
            return
        data, facts = end["data"], dict(end.get("facts", ()))
        past.ended = self._now
        past.seqs[2] = end["seq"]
        past.how = HOW[end["type"]]
        consequence = next((event["type"] for event in group if event["type"] in _VERDICTS), "task.retried")
        past.verdict = facts.pop("verdict", None) or _VERDICTS[consequence]
        past.reason, past.tokens, past.cost = data["reason"], data["tokens"], data["cost"]
        past.resets_at = facts.pop("resets_at", None)
        past.brought = self._brought(end)
        for name in ("session_lost", "used", "unavailable"):
            facts.pop(name, None)
        past.facts = facts
        if "now" in facts:
            past.lag = micros_of(facts["now"]) - self._now
        if past.verdict == "limited":
            parked = next((event["data"] for event in group if event["type"] == "task.parked"), None)
            self._limit(past, parked)

    def _brought(self, end: Event) -> bool | None:
        """Whether the attempt made progress, by the production function on a session like its own."""
        live = self._state.attempts.get(end["attempt"])
        session = self._state.sessions.get(live.session) if live is not None else None
        if session is None:
            return None
        probe = Session(session.key, session.kind)
        probe.head, probe.comments, probe.usage.no_progress_runs = session.head, session.comments, _PROBE
        usage.note_end(probe, end["type"] == "attempt.succeeded", end["data"]["evidence"])
        runs = probe.usage.no_progress_runs
        return None if runs == _PROBE else runs == 0

    def _limit(self, past: Past, parked: dict[str, Any] | None) -> None:
        if parked is None:
            return
        until = micros_of(parked["until"])
        stated = parked["stated"] and past.resets_at is not None
        if stated:
            try:
                until = micros_of(past.resets_at or "")
            except BadInput:  # a provider's text may be anything
                stated = False
        if until > self._now:
            resets_at = past.resets_at if stated else None
            self.scenario.limits.append(Limit(parked["limit"], self._now, until, resets_at))


def _later(wake: str | None, now: int) -> int | None:
    at = micros_of(wake) if wake is not None else None
    return at if at is not None and at > now else None


def _shorten(scenario: Scenario) -> None:
    """End a limit at the start of an attempt with the same agent and model that completed nevertheless."""
    done = sorted((past.claimed, past.label) for past in scenario.attempts() if past.verdict == "done" and past.ended)
    starts: dict[str | None, list[int]] = {}
    for claimed, label in done:
        starts.setdefault(label, []).append(claimed)

    for limit in scenario.limits:
        of_label = starts.get(limit.label, [])
        place = bisect_right(of_label, limit.since)
        if place < len(of_label) and of_label[place] < limit.until:
            limit.until = of_label[place]
