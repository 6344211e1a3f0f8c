"""What comes next for a task, by itself or by whom, and who is before it in line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kugetsu.domain.decide import attempts, claims, queue, sessions
from kugetsu.domain.facts import Ending
from kugetsu.domain.scheduling import Forecast, forecast
from kugetsu.model import clock
from kugetsu.views import gates
from property.simulation import ISSUES, World

HOUR = 3600.0
MANY = tuple(f"example.org/o/r#{number}" for number in range(1, 9))


@pytest.fixture
def world() -> World:
    made = World()
    made.warmup, made.cap, made.cores = 0.0, 2, 9
    made.daemon_start(1, 1)
    return made


def enqueue(world: World, issue: str | None, **more: Any) -> str:
    kind = "dev" if issue else "pm"
    made = world.do(lambda state: queue.enqueue(state, kind=kind, issue=issue, message="m", via="test", **more))
    return str(made[0]["task"])


def run(world: World, task: str) -> str:
    offer, facts = world.offer(), {**world.claim_facts(), "cap": 99}
    made = world.do(lambda state: claims.claim(state, task, offer, facts))  # type: ignore[arg-type]
    world.run(list(world.state.attempts).index(made[-1]["attempt"]), 0)
    return str(made[-1]["attempt"])


def end(world: World, attempt: str, how: str = "succeed", verdict: str = "done", **told: Any) -> None:
    facts = world.outcome_facts()
    world.do(lambda state: attempts.finish(state, attempt, Ending(how, verdict, "it ended", **told), facts))


def look(world: World, task: str, dispatcher: str = "daemon") -> Forecast:
    return forecast(world.state, world.state.tasks[task], world.claim_facts(dispatcher), lambda _: 1.0)


def worded(world: World, task: str, dispatcher: str = "daemon") -> SimpleNamespace:
    """What changes next, in the words of `kugetsu why`."""
    seen = look(world, task, dispatcher)
    return SimpleNamespace(**gates.change_data(seen.change, seen.first))


def change(world: World, task: str, dispatcher: str = "daemon") -> tuple[Any, ...]:
    told = worded(world, task, dispatcher)
    return told.kind, told.what, told.at, told.since, told.latest


def later(world: World, seconds: float) -> str:
    return clock.add_seconds(world.now, seconds)


def test_a_task_that_works_is_over_when_its_attempt_ends_at_the_latest_by_the_time_limit(world: World) -> None:
    run(world, enqueue(world, ISSUES[0]))
    assert change(world, "q1") == ("event", "q1.1 ends", None, world.now, later(world, HOUR))


def test_a_full_machine_waits_for_the_one_that_must_end_first(world: World) -> None:
    run(world, enqueue(world, MANY[0]))
    began = world.now
    world.now = later(world, 60)
    run(world, enqueue(world, MANY[1]))
    enqueue(world, MANY[2])
    assert change(world, "q3") == ("event", "one of q1.1, q2.1 ends", None, None, clock.add_seconds(began, HOUR))
    world.cap = 1
    assert change(world, "q3")[1:] == ("2 of q1.1, q2.1 have ended", None, None, later(world, HOUR))


def test_a_pause_and_a_limit_end_at_their_time_if_a_daemon_runs_by_then(world: World) -> None:
    end(world, run(world, enqueue(world, MANY[0])), "fail", "retry")
    end(world, run(world, enqueue(world, MANY[1])), "fail", "limited", resets_at=later(world, 40))
    enqueue(world, MANY[2])
    assert change(world, "q1") == ("time", "the pause is over", later(world, 10), None, None)
    assert change(world, "q2") == ("time", "the usage limit is over", later(world, 100), None, None)
    assert change(world, "q3")[:3] == ("time", "the usage limit is over", later(world, 100))
    assert not look(world, "q1").change.needs_daemon
    assert look(world, "q1", "none").change.needs_daemon


def test_without_a_daemon_somebody_must_start_one(world: World) -> None:
    enqueue(world, MANY[0])
    told = worded(world, "q1", "none")
    assert (told.kind, told.lift, told.needs_daemon) == ("person", "kugetsu queue-daemon start", False)


def test_what_it_comes_after_must_be_completed(world: World) -> None:
    enqueue(world, MANY[0])
    enqueue(world, MANY[1], after=["q1"])
    assert change(world, "q2") == ("event", "q1 is completed", None, None, None)
    attempt = run(world, "q1")
    assert change(world, "q2") == ("event", "q1 is completed", None, world.now, later(world, HOUR))
    end(world, attempt, "fail", "give_up")
    told = worded(world, "q2")
    assert (told.kind, told.lift) == ("person", "kugetsu queue retry q1")


def test_tasks_of_one_issue_wait_for_each_other(world: World) -> None:
    enqueue(world, MANY[0])
    enqueue(world, MANY[0])
    assert change(world, "q2")[:2] == ("event", "q1 has had its turn")
    run(world, "q1")
    assert change(world, "q2")[:2] == ("event", "q1.1 ends")


def test_a_session_that_is_being_destroyed_needs_somebody(world: World) -> None:
    end(world, run(world, enqueue(world, MANY[0])))
    world.do(lambda state: sessions.destroying(state, MANY[0], False, "destroy"))
    enqueue(world, MANY[0])
    told = worded(world, "q2")
    assert (told.kind, told.lift) == ("person", f"kugetsu destroy {MANY[0]}")


def test_memory_and_disk_are_looked_at_again(world: World) -> None:
    enqueue(world, MANY[0])
    world.free_memory_mb = 1
    assert change(world, "q1")[:3] == ("look", "free memory is checked", later(world, 15))
    world.free_memory_mb, world.free_disk_mb = 4000, 1
    assert change(world, "q1")[:3] == ("look", "free disk is checked", later(world, 15))


def test_an_agent_that_cannot_be_started_is_looked_at_again(world: World) -> None:
    enqueue(world, MANY[0])
    world.agent_problems = {"dev": {"cause": "opencode is not installed", "remedy": "npm install -g opencode-ai"}}
    told = worded(world, "q1")
    assert (told.kind, told.what) == ("look", "the agent is checked")
    assert (told.at, told.lift) == (later(world, 15), "npm install -g opencode-ai")
    assert look(world, "q1").line is None, "who is held by more than the queue stands in no line"


def test_used_up_budgets_need_somebody(world: World) -> None:
    end(world, run(world, enqueue(world, MANY[0])), tokens=500)
    enqueue(world, MANY[0])
    world.max_tokens = 400
    told = worded(world, "q2")
    assert (told.kind, told.lift) == ("person", "kugetsu config set ISSUE_MAX_TOKENS 1000")


def test_the_line_has_those_that_wait_for_nothing_but_their_turn(world: World) -> None:
    world.cap = 1
    run(world, enqueue(world, MANY[0]))
    enqueue(world, MANY[1])
    enqueue(world, MANY[2], after=["q2"])
    enqueue(world, MANY[3])
    enqueue(world, MANY[4], priority=5)
    place = look(world, "q4").line
    assert place is not None
    assert (place.place, place.total, place.before) == (3, 3, ["q5", "q2"])
    assert look(world, "q3").line is None, "something else holds it"
    assert look(world, "q1").line is None, "it does not wait"
    world.cap = 9
    told = look(world, "q4")
    assert told.first is None
    assert told.change.kind == "now"
    assert told.line is not None
    assert told.line.before == ["q5", "q2"]
