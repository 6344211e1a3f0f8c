"""Stop a live attempt: record the request, then signal the runner, which ends the agent and all its tools."""

from __future__ import annotations

import os
import shlex
import signal
from typing import Any

from kugetsu.domain.decide import queue
from kugetsu.domain.state import State
from kugetsu.host import run_files
from kugetsu.log.files.segments import is_shared
from kugetsu.model.errors import Conflict, KugetsuError
from kugetsu.model.record import value
from kugetsu.runtime import host_id, log_lines
from kugetsu.runtime.process import identity, lease
from kugetsu.runtime.runner.supervisor import HOST_LEASE
from kugetsu.runtime.workspace import Workspace


def cancel(ws: Workspace, task_id: str) -> list[dict[str, Any]]:
    """Cancel a task: at once if it waits, else by stopping its runner. Returns the events.

    Raises NotFound and Conflict as `decide.queue.cancel` does, and Conflict in a copy of the KUGETSU_DIR for which the
    agent works.
    """
    _require_reachable(ws, task_id)
    events = ws.log.transact(lambda state: queue.cancel(state, task_id, "cancel"))
    signal_runner(ws, task_id)
    return events


def _require_reachable(ws: Workspace, task_id: str) -> None:
    """Raise Conflict if nothing that is recorded here reaches the task's agent."""
    state = ws.state()
    attempt = next((one for one in state.attempts.values() if one.task == task_id), None)
    if attempt is None or not host_id.is_own(ws, attempt.host) or is_shared(ws.paths.log):
        return
    if lease.alive(ws.paths.leases, attempt.lease):
        return
    other = host_id.original_of(ws, attempt.lease)
    if other is not None:
        there = f"KUGETSU_DIR={shlex.quote(other)} kugetsu queue cancel {task_id}"
        raise Conflict(f"{attempt.id} works for {other}, of which {ws.paths.root} is a copy", there)


@value
class Elsewhere:
    """The other host on which an attempt is to stop, as `host_id.name_of`; ``passes_on`` says what to do where no
    daemon of it is known to pass the request on: by the log, or because the database has not heard of it lately."""

    name: str
    passes_on: str | None


SILENT_SECONDS = 60.0
"""Three beats: a daemon that was not heard of for so long may be gone, whatever the log says."""


def elsewhere(ws: Workspace, attempt_id: str | None) -> Elsewhere | None:
    """Where a live attempt is to stop, if not on this host."""
    state = ws.state()
    attempt = state.attempts.get(attempt_id or "")
    if attempt is None or host_id.is_own(ws, attempt.host):
        return None
    name = host_id.name_of(state, attempt.host)
    there = host_id.line_there(state, attempt.host, f"kugetsu queue cancel {attempt.task}")
    if attempt.host is None or not state.daemon_of(attempt.host).runs:
        return Elsewhere(name, f"no daemon of {name} passes it on: {there}")
    from kugetsu.model import clock
    from kugetsu.runtime.query import contact

    ago = contact.known(ws.paths, state, clock.now()).silent.get(attempt.host)
    if ago is None or ago < SILENT_SECONDS:
        return Elsewhere(name, None)
    silent = f"{name} was not heard of for {ago:.0f} s: perhaps no daemon of it passes this on"
    return Elsewhere(name, f"{silent}; reach it, and type there: {there}")


def pass_on(ws: Workspace, state: State) -> list[str]:
    """Signal this host's runners whose stop was requested on another host; the ids of their attempts."""
    told = []
    for attempt in state.attempts.values() if state.hosts else ():
        if attempt.stop is None or not host_id.is_own(ws, attempt.host):
            continue
        if not os.path.lexists(_file(ws, attempt.id)) and signal_runner(ws, attempt.task):
            told.append(attempt.id)
    return told


def stop_given_away(ws: Workspace, state: State) -> list[str]:
    """Stop this host's agents whose tasks were given away while it was not heard of; the ids of the attempts.

    Their supervisors look for the file, since the log no longer has what to signal.
    """
    told = []
    known = state.hosts.get(host_id.own(ws)) if state.hosts else None
    for attempt_id in known.away if known is not None else ():
        if os.path.isdir(ws.paths.run(attempt_id)) and not os.path.lexists(_file(ws, attempt_id)):
            run_files.replace(_file(ws, attempt_id), f"{HOST_LEASE}\n".encode())
            told.append(attempt_id)
    return told


def _file(ws: Workspace, attempt_id: str) -> str:
    """The file that tells a runner why to stop."""
    return os.path.join(ws.paths.run(attempt_id), "stop")


def signal_runner(ws: Workspace, task_id: str) -> bool:
    """Signal the runner of a task's live attempt that a stop is requested; False if there is no runner to signal, or if
    it is another host's, or that of the directory of which this one is a copy."""
    state = ws.state()
    task = state.tasks.get(task_id)
    attempt = state.attempts.get(task.attempt) if task is not None and task.attempt is not None else None
    if attempt is None or attempt.stop is None or not host_id.is_own(ws, attempt.host):
        return False
    if not host_id.may_signal(ws, attempt.lease, attempt.claimer, attempt.runner):
        return False
    # The file comes first: it holds the reason, and the supervisor looks for it even if the signal is lost.
    try:
        ws.paths.make(ws.paths.run(attempt.id))
        run_files.replace(_file(ws, attempt.id), f"{attempt.stop}\n".encode())
    except (KugetsuError, OSError) as problem:  # the log has the reason too, and the signal does the rest
        log_lines.note(f"kugetsu: cannot write the stop file of {attempt.id}, it gets the signal: {problem}")
    if attempt.runner is None or not identity.signal(attempt.runner, signal.SIGTERM):
        return False
    identity.signal(attempt.runner, signal.SIGCONT)  # a stopped one (SIGSTOP) reacts to nothing else
    return True
