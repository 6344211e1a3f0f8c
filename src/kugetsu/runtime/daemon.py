"""The daemon: the process that dispatches. It wakes on log growth, due times, a runner's death and signals.

It owns no agent: restarted, it reads the log and finds its runners alive. Run as ``python -m kugetsu.runtime.daemon``;
the first line of its stdout is ``ready PID``, or why it does not start. `run` is the same in the foreground.
"""

from __future__ import annotations

import os
import pkgutil
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module

import loguru
from loguru import logger

from kugetsu.domain.decide import daemon as decide
from kugetsu.domain.events import Identity
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Attempt, State
from kugetsu.domain.waiting_groups import WaitingGroups
from kugetsu.log.files.segments import SEGMENT_BYTES, is_shared
from kugetsu.log.files.watch import Watch
from kugetsu.model import clock
from kugetsu.model.errors import Conflict, KugetsuError, LogDamaged, LogUnreachable, LogWriteFailed, reason_of
from kugetsu.runtime import (
    disk,
    dispatcher,
    host_id,
    liveness,
    log_lines,
    membership,
    reconcile,
    stop_attempt,
)
from kugetsu.runtime.log_relay_supervisor import RelaySupervisor
from kugetsu.runtime.notifications.notifier_supervisor import NotifierSupervisor
from kugetsu.runtime.process import identity
from kugetsu.runtime.process import lease as leases
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.process.termination import MARK
from kugetsu.runtime.rejoin import Rejoin
from kugetsu.runtime.reviews.observer_supervisor import ObserverSupervisor
from kugetsu.runtime.verification.verifier_supervisor import VerifierSupervisor
from kugetsu.runtime.workspace import Workspace, open_workspace

#: What asks the daemon to stop.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: Sleep in seconds while a claimed attempt has no runner in the log yet, and where no pidfd signals a runner's death.
WATCHFUL_SECONDS = 1.0
#: Sleep after an error, in seconds: one bad moment (a full disk) must not become a busy loop.
ERROR_PAUSE_SECONDS = 5.0
#: About so many seconds are spent on recording a stop when the shared log's database is away.
STOP_SECONDS = 2.0


class _RetakenError(Exception):
    """Another daemon started between the probe and the append."""


def take_over(ws: Workspace) -> Lease:
    """Become the daemon: append `daemon.started`. Raises Conflict if one lives."""
    membership.ask_the_time(ws)
    me: Identity = {**identity.own(), "host": host_id.own(ws)}
    _require_part(ws, ws.state())
    membership.wake(ws)
    lease = Lease.create(ws.paths.leases)
    while True:
        known = ws.state()
        liveness.require_original(ws.paths, known)
        named = known.daemon_of(me["host"]).lease
        ended = liveness.daemon_stopped(ws.paths, known)
        lives = liveness.daemon(ws.paths, known)

        def start(
            state: State, named: str | None = named, lives: bool = lives, ended: str | None = ended
        ) -> list[NewEvent]:
            _require_part(ws, state)  # without a daemon the mirror may have been behind
            daemon = state.daemon_of(me["host"])
            if daemon.lease != named:
                raise _RetakenError
            if lives and daemon.state != "stopped":
                pid = daemon.identity["pid"] if daemon.identity is not None else "unknown"
                raise Conflict(f"a daemon is already running (pid {pid})", hint="kugetsu queue-daemon status")
            return decide.started(state, me, lease.nonce, ended)

        try:
            ws.log.transact(start)
        except _RetakenError:
            continue
        except BaseException:
            lease.release()
            raise
        if named is not None:
            leases.forget(ws.paths.leases, named)
        return lease


def _require_part(ws: Workspace, state: State) -> None:
    if membership.has_left(ws, state):
        raise Conflict("this host has left the shared log", hint="to take part in it again: kugetsu host join")


