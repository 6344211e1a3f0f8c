"""`kugetsu log share`, `unshare`, `push` and `init --join`, with real daemons and a real database."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command
from cli.test_json_shapes import compare, documented
from cli.test_startup import HEAVY, ORJSON, modules_of
from kugetsu.log.shared import marker, schema
from kugetsu.log.shared.kept import is_kept
from kugetsu.runtime import heard
from kugetsu.runtime.process.named_lease import RELAY
from runtime.supervised import eventually

TASK = "github.com/a/b#1"


@pytest.fixture
def ready(database: str, ready: Command) -> Command:
    """Set up as usual; its daemon is stopped before its database goes."""
    return ready


@pytest.fixture
def second(tmp_path: Path, kugetsu: Command, database: str) -> Iterator[Command]:
    """Another host: another directory of the same machine."""
    folder = tmp_path / "second"
    folder.mkdir()
    other = Command(folder, kugetsu.server)
    yield other
    other("queue-daemon", "stop")


def lines(kugetsu: Command) -> bytes:
    """The log in the files of a host."""
    return b"".join(path.read_bytes() for path in sorted((kugetsu.root / "log").glob("*.jsonl")))


def test_a_log_is_shared_joined_used_from_both_and_taken_back(ready: Command, second: Command, database: str) -> None:
    assert ready("queue", "enqueue", TASK, "words").code == 0
    before = lines(ready)
    shared = ready("log", "share", database, "--json")
    assert shared.code == 0, shared.err
    compare(shared.json, documented("log share"))
    assert lines(ready).startswith(before)
    joined = second("init", "--join", database)
    assert joined.code == 0, joined.err
    assert "has joined the shared log" in joined.out
    assert lines(second).startswith(lines(ready))
    assert second("queue", "enqueue", TASK, "from the second").code == 0
    assert ready("queue", "enqueue", TASK, "from the first").code == 0
    messages = [json.loads(line)["data"].get("message") for line in lines(ready).splitlines()]
    assert [text for text in messages if text] == ["words", "from the second", "from the first"]
    for host in (ready, second):
        assert host("log", "verify").code in (0, 6)
    taken = ready("log", "unshare", "--json")
    assert taken.code == 0, taken.err
    compare(taken.json, documented("log unshare"))
    assert ready("queue", "enqueue", TASK, "in files again").code == 0
    refused = second("queue", "enqueue", TASK, "too late")
    assert refused.code == 1
    assert "unshare" in refused.err


def texts(host: Command) -> dict[str, str]:
    """What doctor finds of the log."""
    shown = host("doctor", "--json").json["findings"]
    return {one["name"]: f"{one['level']} {one['text']}" for one in shown if one["group"] == "log"}


def test_who_joins_under_the_name_of_another_host_is_told(ready: Command, second: Command, database: str) -> None:
    ready.environment["HOST_NAME"] = second.environment["HOST_NAME"] = "box"
    assert ready("log", "share", database).code == 0
    joined = second("init", "--join", database)
    first_id, second_id = ((host.root / "host").read_text()[:8] for host in (ready, second))
    assert joined.code == 0
    assert f"another host takes part under the name box, too ({first_id})" in joined.err
    assert "kugetsu config set HOST_NAME NAME" in joined.err and f"kugetsu host lost {first_id}" in joined.err
    (note,) = second("init", "--join", database, "--json").json["notes"]
    assert first_id in note, "again, for as long as it is so"
    assert texts(second)["name"].startswith("warning") and first_id in texts(second)["name"]
    refused = ready("host", "drain", "box")
    assert refused.code == 5 and "2 hosts are named box" in refused.err
    assert ready("host", "lost", second_id).code == 0
    assert ready("host", "drain", "box").code == 0, "the one that takes part"
    ready.environment["HOST_NAME"] = "other"
    second.environment["HOST_NAME"] = "box2"
    again = second("init", "--join", database, "--json")
    assert again.code == 0 and again.json["notes"] == [], "one that joins again is none of the others"


def test_a_daemon_starts_the_relay_and_commands_go_through_it(
    ready: Command, second: Command, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ready("log", "share", database).code == 0
    assert second("init", "--join", database).code == 0
    assert ready("queue-daemon", "start").code == 0
    assert eventually(lambda: (ready.root / "log" / "relay.sock").exists())
    ready.environment["PYTHONPATH"] = _without_driver(ready.folder)
    queued = ready("queue", "enqueue", TASK, "through the relay", real=True)
    assert queued.code == 0, queued.err
    assert second("queue", "enqueue", TASK, "from the second").code == 0
    assert eventually(lambda: b"from the second" in lines(ready)), "the relay keeps the mirror up to date"
    assert eventually(lambda: ready("status", "--json").json["hosts"][0]["silent_seconds"] is not None)
    assert ready("host", "list", "--json").json["hosts"][0]["heard_seconds"] < 60
    refused = ready("log", "unshare", PYTHONPATH="")
    assert refused.code == 5
    assert "queue-daemon stop" in refused.err
    assert ready("queue-daemon", "stop").code == 0
    assert eventually(lambda: not RELAY.alive(_paths(ready)))
    assert not (ready.root / "log" / "relay.sock").exists()
    for words in (("queue", "enqueue", TASK, "without the relay"), ("log", "unshare"), ("log", "push")):
        alone = ready(*words, real=True)
        assert alone.code == 1, words
        assert "pipx install --force '.[hosts]'" in alone.err


def _paths(kugetsu: Command) -> Any:
    from kugetsu.host.paths import Paths

    return Paths(str(kugetsu.root))


def _without_driver(folder: Path) -> str:
    """A folder for PYTHONPATH in which the driver cannot be imported."""
    (folder / "no").mkdir()
    (folder / "no" / "psycopg.py").write_text("raise ImportError('not installed')\n")
    return str(folder / "no")


def test_status_loads_only_what_reads_and_enqueue_no_driver(ready: Command, database: str) -> None:
    assert ready("log", "share", database).code == 0
    assert ready("queue-daemon", "start").code == 0
    assert eventually(lambda: (ready.root / "log" / "relay.sock").exists())
    reading = modules_of(ready, "status")
    assert "kugetsu.log.shared.engine" in reading
    assert not (loaded := reading & (HEAVY | ORJSON)), f"{loaded}: what a log in files does not load either"
    assert not {name for name in reading if name.startswith("kugetsu.log.shared.")} & {
        f"kugetsu.log.shared.{name}" for name in ("link", "mirror", "arbiter", "postgres", "keeper")
    }
    appending = modules_of(ready, "queue", "enqueue", TASK, "words")
    assert not appending & {"psycopg", "portalocker", "socket", "threading", "kugetsu.log.shared.postgres"}


def test_without_a_daemon_a_command_says_that_it_goes_the_slow_way(ready: Command, database: str) -> None:
    assert ready("log", "share", database).code == 0
    queued = ready("queue", "enqueue", TASK, "words")
    assert queued.code == 0
    assert "queue-daemon start" in queued.err
    stale = ready("queue", "list")
    assert "no daemon keeps this host's mirror up to date" in " ".join(stale.err.split())
    shown = ready("status")
    assert shown.err == "" and "no daemon keeps this host's" in " ".join(shown.out.split())
    started = ready("queue-daemon", "start")
    assert "mirror" not in started.err
    assert eventually(lambda: is_kept(str(ready.root / "log")))
    assert ready("status").err == ""


def test_while_the_database_is_away_the_screens_say_so_and_a_stop_is_recorded_later(
    ready: Command, database: str, postgres: Any
) -> None:
    assert ready("log", "share", database).code == 0
    assert ready("queue-daemon", "start").code == 0
    leases = _paths(ready).leases
    assert eventually(lambda: heard.read(leases).at is not None)
    postgres.stop(signal.SIGKILL)
    try:
        assert eventually(lambda: heard.read(leases).trouble is not None)
        shown = ready("status")
        words = " ".join(shown.out.split())
        assert "log away kugetsu doctor" in words and "what other hosts did is shown as of" in words, shown
        listed = ready("queue", "list")
        assert listed.code == 0 and "what other hosts did is shown as of" in listed.err
        stopped = ready("queue-daemon", "stop")
        assert stopped.code == 0, stopped
        assert "the daemon is stopped" in ready("queue-daemon", "status").out
        status = ready("status", "--json").json["daemon"]
        assert status == {"state": "stopped", "pid": None, "since": None}
        assert b'"daemon.stopped"' not in lines(ready), "nobody could record it"
    finally:
        postgres.start()
    assert ready("queue-daemon", "start").code == 0
    kinds = [json.loads(line)["type"] for line in lines(ready).splitlines()]
    assert [kind for kind in kinds if kind.startswith("daemon.")] == [
        "daemon.started",
        "daemon.stopped",
        "daemon.started",
    ]


def test_a_password_is_neither_taken_from_an_argument_nor_shown_anywhere(
    ready: Command, database: str, tmp_path: Path
) -> None:
    with_password = f"{database} password=hunter2hunter2"
    refused = ready("log", "share", with_password)
    assert refused.code == 3
    assert "hunter2" not in refused.out + refused.err
    assert "pgpass" in refused.err
    assert ready("log", "share", "-", input=with_password.encode()).code == 0
    found = marker.read(str(ready.root / "log"))
    assert found is not None
    assert found.url == with_password
    assert os.stat(ready.root / "log" / "shared").st_mode & 0o777 == 0o600
    assert b"hunter2" not in lines(ready)
    ready("queue", "enqueue", TASK, "the password is hunter2hunter2, they say")  # an agent gets its message whole
    for words in (("queue", "list"), ("history", "--all"), ("status",), ("doctor",)):
        shown = ready(*words)
        assert "hunter2" not in shown.out + shown.err, words
    bundle = tmp_path / "bundle.tar.gz"
    assert ready("doctor", "--bundle", str(bundle)).code in (0, 1)
    import tarfile

    with tarfile.open(bundle) as packed:
        for member in packed.getmembers():
            assert member.name.rpartition("/")[2] != "shared"
            file = packed.extractfile(member)
            assert file is None or b"hunter2" not in file.read()


def test_nothing_is_shared_while_the_daemon_runs(ready: Command, database: str) -> None:
    assert ready("queue-daemon", "start").code == 0
    refused = ready("log", "share", database)
    assert refused.code == 5
    assert "queue-daemon stop" in refused.err
    assert not (ready.root / "log" / "shared").exists()


def test_push_gives_nothing_where_nothing_is_missing(ready: Command, database: str) -> None:
    assert ready("log", "push").code == 5
    assert ready("log", "share", database).code == 0
    pushed = ready("log", "push", "--json")
    assert pushed.code == 0
    compare(pushed.json, documented("log push"))
    assert pushed.json["pushed"] == 0


def test_doctor_says_how_the_shared_log_is(ready: Command, second: Command, database: str, postgres: Any) -> None:
    assert "reachable" not in texts(ready)
    assert ready("log", "share", database).code == 0
    postgres.run("CREATE ROLE wanda LOGIN IN ROLE kugetsu_writer")
    try:
        as_writer = database.replace("user=postgres", "user=wanda")
        assert second("init", "--join", as_writer).code == 0
        owner, writer = texts(ready), texts(second)
        assert owner["role"].startswith("warning")
        assert writer["role"].startswith("ok")
        for name in ("reachable", "schema", "clock", "mirror", "verify"):
            assert writer[name].startswith("ok"), writer[name]
        assert ready("queue", "enqueue", TASK, "words").code == 0
        assert texts(second)["mirror"].startswith("warning this host's mirror is 1 event behind")
        postgres.run("UPDATE kugetsu.meta SET closed = true", database.rpartition("dbname=")[2])
        assert texts(second)["open"].startswith("problem")
        again = second("log", "migrate", database, "--json")
        compare(again.json, documented("log migrate"))
        assert again.json["before"] == again.json["schema"] == schema.migrations()[-1].number
    finally:
        postgres.run(f"DROP DATABASE {database.rpartition('dbname=')[2]} WITH (FORCE)")
        postgres.run("DROP ROLE wanda")
    gone = texts(second)
    assert gone["reachable"].startswith("problem")
    assert gone["verify"].startswith("ok"), "the mirror is checked all the same"


def test_a_daemon_of_a_service_manager_waits_for_its_database(
    ready: Command, second: Command, database: str, postgres: Any
) -> None:
    assert ready("log", "share", database).code == 0
    postgres.run("CREATE ROLE walter LOGIN IN ROLE kugetsu_writer")
    try:
        assert second("init", "--join", database.replace("user=postgres", "user=walter")).code == 0
        postgres.run("ALTER ROLE walter NOLOGIN")
        process = second.popen("queue-daemon", "run")
        assert process.stderr is not None
        waits = process.stderr.readline().decode()
        assert waits.startswith("waiting: ") and "ALTER ROLE walter LOGIN" in waits
        assert process.poll() is None
        postgres.run("ALTER ROLE walter LOGIN")
        assert f"pid {process.pid}" in process.stderr.readline().decode()
        assert second("queue-daemon", "status", "--json").json["pid"] == process.pid
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 0
    finally:
        postgres.run(f"DROP DATABASE {database.rpartition('dbname=')[2]} WITH (FORCE)")
        postgres.run("DROP ROLE walter")


def test_a_damaged_mirror_is_read_again(ready: Command, database: str) -> None:
    assert ready("log", "share", database).code == 0
    (path,) = (ready.root / "log").glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"log.created"', b'"log.Created"', 1))
    shown = ready("log", "verify")
    assert shown.code == 6
    assert "kugetsu log repair" in shown.err
    repaired = ready("log", "repair")
    assert repaired.code == 0, repaired.err
    assert "read again from the shared log" in repaired.out
    assert path.read_bytes() == whole


def test_the_hosts_are_listed_and_a_lost_one_is_given_up(ready: Command, second: Command, database: str) -> None:
    alone = ready("host", "list")
    assert "this host's own" in alone.err
    assert ready("host", "lost", "two").code == 5
    ready.environment["HOST_NAME"], second.environment["HOST_NAME"] = "one", "two"
    second.environment["HOST_LABELS"] = "gpu, arm64"
    assert ready("log", "share", database).code == 0
    assert second("init", "--join", database).code == 0
    listed = second("host", "list", "--json")
    compare(listed.json, documented("host list"))
    known = {host["name"]: host for host in listed.json["hosts"]}
    assert known["two"]["labels"] == ["gpu", "arm64"] and known["two"]["here"]
    assert known["one"]["heard_seconds"] is None, "nobody here asks the database"
    for width in ("80", "40"):
        shown = second("host", "list", COLUMNS=width)
        assert max(map(len, shown.out.splitlines())) <= int(width)
        assert "gpu arm64" in shown.out and "0 of 3" in shown.out
    assert second("host", "lost", "three").code == 4
    assert "this host" in second("host", "lost", "two").err
    given = second("host", "lost", known["one"]["host"][:6], "--json")
    assert given.code == 0, given.err
    compare(given.json, documented("host lost"))
    assert "been lost already" in second("host", "lost", "one").err
    assert {host["name"]: host["state"] for host in second("host", "list", "--json").json["hosts"]}["one"] == "lost"
