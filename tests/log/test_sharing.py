"""A log goes into a database and back, hosts join it, and a mirror gives back what a database lost."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kugetsu.log.files import segments
from kugetsu.log.shared import marker, schema, sharing
from kugetsu.log.shared.engine import SharedLog
from kugetsu.model.errors import BadInput, Conflict, LogDamaged, LogDiverged, LogUnreachable, LogWriteFailed
from log.counting import Counting, fill, note, open_files
from log.shared import open_shared


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Callable[[str], SharedLog]]:
    """Opens the log of a host that was shared or joined before."""
    opened: list[SharedLog] = []

    def host(name: str) -> SharedLog:
        directory = tmp_path / name / "log"
        found = marker.read(str(directory))
        assert found is not None
        opened.append(open_shared(directory, found.url))
        return opened[-1]

    yield host
    for log in opened:
        log.close()


def place(tmp_path: Path, name: str) -> str:
    """The folder of a host's log, made."""
    (tmp_path / name / "log").mkdir(parents=True)
    return str(tmp_path / name / "log")


def content(directory: str) -> bytes:
    """All lines of a folder."""
    return b"".join((Path(directory) / segments.name(first)).read_bytes() for first in segments.first_seqs(directory))


def test_a_log_is_shared_joined_and_taken_back_with_every_byte(
    tmp_path: Path, database: str, hosts: Callable[[str], SharedLog]
) -> None:
    one, two = place(tmp_path, "one"), place(tmp_path, "two")
    files = open_files(one, segment_bytes=3000)
    fill(files, 100)
    before = content(one)
    migrated, head = sharing.share(one, database, Counting())
    assert (migrated.now, head) == (schema.migrations()[-1].number, files.head())
    with pytest.raises(LogWriteFailed, match="mirror"):
        note(files)
    assert sharing.join(two, database) == head
    assert content(one) == content(two) == before
    note(hosts("two"), "from two")
    note(hosts("one"), "from one")
    assert sharing.unshare(one).seq == 102
    assert content(one).startswith(before)
    with pytest.raises(LogWriteFailed, match="closed"):
        note(hosts("two"))
    assert note(files)["seq"] == 103
    assert files.verify(head).ok
    sharing.share(one, database, Counting())  # what the database has already is its beginning
    assert hosts("two").pull().seq == 103
    assert note(hosts("two"))["seq"] == 104


def test_share_again_after_a_crash_before_the_marker(tmp_path: Path, database: str) -> None:
    one = place(tmp_path, "one")
    fill(open_files(one), 10)
    sharing.share(one, database, Counting())
    marker.remove(one)
    fill(open_files(one), 10)
    assert sharing.share(one, database, Counting())[1].seq == 20


def test_only_one_log_can_be_shared(tmp_path: Path, database: str) -> None:
    one, two = place(tmp_path, "one"), place(tmp_path, "two")
    fill(open_files(one), 10)
    note(open_files(two), "another log")
    sharing.share(one, database, Counting())
    with pytest.raises(Conflict, match="another log"):
        sharing.share(two, database, Counting())
    with pytest.raises(Conflict, match="log of its own"):
        sharing.join(two, database)
    with pytest.raises(Conflict, match="already"):
        sharing.share(one, database, Counting())
    assert marker.read(two) is None
    assert note(open_files(two))["seq"] == 2


def test_a_log_that_does_not_verify_is_not_shared(tmp_path: Path, database: str) -> None:
    one = place(tmp_path, "one")
    fill(open_files(one), 10)
    path = Path(one) / segments.name(1)
    whole = path.read_bytes()
    for bad in (whole[:200] + b"x" + whole[201:], whole + b"{"):
        path.write_bytes(bad)
        with pytest.raises(LogDamaged):
            sharing.share(one, database, Counting())
        assert marker.read(one) is None


def test_an_empty_database_cannot_be_joined(tmp_path: Path, database: str) -> None:
    two = place(tmp_path, "two")
    with pytest.raises(Conflict, match="empty"):
        sharing.join(two, database)
    assert list(Path(two).iterdir()) == []


