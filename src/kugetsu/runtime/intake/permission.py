"""Whether kugetsu may still act at the forge for an issue that a label asked for: read afresh before each act.

Who takes the label away, closes the issue or pauses the queue stops what is to be done there; commits stay. Work that a
person asked for by a command is not concerned.
"""

from __future__ import annotations

from kugetsu.domain.intake import is_asked_for, on_hold
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.forges import Forges
from kugetsu.runtime.intake.looking import why_gone
from kugetsu.runtime.workspace import Workspace

_WHY = {
    "unlabelled": "the label {label} was removed from the issue",
    "closed": "the issue was closed",
    "missing": "the forge has the issue no longer",
}


class WithdrawnError(KugetsuError):
    """The issue does not ask for work any more."""

    code = "withdrawn"


class PausedError(KugetsuError):
    """The queue is paused, or that of the repository: the act waits."""

    code = "paused"


def require(ws: Workspace, issue: str, forges: Forges) -> None:
    """Raise WithdrawnError or PausedError if kugetsu may not act for the issue; ForgeFailure, BadInput if that cannot
    be read."""
    state = ws.state()
    if not is_asked_for(state, issue):
        return
    if on_hold(state, issue, clock.now()):
        raise PausedError("the queue is paused", "kugetsu queue resume")
    code = why_gone(ws, forges, issue)
    if code in _WHY:  # a repository without an intake says nothing of this issue
        raise WithdrawnError(_WHY[code].format(label=ws.config_of(issue).text("INTAKE_LABEL")))
