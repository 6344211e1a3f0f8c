"""A host of a shared log whose disk takes nothing: it says so with the remedy, loses nothing that was acknowledged, and
goes on by itself when there is room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from faults.test_log_disk_full import as_nobody, file_size_limit, reachable
from kugetsu.log.files import segments
from kugetsu.log.shared.engine import SharedLog
from kugetsu.log.shared.keeper import Keeper
from kugetsu.log.shared.postgres import Database
from kugetsu.log.shared.relay import Relay
from kugetsu.model.errors import LogWriteFailed
from log.counting import fill, note, noted
from log.shared import open_shared
from runtime.supervised import eventually

__all__ = ["reachable"]


@pytest.fixture
def hosts(tmp_path: Path, database: str) -> Iterator[tuple[SharedLog, SharedLog]]:
    """Two hosts of one log of ten events."""
    logs = [open_shared(tmp_path / name / "log", database) for name in ("full", "other")]
    fill(logs[0], 10)
    logs[1].pull()
    yield logs[0], logs[1]
    for log in logs:
        log.close()


def size(log: SharedLog) -> int:
    return (Path(log.directory) / segments.name(1)).stat().st_size


def same(*logs: SharedLog) -> list[str]:
    """Every event's text, the same on each host; each log verifies."""
    found = []
    for log in logs:
        log.pull()
        assert log.verify().ok
        found.append([event["data"]["text"] for event in log.read()])
    assert found[0] == found[1]
    return found[0][10:]


@pytest.mark.parametrize("way", ["transact", "append"])
@pytest.mark.parametrize("room", [0, 100])
def test_what_the_mirror_has_no_room_for_is_said_to_be_in_the_log_and_counts_once(
    hosts: tuple[SharedLog, SharedLog], room: int, way: str
) -> None:
    full, other = hosts
    with file_size_limit(size(full) + room), pytest.raises(LogWriteFailed, match="is in the shared log") as told:
        full.append([noted("one")]) if way == "append" else full.transact(lambda state: [noted("one")])
    assert told.value.hint is not None and "ulimit" in told.value.hint
    assert note(other, "two")["seq"] == 12
    assert note(full, "three")["seq"] == 13
    assert same(full, other) == ["one", "two", "three"]


def test_what_others_append_is_not_decided_on_unseen(hosts: tuple[SharedLog, SharedLog]) -> None:
    full, other = hosts
    note(other, "x" * 500)
    with file_size_limit(size(full) + 100), pytest.raises(LogWriteFailed) as told:
        note(full, "refused")
    assert told.value.hint is not None and "ulimit" in told.value.hint
    assert "is in the shared log" not in told.value.message
    assert note(full, "later")["seq"] == 12
    assert same(full, other) == ["x" * 500, "later"]


def test_the_mirror_is_kept_up_to_date_again_when_there_is_room(
    hosts: tuple[SharedLog, SharedLog], database: str
) -> None:
    full, other = hosts
    keeper = Keeper(full.directory, lambda: Database(database), segments.SEGMENT_BYTES)
    try:
        assert eventually(lambda: keeper.synced is not None)
        with file_size_limit(size(full) + 100):
            note_with_room(other, "x" * 500)
            assert eventually(lambda: keeper.trouble is not None)
        assert isinstance(keeper.trouble, LogWriteFailed) and keeper.trouble.hint
        assert eventually(lambda: keeper.trouble is None and full.head().seq == 11)
    finally:
        keeper.stop()


def note_with_room(log: SharedLog, text: str) -> None:
    """Append in a process whose disk is not full."""
    import resource

    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            note(log, text)
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_relay_whose_disk_is_full_appends_for_others_all_the_same(
    hosts: tuple[SharedLog, SharedLog], database: str
) -> None:
    """It writes nothing itself."""
    full, other = hosts
    with file_size_limit(0):
        relay = Relay(full.directory, lambda: Database(database))
        try:
            with pytest.raises(LogWriteFailed, match="is in the shared log"):
                note(full, "one")
        finally:
            relay.stop()
    assert same(full, other) == ["one"]


def test_a_read_only_mirror_is_read_and_says_what_to_do(
    hosts: tuple[SharedLog, SharedLog], reachable: Path, postgres: Any, database: str
) -> None:
    full, other = hosts
    folder = Path(full.directory)
    Path(postgres.folder).chmod(0o755)
    full.close()
    for each in (folder, *folder.iterdir()):
        each.chmod(0o555 if each.is_dir() else 0o444)
    try:
        assert as_nobody(lambda: [*full.read()][9]) == "nothing"
        said = as_nobody(lambda: note(full, "one"))
        assert said.startswith("LogWriteFailed") and "KUGETSU_DIR" in said, said
    finally:
        for each in (folder, *folder.iterdir()):
            each.chmod(0o700)
    assert note(full, "two")["seq"] > 10
    assert same(full, other)[-1] == "two"
