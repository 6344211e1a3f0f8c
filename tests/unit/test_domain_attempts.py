"""How attempts end, and what follows: one outcome each, growing pauses, usage limits that cost no attempt."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain.decide import attempts, claims, queue, sessions
from kugetsu.domain.decide.attempts import backoff_seconds
from kugetsu.domain.facts import Ending
from kugetsu.domain.state import ENDED
from kugetsu.model import clock
from kugetsu.model.errors import Conflict, NotFound
from kugetsu.views.refusals import words
from property.simulation import AGENT, ISSUES, PROCESS, Event, World

ISSUE = ISSUES[0]


@pytest.fixture
def world() -> World:
    """A task whose first attempt is claimed."""
    made = World()
    made.warmup = 0.0
    made.start(0, 1)
    return made


def run(world: World) -> None:
    world.run(0, 0)
    assert world.state.attempts["q1.1"].state == "running"


def finish(world: World, how: str, verdict: str, attempt: str = "q1.1", **told: Any) -> list[Event]:
    facts = world.outcome_facts()
    return world.do(lambda state: attempts.finish(state, attempt, Ending(how, verdict, "why", **told), facts))


def again(world: World) -> str:
    """Claim the task's next attempt as soon as it may be, and run it."""
    world.now = world.state.tasks["q1"].not_before or world.now
    facts, offer = world.claim_facts(), world.offer()
    made = world.do(lambda state: claims.claim(state, "q1", offer, facts))
    world.run(0, 0)
    attempt: str = made[-1]["attempt"]
    return attempt


