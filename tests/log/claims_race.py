"""Processes of several hosts that race for a few slots: each starts on an issue of its own, through the real domain."""

from __future__ import annotations

import fcntl
import os
import select
import traceback
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kugetsu.domain.decide import attempts, claims, hosts, queue, sessions
from kugetsu.domain.facts import Ending
from kugetsu.domain.hosts import GLOBAL_CAP
from kugetsu.domain.state import State
from kugetsu.log import DomainProjection
from kugetsu.log.shared.engine import SharedLog
from kugetsu.model.errors import CapReached, Conflict
from log.shared import open_shared
from property.simulation import PROCESS, World

SLOTS = 3
_ANSWER_BYTES = 64


def prepare(places: Sequence[Path], url: str) -> None:
    """Let each of the places join as a host; all hosts together may run three agents, any of them all three."""
    for number, place in enumerate(places):
        log = _open(place, url)
        if number == 0:
            log.transact(lambda state: sessions.initialise(state, "log-1", "0", "command"))
            log.transact(lambda state: hosts.share_setting(state, GLOBAL_CAP, str(SLOTS)))
        log.transact(partial(hosts.join, host=_host(number), term=1, name=place.parent.name, labels=[], cap=SLOTS))
        log.close()


def rounds(
    places: Sequence[Path], url: str, processes: int, count: int, *, direct: bool = True
) -> Iterator[dict[str, str]]:
    """Run so many rounds; for each, the attempts that got a slot, and their hosts.

    In every second round the processes decide on the state of the round before. ``direct``: none of them may find a
    relay, else each must.

    Raises AssertionError when a process failed, or one neither got a slot nor was told that all are taken.
    """
    gate = _Gate(places[0].parent / "gate")
    ready, tell_ready = os.pipe()
    answers, tell = os.pipe()
    pids = []
    for number in range(processes):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(answers)
                _race(places, url, number, count, gate, (tell_ready, tell), direct)
                status = 0
            except BaseException:  # noqa: BLE001 - told by its text here, and by its status to the parent
                traceback.print_exc()
            finally:
                os._exit(status)
        pids.append(pid)
    os.close(tell_ready)
    os.close(tell)
    log = _open(places[0], url)
    try:
        for turn in range(count):
            _hear(ready, processes)
            gate.open(turn)
            told = _hear(answers, processes)
            assert sorted(set(told)) == ["full", "won"], told
            log.pull()
            won = {attempt.id: log.state().hosts[attempt.host].name for attempt in log.state().attempts.values()}
            assert len(won) == told.count("won"), (won, told)
            yield won
            for attempt in won:
                ending = Ending("lose", "cancelled", "the round is over")
                log.transact(partial(attempts.finish, attempt_id=attempt, ending=ending, facts=World().outcome_facts()))
    finally:
        os.close(ready)
        os.close(answers)
        log.close()
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * processes


class _Gate:
    """Locked files, one a round, which the parent unlocks: all who wait begin at once."""

    def __init__(self, stem: Path) -> None:
        self._stem = stem
        self._closed = {0: self._close(0)}

    def _close(self, turn: int) -> int:
        fd = os.open(f"{self._stem}-{turn}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        return fd

    def open(self, turn: int) -> None:
        """Let all go who wait at this turn's; the next one is closed before."""
        self._closed[turn + 1] = self._close(turn + 1)
        fcntl.flock(self._closed[turn], fcntl.LOCK_UN)
        os.close(self._closed.pop(turn))

    def wait(self, turn: int) -> None:
        """In a child: return when it is open."""
        for fd in self._closed.values():  # the parent's, which a child would keep locked
            os.close(fd)
        self._closed.clear()
        fd = os.open(f"{self._stem}-{turn}", os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_SH)
        os.close(fd)


def _hear(answers: int, count: int) -> list[str]:
    told: list[str] = []
    while len(told) < count:
        ready, _, _ = select.select([answers], [], [], 120)
        assert ready, f"only {len(told)} of {count} answer"
        part = os.read(answers, 65536)
        assert part, "the processes have ended"
        told += [part[at : at + _ANSWER_BYTES].decode().strip() for at in range(0, len(part), _ANSWER_BYTES)]
    return told


def _race(
    places: Sequence[Path], url: str, number: int, count: int, gate: _Gate, tell: tuple[int, int], direct: bool
) -> None:
    at = number % len(places)
    log = _open(places[at], url)

    def answer(text: str) -> None:
        os.write(tell[text != "ready"], text.ljust(_ANSWER_BYTES).encode())

    log.pull()
    for turn in range(count):
        if turn % 2:
            log.pull()
        log.state()
        answer("ready")
        gate.wait(turn)
        try:
            log.transact(partial(_start, host=_host(at), issue=f"example.org/o/r#{turn * 1000 + number + 1}"))
        except (CapReached, Conflict):
            answer("full")
        else:
            answer("won")
    assert log.went_directly == direct
    log.close()


def _start(state: State, host: str, issue: str) -> list[Any]:
    world = World()
    world.warmup = 0.0
    facts: Any = {**world.claim_facts(), "cap": SLOTS, "host": host, "term": 1}
    task = queue.enqueue(state, kind="dev", issue=issue, message="go", via="start")[0]
    return claims.start(state, task, claims.ClaimRequest(issue, {**PROCESS, "host": host}), facts)


def _host(number: int) -> str:
    return f"{number + 1}" * 32


def _open(place: Path, url: str) -> SharedLog:
    return open_shared(place, url, projection=DomainProjection())
