"""Every single flipped bit of a small log is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from kugetsu.log.files import segments
from kugetsu.model.errors import LogDamaged
from log.counting import note, noted, open_files


@pytest.fixture
def small(tmp_path: Path) -> str:
    """Five events in two segments; one transaction holds three of them."""
    directory = str(tmp_path / "log")
    log = open_files(directory, segment_bytes=600)
    note(log, "first", issue="host/o/r#1")
    log.transact(lambda state: [noted(n, task="q1", cause=1) for n in range(3)])
    note(log, "ü last")
    assert len(segments.first_seqs(directory)) == 2
    return directory


def test_every_flipped_bit_is_found_by_verify(small: str) -> None:
    log = open_files(small)
    assert log.verify().ok
    missed = []
    for first in segments.first_seqs(small):
        path = Path(small) / segments.name(first)
        sound = path.read_bytes()
        for bit in range(len(sound) * 8):
            flipped = bytearray(sound)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            if log.verify().ok:
                missed.append((path.name, bit))
        path.write_bytes(sound)
    assert missed == []
    assert log.verify().ok


def test_a_flipped_bit_is_never_read_as_an_event_nor_written_after(small: str) -> None:
    events = list(open_files(small).read())
    for first in segments.first_seqs(small):
        path = Path(small) / segments.name(first)
        sound = path.read_bytes()
        for bit in range(0, len(sound) * 8, 13):
            flipped = bytearray(sound)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            seen = []
            try:
                for event in open_files(small).read():
                    seen.append(event)
            except LogDamaged:
                pass
            assert seen == events[: len(seen)]
            with pytest.raises(LogDamaged):
                note(open_files(small))
            assert path.read_bytes() == flipped
        path.write_bytes(sound)


def test_one_flip_is_one_problem_at_its_place(small: str) -> None:
    path = Path(small) / segments.name(1)
    sound = path.read_bytes()
    lines = sound.splitlines(keepends=True)
    for place in (lines[0].find(b"first"), len(lines[0]) - 5):
        flipped = bytearray(sound)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        (problem,) = open_files(small).verify().problems
        assert (problem.seq, problem.offset, problem.kind) == (1, 0, "digest")
