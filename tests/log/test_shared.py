"""What only a shared log promises: its database, its mirrors, and who may do what."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kugetsu.log.codec import encode
from kugetsu.log.files import segments
from kugetsu.log.files.segments import Head
from kugetsu.log.shared import marker, mirror, postgres, schema
from kugetsu.log.shared.connection import parameters
from kugetsu.log.shared.engine import SharedLog
from kugetsu.log.shared.postgres import Database
from kugetsu.log.shared.schema import Migration
from kugetsu.model.errors import CapReached, LogDamaged, LogDiverged, LogUnreachable, LogWriteFailed
from log.counting import BY, Clock, Counting, fill, note, noted, open_files
from log.shared import open_shared

Open = Callable[..., SharedLog]


@pytest.fixture
def host(tmp_path: Path, database: str) -> Iterator[Open]:
    """Opens the test's shared log on the host of a name."""
    opened: list[SharedLog] = []

    def open_on(name: str, url: str = database, **settings: Any) -> SharedLog:
        opened.append(open_shared(tmp_path / name / "log", url, **settings))
        return opened[-1]

    yield open_on
    for log in opened:
        log.close()


@pytest.fixture
def sql(database: str) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Asks the test's database as superuser, or as another role; the rows."""

    def ask(statement: str, *arguments: Any, role: str = "postgres") -> list[tuple[Any, ...]]:
        url = database.replace("user=postgres", f"user={role}")
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement, arguments or None)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    yield ask


def files_of(log: SharedLog) -> dict[str, bytes]:
    """The segments of a mirror."""
    names = [segments.name(first) for first in segments.first_seqs(log.directory)]
    return {name: (Path(log.directory) / name).read_bytes() for name in names}


def table(sql: Callable[..., list[tuple[Any, ...]]]) -> bytes:
    """What the database holds, as a file would."""
    return b"".join(row[0].encode() + b"\n" for row in sql("SELECT line FROM kugetsu.events ORDER BY seq"))


# -- the mirror ------------------------------------------------------------------------------------------------


def test_each_mirror_is_the_log_in_files_byte_for_byte(tmp_path: Path, host: Open, sql: Any) -> None:
    settings = {"segment_bytes": 5000}
    files, one, two = open_files(str(tmp_path / "files"), **settings), host("a", **settings), host("b", **settings)
    for log in (files, one):
        fill(log, 60)
        note(log, "long" * 3000)
        fill(log, 60)
    two.pull()
    expected = {path.name: path.read_bytes() for path in (tmp_path / "files").glob("*.jsonl")}
    assert len(expected) > 3
    assert files_of(one) == files_of(two) == expected
    assert table(sql) == b"".join(expected[name] for name in sorted(expected))


def test_a_torn_tail_of_a_mirror_is_cut_and_read_again_without_an_event(host: Open) -> None:
    one, two = host("a"), host("b")
    fill(one, 20)
    path = Path(one.directory) / segments.name(1)
    whole = path.read_bytes()
    for cut in (1, 43, 400, 1500):
        path.write_bytes(whole[:-cut])
        assert host("a").verify().torn is not None
        note(two)
        assert one.pull() == two.pull()
        assert files_of(one) == files_of(two)
        whole = path.read_bytes()
    assert {event["type"] for event in one.read()} == {"note.made"}
    assert one.verify().ok


def test_a_damaged_mirror_is_read_again_from_its_first_bad_line(host: Open) -> None:
    one = host("a", segment_bytes=3000)
    fill(one, 60)
    before = files_of(one)
    one.close()
    names = sorted(before)
    for name, place in ((names[0], 900), (names[2], 1500), (names[-1], 30)):
        bad = bytearray(before[name])
        bad[place] ^= 1
        (Path(one.directory) / name).write_bytes(bad)
        again = host("a", segment_bytes=3000)
        with pytest.raises(LogDamaged):
            list(again.read())
        assert again.repair().repaired
        assert files_of(again) == before
        assert again.state()["seq"] == 60


def test_a_mirror_is_read_in_pages_also_when_a_transaction_is_longer(
    host: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "PAGE", 7)
    one, two = host("a"), host("b")
    fill(one, 33)
    one.transact(lambda state: [noted(n) for n in range(100)])
    fill(one, 33)
    assert two.pull() == one.head()
    assert files_of(one) == files_of(two)


