"""Durable appends: kugetsu's transactions beside a raw write + fdatasync under one lock, and beside SQLite.

Every writer is a process that appends as fast as it can for a while; all kinds write lines of the same bytes, and take
turns in one run. kugetsu appends in two ways, and both are held against the limits: `transact` decides on the state
first, for which each writer folds what all the others wrote, and is what commands, daemon and runners call; `append` is
the speed of the log itself, without a decision.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import struct
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from bench.report import Report, Sizes
from kugetsu.domain.decide import queue, sessions
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.log import open_log
from kugetsu.log.codec import encode
from kugetsu.model import clock

BY = {"cmd": "kugetsu queue enqueue github.com/shoko/kugetsu#14 …", "pid": 4121, "host": "bench", "user": "bench"}
MESSAGE = "implement feature X, with tests, as the issue asks; look at what was tried before"

APPEND = "kugetsu append"
TRANSACT = "kugetsu transact"
RAW = "write+fdatasync"

Step = Callable[[], None]
Kind = Callable[[str, int], Step]


def measure(report: Report, sizes: Sizes, folder: str) -> None:
    """Appends a second by 1, 8 and 32 writers, and the longest wait of a writer over its fair share."""
    line = _line_size(os.path.join(folder, "sample"))
    kinds: dict[str, Kind] = {
        APPEND: lambda place, _: _append(place, line),
        TRANSACT: _transact,
        RAW: lambda place, _: _raw(place, line),
        "SQLite WAL FULL": lambda place, _: _sqlite(place, line),
    }
    prepare: dict[str, Callable[[str], object]] = {
        APPEND: _set_up,
        TRANSACT: _set_up,
        RAW: lambda _: None,
        "SQLite WAL FULL": _set_up_sqlite,
    }
    for writers in sizes.writers:
        report.doing(f"appends, {writers} writers")
        rates: dict[str, list[float]] = {kind: [] for kind in kinds}
        longest: dict[str, list[float]] = {kind: [] for kind in kinds}
        late: dict[str, list[float]] = {kind: [] for kind in kinds}
        least: dict[str, list[float]] = {kind: [] for kind in kinds}
        for number in range(sizes.append_rounds + 1):
            for kind, make in kinds.items():
                place = os.path.join(folder, kind.replace(" ", "-"))
                os.makedirs(place)
                prepare[kind](place)
                result = _race(make, place, writers, sizes.append_seconds)
                shutil.rmtree(place)
                if number:
                    rates[kind].append(result.rate)
                    longest[kind].append(result.longest_wait)
                    late[kind].append(result.late_wait)
                    least[kind].append(result.worst_share)
        _add_rows(report, writers, rates, (least, late, longest))


def _add_rows(
    report: Report,
    writers: int,
    rates: dict[str, list[float]],
    waits: tuple[dict[str, list[float]], ...],
) -> None:
    what = f"{writers} writer{'s' if writers > 1 else ''}, /s"
    limit = 0.8 if writers == 1 else 1.5
    for kind in rates:
        limits: dict[str, Any] = {"limit": limit, "at_least": True} if kind in (APPEND, TRANSACT) else {}
        against = None if kind == RAW else rates[RAW]
        report.add(
            "appends",
            f"{what}: {kind}",
            rates[kind],
            "/s",
            reference="" if kind == RAW else RAW,
            against=against,
            higher_is_better=True,
            **limits,
        )
    if writers == 1:
        return
    # The limit does not say which wait it means: all three depths of kugetsu's are held against it.
    for name, measured in zip(("slowest writer's mean", "its 99th percentile", "longest of all"), waits, strict=True):
        for kind in rates:
            judged = kind in (APPEND, TRANSACT)
            bounds: dict[str, Any] = {"limit": 3.0, "absolute": True} if judged else {}
            report.add("waits", f"{writers} writers, {name}: {kind}", measured[kind], "× fair", **bounds)


class Result:
    """What a race gave. ``rate``: appends a second; the waits are in units of the fair share, which is the time in
    which each of the writers appends once: ``worst_share`` is the mean wait of the writer that got least,
    ``late_wait`` the 99th percentile of its waits in the worst writer, ``longest_wait`` the longest single wait of
    any."""

    def __init__(self, writers: list[tuple[int, float, float, float]]) -> None:
        counts, longest, late, elapsed_each = zip(*writers, strict=True)
        elapsed = max(elapsed_each)
        fair = elapsed * len(counts) / sum(counts)
        self.rate = sum(counts) / elapsed
        self.longest_wait = max(longest) / fair
        self.late_wait = max(late) / fair
        self.worst_share = elapsed / max(min(counts), 1) / fair


def _race(make: Kind, place: str, writers: int, seconds: float) -> Result:
    """Fork the writers, let them go at once, and collect (count, longest wait, 99th percentile, seconds) of each."""
    gate_read, gate_write = os.pipe()
    ready_read, ready_write = os.pipe()
    result_read, result_write = os.pipe()
    pids = []
    sys.stdout.flush()
    for number in range(writers):
        pid = os.fork()
        if pid == 0:
            os.close(gate_write)
            code = 1
            try:
                step = make(place, number)
                step()
                os.write(ready_write, b"r")
                os.close(ready_write)
                os.read(gate_read, 1)
                os.write(result_write, _write_for(step, seconds))
                code = 0
            except BaseException:  # noqa: BLE001 - a forked child ends here; the parent fails by its status
                traceback.print_exc()
            finally:
                os._exit(code)
        pids.append(pid)
    os.close(gate_read)
    os.close(ready_write)
    os.close(result_write)
    waiting = writers
    while waiting:
        said = len(os.read(ready_read, writers))
        if not said:
            raise RuntimeError("the writers failed")
        waiting -= said
    os.close(gate_write)  # the end of file lets all go at once
    failed = [pid for pid in pids if os.waitpid(pid, 0)[1]]
    results = list(struct.iter_unpack("<qddd", os.read(result_read, 32 * writers)))  # fits a pipe's buffer
    os.close(ready_read)
    os.close(result_read)
    if failed or len(results) != writers:
        raise RuntimeError(f"{len(failed)} of {writers} writers failed")
    return Result(results)


def _write_for(step: Step, seconds: float) -> bytes:
    now = time.perf_counter
    began = last = now()
    end = began + seconds
    waits: list[float] = []
    while last < end:
        step()
        moment = now()
        waits.append(moment - last)
        last = moment
    waits.sort()
    return struct.pack("<qddd", len(waits), waits[-1], waits[len(waits) * 99 // 100], last - began)


def _set_up(place: str) -> None:
    log = open_log(place, by=BY, now=clock.now)
    log.transact(lambda state: sessions.initialise(state, "0" * 32, "0", "opencode"))
    log.close()


def _append(place: str, size: int) -> Step:
    """Record an event of ``size`` bytes that the fold ignores."""
    log = open_log(place, by=BY, now=clock.now)
    data = {"key": "KUGETSU_MODEL", "old": None, "new": ""}
    short = len(encode([NewEvent("setting.changed", data)], 1000, b"0" * 32, clock.now(), BY)[0][0]) + 1
    new_event = NewEvent("setting.changed", {**data, "new": "x" * (size - short)})

    def step() -> None:
        log.append([new_event])

    return step


def _transact(place: str, number: int) -> Step:
    """Enqueue a task, then cancel it: two transactions of one event each, decided on the state under the lock."""
    log = open_log(place, by=BY, now=clock.now)
    mine: list[str] = []

    def step() -> None:
        if mine:
            task = mine.pop()
            log.transact(lambda state: queue.cancel(state, task, "cancel"))
        else:
            event = log.transact(lambda state: _enqueue(state, number))[0]
            mine.append(event["task"])

    return step


def _enqueue(state: State, number: int) -> list[NewEvent]:
    return queue.enqueue(state, kind="dev", issue=f"github.com/shoko/kugetsu#{number}", message=MESSAGE, via="enqueue")


def _line_size(place: str) -> int:
    """The mean bytes of the lines that `_transact` writes."""
    os.makedirs(place)
    _set_up(place)
    step = _transact(place, 14)
    before = _bytes_in(place)
    for _ in range(20):
        step()
    return (_bytes_in(place) - before) // 20


def _bytes_in(place: str) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(place) if entry.name.endswith(".jsonl"))


def _raw(place: str, size: int) -> Step:
    """Lock, write, fdatasync, unlock: what a careful shell script or a simple library does."""
    fd = os.open(os.path.join(place, "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    lock = os.open(os.path.join(place, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    line = b"x" * (size - 1) + b"\n"
    sync = getattr(os, "fdatasync", os.fsync)

    def step() -> None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.write(fd, line)
        sync(fd)
        fcntl.flock(lock, fcntl.LOCK_UN)

    return step


def _set_up_sqlite(place: str) -> None:
    connection = _connect(place)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY, line TEXT)")
    connection.close()


def _connect(place: str) -> sqlite3.Connection:
    connection = sqlite3.connect(os.path.join(place, "log.db"), timeout=60, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _sqlite(place: str, size: int) -> Step:
    connection = _connect(place)
    line = "x" * size

    def step() -> None:
        connection.execute("INSERT INTO event (line) VALUES (?)", (line,))

    return step
