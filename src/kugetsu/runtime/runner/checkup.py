"""The checkup of a run: a program that is asked, while the agent's output does not grow, whether to stop the agent.

Kept free of imports: the lean supervisor loads it.
"""

from __future__ import annotations

import os
import time

from kugetsu.host import run_files
from kugetsu.model import lean
from kugetsu.runtime.runner.orders import HELD_SIGNALS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kugetsu.runtime.runner.orders import Orders

#: A checkup's exit status → the reason to stop the agent; with any other one it goes on.
REASONS = {10: "limit", 11: "stall"}


class Checkup:
    """Runs the checkup while the agent's output does not grow: one at a time, never waited for. ``report`` writes a
    line for whoever looks for what went wrong."""

    def __init__(self, orders: Orders, report: Callable[[str], None]) -> None:
        self._orders, self._report = orders, report
        self._size = _size(orders.output)
        self._grew_at = self._started_at = time.monotonic()
        self.pid: int | None = None

    def step(self, now: float) -> None:
        """Start a checkup when it is due; kill one that takes too long."""
        every = self._orders.checkup_every
        if every is None or not self._orders.checkup:
            return
        size = _size(self._orders.output)
        if size != self._size:
            self._size, self._grew_at = size, now
        if self.pid is not None:
            if now - self._started_at > self._orders.checkup_limit:
                self._report("killed a checkup that took too long")
                self.kill()
        elif now - max(self._grew_at, self._started_at) >= every:
            self._started_at = now
            self._start(now - self._grew_at)

    def ended(self, status: int) -> str | None:
        """A checkup was reaped: the reason to stop the agent, or None."""
        self.pid = None
        return REASONS.get(os.waitstatus_to_exitcode(status))

    def kill(self) -> None:
        """SIGKILL its group. Its unreaped pid cannot be another process's."""
        if self.pid is None:
            return
        try:
            os.killpg(self.pid, lean.signal.SIGKILL)
        except ProcessLookupError:
            return  # it has ended, and is about to be reaped

    def _start(self, quiet: float) -> None:
        orders = self._orders
        try:
            output = self._open_output()
        except OSError as problem:
            self._report(f"cannot start a checkup: {problem}")
            return
        actions: list[tuple[object, ...]] = [(os.POSIX_SPAWN_DUP2, output, 1)]
        if orders.lease_fd is not None:
            actions.append((os.POSIX_SPAWN_CLOSE, orders.lease_fd))
        try:
            self.pid = os.posix_spawn(
                orders.checkup[0],
                orders.checkup,
                {**os.environ, "KUGETSU_QUIET_SECONDS": str(int(quiet))},
                file_actions=actions,
                setpgroup=0,
                setsigmask=(),
                setsigdef=HELD_SIGNALS,
            )
        except OSError as problem:  # the agent continues: its deadline applies without checkups too
            self._report(f"cannot start a checkup: {problem}")
        finally:
            os.close(output)

    def _open_output(self) -> int:
        """The file for a checkup's output. Not opened by the spawned process, which this one waits for until it
        executes: a FIFO in its place would block both."""
        path = self._orders.checkup_output
        if path != os.devnull:
            try:
                run_files.replace(path, b"")
                return run_files.open_file(path, os.O_WRONLY)
            except OSError as problem:  # its exit status counts; only its words are lost
                self._report(f"cannot write {path}: {problem}")
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def _size(path: str) -> int:
    """The file's size in bytes; -1 if it is missing."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
