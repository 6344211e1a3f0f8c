"""The end of an attempt whose agent could not be started: the task's own fault, the machine's, or one that may pass."""

from __future__ import annotations

import errno

from kugetsu.domain.facts import Ending
from kugetsu.model.errors import AgentFailed, AgentUnavailable, GitFailed, LogWriteFailed
from kugetsu.redaction.funnel import redact

EXAMINE = "kugetsu doctor"
"""The remedy where an error names none that can be typed."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def ending(problem: Exception) -> Ending:
    """How the attempt ends, and what that means for its task.

    What keeps an agent from being started is met by every task alike: the gate ``agent`` closes, and no attempt is used
    up. A program, a repository or a file that fails this once is tried again. All else is the task's own and stays:
    trying again does not mend it.
    """
    hint = getattr(problem, "hint", None)
    reason = redact(f"not started: {problem}" + (f" (hint: {hint})" if hint else ""))
    if _is_of_the_machine(problem):
        command = problem.command if isinstance(problem, AgentUnavailable) else None
        return Ending("fail", "unavailable", reason, gate="agent", remedy=redact(command or EXAMINE))
    return Ending("fail", "retry" if _may_pass(problem) else "give_up", reason)


def _is_of_the_machine(problem: Exception) -> bool:
    if isinstance(problem, AgentFailed):
        return False
    return isinstance(problem, AgentUnavailable) or (isinstance(problem, OSError) and problem.errno in _FULL)


def _may_pass(problem: Exception) -> bool:
    return isinstance(problem, AgentFailed | GitFailed | LogWriteFailed | OSError)
