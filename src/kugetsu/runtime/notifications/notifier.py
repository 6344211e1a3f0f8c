"""The notifier: a process that delivers notifications for as long as a daemon lives.

A sink that hangs or crashes cannot slow down the daemon or a task. One notifier lives per directory (`notifier_lock`);
the daemon starts and restarts it. Run as ``python -m kugetsu.runtime.notifications.notifier``; its log file is
``logs/courier.log``.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress

from kugetsu.domain.decide import notifications as decide
from kugetsu.domain.events import Identity
from kugetsu.domain.state import State
from kugetsu.log.files.watch import Watch
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime import liveness
from kugetsu.runtime.notifications import notifier_lock
from kugetsu.runtime.notifications.channel import Trouble, Worker, join_all
from kugetsu.runtime.process import identity
from kugetsu.runtime.process import lease as leases
from kugetsu.runtime.process.termination import MARK
from kugetsu.runtime.workspace import Workspace, open_workspace

#: The longest sleep in seconds; events wake it at once where the system can report them.
LONGEST_SLEEP = 60.0
#: The same where it cannot (no inotify, no pidfd), and after an error; that one doubles up to the longest pause.
WATCHFUL_SECONDS = 1.0
LONGEST_PAUSE = 30.0
#: Seconds for the delivery at hand at the end: a command may take 30, and a little to be ended.
FINISH_SECONDS = 40.0
#: Bytes from which the log file is moved to `courier.log.1`.
LOG_BYTES = 1_000_000


class Notifier:
    """Runs a worker for each configured sink until no daemon lives or no sink is left; then delivers what has happened,
    within `FINISH_SECONDS`."""

    def __init__(self, ws: Workspace, lease: int) -> None:
        self._ws = ws
        self._lease = lease
        self._log_path = os.path.join(ws.paths.make(ws.paths.logs), "courier.log")
        self._workers: dict[str, Worker] = {}
        self._ending: list[Worker] = []
        self._trouble = Trouble(self.write)
        self._settings_trouble = Trouble(self.write)
        self._daemon: Identity | None = None
        self._daemon_lease: str | None = None
        self._stopping: str | None = None
        self._at_once = False
        self._watches = (ws.log.watch(), Watch(ws.paths.root))
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def listen(self) -> None:
        """SIGTERM ends it after the current delivery; signals of a terminal are ignored."""
        signal.signal(signal.SIGTERM, self._stop_on_signal)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Serve until there is no daemon or sink, or a stop was requested; then finish current deliveries."""
        self.write(f"started, pid {os.getpid()}")
        pause = WATCHFUL_SECONDS
        while self._stopping is None:
            try:
                self._step()
            except (KugetsuError, OSError) as problem:
                self._trouble.report(f"waiting: {problem}")
                self._sleep(pause, failed=True)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            self._trouble.over()
            pause = WATCHFUL_SECONDS
            if self._stopping is None:
                self._sleep(WATCHFUL_SECONDS if self._ending else LONGEST_SLEEP)
        self.write(f"ending: {self._stopping}")
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
                os.write(fd, f"{clock.now()} {' '.join(text.split())}\n".encode("utf-8", "replace"))
            finally:
                os.close(fd)

    def _step(self) -> None:
        """Check the daemon, the settings and the sinks, and wake the workers."""
        self._mind_the_daemon()
        if not notifier_lock.is_held(self._ws.paths, self._lease):
            self._stopping = "its lease was deleted"  # else another one would be started beside it
        if self._stopping is not None:
            return
        self._reload()
        wanted = self._ws.config.text("NOTIFY_SINKS").split()
        state = self._ws.state()
        self._disable([name for name in (*state.outbox, *self._workers) if name not in wanted])
        if not wanted:
            self._stopping = "no sink is set"
            return
        self._ending = [worker for worker in self._ending if not worker.join(0)]
        for name in wanted:
            self._enable(name, state)
        for worker in self._workers.values():
            worker.wake(self._ws.config)

    def _mind_the_daemon(self) -> None:
        """Stop when no daemon lives; another one may have taken over."""
        known = self._daemon_lease
        if known is not None and leases.alive(self._ws.paths.leases, known):
            return
        try:
            state = self._ws.state()
        except KugetsuError:
            if known is None:
                raise
            self._stopping = "the daemon has ended, and the log cannot be read"
            return
        if not liveness.daemon(self._ws.paths, state):
            self._stopping = "no daemon lives"
        self._daemon_lease, self._daemon = state.daemon.lease, state.daemon.identity

    def _disable(self, names: list[str]) -> None:
        for name in dict.fromkeys(names):
            worker = self._workers.pop(name, None)
            if worker is not None:
                worker.stop(at_once=True)
                self._ending.append(worker)
            self._ws.log.transact(lambda state, name=name: decide.disable(state, name))  # type: ignore[misc]
            self.write(f"{name}: notifications disabled")

    def _enable(self, name: str, state: State) -> None:
        if name not in state.outbox:
            self._ws.log.transact(lambda now: decide.enable(now, name))
            self.write(f"{name}: notifications enabled")
        if name not in self._workers and all(worker.name != name for worker in self._ending):
            self._workers[name] = Worker(name, self._ws, self.write)
            self._workers[name].start()

    def _reload(self) -> None:
        """Read the settings; until they can be read, the last good ones apply."""
        try:
            self._ws.reload_settled()
        except (KugetsuError, OSError) as problem:
            self._settings_trouble.report(f"the settings cannot be read, the last good ones apply: {problem}")
        else:
            self._settings_trouble.over("the settings can be read again")

    def _sleep(self, seconds: float, *, failed: bool = False) -> None:
        """Sleep until something happens. After an error only signals and the daemon's end wake: a failed append moves
        the log's file too."""
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        pidfd = identity.open_pidfd(self._daemon) if self._daemon is not None else None
        for fd in (pidfd, *(watch.fileno() for watch in self._watches if not failed)):
            if fd is None:
                seconds = min(seconds, WATCHFUL_SECONDS)
            else:
                poll.register(fd, select.POLLIN)
        try:
            poll.poll(max(seconds, 0.0) * 1000)
        finally:
            if pidfd is not None:
                os.close(pidfd)
        for watch in self._watches:
            watch.drain()
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _stop_on_signal(self, number: int, _frame: object) -> None:
        self._stopping, self._at_once = signal.Signals(number).name, True


def main() -> int:
    """Run the notifier of the environment's KUGETSU_DIR unless one lives. Returns the exit status."""
    try:
        ws = open_workspace(os.environ, "courier")
        leases.close_inherited(ws.paths.leases)
        lease = notifier_lock.take(ws.paths)
        if lease is None:
            return 0
        notifier = Notifier(ws, lease)
    except (KugetsuError, OSError) as problem:
        print(f"kugetsu notifier: {problem}", file=sys.stderr)
        return 1
    # What it starts must not look like an agent's tool when the daemon was started by an agent.
    os.environ[MARK] = f"{notifier_lock.NAME}-{os.getpid()}"
    notifier.listen()
    notifier.serve()
    sys.stderr.flush()
    # Threads that hang are not waited for: their deliveries are in the log as begun.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
