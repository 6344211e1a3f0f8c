"""What is done in the worktree of an attempt that has ended: locks of killed gits go, and what a failed one did not
commit or push is kept on a rescue branch."""

from __future__ import annotations

import os
from typing import Any

from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Attempt, Session
from kugetsu.model.errors import KugetsuError, LogWriteFailed
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import log_lines
from kugetsu.runtime.git import integrity, locks, rescue
from kugetsu.runtime.workspace import Workspace

#: Characters of the reason why a rescue failed that the attempt's end keeps.
RESCUE_REASON_LENGTH = 300


def clear_locks(ws: Workspace, attempt: Attempt, session: Session | None) -> str:
    """Remove the locks that killed gits left in the worktree of an ended attempt: the next one could not commit.
    Returns a suffix for the reason; the removal is an event too."""
    if session is None or session.kind != "issue" or session.worktree is None:
        return ""
    names = []
    about: dict[str, Any] = {"issue": attempt.issue, "task": attempt.task, "attempt": attempt.id}
    try:
        for lock in locks.of_worktree(session.worktree, session.branch):
            # First the event: what cannot be recorded is not done.
            data = {"path": lock.path, "age_seconds": round(lock.age, 1)}
            ws.log.append([NewEvent("lock.removed", data, cause=attempt.claimed, **about)])
            if lock.remove():
                names.append(os.path.basename(lock.path))
    except (LogWriteFailed, OSError) as problem:
        log_lines.note(f"a lock of a dead git stays: {problem}")
    return f"; removed locks of a killed git: {', '.join(names)}" if names else ""


def keep_work(session: Session | None, name: str) -> tuple[str | None, str | None]:
    """Put every uncommitted or unpushed byte of a failed attempt on a rescue branch.

    Returns the branch, None if there is nothing to keep; and why that failed.
    """
    if session is None or session.kind != "issue" or session.worktree is None:
        return None, None
    path = session.worktree
    if not integrity.holds_files(path):
        return None, None
    try:
        integrity.repair(session.source, path)
        fault = integrity.fault(session.source, path)
        if fault is not None:
            return None, f"{path} is no longer its worktree: {fault}"
        kept = rescue.rescue(path, name, branch=session.branch or "")
        return (kept.branch if kept is not None else None), None
    except (KugetsuError, OSError) as problem:
        log_lines.note(f"no rescue branch: {problem}")
        return None, redact(str(problem), limit=RESCUE_REASON_LENGTH)
