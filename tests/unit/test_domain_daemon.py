"""The daemon as the log knows it: it starts, drains, stops, and its loss is told by whoever comes next."""

from __future__ import annotations

import pytest

from kugetsu.domain.decide import daemon
from kugetsu.domain.state import empty
from kugetsu.model.errors import Conflict, KugetsuError
from kugetsu.views.refusals import words
from property.simulation import PROCESS, Event, World


def start(world: World, lease: str = "d1") -> list[Event]:
    return world.do(lambda state: daemon.started(state, PROCESS, lease))


def types(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def test_a_daemon_starts_where_kugetsu_is_set_up() -> None:
    with pytest.raises(KugetsuError) as refused:
        daemon.started(empty(), PROCESS, "d1")
    assert words(refused.value)[1] == "kugetsu init"
    world = World()
    assert types(start(world)) == ["daemon.started"]
    assert (world.state.daemon.state, world.state.daemon.lease) == ("running", "d1")


@pytest.mark.parametrize("draining", [False, True])
def test_who_takes_the_lease_over_tells_that_the_one_before_was_lost(draining: bool) -> None:
    world = World()
    first = start(world)
    if draining:
        world.do(lambda state: daemon.drain(state, "asked"))
    made = start(world, "d2")
    assert types(made) == ["daemon.lost", "daemon.started"]
    assert made[0]["data"] == {"identity": PROCESS}
    assert draining or made[0]["cause"] == first[0]["seq"]
    assert (world.state.daemon.state, world.state.daemon.lease) == ("running", "d2")


def test_a_lost_daemon_is_told_once() -> None:
    world = World()
    start(world)
    assert types(world.do(daemon.lost)) == ["daemon.lost"]
    assert world.do(daemon.lost) == []
    assert types(start(world)) == ["daemon.started"]


def test_a_daemon_that_drains_stops_in_order() -> None:
    world = World()
    start(world)
    assert types(world.do(lambda state: daemon.drain(state, "asked"))) == ["daemon.draining"]
    assert world.do(lambda state: daemon.drain(state, "asked")) == []
    assert types(world.do(lambda state: daemon.stopped(state, "drained"))) == ["daemon.stopped"]
    assert world.do(lambda state: daemon.stopped(state, "drained")) == []
    assert world.do(daemon.lost) == []


@pytest.mark.parametrize("lost", [False, True])
def test_only_a_running_daemon_drains(lost: bool) -> None:
    world = World()
    if lost:
        start(world)
        world.do(daemon.lost)
    with pytest.raises(Conflict) as refused:
        daemon.drain(world.state, "asked")
    assert words(refused.value)[1] == "kugetsu queue-daemon start"


@pytest.mark.parametrize("draining", [False, True])
def test_a_daemon_whose_lease_is_replaced_is_the_same_daemon(draining: bool) -> None:
    world = World()
    start(world)
    if draining:
        world.do(lambda state: daemon.drain(state, "asked"))
    before = (world.state.daemon.state, world.state.daemon.changed, world.state.daemon.changed_at)
    assert types(world.do(lambda state: daemon.lease_replaced(state, "d1", "d2"))) == ["daemon.lease_replaced"]
    after = world.state.daemon
    assert (after.state, after.changed, after.changed_at) == before
    assert (after.lease, after.identity) == ("d2", PROCESS)


def test_the_lease_of_another_daemon_is_not_replaced() -> None:
    world = World()
    start(world)
    with pytest.raises(Conflict, match="daemon_replaced"):
        daemon.lease_replaced(world.state, "d0", "d2")
    world.do(lambda state: daemon.stopped(state, "asked"))
    with pytest.raises(Conflict, match="daemon_replaced"):
        daemon.lease_replaced(world.state, "d1", "d2")
