"""What an audit counts: time by gate, slots that stood empty, troubles by issue, lost races; in bounded memory."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain.audit import retries, waits
from kugetsu.domain.audit.races import Races
from kugetsu.domain.audit.retries import Retries
from kugetsu.domain.audit.waits import Spans, Waits
from kugetsu.domain.decide import attempts, claims, daemon, queue
from kugetsu.domain.facts import Ending
from kugetsu.domain.fold import fold
from kugetsu.domain.intervals import MICRO
from kugetsu.domain.state import State, empty
from kugetsu.model import clock
from kugetsu.views import audit
from property.simulation import ISSUES, START, Event, World, folded

SECOND = MICRO


def enqueue(world: World, issue: str | None, **more: Any) -> str:
    kind = "dev" if issue else "pm"
    made = world.do(lambda state: queue.enqueue(state, kind=kind, issue=issue, message="m", via="test", **more))
    return str(made[0]["task"])


def turn(world: World) -> None:
    """The daemon's: everything that may start starts, and what holds back the others is recorded."""
    while True:
        facts = world.claim_facts("daemon")
        planned = claims.plan(world.state, facts)
        if planned.candidate is None:
            world.do(lambda state, planned=planned, facts=facts: claims.hold(state, planned, facts))  # type: ignore[misc]
            return
        world.do(lambda state, p=planned, f=facts: claims.dispatch(state, p, world.offer(), f))  # type: ignore[misc]
        for place in range(len(world.state.attempts)):
            world.run(place, 0)


def two_in_turn(world: World) -> None:
    """Two tasks, each looked at as it comes: where there is one slot the first has it, and the second waits."""
    enqueue(world, ISSUES[0])
    turn(world)
    enqueue(world, ISSUES[1])
    turn(world)


def later(world: World, seconds: float) -> None:
    world.now = clock.add_seconds(world.now, seconds)


def end(world: World, attempt: str, how: str = "succeed", verdict: str = "done", **told: Any) -> None:
    ending = Ending(how, verdict, told.pop("reason", "it ended"), **told)
    facts = world.outcome_facts()
    world.do(lambda state: attempts.finish(state, attempt, ending, facts))


@pytest.fixture
def world() -> World:
    made = World()
    made.warmup, made.cap, made.cores = 0.0, 1, 9
    made.daemon_start(1, 1)
    return made


def waits_of(
    world: World, only: str | None = None, start: State | None = None, after: int = 0, *, dead: bool = False
) -> Waits:
    begins = start.at if start is not None else world.memory.events[0]["at"]
    found = Waits(start or empty(), begins, world.cap, only)
    for event in world.memory.events[after:]:
        found.add(event)
    found.end(world.now, dead=dead)
    return found


def seconds(found: Waits) -> dict[str, float]:
    return {gate: one.total / SECOND for gate, one in found.by_gate.items()}


# --- waits


def test_a_wait_lasts_from_what_closed_the_way_to_the_claim(world: World) -> None:
    enqueue(world, ISSUES[0])
    turn(world)
    later(world, 5)
    enqueue(world, ISSUES[1])
    turn(world)
    later(world, 60)
    end(world, "q1.1")
    later(world, 2)
    turn(world)
    found = waits_of(world)
    assert seconds(found) == {"slots": 62.0}
    assert found.by_gate["slots"].worst == ("q2", world_event(world, "task.held")["seq"])
    assert found.slots.idle["slots"] == 2 * SECOND, "the slot was free for two seconds until the daemon's turn"


def world_event(world: World, kind: str, task: str | None = None) -> Event:
    events = (event for event in world.memory.events if task in (None, event.get("task")))
    return next(event for event in events if event["type"] == kind)


def test_a_pause_lasts_until_its_time_and_what_comes_after_is_the_dispatchers(world: World) -> None:
    enqueue(world, ISSUES[0])
    turn(world)
    end(world, "q1.1", "fail", "retry")
    turn(world)
    later(world, 14)
    turn(world)
    assert seconds(waits_of(world)) == {"backoff": 10.0, "turn": 4.0}


def test_a_park_counts_once_though_the_dispatcher_says_that_it_holds(world: World) -> None:
    enqueue(world, ISSUES[0])
    turn(world)
    end(world, "q1.1", "fail", "limited", resets_at=clock.add_seconds(world.now, 40))
    later(world, 1)
    turn(world)
    assert world.memory.events[-1]["type"] == "task.held"
    later(world, 200)
    turn(world)
    found = waits_of(world)
    assert seconds(found) == {"provider": 100.0, "turn": 101.0}
    assert found.by_gate["provider"].number == 1


