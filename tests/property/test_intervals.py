"""Holds, runs and shifts: the time of a dead daemon is its own, no second counts twice, any point may be the start."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from kugetsu.domain.audit.waits import Waits
from kugetsu.domain.decide import daemon
from kugetsu.domain.fold import fold
from kugetsu.domain.interval_fold import Intervals
from kugetsu.domain.intervals import MICRO, Hold, Interval, Shift
from kugetsu.domain.simulation import comparison
from kugetsu.domain.simulation.metrics import Measured, figures
from kugetsu.domain.state import empty
from kugetsu.model import clock
from kugetsu.model.clock import parse
from property.nights import Night
from property.nights import night as night_of
from property.simulation import ISSUES, PROCESS, Event, World, random_commands


class Deadly(Night):
    """A night whose daemon dies without a word, more than once, and is dead until somebody starts another."""

    dead = False

    def dispatch_all(self) -> None:
        if self.dead:
            self.wake = None
        else:
            super().dispatch_all()

    def do_die(self, subject: str) -> None:
        self.dead, self.since = True, self.now

    def do_start(self, subject: str) -> None:
        if self.dead:
            self.do(lambda state: daemon.started(state, PROCESS, f"daemon-{state.seq}"))
            self.dead = False
            self.nights.append((self.since, self.now))

    nights: list[tuple[str, str]]
    since: str


def deadly(seed: int) -> Deadly:
    chance = random.Random(seed)
    made = Deadly(seed)
    made.nights = []
    for _ in range(40):
        made.arrive(chance.uniform(0.0, 20_000.0))
    for _ in range(20):
        made.after(chance.uniform(0.0, 20_000.0), "command", chance.choice(("cancel", "retry", "move", "start")))
    for place in range(3):
        at = chance.uniform(0.0, 6000.0) + 7000.0 * place
        made.after(at, "die")
        made.after(at + chance.uniform(100.0, 900.0), "start")
    made.live()
    return made


def intervals_of(events: list[Event], now: str, *, dead: bool = False) -> list[Interval]:
    """The intervals of a log that ends at ``now``, the holds that are open then included."""
    intervals = Intervals(empty(), events[0]["at"])
    closed = [one for event in events for one in intervals.add(event)]
    return [*closed, *intervals.settle(now, dead=dead), *intervals.open_holds()]


def deaths(intervals: list[Interval]) -> list[int | None]:
    return [one.until for one in intervals if isinstance(one, Shift) and one.end == "lost"]


def waited(events: list[Event], now: str, only: str | None = None) -> dict[str, int]:
    found = Waits(empty(), events[0]["at"], None, only)
    for event in events:
        found.add(event)
    found.end(now, dead=True)
    return {gate: spans.total for gate, spans in found.by_gate.items()}


@pytest.mark.parametrize("seed", range(12))
def test_nothing_waits_for_its_turn_while_the_daemon_is_dead(seed: int) -> None:
    """A daemon of these nights answers at once: what nothing holds waits for one that is dead."""
    night = deadly(seed)
    dead = [(parse(since), parse(until)) for since, until in night.nights]
    found = intervals_of(night.memory.events, night.now)
    assert dead
    for hold in (one for one in found if isinstance(one, Hold)):
        assert hold.until is not None
        if hold.gate == "daemon":
            assert any(low <= hold.since and hold.until <= high for low, high in dead), "a living daemon is not missed"
        elif hold.gate == "turn":
            assert not any(hold.since < high and hold.until > low for low, high in dead)
    assert all(any(low <= since <= high for low, high in dead) for since in deaths(found) if since is not None)


@pytest.mark.parametrize("seed", range(12))
def test_a_death_counts_the_same_before_anybody_recorded_it(seed: int) -> None:
    night = deadly(seed)
    lost = next(event for event in night.memory.events if event["type"] == "daemon.lost")
    events = [event for event in night.memory.events if event["seq"] < lost["seq"]]
    found = intervals_of(events, lost["at"], dead=True)
    recorded = intervals_of([*events, lost], lost["at"])
    assert sorted(map(repr, found)) == sorted(map(repr, recorded))
    assert deaths(found)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("history", ["deadly", "random"])
def test_the_waits_of_all_issues_are_those_of_the_whole(seed: int, history: str) -> None:
    events, now = played(seed, history)
    parts: Counter[str] = Counter()
    for key in (*ISSUES, "pm"):
        parts.update(waited(events, now, key))
    assert parts == waited(events, now)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("history", ["deadly", "random"])
def test_all_waits_together_are_what_a_simulation_is_measured_by(seed: int, history: str) -> None:
    """`audit waits` and `replay --what-if` tell the same time of waiting, only that one asks for whom."""
    events, _ = played(seed, history)
    scenario = comparison.record(lambda: events)
    assert scenario is not None
    measured = Measured(scenario.tally, comparison.queued_between(scenario, None, None), scenario.horizon)
    whole = sum(waited(events, events[-1]["at"]).values()) / MICRO
    assert figures(scenario.tally, measured)["waiting_total"] == pytest.approx(whole)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("history", ["deadly", "night"])
def test_begun_at_any_point_the_holds_after_it_are_those_of_the_whole(seed: int, history: str) -> None:
    events, now = played(seed, history)
    whole = intervals_of(events, now, dead=True)
    state, cap, begun = empty(), None, 0
    for place, event in enumerate(events):
        fold(state, event)
        cap = event.get("facts", {}).get("cap", cap)
        if place < begun + 37 or event.get("more"):
            continue
        begun, since = place, parse(state.at)
        intervals = Intervals(state, state.at, cap)
        part = [one for later in events[place + 1 :] for one in intervals.add(later)]
        part += [*intervals.settle(now, dead=True), *intervals.open_holds()]
        assert holds_after(since, part) == holds_after(since, whole)


def holds_after(since: int, intervals: list[Interval]) -> list[tuple[str, str, int, int]]:
    holds = [one for one in intervals if isinstance(one, Hold) and (one.until or 0) > since]
    return sorted((one.task, one.gate, max(one.since, since), one.until or 0) for one in holds)


def played(seed: int, history: str) -> tuple[list[Event], str]:
    if history == "deadly":
        night = deadly(seed)
        return night.memory.events, night.now
    if history == "night":
        lived = night_of(seed, 60, commands=40)
        return lived.live(), lived.now
    world = World()
    for _ in world.play(random_commands(seed, 400)):
        pass
    return world.memory.events, clock.add_seconds(world.now, 60.0)
