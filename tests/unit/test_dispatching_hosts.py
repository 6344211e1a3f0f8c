"""Intervals of a log that several hosts share: a daemon runs while one of any host does, and slots are those of all."""

from __future__ import annotations

from functools import partial
from typing import Any

from kugetsu.domain import invariants, timeline
from kugetsu.domain.audit.waits import Waits
from kugetsu.domain.decide import claims, daemon, hosts, queue
from kugetsu.domain.fold import fold
from kugetsu.domain.interval_fold import Intervals
from kugetsu.domain.intervals import Shift
from kugetsu.domain.state import empty
from kugetsu.model.clock import parse
from kugetsu.views.timeline import shape
from property.simulation import ISSUES, PROCESS, World

ONE, TWO = "1" * 32, "2" * 32


def shared() -> World:
    world = World()
    for host, name, cap in ((ONE, "one", 2), (TWO, "two", 3)):
        world.do(partial(hosts.join, host=host, term=1, name=name, labels=[], cap=cap))
    return world


def start(world: World, host: str) -> None:
    world.do(partial(daemon.started, identity={**PROCESS, "host": host}, lease=f"d-{host[0]}"))


def seen(world: World, after: int = 0) -> tuple[Intervals, list[Shift]]:
    """The intervals by all events, from a state after so many of them."""
    state = empty()
    for event in world.memory.events[:after]:
        fold(state, event)
    intervals = Intervals(state, state.at)
    closed: list[Any] = []
    for event in world.memory.events[after:]:
        closed += intervals.add(event)
    closed += intervals.settle(world.now)
    return intervals, [one for one in closed if isinstance(one, Shift)]


def test_a_daemon_that_stops_ends_nothing_while_one_of_another_host_runs() -> None:
    world = shared()
    start(world, ONE)
    began = world.state.seq
    start(world, TWO)
    world.do(lambda state: daemon.stopped(state, "asked", ONE))
    given: Any = {"kind": "dev", "issue": ISSUES[0], "message": "go", "via": "enqueue"}
    world.do(partial(queue.enqueue, **given))
    intervals, shifts = seen(world)
    assert shifts == [] and intervals.shift is not None and intervals.shift.seq == began
    assert [wait.hold.gate for wait in intervals.waits.values()] != ["daemon"]
    world.do(lambda state: daemon.stopped(state, "asked", TWO))
    intervals, shifts = seen(world)
    assert [(shift.seq, shift.end) for shift in shifts] == [(began, "stopped")] and intervals.shift is None
    assert [wait.hold.gate for wait in intervals.waits.values()] == ["daemon"]


def test_the_slots_are_those_of_all_hosts_that_take_part() -> None:
    world = shared()
    assert seen(world)[0].cap == 5
    world.do(lambda state: hosts.share_setting(state, "MAX_AGENTS", "4"))
    assert seen(world)[0].cap == 4
    world.do(lambda state: hosts.share_setting(state, "MAX_AGENTS", None))
    world.do(lambda state: hosts.leave(state, TWO, 1, "done"))
    assert seen(world)[0].cap == 2


def test_what_ran_before_the_log_was_shared_is_of_the_first_host() -> None:
    world = World()
    world.do(partial(daemon.started, identity=PROCESS, lease="d"))
    world.do(partial(hosts.join, host=ONE, term=1, name="one", labels=[], cap=2))
    world.do(partial(hosts.join, host=TWO, term=1, name="two", labels=[], cap=2))
    world.do(lambda state: daemon.stopped(state, "asked", ONE))
    intervals, shifts = seen(world)
    assert intervals.shift is None and len(shifts) == 1


def test_it_goes_on_from_any_point() -> None:
    world = shared()
    start(world, ONE)
    start(world, TWO)
    world.do(lambda state: daemon.stopped(state, "asked", ONE))
    for after in range(len(world.memory.events)):
        intervals, shifts = seen(world, after)
        assert (intervals.shift is not None and shifts == []) or after < 3


