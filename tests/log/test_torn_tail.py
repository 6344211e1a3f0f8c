"""What an interrupted write leaves at the log's end is cut and kept; what was acknowledged never is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kugetsu.log import codec
from kugetsu.log.files import block_reader as tail_module
from kugetsu.log.files import segments
from kugetsu.log.files.block_reader import BlockReader
from kugetsu.log.files.segments import Cursor
from kugetsu.log.files.verify import Verification
from kugetsu.model.errors import LogDamaged
from log.counting import fill, note, noted, open_files


def segment(directory: str, first: int = 1) -> Path:
    return Path(directory) / segments.name(first)


@pytest.fixture
def block(directory: str) -> bytes:
    """A log of ten events, and the bytes of a transaction of three that would come next."""
    log = open_files(directory)
    fill(log, 10)
    cut = segment(directory).stat().st_size
    log.transact(lambda state: [noted(f"torn {n}", issue="host/o/r#1") for n in range(3)])
    content = segment(directory).read_bytes()
    segment(directory).write_bytes(content[:cut])
    return content[cut:]


def test_a_tail_that_another_repairs_first_is_repaired(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(open_files(directory), 3)
    with segment(directory).open("ab") as file:
        file.write(b'{"seq":4,')
    log = open_files(directory)
    look = log.verify

    def verify() -> Verification:
        found = look()
        assert open_files(directory).repair().repaired
        return found

    monkeypatch.setattr(log, "verify", verify)
    assert log.repair().repaired
    assert [event["type"] for event in log.read(after=3)] == ["log.repaired"]


@pytest.mark.parametrize("appending", ["transact", "append"])
def test_a_transaction_cut_anywhere_is_undone_whole(directory: str, block: bytes, appending: str) -> None:
    sound = segment(directory).read_bytes()
    for length in range(1, len(block) - 1):
        segment(directory).write_bytes(sound + block[:length])
        reader = open_files(directory)
        assert reader.state()["seq"] == 10 == len(list(reader.read()))
        check = reader.verify()
        assert check.ok
        assert check.torn is not None
        assert (check.torn.offset, check.torn.bytes) == (len(sound), length)
        writer = open_files(directory)
        if appending == "transact":
            assert note(writer)["seq"] == 12
        else:
            assert writer.append([noted()])[0]["seq"] == 12
        (repaired,) = list(writer.read(10, 11))
        assert repaired["type"] == "log.repaired"
        assert repaired["data"]["segment"] == segments.name(1)
        assert repaired["data"]["offset"] == len(sound)
        assert repaired["data"]["bytes"] == length
        kept = Path(directory) / repaired["data"]["kept"]
        assert kept.read_bytes() == block[:length]
        after = writer.verify()
        assert after.ok
        assert after.torn is None
        assert reader.state()["seq"] == 12


def test_a_transaction_that_lacks_only_its_newline_is_kept(directory: str, block: bytes) -> None:
    with segment(directory).open("ab") as file:
        file.write(block[:-1])
    reader = open_files(directory)
    assert reader.state()["seq"] == 10
    writer = open_files(directory)
    assert note(writer)["seq"] == 14
    assert [event["data"]["text"] for event in writer.read(10)] == ["torn 0", "torn 1", "torn 2", "hello"]
    assert reader.state()["seq"] == 14
    assert not (Path(directory) / "torn").exists()


@pytest.mark.parametrize("junk", [b"\0" * 5000, b"\xff\xfe", b"{", b'{"seq":11,"at":"2026', b" "])
def test_junk_without_a_newline_is_cut_and_kept(directory: str, block: bytes, junk: bytes) -> None:
    with segment(directory).open("ab") as file:
        file.write(junk)
    log = open_files(directory)
    repair = log.repair()
    assert repair.repaired
    assert repair.event is not None
    assert (Path(directory) / repair.event["data"]["kept"]).read_bytes() == junk
    assert log.verify().ok
    assert not log.repair().repaired


def test_every_flipped_bit_of_the_last_newline_is_damage_and_nothing_is_cut(directory: str, block: bytes) -> None:
    sound = segment(directory).read_bytes() + block
    for bit in range(8):
        flipped = sound[:-1] + bytes([sound[-1] ^ 1 << bit])
        segment(directory).write_bytes(flipped)
        log = open_files(directory)
        assert not log.verify().ok
        for append in (lambda log=log: note(log), lambda log=log: log.append([noted()])):
            with pytest.raises(LogDamaged) as caught:
                append()
            assert caught.value.seq == 13  # type: ignore[attr-defined]
        assert segment(directory).read_bytes() == flipped
        assert not log.repair().repaired
        assert log.repair().problems


def test_a_flipped_bit_in_the_last_line_is_damage_and_nothing_is_appended(directory: str, block: bytes) -> None:
    sound = segment(directory).read_bytes() + block
    last = sound.rfind(b"\n", 0, -1) + 1
    for place in range(last, len(sound)):
        flipped = bytearray(sound)
        flipped[place] ^= 1 << place % 8
        segment(directory).write_bytes(flipped)
        with pytest.raises(LogDamaged) as caught:
            note(open_files(directory))
        assert caught.value.exit_code == 6
        assert caught.value.hint is not None
        assert "kugetsu log verify" in caught.value.hint
        assert "13" in str(caught.value)
        with pytest.raises(LogDamaged):
            open_files(directory).append([noted()])
        assert segment(directory).read_bytes() == flipped


def test_a_damaged_middle_is_told_with_its_place_and_nothing_is_appended(directory: str) -> None:
    log = open_files(directory, segment_bytes=1500)
    fill(log, 60)
    first = segments.first_seqs(directory)[2]
    path = segment(directory, first)
    content = path.read_bytes()
    offset = content.find(b"\n") + 1
    path.write_bytes(content[: offset + 60] + b"X" + content[offset + 61 :])
    before = {name: (Path(directory) / segments.name(name)).read_bytes() for name in segments.first_seqs(directory)}
    with pytest.raises(LogDamaged) as caught:
        note(open_files(directory))
    error = caught.value
    assert (error.seq, error.segment, error.offset) == (first + 1, path.name, offset)  # type: ignore[attr-defined]
    problems = open_files(directory).verify().problems
    assert [(problem.seq, problem.segment, problem.offset) for problem in problems] == [(first + 1, path.name, offset)]
    assert open_files(directory).repair().problems == problems
    for name, was in before.items():
        assert (Path(directory) / segments.name(name)).read_bytes() == was


@pytest.mark.parametrize("cut", [1, 20, 200, 500])
def test_a_tail_torn_in_a_segment_that_is_not_the_last_is_damage_for_every_reader(directory: str, cut: int) -> None:
    log = open_files(directory, segment_bytes=1500)
    fill(log, 60)
    first, later = segments.first_seqs(directory)[-2:]
    path = segment(directory, first)
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    for use in (
        lambda log: note(log),
        lambda log: log.state(),
        lambda log: list(log.read()),
        lambda log: list(log.read_lines()),
        lambda log: list(log.read_key("q1")),
        lambda log: log.stats(),
        lambda log: log.state_at(seq=later),
        lambda log: log.wait(later, 0.01),
    ):
        with pytest.raises(LogDamaged) as caught:
            use(open_files(directory))
        damage: Any = caught.value
        assert damage.segment == path.name and damage.offset <= len(content) and first <= damage.seq < later, use
    problems = open_files(directory).verify().problems
    assert problems and {problem.segment for problem in problems} <= {path.name, segments.name(later)}
    assert path.read_bytes() == content[:-cut]


def test_a_reader_behind_a_writer_that_rotates_sees_no_damage(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is seen half written is whole by the time at which the next segment is there."""
    log = open_files(directory)
    for _ in range(3):
        note(log)
    whole = segment(directory).read_bytes()
    segment(directory).write_bytes(whole[: whole.rfind(b"\n", 0, -1) + 30])
    tail = BlockReader(directory, Cursor())
    seen = tail.next_block()
    assert seen is not None and len(seen.events) == 2
    tail.advance(seen)

    def meanwhile(folder: str) -> list[int]:
        segment(folder).write_bytes(whole)
        segment(folder, 4).touch()
        return segments.first_seqs(folder)

    monkeypatch.setattr(tail_module, "first_seqs", meanwhile)
    block = tail.next_block()
    assert block is not None and [event["seq"] for event in block.events] == [3]


