"""A shared log under faults: a server killed, a client stopped, an answer lost, a fork, many claims at once."""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kugetsu.log.files.segments import Head
from kugetsu.log.shared import postgres
from kugetsu.log.shared.engine import SharedLog
from kugetsu.model.errors import LogUnreachable
from log import claims_race
from log.counting import BY, Clock, Counting, fill, note, noted
from log.forks import together
from log.shared import open_shared

HOSTS = 3


def lines_in(url: str) -> list[str]:
    """The log as the database has it."""
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT line FROM kugetsu.events ORDER BY seq").fetchall()]


def mirrors(tmp_path: Path, url: str) -> list[SharedLog]:
    """One opened log on each host, up to date and checked."""
    logs = [open_shared(tmp_path / f"h{number}" / "log", url) for number in range(HOSTS)]
    lines = [line.encode() for line in lines_in(url)]
    for log in logs:
        log.pull()
        assert [line for _, line in log.read_lines()] == lines
        assert log.verify().ok
    return logs


def close(*logs: SharedLog) -> None:
    for log in logs:
        log.close()


# -- the server is killed --------------------------------------------------------------------------------------


def writer(directory: Path, url: str, acknowledge: int, number: int) -> None:
    """Append for ever; say each transaction's text once it is acknowledged."""
    log = open_shared(directory, url)
    turn = 0
    while True:
        turn += 1
        text = f"{number}.{turn}"
        made = [noted(f"{text}.{part}", task=f"w{number}") for part in range(1 + turn % 3)]
        if turn % 2:
            log.append(made)
        else:
            log.transact(lambda state, made=made: made)
        os.write(acknowledge, f"{text}\n".encode())


def test_a_server_killed_in_commits_loses_nothing_acknowledged_and_doubles_nothing(
    tmp_path: Path, postgres: Any, database: str
) -> None:
    children: list[tuple[int, int]] = []
    for number in range(6):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(read)
                writer(tmp_path / f"h{number % HOSTS}" / "log", database, write, number)
            finally:
                os._exit(1)
        os.close(write)
        children.append((pid, read))
    acknowledged: list[str] = []
    chance = random.Random(5)
    for _ in range(3):
        for _, fd in children:
            select.select([fd], [], [], 30)  # each goes on after the restart
        time.sleep(0.1 + chance.random() * 0.2)
        postgres.stop(signal.SIGKILL)
        postgres.start()
        for _, fd in children:
            acknowledged += os.read(fd, 1 << 20).decode().split()
    for pid, fd in children:
        select.select([fd], [], [], 30)
        os.kill(pid, signal.SIGKILL)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
        while said := os.read(fd, 1 << 20):
            acknowledged += said.decode().split()
        os.close(fd)
    logs = mirrors(tmp_path, database)
    texts = [event["data"]["text"] for event in logs[0].read()]
    assert len(texts) == len(set(texts)), "nothing doubled"
    assert {f"{text}.0" for text in acknowledged} <= set(texts), "nothing acknowledged lost"
    assert len(acknowledged) > 30
    close(*logs)


# -- a client is stopped ---------------------------------------------------------------------------------------


def test_a_client_stopped_with_the_heads_lock_in_hand_holds_nobody_up(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "HOLD_SECONDS", 0.3)
    seen_read, seen_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            log = open_shared(tmp_path / "stopped" / "log", database)
            log._contended = True  # so that it decides with the head in hand

            def decide(state: Any) -> list[Any]:
                os.write(seen_write, b"%d\n" % state["seq"])
                if not state["seq"]:
                    os.kill(os.getpid(), signal.SIGSTOP)
                return [noted("stopped")]

            log.transact(decide)
            status = 0
        finally:
            os._exit(status)
    os.waitpid(pid, os.WUNTRACED)
    other = open_shared(tmp_path / "other" / "log", database)
    assert note(other, "other")["seq"] == 1
    os.kill(pid, signal.SIGCONT)
    assert os.waitpid(pid, 0)[1] == 0
    other.pull()
    assert [event["data"]["text"] for event in other.read()] == ["other", "stopped"]
    assert os.read(seen_read, 100) == b"0\n1\n"  # decided again, on the state that it had not seen
    os.close(seen_read)
    os.close(seen_write)
    close(other)


