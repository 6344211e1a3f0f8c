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


def stop_by(file: str) -> float | None:
    """When agents have to have ended, on the clock of `now`; None if the file is not there or tells nothing: then
    nothing is known of a limit. Raises OSError if it cannot be read: then there may be one."""
    try:
        return float(run_files.read(file, 100))
    except (FileNotFoundError, run_files.NotRegularFileError, ValueError):
        return None


class Limit:
    """The limit of work that goes on, read anew at each question. While its file cannot be read (no descriptors are
    left), what it told before holds."""

    def __init__(self, file: str, grace: float) -> None:
        self._file = file
        self._grace = grace
        self._known: float | None = None

    def seconds_left(self) -> float:
        """Until the work has to be ended, which may take ``grace`` seconds; infinite where nothing is known of a
        limit."""
        self._known = self._told()
        return float("inf") if self._known is None else self._known - self._grace - now()

    def _told(self) -> float | None:
        try:
            return stop_by(self._file)
        except OSError:
            return self._known
