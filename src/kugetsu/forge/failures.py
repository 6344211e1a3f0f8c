"""How requests to a forge fail: each failure names its cause, its remedy, and whether a retry may help."""

from __future__ import annotations

from kugetsu.model.errors import KugetsuError


class ForgeFailure(KugetsuError):  # noqa: N818 - named like the errors in errors.py
    """Base of all of them.

    `passing`: the same request may succeed later. `uncertain`: a request that changes something (a comment) may have
    been carried out although its answer was lost. `retry_at`: UTC text before which to try again is of no use.
    """

    code = "forge_failed"
    passing = False

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        *,
        uncertain: bool = False,
        retry_at: str | None = None,
        again: bool = False,
        wait: float = 0.0,
    ) -> None:
        super().__init__(message, hint)
        self.uncertain = uncertain
        self.retry_at = retry_at
        self.again = again
        """Whether a GET is worth another try within the same call."""
        self.wait = wait
        """Seconds until `retry_at`."""


def may_pass(problem: KugetsuError) -> bool:
    """Whether an act that failed so is worth another try later: the forge recovers, or somebody renews a token or a
    setting. What is no failure of a forge is worth one."""
    if not isinstance(problem, ForgeFailure):
        return True
    return problem.passing or problem.uncertain or isinstance(problem, ForgeUnauthorised | NoForge)


class ForgeUnreachable(ForgeFailure):
    """No answer: a timeout, a refused or cut connection, an unknown name, a certificate that does not verify."""

    code = "forge_unreachable"
    passing = True


class ForgeUnauthorised(ForgeFailure):
    """401: there is no token, or the forge does not take it."""

    code = "forge_unauthorised"


class ForgeForbidden(ForgeFailure):
    """403: the token's account may not do this."""

    code = "forge_forbidden"


class ForgeNotFound(ForgeFailure):
    """404: not there, or not to be seen without a (better) token."""

    code = "forge_not_found"
    exit_code = 4


class ForgeLimited(ForgeFailure):
    """429, and GitHub's 403 that means the same: too many requests, until `retry_at`."""

    code = "forge_limited"
    passing = True


class ForgeBroken(ForgeFailure):
    """5xx, and answers that cannot be read: no JSON, a web page, a missing field, a redirect to elsewhere."""

    code = "forge_broken"
    passing = True


class ForgeRefused(ForgeFailure):
    """400, 409, 422 and the like: the forge understood, and does not do it; its reason is in the message."""

    code = "forge_refused"


class ForgeOversized(ForgeFailure):
    """More than kugetsu reads of one answer or one list: better nothing than a part that looks like all."""

    code = "forge_oversized"


class NoForge(ForgeFailure):
    """The repository is a folder of this machine: there is no web side with issues and pull requests."""

    code = "no_forge"
    exit_code = 4
