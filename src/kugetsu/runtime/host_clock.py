"""The clock that the hosts of a shared log have agreed on: the database's, as the file `leases/clock` tells this host.

The relay writes it after each beat. It tells what the database's clock showed when this machine started, on the clock
that counts from there (`host_lease.now`): so nothing changes when somebody sets this machine's clock, and while the
database is away only the drift of a quartz is added, a few seconds a day. Until a beat was heard since the machine
started there is none, and its own clock counts.
"""

from __future__ import annotations

import os

from kugetsu.host import run_files
from kugetsu.model import clock
from kugetsu.runtime import host_lease
from kugetsu.runtime.process import identity

NAME = "clock"

READ_SECONDS = 1.0
"""For how long a process goes by what it read before."""

WORST_SECONDS = 1.0
"""A beat that took longer tells the time too badly, to half of that: what is known stays."""


def path(leases: str) -> str:
    """The file."""
    return os.path.join(leases, NAME)


def renew(leases: str, before: float, after: float, there: int) -> None:
    """Note that the database's clock showed ``there``, in microseconds since 1970, at some time between ``before`` and
    ``after`` (of `host_lease.now`). Raises OSError."""
    if after - before > WORST_SECONDS and read(path(leases)) is not None:
        return
    at_start = there - round((before + after) / 2 * 1e6)
    run_files.replace(path(leases), f"{identity.boot_id()} {at_start}\n".encode())


def read(file: str) -> int | None:
    """What the agreed clock showed when this machine started, in microseconds; None if the file tells nothing of that
    start."""
    try:  # start-up: contextlib would be 8 % of `kugetsu status` here (14 of 162 million instructions)
        boot, at_start = run_files.read(file, 200).split()
        return int(at_start) if boot.decode() == identity.boot_id() else None
    except (OSError, ValueError):
        return None


def follow(leases: str) -> None:
    """Let this process go by the agreed clock of the host whose leases these are."""
    clock.follow(_Agreed(path(leases)))


class _Agreed:
    def __init__(self, file: str) -> None:
        self._file = file
        self._at_start: int | None = None
        self._read_at: float | None = None

    def __call__(self) -> int | None:
        now = host_lease.now()
        if self._read_at is None or now - self._read_at >= READ_SECONDS:
            self._at_start, self._read_at = read(self._file), now
        return None if self._at_start is None else self._at_start + round(now * 1e6)