# -- an answer is lost -----------------------------------------------------------------------------------------


class Proxy:
    """A socket before the server's, that loses what is between client and server when it is told to.

    ``cut``: "request" closes before an append (or the commit of a held one) reaches the server, "answer" after the
    server has done it, "waiting" as soon as the server has it.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        folder.mkdir()
        self._folders = folder, server
        self._server = str(server / ".s.PGSQL.5432")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self.cut = ""
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, database: str) -> str:
        """A database's URL, by way of this."""
        here, server = self._folders
        return database.replace(str(server), str(here))

    def vanish(self) -> None:
        """Take no more connections: as a server that is gone."""
        self.close()
        (self._folders[0] / ".s.PGSQL.5432").unlink()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):  # either side may end at any time
            server.connect(self._server)
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if server in ready:  # first: what a server says before it ends is read before the end is noticed
                    data = server.recv(1 << 20)
                    if not data:
                        return
                    client.sendall(data)
                elif not self._answered(client, server):
                    return

    def _answered(self, client: socket.socket, server: socket.socket) -> bool:
        data = client.recv(1 << 20)
        try:
            return bool(data) and self._forward(data, server)
        except BrokenPipeError:
            client.sendall(server.recv(1 << 20))  # its last words, as a client without a proxy would find them
            return False

    def _forward(self, data: bytes, server: socket.socket) -> bool:
        how = self.cut if b"kugetsu.append" in data else ""
        if how:
            self.cut = ""
            self.cuts += 1
        if how == "request":
            return False
        server.sendall(data)
        if how == "answer":
            server.recv(1 << 20)
        return not how


@pytest.fixture
def proxy(tmp_path: Path, postgres: Any) -> Iterator[Proxy]:
    """A proxy; its folder is short enough for a socket's path."""
    folder = postgres.folder / f"p{os.getpid()}{random.randrange(1 << 20)}"
    proxy = Proxy(folder, postgres.folder)
    yield proxy
    proxy.close()


def through(proxy: Proxy, tmp_path: Path, database: str, *, patience: float) -> SharedLog:
    """A log by way of the proxy, that tries for so many seconds to connect again."""
    url, directory = proxy.url(database), tmp_path / "a" / "log"
    close(open_shared(directory, url))
    return SharedLog(str(directory), Counting(), BY, Clock(), lambda: postgres.Database(url, patience=patience))


@pytest.mark.parametrize("held", [False, True], ids=["compared", "held"])
@pytest.mark.parametrize("cut", ["request", "answer"])
@pytest.mark.parametrize("others", [False, True], ids=["alone", "with others"])
def test_a_lost_answer_neither_loses_nor_doubles(
    tmp_path: Path, database: str, proxy: Proxy, cut: str, held: bool, others: bool
) -> None:
    url = proxy.url(database)
    log, other = open_shared(tmp_path / "a" / "log", url), open_shared(tmp_path / "b" / "log", database)
    expected = []
    for turn in range(6):
        if others:
            note(other, f"other {turn}")
            expected.append(f"other {turn}")
        proxy.cut = cut
        log._contended = held
        if turn % 2:
            note(log, f"{turn}")
        else:
            log.append([noted(f"{turn}")])
        expected.append(f"{turn}")
    assert proxy.cuts == 6
    other.pull()
    assert [event["data"]["text"] for event in other.read()] == expected
    assert log.verify().ok
    close(log, other)


