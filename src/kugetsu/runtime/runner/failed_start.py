"""How an attempt ends that started no agent: what that means for its task, from what prevented it."""

from __future__ import annotations

import errno

from kugetsu.domain import divergence, unread, worktree_setup
from kugetsu.domain.decide import attempts
from kugetsu.domain.facts import Ending
from kugetsu.model.errors import AgentFailed, AgentUnavailable, Diverged, GitFailed, LogWriteFailed, NotReady
from kugetsu.redaction.funnel import redact
from kugetsu.runtime.intake.permission import UnreadError, WithdrawnError

EXAMINE = "kugetsu doctor"
"""The remedy where an error names none that can be typed."""

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def ending_of(problem: Exception, host: str | None = None) -> Ending:
    """How the attempt ends, and what that means for its task; ``host`` is the name of the one that could not start it,
    where several share the log: the remedy is to be typed there.

    What prevents any agent from starting closes the gate ``agent`` and uses up no attempt, as does a worktree that
    could not be made ready, or has parted from its remote branch, or an issue that could not be read: that parks its
    task. An issue that asks for no work any more cancels it. A program, repository or file that may work next time is
    retried. Everything else is the task's own fault, and retrying does not help.
    """
    hint = getattr(problem, "hint", None)
    reason = redact(f"not started{f' on {host}' if host else ''}: {problem}" + (f" (hint: {hint})" if hint else ""))
    if isinstance(problem, WithdrawnError):
        return Ending("kill", attempts.WITHDRAWN, reason, withdrawn=problem.reason)
    if isinstance(problem, UnreadError):
        return Ending("fail", unread.UNREAD, redact(problem.message), resets_at=problem.retry_at)
    if isinstance(problem, NotReady):
        return Ending("fail", worktree_setup.UNREADY, reason, evidence={"set_up": dict(problem.evidence)})
    if isinstance(problem, Diverged):
        return Ending("fail", divergence.DIVERGED, reason, evidence={"diverged": dict(problem.evidence)})
    if _is_of_the_machine(problem):
        command = problem.command if isinstance(problem, AgentUnavailable) else None
        return Ending("fail", "unavailable", reason, gate="agent", remedy=redact(command or EXAMINE))
    return Ending("fail", "retry" if _may_pass(problem) else "give_up", reason)


def _is_of_the_machine(problem: Exception) -> bool:
    if isinstance(problem, AgentFailed):
        return False
    return isinstance(problem, AgentUnavailable) or (isinstance(problem, OSError) and problem.errno in _FULL_DISK)


def _may_pass(problem: Exception) -> bool:
    return isinstance(problem, AgentFailed | GitFailed | LogWriteFailed | OSError)