def test_a_log_in_files_refuses_to_append_to_a_mirror(tmp_path: Path, host: Open) -> None:
    directory = str(tmp_path / "a" / "log")
    before = open_files(directory)
    note(before)
    marker.write(directory, marker.Marker("host=nowhere"))
    content = (Path(directory) / segments.name(1)).read_bytes()
    for log in (before, open_files(directory)):
        with pytest.raises(LogWriteFailed, match="mirror"):
            note(log)
        with pytest.raises(LogWriteFailed, match="mirror"):
            log.append([noted()])
        assert log.state()["seq"] == 1
    assert (Path(directory) / segments.name(1)).read_bytes() == content
    marker.remove(directory)
    assert note(before)["seq"] == 2


def test_a_mirror_writes_nothing_once_the_log_is_in_files_again(host: Open) -> None:
    one = host("a")
    note(one)
    marker.remove(one.directory)
    content = files_of(one)
    with pytest.raises(LogWriteFailed, match="not the mirror"):
        one.append([noted()])
    assert files_of(one) == content


def test_the_url_is_for_its_owner_only(tmp_path: Path) -> None:
    marker.write(str(tmp_path), marker.Marker("postgresql://me:secret@db/kugetsu"))
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o600
    assert marker.read(str(tmp_path)) == marker.Marker("postgresql://me:secret@db/kugetsu")


@pytest.mark.parametrize(
    ("url", "passwords"),
    [
        ("postgresql://me:secret@db:5432/k", ["secret"]),
        ("postgresql://me:se%40cret@db/k?sslmode=require", ["se%40cret", "se@cret"]),
        ("postgresql://db/k?password=secret&sslmode=require", ["secret"]),
        ("host=db password=secret dbname=k", ["secret"]),
        ("host=db password='a secret' dbname=k", ["a secret"]),
        ("postgresql://me@db/k", []),
        ("host=db password=", []),
        ("service=kugetsu", []),
    ],
)
def test_the_passwords_of_a_url_are_known_to_whoever_redacts(url: str, passwords: list[str]) -> None:
    assert marker.passwords_in(url) == passwords


