"""Intervals of a log that several hosts share: a daemon runs while one of any host does, and slots are those of all."""

from __future__ import annotations

from functools import partial
from typing import Any

from kugetsu.domain.decide import daemon, hosts, queue
from kugetsu.domain.fold import fold
from kugetsu.domain.intervals import Intervals, Shift
from kugetsu.domain.state import empty
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