def test_an_append_that_is_sent_again_while_the_first_still_waits_happens_once(
    tmp_path: Path, database: str, proxy: Proxy
) -> None:
    """The server does not notice that a client is gone while its statement waits for the head."""
    url = proxy.url(database)
    log = open_shared(tmp_path / "a" / "log", url)
    note(log, "first")
    with psycopg.connect(database) as holder:
        holder.execute("SELECT * FROM kugetsu.hold(1)")
        proxy.cut = "waiting"
        thread = threading.Thread(target=lambda: note(log, "second"))
        thread.start()
        waiting = 0
        while waiting < 2:  # the one that was cut, and the one that was sent again
            with psycopg.connect(database) as look:
                waiting = look.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%kugetsu.append%%' AND "
                    "wait_event_type = 'Lock' AND datname = current_database()"
                ).fetchall()[0][0]
            time.sleep(0.01)
        holder.rollback()
    thread.join()
    assert [event["data"]["text"] for event in log.read()] == ["first", "second"]
    assert len(lines_in(database)) == 2
    close(log)


def test_who_gets_no_answer_at_all_is_told_that_it_is_open_what_happened(
    tmp_path: Path, database: str, proxy: Proxy
) -> None:
    log = through(proxy, tmp_path, database, patience=0.3)
    note(log, "first")
    proxy.cut = "answer"
    proxy.vanish()
    with pytest.raises(LogUnreachable, match="may or may not have happened"):
        note(log, "second")
    assert len(lines_in(database)) == 2
    close(log)


@pytest.mark.parametrize("why", ["locked", "a standby"])
def test_what_was_sent_before_is_open_also_if_it_is_refused_when_sent_again(
    postgres: Any, database: str, why: str
) -> None:
    name = database.rpartition("dbname=")[2]
    from kugetsu.log.shared.postgres import Database

    log = Database(database)
    with psycopg.connect(database) as holder:
        holder.execute("SELECT 1 FROM kugetsu.head FOR UPDATE")  # as what was cut off may do, which goes on then
        if why == "locked":
            postgres.run("ALTER FUNCTION kugetsu.append(bigint, text, text[], int) SET lock_timeout = '50ms'", name)
        else:
            postgres.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        for again, said in ((True, "may or may not have happened"), (False, "locked|read-only")):
            with pytest.raises(LogUnreachable, match=said) as refused:
                log.append(Head(0, "0" * 32), [b"{}"], held=False, again=again)
            assert ("may or may not" in refused.value.message) is again
        holder.rollback()
    log.close()


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_a_limit(tmp_path: Path, database: str) -> None:
    directory = tmp_path / "a" / "log"
    close(open_shared(directory, database))
    log = SharedLog(str(directory), Counting(), BY, Clock(), lambda: postgres.Database(database, answer=0.3))
    note(log, "first")
    with psycopg.connect(database) as holder:
        holder.execute("SELECT * FROM kugetsu.hold(1)")
        with pytest.raises(LogUnreachable, match=r"did not answer within .* may or may not have happened"):
            note(log, "second")
        holder.rollback()
        holder.execute("LOCK TABLE kugetsu.events IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(LogUnreachable, match="did not answer within"):
            log.pull()
        holder.rollback()
    note(log, "third")
    assert log.wait(1, 30), "who waits for others is not limited to the time for an answer"
    assert log.verify().ok
    close(log)


def test_an_append_after_the_server_has_ended_the_connection_is_known_not_to_have_happened(
    tmp_path: Path, database: str, proxy: Proxy
) -> None:
    log = through(proxy, tmp_path, database, patience=0.0)
    note(log, "first")
    proxy.vanish()
    with psycopg.connect(database, autocommit=True) as other:
        gone = other.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE application_name = 'kugetsu' AND datname = current_database()"
        ).fetchall()
    assert gone == [(True,)]
    with pytest.raises(LogUnreachable, match="nothing was appended"):
        note(log, "second")
    assert len(lines_in(database)) == 1
    close(log)


