"""The relay: what appends for the processes of a host, so that none of them needs the driver."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kugetsu.log.shared import link
from kugetsu.log.shared import relay as relay_module
from kugetsu.log.shared.engine import SharedLog
from kugetsu.log.shared.keeper import Keeper
from kugetsu.log.shared.kept import is_kept
from kugetsu.log.shared.postgres import Database
from kugetsu.log.shared.relay import Relay
from kugetsu.log.shared.relay_protocol import SOCKET
from kugetsu.model.errors import LogDiverged, LogUnreachable
from log import claims_race
from log.counting import fill, note, noted
from log.shared import open_shared

Start = Callable[[], Relay]


@pytest.fixture
def log(tmp_path: Path, database: str) -> Iterator[SharedLog]:
    """The shared log of one host."""
    log = open_shared(tmp_path / "a" / "log", database)
    yield log
    log.close()


@pytest.fixture
def start(log: SharedLog, database: str) -> Iterator[Start]:
    """Starts a relay for the host."""
    started: list[Relay] = []

    def start() -> Relay:
        started.append(Relay(log.directory, lambda: Database(database)))
        return started[-1]

    yield start
    for relay in started:
        with suppress(OSError):
            relay.stop()


def test_a_relay_that_says_nothing_is_left_alone(
    log: SharedLog, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped one still takes connections: the system does so for it."""
    monkeypatch.setattr(link, "RELAY_SECONDS", 0.2)
    os.makedirs(log.directory, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(log.directory, SOCKET))
        listener.listen(8)
        assert note(log, "first")["seq"] == 1
        assert log.went_directly
        assert note(log, "second")["seq"] == 2, "and not asked again"
        asked = link.Link(log.directory, lambda: Database(database))
        with pytest.raises(LogUnreachable, match="may or may not have happened"):
            asked.append(log.head(), [], held=False, within=0.1)


def test_what_goes_through_the_relay_never_loads_the_driver(log: SharedLog, start: Start) -> None:
    start()
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from pathlib import Path\n"
        "from log.shared import open_shared\n"
        "from log.counting import fill, note, noted\n"
        f"log = open_shared(Path({log.directory!r}), '')\n"
        "fill(log, 20); log.append([noted('x')]); log._contended = True; note(log); log.pull()\n"
        "assert log.verify().ok and not log.went_directly and log.state()['seq'] == 22\n"
        "assert 'portalocker' not in sys.modules and 'socket' not in sys.modules\n"
    )
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": tests}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert log.pull().seq == 22


def test_processes_race_through_the_relays_of_two_hosts(tmp_path: Path, database: str) -> None:
    places = [tmp_path / name / "log" for name in "ab"]
    claims_race.prepare(places, database)
    children = [_relay_process(place, database) for place in places]
    try:
        for won in claims_race.rounds(places, database, 12, 6, direct=False):
            assert len(won) == claims_race.SLOTS
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _relay_process(place: Path, database: str) -> int:
    """A relay in a process of its own, as the daemon has one; returns when it listens."""
    ready, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            Relay(str(place), lambda: Database(database))
            os.write(say, b"!")
            signal.pause()
        finally:
            os._exit(1)
    os.read(ready, 1)
    os.close(ready)
    os.close(say)
    return pid


def test_a_relay_that_dies_is_replaced_by_a_connection_and_a_new_one_by_a_relay(
    log: SharedLog, start: Start, database: str
) -> None:
    first = start()
    note(log)
    assert not log.went_directly
    first.stop()
    note(log)
    log._contended = True
    note(log)
    assert log.went_directly
    start()
    log.append([noted()])
    assert not log.went_directly
    assert [event["seq"] for event in log.read()] == [1, 2, 3, 4]


@pytest.mark.parametrize("held", [False, True], ids=["compared", "held"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_relay_killed_in_an_append_neither_loses_nor_doubles(
    log: SharedLog, database: str, monkeypatch: pytest.MonkeyPatch, when: str, held: bool
) -> None:
    append = Database.append

    def killed(self: Database, *arguments: Any, **more: Any) -> Any:
        if when == "after":
            append(self, *arguments, **more)
        os._exit(1)

    with monkeypatch.context() as patched:
        patched.setattr(Database, "append", killed)
        pid = _relay_process(Path(log.directory), database)
    log._contended = held
    note(log, "once")
    assert os.waitpid(pid, 0)[1] == 1 << 8
    assert log.went_directly
    assert [event["data"]["text"] for event in log.read()] == ["once"]
    assert log.pull().seq == 1


def test_a_stopped_holder_gives_way_and_decides_again(
    log: SharedLog, start: Start, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    monkeypatch.setattr(relay_module, "HOLD_SECONDS", 0.2)
    start()
    other = open_shared(Path(log.directory), database)
    seen: list[int] = []

    def decide(state: Any) -> list[Any]:
        seen.append(state["seq"])
        if not state["seq"]:
            note(other, "other")  # returns once this one's hold has run out
        return [noted("stopped")]

    log._contended = True
    log.transact(decide)
    assert seen == [0, 1]
    assert [event["data"]["text"] for event in log.read()] == ["other", "stopped"]
    other.close()


def test_a_holder_that_is_gone_gives_way_at_once(log: SharedLog, start: Start, database: str) -> None:
    start()
    gone = open_shared(Path(log.directory), database)
    gone._ask().hold(gone.head())
    gone.close()
    assert note(log)["seq"] == 1


def test_the_relay_tells_an_error_as_it_is(log: SharedLog, start: Start, postgres: Any, database: str) -> None:
    start()
    fill(log, 5)
    postgres.run("UPDATE kugetsu.head SET sha = repeat('f', 32)", database.rpartition("dbname=")[2])
    with pytest.raises(LogDiverged) as caught:
        note(log)
    assert "log push" in str(caught.value.hint)
    postgres.run("DROP SCHEMA kugetsu CASCADE", database.rpartition("dbname=")[2])
    with pytest.raises(LogUnreachable, match="holds no log"):
        note(log)


def test_the_socket_is_its_owners_and_short_enough_anywhere(tmp_path: Path, database: str) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100) / "log"
    log = open_shared(deep, database)
    relay = Relay(str(deep), lambda: Database(database))
    assert (deep / "relay.sock").stat().st_mode & 0o777 == 0o600
    note(log)
    assert not log.went_directly
    log.close()
    relay.stop()
    assert not (deep / "relay.sock").exists()


def test_another_users_process_is_not_served(log: SharedLog, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    start()
    monkeypatch.setattr(relay_module, "_owner", lambda connection: os.geteuid() + 1)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{log.directory}/relay.sock")
        client.settimeout(30)
        with suppress(BrokenPipeError):
            client.sendall(b'{"do":"tail","seq":0,"sha":""}\n')
        with suppress(ConnectionResetError):
            assert client.recv(100) == b""


def test_a_socket_that_a_dead_relay_left_is_taken_over(log: SharedLog, start: Start) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{log.directory}/relay.sock")
    note(log)
    assert log.went_directly
    start()
    note(log)
    assert not log.went_directly


def test_one_process_of_a_host_keeps_the_mirror(log: SharedLog, database: str) -> None:
    assert not is_kept(log.directory)
    keeper = Keeper(log.directory, lambda: Database(database), 1 << 20)
    other = open_shared(Path(log.directory).parents[1] / "b" / "log", database)
    note(other)
    assert log.wait(0, 30)
    assert is_kept(log.directory)
    keeper.stop()
    log.close()
    assert not is_kept(log.directory)
    other.close()