def test_while_no_daemon_runs_it_is_the_daemon_that_is_waited_for(world: World) -> None:
    two_in_turn(world)
    later(world, 10)
    world.daemon_end(1, 0)
    later(world, 100)
    world.daemon_start(1, 1)
    later(world, 20)
    end(world, "q1.1")
    turn(world)
    assert seconds(waits_of(world)) == {"slots": 30.0, "daemon": 100.0}


def lost(world: World) -> None:
    """Somebody notices that the daemon died, and starts another."""
    world.do(daemon.lost)
    world.daemon_start(1, 1)


def test_what_a_dead_daemon_owed_an_answer_waited_for_the_daemon(world: World) -> None:
    world.cap = 2
    enqueue(world, ISSUES[0])
    turn(world)
    later(world, 500)
    enqueue(world, ISSUES[1])
    later(world, 20)
    lost(world)
    turn(world)
    found = waits_of(world)
    assert seconds(found) == {"daemon": 20.0}
    assert found.by_gate["daemon"].worst == ("q2", world_event(world, "attempt.claimed", "q2")["cause"])
    assert found.slots.idle == {"turn": 0, "daemon": 20 * SECOND}


def test_a_daemon_is_not_missed_while_it_has_nothing_to_do(world: World) -> None:
    """It may have died a second ago or hours ago: with all slots used nothing came of it."""
    two_in_turn(world)
    later(world, 5000)
    lost(world)
    end(world, "q1.1")
    turn(world)
    assert seconds(waits_of(world)) == {"slots": 5000.0}


def test_a_slot_that_nobody_gave_away_shows_since_when_the_daemon_was_dead(world: World) -> None:
    two_in_turn(world)
    later(world, 5000)
    end(world, "q1.1")
    later(world, 70)
    lost(world)
    turn(world)
    found = waits_of(world)
    assert seconds(found) == {"slots": 5000.0, "daemon": 70.0}
    assert found.by_gate["daemon"].worst == ("q2", world_event(world, "task.completed")["seq"])
    assert (found.slots.idle["slots"], found.slots.idle["daemon"]) == (0, 70 * SECOND)


def test_a_daemon_that_died_and_that_nobody_recorded_counts_the_same(world: World) -> None:
    enqueue(world, ISSUES[0])
    later(world, 30)
    assert seconds(waits_of(world, dead=True)) == {"daemon": 30.0}
    assert seconds(waits_of(world)) == {"turn": 30.0}, "nobody knows yet whether it is slow"


def test_a_wait_that_ended_while_the_daemon_was_dead_was_for_it_too(world: World) -> None:
    enqueue(world, ISSUES[0])
    later(world, 30)
    enqueue(world, ISSUES[1])
    later(world, 5)
    world.do(lambda state: queue.cancel(state, "q1", "cancel"))
    later(world, 5)
    lost(world)
    turn(world)
    found = waits_of(world)
    assert seconds(found) == {"daemon": 45.0}
    assert found.by_gate["daemon"].worst == ("q1", world_event(world, "task.queued")["seq"])


def test_a_task_that_was_cancelled_before_the_daemon_looked_says_nothing_of_it(world: World) -> None:
    two_in_turn(world)
    enqueue(world, ISSUES[2])
    later(world, 0.01)
    world.do(lambda state: queue.cancel(state, "q3", "cancel"))
    later(world, 5000)
    lost(world)
    turn(world)
    assert seconds(waits_of(world)) == {"slots": 5000.01, "turn": 0.01}


def test_who_starts_by_hand_what_a_dead_daemon_should_have_started_does_not_hide_that_it_is_dead(world: World) -> None:
    two_in_turn(world)
    later(world, 10)
    end(world, "q1.1")
    later(world, 200)
    world.start(2, 1)
    assert world.memory.events[-1]["type"] == "attempt.claimed"
    later(world, 90)
    lost(world)
    assert seconds(waits_of(world)) == {"slots": 10.0, "daemon": 290.0}


def test_what_a_daemon_says_shows_that_it_lives_though_it_seems_to_owe_an_answer(world: World) -> None:
    """Fewer slots are allowed than the log knows: one that seems free is not."""
    world.cap = 2
    for issue in ISSUES[:3]:
        enqueue(world, issue)
    turn(world)
    later(world, 100)
    world.cap = 1
    end(world, "q1.1")
    later(world, 400)
    enqueue(world, ISSUES[3])
    turn(world)
    later(world, 1000)
    lost(world)
    assert seconds(waits_of(world)) == {"slots": 2500.0}


