"""Milestones only ever save time: whatever happens to them, a state of the past is the fold of the events up to it."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from kugetsu.log.files.engine import FileLog
from log.counting import BY, Clock, Counting, fill, note, open_files

EVERY = 40


def folded_to(directory: str, seq: int) -> dict[str, Any]:
    projection = Counting()
    state = projection.empty()
    for event in open_files(directory).read(until=seq) if seq else ():
        projection.fold(state, event)
    return state


def opened(directory: str, projection: Counting | None = None) -> FileLog:
    return open_files(directory, projection, latest_every=10, periodic_every=EVERY, segment_bytes=4000)


@pytest.fixture
def filled(directory: str) -> str:
    log = opened(directory)
    fill(log, 333)
    log.close()
    return directory


def kept(directory: str) -> list[int]:
    return sorted(int(name) for name in os.listdir(Path(directory) / "milestones"))


def test_they_are_kept_while_the_log_grows(filled: str) -> None:
    stretches = [seq // EVERY for seq in kept(filled)]
    assert stretches == list(range(1, 333 // EVERY + 1))


def test_every_point_is_the_fold_of_the_events_up_to_it(filled: str) -> None:
    log = opened(filled)
    for seq in range(0, 334, 3):
        assert log.state_at(seq) == folded_to(filled, seq)
    assert log.state_at(10_000) == folded_to(filled, 333)


def test_a_point_is_reached_from_the_milestone_before_it(filled: str) -> None:
    projection = Counting()
    opened(filled, projection).state_at(300)
    assert projection.folded < EVERY + 20


def test_travelling_keeps_the_milestones_that_are_missing(filled: str) -> None:
    for name in os.listdir(Path(filled) / "milestones"):
        os.unlink(Path(filled) / "milestones" / name)
    opened(filled).state_at(200)
    assert [seq // EVERY for seq in kept(filled)] == [1, 2, 3, 4, 5]
    assert opened(filled).state_at(200) == folded_to(filled, 200)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other log", "nonsense name"])
def test_a_milestone_that_cannot_be_believed_is_not(filled: str, damage: str) -> None:
    folder = Path(filled) / "milestones"
    for name in os.listdir(folder):
        path = folder / name
        whole = path.read_bytes()
        if damage == "flip":
            path.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
        elif damage == "cut":
            path.write_bytes(whole[:-9])
        elif damage == "empty":
            path.write_bytes(b"")
        elif damage == "other log":
            path.rename(folder / f"{int(name) - 1:020d}")
        else:
            path.rename(folder / f"{name}x")
    assert opened(filled).state_at(250) == folded_to(filled, 250)


def test_a_folder_that_cannot_be_made_is_no_error(directory: str) -> None:
    Path(directory).mkdir()
    (Path(directory) / "milestones").write_text("a file in its place")
    log = opened(directory)
    fill(log, 100)
    assert log.state_at(60) == folded_to(directory, 60)


def test_a_time_is_before_the_first_event_that_is_later_also_when_the_clock_went_back(directory: str) -> None:
    chance = random.Random(7)
    times = [f"2026-11-23T10:{chance.randrange(60):02d}:00.000000Z" for _ in range(200)]
    moments = iter(times)
    log = FileLog(directory, Counting(), BY, lambda: next(moments), latest_every=10, periodic_every=EVERY)
    for number in range(200):
        note(log, f"{number}")
    for minute in range(0, 61, 4):
        at = f"2026-11-23T10:{minute:02d}:30.000000Z"
        seq = next((place for place, time in enumerate(times) if time > at), 200)
        assert opened(directory).state_at(at=at) == folded_to(directory, seq), at


def test_an_empty_log_has_an_empty_past(directory: str) -> None:
    assert opened(directory).state_at(0) == Counting().empty()
    assert opened(directory).state_at(at=Clock()()) == Counting().empty()
