"""Until when this host's agents may work without a word from the shared log's database: the file `leases/host`.

The relay writes it after each beat, from a time *before* the beat: a host that is paused, or cut off, stops its agents
by its own clock before another host may give their tasks away. The clock is the one that a sleeping machine's time
counts on (CLOCK_BOOTTIME). Small: the lean supervisor loads it.
"""

from __future__ import annotations

import os
import time

from kugetsu.host import run_files

NAME = "host"

MARGIN_SECONDS = 30.0
"""Agents are stopped so long before others may give their tasks away: for a supervisor that looks late, and for the
processes that end after SIGKILL only. Of a short time to live a quarter."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds since the machine started, with those for which it slept."""
    return time.clock_gettime(_CLOCK)


def path(leases: str) -> str:
    """The file."""
    return os.path.join(leases, NAME)


def renew(leases: str, before: float, ttl: float) -> None:
    """Note that the database heard of this host not before ``before`` (of `now`), and gives it ``ttl`` seconds. Raises
    OSError."""
    stop_by = before + ttl - min(MARGIN_SECONDS, ttl / 4)
    run_files.replace(path(leases), f"{stop_by:.3f}\n".encode())


def forget(leases: str, limit: float | None = None) -> None:
    """Nothing limits the host any more: it has nothing that others could take over. With a ``limit`` only if that is
    what the file tells: a daemon that starts meanwhile has renewed it."""
    if limit is not None and stop_by(path(leases)) != limit:
        return
    try:
        os.unlink(path(leases))
    except FileNotFoundError:
        return


def seconds_left(file: str, grace: float) -> float:
    """Until work has to be ended, which may take ``grace`` seconds; infinite where nothing is known of a limit."""
    limit = stop_by(file)
    return float("inf") if limit is None else limit - grace - now()


def stop_by(file: str) -> float | None:
    """When agents have to have ended, on the clock of `now`; None if the file tells nothing: then nothing is known of a
    limit."""
    try:
        return float(run_files.read(file, 100))
    except (OSError, ValueError):
        return None