def sockets() -> set[str]:
    """The sockets that this process has open."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the folder's own descriptor
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return {name for name in found if name.startswith("socket:")}


# -- a fork ----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # what is tested is just that
def test_a_forked_child_has_a_connection_of_its_own_and_leaves_its_parents_alone(tmp_path: Path, database: str) -> None:
    before = sockets()
    log = open_shared(tmp_path / "a" / "log", database)
    note(log, "parent")
    log.keep()  # a thread with a connection of its own, too
    other = open_shared(tmp_path / "b" / "log", database)
    note(other, "other")
    assert log.wait(1, 30)
    theirs = sockets() - before
    assert len(theirs) == 3

    def go_on(number: int) -> None:
        assert not sockets() & theirs, "a killed parent's session would live as long as its children"
        for turn in range(5):
            note(log, f"{number}.{turn}")
        log.close()

    together(4, go_on)
    assert note(log, "parent")["seq"] == 23
    note(other)
    assert log.wait(23, 30)
    assert log.verify().ok
    close(log, other)


# -- the keeper ------------------------------------------------------------------------------------------------


def test_the_mirror_is_kept_up_to_date_across_a_restart_of_the_server(
    tmp_path: Path, postgres: Any, database: str
) -> None:
    log, other = open_shared(tmp_path / "a" / "log", database), open_shared(tmp_path / "b" / "log", database)
    note(other)
    assert log.wait(0, 30)
    for turn in range(1, 4):
        postgres.stop(signal.SIGKILL)
        postgres.start()
        note(other)
        assert log.wait(turn, 30)
    close(log, other)


def test_who_keeps_the_mirror_is_followed_by_another(tmp_path: Path, database: str) -> None:
    first, second = (open_shared(tmp_path / "a" / "log", database) for _ in range(2))
    other = open_shared(tmp_path / "b" / "log", database)
    for log in (first, second):
        log.keep()
    note(other)
    assert second.wait(0, 30)
    first.close()
    note(other)
    assert second.wait(1, 30)
    close(second, other)


# -- many hosts at once ----------------------------------------------------------------------------------------


def test_processes_of_three_hosts_race_for_three_slots_and_exactly_three_get_one(tmp_path: Path, database: str) -> None:
    places = [tmp_path / f"h{number}" / "log" for number in range(HOSTS)]
    claims_race.prepare(places, database)
    for won in claims_race.rounds(places, database, 12, 8):
        assert len(won) == claims_race.SLOTS
    close(*mirrors(tmp_path, database))


@pytest.mark.parametrize("way", ["transact", "append"])
def test_writers_of_three_hosts_leave_no_gap_and_lose_nothing(tmp_path: Path, database: str, way: str) -> None:
    def write(number: int) -> None:
        log = open_shared(tmp_path / f"h{number % HOSTS}" / "log", database, segment_bytes=4000, latest_every=20)
        for turn in range(8):
            made = [noted([number, turn, part], task=f"w{number}") for part in range(2)]
            events = log.append(made) if way == "append" else log.transact(lambda state, made=made: made)
            assert events[1]["seq"] == events[0]["seq"] + 1
        log.close()

    together(9, write)
    logs = mirrors(tmp_path, database)
    events = list(logs[0].read())
    assert [event["seq"] for event in events] == list(range(1, 9 * 8 * 2 + 1))
    for number in range(9):
        said = [event["data"]["text"] for event in events if event["task"] == f"w{number}"]
        assert said == [[number, turn, part] for turn in range(8) for part in range(2)]
    fill(logs[1], 5)
    close(*logs)


def test_a_reader_never_sees_half_a_transaction_of_another_host(tmp_path: Path, database: str) -> None:
    directory = tmp_path / "reader" / "log"
    log = open_shared(directory, database)
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            log.pull()
            assert log.state()["seq"] % 4 == 0
            assert open_shared(directory, database).state()["seq"] % 4 == 0

    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised by the test
            failures.append(error)

    reader = threading.Thread(target=guarded, args=(read,))
    reader.start()
    other = open_shared(tmp_path / "other" / "log", database)
    for _ in range(40):
        other.transact(lambda state: [noted("x" * 3000) for _ in range(4)])
    done.set()
    reader.join()
    assert not failures
    close(log, other)
