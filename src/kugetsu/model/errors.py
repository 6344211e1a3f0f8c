"""The errors that kugetsu raises on purpose: each says its cause, most say a remedy, and each knows its exit code.

Exit codes are those of the command line (0 done, 1 error, 2 cap reached, 3 bad usage or input, 4 not found,
5 conflict, 6 log damaged, 128+N ended by signal N).
"""

from __future__ import annotations

from types import MappingProxyType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self


class KugetsuError(Exception):
    """Base of every error that a command reports in one line.

    ``hint`` is the remedy: a command or a setting that helps, shown below the error. ``code`` is the stable
    name that ``--json`` prints; ``exit_code`` is the status of the process. ``refusal`` and ``values`` name what a
    decision refuses, and why: its words are in `views.refusals`.
    """

    exit_code = 1
    code = "error"
    refusal: str | None = None
    values: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def because(cls, refusal: str, **values: Any) -> Self:
        """The error of a decision that refuses."""
        error = cls(f"{refusal} ({', '.join(f'{name} {value}' for name, value in values.items())})")
        error.refusal, error.values = refusal, values
        return error

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def reason_of(problem: OSError) -> str:
    """The system's reason for a failed call, to follow a colon: `permission denied`."""
    return (problem.strerror or str(problem)).lower()


class NotSetUp(KugetsuError):
    """`kugetsu init` was never run in this directory."""

    def __init__(self) -> None:
        super().__init__("kugetsu is not set up here yet", "kugetsu init")


class CapReached(KugetsuError):
    """No slot is free (or no memory for another agent): nothing was changed, try again later."""

    exit_code = 2
    code = "cap_reached"


class BadInput(KugetsuError):
    """An argument, a reference or a setting cannot be understood."""

    exit_code = 3
    code = "bad_input"


class NotFound(KugetsuError):
    """The named task, session, event or repository is not there."""

    exit_code = 4
    code = "not_found"


class Conflict(KugetsuError):
    """The state of things forbids it: already running, worktree dirty, commits unpushed, pull request open."""

    exit_code = 5
    code = "conflict"


class LogDamaged(KugetsuError):
    """The event log does not verify: a line is torn, flipped, missing, repeated, swapped or edited."""

    exit_code = 6
    code = "log_damaged"


class LogWriteFailed(KugetsuError):
    """An append did not reach the disk (full, read-only, over a limit): the log was cut back, nothing was lost."""

    code = "log_write_failed"


class LogUnreachable(LogWriteFailed):
    """The shared log's database does not answer, or refuses: what could not be appended was not done."""

    code = "log_unreachable"


class LogDiverged(LogDamaged):
    """The shared log's database is not the log that this host's mirror has: a restored backup, or another log."""

    code = "log_diverged"


class WrongUser(KugetsuError):
    """Root would write into another user's folder: nothing was changed."""

    code = "wrong_user"


class OutputFailed(KugetsuError):
    """What the command had to print could not be written (disk full, terminal gone): what it did stands."""

    code = "output_failed"


class AgentUnavailable(KugetsuError):
    """The agent program is missing, too old or not configured. ``command``: of the remedy only what one types."""

    code = "agent_unavailable"

    def __init__(self, message: str, hint: str | None = None, command: str | None = None) -> None:
        super().__init__(message, hint)
        self.command = command


class AgentFailed(AgentUnavailable):
    """A short command of the agent's program failed (killed, its database locked), or its process could not be made:
    another time it may not."""


class NotReady(KugetsuError):
    """A worktree could not be made ready: no agent is started. ``evidence`` says why (`events.attempts.SetUp`)."""

    code = "not_ready"

    def __init__(self, message: str, evidence: Mapping[str, Any], hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.evidence = evidence


class Diverged(Conflict):
    """A worktree cannot be fast-forwarded to what others pushed to its branch. ``evidence`` names both commits
    (`events.attempts.Divergence`)."""

    def __init__(self, message: str, hint: str, evidence: Mapping[str, Any]) -> None:
        super().__init__(message, hint)
        self.evidence = evidence


class GitFailed(KugetsuError):
    """A git command failed; the message carries what git said. `missing`: a remote has no such repository."""

    code = "git_failed"
    missing = False