def types(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


FOLLOWS = {
    "done": ("task.completed", "completed"),
    "retry": ("task.retried", "pending"),
    "limited": ("task.parked", "parked"),
    "unavailable": ("task.parked", "parked"),
    "give_up": ("task.failed", "error"),
    "cancelled": ("task.cancelled", "cancelled"),
}


@pytest.mark.parametrize("how", ENDED)
@pytest.mark.parametrize("verdict", FOLLOWS)
def test_a_running_attempt_ends_as_it_is_told_and_its_task_follows(how: str, verdict: str, world: World) -> None:
    run(world)
    made = finish(world, how, verdict)
    assert types(made) == [ENDED[how], FOLLOWS[verdict][0]]
    assert world.state.tasks["q1"].state == FOLLOWS[verdict][1]
    assert world.state.attempts == {}
    assert world.state.sessions[ISSUE].state == "idle"


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
@pytest.mark.parametrize("how", ENDED)
def test_an_attempt_whose_agent_never_ran_did_not_succeed(how: str, steps: int, world: World) -> None:
    for _ in range(steps):
        world.step(0, 0)
    ending, facts = Ending(how, "done" if how == "succeed" else "retry", "why"), world.outcome_facts()
    made = world.do(lambda state: attempts.finish(state, "q1.1", ending, facts))
    assert types(made)[:2] == [ENDED["fail" if how == "succeed" else how], "task.retried"]
    assert (ending.how, ending.verdict) == (how, "done" if how == "succeed" else "retry"), "the ending was changed"


def test_a_session_whose_preparation_ended_half_way_is_broken(world: World) -> None:
    world.step(0, 0)
    world.step(0, 0)
    assert world.state.sessions[ISSUE].state == "preparing"
    made = finish(world, "lose", "retry")
    assert types(made) == ["attempt.lost", "task.retried", "session.broken"]
    assert [event["cause"] for event in made[1:]] == [made[0]["seq"]] * 2
    assert (world.state.sessions[ISSUE].state, world.state.sessions[ISSUE].reason) == ("broken", "why")


def test_a_session_that_was_lost_is_broken_once(world: World) -> None:
    run(world)
    assert types(finish(world, "fail", "retry", session_lost=True))[-1] == "session.broken"
    facts, offer = world.claim_facts(), world.offer()
    world.now = facts["now"] = world.state.tasks["q1"].not_before or ""
    world.do(lambda state: claims.claim(state, "q1", offer, facts))
    assert types(finish(world, "fail", "retry", "q1.2", session_lost=True)) == ["attempt.failed", "task.retried"]
    assert world.state.violations == []


def test_the_end_keeps_what_was_said_apart_from_what_was_seen(world: World) -> None:
    run(world)
    told: dict[str, Any] = {
        "outcome": {"said": "done"},
        "evidence": {"commits": 2, "dirty": 1, "pushed": False},
        "exit": 0,
        "signal": None,
        "tokens": 5,
        "cost": 0.25,
        "rescue": "rescue/1",
    }
    made = finish(world, "succeed", "done", **told)
    result = {"kind": "unpushed", "commits": 2, "uncommitted": 1}
    assert made[0]["data"] == {"reason": "why", **told, "result": result}
    session, task = world.state.sessions[ISSUE], world.state.tasks["q1"]
    assert (session.commits, session.dirty, session.pushed, session.usage.tokens, session.usage.cost) == (
        2,
        1,
        False,
        5,
        0.25,
    )
    assert (task.usage.tokens, task.usage.cost) == (5, 0.25)


def test_an_end_without_evidence_leaves_the_evidence_as_it_was(world: World) -> None:
    run(world)
    finish(world, "fail", "retry", evidence={"commits": 2, "dirty": 1, "pushed": True})
    finish(world, "lose", "retry", again(world))
    session = world.state.sessions[ISSUE]
    assert (session.commits, session.dirty, session.pushed) == (2, 1, True)


def test_the_end_records_what_decided_on_its_consequence(world: World) -> None:
    run(world)
    facts = world.outcome_facts()
    made = finish(world, "fail", "limited", resets_at=clock.add_seconds(world.now, 90))
    assert made[0]["facts"] == {
        **facts,
        "verdict": "limited",
        "resets_at": clock.add_seconds(world.now, 90),
        "session_lost": False,
        "used": 1,
    }


@pytest.mark.parametrize("second", ENDED)
def test_a_second_end_gives_nothing(second: str, world: World) -> None:
    run(world)
    finish(world, "fail", "retry")
    assert finish(world, second, "done") == []


# --- retries


def test_attempts_are_retried_until_they_are_used_up(world: World) -> None:
    run(world)
    attempt, seen = "q1.1", []
    for _ in range(2):
        made = finish(world, "fail", "retry", attempt)
        seen.append((made[1]["type"], made[1]["data"]["used"], world.state.tasks["q1"].not_before))
        assert made[1]["data"]["not_before"] == clock.add_seconds(world.now, 10.0 * made[1]["data"]["used"])
        attempt = again(world)
    made = finish(world, "fail", "retry", attempt)
    assert [row[:2] for row in seen] == [("task.retried", 1), ("task.retried", 2)]
    assert made[1]["data"] == {
        "reason": "why",
        "values": {"failures": 3},
        "used": 3,
        "max_attempts": 3,
    }
    task = world.state.tasks["q1"]
    assert (task.state, task.usage.attempts, task.used, task.usage.retries) == ("error", 3, 3, 2)


def test_a_failure_that_no_retry_helps_is_told_as_it_is(world: World) -> None:
    run(world)
    assert finish(world, "fail", "give_up")[1]["data"] == {"reason": "why", "used": 1, "max_attempts": 3}


@pytest.mark.parametrize(
    ("used", "pause"), [(0, 10), (1, 10), (2, 20), (3, 40), (5, 160), (6, 300), (7, 300), (5000, 300)]
)
def test_the_pause_doubles_up_to_five_minutes(used: int, pause: float) -> None:
    assert backoff_seconds(used, 10.0) == pause


def test_no_pause_stays_no_pause() -> None:
    assert backoff_seconds(9, 0.0) == 0.0


def test_a_task_wanted_again_has_all_its_attempts(world: World) -> None:
    run(world)
    finish(world, "fail", "give_up")
    world.do(lambda state: queue.retry(state, "q1"))
    task = world.state.tasks["q1"]
    assert (task.used, task.usage.attempts, task.state) == (0, 1, "pending")
    assert again(world) == "q1.2", "attempts are numbered over the whole life"


# --- usage limits


def park(world: World, resets_at: str | None, attempt: str = "q1.1") -> Event:
    return finish(world, "fail", "limited", attempt, resets_at=resets_at)[1]


def test_a_stated_reset_parks_until_a_little_after_it(world: World) -> None:
    run(world)
    parked = park(world, clock.add_seconds(world.now, 1000.0))["data"]
    assert parked == {
        "until": clock.add_seconds(world.now, 1060.0),
        "stated": True,
        "limit": AGENT,
        "reason": "why",
        "gate": "provider",
    }


@pytest.mark.parametrize("stated", [None, "2020-01-01T00:00:00.000000Z", "at noon", ""])
def test_without_a_reset_time_to_go_by_the_pause_is_the_setting(stated: str | None, world: World) -> None:
    run(world)
    parked = park(world, stated)["data"]
    assert (parked["until"], parked["stated"]) == (clock.add_seconds(world.now, 1800.0), False)


@pytest.mark.parametrize("stated", ["2026-11-23T11:00:00Z", "2026-11-23T13:00:00+02:00", "2026-11-23 11:00:00"])
def test_a_reset_time_is_understood_however_it_is_written(stated: str, world: World) -> None:
    run(world)
    parked = park(world, stated)["data"]
    assert (parked["until"], parked["stated"]) == ("2026-11-23T11:01:00.000000Z", True)


def test_a_usage_limit_uses_no_attempt_up(world: World) -> None:
    run(world)
    attempt = "q1.1"
    for parks in range(1, 8):
        park(world, None, attempt)
        task = world.state.tasks["q1"]
        assert (task.used, task.usage.parks, task.state) == (0, parks, "parked")
        attempt = again(world)
    assert world.state.sessions[ISSUE].usage.parks == 7
    assert types(finish(world, "fail", "retry", attempt))[1] == "task.retried"


def test_nothing_but_its_time_or_a_retry_ends_a_park(world: World) -> None:
    run(world)
    until = park(world, None)["data"]["until"]
    world.daemon_start(1, 1)
    world.daemon_end(1, 1)
    world.daemon_start(2, 1)
    world.enqueue(0, 1)
    world.do(lambda state: sessions.broken(state, ISSUE, "x"))
    world.cap = 9
    task = world.state.tasks["q1"]
    for _ in range(3):
        world.planned = None
        world.dispatch(1, 2)
    assert (task.state, task.not_before, world.state.limits[AGENT]["until"]) == ("parked", until, until)
    assert world.state.attempts == {}


# --- cancel, stop


@pytest.mark.parametrize("verdict", ["retry", "limited", "give_up", "cancelled"])
def test_a_cancel_during_the_run_ends_in_cancelled(verdict: str, world: World) -> None:
    run(world)
    requested = world.do(lambda state: queue.cancel(state, "q1", "mine"))
    assert types(requested) == ["attempt.stop_requested"]
    assert world.do(lambda state: queue.cancel(state, "q1", "mine")) == []
    made = finish(world, "kill", verdict)
    assert types(made) == ["attempt.killed", "task.cancelled"]
    assert made[0]["cause"] == requested[0]["seq"]


def test_a_cancel_that_came_too_late_takes_no_success_away(world: World) -> None:
    run(world)
    world.do(lambda state: queue.cancel(state, "q1", "mine"))
    assert types(finish(world, "succeed", "done"))[1] == "task.completed"


def test_a_cancel_while_a_timeout_stops_the_agent_is_not_lost(world: World) -> None:
    run(world)
    world.do(lambda state: attempts.stop(state, "q1.1", "timeout"))
    assert types(world.do(lambda state: queue.cancel(state, "q1", "mine"))) == ["attempt.stop_requested"]
    assert types(finish(world, "time_out", "retry"))[1] == "task.cancelled"


def test_a_timeout_after_a_cancel_does_not_undo_it(world: World) -> None:
    run(world)
    world.do(lambda state: queue.cancel(state, "q1", "mine"))
    assert world.do(lambda state: attempts.stop(state, "q1.1", "timeout")) == []
    assert world.state.attempts["q1.1"].stop == "cancel"


def test_a_stop_is_requested_once(world: World) -> None:
    run(world)
    made = world.do(lambda state: attempts.stop(state, "q1.1", "timeout"))
    assert (types(made), made[0]["data"]) == (["attempt.stop_requested"], {"reason": "timeout"})
    assert world.do(lambda state: attempts.stop(state, "q1.1", "stall")) == []
    assert types(finish(world, "time_out", "retry")) == ["attempt.timed_out", "task.retried"]


# --- refused live, so that replay finds no violation


def test_an_attempt_is_started_once(world: World) -> None:
    world.step(0, 0)
    with pytest.raises(Conflict, match=r"attempt_taken.*starting"):
        attempts.starting(world.state, "q1.1", PROCESS)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_an_agent_does_not_run_before_its_session_is_ready(steps: int, world: World) -> None:
    for _ in range(steps):
        world.step(0, 0)
    with pytest.raises(Conflict):
        attempts.running(world.state, "q1.1", PROCESS, "ses", "/w", "opencode")


@pytest.mark.parametrize("what", ["starting", "running", "stop"])
def test_of_an_attempt_that_has_ended_nothing_more_is_taken(what: str, world: World) -> None:
    run(world)
    finish(world, "fail", "retry")
    with pytest.raises(NotFound) as refused:
        if what == "starting":
            attempts.starting(world.state, "q1.1", PROCESS)
        elif what == "running":
            attempts.running(world.state, "q1.1", PROCESS, "ses", "/w", "opencode")
        else:
            attempts.stop(world.state, "q1.1", "timeout")
    assert words(refused.value)[1] == "kugetsu history q1.1"


def test_a_usage_limit_is_that_of_the_model_the_attempt_was_claimed_for(world: World) -> None:
    run(world)
    facts = {**world.outcome_facts(), "agent": "opencode:changed-meanwhile"}
    ending = Ending("fail", "limited", "why")
    parked = world.do(lambda state: attempts.finish(state, "q1.1", ending, facts))[1]
    assert parked["data"]["limit"] == AGENT
