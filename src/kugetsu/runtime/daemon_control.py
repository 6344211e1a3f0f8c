"""Start, stop and inspect the daemon from a command."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from kugetsu.domain.decide import daemon as decide
from kugetsu.domain.decide.queue import require_initialised
from kugetsu.domain.state import State
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime import host_id, liveness, stderr_tail
from kugetsu.runtime.process import identity, lease
from kugetsu.runtime.workspace import Workspace

#: Seconds for a daemon to report that it is ready, and to end when requested.
START_PATIENCE = 30.0
STOP_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """What is known of the daemon: ``state`` is running, draining, stopped or lost (it exited without recording a
    reason)."""

    running: bool
    pid: int | None
    since: str | None
    state: str


def status(ws: Workspace) -> DaemonStatus:
    """The daemon as the log and its lease show it."""
    return of_state(ws, ws.state())


def of_state(ws: Workspace, state: State) -> DaemonStatus:
    """The daemon in a state already read."""
    daemon = liveness.daemon_here(ws.paths, state)
    running = liveness.daemon(ws.paths, state)
    shown = "lost" if not running and daemon.runs else daemon.state
    if running and shown == "lost":  # with its host, which it lets take part again
        shown = "running"
    since = daemon.changed_at or None
    if shown == "lost" and liveness.is_not_lost(ws.paths, state):
        shown, since = "stopped", None
    pid = daemon.identity["pid"] if running and daemon.identity is not None else None
    return DaemonStatus(running, pid, since, shown)


def start(ws: Workspace) -> tuple[bool, int]:
    """Start the daemon, detached from the terminal; returns whether it was started now (False: already running), and
    its pid.

    Raises KugetsuError with what prevents it.
    """
    require_initialised(ws.state())
    known = status(ws)
    if known.running and known.pid is not None:
        return False, known.pid
    ws.paths.make(ws.paths.logs)
    with open(os.path.join(ws.paths.logs, "daemon.err"), "ab") as errors:
        before = errors.tell()
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kugetsu.runtime.daemon"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd="/",
            env={**ws.environment, "KUGETSU_DIR": ws.paths.root},
            start_new_session=True,
        )
    answer = _first_line(process)
    if answer and answer[0] == "ready":
        return True, int(answer[1])
    if len(answer) == 3:
        now = status(ws)
        if now.running and now.pid is not None:
            return False, now.pid
        raise KugetsuError(answer[1], hint=answer[2] or None)
    why = stderr_tail.of(os.path.join(ws.paths.logs, "daemon.err"), before)
    raise KugetsuError(f"the daemon did not start{why}", hint=f"see {ws.paths.logs}/daemon.err")


def _first_line(process: object) -> list[str]:
    assert isinstance(process, subprocess.Popen) and process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_PATIENCE)
    line = process.stdout.readline().decode("utf-8", "replace") if ready else ""
    process.stdout.close()
    # The daemon outlives this command: it is not waited for, and no warning is wanted about that.
    process.returncode = 0 if process.returncode is None else process.returncode
    return line.rstrip("\n").split("\t") if line else []


def stop(ws: Workspace, *, drain: bool) -> bool:
    """Stop the daemon; running agents continue (with ``drain`` it ends, and is waited for, when the last of them has).
    False if none is running. Raises KugetsuError if it does not end."""
    known = status(ws)
    if not known.running:
        return False
    daemon = liveness.daemon_here(ws.paths, ws.state())
    who, held = daemon.identity, daemon.lease

    def gone() -> bool:
        """Another one may have been started meanwhile, by a service manager say: that is not waited for."""
        lives = who is not None and identity.alive(who)
        return not lives and (held is None or not lease.alive(ws.paths.leases, held))

    if drain:
        host = host_id.own(ws)
        ws.log.transact(lambda state: decide.drain(state, "stop --drain", host))
        _wait_until(gone, None)
        return True
    if who is not None:
        identity.signal(who, signal.SIGTERM)
        identity.signal(who, signal.SIGCONT)  # a stopped one (SIGSTOP) reacts to nothing else
    if not _wait_until(gone, STOP_PATIENCE):
        raise KugetsuError(
            f"the daemon (pid {known.pid}) did not stop within {STOP_PATIENCE:.0f} s",
            hint=f"see {ws.paths.logs}/daemon.log",
        )
    return True


def _wait_until(what: Callable[[], bool], patience: float | None) -> bool:
    give_up = None if patience is None else time.monotonic() + patience
    pause = 0.01
    while not what():
        if give_up is not None and time.monotonic() >= give_up:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
    return True


def restart(ws: Workspace) -> tuple[bool, int]:
    """Stop the daemon if it is running, and start it: it finds its running agents by their leases."""
    stop(ws, drain=False)
    return start(ws)