def test_a_role_that_owns_nothing_cannot_share_or_close(tmp_path: Path, database: str, postgres: Any) -> None:
    one = place(tmp_path, "one")
    fill(open_files(one), 10)
    postgres.run("CREATE ROLE wanda LOGIN IN ROLE kugetsu_writer")
    try:
        url = database.replace("user=postgres", "user=wanda")
        with pytest.raises(LogUnreachable) as caught:
            sharing.share(one, url, Counting())
        assert "owns the schema" in str(caught.value.hint)
        assert marker.read(one) is None
        sharing.share(one, database, Counting())
        marker.write(one, marker.Marker(url))
        with pytest.raises(LogUnreachable):
            sharing.unshare(one)
        assert marker.read(one) is not None
    finally:
        postgres.run("DROP ROLE wanda")


def test_a_mirror_gives_back_what_a_restored_database_lost(
    tmp_path: Path, database: str, postgres: Any, hosts: Callable[[str], SharedLog]
) -> None:
    one, two = place(tmp_path, "one"), place(tmp_path, "two")
    fill(open_files(one), 10)
    sharing.share(one, database, Counting())
    sharing.join(two, database)
    older = postgres.fresh()
    postgres.drop(older)
    postgres.run(f"CREATE DATABASE {older} TEMPLATE {database.rpartition('dbname=')[2]}")
    log = hosts("one")
    fill(log, 15)
    before = content(one)
    for name in (one, two):
        assert sharing.join(name, postgres.url(older)).seq == 10
    with pytest.raises(LogDiverged):
        note(hosts("one"))
    assert sharing.push(one) == (15, log.head())
    assert sharing.push(one) == (0, log.head())
    assert hosts("two").pull() == log.head()
    assert content(one) == content(two) == before
    assert note(hosts("two"))["seq"] == 26
    assert sharing.push(one)[0] == 0


def test_a_mirror_joins_again_by_another_url_only_if_it_is_the_same_log(
    tmp_path: Path, database: str, postgres: Any
) -> None:
    one, two = place(tmp_path, "one"), place(tmp_path, "two")
    fill(open_files(one), 10)
    note(open_files(two), "another log")
    fill(open_files(two), 20)
    sharing.share(one, database, Counting())
    elsewhere = postgres.url(postgres.fresh())
    sharing.share(two, elsewhere, Counting())
    with pytest.raises(LogDiverged):
        sharing.join(one, elsewhere)
    found = marker.read(one)
    assert found is not None
    assert found.url == database
    other_way = database + " connect_timeout=7"
    assert sharing.join(one, other_way).seq == 10
    assert marker.read(one) == marker.Marker(other_way)


def test_two_histories_are_both_kept(
    tmp_path: Path, database: str, postgres: Any, hosts: Callable[[str], SharedLog]
) -> None:
    one = place(tmp_path, "one")
    fill(open_files(one), 10)
    sharing.share(one, database, Counting())
    older = postgres.fresh()
    postgres.drop(older)
    postgres.run(f"CREATE DATABASE {older} TEMPLATE {database.rpartition('dbname=')[2]}")
    note(hosts("one"), "before the failover")
    before = content(one)
    two = place(tmp_path, "two")
    sharing.join(two, postgres.url(older))
    marker.write(one, marker.Marker(postgres.url(older)))
    assert note(hosts("two"), "after it")["seq"] == 11
    for first in (11, 12):
        with pytest.raises(LogDiverged, match=f"from event {first} on at the latest"):
            sharing.push(one)
        note(hosts("two"))
    assert content(one) == before


@pytest.mark.parametrize(
    "url", ["postgresql://me:hunter2@db/kugetsu", "host=db password=hunter2", "postgresql://db/k?password=hunter2"]
)
def test_a_password_in_an_argument_is_refused_and_taken_from_stdin(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        sharing.url_from(url, io.StringIO())
    assert "hunter2" not in caught.value.message
    assert sharing.url_from("-", io.StringIO(url + "\n")) == url
