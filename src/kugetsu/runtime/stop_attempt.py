"""Stop a live attempt: record the request, then signal the runner, which ends the agent and all its tools."""

from __future__ import annotations

import os
import signal
from typing import Any

from kugetsu.domain.decide import queue
from kugetsu.host import run_files
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime import log_lines
from kugetsu.runtime.process import identity
from kugetsu.runtime.workspace import Workspace


def cancel(ws: Workspace, task_id: str) -> list[dict[str, Any]]:
    """Cancel a task: at once if it waits, else by stopping its runner. Returns the events.

    Raises NotFound and Conflict as `decide.queue.cancel` does.
    """
    events = ws.log.transact(lambda state: queue.cancel(state, task_id, "cancel"))
    signal_runner(ws, task_id)
    return events


def signal_runner(ws: Workspace, task_id: str) -> bool:
    """Signal the runner of a task's live attempt that a stop is requested; False if there is no runner to signal."""
    state = ws.state()
    task = state.tasks.get(task_id)
    attempt = state.attempts.get(task.attempt) if task is not None and task.attempt is not None else None
    if attempt is None or attempt.stop is None:
        return False
    # The file comes first: it holds the reason, and the supervisor looks for it even if the signal is lost.
    try:
        run_files.replace(os.path.join(ws.paths.make(ws.paths.run(attempt.id)), "stop"), f"{attempt.stop}\n".encode())
    except (KugetsuError, OSError) as problem:  # the log has the reason too, and the signal does the rest
        log_lines.note(f"kugetsu: cannot write the stop file of {attempt.id}, it gets the signal: {problem}")
    if attempt.runner is None or not identity.signal(attempt.runner, signal.SIGTERM):
        return False
    identity.signal(attempt.runner, signal.SIGCONT)  # a stopped one (SIGSTOP) reacts to nothing else
    return True