class Daemon:
    """The loop and what it waits for."""

    def __init__(self, ws: Workspace, lease: Lease) -> None:
        self.ws = ws
        self.lease = lease
        self.host = host_id.own(ws)
        self.stopping: str | None = None
        self.unrecorded: str | None = None
        self.pidfds: dict[str, int] = {}
        self.watch = ws.log.watch()
        self.settings_watch = Watch(ws.paths.root)
        self.secrets_watch = Watch(ws.paths.env, rights=True)
        self.complaint: str | None = None
        self.rejoin = Rejoin(ws)
        self.waiting = WaitingGroups()
        self.children = (RelaySupervisor(ws), NotifierSupervisor(ws), ObserverSupervisor(ws), VerifierSupervisor(ws))
        self.wake_read, self.wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def listen(self) -> None:
        """SIGTERM and SIGINT request a stop; SIGHUP wakes it to read the settings."""
        for number in STOP_SIGNALS:
            signal.signal(number, self.stop_on_signal)
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)

    def stop_on_signal(self, number: int, _frame: object) -> None:
        """Signal handler: stop at the end of this turn."""
        self.stopping = signal.Signals(number).name

    def serve(self) -> None:
        """Dispatch until stopped or drained."""
        while self.stopping is None:
            failed = True
            try:
                pause = self._turn()
                failed = False
            except KugetsuError as problem:
                logger.error("{} (hint: {})", problem, problem.hint)
                pause = ERROR_PAUSE_SECONDS
            except Exception as problem:  # noqa: BLE001  keep dispatching: log the error and retry
                trace = "".join(traceback.format_exception(problem))
                logger.error("the dispatcher failed, retrying\n{}", trace)
                pause = ERROR_PAUSE_SECONDS
            if pause is None:
                self.stopping = "drained"
            elif self.stopping is None:
                self._sleep(pause, failed=failed)
        reason = self.stopping
        mine = self.lease.nonce

        def stopped(state: State) -> list[NewEvent]:
            return decide.stopped(state, reason, self.host) if state.daemon_of(self.host).lease == mine else []

        self.ws.log.within = STOP_SECONDS
        try:
            self.ws.log.transact(stopped)
        except LogUnreachable as problem:
            self.unrecorded = reason
            logger.warning("stopped: {}; the next start records that, since {}", reason, problem)
        else:
            logger.info("stopped: {}", reason)
            if is_shared(self.ws.paths.log):
                membership.rest(self.ws)

    def end(self) -> None:
        """Give the lease and the log back."""
        if self.unrecorded is None:
            self.lease.release()
        else:
            with suppress(OSError):  # on a full disk the next start calls it lost
                self.lease.leave_note(self.unrecorded)
        self.ws.close()

    def _turn(self) -> float | None:
        """One pass over everything: the seconds to sleep, None when a drain is complete."""
        self._reload()
        self._keep_lease()
        waits = self._take_part()
        if self.stopping is not None:
            return 0.0
        trouble = self._reconcile() or waits
        started, next_look = dispatcher.dispatch(self.ws, waiting=self.waiting) if not waits else ([], None)
        for attempt in started:
            logger.info("started {}", attempt)
        state = self.ws.state()
        here = state.daemon_of(self.host)
        if here.lease != self.lease.nonce:
            raise SystemExit("another daemon took over")
        for attempt_id in stop_attempt.pass_on(self.ws, state):
            logger.info("told {} to stop", attempt_id)
        if here.state == "draining" and not self._own_attempts(state):
            return None
        watched = self._watch_runners(state)
        pause = self.ws.config.number("QUEUE_DAEMON_INTERVAL_MINUTES") * 60
        if trouble:
            pause = min(pause, ERROR_PAUSE_SECONDS)
        if not watched:
            pause = min(pause, WATCHFUL_SECONDS)
        for child in self.children:
            child_pause = child.step(state)
            if child_pause is not None:
                pause = min(pause, child_pause)
        if next_look is not None:
            pause = min(pause, max(clock.seconds_between(clock.now(), next_look), 0.0) + 0.001)
        return pause

    def _keep_lease(self) -> None:
        """Replace a lease whose file was deleted: others would think that no daemon lives.

        Ends the daemon if the whole directory is gone or another one now: nobody could find it to stop it.
        """
        if leases.alive(self.ws.paths.leases, self.lease.nonce):
            return
        mine = self.lease.nonce
        try:
            self.ws.state()
            lease = Lease.create(self.ws.paths.leases)
            try:
                self.ws.log.transact(lambda state: decide.lease_replaced(state, mine, lease.nonce, self.host))
            except BaseException:
                lease.release()
                raise
        except LogDamaged as problem:
            raise SystemExit(f"{self.ws.paths.root} was deleted") from problem
        except Conflict as problem:
            raise SystemExit("another daemon has taken over") from problem
        logger.error("the daemon's lease was deleted, and replaced")
        self.lease.close()
        self.lease = lease
        os.environ[MARK] = lease.nonce

    def _take_part(self) -> bool:
        """Take part in a shared log (`Rejoin`); True if this host cannot yet."""
        if not is_shared(self.ws.paths.log):
            return False
        if membership.has_left(self.ws, self.ws.state()):
            self.stopping = "this host has left the shared log"
            return False
        return self.rejoin.step(self.lease.nonce)

    def _reload(self) -> None:
        """Read the settings; while they are unreadable, the last good ones apply, and the log file says why."""
        try:
            self.ws.reload_settled()
        except (KugetsuError, OSError) as problem:
            if str(problem) != self.complaint:
                logger.error("the settings cannot be read, the last good ones apply: {}", problem)
            self.complaint = str(problem)
            return
        if self.complaint is not None:
            logger.info("the settings can be read again")
        self.complaint = None

    def _reconcile(self) -> bool:
        """Settle what died; True if something could not be settled, which must not stop other tasks."""
        try:
            for settled in reconcile.reconcile(self.ws):
                logger.warning("{} was found dead and settled; its slot is free", settled)
        except LogWriteFailed:
            raise
        except KugetsuError as problem:
            logger.error("{}", problem)
            return True
        return False

    def _own_attempts(self, state: State) -> list[Attempt]:
        """The live attempts of this host: nobody else's end is awaited here."""
        return [attempt for attempt in state.attempts.values() if host_id.is_own(self.ws, attempt.host)]

    def _watch_runners(self, state: State) -> bool:
        """Hold a pidfd of the runner of every live attempt of this host; False if one must be polled instead."""
        for attempt_id in [known for known in self.pidfds if known not in state.attempts]:
            os.close(self.pidfds.pop(attempt_id))
        complete = True
        for attempt in self._own_attempts(state):
            if attempt.id in self.pidfds:
                if attempt.runner is not None and identity.alive(attempt.runner):
                    continue
                # Dead and not settled yet: the daemon would never sleep on a descriptor that stays readable.
                os.close(self.pidfds.pop(attempt.id))
            pidfd = identity.open_pidfd(attempt.runner) if attempt.runner is not None else None
            if pidfd is None:
                complete = False
            else:
                self.pidfds[attempt.id] = pidfd
        return complete

    def _sleep(self, seconds: float, *, failed: bool = False) -> None:
        """Sleep until something happens; after a failure only signals wake: a failed append moves the log file too."""
        poll = select.poll()
        poll.register(self.wake_read, select.POLLIN)
        if not failed:
            for watch in (self.watch.fileno(), self.settings_watch.fileno()):
                if watch is None:
                    seconds = min(seconds, WATCHFUL_SECONDS)
                else:
                    poll.register(watch, select.POLLIN)
            # Without the folder of env files there is nothing to watch; the agent's gate is polled anyway.
            children = [child.fileno() for child in self.children]
            for pidfd in (*self.pidfds.values(), *children, self.secrets_watch.fileno()):
                if pidfd is not None:
                    poll.register(pidfd, select.POLLIN)
        poll.poll(max(seconds, 0.0) * 1000)
        self.settings_watch.drain()
        self.secrets_watch.drain()
        self.watch.drain()
        with suppress(BlockingIOError):
            os.read(self.wake_read, 4096)