def test_a_dead_daemon_is_seen_by_all_tasks_also_when_one_is_asked_for(world: World) -> None:
    two_in_turn(world)
    later(world, 9)
    enqueue(world, None)
    later(world, 40)
    lost(world)
    assert seconds(waits_of(world, "q2")) == {"slots": 9.0, "daemon": 40.0}
    assert seconds(waits_of(world, "pm")) == {"daemon": 40.0}


def test_a_pause_that_was_over_before_the_beginning_holds_nobody_back(world: World) -> None:
    enqueue(world, ISSUES[0])
    turn(world)
    end(world, "q1.1", "fail", "retry")
    turn(world)
    later(world, 30)
    world.read_notices(1, 1)
    cut, state = len(world.memory.events), folded(world.memory.events)
    later(world, 7)
    assert seconds(waits_of(world, start=state, after=cut, dead=True)) == {"daemon": 7.0}


def test_without_a_daemon_nobody_waits_for_an_agent_to_be_mended(world: World) -> None:
    world.agent_problems = {"dev": {"cause": "opencode is not installed", "remedy": "npm install -g opencode-ai"}}
    enqueue(world, ISSUES[0])
    turn(world)
    later(world, 10)
    world.daemon_end(1, 0)
    later(world, 100)
    world.daemon_start(1, 1)
    later(world, 20)
    world.agent_problems = {}
    turn(world)
    assert seconds(waits_of(world)) == {"agent": 30.0, "daemon": 100.0}


def test_slots_that_stand_empty_while_a_task_waits_for_another_reason_are_seen(world: World) -> None:
    world.cap = 3
    enqueue(world, ISSUES[0])
    turn(world)
    enqueue(world, ISSUES[1], after=["q1"])
    turn(world)
    later(world, 50)
    found = waits_of(world)
    assert seconds(found) == {"dependencies": 50.0}
    assert found.slots.idle == {"dependencies": 50 * SECOND}
    slots = found.slots
    assert (slots.used, slots.empty, slots.empty_while_waiting) == (
        50 * SECOND,
        100 * SECOND,
        50 * SECOND,
    )


def test_pm_tasks_wait_and_want_no_slot(world: World) -> None:
    enqueue(world, None)
    enqueue(world, None)
    turn(world)
    later(world, 9)
    found = waits_of(world)
    assert seconds(found) == {"pm": 9.0}
    assert found.slots.idle == {}


def test_from_a_later_point_on_only_what_is_waited_from_there_counts(world: World) -> None:
    two_in_turn(world)
    later(world, 30)
    enqueue(world, ISSUES[2])
    cut = len(world.memory.events)
    state = empty()
    for event in world.memory.events:
        fold(state, event)
    later(world, 10)
    end(world, "q1.1")
    turn(world)
    found = waits_of(world, start=state, after=cut)
    assert seconds(found) == {"slots": 10.0, "turn": 10.0}


def test_only_the_waits_of_one_issue_or_task_are_counted(world: World) -> None:
    for issue in ISSUES[:3]:
        enqueue(world, issue)
    turn(world)
    later(world, 7)
    enqueue(world, ISSUES[2])
    later(world, 1)
    assert seconds(waits_of(world)) == {"slots": 16.0, "turn": 1.0}
    assert seconds(waits_of(world, "q2")) == {"slots": 8.0}
    assert seconds(waits_of(world, ISSUES[2])) == {"slots": 8.0, "turn": 1.0}


def test_all_waits_together_are_the_time_between_queued_and_claimed(world: World) -> None:
    """Whatever happens to a task, no second of its waiting is lost or counted twice."""
    from property.simulation import random_commands

    for seed in range(5):
        played = World()
        for _ in played.play(random_commands(seed, 400)):
            pass
        whole, waiting = 0, {}
        micros = clock.parse
        begins = {"task.queued", "task.requeued", "task.retried", "task.parked"}
        ends = {"attempt.claimed", "task.cancelled", "task.completed", "task.failed"}
        for event in played.memory.events:
            if event["type"] in begins and event["task"] not in waiting:
                waiting[event["task"]] = micros(event["at"])
            elif event["type"] in ends and event["task"] in waiting:
                whole += micros(event["at"]) - waiting.pop(event["task"])
        whole += sum(micros(played.now) - since for since in waiting.values())
        found = waits_of(played)
        assert sum(one.total for one in found.by_gate.values()) == whole


# --- retries


