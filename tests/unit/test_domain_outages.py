"""What every task would meet closes a gate, uses up no attempt, and is tried again by one task at a time."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain import gates, outages
from kugetsu.domain.decide import attempts, claims, queue
from kugetsu.domain.facts import Ending
from kugetsu.domain.fold import fold
from kugetsu.domain.replay import redecide
from kugetsu.domain.replay.divergence import mismatch
from kugetsu.domain.state import State
from kugetsu.domain.verdict import Verdict
from kugetsu.model import clock
from kugetsu.model.errors import AgentUnavailable, Conflict
from kugetsu.views import gates as words
from kugetsu.views import refusals
from property.simulation import AGENT, ISSUES, Event, World


@pytest.fixture
def world() -> World:
    """Four tasks of four issues."""
    made = World()
    made.warmup = 0.0
    made.cap = 3
    for issue in ISSUES[:4]:
        made.do(lambda state, issue=issue: queue.enqueue(state, kind="dev", issue=issue, message="m", via="test"))
    return made


def closed(world: World, task: str) -> Verdict | None:
    return gates.first_closed(world.state, world.state.tasks[task], world.claim_facts())


def run(world: World, task: str) -> str:
    offer, facts = world.offer(), world.claim_facts()
    made = world.do(lambda state: claims.claim(state, task, offer, facts))
    assert made, closed(world, task)
    attempt: str = made[-1]["attempt"]
    for _ in range(4):
        world.step(list(world.state.attempts).index(attempt), 0)
    return attempt


def end(world: World, attempt: str, how: str = "fail", verdict: str = "unavailable", **told: Any) -> list[Event]:
    if verdict == "unavailable":
        told = {"gate": "provider", "remedy": "opencode auth login", **told}
    ending = Ending(how, verdict, "the provider refused the credentials: bad key", **told)
    facts = world.outcome_facts()
    return world.do(lambda state: attempts.finish(state, attempt, ending, facts))


def wait(world: World, seconds: float) -> None:
    world.now = clock.add_seconds(world.now, seconds)


def first(world: World) -> str | None:
    """The task that the dispatcher would take now."""
    return claims.plan(world.state, world.claim_facts()).candidate


@pytest.mark.parametrize("gate", ["provider", "agent"])
def test_an_outage_closes_its_gate_for_all_and_uses_up_no_attempt(gate: str, world: World) -> None:
    parked = end(world, run(world, "q1"), gate=gate)[1]
    assert parked["type"] == "task.parked"
    task = world.state.tasks["q1"]
    assert (task.state, task.used) == ("parked", 0)
    for other in ("q2", "q3", "q4"):
        held = closed(world, other)
        assert held is not None
        assert (held.gate, held.rests_on, held.until) == (gate, parked["seq"], clock.add_seconds(world.now, 10.0))
        assert words.commands_of(held) == (f"kugetsu queue lift {AGENT}", "opencode auth login")
        assert "bad key" in words.reason_of(held)
    refused = claims.refusal(held)
    assert isinstance(refused, AgentUnavailable if gate == "agent" else Conflict)
    assert refusals.words(refused)[1] == f"opencode auth login, then: kugetsu queue lift {AGENT}"


def test_it_is_tried_again_by_one_task_at_a_time_with_growing_pauses(world: World) -> None:
    pauses = []
    end(world, run(world, "q1"))
    for _ in range(8):
        assert first(world) is None
        until = outages.of(world.state, AGENT)["until"]  # type: ignore[index]
        pauses.append(clock.seconds_between(world.now, until))
        world.now = until
        task = first(world)
        assert task is not None
        attempt = run(world, task)
        assert first(world) is None, "one attempt finds out"
        other = next(other for other in ("q2", "q3", "q4") if other != task)
        held = gates.provider(world.state, world.state.tasks[other], world.claim_facts())
        assert (held.open, held.until) == (False, None)
        assert held.values["attempt"] == attempt
        end(world, attempt)
    assert pauses == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]
    assert [task.used for task in world.state.tasks.values()] == [0, 0, 0, 0]


def test_another_task_than_the_one_that_met_it_tries_first(world: World) -> None:
    end(world, run(world, "q1"))
    wait(world, 10.0)
    assert first(world) == "q2"
    end(world, run(world, "q2"))
    wait(world, 20.0)
    assert first(world) == "q1", "its own time came with the second pause"


def test_the_only_task_tries_again_itself(world: World) -> None:
    for task in ("q2", "q3", "q4"):
        world.do(lambda state, task=task: queue.cancel(state, task, "x"))
    end(world, run(world, "q1"))
    wait(world, 10.0 + outages.OTHERS_FIRST)
    assert first(world) == "q1"


def test_an_attempt_that_gets_further_lifts_it_and_the_parked_ones_go_on(world: World) -> None:
    running = [run(world, "q1"), run(world, "q2")]
    for attempt in running:
        end(world, attempt)
    wait(world, 10.0)
    attempt = run(world, "q3")
    made = end(world, attempt, "succeed", "done")
    assert [event["type"] for event in made][2:] == ["hold.lifted", "task.resumed", "task.resumed"]
    assert [event["cause"] for event in made][2:] == [made[0]["seq"], made[2]["seq"], made[2]["seq"]]
    assert [world.state.tasks[task].state for task in ("q1", "q2")] == ["pending", "pending"]
    assert closed(world, "q1") is None
    assert world.state.violations == []


@pytest.mark.parametrize(
    ("how", "verdict", "lifts"),
    [
        ("succeed", "done", True),
        ("fail", "give_up", True),
        ("fail", "retry", False),
        ("lose", "retry", False),
        ("kill", "cancelled", False),
        ("time_out", "retry", False),
    ],
)
def test_only_an_end_that_shows_an_answer_lifts_it(how: str, verdict: str, lifts: bool, world: World) -> None:
    end(world, run(world, "q1"))
    wait(world, 10.0)
    end(world, run(world, "q2"), how, verdict)
    assert (outages.of(world.state, AGENT) is None) is lifts


def test_an_attempt_that_began_before_it_does_not_lift_it(world: World) -> None:
    early = run(world, "q2")
    end(world, run(world, "q1"))
    end(world, early, "succeed", "done")
    assert outages.of(world.state, AGENT) is not None


def test_agents_that_meet_it_together_are_one_try(world: World) -> None:
    running = [run(world, task) for task in ("q1", "q2", "q3")]
    for attempt in running:
        end(world, attempt)
        wait(world, 1.0)
    entry = outages.of(world.state, AGENT)
    assert entry is not None
    assert (entry["task"], entry["outage"]["times"]) == ("q1", 1)
    assert {world.state.tasks[task].not_before for task in ("q1", "q2", "q3")} == {
        clock.add_seconds(entry["until"], outages.OTHERS_FIRST)
    }


def test_what_another_task_does_not_meet_is_the_tasks_own_fault(world: World) -> None:
    end(world, run(world, "q1"))
    wait(world, 10.0)
    end(world, run(world, "q2"), "succeed", "done")
    for used in (1, 2):
        assert end(world, run(world, "q1"))[1]["type"] == "task.retried"
        assert world.state.tasks["q1"].used == used
        assert closed(world, "q3") is None, "nobody else is held back by it"
        wait(world, 300.0)
    failed = end(world, run(world, "q1"))
    assert failed[1]["type"] == "task.failed"
    assert failed[1]["data"]["values"] == {"failures": 3}


def test_a_task_that_somebody_lets_go_on_may_meet_an_outage_again(world: World) -> None:
    end(world, run(world, "q1"))
    wait(world, 10.0)
    end(world, run(world, "q2"), "succeed", "done")
    world.do(lambda state: queue.cancel(state, "q1", "x"))
    world.do(lambda state: queue.retry(state, "q1"))
    assert end(world, run(world, "q1"))[1]["type"] == "task.parked"


@pytest.mark.parametrize("by", ["lift", "retry"])
def test_a_person_who_mended_it_need_not_wait(by: str, world: World) -> None:
    end(world, run(world, "q1"))
    if by == "lift":
        world.do(lambda state: queue.unblock(state, "provider", AGENT))
        assert (first(world), closed(world, "q2")) == ("q1", None)
    else:
        world.do(lambda state: queue.retry(state, "q1"))
        assert first(world) == "q1"
        assert closed(world, "q2") is not None, "one finds out"
        end(world, run(world, "q1"), "succeed", "done")
        assert closed(world, "q2") is None


def test_a_usage_limit_shows_that_the_provider_answers(world: World) -> None:
    end(world, run(world, "q1"))
    wait(world, 10.0)
    end(world, run(world, "q2"), "fail", "limited")
    assert outages.of(world.state, AGENT) is None
    held = closed(world, "q3")
    assert held is not None
    assert (held.code, held.values["task"]) == ("usage_limit", "q2")


def test_no_pause_of_the_settings_makes_it_try_all_the_time(world: World) -> None:
    ending = Ending("fail", "unavailable", "why", gate="agent")
    facts = {**world.outcome_facts(), "backoff_seconds": 0.0, "pause_seconds": 0.0}
    attempt = run(world, "q1")
    world.do(lambda state: attempts.finish(state, attempt, ending, facts))  # type: ignore[arg-type]
    entry = outages.of(world.state, AGENT)
    assert entry is not None
    assert clock.seconds_between(world.now, entry["until"]) == outages.SHORTEST_PAUSE


def test_what_was_decided_of_an_outage_is_decided_the_same_again(world: World) -> None:
    ends = [end(world, run(world, "q1"), gate="agent", remedy="mend it")]
    wait(world, 10.0)
    ends.append(end(world, run(world, "q2")))
    wait(world, 20.0)
    ends.append(end(world, run(world, "q3"), "succeed", "done"))
    ends.append(end(world, run(world, "q1")))
    for group in ends:
        before = folded(world, group[0]["seq"])
        assert mismatch(group, redecide(before, group, lambda seq: folded(world, seq + 1))) is None


def folded(world: World, before: int) -> State:
    state = State()
    for event in world.memory.events[: before - 1]:
        fold(state, event)
    return state
