"""The clock that hosts of a shared log go by, and the settings that they share, with a real database.

A host's own clock is moved by moving what `model.clock` reads of it; what the machine counts from its start stays.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kugetsu.domain.decide import claims, hosts, queue
from kugetsu.domain.decide import daemon as decide
from kugetsu.domain.state import State
from kugetsu.log import open_log
from kugetsu.log.shared import marker
from kugetsu.log.shared.marker import Marker
from kugetsu.log.shared.opening import database_of
from kugetsu.model import clock
from kugetsu.runtime import daemon, daemon_child, host_clock, host_id, host_lease, membership
from kugetsu.runtime.facts import claim_facts
from kugetsu.runtime.workspace import Workspace
from property.simulation import PROCESS, World
from runtime.stage import Stage, bare_stage, stage
from runtime.test_membership import first, joined

__all__ = ["bare_stage", "first", "joined", "stage"]

HOUR = 3600.0


@pytest.fixture(autouse=True)
def _own_clock_after() -> Iterator[None]:
    yield
    clock.follow(None)


def skew(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set this machine's clock as if it were off by so much."""
    monkeypatch.setattr(clock, "_own", lambda: time.time_ns() // 1000 + round(seconds * 1e6))


def off(at: str) -> float:
    """Seconds by which a time is ahead of the present."""
    return clock.parse(at) / 1e6 - time.time()


# --- the clock --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_host_whose_clock_is_off_records_and_decides_by_the_databases(
    first: Stage, joined: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    skew(monkeypatch, hours * HOUR)
    second = joined("two")
    assert [abs(off(event["at"])) < HOUR / 2 for event in second.log.read()] == [True] * second.log.head().seq
    assert abs(off(claim_facts(second, "daemon")["now"])) < HOUR / 2
    assert abs(clock.ahead() + hours * HOUR) < HOUR / 2
    file = Path(second.paths.root, "config")
    assert abs(clock.parse(clock.from_own(file.stat().st_mtime + hours * HOUR)) / 1e6 - file.stat().st_mtime) < 60


def test_a_clock_that_is_set_while_the_host_works_moves_nothing(
    first: Stage, joined: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    joined("two")
    before = clock.now()
    skew(monkeypatch, 5 * HOUR)
    assert 0 <= clock.seconds_between(before, clock.now()) < HOUR


def test_the_lines_of_the_daemons_log_are_all_of_the_machines_own_clock(bare_stage: Stage) -> None:
    clock.follow(lambda: 0)  # 1970, the hosts agree
    bare_stage.ws.paths.make(bare_stage.ws.paths.logs)
    daemon_child.write_line(bare_stage.ws, "relay", "some text")
    at, *words = Path(bare_stage.ws.paths.logs, "daemon.log").read_text().split()
    assert words == ["INFO", "relay:", "some", "text"]
    assert abs(datetime.fromisoformat(at).timestamp() - time.time()) < HOUR


def test_a_daemon_asks_for_the_time_before_it_records_that_it_started(
    first: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(host_clock.path(first.ws.paths.leases))
    file.unlink()  # as after a restart of the machine
    host_clock.follow(first.ws.paths.leases)
    skew(monkeypatch, HOUR)
    assert off(clock.now()) > HOUR / 2
    lease = daemon.take_over(first.ws)
    # What is left of a test is ended by its identity: here that is this process.
    first.ws.log.transact(lambda state: decide.stopped(state, "tested", host_id.own(first.ws)))
    lease.release()
    assert abs(off(first.events("daemon.started")[-1]["at"])) < HOUR / 2
    known = file.read_text()
    membership.ask_the_time(first.ws)
    assert file.read_text() == known, "once is enough"


def test_what_was_heard_before_the_machine_was_started_tells_nothing(tmp_path: Path) -> None:
    now = host_lease.now()
    host_clock.renew(str(tmp_path), now, now, 10**15)
    file = tmp_path / "clock"
    assert host_clock.read(str(file)) == 10**15 - round(now * 1e6)
    host_clock.follow(str(tmp_path))
    assert clock.now().startswith("2001-09-09T01:46:40")
    _, at_start = file.read_text().split()
    file.write_text(f"another-boot {at_start}\n")
    assert host_clock.read(str(file)) is None
    host_clock.follow(str(tmp_path))
    assert abs(off(clock.now())) < 60, "its own clock, until it hears of the other one"
    for text in ("", "x", "x y z", "another-boot"):
        file.write_text(text)
        assert host_clock.read(str(file)) is None


def test_a_beat_that_took_long_does_not_spoil_what_is_known(tmp_path: Path) -> None:
    file = str(tmp_path / "clock")
    host_clock.renew(str(tmp_path), 100.0, 109.0, 10**15)
    assert host_clock.read(file) == 10**15 - 104_500_000, "better than nothing"
    host_clock.renew(str(tmp_path), 200.0, 200.2, 10**15)
    host_clock.renew(str(tmp_path), 300.0, 309.0, 10**15)
    assert host_clock.read(file) == 10**15 - 200_100_000


# --- what all hosts agree on ------------------------------------------------------------------------------------------


def test_the_relay_gives_the_database_the_time_to_live_of_the_log(first: Stage) -> None:
    with closing(database_of(first.ws.paths.log)) as database:
        membership.keep_time_to_live(first.ws, database, database.host_ttl())
        assert database.host_ttl() == 1800
        first.ws.log.transact(lambda state: hosts.share_setting(state, "HOST_LOST_MINUTES", "7"))
        membership.keep_time_to_live(first.ws, database, database.host_ttl())
        assert database.host_ttl() == 420
        until = host_lease.stop_by(host_lease.path(first.ws.paths.leases))
        assert membership.beat(first.ws, database) == 420
        assert (host_lease.stop_by(host_lease.path(first.ws.paths.leases)) or 0) < (until or 0), "its agents have less"


def opened(directory: Path, database: str) -> Any:
    """A host's shared log."""
    directory.mkdir()
    marker.write(str(directory), Marker(database))
    return open_log(str(directory), by={"cmd": "test"}, now=clock.now)


def test_of_two_hosts_that_race_for_the_last_place_one_gets_it(database: str, tmp_path: Path) -> None:
    logs = {host * 32: opened(tmp_path / host, database) for host in "ab"}
    one = logs["a" * 32]
    world = World(one.transact, one.state)
    for host in logs:
        world.do(partial(hosts.join, host=host, term=1, name=host[0], labels=[], cap=9))
    for number in range(1, 11):
        given: Any = {"kind": "dev", "issue": f"example.org/o/a#{number}", "message": "go", "via": "enqueue"}
        world.do(partial(queue.enqueue, **given))
    for turn in range(1, 6):
        world.do(partial(hosts.share_setting, key="MAX_AGENTS", new=str(turn)))
        for log in logs.values():
            log.pull()
        start, got = threading.Barrier(2), {}

        def race(host: str, task: str, start: Any = start, got: Any = got) -> None:
            facts: Any = {**world.claim_facts("daemon"), "host": host, "term": 1, "cap": 9, "cores": 9}
            offer = claims.ClaimRequest(f"lease-{task}", {**PROCESS, "host": host})
            start.wait()
            got[host] = logs[host].transact(lambda state: claims.claim(state, task, offer, facts))

        racing = [threading.Thread(target=race, args=(host, f"q{2 * turn - place}")) for place, host in enumerate(logs)]
        for thread in racing:
            thread.start()
        for thread in racing:
            thread.join()
        assert sorted(bool(events) for events in got.values()) == [False, True], "each had room of its own"
    one.pull()
    state: State = one.state()
    assert len(state.attempts) == 5 and state.violations == []
    for log in logs.values():
        log.close()
