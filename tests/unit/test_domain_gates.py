"""The gates: each says no for its reason, names the event behind it and what lifts it, and changes nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from kugetsu.domain import capacity_gates, gates, state_codec
from kugetsu.domain.decide import attempts, claims, queue, sessions
from kugetsu.domain.facts import AgentProblem, Ending
from kugetsu.domain.fold import tasks as folding
from kugetsu.domain.fold import usage
from kugetsu.domain.state import State
from kugetsu.domain.verdict import Verdict
from kugetsu.model import clock
from kugetsu.model.errors import AgentUnavailable
from kugetsu.views import gates as words
from kugetsu.views import refusals
from property.simulation import AGENT, ISSUES, Event, World, random_commands


@pytest.fixture
def world() -> World:
    made = World()
    made.warmup = 0.0
    return made


def enqueue(world: World, issue: str | None = ISSUES[0], *, priority: int = 0, after: tuple[str, ...] = ()) -> Event:
    kind = "dev" if issue else "pm"
    prior = usage.of_history(issue, [e for e in world.memory.events if e.get("issue") == issue]) if issue else None
    return world.do(
        lambda state: queue.enqueue(
            state, kind=kind, issue=issue, message="m", via="test", priority=priority, after=after, carried=prior
        )
    )[0]


def claim(world: World, task_id: str) -> Event:
    """Claim a task whatever its place in the queue, as `start` and the daemon do."""
    offer, facts = world.offer(), world.claim_facts()
    made = world.do(lambda state: claims.claim(state, task_id, offer, facts))
    assert made, gates.first_closed(world.state, world.state.tasks[task_id], facts)
    return made[-1]


def end(world: World, attempt_id: str, how: str = "fail", verdict: str = "retry", **told: Any) -> list[Event]:
    ending = Ending(how, verdict, "it ended", **told)
    facts = world.outcome_facts()
    return world.do(lambda state: attempts.finish(state, attempt_id, ending, facts))


def run(world: World, task_id: str) -> str:
    attempt: str = claim(world, task_id)["attempt"]
    for _ in range(4):
        world.step(list(world.state.attempts).index(attempt), 0)
    assert world.state.attempts[attempt].state == "running"
    return attempt


def verdict(world: World, gate: str, task_id: str, dispatcher: str = "self") -> Verdict:
    facts = world.claim_facts(dispatcher)
    said: Verdict = getattr(gates, gate)(world.state, world.state.tasks[task_id], facts)
    assert said.gate == gate
    return said


def ask(world: World, gate: str, task_id: str, dispatcher: str = "self") -> SimpleNamespace:
    """What a gate says, in the words of `kugetsu why`."""
    return SimpleNamespace(**words.data(verdict(world, gate, task_id, dispatcher)))


def told(said: SimpleNamespace) -> tuple[Any, ...]:
    return said.open, said.reason, said.rests_on, said.until, said.lift


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
        "budget",
        "progress",
        "provider",
        "paused",
        "daemon",
        "agent",
        "slots",
        "repository",
        "stagger",
        "memory",
        "disk",
    ]


def test_a_task_that_nothing_holds_back_finds_all_gates_open(world: World) -> None:
    enqueue(world)
    task = world.state.tasks["q1"]
    said = gates.verdicts(world.state, task, world.claim_facts())
    assert [verdict.gate for verdict in said] == [gate.__name__ for gate in gates.GATES]
    assert all(verdict.open for verdict in said)
    assert all(" " in words.reason_of(verdict) and words.commands_of(verdict) == (None, None) for verdict in said)
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
    assert words.data(Verdict("disk", False, "disk_low", {"free": 10, "wanted": 20}, 3, "T")) == {
        "gate": "disk",
        "open": False,
        "reason": "10 MB of disk free, 20 MB required",
        "rests_on": 3,
        "until": "T",
        "lift": "kugetsu prune",
        "otherwise": "kugetsu config set MIN_FREE_DISK_MB 9",
    }


# --- daemon


def test_without_a_daemon_nothing_dispatches(world: World) -> None:
    enqueue(world)
    reason = "no daemon is running, so no task leaves the queue"
    assert told(ask(world, "daemon", "q1", "none")) == (False, reason, 0, None, "kugetsu queue-daemon start")


def test_a_draining_daemon_starts_nothing_but_start_does(world: World) -> None:
    enqueue(world)
    world.daemon_start(0, 0)
    assert ask(world, "daemon", "q1", "daemon").open
    draining = world.daemon_end(0, 0)[0]["seq"]
    reason = "the daemon is draining: it starts nothing new"
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
    reason = "the provider's usage limit stopped q1 and would stop this task too"
    wanted = (False, reason, parked["seq"], parked["data"]["until"], f"kugetsu queue lift {AGENT}")
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
    assert ask(world, "provider", "q2").lift == f"kugetsu queue lift {AGENT}"
    world.do(lambda state: queue.retry(state, "q1"))
    assert ask(world, "provider", "q2").open


def test_a_limit_whose_task_has_left_the_queue_can_still_be_lifted(world: World) -> None:
    enqueue(world)
    enqueue(world, ISSUES[1])
    limited(world, "q1", 100.0)
    world.do(lambda state: queue.cancel(state, "q1", "x"))
    world.do(lambda state: queue.clear(state, None))
    said = ask(world, "provider", "q2")
    assert (said.open, said.lift) == (False, f"kugetsu queue lift {AGENT}")
    world.do(lambda state: queue.unblock(state, "provider", AGENT))
    assert ask(world, "provider", "q2").open


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
    wanted = (False, "comes after q1, which is pending", queued["seq"], None, "kugetsu queue move q2 --after ''")
    assert told(ask(world, "dependencies", "q2")) == wanted
    end(world, run(world, "q1"), "fail", "give_up")
    said = ask(world, "dependencies", "q2")
    assert (said.reason, said.lift) == ("comes after q1, which ended in error", "kugetsu queue retry q1")
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
    world.do(lambda state: queue.acknowledge(state, ["q1"]))
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
    wanted = (False, "q1 of the same issue comes first", first["seq"], None, "kugetsu queue move q2 --first")
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
    assert told(ask(world, "stagger", "q2")) == (False, "1 agent is starting on 1 core", claimed["seq"], None, None)
    world.run(0, 0)
    warm = later(world, 3.0)
    assert ask(world, "stagger", "q2").until == warm
    world.now = later(world, 2.999999)
    assert not ask(world, "stagger", "q2").open
    world.now = warm
    assert ask(world, "stagger", "q2").open


@pytest.mark.parametrize(("back", "starts"), [(0.001, True), (3600.0, False)])
def test_a_clock_that_went_back_makes_no_running_agent_a_starting_one(world: World, back: float, starts: bool) -> None:
    world.warmup, world.cores, world.cap = 3.0, 1, 9
    enqueue(world)
    enqueue(world, ISSUES[1])
    run(world, "q1")
    world.now = later(world, -back)
    assert ask(world, "stagger", "q2").open is not starts


@pytest.mark.parametrize(("free", "opens"), [(499, False), (500, True), (None, True)])
def test_memory_for_one_more_must_be_free(free: int | None, opens: bool, world: World) -> None:
    enqueue(world)
    world.free_memory_mb = free
    said = ask(world, "memory", "q1")
    assert said.open == opens
    if not opens:
        assert told(said)[1:] == (
            "499 MB of memory free, 500 MB required",
            0,
            None,
            "kugetsu config set MIN_FREE_MEMORY_MB 449",
        )


def test_without_a_memory_limit_none_is_looked_at(world: World) -> None:
    enqueue(world)
    facts = {**world.claim_facts(), "min_free_memory_mb": 0, "free_memory_mb": 1}
    said = capacity_gates.memory(world.state, world.state.tasks["q1"], facts)  # type: ignore[arg-type]
    assert (said.open, said.code) == (True, "no_memory_limit")


# --- disk


def test_a_full_disk_holds_everything_back(world: World) -> None:
    enqueue(world)
    world.free_disk_mb = 199
    assert told(ask(world, "disk", "q1")) == (False, "199 MB of disk free, 200 MB required", 0, None, "kugetsu prune")
    assert ask(world, "disk", "q1").otherwise == "kugetsu config set MIN_FREE_DISK_MB 179"
    world.free_disk_mb = 200
    assert ask(world, "disk", "q1").open
    world.free_disk_mb = None
    assert ask(world, "disk", "q1").open, "a system that does not tell holds nothing back"


def test_memory_and_disk_are_looked_at_again_by_themselves(world: World) -> None:
    enqueue(world)
    world.daemon_start(1, 1)
    for world.free_disk_mb, world.free_memory_mb in ((1, 4000), (5000, 1)):
        assert claims.plan(world.state, world.claim_facts("daemon")).next_look == later(world, 15.0)


# --- the agent

OTHERS_READ: AgentProblem = {
    "cause": "/k/env/dev.env holds secrets and others can read it",
    "remedy": "chmod 600 /k/env/dev.env",
}


@pytest.mark.parametrize(("broken", "held"), [("dev", "q1"), ("pm", "q2")])
def test_what_keeps_the_agent_of_one_kind_from_starting_holds_that_kind_only(
    broken: str, held: str, world: World
) -> None:
    enqueue(world)
    enqueue(world, None)
    world.agent_problems = {broken: OTHERS_READ}
    for task in ("q1", "q2"):
        wanted = (False, OTHERS_READ["cause"], 0, None, OTHERS_READ["remedy"])
        opened = (True, "no known reason for the agent not to start", 0, None, None)
        assert told(ask(world, "agent", task)) == (wanted if task == held else opened)


def test_an_agent_that_cannot_be_started_is_looked_at_again_by_itself(world: World) -> None:
    enqueue(world)
    world.daemon_start(1, 1)
    world.agent_problems = {"dev": OTHERS_READ}
    plan = claims.plan(world.state, world.claim_facts("daemon"))
    assert (plan.candidate, plan.next_look) == (None, later(world, 15.0))


def test_a_decision_that_did_not_look_at_the_agent_finds_its_gate_open(world: World) -> None:
    enqueue(world)
    facts = world.claim_facts()
    del facts["agent_problems"]
    assert gates.agent(world.state, world.state.tasks["q1"], facts).open


def test_a_start_that_the_agent_keeps_back_is_refused_as_one_that_fails(world: World) -> None:
    enqueue(world)
    world.agent_problems = {"dev": OTHERS_READ}
    refused = claims.refusal(verdict(world, "agent", "q1"))
    assert isinstance(refused, AgentUnavailable)
    assert refused.exit_code == 1
    assert refusals.words(refused) == (f"not started: {OTHERS_READ['cause']}", OTHERS_READ["remedy"])


# --- repository


def test_a_repository_has_no_more_agents_than_it_may(world: World) -> None:
    world.repository_caps = {"example.org/o/b": 3, "example.org/o/a": 1, "*": 2}
    for issue in ("example.org/o/a#1", "example.org/o/a#2", "example.org/o/c#1", "example.org/o/c#2"):
        enqueue(world, issue)
    claimed = claim(world, "q1")
    reason = "1 of 1 agent allowed in example.org/o/a"
    lift = "kugetsu config set REPOSITORY_CAPS example.org/o/b=3,example.org/o/a=2"
    assert told(ask(world, "repository", "q2")) == (False, reason, claimed["seq"], None, lift)
    claim(world, "q3")
    assert ask(world, "repository", "q4").open, "any other repository may have two"
    world.repository_caps["*"] = 1
    assert ask(world, "repository", "q4").lift == "kugetsu config set MAX_AGENTS_PER_REPOSITORY 2"
    world.repository_caps = {}
    assert ask(world, "repository", "q2").open


# --- repositories with settings of their own


A, B = "example.org/o/a", "example.org/o/b"


def test_the_limits_of_a_repository_hold_for_its_issues_alone(world: World) -> None:
    for issue in (f"{A}#1", f"{B}#1"):
        enqueue(world, issue)
    for task in ("q1", "q2"):
        worked(world, task, tokens=300, cost=2.0)
    for issue in (f"{A}#1", f"{B}#1"):
        enqueue(world, issue)
    world.max_tokens, world.repositories = 300, {A: {"issue_max_tokens": 900}}
    plan = claims.plan(world.state, world.claim_facts())
    assert plan.candidate == "q3" and [task for task, _ in plan.held] == ["q4"]
    world.max_tokens, world.repositories = 0, {A: {"issue_max_tokens": 300}}
    plan = claims.plan(world.state, world.claim_facts())
    assert plan.candidate == "q4"
    ((task, held),) = plan.held
    assert (task, held.code) == ("q3", "tokens_used_up")
    assert words.commands_of(held)[0] == f"kugetsu config set --repo {A} ISSUE_MAX_TOKENS 600"
    world.repositories = {A: {"issue_max_cost": 1.0, "max_runs_without_progress": 9}}
    assert first_closed(world, "q3") == "cost_used_up" and first_closed(world, "q4") is None


def first_closed(world: World, task: str) -> str | None:
    said = gates.first_closed(world.state, world.state.tasks[task], world.claim_facts())
    return said.code if said is not None else None


def test_an_own_number_of_agents_comes_before_the_named_and_the_general_caps(world: World) -> None:
    world.cap, world.cores, world.repository_caps = 9, 9, {A: 1, "*": 1}
    for issue in (f"{A}#1", f"{A}#2", f"{A}#3", f"{B}#1", f"{B}#2"):
        enqueue(world, issue)
    claim(world, "q1")
    claim(world, "q4")
    world.repositories = {A: {"max_agents": 2}}
    assert (first_closed(world, "q2"), first_closed(world, "q5")) == (None, "repository_full")
    claim(world, "q2")
    said = ask(world, "repository", "q3")
    assert said.reason == f"2 of 2 agents allowed in {A}"
    assert said.lift == f"kugetsu config set --repo {A} MAX_AGENTS_PER_REPOSITORY 3"
    world.repositories = {A: {"max_agents": 0}}
    assert first_closed(world, "q3") is None


def test_the_limit_of_one_agent_does_not_hold_a_repository_with_another(world: World) -> None:
    world.repositories = {A: {"agent": "command:default"}}
    for issue in (f"{A}#1", f"{A}#2", f"{B}#1", f"{B}#2"):
        enqueue(world, issue)
    end(world, run(world, "q3"), verdict="limited")
    assert (first_closed(world, "q1"), first_closed(world, "q4")) == (None, "usage_limit")
    end(world, run(world, "q1"), verdict="limited")
    assert first_closed(world, "q2") == "usage_limit"
    general, own = (event for event in world.memory.events if event["type"] == "attempt.claimed")
    assert "agent" not in general["data"] and own["data"]["agent"] == "command:default"
    assert own["facts"]["agent"] == AGENT and own["facts"]["repositories"] == world.repositories
    assert set(world.state.limits) == {AGENT, "command:default"}


def test_what_keeps_the_agent_of_a_repository_from_starting_holds_that_alone(world: World) -> None:
    world.repositories = {A: {"agent": "command:default"}}
    enqueue(world, f"{A}#1")
    enqueue(world, f"{B}#1")
    world.agent_problems = {"dev": OTHERS_READ}
    assert (first_closed(world, "q1"), first_closed(world, "q2")) == (None, "agent_unavailable")
    world.agent_problems = {f"dev {A}": OTHERS_READ}
    assert (first_closed(world, "q1"), first_closed(world, "q2")) == ("agent_unavailable", None)


# --- budget


def worked(world: World, task_id: str, **told: Any) -> None:
    end(world, run(world, task_id), "succeed", "done", **told)


@pytest.mark.parametrize("destroyed", [False, True])
def test_an_issue_that_has_used_up_its_tokens_gets_no_agent(destroyed: bool, world: World) -> None:
    enqueue(world)
    worked(world, "q1", tokens=600)
    enqueue(world)
    worked(world, "q2", tokens=300)
    if destroyed:
        destroy(world, ISSUES[0])
    enqueue(world)
    world.max_tokens = 901
    assert ask(world, "budget", "q3").open
    world.max_tokens = 900
    said = ask(world, "budget", "q3")
    assert (said.open, said.reason) == (False, "the issue has used 900 of 900 tokens")
    assert said.lift == "kugetsu config set ISSUE_MAX_TOKENS 1800"
    assert claims.plan(world.state, world.claim_facts()).candidate is None


def test_an_issue_that_has_cost_too_much_gets_no_agent(world: World) -> None:
    enqueue(world)
    worked(world, "q1", cost=2.5)
    enqueue(world)
    world.max_cost = 2.5
    assert ask(world, "budget", "q2").reason == "the issue has cost 2.50 of 2.50"
    enqueue(world, ISSUES[1])
    assert ask(world, "budget", "q3").open, "another issue has its own budget"


@pytest.mark.parametrize(
    ("cost", "most", "said", "lift"),
    [
        (0.0237, 0.005, "0.0237 of 0.005", "0.0474"),
        (0.001, 0.001, "0.001 of 0.001", "0.002"),
        (0.0000012, 0.000001, "0.0000012 of 0.000001", "0.0000024"),
        (0.5, 0.5, "0.50 of 0.50", "1.00"),
        (1234.5, 1000.0, "1234.50 of 1000.00", "2469.00"),
    ],
)
def test_small_amounts_are_told_so_that_they_mean_something(
    cost: float, most: float, said: str, lift: str, world: World
) -> None:
    enqueue(world)
    worked(world, "q1", cost=cost)
    enqueue(world)
    world.max_cost = most
    told = ask(world, "budget", "q2")
    assert (told.reason, told.lift) == (f"the issue has cost {said}", f"kugetsu config set ISSUE_MAX_COST {lift}")
    world.max_cost = float(lift)
    assert ask(world, "budget", "q2").open, "what lifts it does"


def test_what_was_used_is_known_to_tasks_that_wait_while_the_session_goes(world: World) -> None:
    enqueue(world)
    worked(world, "q1", tokens=600)
    key = ISSUES[0]
    world.do(lambda state: sessions.destroying(state, key, False, "destroy"))
    enqueue(world)
    outcome: dict[str, Any] = {"worktree": None, "branch": None, "rescue": None, "kept": []}
    world.do(lambda state: sessions.destroyed(state, key, outcome))
    world.max_tokens = 600
    assert not ask(world, "budget", "q2").open
    world.do(lambda state: queue.retry(state, "q1"))
    assert not ask(world, "budget", "q1").open, "also a finished one that is wanted again"


def destroy(world: World, key: str) -> None:
    outcome: dict[str, Any] = {"worktree": None, "branch": None, "rescue": None, "kept": []}
    world.do(lambda state: sessions.destroying(state, key, False, "destroy"))
    world.do(lambda state: sessions.destroyed(state, key, outcome))


# --- progress


def idle_runs(world: World, count: int) -> None:
    for _ in range(count):
        enqueue(world)
        worked(world, f"q{world.state.tasks_made}", evidence={"commits": 0, "head": "c0ffee"})


def test_good_runs_that_bring_nothing_park_the_next_task_until_someone_lifts_it(world: World) -> None:
    idle_runs(world, 2)
    world.max_fruitless = 2
    enqueue(world)
    reason = "2 runs in a row ended well and brought no new commit or comment"
    assert ask(world, "progress", "q3").lift == f"kugetsu queue lift {ISSUES[0]}"
    made = dispatched(world)
    why = {"reason": "no_progress", "values": {"runs": 2, "issue": ISSUES[0]}}
    assert [(event["type"], event["data"]) for event in made] == [
        ("task.parked", {"until": None, "stated": False, "limit": None, "gate": "progress", **why})
    ]
    assert told(ask(world, "parked", "q3")) == (False, reason, made[0]["seq"], None, "kugetsu queue retry q3")
    world.now = later(world, 1e6)
    assert not ask(world, "parked", "q3").open, "no time lifts it"


@pytest.mark.parametrize("how", ["retry", "lift", "setting"])
def test_a_task_parked_for_want_of_progress_goes_on_when_it_is_lifted(how: str, world: World) -> None:
    idle_runs(world, 2)
    world.max_fruitless = 2
    enqueue(world)
    dispatched(world)
    if how == "retry":
        world.do(lambda state: queue.retry(state, "q3"))
    elif how == "lift":
        made = world.do(lambda state: queue.unblock(state, "progress", ISSUES[0]))
        assert [event["type"] for event in made] == ["hold.lifted", "task.resumed"]
    else:
        world.max_fruitless = 3
    assert "attempt.claimed" in [event["type"] for event in dispatched(world)]
    assert world.state.sessions[ISSUES[0]].usage.no_progress_runs == (2 if how == "setting" else 0)
    assert world.state.tasks["q3"].used == 1, "parking used up no attempt"


@pytest.mark.parametrize(
    ("evidence", "fruitless"),
    [
        ({"head": "c1"}, 0),
        ({"head": "c0ffee", "comments": 5}, 0),
        ({"head": "c0ffee", "comments": 4}, 3),
        ({"head": "c0ffee"}, 3),
        ({"problem": "the worktree is gone"}, 2),
        ({}, 2),
    ],
)
def test_progress_is_a_new_commit_or_comment(evidence: dict[str, Any], fruitless: int, world: World) -> None:
    enqueue(world)
    worked(world, "q1", evidence={"head": "c0ffee", "comments": 4})
    enqueue(world)
    worked(world, "q2", evidence={"head": "c0ffee", "comments": 4})
    assert world.state.sessions[ISSUES[0]].usage.no_progress_runs == 2
    enqueue(world)
    worked(world, "q3", evidence=evidence)
    assert world.state.sessions[ISSUES[0]].usage.no_progress_runs == fruitless


def test_a_failed_run_counts_neither_for_nor_against_progress(world: World) -> None:
    idle_runs(world, 1)
    enqueue(world)
    end(world, run(world, "q2"), "fail", "give_up", evidence={"head": "c0ffee"})
    assert world.state.sessions[ISSUES[0]].usage.no_progress_runs == 1


def test_the_count_of_runs_without_progress_outlives_the_session(world: World) -> None:
    idle_runs(world, 2)
    destroy(world, ISSUES[0])
    world.max_fruitless = 2
    enqueue(world)
    assert not ask(world, "progress", "q3").open
    world.do(lambda state: queue.unblock(state, "progress", ISSUES[0]))
    assert ask(world, "progress", "q3").open
    enqueue(world)
    assert ask(world, "progress", "q4").open, "the history knows that it was lifted"


def dispatched(world: World) -> list[Event]:
    facts = world.claim_facts()
    planned = claims.plan(world.state, facts)
    return world.do(lambda state: claims.dispatch(state, planned, world.offer(), facts))


# --- all


def test_no_gate_changes_anything_and_every_closed_one_explains_itself() -> None:
    world = World()
    closed: set[str] = set()
    for _ in world.play([*random_commands(1, 900), *random_commands(2, 900)]):
        for dispatcher in ("daemon", "self", "none"):
            facts = world.claim_facts(dispatcher)
            given = dict(facts)
            before = frozen(world.state) if world.state.seq % 10 == 0 else None
            for task in world.state.tasks.values():
                for said in gates.verdicts(world.state, task, facts):
                    assert words.reason_of(said) != said.code, "every code has its words"
                    assert orjson.loads(orjson.dumps(said.values)) == said.values
                    assert 0 <= said.rests_on <= world.state.seq
                    if not said.open:
                        closed.add(said.gate)
                        assert words.commands_of(said)[0] or said.gate == "stagger"
                        assert said.until is None or said.until > world.now
            assert facts == given
            assert before is None or frozen(world.state) == before
    # Chance seldom lets an agent do well and bring nothing, or use up a budget; these gates have their tests above.
    assert closed | {"progress", "budget"} == {gate.__name__ for gate in gates.GATES}


def frozen(state: State) -> Any:
    return orjson.loads(orjson.dumps(state_codec.dump(state)))


def test_limits_are_known_by_agent_and_model(world: World) -> None:
    enqueue(world)
    limited(world, "q1", 100.0)
    assert list(world.state.limits) == [AGENT]


def test_what_waits_does_not_keep_a_begun_destruction_from_its_end(world: World) -> None:
    enqueue(world)
    end(world, run(world, "q1"), "succeed", "done")
    world.do(lambda state: sessions.destroying(state, ISSUES[0], False, "destroy"))
    enqueue(world)
    assert ask(world, "issue", "q2").lift == f"kugetsu destroy {ISSUES[0]}"
    destroy(world, ISSUES[0])
    assert ask(world, "issue", "q2").open
    assert world.state.tasks["q2"].state == "pending"
