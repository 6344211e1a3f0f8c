"""The file engine's segments: names, rotation, permissions, what stands in the way."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kugetsu.log import open_log
from kugetsu.log.files import segments
from kugetsu.model.errors import BadInput, KugetsuError, LogDamaged, LogWriteFailed
from log.counting import fill, note, noted, open_files


def segment_files(directory: str) -> list[str]:
    return sorted(entry for entry in os.listdir(directory) if entry.endswith(".jsonl"))


def test_a_segment_is_named_by_its_first_seq_and_a_new_one_starts_at_the_limit(directory: str) -> None:
    log = open_files(directory, segment_bytes=1000)
    fill(log, 60)
    names = segment_files(directory)
    assert names[0] == "00000000000000000001.jsonl"
    assert len(names) > 5
    for name in names:
        first = (Path(directory) / name).read_bytes().split(b",")[0]
        assert first == b'{"seq":%d' % int(name[:20])
    for name in names[:-1]:
        assert 1000 <= (Path(directory) / name).stat().st_size < 3000
    assert log.verify().ok


def test_a_transaction_is_never_spread_over_two_segments(directory: str) -> None:
    log = open_files(directory, segment_bytes=10)
    fill(log, 30)
    for name in segment_files(directory):
        assert b'"more"' not in (Path(directory) / name).read_bytes().splitlines()[-1]
    assert len(segment_files(directory)) == 6


def test_processes_with_other_limits_share_a_log(directory: str) -> None:
    small, large = open_files(directory, segment_bytes=500), open_files(directory)
    for turn in range(40):
        note(small if turn % 2 else large)
        (large if turn % 2 else small).append([noted()])
    assert small.state() == large.state()
    assert open_files(directory).verify().count == 80


def test_an_empty_segment_of_a_writer_that_died_is_used(directory: str) -> None:
    log = open_files(directory)
    note(log)
    (Path(directory) / segments.name(2)).touch()
    assert note(log)["seq"] == 2
    assert open_files(directory).append([noted()])[0]["seq"] == 3
    assert segment_files(directory) == [segments.name(1), segments.name(2)]
    assert open_files(directory).verify().ok


def test_opening_and_reading_create_nothing(tmp_path: Path) -> None:
    log = open_log(str(tmp_path / "log"), by={}, now=lambda: "")
    log.state()
    list(log.read())
    list(log.read_key("q1"))
    log.wait(0, 0.01)
    log.verify()
    log.stats()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_and_its_files_are_private(directory: str) -> None:
    old = os.umask(0)
    try:
        log = open_files(directory, latest_every=5)
        fill(log, 20)
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    for name in (segments.name(1), "lock", "checkpoint"):
        assert stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode) == 0o600


def test_a_file_in_place_of_the_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("surprise")
    log = open_files(str(tmp_path / "log"))
    with pytest.raises(BadInput, match="not a directory"):
        log.state()
    with pytest.raises(BadInput, match="not a directory"):
        note(log)
    with pytest.raises(LogWriteFailed):
        log.append([noted()])
    assert (tmp_path / "log").read_text() == "surprise"


def test_a_file_above_the_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("surprise")
    log = open_files(str(tmp_path / "home" / "log"))
    for use in (log.state, lambda: note(log), lambda: log.append([noted()]), lambda: list(log.read())):
        with pytest.raises(KugetsuError) as caught:
            use()
        assert caught.value.hint is not None
        assert "KUGETSU_DIR" in caught.value.hint


def test_a_deleted_lock_file_costs_nothing(directory: str) -> None:
    one, two = open_files(directory), open_files(directory)
    for turn in range(10):
        note(one)
        os.unlink(os.path.join(directory, "lock"))
        note(two)
        assert two.head().seq == 2 * turn + 2
    assert one.verify().ok


def test_disposable_files_can_all_be_deleted(directory: str) -> None:
    log = open_files(directory, latest_every=10)
    fill(log, 100)
    expected = open_files(directory).state()
    for root, _, files in os.walk(directory, topdown=False):
        for file in files:
            if not file.endswith(".jsonl"):
                os.unlink(os.path.join(root, file))
        if root != directory:
            os.rmdir(root)
    assert segment_files(directory) == sorted(os.listdir(directory))
    fresh = open_files(directory)
    assert fresh.state() == expected
    assert note(fresh)["seq"] == 101
    assert len(list(fresh.read_key("host/o/r#0"))) == 15


def test_a_missing_segment_is_damage_for_reader_and_writer(directory: str) -> None:
    log = open_files(directory, segment_bytes=1000)
    fill(log, 60)
    names = segment_files(directory)
    for name in (names[0], names[3]):
        path = Path(directory) / name
        content = path.read_bytes()
        path.unlink()
        assert not open_files(directory).verify().ok
        with pytest.raises(LogDamaged):
            list(open_files(directory).read())
        path.write_bytes(content)
    assert open_files(directory).verify().ok


def test_a_log_that_vanishes_under_a_running_process_is_damage_not_a_new_log(directory: str) -> None:
    log = open_files(directory)
    fill(log, 10)
    os.unlink(os.path.join(directory, segments.name(1)))
    with pytest.raises(LogDamaged):
        log.state()
    with pytest.raises(LogDamaged):
        note(log)
    with pytest.raises(LogDamaged):
        log.append([noted()])
    assert segment_files(directory) == []


def test_committed_events_that_vanish_under_a_running_process_are_damage(directory: str) -> None:
    log = open_files(directory)
    fill(log, 10)
    os.truncate(os.path.join(directory, segments.name(1)), 300)
    with pytest.raises(LogDamaged):
        note(log)
    with pytest.raises(LogDamaged):
        log.head()
