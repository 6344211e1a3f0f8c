"""A plan asks one task of each group for all of it: it is the plan that asks every task, whatever has happened."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kugetsu.domain import gates, placement, recent_subjects, state_codec
from kugetsu.domain.decide import claims
from kugetsu.domain.facts import ClaimFacts
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.domain.verdict import Verdict
from kugetsu.domain.waiting_groups import WaitingGroups
from kugetsu.model.clock import add_seconds
from kugetsu.model.record import values
from profiles import examples
from property import many_hosts, simulation
from property.many_hosts import ManyHosts
from property.simulation import World, short_listing

#: Many issues of three repositories, so that most tasks wait without a session.
CROWD = tuple(f"example.org/o/{name}#{number}" for number in range(1, 15) for name in ("a", "b", "c"))

COMMANDS = [*sorted(set(simulation.COMMANDS)), *("enqueue",) * 20, *("dispatch", "step", "finish") * 3]
HOST_COMMANDS = [*many_hosts.COMMANDS, *("enqueue",) * 9, *("claim", "prepare", "run", "finish", "go_on", "mend")]
NUMBERS = st.integers(0, 59)
QUEUE = st.lists(st.integers(0, 59), min_size=10, max_size=40)


def histories(names: list[str]) -> st.SearchStrategy[list[tuple[str, int, int]]]:
    return st.lists(st.tuples(st.sampled_from(names), NUMBERS, NUMBERS), min_size=20, max_size=150)


def asking_every_task(state: State, facts: ClaimFacts) -> claims.Plan:
    """The plan as its docstring has it."""
    candidate, next_in_line = None, True
    held: list[tuple[str, Verdict]] = []
    looks = []
    place = placement.Placement(state, facts)
    for task in state.waiting():
        closed = gates.first_closed(state, task, facts)
        if closed is None:
            candidate = candidate or task.id
            if state.hosts:
                break
            continue
        if closed.until is not None:
            looks.append(closed.until)
        elif closed.gate in gates.MACHINE or closed.code == "parked_by_divergence":
            looks.append(add_seconds(facts["now"], gates.MACHINE_LOOK_SECONDS))
        full = closed.gate in gates.FULL
        if closed.gate != task.held and (next_in_line or not full or task.held not in gates.FULL):
            said = place.held_by(task, closed)
            if said is not None and said.gate != task.held:
                held.append((task.id, said))
        next_in_line = next_in_line and not full
    return claims.Plan(state.seq, candidate, held, min(looks, default=None))


def told(plan: claims.Plan) -> dict[str, Any]:
    return {**values(plan), "held": [(task, values(said)) for task, said in plan.held]}


def said(event: NewEvent) -> dict[str, Any]:
    """What an event says, but for the decision that the first one of a transaction names."""
    return {name: value for name, value in values(event).items() if name not in ("decision", "arguments")}


def compare(state: State, facts: ClaimFacts, kept: WaitingGroups, seen: Counter[str]) -> None:
    strict: Any = {**facts, "issue_max_tokens": 1, "issue_max_cost": 0.01, "max_runs_without_progress": 1}
    expected = told(asking_every_task(state, facts))
    assert told(claims.plan(state, facts)) == expected
    plan = claims.plan(state, facts, kept)
    assert told(plan) == expected
    all_alone = [claims.Plan(plan.seq, None, [one], None) for one in plan.held]
    recorded = [said(event) for alone in all_alone for event in claims.hold(state, alone, facts)]
    assert list(map(said, claims.hold(state, plan, facts))) == recorded
    for places in kept:
        answers = [list(map(values, gates.verdicts(state, state.tasks[one[-1]], strict))) for one in places]
        assert answers == answers[:1] * len(places), "a gate tells tasks of one group apart"
    seen["together"] += max((len(places) for places in kept), default=0) > 3
    seen["held"] += len(expected["held"]) > 3
    seen["candidate"] += expected["candidate"] is not None
    seen["again"] += any(task.held for task in state.waiting())


@pytest.fixture(autouse=True)
def crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Many issues, and few events kept: now and then all is grouped anew."""
    for module in (simulation, many_hosts):
        monkeypatch.setattr(module, "ISSUES", CROWD)
    monkeypatch.setattr(recent_subjects, "EVENTS_KEPT", 12)
    with short_listing(3):
        yield


def play_one(commands: list[tuple[str, int, int]], every: int, seen: Counter[str]) -> None:
    """A log of one host; now and then it is read from a snapshot."""
    world, kept = World(), WaitingGroups()
    for place, _ in enumerate(world.play(commands)):
        if place % 40 == 39:
            world.memory.state = state_codec.load(orjson.loads(orjson.dumps(state_codec.dump(world.state))))
        if place % every == 0:
            compare(world.state, world.claim_facts(("daemon", "none", "self")[place % 3]), kept, seen)


def play_many(commands: list[tuple[str, int, int]], every: int, seen: Counter[str]) -> None:
    """A log that three hosts share; their dispatchers record why tasks wait."""
    played, kept = ManyHosts(), WaitingGroups()
    for place, _ in enumerate(played.play(commands)):
        for machine in played.machines if place % every == 0 else ():
            known: Any = {"host": machine.host, "term": machine.term, "cap": 2}
            facts: Any = {**played.world.claim_facts("daemon"), **known}
            compare(played.state, facts, kept, seen)
            plan = claims.plan(played.state, facts, kept)
            if machine.reaches and plan.held:
                played.world.do(partial(claims.hold, planned=plan, facts=facts))


@settings(max_examples=examples(100))
@given(QUEUE, histories(COMMANDS), st.integers(1, 5))
def test_a_plan_by_groups_is_the_plan_of_every_task(
    queue: list[int], commands: list[tuple[str, int, int]], every: int
) -> None:
    play_one([*(("enqueue", number, 1 + 3 * (number % 2)) for number in queue), *commands], every, Counter())


@settings(max_examples=examples(60))
@given(QUEUE, histories(HOST_COMMANDS), st.integers(1, 5))
def test_a_plan_of_a_shared_log_by_groups_is_that_of_every_task(
    queue: list[int], commands: list[tuple[str, int, int]], every: int
) -> None:
    play_many([*(("enqueue", number, number) for number in queue), *commands], every, Counter())


@pytest.mark.parametrize(("play", "names"), [(play_one, COMMANDS), (play_many, HOST_COMMANDS)])
def test_the_histories_have_groups_reasons_and_candidates(play: Any, names: list[str]) -> None:
    seen: Counter[str] = Counter()
    for seed in range(5):
        chance = random.Random(seed)
        commands = [(chance.choice(names), chance.randrange(60), chance.randrange(60)) for _ in range(150)]
        play([*(("enqueue", number, 1) for number in range(40)), *commands], 3, seen)
    assert min(seen[what] for what in ("together", "held", "candidate", "again")) > 20, seen