def claim(world: World, task: str, host: str, name: str, cap: int) -> None:
    given: Any = {**world.claim_facts(), "host": host, "term": 1, "cap": cap}
    offer = claims.ClaimRequest(f"l-{name}-{task}", {**PROCESS, "host": host})
    world.do(lambda state: claims.claim(state, task, offer, given))


def three_at_work() -> World:
    """The first slot of both hosts is held, and the second of the second host."""
    world = shared()
    start(world, ONE)
    start(world, TWO)
    for number, issue in enumerate(ISSUES[:3], 1):
        given: Any = {"kind": "dev", "issue": issue, "message": "go", "via": "enqueue"}
        world.do(partial(queue.enqueue, **given))
        claim(world, f"q{number}", ONE if number == 1 else TWO, "one" if number == 1 else "two", min(number + 1, 3))
    return world


def test_slots_are_used_by_host_with_the_cap_of_the_time() -> None:
    world = three_at_work()
    begins = world.now
    world.pass_time(3, 0)
    lasted = parse(world.now) - parse(begins)
    world.do(partial(hosts.join, host=TWO, term=2, name="two", labels=[], cap=5))
    world.pass_time(3, 0)
    again = parse(world.now) - parse(begins) - lasted
    waits = Waits(empty(), world.memory.events[0]["at"], None)
    for event in world.memory.events:
        waits.add(event)
    waits.end(world.now)
    use = {waits.host_names[host]: (use.used, use.empty) for host, use in waits.slots.by_host.items()}
    assert lasted > 0 and again > 0
    assert use == {"one": (lasted + again, lasted + again), "two": (2 * (lasted + again), lasted + 3 * again)}
    assert waits.slots.used == 3 * (lasted + again), "those of all hosts together"


def test_a_timeline_has_the_slots_of_each_host() -> None:
    world = three_at_work()
    world.do(partial(hosts.join, host=ONE, term=2, name="first", labels=[], cap=2))
    found = timeline.collect(empty(), world.memory.events, world.memory.events[0]["at"], world.now)
    assert {host.name: host.slots for host in found.hosts.values()} == {"first": 2, "two": 3}
    held = {lane.name: [run.attempt for run in lane.runs] for lane in shape.lanes(found)}
    assert held == {"first:1": ["q1.1"], "first:2": [], "two:1": ["q2.1"], "two:2": ["q3.1"], "two:3": []}
    assert [shape.slot_of(run, found) for run in found.runs] == ["first:1", "two:1", "two:2"]


def test_a_timeline_has_the_titles_of_tasks_that_were_queued_on_a_shared_log() -> None:
    world = three_at_work()
    found = timeline.collect(empty(), world.memory.events, world.memory.events[0]["at"], world.now)
    assert found.titles == {"q1": "go", "q2": "go", "q3": "go"}


def test_what_ran_before_is_in_a_lane_of_the_first_host() -> None:
    world = World()
    world.do(partial(queue.enqueue, kind="dev", issue=ISSUES[0], message="go", via="enqueue"))
    world.do(lambda state: claims.claim(state, "q1", claims.ClaimRequest("l", PROCESS), world.claim_facts()))
    alone = timeline.collect(empty(), world.memory.events, world.memory.events[0]["at"], world.now)
    assert [lane.name for lane in shape.lanes(alone) if lane.runs] == ["slot 1"]
    for host, name in ((ONE, "one"), (TWO, "two")):
        world.do(partial(hosts.join, host=host, term=1, name=name, labels=[], cap=1))
    found = timeline.collect(empty(), world.memory.events, world.memory.events[0]["at"], world.now)
    assert [lane.name for lane in shape.lanes(found) if lane.runs] == ["one:1"]


def test_one_slot_of_one_host_is_never_held_twice() -> None:
    world = three_at_work()
    assert invariants.broken(world.state) == []
    world.state.attempts["q3.1"].slot = 1
    assert invariants.broken(world.state) == ["slot two:1 is held by q2.1 and q3.1"]
