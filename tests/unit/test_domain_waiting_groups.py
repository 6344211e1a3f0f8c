"""Which waiting tasks are asked together, and which stand alone; what it costs to plan a long queue again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from kugetsu.domain.decide import attempts, claims, daemon, hosts, pauses, queue, sessions
from kugetsu.domain.decide.claims import ClaimRequest
from kugetsu.domain.facts import ClaimFacts, Ending
from kugetsu.domain.fold import fold
from kugetsu.domain.recent_subjects import EVENTS_KEPT
from kugetsu.domain.state import Attempt
from kugetsu.domain.waiting_groups import WaitingGroups
from kugetsu.model.record import replace
from property.simulation import AGENT, PROCESS, Event, World, folded

ISSUE = "example.org/o/a#{}".format
#: The task that is told apart from the others, and its issue.
ONE, ITS = "q2", ISSUE(2)


def enqueue(world: World, number: int, **wish: Any) -> None:
    issue = ISSUE(number)
    world.do(lambda state: queue.enqueue(state, kind="dev", issue=issue, message="m", via="test", **wish))


@pytest.fixture
def world() -> World:
    """Four tasks of four issues, behind one that is completed."""
    made = World()
    made.warmup = 0.0
    for number in range(1, 5):
        enqueue(made, number)
    return made


def groups(waiting: WaitingGroups) -> list[list[str]]:
    return sorted([one[-1] for one in places] for places in waiting)


def from_scratch(world: World) -> WaitingGroups:
    waiting = WaitingGroups()
    waiting.refill(world.state)
    return waiting


def run(world: World, task: str, how: str = "succeed", verdict: str = "done") -> None:
    offer, facts, told = world.offer(), world.claim_facts(), world.outcome_facts()
    world.do(lambda state: claims.claim(state, task, offer, facts))
    attempt = world.state.tasks[task].attempt
    assert attempt is not None
    world.run(list(world.state.attempts).index(attempt), 0)
    world.do(lambda state: attempts.finish(state, attempt, Ending(how, verdict, "it ended"), told))


def has_a_session(world: World) -> None:
    """By an event that names nothing else."""
    asked = sessions.request(world.state, ITS, "issue", "example.org/o/a")
    world.do(lambda _: [replace(one, issue=None) for one in asked])


def has_been_tried(world: World) -> None:
    run(world, ONE, "fail", "retry")


def is_parked(world: World) -> None:
    run(world, ONE, "fail", "limited")


def has_another_task(world: World) -> None:
    enqueue(world, 2)


def has_usage_of_an_earlier_session(world: World) -> None:
    run(world, ONE, "fail", "give_up")
    gone: Any = {"worktree": None, "branch": None, "rescue": None, "kept": []}
    world.do(lambda state: sessions.destroying(state, ITS, False, "destroy"))
    world.do(lambda state: sessions.destroyed(state, ITS, gone))
    world.do(lambda state: queue.retry(state, ONE))


def comes_after_an_open_task(world: World) -> None:
    world.do(lambda state: queue.move(state, ONE, after=["q3"]))


def met_a_limit(world: World) -> None:
    """As `undo` restores it."""
    data = {"gate": "provider", "subject": AGENT, "until": "2027-01-01T00:00:00.000000Z", "task": ONE, "fruitless": 0}
    said: Event = {"seq": world.state.seq + 1, "at": world.now, "type": "hold.restored", "v": 1, "data": data}
    fold(world.state, said)


APART = (
    has_a_session,
    has_been_tried,
    is_parked,
    has_another_task,
    has_usage_of_an_earlier_session,
    comes_after_an_open_task,
    met_a_limit,
)


@pytest.mark.parametrize("happens", APART, ids=lambda one: one.__name__)
def test_a_task_with_a_history_of_its_own_stands_alone(world: World, happens: Callable[[World], None]) -> None:
    kept = WaitingGroups()
    kept.follow(world.state)
    assert groups(kept) == [["q1", "q2", "q3", "q4"]]
    happens(world)
    kept.follow(world.state)
    assert [ONE] in groups(kept)
    assert groups(kept) == groups(from_scratch(world))


def test_what_tells_a_task_apart_without_a_session(world: World) -> None:
    """An agent at work, a time to wait for, a host that could not prepare it."""
    world.state.attempts["q9.1"] = Attempt("q9.1", "q9", "dev", ITS, ITS)
    world.state.tasks["q3"].not_before = world.now
    world.state.tasks["q4"].unprepared = ["1" * 32]
    assert groups(from_scratch(world)) == [["q1"], [ONE], ["q3"], ["q4"]]


def test_only_the_next_in_line_of_a_group_records_another_reason_of_a_full_machine(world: World) -> None:
    told = []
    for world.cap, world.free_memory_mb in ((0, 4000), (1, 100), (0, 4000)):
        facts = world.claim_facts("daemon")
        told.append([task for task, _ in claims.plan(world.state, facts).held])
        world.do(lambda state, facts=facts: claims.hold(state, claims.plan(state, facts), facts))  # type: ignore[misc]
    assert told == [["q1", "q2", "q3", "q4"], ["q1"], ["q1"]]


def test_a_task_is_told_apart_when_what_it_comes_after_is_no_longer_completed(world: World) -> None:
    world.do(lambda state: queue.move(state, ONE, after=["q1"]))
    kept = WaitingGroups()
    run(world, "q1")
    kept.follow(world.state)
    assert groups(kept) == [["q2", "q3", "q4"]], "q1 is completed"
    world.do(lambda state: queue.retry(state, "q1"))
    kept.follow(world.state)
    assert [ONE] in groups(kept)


def test_in_a_shared_log_what_is_behind_the_candidate_is_left_to_the_next_plan() -> None:
    """The tasks of a full repository: one before the candidate records it, those behind it do not. Nor is the agent of
    the one behind looked for again."""
    world, host = World(), "1" * 32
    world.do(lambda state: hosts.join(state, host, 1, "box", [], 9))
    world.do(lambda state: daemon.started(state, {**PROCESS, "host": host}, "d1"))
    facts: Any = {**world.claim_facts("daemon"), "cap": 9, "host": host, "term": 1}
    facts["repository_caps"] = {"example.org/o/a": 1}
    facts["agent_problems"] = {"pm": {"cause": "there is no agent", "remedy": "install it"}}
    for issue in (ISSUE(1), ISSUE(2), "example.org/o/b#1", ISSUE(3), None):
        wish: dict[str, Any] = {"kind": "dev" if issue else "pm", "issue": issue, "message": "m", "via": "test"}
        world.do(lambda state, wish=wish: queue.enqueue(state, **wish))  # type: ignore[misc]
    world.do(lambda state: claims.claim(state, "q1", ClaimRequest("l", {**PROCESS, "host": host}), facts))
    plan = claims.plan(world.state, {**facts, "warm_before": world.now, "now": world.now, "cores": 9})
    assert (plan.candidate, [task for task, _ in plan.held], plan.next_look) == ("q3", ["q2"], None)
    world.do(lambda state: queue.move(state, "q3", first=True))
    plan = claims.plan(world.state, {**facts, "cores": 9})
    assert (plan.candidate, plan.held) == ("q3", [])


def test_kind_repository_and_options_make_the_groups(world: World) -> None:
    enqueue(world, 5, options={"agent": "command"})
    for kind, issue in (("dev", "example.org/o/b#1"), ("dev", "example.org/o/b#2"), ("pm", None)):
        wish: dict[str, Any] = {"kind": kind, "issue": issue, "message": "m", "via": "test"}
        world.do(lambda state, wish=wish: queue.enqueue(state, **wish))  # type: ignore[misc]
    there = {"path": "/r", "host": "h"}
    world.do(
        lambda state: queue.enqueue(
            state, kind="dev", issue="example.org/o/b#3", message="m", via="test", repository=there
        )
    )
    expected = [["q1", "q2", "q3", "q4"], ["q5"], ["q6", "q7"], ["q8"], ["q9"]]
    assert groups(from_scratch(world)) == expected


def test_a_state_read_anew_and_one_with_too_many_events_since_are_grouped_anew(world: World) -> None:
    kept = WaitingGroups()
    kept.follow(world.state)
    world.memory.state = folded(world.memory.events)
    enqueue(world, 5)
    kept.follow(world.state)
    assert groups(kept) == [["q1", "q2", "q3", "q4", "q5"]]
    world.do(lambda state: queue.dequeue(state, "q1"))
    for _ in range(EVENTS_KEPT // 2):
        world.do(lambda state: pauses.pause(state, None, None, world.now))
        world.do(lambda state: pauses.resume(state, None))
    kept.follow(world.state)
    assert groups(kept) == [["q2", "q3", "q4", "q5"]]


def calls(act: Callable[[], object]) -> int:
    """How many functions ``act`` calls."""
    made = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
    return made


def test_a_plan_costs_what_has_changed_and_not_the_queue() -> None:
    """Of a queue whose reasons are recorded, while the machine is full and when it no longer is."""
    assert _calls_of_plans(300) == _calls_of_plans(10)


def _calls_of_plans(tasks: int) -> list[int]:
    world = World()
    world.cap = 0
    for number in range(tasks):
        enqueue(world, number + 1)
    kept, facts = WaitingGroups(), world.claim_facts("daemon")
    world.do(lambda state: claims.hold(state, claims.plan(state, facts, kept), facts))
    claims.plan(world.state, facts, kept)
    made = []
    for cap in (0, 1):
        world.do(lambda state: queue.move(state, "q2", last=True))
        now: ClaimFacts = {**facts, "cap": cap}
        made.append(calls(lambda now=now: claims.plan(world.state, now, kept)))  # type: ignore[misc]
    return made
