"""An exported log: the same events, the same states; and nothing in such a file is trusted."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kugetsu.log.files.engine import FileLog
from kugetsu.log.files.segments import Head
from kugetsu.log.foreign import bundle_reader, unpack
from kugetsu.log.foreign.engine import ForeignLog
from kugetsu.model.errors import BadInput, KugetsuError, NotFound
from log.counting import Counting, fill, open_files

EVENTS = 200


class Patient(Counting):
    """Counts also the events of a part, which begins in the middle."""

    def fold(self, state: dict[str, Any], event: dict[str, Any]) -> None:
        state["seq"] = event["seq"] - 1
        super().fold(state, event)


@pytest.fixture
def original(directory: str) -> FileLog:
    log = open_files(directory, segment_bytes=4000)
    fill(log, EVENTS)
    return log


@pytest.fixture
def lines(original: FileLog) -> list[bytes]:
    return [line for _, line in original.read_lines()]


@pytest.fixture
def opened() -> Iterator[Callable[..., ForeignLog]]:
    logs: list[ForeignLog] = []

    def open_one(path: Path | str, **more: Any) -> ForeignLog:
        logs.append(ForeignLog(str(path), Patient(), **more))
        return logs[-1]

    yield open_one
    for log in logs:
        log.close()


def joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def bundle(path: Path, lines: list[bytes], **more: bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {"manifest.json": b"{}", "log.jsonl": joined(lines), **more}.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


FORMS: dict[str, Callable[[Path, list[bytes], str], Path]] = {
    "bundle": lambda place, lines, _: bundle(place / "b.tar.gz", lines),
    "plain tar": lambda place, lines, _: written(
        place / "b.tar", gzip.decompress(bundle(place / "b.tar.gz", lines).read_bytes())
    ),
    "lines": lambda place, lines, _: written(place / "l.jsonl", joined(lines)),
    "lines without the last newline": lambda place, lines, _: written(place / "l.jsonl", joined(lines)[:-1]),
    "packed lines": lambda place, lines, _: written(place / "l.jsonl.gz", gzip.compress(joined(lines))),
    "lines packed in two parts": lambda place, lines, _: written(
        place / "l.gz", gzip.compress(joined(lines[:50])) + gzip.compress(joined(lines[50:]))
    ),
    "log folder": lambda place, lines, directory: Path(directory),
    "kugetsu folder": lambda place, lines, directory: Path(directory).parent,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_same_events_and_states(tmp_path, original, lines, directory, opened, form):
    log = opened(FORMS[form](tmp_path, lines, directory), periodic_every=40)
    assert list(log.read()) == list(original.read())
    assert list(log.read(30, 90)) == list(original.read(30, 90))
    assert list(log.read(90, 30)) == []
    assert log.state() == original.state()
    for key in ("q1", "host/o/r#3", "ses_1", "nothing"):
        assert list(log.read_key(key)) == list(original.read_key(key))
    for seq in (0, 1, 39, 40, 41, 133, 200, 1000):
        assert log.state_at(seq=seq) == original.state_at(seq=seq), seq
    at = next(iter(original.read(120, 121)))["at"]
    assert log.state_at(at=at) == original.state_at(at=at)
    assert log.head() == original.head()
    assert log.notes() == []
    found, counted = log.stats(), original.stats()
    assert (found.events, found.types, found.first_at) == (counted.events, counted.types, counted.first_at)


def test_a_state_of_the_past_is_its_own(tmp_path, lines, opened):
    log = opened(written(tmp_path / "l", joined(lines)))
    log.state_at(seq=100)["types"].clear()
    assert log.state_at(seq=100)["types"] != {} and log.state()["types"] != {}


def test_two_may_read_at_a_time(tmp_path, lines, opened):
    log = opened(written(tmp_path / "l", joined(lines)))
    pairs = list(zip(log.read(), log.read(10), strict=False))
    assert all(one["seq"] + 10 == other["seq"] for one, other in pairs) and len(pairs) == EVENTS - 10


def test_what_was_not_changed_verifies(tmp_path, original, lines, opened):
    log = opened(written(tmp_path / "l", joined(lines)))
    found = log.verify(original.head())
    assert found.ok and found.note is None and found.count == EVENTS
    assert not log.verify(Head(100, "0" * 32)).ok
    assert not log.verify(Head(EVENTS + 1, "0" * 32)).ok


def test_a_line_that_was_changed_is_found(tmp_path, lines, opened):
    lines[49] = lines[49].replace(b'"text":', b'"word":')
    found = opened(written(tmp_path / "l", joined(lines))).verify()
    assert [problem.seq for problem in found.problems] == [50] and found.count == EVENTS - 1


def test_nothing_of_a_redacted_log_can_be_verified(tmp_path, lines, opened):
    redacted = [line.replace(b'"host":"box"', b'"host":"host1"') for line in lines]
    for path in (written(tmp_path / "l", joined(redacted)), bundle(tmp_path / "b", redacted)):
        found = opened(path).verify()
        assert found.note is not None and found.problems == []


def test_a_part_says_so_and_verifies_from_its_second_event_on(tmp_path, lines, opened):
    log = opened(written(tmp_path / "l", joined(lines[99:150])))
    assert log.verify().ok and log.notes() == ["it is a part of a log, events 100 to 150: earlier events are unknown"]
    assert log.state()["seq"] == 150 and [event["seq"] for event in log.read(148)] == [149, 150]


def test_missing_events_are_noted(tmp_path, lines, opened):
    del lines[20:30], lines[100]
    log = opened(written(tmp_path / "l", joined(lines)))
    assert log.notes() == ["events 21 to 30 are missing", "event 111 is missing"]
    found = log.verify()
    assert found.ok and found.note == "not all can be verified: events are missing before 2 events of it"


def test_missing_segments_of_a_folder_are_damage(original, directory, opened):
    sorted(Path(directory).glob("*.jsonl"))[2].unlink()
    assert [problem.kind for problem in opened(directory).verify().problems] == ["missing"]


def test_lines_marked_as_redacted_are_not_damage(tmp_path, lines, opened):
    event = json.loads(lines[49])
    lines[49] = json.dumps({**event, "data": {"text": "[redacted]"}, "redacted": True}).encode()
    found = opened(written(tmp_path / "l", joined(lines))).verify()
    assert found.ok and found.count == EVENTS - 1
    assert found.note == "not all can be verified: something was taken out of 1 event"


def test_lines_that_are_not_events_are_skipped_and_counted(tmp_path, original, lines, opened):
    good = json.loads(lines[0])
    garbage: list[Any] = [b"", b"garbage", b"[1]", b"7", b'{"seq":1}', b"\xff\xfe", b"{" * 100_000, lines[3][:-9]]
    garbage += [
        json.dumps({**good, **bad}).encode()
        for bad in (
            {"seq": 0},
            {"seq": -1},
            {"seq": "1"},
            {"seq": True},
            {"seq": 1 << 60},
            {"at": "yesterday"},
            {"at": "2026-13-01T00:00:00.000000Z"},
            {"at": "2026-11-23T25:00:00.000000Z"},
            {"at": 5},
            {"type": None},
            {"v": "1"},
            {"data": []},
            {"by": "me"},
            {"facts": 1},
            {"task": 7},
            {"cause": "1"},
            {"more": None},
        )
    ]
    mixed = [*garbage[:4], *lines[:100], *garbage[4:], *lines[100:]]
    log = opened(written(tmp_path / "l", joined(mixed)))
    assert list(log.read()) == list(original.read())
    assert log.notes() == [f"{len(garbage) - 1} lines are not events and were skipped, the first is line 2"]


def test_events_out_of_order_or_repeated_are_sorted_and_noted(tmp_path, original, lines, opened):
    shuffled = [*lines, *lines[30:40]]
    random.Random(3).shuffle(shuffled)
    log = opened(written(tmp_path / "l", joined(shuffled)), periodic_every=40)
    assert list(log.read()) == list(original.read())
    assert log.state() == original.state() and log.state_at(seq=77) == original.state_at(seq=77)
    assert log.verify().ok
    assert any("out of order" in note for note in log.notes())
    assert any(note.startswith("10 repeated events skipped") for note in log.notes())


@pytest.mark.parametrize("form", ["bundle", "packed lines"])
def test_a_truncated_file_is_read_up_to_there(tmp_path, original, directory, opened, form):
    rest = random.Random(1)
    fill(original, 2000)
    lines = [line.replace(b"hello", rest.randbytes(8).hex().encode()) for _, line in original.read_lines()]
    path = FORMS[form](tmp_path, lines, directory)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    log = opened(path)
    assert "it is truncated" in log.notes()
    assert 100 < log.head().seq < 2200 and [event["seq"] for event in log.read()] == list(range(1, log.head().seq + 1))


def test_a_file_that_is_damaged_in_the_middle_is_read_up_to_there(tmp_path, original, directory, opened):
    fill(original, 3000)
    path = FORMS["packed lines"](tmp_path, [line for _, line in original.read_lines()], directory)
    whole = bytearray(path.read_bytes())
    for place in range(len(whole) * 2 // 3, len(whole) * 2 // 3 + 40):
        whole[place] ^= 0x55
    path.write_bytes(whole)
    log = opened(path)
    assert any("damaged" in note for note in log.notes()) and log.head().seq > 100


def test_an_unfinished_write_at_the_end_of_a_folder_is_skipped(original, directory, opened):
    last = sorted(Path(directory).glob("*.jsonl"))[-1]
    last.write_bytes(last.read_bytes() + b'{"seq":201,"at":"20')
    log = opened(directory)
    assert log.head().seq == EVENTS and log.notes() == [
        "an unfinished write of 19 bytes at its end was skipped",
    ]


def test_nothing_is_written_where_the_file_is(tmp_path, original, directory, opened):
    def tree() -> list[tuple[str, int]]:
        return sorted((str(path), path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))

    original.close()
    before = tree()
    log = opened(directory)
    list(log.read_key("q1"))
    log.state_at(seq=100)
    log.verify()
    assert tree() == before


def test_nothing_is_appended(tmp_path, lines, opened):
    log = opened(written(tmp_path / "l", joined(lines)))
    calls: list[Callable[[], Any]] = [lambda: log.transact(lambda _: []), lambda: log.append([]), log.repair]
    for call in calls:
        with pytest.raises(KugetsuError, match="read-only"):
            call()
    for call in (lambda: log.follow(0), lambda: log.wait(0, 1.0), log.watch):
        with pytest.raises(BadInput):
            call()


# --- hostile files ------------------------------------------------------------------------------------------------


def test_members_with_evil_names_and_links_lead_nowhere(tmp_path, original, lines, opened):
    secret = written(tmp_path / "secret", joined(lines[:5]))
    path = tmp_path / "b.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("/etc/passwd", "../../escape", "attempts/../stderr.log", "attempts/../../x/stderr.log"):
            about = tarfile.TarInfo(name)
            about.size = 4
            archive.addfile(about, io.BytesIO(b"evil"))
        for kind, name in ((tarfile.SYMTYPE, "log.jsonl"), (tarfile.LNKTYPE, "settings.json"), (tarfile.FIFOTYPE, "f")):
            about = tarfile.TarInfo(name)
            about.type, about.linkname = kind, str(secret)
            archive.addfile(about)
        data = joined(lines)
        about = tarfile.TarInfo("./log.jsonl")
        about.size = len(data)
        archive.addfile(about, io.BytesIO(data))
    log = opened(path)
    assert log.head() == original.head() and log.contents.extras == {}
    assert not (tmp_path.parent / "escape").exists()


def test_a_link_named_as_the_log_is_not_followed(tmp_path):
    path = tmp_path / "b.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        about = tarfile.TarInfo("log.jsonl")
        about.type, about.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(about)
    with pytest.raises(BadInput, match="not a bundle"):
        ForeignLog(str(path), Patient())


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_reader, "_EASY", 1 << 20)
    path = written(tmp_path / "l.gz", gzip.compress(b"\0" * (16 << 20)))
    with pytest.raises(BadInput, match="implausible compression ratio"):
        ForeignLog(str(path), Patient())


def test_a_file_beyond_the_size_limit_is_refused(tmp_path, lines, monkeypatch):
    monkeypatch.setattr(bundle_reader, "MOST_BYTES", 10_000)
    with pytest.raises(BadInput, match="there is more than"):
        ForeignLog(str(written(tmp_path / "l", joined(lines))), Patient())


def test_an_archive_of_many_members_is_refused(tmp_path, lines):
    with pytest.raises(BadInput, match="more than 1000 members"):
        ForeignLog(str(bundle(tmp_path / "b", lines, **{f"file{n}": b"" for n in range(1000)})), Patient())


def test_large_members_beside_the_log_are_skipped(tmp_path, lines, opened):
    log = opened(bundle(tmp_path / "b", lines, **{"daemon.log": b"x" * (3 << 20), "settings.json": b"{}"}))
    assert set(log.contents.extras) == {"manifest.json", "settings.json"}


def test_an_endless_line_is_skipped(tmp_path, original, lines, opened, monkeypatch):
    monkeypatch.setattr(bundle_reader, "LINE_BYTES", 5 << 20)
    long = b'{"seq":1,' + b"x" * (9 << 20)
    log = opened(written(tmp_path / "l", joined([*lines[:100], long, *lines[100:]])))
    assert list(log.read()) == list(original.read())
    assert any("longer than" in note for note in log.notes())


def test_a_header_that_claims_more_than_there_is_does_no_harm(tmp_path, lines, opened):
    about = tarfile.TarInfo("log.jsonl")
    about.size = 1 << 32
    path = written(tmp_path / "b.tar", about.tobuf() + joined(lines))
    assert opened(path).head().seq == EVENTS


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", BadInput),
        (b"\n\n", BadInput),
        (b"no log", BadInput),
        (os.urandom(5000), BadInput),
        (b"\x1f\x8b\x08", BadInput),
    ],
)
def test_a_file_without_events_is_no_log(tmp_path, content, error):
    with pytest.raises(error, match="no event is in"):
        ForeignLog(str(written(tmp_path / "x", content)), Patient())


def test_a_missing_file_and_a_device_are_refused(tmp_path):
    with pytest.raises(NotFound):
        ForeignLog(str(tmp_path / "nothing"), Patient())
    with pytest.raises(BadInput, match="no log is in the folder"):
        ForeignLog(str(tmp_path), Patient())
    with pytest.raises(BadInput, match="is not a file"):
        ForeignLog("/dev/zero", Patient())


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def test_the_temporary_folder_is_private_and_gone_when_the_log_is_closed(tmp_path, lines, temporary):
    log = ForeignLog(str(written(tmp_path / "l", joined(lines))), Patient())
    (folder,) = temporary.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    log.close()
    assert not list(temporary.iterdir())
    with pytest.raises(BadInput):
        ForeignLog(str(written(tmp_path / "l", b"no log")), Patient())
    assert not list(temporary.iterdir())


OPENS = """
import sys, time
from kugetsu.log.foreign.engine import ForeignLog
log = ForeignLog(sys.argv[1])
print("opened", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_the_temporary_folder_of_a_process_that_was_ended_is_removed(tmp_path, lines, temporary, opened, number):
    path = written(tmp_path / "l", joined(lines))
    process = subprocess.Popen(
        [sys.executable, "-c", OPENS, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Tests that run under nohup ignore SIGHUP, and so would the process.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL) and None,
    )
    assert process.stdout is not None and process.stdout.readline() == b"opened\n"
    (folder,) = temporary.iterdir()
    log = opened(path)  # which leaves alone the folder of one that lives
    assert folder.is_dir()
    log.close()
    process.send_signal(number)
    assert process.wait(20) == -number
    process.stdout.close()
    assert folder.is_dir() == (number == signal.SIGKILL)
    opened(path).close()
    assert not list(temporary.iterdir())


def test_whatever_bits_are_flipped_it_is_read_or_refused(tmp_path, lines, directory):
    chance = random.Random(11)
    whole = bundle(tmp_path / "b", lines).read_bytes()
    plain = gzip.decompress(whole)
    for number in range(150):
        data = bytearray(whole if number % 2 else plain)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        try:
            log = ForeignLog(str(written(tmp_path / "f", bytes(data))), Patient())
        except KugetsuError:
            continue
        seqs = [event["seq"] for event in log.read()]
        assert seqs == sorted(set(seqs))
        log.close()


def test_a_file_of_nothing_but_newlines_is_refused_before_all_of_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("kugetsu.log.foreign.unpack._MOST_NOTHING", 5000)
    path = tmp_path / "nothing.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n" * (8 << 20)))
    taken = []
    look = unpack._Unpacked._skip
    monkeypatch.setattr(unpack._Unpacked, "_skip", lambda self, line: (taken.append(1), look(self, line))[1])
    with pytest.raises(BadInput, match=r"more than 5,000 lines of .* are not events"):
        ForeignLog(str(path), Counting())
    assert len(taken) == 5001