def main() -> int:
    """Run the daemon of the environment's KUGETSU_DIR, detached, until it is stopped. Returns the exit status."""
    try:
        ws = open_workspace(os.environ, "kugetsu queue-daemon")
        daemon = _stand(ws)
    except KugetsuError as problem:
        return _answer(problem)
    except OSError as problem:
        with suppress(OSError):  # a full disk takes no traceback
            traceback.print_exc()
        place = f"{problem.filename}: " if isinstance(problem.filename, str) else ""
        return _answer(KugetsuError(f"the daemon did not start: {place}{reason_of(problem)}", "kugetsu doctor"))
    with suppress(BrokenPipeError):  # its starter was killed: the daemon runs anyway
        print(f"ready\t{os.getpid()}", flush=True)
    _release_terminal()
    _serve(daemon)
    return 0


def _answer(problem: KugetsuError) -> int:
    """Tell the starter why this is not the daemon; the exit status."""
    print(f"{problem.exit_code}\t{problem.message}\t{problem.hint or ''}", flush=True)
    return problem.exit_code


def run(ws: Workspace, stands: Callable[[], None]) -> None:
    """Run the daemon in the foreground, for a service manager, until SIGTERM or Ctrl-C, or until the terminal closes.
    Calls ``stands`` once it is the daemon. Its log goes to stderr too.

    Raises Conflict if a daemon is already running.
    """
    daemon = _stand_once_reached(ws)
    stands()
    if sys.stderr.isatty():
        signal.signal(signal.SIGHUP, daemon.stop_on_signal)
    # The journal of systemd writes the time itself.
    form = "{level} {message}" if "JOURNAL_STREAM" in os.environ else "{time:HH:mm:ss} {level} {message}"
    logger.add(sys.stderr, format=form, colorize=False, diagnose=False)
    try:
        _serve(daemon)
    except SystemExit as end:
        raise Conflict(str(end.code), hint="kugetsu queue-daemon status") from end