def test_troubles_are_counted_by_issue_the_worst_first(world: World) -> None:
    world.cap = 3
    for issue in ISSUES[:3]:
        enqueue(world, issue)
    turn(world)
    later(world, 30)
    end(world, "q1.1", tokens=10, cost=0.5)
    end(world, "q2.1", "fail", "retry", reason="tests do not pass", tokens=7)
    later(world, 30)
    end(world, "q3.1", "fail", "limited", reason="usage limit")
    later(world, 5000)
    turn(world)
    later(world, 5)
    end(world, "q2.2", "time_out", "give_up", reason="too long")
    found = Retries(empty(), START)
    for event in world.memory.events:
        found.add(event)
    found.end(world.now)
    worst = [one.as_data() for one in found.worst()]
    assert [one["issue"] for one in worst] == [ISSUES[2], ISSUES[1], ISSUES[0]]
    assert worst[1] == {
        "issue": ISSUES[1],
        "attempts": 2,
        "ends": {"failed": 1, "timed_out": 1},
        "reasons": {"tests do not pass": 1, "too long": 1},
        "retries": 1,
        "parks": {},
        "tokens": 7,
        "cost": 0.0,
        "seconds": 35.0,
        "lost_seconds": 35.0,
    }
    assert worst[0]["parks"] == {"provider": 1}
    whole = found.total()
    assert (whole.issues, whole.usage.attempts, whole.failed, found.wrong()) == (3, 5, 3, 2)
    assert whole.spent == (30 + 35 + 60 + 5) * SECOND, "the attempt that is still running counts up to now"


def test_the_least_troubled_of_many_issues_become_one_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "KEPT", 10)
    found = Retries(empty(), START)
    for number in range(100):
        about = {
            "issue": f"h/o/r#{number}",
            "session": f"h/o/r#{number}",
            "task": f"q{number}",
            "attempt": f"q{number}.1",
        }
        begun = clock.add_seconds(START, 200 * number)
        found.add({"seq": 1, "at": begun, "type": "attempt.claimed", "v": 1, "data": {"slot": 1}, **about})
        data = {"reason": "x", "tokens": 1, "cost": 0.0}
        kind = "attempt.failed" if number % 10 == 0 else "attempt.succeeded"
        found.add(
            {
                "seq": 2,
                "at": clock.add_seconds(begun, 1 + number),
                "type": kind,
                "v": 1,
                "data": {**data, "outcome": {}, "evidence": {}},
                **about,
            }
        )
    assert len(found.worst()) <= 20
    assert [one.key for one in found.worst()[:3]] == ["h/o/r#90", "h/o/r#80", "h/o/r#70"]
    whole = found.total()
    assert (whole.issues, whole.failed, found.wrong()) == (100, 10, 10)
    assert (whole.usage.attempts, whole.usage.tokens) == (100, 100)


# --- races


def test_a_lost_claim_is_told_with_its_winner_and_by_how_much(world: World) -> None:
    enqueue(world, ISSUES[0])
    facts, seen = world.claim_facts(), world.state.seq
    turn(world)
    later(world, 0.004)
    world.do(lambda state: claims.lost_start(state, ISSUES[1], seen, facts))
    won = world_event(world, "attempt.claimed")["seq"]
    for only, count in ((None, 1), (ISSUES[1], 1), (ISSUES[0], 1), ("q1", 1), (ISSUES[2], 0)):
        found = Races(only)
        for event in world.memory.events:
            found.add(event)
        assert found.seen == count
    races = Races()
    for event in world.memory.events:
        races.add(event)
    (race,) = races.latest()
    assert (race["subject"], race["to"], race["behind"], race["looked"]) == (ISSUES[1], "q1.1", won, seen)
    assert (race["events"], race["seconds"], race["gate"]) == (world.state.seq - won, 0.004, "slots")


def test_a_daemon_that_another_took_over_from_is_told(world: World) -> None:
    world.daemon_start(2, 2)
    races = Races()
    for event in world.memory.events:
        races.add(event)
    (race,) = audit.races_data(races)["found"]
    assert (race["kind"], race["subject"], race["to"]) == ("daemon", "daemon pid 7", "daemon pid 7")


# --- numbers


def test_a_median_is_exact_while_spans_are_few_and_near_when_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    few = Spans()
    for span in (5, 1, 9):
        few.add(span, ("q1", 1))
    assert (few.number, few.total, few.longest, few.median()) == (3, 15, 9, 5)
    monkeypatch.setattr(waits, "SAMPLED", 64)
    many = Spans()
    for span in range(10_000):
        many.add(span, ("q1", span))
    assert abs(many.median() - 5000) < 400
    assert many.worst == ("q1", 9999)