def test_lines_missing_repeated_swapped_or_edited_are_found(directory: str) -> None:
    fill(open_files(directory), 20)
    lines = segment(directory).read_bytes().splitlines(keepends=True)
    edited = lines[7].replace(b'"text":7', b'"text":8')
    assert edited != lines[7]
    for name, changed in {
        "missing": lines[:7] + lines[8:],
        "repeated": lines[:8] + lines[7:],
        "swapped": [*lines[:7], lines[8], lines[7], *lines[9:]],
        "edited": [*lines[:7], edited, *lines[8:]],
        "first gone": lines[1:],
        "empty line": [*lines[:7], b"\n", *lines[7:]],
    }.items():
        segment(directory).write_bytes(b"".join(changed))
        assert not open_files(directory).verify().ok, name
        with pytest.raises(LogDamaged):
            list(open_files(directory).read())


def test_an_edited_line_with_a_digest_of_its_own_breaks_the_next(directory: str) -> None:
    fill(open_files(directory), 20)
    lines = segment(directory).read_bytes().splitlines()
    before = codec.stated(lines[6])
    assert before is not None
    body = lines[7][: -codec.TAIL_SIZE].replace(b'"text":7', b'"text":8')
    lines[7], _ = codec.seal(before, body)
    segment(directory).write_bytes(b"\n".join(lines) + b"\n")
    assert [problem.seq for problem in open_files(directory).verify().problems] == [9]
