"""The notifier: a process that delivers notifications for as long as a daemon lives.

A sink that hangs or crashes cannot slow down the daemon or a task. One notifier lives per directory
(`named_lease.NOTIFIER`); the daemon starts and restarts it. Run as
``python -m kugetsu.runtime.notifications.notifier``; its log file is ``logs/courier.log``.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from kugetsu.domain.decide import notifications as decide
from kugetsu.domain.decide import reports
from kugetsu.domain.state import State
from kugetsu.model import clock
from kugetsu.runtime import daemon_child, host_id, log_lines
from kugetsu.runtime.daemon_child import WATCHFUL_SECONDS, DaemonChild
from kugetsu.runtime.notifications import daily_report
from kugetsu.runtime.notifications.channel import Worker, join_all
from kugetsu.runtime.process.named_lease import NOTIFIER
from kugetsu.runtime.workspace import Workspace

#: The longest sleep in seconds; events wake it at once where the system can report them.
LONGEST_SLEEP = 60.0
#: Seconds for the delivery at hand at the end: a command may take 30, and a little to be ended.
FINISH_SECONDS = 40.0
#: Bytes from which the log file is moved to `courier.log.1`.
LOG_BYTES = 1_000_000


class Notifier(DaemonChild):
    """Runs a worker for each configured sink until no daemon lives or no sink is left; then delivers what has happened,
    within `FINISH_SECONDS`."""

    lease = NOTIFIER

    def __init__(self, ws: Workspace, held: int) -> None:
        self._log_path = os.path.join(ws.paths.make(ws.paths.logs), "courier.log")
        self._workers: dict[str, Worker] = {}
        self._ending: list[Worker] = []
        super().__init__(ws, held)

    def finish(self) -> None:
        """Finish the current deliveries."""
        for worker in self._workers.values():
            worker.stop(at_once=self._at_once)
        for worker in join_all([*self._workers.values(), *self._ending], FINISH_SECONDS):
            self.write(f"{worker.name}: its delivery did not end within {FINISH_SECONDS:g} s and was abandoned")

    def write(self, text: str) -> None:
        """Write a line to the log file; it is lost when there is no space."""
        with suppress(OSError):
            with suppress(FileNotFoundError):
                if os.stat(self._log_path).st_size > LOG_BYTES:
                    os.replace(self._log_path, self._log_path + ".1")
            fd = os.open(self._log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, f"{log_lines.stamp()} {log_lines.harmless(text)}\n".encode("utf-8", "replace"))
            finally:
                os.close(fd)

    def step(self) -> float:
        """Check the sinks, and wake the workers."""
        state = self._ws.state()
        host = host_id.sharing(self._ws, state)
        wanted = [decide.outbox_of(name, host) for name in self._ws.config.text("NOTIFY_SINKS").split()]
        served = [name for name, box in state.outbox.items() if decide.is_of(box, host)]
        self._ending = [worker for worker in self._ending if not worker.join(0)]
        for name in wanted:  # before the others go: one that becomes this host's own goes on where that was
            self._enable(name, state, host)
        self._disable([name for name in (*served, *self._workers) if name not in wanted], host)
        if not wanted:
            self._stopping = "no sink is set"
            return 0.0
        seconds = self._report()
        for worker in self._workers.values():
            worker.wake(self._ws.config)
        return WATCHFUL_SECONDS if self._ending else min(seconds, LONGEST_SLEEP)

    def _report(self) -> float:
        """Record that the daily report is due, once a day; the sinks deliver it. Returns the seconds until the next."""
        at, now = self._ws.config.text("NOTIFY_REPORT_AT"), clock.now()
        day = daily_report.day_due(now, at)
        if day is not None:
            self._ws.log.transact(lambda state: reports.due(state, day))
        return daily_report.seconds_until(now, at)

    def _disable(self, names: list[str], host: str | None) -> None:
        for name in dict.fromkeys(names):
            worker = self._workers.pop(name, None)
            if worker is not None:
                worker.stop(at_once=True)
                self._ending.append(worker)
            self._ws.log.transact(lambda state, name=name: decide.disable(state, name, host))  # type: ignore[misc]
            self.write(f"{name}: notifications disabled")

    def _enable(self, name: str, state: State, host: str | None) -> None:
        if name not in state.outbox or not decide.is_of(state.outbox[name], host):
            self._ws.log.transact(lambda now: decide.enable(now, name, host))
            self.write(f"{name}: notifications enabled")
        if name not in self._workers and all(worker.name != name for worker in self._ending):
            self._workers[name] = Worker(name, self._ws, self.write)
            self._workers[name].start()


def main() -> int:
    """Run the notifier of the environment's KUGETSU_DIR unless one lives. Returns the exit status."""
    return daemon_child.run(Notifier, "notifier")


if __name__ == "__main__":
    sys.exit(main())
