"""Many processes at one log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from log.counting import Counting, fill, note, noted, open_files
from log.forks import together

WRITERS = 20
EACH = 15


@pytest.mark.parametrize("way", ["transact", "append", "mixed"])
def test_many_processes_append_without_gap_or_loss(tmp_path: Path, way: str) -> None:
    directory = str(tmp_path / "log")

    def write(number: int) -> None:
        log = open_files(directory, segment_bytes=20_000, latest_every=60)
        for turn in range(EACH):
            new_events = [noted([number, turn, part], task=f"w{number}") for part in range(2)]
            if way == "append" or (way == "mixed" and turn % 2):
                events = log.append(new_events)
            else:
                events = log.transact(lambda state, made=new_events: made)
            assert events[1]["seq"] == events[0]["seq"] + 1

    together(WRITERS, write)
    log = open_files(directory)
    assert log.verify().ok
    events = list(log.read())
    assert [event["seq"] for event in events] == list(range(1, 2 * WRITERS * EACH + 1))
    for number in range(WRITERS):
        said = [event["data"]["text"] for event in events if event["task"] == f"w{number}"]
        assert said == [[number, turn, part] for turn in range(EACH) for part in range(2)]
        assert list(log.read_key(f"w{number}")) == [event for event in events if event["task"] == f"w{number}"]


def test_a_guarded_append_is_never_overtaken(tmp_path: Path) -> None:
    directory = str(tmp_path / "log")

    def claim(number: int) -> None:
        log = open_files(directory)
        log.transact(lambda state: [noted(number)] if state["seq"] < 3 else [])

    together(40, claim)
    assert open_files(directory).head().seq == 3


def test_the_decision_of_each_process_sees_all_before_it(tmp_path: Path) -> None:
    directory = str(tmp_path / "log")

    def count(number: int) -> None:
        log = open_files(directory, segment_bytes=5_000, latest_every=30)
        for _ in range(EACH):
            log.transact(lambda state: [noted(state["sum"])])

    together(WRITERS, count)
    projection = Counting()
    state = projection.empty()
    for event in open_files(directory).read():
        assert event["data"]["text"] == state["sum"]
        projection.fold(state, event)


def test_readers_never_see_half_a_transaction(tmp_path: Path) -> None:
    directory = str(tmp_path / "log")
    size = 5

    def read_or_write(number: int) -> None:
        log = open_files(directory, segment_bytes=300_000, latest_every=50)
        if number < 3:
            for turn in range(40):
                new_events = [noted("t" * (turn * 997 % 20_000), issue=f"w{number}") for _ in range(size)]
                log.transact(lambda state, made=new_events: made)
            return
        seen = 0
        following = log.follow(0)
        while seen < 3 * 40 * size:
            assert log.state()["seq"] % size == 0
            assert log.head().seq % size == 0
            event = next(following)
            if event is not None:
                seen += 1
                assert event["seq"] == seen
                assert event.get("more", 0) == (size - seen) % size

    together(6, read_or_write)
    assert open_files(directory).verify().ok


def test_a_reader_copes_with_a_tail_that_is_cut_under_it(tmp_path: Path) -> None:
    directory = str(tmp_path / "log")
    fill(open_files(directory), 5)
    path = os.path.join(directory, "00000000000000000001.jsonl")

    def read_or_tear(number: int) -> None:
        if number:
            log = open_files(directory)
            while log.state()["seq"] < 5 + 2 * 60:
                assert len(list(log.read())) >= 5
            return
        for turn in range(60):
            with open(path, "ab") as file:
                file.write(b'{"seq":%d,' % turn + b"#" * (turn * 331 % 9000))
            note(open_files(directory), "n" * (turn * 577 % 9000))

    together(4, read_or_tear)
    assert open_files(directory).verify().ok


def test_a_forked_child_appends_with_a_lock_of_its_own(tmp_path: Path) -> None:
    log = open_files(str(tmp_path / "log"), segment_bytes=3000)
    note(log)

    def go_on(number: int) -> None:
        for _ in range(EACH):
            note(log, number)
            log.append([noted(number)])
        assert log.state()["seq"] <= log.head().seq

    together(8, go_on)
    assert log.state()["seq"] == 1 + 8 * 2 * EACH
    assert note(log)["seq"] == 2 + 8 * 2 * EACH
    assert log.verify().ok


def test_a_child_forked_under_the_lock_does_not_keep_it(tmp_path: Path) -> None:
    directory = str(tmp_path / "log")
    log = open_files(directory)
    note(log)
    hold_read, hold_write = os.pipe()
    children = []

    def fork_inside(state: object) -> list[object]:
        pid = os.fork()
        if pid == 0:
            os.close(hold_write)
            os.read(hold_read, 1)
            os._exit(0)
        children.append(pid)
        return []

    log.transact(fork_inside)  # type: ignore[arg-type]
    log.close()

    def append(number: int) -> None:
        os.close(hold_write)
        note(open_files(directory))

    together(1, append)
    assert open_files(directory).head().seq == 2
    os.close(hold_read)
    os.close(hold_write)
    os.waitpid(children[0], 0)
