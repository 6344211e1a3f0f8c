"""The gates: each says no for its reason, names the event behind it and what lifts it, and changes nothing."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kugetsu import clock
from kugetsu.domain import gates, snapshot
from kugetsu.domain.decide import attempts, queue
from kugetsu.domain.fold import tasks as folding
from kugetsu.domain.gates import Verdict
from kugetsu.domain.state import State
from property.simulation import AGENT, ISSUES, Event, World, random_commands


@pytest.fixture
def world() -> World:
    made = World()
    made.warmup = 0.0
    return made


def enqueue(world: World, issue: str | None = ISSUES[0], *, priority: int = 0, after: tuple[str, ...] = ()) -> Event:
    kind = "dev" if issue else "pm"
    return world.do(
        lambda state: queue.enqueue(
            state, kind=kind, issue=issue, message="m", via="test", priority=priority, after=after
        )
    )[0]


def claim(world: World, task_id: str) -> Event:
    """Claim a task whatever its place in the queue, as `start` and the daemon do."""
    from kugetsu.domain.decide import claims

    offer, facts = world.offer(), world.claim_facts()
    made = world.do(lambda state: claims.claim(state, state.tasks[task_id], offer, facts))
    assert made, gates.first_closed(world.state, world.state.tasks[task_id], facts)
    return made[-1]


def end(world: World, attempt_id: str, how: str = "fail", verdict: str = "retry", **told: Any) -> list[Event]:
    ending = attempts.Ending(how, verdict, "it ended", **told)
    facts = world.outcome_facts()
    return world.do(lambda state: attempts.finish(state, attempt_id, ending, facts))


def run(world: World, task_id: str) -> str:
    attempt: str = claim(world, task_id)["attempt"]
    for _ in range(4):
        world.step(list(world.state.attempts).index(attempt), 0)
    assert world.state.attempts[attempt].state == "running"
    return attempt


def ask(world: World, gate: str, task_id: str, dispatcher: str = "self") -> Verdict:
    facts = world.claim_facts(dispatcher)
    said: Verdict = getattr(gates, gate)(world.state, world.state.tasks[task_id], facts)
    assert said.gate == gate
    return said


def told(verdict: Verdict) -> tuple[Any, ...]:
    return verdict.open, verdict.reason, verdict.rests_on, verdict.until, verdict.lift


def later(world: World, seconds: float) -> str:
    return clock.add_seconds(world.now, seconds)


def test_the_gates_stand_in_this_order() -> None:
    names = [gate.__name__ for gate in gates.GATES]
    assert names == [
        "waiting",
        "parked",
        "backoff",
        "dependencies",
        "issue",
        "pm",
        "provider",
        "daemon",
        "slots",
        "stagger",
        "memory",
    ]


def test_a_task_that_nothing_holds_back_finds_all_gates_open(world: World) -> None:
    enqueue(world)
    task = world.state.tasks["q1"]
    said = gates.verdicts(world.state, task, world.claim_facts())
    assert [verdict.gate for verdict in said] == [gate.__name__ for gate in gates.GATES]
    assert all(verdict.open and verdict.reason and not verdict.lift for verdict in said)
    assert gates.first_closed(world.state, task, world.claim_facts()) is None


def test_the_first_closed_gate_is_the_reason(world: World) -> None:
    enqueue(world)
    world.cap, world.free_memory_mb = 0, 1
    task = world.state.tasks["q1"]
    closed = [
        verdict.gate for verdict in gates.verdicts(world.state, task, world.claim_facts("none")) if not verdict.open
    ]
    assert closed == ["daemon", "slots", "memory"]
    first = gates.first_closed(world.state, task, world.claim_facts("none"))
    assert first is not None
    assert first.gate == "daemon"


def test_a_verdict_as_data_holds_all_of_it() -> None:
    assert Verdict("slots", False, "full", 3, "T", "wait").as_data() == {
        "gate": "slots",
        "open": False,
        "reason": "full",
        "rests_on": 3,
        "until": "T",
        "lift": "wait",
    }


# --- daemon


def test_without_a_daemon_nothing_dispatches(world: World) -> None:
    enqueue(world)
    reason = "no daemon runs, so nothing takes tasks from the queue"
    assert told(ask(world, "daemon", "q1", "none")) == (False, reason, 0, None, "kugetsu queue-daemon start")


def test_a_draining_daemon_starts_nothing_but_start_does(world: World) -> None:
    enqueue(world)
    world.daemon_start(0, 0)
    assert ask(world, "daemon", "q1", "daemon").open
    draining = world.daemon_end(0, 0)[0]["seq"]
    reason = "the daemon drains: it starts nothing new"
    assert told(ask(world, "daemon", "q1", "daemon")) == (False, reason, draining, None, "kugetsu queue-daemon restart")
    assert ask(world, "daemon", "q1", "self").open


# --- waiting


@pytest.mark.parametrize(
    ("how", "verdict", "reason"),
    [
        ("succeed", "done", "it is completed"),
        ("fail", "give_up", "it ended in error"),
        ("kill", "cancelled", "it was cancelled"),
    ],
)
def test_a_finished_task_does_not_wait(how: str, verdict: str, reason: str, world: World) -> None:
    enqueue(world)
    finished = end(world, run(world, "q1"), how, verdict)[1]["seq"]
    assert told(ask(world, "waiting", "q1")) == (False, reason, finished, None, "kugetsu queue retry q1")


def test_a_task_that_is_worked_on_does_not_wait(world: World) -> None:
    enqueue(world)
    claimed = claim(world, "q1")["seq"]
    reason = "attempt q1.1 works on it"
    assert told(ask(world, "waiting", "q1")) == (False, reason, claimed, None, "kugetsu queue cancel q1")


# --- parked, provider


def limited(world: World, task_id: str, seconds: float) -> Event:
    resets = later(world, seconds - attempts.RESET_MARGIN)
    return end(world, run(world, task_id), "fail", "limited", resets_at=resets)[1]


def test_a_usage_limit_parks_until_its_time(world: World) -> None:
    enqueue(world)
    parked = limited(world, "q1", 100.0)
    until = parked["data"]["until"]
    reason = "parked by the provider's usage limit"
    assert until == later(world, 100.0)
    assert told(ask(world, "parked", "q1")) == (False, reason, parked["seq"], until, "kugetsu queue retry q1")
    world.now = later(world, 99.999999)
    assert not ask(world, "parked", "q1").open
    world.now = until
    assert ask(world, "parked", "q1").open


def test_a_usage_limit_holds_the_tasks_of_the_same_agent_back(world: World) -> None:
    enqueue(world)
    enqueue(world, ISSUES[1])
    parked = limited(world, "q1", 100.0)
    reason = "the provider's usage limit stopped q1, it would stop this one too"
    wanted = (False, reason, parked["seq"], parked["data"]["until"], "kugetsu queue retry q1")
    assert told(ask(world, "provider", "q2")) == wanted
    assert ask(world, "provider", "q1").open, "its own limit is what parked says"
    other = {**world.claim_facts(), "agent": "another:model"}
    assert gates.provider(world.state, world.state.tasks["q2"], other).open  # type: ignore[arg-type]
    world.now = parked["data"]["until"]
    assert ask(world, "provider", "q2").open


@pytest.mark.parametrize("cancelled", [False, True])
def test_retry_of_the_task_that_met_the_limit_lifts_it_for_all(cancelled: bool, world: World) -> None:
    enqueue(world)
    enqueue(world, ISSUES[1])
    limited(world, "q1", 100.0)
    if cancelled:
        world.do(lambda state: queue.cancel(state, "q1", "x"))
    assert ask(world, "provider", "q2").lift == "kugetsu queue retry q1"
    world.do(lambda state: queue.retry(state, "q1"))
    assert ask(world, "provider", "q2").open


def test_a_limit_whose_task_has_left_the_queue_names_no_command_that_fails(world: World) -> None:
    enqueue(world)
    enqueue(world, ISSUES[1])
    limited(world, "q1", 100.0)
    world.do(lambda state: queue.cancel(state, "q1", "x"))
    world.do(lambda state: queue.clear(state, None))
    said = ask(world, "provider", "q2")
    assert (said.open, said.lift) == (False, None)


@pytest.mark.parametrize("longer_first", [True, False])
def test_of_two_limits_the_later_holds(longer_first: bool, world: World) -> None:
    for issue in ISSUES[:3]:
        enqueue(world, issue)
    runs = [run(world, "q1"), run(world, "q2")]
    waits = (900.0, 100.0) if longer_first else (100.0, 900.0)
    for attempt, wait in zip(runs, waits, strict=True):
        end(world, attempt, "fail", "limited", resets_at=later(world, wait - attempts.RESET_MARGIN))
    assert ask(world, "provider", "q3").until == later(world, 900.0)


# --- backoff


def test_a_failed_attempt_is_followed_by_a_pause(world: World) -> None:
    enqueue(world)
    retried = end(world, run(world, "q1"))[1]
    until = later(world, 10.0)
    reason = "pauses after a failed attempt (1 of 3 used)"
    assert told(ask(world, "backoff", "q1")) == (False, reason, retried["seq"], until, "kugetsu queue retry q1")
    world.now = until
    assert ask(world, "backoff", "q1").open


# --- dependencies


def test_a_task_starts_only_after_the_completion_of_those_it_comes_after(world: World) -> None:
    queued = enqueue(world)
    enqueue(world, ISSUES[1], after=("q1",))
    wanted = (False, "comes after q1, which is pending", queued["seq"], None, "kugetsu why q1")
    assert told(ask(world, "dependencies", "q2")) == wanted
    end(world, run(world, "q1"), "fail", "give_up")
    assert ask(world, "dependencies", "q2").reason == "comes after q1, which is error"
    world.do(lambda state: queue.retry(state, "q1"))
    end(world, run(world, "q1"), "succeed", "done")
    assert ask(world, "dependencies", "q2").open


def test_a_failed_task_stays_while_an_open_one_comes_after_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "FINISHED_KEPT", 2)
    enqueue(world)
    enqueue(world, ISSUES[1], after=("q1",))
    end(world, run(world, "q1"), "fail", "give_up")
    for _ in range(5):
        enqueue(world, ISSUES[2])
        world.do(lambda state: queue.cancel(state, f"q{state.tasks_made}", "x"))
    world.do(lambda state: queue.clear(state, None))
    assert "q1" in world.state.tasks
    assert not ask(world, "dependencies", "q2").open
    world.do(lambda state: queue.cancel(state, "q2", "x"))
    world.do(lambda state: queue.clear(state, None))
    assert world.state.tasks == {}


def test_a_task_wanted_again_after_its_failed_predecessor_left_does_not_start(world: World) -> None:
    enqueue(world)
    enqueue(world, ISSUES[1], after=("q1",))
    end(world, run(world, "q1"), "fail", "give_up")
    world.do(lambda state: queue.cancel(state, "q2", "x"))
    world.do(lambda state: [*queue.clear(state, None)])
    # A clear that took the failed one only, as an age limit does.
    enqueue(world, ISSUES[0])
    enqueue(world, ISSUES[1], after=("q3",))
    end(world, run(world, "q3"), "fail", "give_up")
    world.now = later(world, 60.0)
    world.do(lambda state: queue.cancel(state, "q4", "x"))
    world.do(lambda state: queue.clear(state, later(world, -1.0)))
    assert "q3" not in world.state.tasks
    world.do(lambda state: queue.retry(state, "q4"))
    said = ask(world, "dependencies", "q4")
    assert (said.open, said.reason) == (False, "comes after q3, which left the queue without being completed")


def test_a_completed_predecessor_may_leave(world: World) -> None:
    enqueue(world)
    enqueue(world, ISSUES[1], after=("q1",))
    end(world, run(world, "q1"), "succeed", "done")
    world.do(lambda state: queue.clear(state, None))
    assert "q1" not in world.state.tasks
    assert ask(world, "dependencies", "q2").open


# --- issue


def test_one_live_attempt_an_issue(world: World) -> None:
    enqueue(world)
    enqueue(world)
    claimed = claim(world, "q1")
    wanted = (False, "q1.1 works on the same issue", claimed["seq"], None, "kugetsu queue cancel q1")
    assert told(ask(world, "issue", "q2")) == wanted
    enqueue(world, ISSUES[1])
    assert ask(world, "issue", "q3").open


def test_the_tasks_of_an_issue_go_in_their_order(world: World) -> None:
    first = enqueue(world)
    enqueue(world)
    assert ask(world, "issue", "q1").open
    wanted = (False, "q1 of the same issue comes first", first["seq"], None, "kugetsu queue cancel q1")
    assert told(ask(world, "issue", "q2")) == wanted
    enqueue(world, priority=1)
    assert not ask(world, "issue", "q1").open
    assert ask(world, "issue", "q3").open


def test_a_task_does_not_wait_for_one_that_waits_for_it(world: World) -> None:
    enqueue(world)
    enqueue(world, priority=9, after=("q1",))
    assert ask(world, "issue", "q1").open
    assert not ask(world, "dependencies", "q2").open


def test_a_task_wanted_again_does_not_wait_for_those_after_it(world: World) -> None:
    enqueue(world)
    enqueue(world, after=("q1",))
    end(world, run(world, "q1"), "fail", "give_up")
    world.do(lambda state: queue.retry(state, "q1"))
    assert gates.first_closed(world.state, world.state.tasks["q1"], world.claim_facts()) is None


@pytest.mark.parametrize(("issue", "gate", "key"), [(ISSUES[0], "issue", ISSUES[0]), (None, "pm", "pm")])
def test_nothing_starts_in_a_session_that_is_being_destroyed(
    issue: str | None, gate: str, key: str, world: World
) -> None:
    from kugetsu.domain.decide import sessions

    enqueue(world, issue)
    end(world, run(world, "q1"), "succeed", "done")
    going = world.do(lambda state: sessions.destroying(state, key, False, "destroy"))[-1]["seq"]
    enqueue(world, issue)
    lift = f"kugetsu destroy {issue or '--pm-agent'}"
    assert told(ask(world, gate, "q2")) == (False, "its session is being destroyed", going, None, lift)
    world.do(lambda state: sessions.broken(state, key, "could not be removed"))
    assert ask(world, gate, "q2").open


# --- pm, slots


def test_pm_tasks_run_one_at_a_time_and_need_no_slot(world: World) -> None:
    world.cap = 0
    enqueue(world, None)
    enqueue(world, None)
    claimed = claim(world, "q1")
    assert claimed["data"]["slot"] is None
    assert told(ask(world, "pm", "q2")) == (
        False,
        "q1.1 uses the PM session",
        claimed["seq"],
        None,
        "kugetsu queue cancel q1",
    )
    assert ask(world, "slots", "q2").open
    enqueue(world)
    assert ask(world, "pm", "q3").open


def test_the_slots_are_as_many_as_the_cap(world: World) -> None:
    for issue in ISSUES[:3]:
        enqueue(world, issue)
    enqueue(world, None)
    world.cores = 9
    claim(world, "q4")
    first = claim(world, "q1")
    assert ask(world, "slots", "q3").reason == "1 of 2 slots used"
    claim(world, "q2")
    wanted = (False, "2 of 2 slots used (q1.1, q2.1)", first["seq"], None, "kugetsu config set MAX_CONCURRENT_AGENTS 3")
    assert told(ask(world, "slots", "q3")) == wanted
    world.cap = 1
    lowered = ask(world, "slots", "q3")
    assert (lowered.open, lowered.lift) == (False, wanted[-1]), "one more than the cap would lift nothing"
    world.cap = 3
    assert ask(world, "slots", "q3").open


def test_a_cap_of_nothing_closes(world: World) -> None:
    enqueue(world)
    world.cap = 0
    assert told(ask(world, "slots", "q1"))[:3] == (False, "0 of 0 slots used", 0)


# --- stagger, memory


def test_at_most_one_agent_a_core_starts_at_a_time(world: World) -> None:
    world.warmup, world.cores, world.cap = 3.0, 1, 9
    enqueue(world)
    enqueue(world, ISSUES[1])
    claimed = claim(world, "q1")
    assert told(ask(world, "stagger", "q2")) == (False, "1 agents are starting on 1 cores", claimed["seq"], None, None)
    world.run(0, 0)
    warm = later(world, 3.0)
    assert ask(world, "stagger", "q2").until == warm
    world.now = later(world, 2.999999)
    assert not ask(world, "stagger", "q2").open
    world.now = warm
    assert ask(world, "stagger", "q2").open


@pytest.mark.parametrize(("free", "opens"), [(499, False), (500, True), (None, True)])
def test_memory_for_one_more_must_be_free(free: int | None, opens: bool, world: World) -> None:
    enqueue(world)
    world.free_memory_mb = free
    said = ask(world, "memory", "q1")
    assert said.open == opens
    if not opens:
        assert told(said)[1:] == (
            "499 MB of memory free, 500 MB wanted",
            0,
            None,
            "kugetsu config set MIN_FREE_MEMORY_MB 499",
        )


def test_without_a_memory_limit_none_is_looked_at(world: World) -> None:
    enqueue(world)
    facts = {**world.claim_facts(), "min_free_memory_mb": 0, "free_memory_mb": 1}
    said = gates.memory(world.state, world.state.tasks["q1"], facts)  # type: ignore[arg-type]
    assert (said.open, said.reason) == (True, "no memory limit set")


# --- all


def test_no_gate_changes_anything_and_every_closed_one_explains_itself() -> None:
    world = World()
    closed: set[str] = set()
    for _ in world.play(random_commands(2, 500)):
        for dispatcher in ("daemon", "self", "none"):
            facts = world.claim_facts(dispatcher)
            given = dict(facts)
            before = frozen(world.state) if world.state.seq % 10 == 0 else None
            for task in world.state.tasks.values():
                for said in gates.verdicts(world.state, task, facts):
                    assert said.reason
                    assert 0 <= said.rests_on <= world.state.seq
                    if not said.open:
                        closed.add(said.gate)
                        assert said.lift or said.gate in ("stagger", "provider")
                        assert said.until is None or said.until > world.now
            assert facts == given
            assert before is None or frozen(world.state) == before
    assert closed == {gate.__name__ for gate in gates.GATES}


def frozen(state: State) -> Any:
    return orjson.loads(orjson.dumps(snapshot.dump(state)))


def test_limits_are_known_by_agent_and_model(world: World) -> None:
    enqueue(world)
    limited(world, "q1", 100.0)
    assert list(world.state.limits) == [AGENT]
