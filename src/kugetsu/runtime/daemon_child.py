"""A process beside the daemon (the notifier, the observer, the verifier): it lives for as long as a daemon does and
there is work."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from kugetsu.domain.events import Event, Identity
from kugetsu.log.files.watch import Watch
from kugetsu.model.errors import KugetsuError
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import liveness, log_lines
from kugetsu.runtime.process import identity
from kugetsu.runtime.process import lease as leases
from kugetsu.runtime.process.named_lease import NamedLease
from kugetsu.runtime.process.termination import MARK
from kugetsu.runtime.workspace import Workspace, open_workspace

#: Seconds between two looks where the system cannot report events (no inotify, no pidfd), and after an error; that
#: pause doubles up to the longest.
WATCHFUL_SECONDS = 1.0
LONGEST_PAUSE = 30.0
#: Characters of a message in a log file.
_LENGTH = 500


class Trouble:
    """Reports a trouble once, however often it is met, and once more when it is over. ``kind`` tells one from another
    where the words do not: they may name a time."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._reported = ""

    def report(self, text: str, kind: str = "") -> None:
        """It is met."""
        if (kind or text) != self._reported:
            self._say(redact(text, limit=_LENGTH))
        self._reported = kind or text

    def over(self, text: str = "recovered") -> None:
        """It is not met any more."""
        if self._reported:
            self._say(text)
        self._reported = ""


class DaemonChild:
    """Does `step` again and again until no daemon lives, no work is left or a stop is requested; then `finish`.

    It wakes when the log grows, the settings change or the daemon ends. A subclass says what it does, and where it
    `write`s what a person should know.
    """

    lease: NamedLease

    def __init__(self, ws: Workspace, held: int) -> None:
        self._ws = ws
        self._held = held
        self._trouble = Trouble(self.write)
        self._settings_trouble = Trouble(self.write)
        self._daemon: Identity | None = None
        self._daemon_lease: str | None = None
        self._stopping: str | None = None
        self._at_once = False
        self._watches = (ws.log.watch(), Watch(ws.paths.root))
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    @property
    def wanted(self) -> bool:
        """Whether it is to go on."""
        return self._stopping is None

    def step(self) -> float:
        """What there is to do now; the seconds to sleep. Raises KugetsuError, OSError: it is tried again."""
        raise NotImplementedError

    def finish(self) -> None:
        """The last that it does."""

    def write(self, text: str) -> None:
        """Write a line for a person."""
        raise NotImplementedError

    def written(self, subject: str, events: list[Event]) -> None:
        """Write a line for each event that was appended for a subject."""
        for event in events:
            self.write(f"{subject}: {event['type']} (event {event['seq']})")

    def listen(self) -> None:
        """SIGTERM ends it after the current work; signals of a terminal are ignored."""
        signal.signal(signal.SIGTERM, self._stop_on_signal)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Serve until there is no daemon or no work, or a stop was requested."""
        self.write(f"started, pid {os.getpid()}")
        pause = WATCHFUL_SECONDS
        while self._stopping is None:
            try:
                seconds = self._turn()
            except (KugetsuError, OSError) as problem:
                self._trouble.report(f"waiting: {problem}")
                self._sleep(pause, failed=True)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            self._trouble.over()
            pause = WATCHFUL_SECONDS
            if self._stopping is None:
                self._sleep(seconds)
        self.write(f"ending: {self._stopping}")
        self.finish()

    def _turn(self) -> float:
        """Check the daemon and the settings, then do what there is to do."""
        if self.lease.is_held(self._ws.paths, self._held):
            self._mind_the_daemon()
        else:  # else another one would be started beside it; KUGETSU_DIR may be gone, and with it the log
            self._stopping = "its lease was deleted"
        if self._stopping is not None:
            return 0.0
        self._reload()
        return self.step()

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
        here = liveness.daemon_here(self._ws.paths, state)
        self._daemon_lease, self._daemon = here.lease, here.identity

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


def write_line(ws: Workspace, name: str, text: str) -> None:
    """Write a line of the process ``name`` into the daemon's log; it is lost when there is no space."""
    path = os.path.join(ws.paths.logs, "daemon.log")
    with suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, f"{log_lines.stamp()} INFO {name}: {log_lines.harmless(text)}\n".encode("utf-8", "replace"))
        finally:
            os.close(fd)


def run(kind: type[DaemonChild], what: str) -> int:
    """Run one of a kind in the environment's KUGETSU_DIR unless one lives; ``what`` is its name in events and errors.

    Returns the exit status if it does not run; else the process ends here.
    """
    name = kind.lease.name
    try:
        ws = open_workspace(os.environ, name)
        leases.close_inherited(ws.paths.leases)
        held = kind.lease.take(ws.paths)
        if held is None:
            return 0
        child = kind(ws, held)
    except (KugetsuError, OSError) as problem:
        log_lines.note(f"kugetsu {what}: {problem}")
        return 1
    # What it starts must not look like an agent's tool when the daemon was started by an agent.
    os.environ[MARK] = f"{name}-{os.getpid()}"
    child.listen()
    child.serve()
    sys.stderr.flush()
    # Threads that hang are not waited for.
    os._exit(0)