def _stand_once_reached(ws: Workspace) -> Daemon:
    """Become the daemon as soon as the database of a shared log answers: after a power cut a host may be up before it,
    and a service manager gives up on what has failed a few times. Raises KugetsuError for all else."""
    told = ""
    while True:
        try:
            return _stand(ws)
        except LogUnreachable as problem:
            if told != (told := f"waiting: {problem} (hint: {problem.hint})"):
                logger.warning("{}", told)
                log_lines.note(told)
        time.sleep(ERROR_PAUSE_SECONDS)


def _stand(ws: Workspace) -> Daemon:
    """Become the daemon: log file, lease, signals. Raises KugetsuError."""
    disk.require_large_files(2 * SEGMENT_BYTES)  # a segment ends with the transaction that reaches its size
    leases.close_inherited(ws.paths.leases)
    logger.remove()
    logger.add(
        os.path.join(ws.paths.make(ws.paths.logs), "daemon.log"),
        format="{time:YYYY-MM-DDTHH:mm:ss.SSSZ} {level} {message}",
        rotation="8 MB",
        retention=3,
        diagnose=False,  # a traceback with the values of variables would show secrets
    )
    logger.configure(patcher=_redacted)
    # Once the log names it, a stop may be requested: it stays pending until the daemon listens.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        lease = take_over(ws)
        # What it starts must not look like an agent's tool when the daemon itself was started by an agent.
        os.environ[MARK] = lease.nonce
        _preload()
        daemon = Daemon(ws, lease)
        daemon.listen()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    return daemon


def _redacted(record: loguru.Record) -> None:
    record["message"] = log_lines.harmless(record["message"])


def _serve(daemon: Daemon) -> None:
    logger.info("started, pid {}", os.getpid())
    try:
        daemon.serve()
    finally:
        daemon.end()


#: What a runner imports before its agent runs, and the daemon when it settles an attempt. A package: all of it.
_FOR_RUNNERS = (
    "kugetsu.agents",
    "kugetsu.domain.decide",
    "kugetsu.domain.events",
    "kugetsu.domain.fold",
    "kugetsu.forge",
    "kugetsu.host",
    "kugetsu.log",
    "kugetsu.log.files",
    "kugetsu.redaction",
    "kugetsu.runtime",
    "kugetsu.runtime.git",
    "kugetsu.runtime.process",
    "kugetsu.runtime.runner",
    "kugetsu.agents.error_lines",
)
#: Of these no runner needs anything, and they load the driver of a shared log, which need not be installed.
_OF_SHARED_LOGS = ("kugetsu.runtime.log_relay", "kugetsu.runtime.log_sharing")


def _preload() -> None:
    """Import what runners need before they are forked: from enqueue to agent in a few hundredths of a second.

    It also protects runners from an upgrade of kugetsu while the daemon runs: importing half of the new program would
    fail each task.
    """
    for name in _FOR_RUNNERS:
        module = import_module(name)
        for below in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
            if below.name not in _OF_SHARED_LOGS:
                import_module(below.name)


def _release_terminal() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main())
