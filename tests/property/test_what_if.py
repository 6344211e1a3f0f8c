"""A recorded queue that is lived again with nothing changed is what was recorded: every claim in order, at its time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from kugetsu.domain.decide import claims
from kugetsu.domain.simulation import comparison
from kugetsu.domain.simulation.engine import Simulation
from kugetsu.domain.simulation.metrics import Measured, figures
from kugetsu.domain.simulation.overrides import Changes
from kugetsu.domain.simulation.scenario import Scenario
from kugetsu.domain.waiting_line import WaitingLine
from property.nights import WITH_OUTAGES, night
from property.simulation import Event, World, random_commands, short_listing

LOGS = Path(__file__).parents[1] / "fixtures" / "logs"


def recorded(events: list[Event], since: str | None = None) -> Scenario:
    scenario = comparison.record(lambda: events, since)
    assert scenario is not None
    return scenario


def unchanged(events: list[Event], since: str | None = None) -> tuple[Scenario, Simulation, Measured]:
    scenario = recorded(events, since)
    tasks = comparison.queued_between(scenario, since, None)
    return scenario, comparison.simulate(scenario, Changes()), Measured(scenario.tally, tasks, scenario.horizon)


def assert_as_recorded(events: list[Event], since: str | None = None) -> None:
    scenario, simulation, measured = unchanged(events, since)
    check = comparison.agreement(scenario.tally, simulation.tally, measured)
    assert (check.same_order, check.off) == (True, 0.0)
    claimed = [claim for claim in simulation.tally.claims if claim[2] <= scenario.horizon]
    assert claimed == scenario.tally.claims, "also the times of all claims are those of the record, to the microsecond"


def history(seed: int, commands: int) -> list[Event]:
    world = World()
    for _ in world.play(random_commands(seed, commands)):
        pass
    return world.memory.events


@pytest.mark.parametrize("seed", range(40))
def test_a_random_history_lived_again_unchanged_is_as_recorded(seed: int) -> None:
    """Whatever anybody did in whatever order, also with dispatchers that sleep, plans that are old and daemons that
    die: all of it is in the record."""
    events = history(seed, 250)
    if comparison.first_facts(events) is not None:
        assert_as_recorded(events)


@pytest.mark.parametrize("seed", range(8))
def test_a_history_that_names_no_decision_is_as_recorded(seed: int) -> None:
    """As versions wrote it that recorded only what came of decisions."""
    events = [{key: value for key, value in event.items() if key != "decision"} for event in history(seed, 250)]
    if comparison.first_facts(events) is not None:
        assert_as_recorded(events)


@pytest.mark.parametrize("seed", range(12))
def test_a_night_lived_again_unchanged_is_as_recorded(seed: int) -> None:
    """A daemon that is awake, with and without latency, and people who type things."""
    events = night(seed, 60, commands=seed * 5, latency=(0.0, 0.02, 2.0)[seed % 3]).live()
    assert_as_recorded(events)
    scenario, simulation, measured = unchanged(events)
    before, after = figures(scenario.tally, measured), figures(simulation.tally, measured)
    assert before == after


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 6])
def test_a_night_with_outages_lived_again_unchanged_is_as_recorded(seed: int) -> None:
    events = night(seed, 60, commands=seed * 5, latency=(0.0, 0.02, 2.0)[seed % 3], ends=WITH_OUTAGES).live()
    assert any("outage" in event["data"] for event in events)
    assert_as_recorded(events)


@pytest.mark.parametrize("seed", range(6))
def test_a_part_of_a_night_lived_again_unchanged_is_as_recorded(seed: int) -> None:
    events = night(seed, 60, commands=20, latency=0.02).live()
    assert_as_recorded(events, since=events[len(events) * (seed + 1) // 8]["at"])


@pytest.mark.parametrize("log", sorted(path.name for path in LOGS.iterdir() if path.is_dir()))
def test_a_real_log_lived_again_unchanged_is_as_recorded(log: str) -> None:
    lines = [line for path in sorted((LOGS / log).glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    assert_as_recorded([orjson.loads(line) for line in lines])


@pytest.mark.parametrize("seed", range(30))
def test_the_line_finds_the_task_that_a_plan_finds(seed: int) -> None:
    world, line, seen = World(), WaitingLine(), 0
    for _ in world.play(random_commands(seed, 200)):
        for event in world.memory.events[seen:]:
            if "task" in event:
                line.update(world.state, event["task"])
        seen = len(world.memory.events)
        for dispatcher in ("daemon", "none"):
            facts = world.claim_facts(dispatcher)
            plan, short = claims.plan(world.state, facts), claims.plan_next(world.state, facts, line)
            assert short.candidate == plan.candidate
            if plan.candidate is None and plan.next_look is not None and short.next_look is not None:
                assert short.next_look >= plan.next_look or short.next_look > facts["now"]


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 6])
def test_whatever_is_changed_the_machines_and_invariants_hold(seed: int) -> None:
    from kugetsu.domain import invariants

    scenario = recorded(night(seed, 40, commands=30, latency=0.02).live())
    for changes in CHANGED:
        simulation = comparison.simulate(scenario, changes)
        assert invariants.broken(simulation.state) == []
        assert [text for text in simulation.state.violations if "daemon" not in text["text"]] == []
        if "cap" in changes.claim:
            assert max(live for _, live, _, _ in simulation.tally.fill) <= changes.claim["cap"]


def changed(**facts: Any) -> Changes:
    changes = Changes()
    for name, value in facts.items():
        if name in ("timeout_seconds", "other_cap"):
            setattr(changes, name, value)
        elif name in ("backoff_seconds", "pause_seconds"):
            changes.outcome[name] = value
        else:
            changes.claim[name] = value
            changes.outcome[name] = value
    return changes


CHANGED = (
    changed(cap=1),
    changed(cap=9),
    changed(max_attempts=1),
    changed(max_attempts=6),
    changed(backoff_seconds=0.0),
    changed(pause_seconds=60.0),
    changed(timeout_seconds=120.0),
    changed(timeout_seconds=7200.0),
    changed(max_runs_without_progress=1),
    changed(issue_max_tokens=100_000),
    changed(other_cap=1),
)


@pytest.mark.parametrize("seed", range(10))
def test_the_line_finds_the_task_that_a_plan_finds_also_when_finished_tasks_leave_the_list(seed: int) -> None:
    with short_listing(3):
        test_the_line_finds_the_task_that_a_plan_finds(seed)
