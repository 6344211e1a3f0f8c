"""The checkpoint only ever saves time: whatever happens to it, the state is the fold of the log."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest

from kugetsu.log.files import segments, snapshots
from log.counting import Counting, fill, note, open_files


def full_fold(directory: str) -> dict[str, Any]:
    projection = Counting()
    state = projection.empty()
    for event in open_files(directory).read():
        projection.fold(state, event)
    return state


@pytest.fixture
def filled(directory: str) -> Path:
    log = open_files(directory, latest_every=20)
    fill(log, 103)
    log.close()
    return Path(directory)


def test_checkpoint_and_tail_equal_the_full_fold(filled: Path) -> None:
    projection = Counting()
    assert open_files(str(filled), projection).state() == full_fold(str(filled))
    assert projection.folded == 3, "only the events after the checkpoint are folded"


def test_a_reader_writes_a_checkpoint_after_a_long_tail(filled: Path) -> None:
    os.unlink(filled / "checkpoint")
    open_files(str(filled), latest_every=50).state()
    projection = Counting()
    open_files(str(filled), projection).state()
    assert projection.folded == 0


def test_any_byte_changed_in_the_checkpoint_changes_nothing(filled: Path) -> None:
    expected = full_fold(str(filled))
    path = filled / "checkpoint"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert open_files(str(filled)).state() == expected
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert open_files(str(filled)).state() == expected


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 4096, b"[" * 100, os.urandom(500)])
def test_nonsense_is_ignored_and_replaced(filled: Path, content: bytes) -> None:
    (filled / "checkpoint").write_bytes(content)
    log = open_files(str(filled), latest_every=20)
    assert log.state() == full_fold(str(filled))
    assert snapshots.load(str(filled), Counting().VERSION) is not None


def test_a_folder_in_place_of_the_checkpoint_is_ignored(filled: Path) -> None:
    os.unlink(filled / "checkpoint")
    (filled / "checkpoint").mkdir()
    assert open_files(str(filled), latest_every=20).state() == full_fold(str(filled))


def test_a_checkpoint_of_another_version_is_ignored_and_replaced(filled: Path) -> None:
    log = open_files(str(filled), Counting("counting-2"), latest_every=20)
    assert log.state() == full_fold(str(filled))
    found = snapshots.read(str(filled), "counting-2")
    assert found is not None
    assert found.cursor.seq == 103


def test_a_checkpoint_ahead_of_the_log_is_ignored_and_told(filled: Path) -> None:
    path = filled / segments.name(1)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:50]))
    log = open_files(str(filled))
    assert log.state()["seq"] == 50
    assert [problem.kind for problem in log.verify().problems] == ["missing"]


def test_a_checkpoint_of_another_log_is_ignored(filled: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    log = open_files(str(other), latest_every=20)
    for turn in range(103):
        note(log, turn)
    shutil.copy(other / "checkpoint", filled / "checkpoint")
    assert open_files(str(filled)).state() == full_fold(str(filled))
    assert not open_files(str(filled)).verify().ok


def test_a_checkpoint_that_differs_from_the_fold_is_told(filled: Path) -> None:
    found = snapshots.load(str(filled), Counting().VERSION)
    assert found is not None
    found.state["sum"] += 1
    snapshots.store(str(filled), Counting().VERSION, found.cursor, found.state)
    assert [problem.kind for problem in open_files(str(filled)).verify().problems] == ["checkpoint"]


def test_a_checkpoint_is_one_line_of_json_with_its_own_digest(filled: Path) -> None:
    content = orjson.loads((filled / "checkpoint").read_bytes())
    assert content["version"] == "counting-1"
    assert content["seq"] == content["state"]["seq"] == 100
    assert set(content) == {"seq", "segment", "offset", "last", "version", "state", "sha"}


def test_half_a_fold_is_never_shown(directory: str) -> None:
    class Interrupted(Counting):
        broken = False

        def fold(self, state: dict[str, Any], event: dict[str, Any]) -> None:
            super().fold(state, event)
            if self.broken and event["seq"] == 7:
                raise KeyboardInterrupt

    projection = Interrupted()
    log = open_files(directory, projection)
    fill(open_files(directory), 10)
    projection.broken = True
    with pytest.raises(KeyboardInterrupt):
        log.state()
    projection.broken = False
    assert log.state() == full_fold(directory)
