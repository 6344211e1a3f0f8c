"""Writers killed at any moment: no acknowledged event is lost, and the log goes on."""

from __future__ import annotations

import os
import random
import select
import signal
import time
from pathlib import Path

from log.counting import fill, noted, open_files


def writer(directory: str, acknowledge: int, number: int) -> None:
    """Append for ever; say each transaction's last seq once `transact` or `append` returned."""
    log = open_files(directory, segment_bytes=200_000, latest_every=40)
    chance = random.Random(number)
    while True:
        new_events = [
            noted("z" * chance.choice((10, 500, 70_000)), task=f"w{number}") for _ in range(chance.randint(1, 4))
        ]
        events = log.append(new_events) if chance.random() < 0.4 else log.transact(lambda state, made=new_events: made)
        os.write(acknowledge, b"%d\n" % events[-1]["seq"])


def spawn(directory: str, number: int) -> tuple[int, int]:
    """A writer in a process of its own: its pid, and the pipe on which it acknowledges."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            writer(directory, write, number)
        finally:
            os._exit(1)
    os.close(write)
    return pid, read


def drain(fd: int) -> list[int]:
    said = b""
    while data := os.read(fd, 65536):
        said += data
    os.close(fd)
    return [int(line) for line in said.split(b"\n")[:-1]]


def test_no_acknowledged_event_is_lost_when_writers_are_killed(tmp_path: Path) -> None:
    directory = str(tmp_path / "log")
    chance = random.Random(7)
    acknowledged: list[int] = []
    for round_number in range(25):
        children = [spawn(directory, 10 * round_number + number) for number in range(3)]
        for _, fd in children:
            select.select([fd], [], [], 30)  # each has begun
        for pid, _ in children:
            time.sleep(chance.random() * 0.02)
            os.kill(pid, signal.SIGKILL)
        for pid, fd in children:
            os.waitpid(pid, 0)
            acknowledged += drain(fd)
        check = open_files(directory).verify()
        assert check.ok, check.problems[:3]
        assert check.head.seq >= max(acknowledged)
    log = open_files(directory)
    fill(log, 5)
    final = log.verify()
    assert final.ok
    assert final.torn is None
    events = list(log.read())
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert len(acknowledged) == len(set(acknowledged)) > 50
    assert set(acknowledged) <= {event["seq"] for event in events if "more" not in event and "task" in event}
    assert open_files(directory).state() == log.state()
    for number in (0, 11, 22):
        assert list(log.read_key(f"w{number}")) == [event for event in events if event.get("task") == f"w{number}"]


def test_a_torn_tail_of_a_killed_writer_is_kept_and_told(tmp_path: Path) -> None:
    directory = str(tmp_path / "log")
    fill(open_files(directory), 10)
    tail = b'{"seq":11,"at":"2026-11-23T10:00:00.000001Z","type":"note'
    with open(os.path.join(directory, "00000000000000000001.jsonl"), "ab") as file:
        file.write(tail)
    log = open_files(directory)
    fill(log, 5)
    repairs = [event for event in log.read() if event["type"] == "log.repaired"]
    assert [(Path(directory) / event["data"]["kept"]).read_bytes() for event in repairs] == [tail]
