"""Time in which the daemon was dead is told as such, whatever happened meanwhile; and no second counts twice."""

from __future__ import annotations

import random

import pytest

from kugetsu.domain.audit.spans import Clock
from kugetsu.domain.audit.waits import Waits
from kugetsu.domain.decide import daemon
from kugetsu.domain.simulation import comparison
from kugetsu.domain.simulation.metrics import Measured, figures
from kugetsu.domain.state import empty
from kugetsu.model import clock
from property.nights import Night
from property.simulation import ISSUES, PROCESS, Event, World, random_commands

#: reason, task, issue, since, until, event
Told = tuple[str, str, str | None, int, int, int]


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


def told_of(events: list[Event], now: str, only: str | None = None, *, dead: bool = False) -> tuple[Waits, list[Told]]:
    told: list[Told] = []
    found = Waits(empty(), events[0]["at"], None, only, lambda *wait: told.append(wait))
    for event in events:
        found.add(event)
    found.end(now, dead=dead)
    return found, told


@pytest.mark.parametrize("seed", range(12))
def test_nothing_waits_for_its_turn_while_the_daemon_is_dead(seed: int) -> None:
    """A daemon of these nights answers at once: what nothing holds waits for one that is dead."""
    night = deadly(seed)
    micros = Clock().micros
    dead = [(micros(since), micros(until)) for since, until in night.nights]
    found, told = told_of(night.memory.events, night.now)
    assert dead
    for reason, _, _, since, until, _ in told:
        inside = [(low, high) for low, high in dead if since < high and until > low]
        if reason == "daemon":
            assert any(low <= since and until <= high for low, high in dead), "a daemon that lives is not missed"
        elif reason == "turn":
            assert not inside
    assert all(any(low <= since <= until == high for low, high in dead) for since, until in found.deaths)


@pytest.mark.parametrize("seed", range(12))
def test_a_death_counts_the_same_before_anybody_recorded_it(seed: int) -> None:
    night = deadly(seed)
    lost = next(event for event in night.memory.events if event["type"] == "daemon.lost")
    events = [event for event in night.memory.events if event["seq"] < lost["seq"]]
    found, told = told_of(events, lost["at"], dead=True)
    recorded, told_then = told_of([*events, lost], lost["at"])
    assert sorted(told, key=str) == sorted(told_then, key=str)
    assert found.deaths == recorded.deaths


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("history", ["deadly", "random"])
def test_the_waits_of_all_issues_are_those_of_the_whole(seed: int, history: str) -> None:
    events, now = played(seed, history)
    whole, _ = told_of(events, now, dead=True)
    parts: dict[str, int] = {}
    for key in (*ISSUES, "pm"):
        for reason, spans in told_of(events, now, key, dead=True)[0].by_gate.items():
            parts[reason] = parts.get(reason, 0) + spans.total
    assert parts == {reason: spans.total for reason, spans in whole.by_gate.items()}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("history", ["deadly", "random"])
def test_all_waits_together_are_what_a_simulation_is_measured_by(seed: int, history: str) -> None:
    """`audit waits` and `replay --what-if` tell the same time of waiting, only that one asks for whom."""
    events, _ = played(seed, history)
    scenario = comparison.record(lambda: events)
    assert scenario is not None
    measured = Measured(scenario.ledger, comparison.queued_between(scenario, None, None), scenario.horizon)
    found, _ = told_of(events, events[-1]["at"], dead=True)
    whole = sum(spans.total for spans in found.by_gate.values()) / 1_000_000
    assert figures(scenario.ledger, measured)["waiting_total"] == pytest.approx(whole)


def played(seed: int, history: str) -> tuple[list[Event], str]:
    if history == "deadly":
        night = deadly(seed)
        return night.memory.events, night.now
    world = World()
    for _ in world.play(random_commands(seed, 400)):
        pass
    return world.memory.events, clock.add_seconds(world.now, 60.0)
