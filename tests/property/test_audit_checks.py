"""The checks of `audit` find at every transaction what the whole check finds, also in logs that nobody could write."""

from __future__ import annotations

import copy
import random

import pytest

from kugetsu.domain import invariants
from kugetsu.domain.audit.checks import Checks
from kugetsu.domain.fold import fold
from kugetsu.domain.state import empty
from property.simulation import Event, World, random_commands, short_listing, transactions


def mangled(events: list[Event], chance: random.Random) -> list[Event]:
    """The log as a bad program or a bad hand may leave it: events lost, doubled, moved, their values of others."""
    made: list[Event] = []
    for event in copy.deepcopy(events):
        luck = chance.random()
        if luck < 0.03:
            continue
        if luck < 0.06:
            made.append(copy.deepcopy(event))
        if luck < 0.10:
            name = chance.choice(("task", "attempt", "session"))
            others = [other[name] for other in events if name in other]
            if name in event and others:
                event[name] = chance.choice(others)
        if luck > 0.95 and "slot" in event["data"]:
            event["data"]["slot"] = chance.choice((None, 0, 1, 2, "one"))
        if luck > 0.97 and made:
            made.insert(chance.randrange(len(made)), event)
            continue
        made.append(event)
    for number, event in enumerate(made, 1):
        event["seq"] = number
    return made


def compared(events: list[Event]) -> Checks:
    whole = empty()
    checks = Checks(empty())
    for group in transactions(events):
        for event in group:
            fold(whole, event)
            checks.add(event)
        assert sorted(checks.sentences()) == sorted(invariants.broken(whole)), group
    assert checks.state.seq == whole.seq
    assert checks.refused_seen >= whole.violations_seen
    return checks


@pytest.mark.parametrize("seed", range(6))
def test_a_log_of_kugetsu_breaks_nothing(seed: int) -> None:
    world = World()
    with short_listing(3):
        for _ in world.play(random_commands(seed, 500)):
            pass
        checks = compared(world.memory.events)
    assert (checks.broken, checks.refused, checks.refused_seen) == ([], [], 0)


@pytest.mark.parametrize("seed", range(40))
def test_in_a_mangled_log_the_same_is_found_as_by_the_whole_check(seed: int) -> None:
    world = World()
    with short_listing(3):
        for _ in world.play(random_commands(seed, 300)):
            pass
        checks = compared(mangled(world.memory.events, random.Random(seed)))
    assert checks.refused_seen or checks.broken_seen


def test_mangled_logs_break_invariants_of_every_record() -> None:
    parts = {"does not know it", "is held by", "is not live", "working without", "holds no slot"}
    for seed in range(200):
        world = World()
        with short_listing(3):
            for _ in world.play(random_commands(seed, 250)):
                pass
            checks = compared(mangled(world.memory.events, random.Random(seed)))
        parts -= {part for part in parts for finding in checks.broken if part in finding.text}
        if not parts:
            break
    assert not parts, "no mangled log broke these"


def test_a_state_that_is_broken_already_is_found_at_once() -> None:
    world = World()
    world.enqueue(0, 1)
    world.state.tasks["q1"].attempt = "q1.9"
    assert sorted(Checks(world.state).sentences()) == sorted(invariants.broken(world.state))


def test_the_event_that_broke_it_first_and_the_one_that_mended_it_are_told() -> None:
    world = World()
    world.cap = 4
    world.enqueue(0, 1)
    world.enqueue(1, 1)
    world.daemon_start(1, 1)
    world.dispatch(1, 2)
    world.dispatch(1, 2)
    world.finish(1, 0)
    events = copy.deepcopy(world.memory.events)
    second = [event for event in events if event["type"] == "attempt.claimed"][1]
    second["data"]["slot"] = 1
    ended = next(event for event in events if event["type"].startswith("attempt.") and "outcome" in event["data"])
    checks = compared(events)
    found = [(one.seq, one.text, one.mended) for one in checks.broken]
    assert found == [(second["seq"], "slot 1 is held by q1.1 and q2.1", ended["seq"] + ended["more"])]
