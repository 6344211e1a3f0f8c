"""The daemon's part in the processes beside it: start one while it is needed, and restart it when it dies.

Nothing here waits, and no failure stops the daemon.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from loguru import logger

from kugetsu.domain.events import Identity
from kugetsu.domain.state import State
from kugetsu.runtime import stderr_tail
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.named_lease import NamedLease
from kugetsu.runtime.process.termination import MARK
from kugetsu.runtime.workspace import Workspace

#: Pause in seconds before it is started again; doubles up to the longest while it does not live for long.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
LONG_LIFE = 60.0
#: Seconds between two checks of one that has no descriptor to wait for.
LOOK_SECONDS = 5.0


class ChildSupervisor:
    """Keeps one process of a kind alive while it is needed (`needed`).

    ``module`` is what it runs, ``lease`` makes it the only one; ``name`` is how the daemon's log calls it, ``purpose``
    what it is for.
    """

    module = ""
    lease: NamedLease
    name = ""
    purpose = ""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None
        self._who: Identity | None = None
        self._started = 0.0
        self._pause = FIRST_PAUSE
        self._not_before = 0.0

    def needed(self, state: State) -> bool:
        """Whether there is work for it."""
        raise NotImplementedError

    def fileno(self) -> int | None:
        """A descriptor that becomes readable when it ends; None if the system has none."""
        return self._pidfd

    def step(self, state: State) -> float | None:
        """Start it when it is needed. Returns the seconds until the next look, None when `fileno` reports the end."""
        try:
            self._reap()
            if not self.needed(state):
                return None
            if self._process is not None or self.lease.alive(self._ws.paths):
                return self._watched()
            left = self._not_before - time.monotonic()
            if left > 0:
                return left
            self._start()
        except OSError as problem:
            logger.error("the {}, which {}, cannot be started: {}", self.name, self.purpose, problem)
            self._put_off()
            return self._pause
        return self._watched()

    def _start(self) -> None:
        with open(self._errors(), "wb") as errors:  # of the latest one only: it may end often
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self.module],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd="/",
                # Its own mark from the start: it outlives this daemon, and is not an agent's tool.
                env={
                    **self._ws.environment,
                    "KUGETSU_DIR": self._ws.paths.root,
                    MARK: f"{self.lease.name}-of-{os.getpid()}",
                },
                start_new_session=True,
            )
        self._started = time.monotonic()
        logger.info("started the {}, pid {}", self.name, self._process.pid)
        self._watch(identity.of(self._process.pid))

    def _watched(self) -> float | None:
        if self._process is None and self._pidfd is None:
            self._watch(self.lease.holder(self._ws.paths))  # one that an earlier daemon started
        return None if self._pidfd is not None else LOOK_SECONDS

    def _watch(self, who: Identity | None) -> None:
        self._who = who
        self._pidfd = identity.open_pidfd(who) if who is not None else None

    def _reap(self) -> None:
        """Record its end, and when it may be started again."""
        if self._process is None:
            if self._who is not None and not identity.alive(self._who):
                self._forget()
            return
        status = self._process.poll()
        if status is None:
            return
        self._process = None
        self._forget()
        if status == 0:  # there is no work for it, or another one lives
            self._pause = FIRST_PAUSE
            self._not_before = time.monotonic() + FIRST_PAUSE
            return
        if time.monotonic() - self._started >= LONG_LIFE:
            self._pause = FIRST_PAUSE / 2
        self._put_off()
        how = f"signal {-status}" if status < 0 else f"status {status}"
        last = stderr_tail.of(self._errors())
        logger.error("the {} ended with {}{}; restarting it in {:g} s", self.name, how, last, self._pause)

    def _put_off(self) -> None:
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._not_before = time.monotonic() + self._pause

    def _forget(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
        self._pidfd = self._who = None

    def _errors(self) -> str:
        return os.path.join(self._ws.paths.logs, f"{self.lease.name}.err")
