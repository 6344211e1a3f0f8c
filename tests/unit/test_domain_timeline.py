"""The timeline: from the events alone, whatever point it begins at, and nothing is held longer than it was."""

from __future__ import annotations

import pytest

from kugetsu.domain import gates, timeline
from kugetsu.domain.audit.waits import Waits
from kugetsu.domain.decide import daemon
from kugetsu.domain.state import ENDS, empty
from kugetsu.model import clock
from kugetsu.model.clock import parse
from property.simulation import Event, World, folded, random_commands

SEEDS = range(6)


def history(seed: int) -> list[Event]:
    world = World()
    for _ in world.play(random_commands(seed, 600)):
        pass
    return world.memory.events


def whole(events: list[Event]) -> timeline.Timeline:
    return timeline.collect(empty(), events, events[0]["at"], events[-1]["at"])


@pytest.mark.parametrize("seed", SEEDS)
def test_every_claim_is_a_run_that_ends_with_its_outcome(seed: int) -> None:
    events = history(seed)
    found = {one.attempt: one for one in whole(events).runs}
    claims = {event["attempt"]: event for event in events if event["type"] == "attempt.claimed"}
    ends = {event["attempt"]: event for event in events if event["type"] in ENDS}
    assert found.keys() == claims.keys()
    for attempt, one in found.items():
        assert (one.seq, one.slot) == (claims[attempt]["seq"], claims[attempt]["data"]["slot"])
        ended = ends.get(attempt)
        assert one.until == (parse(ended["at"]) if ended else None)
        assert one.end_seq == (ended["seq"] if ended else 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_slot_is_held_twice_at_a_time(seed: int) -> None:
    by_slot: dict[int, int] = {}
    for one in whole(history(seed)).runs:
        if one.slot is not None:
            assert by_slot.get(one.slot, 0) <= one.seq, "the one before had not ended"
            by_slot[one.slot] = one.end_seq or 1 << 60


@pytest.mark.parametrize("seed", SEEDS)
def test_a_task_waits_for_one_reason_at_a_time_and_never_while_it_is_worked_on(seed: int) -> None:
    events = history(seed)
    open_holds = {one.task: one for one in whole(events).holds if one.until is None}
    state = folded(events)
    for task in open_holds:
        assert state.tasks[task].state in ("pending", "parked")
    for one in whole(events).holds:
        later = [other for other in whole(events).holds if other.task == one.task and other.seq > one.seq]
        assert not later or one.until is not None


@pytest.mark.parametrize("seed", SEEDS)
def test_begun_in_the_middle_it_shows_what_was_live_and_what_waited_then(seed: int) -> None:
    events = history(seed)
    middle = len(events) // 2
    while events[middle - 1].get("more"):
        middle += 1
    begun = timeline.collect(folded(events[:middle]), events[middle:], events[middle]["at"], events[-1]["at"])
    full = whole(events)
    seq = events[middle - 1]["seq"]
    expected = {one.attempt for one in full.runs if one.end_seq > seq or not one.end_seq}
    assert {one.attempt for one in begun.runs} == expected
    assert {one.task for one in begun.holds} >= {one.task for one in full.holds if one.seq > seq}


def test_only_one_issue_is_left_when_it_is_asked_for() -> None:
    events = history(1)
    issue = next(event["issue"] for event in events if event["type"] == "attempt.claimed" and "issue" in event)
    found = timeline.collect(empty(), events, events[0]["at"], events[-1]["at"], issue)
    assert found.runs
    assert {one.issue for one in (*found.runs, *found.holds)} == {issue}


def test_a_daemon_that_was_lost_has_a_shift_that_says_so() -> None:
    world = World()
    world.daemon_start(1, 1)
    world.pass_time(3, 0)
    world.daemon_end(2, 0)
    (shift,) = whole(world.memory.events).shifts
    assert (shift.state, shift.end) == ("running", "lost")
    assert shift.until is not None and shift.until > shift.since


@pytest.mark.parametrize("seed", SEEDS)
def test_what_waited_for_the_daemon_is_what_an_audit_counts(seed: int) -> None:
    events = history(seed)
    now = clock.add_seconds(events[-1]["at"], 60.0)
    audited = Waits(empty(), events[0]["at"], None)
    for event in events:
        audited.add(event)
    audited.end(now, dead=True)
    found = timeline.collect(empty(), events, events[0]["at"], now, dead=True)
    for gate in ("daemon", *gates.FULL):
        told = sum((one.until or parse(now)) - one.since for one in found.holds if one.gate == gate)
        assert told == (audited.by_gate[gate].total if gate in audited.by_gate else 0), gate


def test_a_daemon_is_there_until_it_first_owed_an_answer() -> None:
    world = World()
    world.daemon_start(1, 1)
    world.pass_time(3, 0)
    queued = world.enqueue(0, 1)[0]["at"]
    world.pass_time(2, 0)
    for noticed in (False, True):
        if noticed:
            world.do(daemon.lost)
            world.daemon_start(2, 1)
        events = world.memory.events
        found = timeline.collect(empty(), events, events[0]["at"], world.now, dead=not noticed)
        assert (found.shifts[0].until, found.shifts[0].end) == (parse(queued), "lost")
        assert [(one.task, one.gate, one.since) for one in found.holds] == [("q1", "daemon", parse(queued))]
        assert found.holds[0].until == (parse(world.now) if noticed else None)


def test_a_task_that_nothing_is_known_to_hold_is_named_apart() -> None:
    world = World()
    world.daemon_start(1, 1)
    world.enqueue(0, 1)
    world.pass_time(2, 0)
    events = world.memory.events
    found = timeline.collect(empty(), events, events[0]["at"], world.now)
    assert (found.unheld, found.holds) == (["q1"], [])
    assert not timeline.collect(empty(), events, events[0]["at"], world.now, "q2").unheld
