"""The index only ever saves time: whatever happens to it, a history is complete."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kugetsu.log import codec
from kugetsu.log.files import index, segments
from kugetsu.model import jsontext
from kugetsu.model.errors import LogDamaged
from log.counting import fill, note, noted, open_files

KEYS = ("host/o/r#1", "host/o/r#6", "q0", "q2", "ses_0", "host/o/r#99")


def scanned(directory: str, key: str) -> list[dict[str, Any]]:
    return [event for event in open_files(directory).read() if index.carries(event, key)]


def build(directory: str) -> index.IndexHead:
    guard = index.try_guard(directory)
    assert guard is not None
    try:
        return index.extend(directory)
    finally:
        os.close(guard)


def assert_complete(directory: str) -> None:
    for key in KEYS:
        assert list(open_files(directory).read_key(key)) == scanned(directory, key)


@pytest.fixture
def indexed(directory: str) -> Path:
    log = open_files(directory, segment_bytes=5000)
    fill(log, 300)
    assert build(directory).cursor.seq == 300
    fill(log, 20)
    return Path(directory)


def test_the_index_is_used_and_the_tail_is_added(indexed: Path) -> None:
    head = index.load_head(str(indexed))
    assert head is not None
    found = [event["seq"] for event in index._indexed(str(indexed), head, "q2")]
    assert found == [event["seq"] for event in scanned(str(indexed), "q2") if event["seq"] <= 300]
    assert_complete(str(indexed))


def test_extending_goes_on_where_it_stopped(directory: str) -> None:
    log = open_files(directory, segment_bytes=3000)
    for _ in range(6):
        fill(log, 50)
        build(directory)
    assert build(directory).cursor.seq == 300
    assert_complete(directory)


def test_writers_keep_the_index_near_the_end(directory: str) -> None:
    log = open_files(directory, latest_every=50)
    fill(log, 205)
    head = index.load_head(directory)
    assert head is not None
    assert head.cursor.seq == 200


def test_records_that_a_crash_left_behind_are_not_told_twice(indexed: Path) -> None:
    before = (indexed / "index" / "head").read_bytes()
    fill(open_files(str(indexed)), 100)
    build(str(indexed))
    (indexed / "index" / "head").write_bytes(before)  # as if killed between the buckets and the head
    assert_complete(str(indexed))
    build(str(indexed))
    assert_complete(str(indexed))


def test_any_damage_to_the_index_changes_no_history(indexed: Path) -> None:
    for path in sorted((indexed / "index").rglob("*")):
        if not path.is_file() or path.name == "lock":
            continue
        whole = path.read_bytes()
        for content in (b"", whole[:-1], whole[:7], b"\0" * len(whole), whole[:-1] + bytes([whole[-1] ^ 4])):
            path.write_bytes(content)
            assert_complete(str(indexed))
            build(str(indexed))
            assert_complete(str(indexed))
            shutil.rmtree(indexed / "index")
            build(str(indexed))


def test_an_index_of_another_log_is_not_believed(indexed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    log = open_files(str(other))
    for turn in range(400):
        note(log, turn, issue=f"host/o/r#{turn % 3}")
    build(str(other))
    shutil.rmtree(indexed / "index")
    shutil.copytree(other / "index", indexed / "index")
    assert index.load_head(str(indexed)) is None
    assert_complete(str(indexed))


def test_a_busy_index_is_read_around(indexed: Path) -> None:
    shutil.rmtree(indexed / "index")
    guard = index.try_guard(str(indexed))
    assert guard is not None
    try:
        assert index.try_guard(str(indexed)) is None
        assert_complete(str(indexed))
    finally:
        os.close(guard)


def test_a_history_through_damage_is_an_error_not_a_gap(indexed: Path) -> None:
    event = scanned(str(indexed), "q2")[20]
    for path in indexed.glob("*.jsonl"):
        content = path.read_bytes()
        path.write_bytes(content.replace(b'{"seq":%d,' % event["seq"], b'{"seq":%d,' % (event["seq"] + 1)))
    with pytest.raises(LogDamaged):
        list(open_files(str(indexed)).read_key("q2"))


def test_an_index_is_built_when_it_is_far_behind(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(open_files(directory), 100)
    monkeypatch.setattr(index, "_NEAR", 1000)
    assert_complete(directory)
    head = index.load_head(directory)
    assert head is not None
    assert head.cursor.seq == 100


def test_digests_reach_over_segments(directory: str) -> None:
    log = open_files(directory, segment_bytes=10)
    fill(log, 60)
    build(directory)
    assert len(segments.first_seqs(directory)) == 12
    assert_complete(directory)


#: An issue's events name it twice, as their issue and as their session. The last two have the same CRC-32.
SHARED = st.sampled_from([None, "host/o/r#1", "host/o/r#2", "q1", "q2", "plumless", "buckeroo"])
WRITES = st.lists(st.tuples(SHARED, SHARED, SHARED, SHARED), min_size=1, max_size=5)


def test_keys_of_the_property_test_share_a_tag() -> None:
    assert crc32(b"plumless") == crc32(b"buckeroo")


@settings(deadline=None)
@given(st.lists(st.one_of(WRITES, st.just("index")), max_size=25))
def test_reading_a_key_by_the_index_gives_what_a_scan_of_the_log_gives(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as place:
        directory = os.path.join(place, "log")
        log = open_files(directory, segment_bytes=1500, latest_every=9)
        for step in steps:
            if step != "index":
                named = [dict(zip(("issue", "task", "attempt", "session"), keys, strict=True)) for keys in step]
                log.transact(lambda state, named=named: [noted(**where) for where in named])
            elif os.path.isdir(directory):
                build(directory)
        log.close()
        for built in (False, True):
            if built and os.path.isdir(directory):
                build(directory)
            reader = open_files(directory, upkeep=False)
            every = list(reader.read())
            for key in ("host/o/r#1", "host/o/r#2", "q1", "q2", "plumless", "buckeroo"):
                assert list(reader.read_key(key)) == [event for event in every if index.carries(event, key)]
            reader.close()


def doubled(directory: Path, version: int) -> None:
    """An index as format 2 wrote it: two records of an event that names one key as its issue and its session."""
    folder = directory / "index"
    content = segments.read_sealed(str(folder / "head"))
    assert content is not None
    for bucket in range(len(content["sizes"])):
        path = folder / str(content["generation"]) / f"{bucket:02x}"
        if path.exists():
            records = path.read_bytes()
            size = index._RECORD.size
            twice = b"".join(2 * records[at : at + size] for at in range(0, len(records), size))
            path.write_bytes(twice)
            content["sizes"][bucket], content["checks"][bucket] = len(twice), crc32(twice)
    del content["sha"]
    content["format"] = version
    (folder / "head").write_bytes(codec.seal(codec.GENESIS, jsontext.dumps(content)[:-1])[0])


@pytest.mark.parametrize("version", [2, index._FORMAT])
def test_an_index_with_two_records_of_an_event_gives_it_once(
    indexed: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubled(indexed, version)
    assert_complete(str(indexed))
    monkeypatch.setattr(index, "_NEAR", 1000)
    assert_complete(str(indexed))
    head = index.load_head(str(indexed))
    assert head is not None and head.cursor.seq == 320
    build(str(indexed))
    assert_complete(str(indexed))