def test_a_full_disk_of_a_host_is_told_apart_from_an_event_that_was_not_taken(
    host: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host("a"), host("b")
    fill(one, 5)
    full = LogWriteFailed("no space left on device", "free some space")

    def refuse(*_: Any, **__: Any) -> None:
        raise full

    with monkeypatch.context() as patched:
        patched.setattr(mirror._MirrorWriter, "write", refuse)
        with pytest.raises(LogWriteFailed, match="is in the shared log") as caught:
            note(one, "taken")
        assert caught.value.hint == full.hint
    assert two.pull().seq == 6
    assert note(one, "next")["seq"] == 7
    assert [event["data"]["text"] for event in one.read(after=5)] == ["taken", "next"]


# -- decisions -------------------------------------------------------------------------------------------------


def test_a_refusal_is_of_the_newest_state(host: Open) -> None:
    one, two = host("a"), host("b")
    fill(one, 3)

    def refuse_a_short_log(state: Any) -> list[Any]:
        if state["seq"] < 3:
            raise CapReached("too short")
        return []

    assert two.transact(refuse_a_short_log) == []
    assert two.state()["seq"] == 3


def test_a_host_far_behind_catches_up_before_it_holds_the_head(host: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_HELD_LINES", 10)
    one, two = host("a"), host("b")
    fill(one, 100)
    two._contended = True
    assert note(two)["seq"] == 101
    assert two.verify().ok


def test_the_head_is_held_only_while_others_append(host: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    holds: list[int] = []
    hold = Database.hold
    monkeypatch.setattr(Database, "hold", lambda self, at: (holds.append(at.seq), hold(self, at))[1])
    one, two = host("a"), host("b")
    for _ in range(3):
        note(one)
    assert holds == []
    note(two)  # decided on an empty mirror: a conflict, then held
    assert len(holds) == 1
    note(two)
    assert len(holds) == 1


# -- another database ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("went_on", [0, 5, 30])
def test_a_restored_older_database_is_noticed_and_nothing_is_appended(
    host: Open, postgres: Any, database: str, went_on: int
) -> None:
    one = host("a")
    fill(one, 10)
    one.close()
    older = postgres.fresh()
    postgres.drop(older)
    name = database.rpartition("dbname=")[2]
    postgres.run(f"CREATE DATABASE {older} TEMPLATE {name}")
    fill(one, 10)
    content = files_of(one)
    url = postgres.url(older)
    if went_on:
        other = host("b", url)
        for _ in range(went_on):
            note(other, "another history")
    ahead = open_shared(Path(one.directory), url)
    attempts = (lambda: note(ahead), lambda: ahead.append([noted()]), ahead.pull, lambda: ahead.transact(lambda _: []))
    for attempt in attempts:
        with pytest.raises(LogDiverged):
            attempt()
    assert files_of(ahead) == content
    assert [problem.kind for problem in ahead.verify().problems] == ["shared"]
    ahead.close()
    assert postgres_count(url) == 10 + went_on


def postgres_count(url: str) -> int:
    """The events of a database."""
    with psycopg.connect(url) as connection:
        return int(connection.execute("SELECT count(*) FROM kugetsu.events").fetchall()[0][0])


# -- what the database checks ----------------------------------------------------------------------------------


def lines_of(*texts: str, after: Head) -> list[str]:
    """A transaction that follows a head."""
    made, _ = encode([noted(text) for text in texts], after.seq + 1, after.sha.encode(), Clock()(), BY)
    return [line.decode() for line in made]


def resealed(line: str, after: Head) -> str:
    """A changed line with the digest that fits it."""
    body = line[:-42]
    return body + ',"sha":"' + hashlib.sha256((after.sha + body).encode()).hexdigest()[:32] + '"}'


def test_the_database_takes_only_lines_that_are_the_next_events(host: Open, sql: Any) -> None:
    one = host("a")
    fill(one, 5)
    at = one.head()
    first, second = lines_of("one", "two", after=at)
    (alone,) = lines_of("alone", after=at)
    refused = {
        "a digest that does not fit": [alone.replace("alone", "other")],
        "half a transaction": [first],
        "the other half": [second],
        "the wrong seq": [resealed(alone.replace('"seq":6', '"seq":7'), at)],
        "a second line in one": [resealed(alone.replace('"text"', '\n"text"'), at)],
        "not JSON": [resealed(alone.replace('"data":{', '"data":{{'), at)],
        "nothing": [],
    }
    for what, made in refused.items():
        with pytest.raises(psycopg.Error) as caught:
            sql("SELECT * FROM kugetsu.append(%s, %s, %s::text[], 1)", at.seq, at.sha, made)
        assert caught.value.sqlstate in ("KG003", "22P02"), what
    assert sql("SELECT ok FROM kugetsu.append(%s, %s, %s::text[], 1)", at.seq, at.sha, [first, second]) == [(True,)]
    assert one.pull().seq == 7


CHANGES = {
    "insert": "INSERT INTO kugetsu.events VALUES (99, 'x')",
    "update": "UPDATE kugetsu.events SET line = 'x'",
    "delete": "DELETE FROM kugetsu.events",
    "truncate": "TRUNCATE kugetsu.events",
    "move the head": "UPDATE kugetsu.head SET seq = 0",
    "lock the head": "SELECT * FROM kugetsu.head FOR UPDATE",
    "close": "UPDATE kugetsu.meta SET closed = true",
    "write without the check": "SELECT kugetsu.write_lines(0, 'x', ARRAY['x'])",
    "drop": "DROP TABLE kugetsu.events",
}


@pytest.fixture
def roles(postgres: Any) -> Iterator[None]:
    """Two people's roles, one that writes and one that reads."""
    for role, group in (("wanda", "kugetsu_writer"), ("rita", "kugetsu_reader")):
        postgres.run(f"CREATE ROLE {role} LOGIN IN ROLE {group}")
    yield
    for role in ("wanda", "rita"):
        postgres.run(f"DROP ROLE {role}")


def test_a_writer_appends_and_cannot_change_or_delete(host: Open, database: str, sql: Any, roles: None) -> None:
    one = host("a", database.replace("user=postgres", "user=wanda"))
    fill(one, 10)
    other = host("b")
    note(other)
    note(one)  # a conflict, then held
    for what, statement in CHANGES.items():
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sql(statement, role="wanda")
            pytest.fail(what)
    assert one.verify().ok
    one.close()


def test_a_reader_reads_and_is_told_why_it_cannot_append(host: Open, database: str, roles: None) -> None:
    fill(host("a"), 10)
    two = host("b", database.replace("user=postgres", "user=rita"))
    assert two.pull().seq == 10
    with pytest.raises(LogUnreachable) as caught:
        note(two)
    assert "kugetsu_writer" in str(caught.value.hint)
    two.close()


@pytest.mark.parametrize("what", ["update", "delete", "truncate"])
def test_the_owner_cannot_change_an_event_by_mistake(host: Open, sql: Any, what: str) -> None:
    fill(host("a"), 3)
    before = table(sql)
    with pytest.raises(psycopg.Error) as caught:
        sql(CHANGES[what])
    assert caught.value.sqlstate == "KG002"
    assert table(sql) == before


def test_a_closed_log_takes_nothing_more(host: Open, sql: Any) -> None:
    one = host("a")
    note(one)
    sql("UPDATE kugetsu.meta SET closed = true")
    with pytest.raises(LogWriteFailed, match="closed"):
        note(one)
    assert one.pull().seq == 1


# -- the schema ------------------------------------------------------------------------------------------------

_LAST = schema.migrations()[-1].number
_NEXT = Migration(
    _LAST + 1, "ALTER TABLE kugetsu.meta ADD COLUMN more text; ALTER TABLE kugetsu.events ADD COLUMN kind text"
)


def test_a_migration_runs_once_and_both_versions_work_on(host: Open, database: str, sql: Any) -> None:
    one = host("a")
    fill(one, 5)
    newer = Database(database)
    found = schema.migrate(newer, [*schema.migrations(), _NEXT])
    assert (found.before, found.now) == (_LAST, _LAST + 1)
    assert schema.migrate(newer, [*schema.migrations(), _NEXT]).before == _LAST + 1
    assert schema.migrate(newer).now == _LAST + 1  # the older program leaves the newer schema as it is
    newer.close()
    note(one)
    assert note(host("b"))["seq"] == 7
    assert sql("SELECT schema_version FROM kugetsu.meta") == [(_LAST + 1,)]


def test_a_migration_that_fails_leaves_everything_as_it_was(database: str, sql: Any) -> None:
    newer = Database(database)
    with pytest.raises(LogUnreachable):
        schema.migrate(newer, [_NEXT, Migration(_LAST + 2, "CREATE TABLE kugetsu.more (); SELECT 1 / 0")])
    newer.close()
    assert sql("SELECT schema_version FROM kugetsu.meta") == [(_LAST,)]
    assert sql("SELECT to_regclass('kugetsu.more')") == [(None,)]


def test_a_program_that_is_too_old_reads_on_and_is_told(host: Open, sql: Any) -> None:
    one, two = host("a"), host("b")
    fill(one, 5)
    sql("UPDATE kugetsu.meta SET min_client = 2")
    with pytest.raises(LogWriteFailed) as caught:
        note(two)
    assert "upgrade" in str(caught.value.hint)
    assert two.state()["seq"] == 5


def test_a_database_without_a_log_says_so(host: Open, postgres: Any) -> None:
    log = host("a", postgres.url("postgres"))
    with pytest.raises(LogUnreachable, match="holds no log"):
        note(log)
    log.close()


def test_a_database_of_another_encoding_is_refused(postgres: Any) -> None:
    postgres.run("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    database = Database(postgres.url("latin"))
    with pytest.raises(LogUnreachable, match="LATIN1"):
        schema.migrate(database)
    database.close()
    postgres.drop("latin")


# -- without a database ----------------------------------------------------------------------------------------


def test_reading_needs_no_database_and_an_append_says_what_is_wrong(
    host: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = host("a")
    fill(one, 5)
    one.close()
    marker.remove(one.directory)
    url = f"host={tmp_path} dbname=gone user=me password=hunter2"
    marker.write(one.directory, marker.Marker(url))
    gone = SharedLog(one.directory, Counting(), BY, Clock(), lambda: Database(url, patience=0.1))
    assert gone.state()["seq"] == 5 == len(list(gone.read()))
    with pytest.raises(LogUnreachable) as caught:
        note(gone)
    assert str(tmp_path) in caught.value.message
    assert "hunter2" not in caught.value.message + str(caught.value.__cause__)


@pytest.mark.parametrize("url", ["postgresql://me:hunter2@[host/db", "hunter2", "password=hunter2 nonsense=1"])
def test_a_bad_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(LogUnreachable) as caught:
        parameters(url)
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.__suppress_context__


_ONE_HOST = """
import sys
sys.modules["psycopg"] = None
from kugetsu.cli.main import main
sys.argv[0] = "kugetsu"
sys.exit(main())
"""


def test_commands_of_one_host_work_without_the_driver(tmp_path: Path) -> None:
    environment = {"KUGETSU_DIR": str(tmp_path / "k"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def run(*words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-c", _ONE_HOST, *words], env=environment, cwd=tmp_path, capture_output=True, check=False
        )

    assert run("init").returncode == 0
    assert run("queue", "enqueue", "host/o/r#1", "words").returncode == 0
    assert run("status").returncode == 0
    marker.write(str(tmp_path / "k" / "log"), marker.Marker("host=nowhere"))
    assert run("status").returncode == 0
    refused = run("queue", "enqueue", "host/o/r#1", "words")
    assert refused.returncode == 1
    assert b"pipx install --force '.[hosts]'" in refused.stderr


def test_the_server_ends_on_a_signal_of_its_own(postgres: Any) -> None:
    """The fixture's own promise: SIGINT ends it also while clients are connected, and it starts again on its data."""
    name = postgres.fresh()
    client = psycopg.connect(postgres.url(name))
    postgres.stop(signal.SIGINT)
    postgres.start()
    client.close()
    assert postgres_count(postgres.url(name)) == 0
    postgres.drop(name)
