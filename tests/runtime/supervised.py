"""A real attempt in a directory of its own: claimer, runner, agent (a shell script), phase C (notes what it got)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from kugetsu.runtime.process import identity, lease, termination
from kugetsu.runtime.runner import spawn
from kugetsu.runtime.runner.orders import Orders

PATIENCE = 180.0
"""Seconds until something that must happen counts as not happening."""


def eventually(what: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Whether ``what`` gets true within ``seconds``."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        if what():
            return True
        time.sleep(0.01)
    return bool(what())


def ended(pid: int) -> bool:
    """Whether no process has that pid, or only a zombie."""
    found = identity.stat(pid)
    return found is None or found.dead


class Attempt:
    """One attempt: its files in ``folder``, its lease, and the pid of its runner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.leases = str(folder / "leases")
        self.run = folder / "run"
        self.run.mkdir()
        self.lease = lease.Lease.create(self.leases)
        self.nonce = self.lease.nonce
        self.runner = 0
        self._status: int | None = None

    def start(
        self, script: str, *, then: list[str] | None = None, before_exec: Callable[[], object] = int, **orders: object
    ) -> None:
        """Fork a runner with ``sh -c script`` as its agent; it becomes the supervisor. ``$RUN``: the run's folder."""
        settings: dict[str, object] = {
            "stop_file": str(self.run / "stop"),
            "ended_file": str(self.run / "ended"),
            "output": str(self.run / "output"),
            "grace": 0.3,
            "then_patience": 0.0,
            **orders,
        }
        self.runner = os.fork()
        if self.runner == 0:
            try:
                spawn.detach(self.leases, self.lease, str(self.run / "runner.log"))
                agent = spawn.spawn_agent(
                    ["sh", "-c", script],
                    environment={**os.environ, "RUN": str(self.run)},
                    directory=str(self.run),
                    files=(os.devnull, str(self.run / "output"), str(self.run / "stderr")),
                    lease=self.lease,
                )
                (self.run / "agent").write_text(str(agent))
                before_exec()
                spawn.become_supervisor(
                    Orders(agent=agent, nonce=self.nonce, then=self.phase_c() if then is None else then, **settings),  # type: ignore[arg-type]
                    self.lease,
                )
            finally:
                os._exit(99)
        self.lease.close()

    def phase_c(self) -> list[str]:
        """A phase C that writes its arguments to the file ``then``."""
        return ["/bin/sh", "-c", f'printf "%s\\n" "$@" > "{self.run}/then"', "phase-c"]

    def in_phase_b(self) -> bool:
        """Whether the runner has become the supervisor."""
        return b"supervisor.py" in Path(f"/proc/{self.runner}/cmdline").read_bytes()

    def wait(self) -> spawn.Ended:
        """How the agent ended, as phase C was told."""
        assert self.runner_status() == 0, (self.run / "runner.log").read_text()
        return spawn.parse_ended((self.run / "then").read_text().splitlines())

    def runner_status(self) -> int:
        """The runner's exit status, once it has ended."""
        assert eventually(self._reap), "the runner does not end"
        assert self._status is not None
        return os.waitstatus_to_exitcode(self._status)

    def _reap(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.runner, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is not None

    def pid(self, name: str) -> int:
        """The pid that a part of the script wrote to the file ``name``."""
        file = self.run / name
        assert eventually(lambda: file.exists() and file.read_text().strip()), f"{name} did not start"
        return int(file.read_text())

    def holds(self) -> bool:
        """Whether the lease is alive."""
        return lease.alive(self.leases, self.nonce)

    def clean_up(self) -> None:
        """Leave nothing behind, whatever the test did."""
        termination.end(self.nonce, 0.0)
        if self.runner and self._status is None:
            found = identity.of(self.runner)
            if found is not None:
                identity.signal(found, signal.SIGKILL)
            eventually(self._reap)
