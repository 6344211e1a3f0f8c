"""Claims: the lowest free slot under the cap or nothing at all; what is held back is told once."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from kugetsu.domain.decide import attempts, claims, queue, sessions
from kugetsu.domain.facts import Ending
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.model.errors import CapReached, Conflict
from kugetsu.views.refusals import words
from property.simulation import AGENT, ISSUES, PROCESS, Event, World

MANY = tuple(f"example.org/o/r#{number}" for number in range(1, 20))


@pytest.fixture
def world() -> World:
    made = World()
    made.warmup, made.cores, made.cap = 0.0, 99, 3
    made.do(lambda state: [NewEvent("daemon.started", {"identity": PROCESS, "lease": "d"})])
    return made


def task(state: State, issue: str | None, **wish: Any) -> list[NewEvent]:
    kind = "dev" if issue else "pm"
    return queue.enqueue(state, kind=kind, issue=issue, message="m", via="test", **wish)


def enqueue(world: World, *issues: str | None, **wish: Any) -> None:
    for issue in issues:
        world.do(lambda state, issue=issue: task(state, issue, **wish))  # type: ignore[misc]


def start(world: World, issue: str | None) -> list[Event]:
    offer, facts = world.offer(), world.claim_facts()
    return world.do(lambda state: claims.start(state, task(state, issue)[0], offer, facts))


def dispatch(world: World) -> list[Event]:
    facts = world.claim_facts("daemon")
    planned = claims.plan(world.state, facts)
    return world.do(lambda state: claims.dispatch(state, planned, world.offer(), facts))


def end(world: World, attempt: str, verdict: str = "retry", **told: Any) -> None:
    facts = world.outcome_facts()
    ending = Ending("fail", verdict, "it ended", **told)
    world.do(lambda state: attempts.finish(state, attempt, ending, facts))


def types(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


# --- the claim


def test_a_claim_takes_the_lowest_free_slot(world: World) -> None:
    slots = [start(world, issue)[-1]["data"]["slot"] for issue in MANY[:3]]
    assert slots == [1, 2, 3]
    end(world, "q2.1", "give_up")
    end(world, "q1.1", "give_up")
    assert start(world, MANY[4])[-1]["data"]["slot"] == 1
    assert start(world, MANY[5])[-1]["data"]["slot"] == 2


@pytest.mark.parametrize(("cap", "slot"), [(0, None), (1, 1), (3, 1)])
def test_the_lowest_free_slot_is_within_the_cap(cap: int, slot: int | None) -> None:
    world = World()
    facts = {**world.claim_facts(), "cap": cap}
    assert claims.lowest_free_slot(world.state, facts) == slot


def test_with_a_lowered_cap_a_claim_stays_within_it(world: World) -> None:
    for issue in MANY[:3]:
        start(world, issue)
    end(world, "q1.1", "give_up")
    world.cap = 2
    with pytest.raises(CapReached):
        start(world, MANY[3])
    end(world, "q2.1", "give_up")
    assert start(world, MANY[3])[-1]["data"]["slot"] == 1


def test_claim_beyond_the_cap_is_refused_and_nothing_changes(world: World) -> None:
    for issue in MANY[:3]:
        start(world, issue)
    head = world.state.seq
    with pytest.raises(CapReached, match=r"slots_full.*'used': 3.*q1.1.*q3.1") as refused:
        start(world, MANY[3])
    assert refused.value.exit_code == 2
    assert words(refused.value)[1]
    assert (world.state.seq, world.state.tasks_made) == (head, 3)


@pytest.mark.parametrize(("change", "said"), [({"free_memory_mb": 1}, "memory_low"), ({"cores": 1}, "starting")])
def test_a_full_machine_refuses_as_the_cap_does(change: dict[str, int], said: str, world: World) -> None:
    start(world, MANY[0])
    vars(world).update(change)
    with pytest.raises(CapReached, match=said):
        start(world, MANY[1])


def test_start_on_an_issue_that_is_worked_on_is_a_conflict_and_nothing_changes(world: World) -> None:
    start(world, MANY[0])
    head = world.state.seq
    with pytest.raises(Conflict, match=r"issue_busy.*q1\.1") as refused:
        start(world, MANY[0])
    assert (refused.value.exit_code, words(refused.value)[1]) == (5, "kugetsu queue cancel q1")
    assert world.state.seq == head


def test_a_refusal_names_the_time_at_which_it_ends(world: World) -> None:
    enqueue(world, MANY[0])
    dispatch(world)
    end(world, "q1.1", "limited")
    assert world.state.limits[AGENT]["until"] == "2026-11-23T10:30:00.000000Z"
    with pytest.raises(Conflict, match="until 2026-11-23T10:30"):
        start(world, MANY[1])


def test_start_is_one_transaction_of_task_session_and_claim(world: World) -> None:
    made = start(world, MANY[0])
    assert types(made) == ["task.queued", "session.requested", "attempt.claimed"]
    assert [event.get("more", 0) for event in made] == [2, 1, 0]
    queued, requested, claimed = made
    assert {event["cause"] for event in (requested, claimed)} == {queued["seq"]}
    assert (claimed["task"], claimed["attempt"], claimed["session"], claimed["issue"]) == (
        "q1",
        "q1.1",
        MANY[0],
        MANY[0],
    )
    assert requested["data"] == {"kind": "issue", "repository": "example.org/o/r"}
    assert claimed["data"] == {
        "number": 1,
        "kind": "dev",
        "slot": 1,
        "lease": "lease-1",
        "claimer": PROCESS,
        "live": [],
    }
    assert claimed["facts"] == world.claim_facts()


def test_a_claim_records_who_was_live(world: World) -> None:
    start(world, MANY[0])
    start(world, None)
    assert start(world, MANY[1])[-1]["data"]["live"] == ["q1.1"], "pm attempts hold no slot"


def test_a_claim_in_an_existing_session_requests_none(world: World) -> None:
    start(world, MANY[0])
    end(world, "q1.1", "give_up")
    assert types(start(world, MANY[0])) == ["task.queued", "attempt.claimed"]


def test_the_pm_agent_has_one_session(world: World) -> None:
    made = start(world, None)
    assert (made[1]["session"], made[1]["data"]) == ("pm", {"kind": "pm", "repository": None})
    assert made[-1]["data"]["slot"] is None


def test_a_session_goes_on_with_the_counters_of_its_earlier_life(world: World) -> None:
    carried = {"attempts": 4, "parks": 2, "tokens": 900, "cost": 1.5, "pr": "https://example.org/o/r/pulls/1"}
    facts, offer = world.claim_facts(), world.offer()
    wanted = partial(queue.enqueue, kind="dev", issue=MANY[0], message="m", via="start", carried=carried)
    world.do(lambda state: claims.start(state, wanted(state)[0], offer, facts))
    session = world.state.sessions[MANY[0]]
    assert (session.usage.attempts, session.usage.parks, session.usage.tokens, session.usage.cost) == (5, 2, 900, 1.5)
    assert session.pr == carried["pr"]


def test_a_parked_task_is_resumed_and_claimed_once_its_time_has_come(world: World) -> None:
    enqueue(world, MANY[0])
    dispatch(world)
    end(world, "q1.1", "limited")
    assert "attempt.claimed" not in types(dispatch(world))
    world.now = world.state.tasks["q1"].not_before or ""
    made = dispatch(world)
    assert types(made) == ["task.resumed", "attempt.claimed"]
    assert made[0]["data"] == {"why": "time"}
    one = world.state.tasks["q1"]
    assert (one.state, one.attempt, one.usage.attempts, one.used, one.usage.parks, one.not_before) == (
        "notified",
        "q1.2",
        2,
        1,
        1,
        None,
    )
    assert world.state.limits == {}


def test_a_claim_of_a_task_that_is_held_back_gives_nothing(world: World) -> None:
    enqueue(world, MANY[0])
    world.cap = 0
    assert claims.claim(world.state, "q1", world.offer(), world.claim_facts()) == []


# --- the plan


def test_the_first_that_may_start_is_the_candidate(world: World) -> None:
    enqueue(world, MANY[0], MANY[0], MANY[1])
    assert claims.plan(world.state, world.claim_facts("daemon")).candidate == "q1"
    dispatch(world)
    assert claims.plan(world.state, world.claim_facts("daemon")).candidate == "q3", "q2 is of the same issue"


def test_priority_goes_before_order(world: World) -> None:
    enqueue(world, MANY[0], MANY[1])
    enqueue(world, MANY[2], priority=1)
    assert [one.id for one in world.state.waiting()] == ["q3", "q1", "q2"]
    assert claims.plan(world.state, world.claim_facts("daemon")).candidate == "q3"


def test_the_plan_says_when_to_look_again(world: World) -> None:
    enqueue(world, *MANY[:3])
    for verdict in ("retry", "limited"):
        dispatch(world)
        end(world, next(iter(world.state.attempts)), verdict)
    planned = claims.plan(world.state, world.claim_facts("daemon"))
    assert planned.candidate is None
    assert planned.next_look == world.state.tasks["q1"].not_before, "the pause ends before the limit does"
    assert claims.plan(World().state, world.claim_facts("daemon")).next_look is None


def test_what_holds_a_task_back_is_told_when_the_gate_changes_only(world: World) -> None:
    world.cap = 1
    enqueue(world, MANY[0], MANY[1])
    dispatch(world)
    told = dispatch(world)
    assert [(event["type"], event["task"], event["data"]["gate"]) for event in told] == [("task.held", "q2", "slots")]
    assert told[0]["data"]["reason"] == "slots_full"
    assert told[0]["data"]["values"] == {"used": 1, "cap": 1, "attempts": ["q1.1"]}
    assert told[0]["cause"] == told[0]["data"]["rests_on"] == world.state.attempts["q1.1"].claimed
    assert world.state.tasks["q2"].held_seq == told[0]["seq"]
    assert dispatch(world) == []
    end(world, "q1.1", "limited")
    assert [event["data"]["gate"] for event in dispatch(world)] == ["parked", "provider"]


def test_what_held_a_task_back_before_it_moved_is_told_anew(world: World) -> None:
    enqueue(world, MANY[0])
    for _ in range(2):
        world.free_memory_mb = 1
        assert types(dispatch(world)) == ["task.held"]
        world.free_memory_mb = 4000
        assert types(dispatch(world))[-1] == "attempt.claimed"
        assert world.state.tasks["q1"].held is None
        end(world, next(iter(world.state.attempts)))
        world.now = world.state.tasks["q1"].not_before or ""


def test_a_long_queue_does_not_tell_at_every_turn_that_the_machine_is_full(world: World) -> None:
    world.cap = 1
    enqueue(world, *MANY[:10])
    dispatch(world)
    assert len(dispatch(world)) == 9
    for free, gate in ((1, "memory"), (4000, "slots")):
        world.cap, world.free_memory_mb = (9, free) if gate == "memory" else (1, free)
        told = dispatch(world)
        assert [(event["task"], event["data"]["gate"]) for event in told] == [("q2", gate)]


def test_a_hold_that_is_no_longer_true_is_not_told(world: World) -> None:
    world.cap = 1
    enqueue(world, MANY[0], MANY[1])
    dispatch(world)
    facts = world.claim_facts("daemon")
    planned = claims.plan(world.state, facts)
    assert [task_id for task_id, _ in planned.held] == ["q2"]
    end(world, "q1.1", "give_up")
    assert claims.dispatch(world.state, planned, None, facts) == []


def test_a_candidate_is_decided_again_under_the_lock(world: World) -> None:
    world.cap = 1
    enqueue(world, MANY[0])
    facts = world.claim_facts("daemon")
    planned = claims.plan(world.state, facts)
    assert planned.candidate == "q1"
    taken = start(world, MANY[1])[-1]["seq"]
    made = world.do(lambda state: claims.dispatch(state, planned, world.offer(), facts))
    assert types(made) == ["claim.lost"]
    assert made[0]["data"] == {
        "gate": "slots",
        "reason": "slots_full",
        "values": {"used": 1, "cap": 1, "attempts": ["q2.1"]},
        "to": "q2.1",
        "behind_seq": taken,
    }
    assert (made[0]["task"], made[0]["cause"], made[0]["facts"]["planned"]) == ("q1", taken, planned.seq)
    assert world.state.tasks["q1"].state == "pending"


def test_of_several_who_were_faster_the_one_that_closed_the_gate_is_named(world: World) -> None:
    world.cap = 2
    enqueue(world, MANY[0])
    facts = world.claim_facts("daemon")
    planned = claims.plan(world.state, facts)
    start(world, MANY[1])
    last = start(world, MANY[2])[-1]["seq"]
    lost = claims.dispatch(world.state, planned, world.offer(), facts)[-1]
    assert (lost.data["to"], lost.data["behind_seq"]) == ("q3.1", last)


def test_a_claim_lost_to_another_dispatcher_names_the_attempt_of_the_task_itself(world: World) -> None:
    enqueue(world, MANY[0])
    facts = world.claim_facts("daemon")
    planned = claims.plan(world.state, facts)
    dispatch(world)
    lost = claims.dispatch(world.state, planned, world.offer(), facts)[-1]
    assert (lost.type, lost.data["gate"], lost.data["to"]) == ("claim.lost", "waiting", "q1.1")


def test_a_start_that_saw_its_way_open_records_who_was_faster(world: World) -> None:
    world.cap = 1
    facts, seen = world.claim_facts(), world.state.seq
    taken = start(world, MANY[1])[-1]["seq"]
    made = world.do(lambda state: claims.lost_start(state, MANY[0], seen, facts))
    assert types(made) == ["claim.lost"]
    assert (made[0]["issue"], made[0].get("task"), made[0]["data"]["to"]) == (MANY[0], None, "q1.1")
    assert made[0]["cause"] == taken
    assert world.state.tasks_made == 1, "no task was made"


def test_no_claim_is_lost_while_every_gate_is_open(world: World) -> None:
    assert claims.lost_start(world.state, MANY[0], world.state.seq, world.claim_facts()) == []


@pytest.mark.parametrize("gone", ["cancel", "retire"])
def test_a_candidate_that_is_gone_is_not_claimed(gone: str, world: World) -> None:
    enqueue(world, MANY[0])
    facts = world.claim_facts("daemon")
    planned = claims.plan(world.state, facts)
    world.do(lambda state: queue.cancel(state, "q1", "x"))
    if gone == "retire":
        world.do(lambda state: queue.clear(state, None))
    made = claims.dispatch(world.state, planned, world.offer(), facts)
    told = [(new_event.type, new_event.data["gate"], new_event.data["to"]) for new_event in made]
    assert told == ([("claim.lost", "waiting", None)] if gone == "cancel" else [])


def test_a_dispatched_claim_records_the_state_it_was_chosen_in(world: World) -> None:
    enqueue(world, MANY[0])
    seen = world.state.seq
    facts = world.claim_facts("daemon")
    planned = claims.plan(world.state, facts)
    enqueue(world, MANY[1], priority=9)
    made = world.do(lambda state: claims.dispatch(state, planned, world.offer(), facts))
    assert made[-1]["task"] == "q1"
    assert made[-1]["facts"] == {**facts, "planned": seen}


def test_without_an_offer_only_holds_are_told(world: World) -> None:
    enqueue(world, MANY[0], MANY[0])
    facts = world.claim_facts("daemon")
    planned = claims.plan(world.state, facts)
    told = claims.dispatch(world.state, planned, None, facts)
    assert [(new_event.type, new_event.task) for new_event in told] == [("task.held", "q2")]


def test_held_back_asks_the_gates_for_a_task_that_is_not_queued_yet(world: World) -> None:
    queued = task(world.state, MANY[0])[0]
    assert claims.held_back(world.state, queued, world.claim_facts()) is None
    world.cap = 0
    closed = claims.held_back(world.state, queued, world.claim_facts())
    assert closed is not None
    assert closed.gate == "slots"


def test_a_session_is_not_claimed_while_it_goes(world: World) -> None:
    start(world, MANY[0])
    end(world, "q1.1", "give_up")
    world.do(lambda state: sessions.destroying(state, MANY[0], False, "destroy"))
    with pytest.raises(Conflict, match="session_destroying"):
        start(world, MANY[0])
    assert start(world, ISSUES[0])
