"""Whether kugetsu may still act for an issue that a label or feedback asked for: read afresh before its agent starts,
and before each act at the forge.

Who takes the label away, closes the issue or pauses the queue stops what is to be done there; commits stay. Work that a
person asked for by a command is not concerned.
"""

from __future__ import annotations

from kugetsu.domain.decide import reactions as decide
from kugetsu.domain.intake import is_asked_for, is_unattended, on_hold
from kugetsu.domain.state import Task
from kugetsu.forge.failures import ForgeFailure
from kugetsu.forge.protocol import Issue
from kugetsu.model import clock
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.model.refs import parse_ref
from kugetsu.runtime.forges import Forges, one_line
from kugetsu.runtime.intake import looking
from kugetsu.runtime.intake.reading import digest
from kugetsu.runtime.workspace import Workspace

_WHY = {
    "unlabelled": "the label {label} was removed from the issue",
    "closed": "the issue was closed",
    "missing": "the forge has the issue no longer",
    "switched_off": "the repository has no INTAKE_LABEL any more",
    "needs_label": "the issue needs the label again",
    "gone": "the issue asks for no work any more",
}
#: Code of `looking.why_gone` → why an issue wants no turn that answers feedback (`events.reactions.ReactionHeld`).
NO_TURN = {"closed": "issue_closed", "unlabelled": "unlabelled"}


class WithdrawnError(KugetsuError):
    """The issue does not ask for work any more; ``reason`` is that of `events.tasks.TaskCancelled`."""

    code = "withdrawn"

    def __init__(self, why: str, label: str = "", *, reason: str = "") -> None:
        super().__init__(_WHY[why].format(label=label))
        self.reason = reason or f"intake_{why}"


class PausedError(KugetsuError):
    """The queue is paused, or that of the repository: the act waits."""

    code = "paused"


class UnreadError(KugetsuError):
    """The forge could not be asked whether the issue still asks for work; ``retry_at`` if it named a time."""

    code = "unread"

    def __init__(self, problem: KugetsuError) -> None:
        super().__init__(one_line(problem), problem.hint)
        self.retry_at = problem.retry_at if isinstance(problem, ForgeFailure) else None


def require(ws: Workspace, issue: str, forges: Forges) -> None:
    """Raise WithdrawnError or PausedError if kugetsu may not act for the issue; ForgeFailure, BadInput if that cannot
    be read."""
    state = ws.state()
    if not is_unattended(state, issue):
        return
    if on_hold(state, issue, clock.now()):
        raise PausedError("the queue is paused", "kugetsu queue resume")
    code = looking.why_gone(ws, forges, issue)
    # A repository without an intake says nothing of this issue; nor does a label of what a person began.
    stops = ("unlabelled", "closed", "missing") if is_asked_for(state, issue) else ("closed",)
    if code is not None and code in stops:
        raise WithdrawnError(code, ws.config_of(issue).text("INTAKE_LABEL"))


def require_start(ws: Workspace, task: Task, issue: Issue | None = None) -> None:
    """Raise WithdrawnError if the task's agent is not to start, and record why; UnreadError if that cannot be read.

    A task of the intake: its issue is open, has its label by somebody who may set it, and a text that nobody else
    edited since. A turn that answers feedback: its issue is open, and if a label asked for the work, has that. Where no
    forge is contacted, and for what a person asked for, there is nothing to ask. ``issue`` is what a run has just read:
    then only a text that is not the one that was judged before costs further questions.
    """
    key = task.issue
    if key is None or not (task.by_intake or task.reaction is not None):
        return
    if task.withdrawn:
        raise WithdrawnError("gone")  # the observer has recorded why
    forges = Forges(ws)
    try:
        if forges.of(parse_ref(key).host) is None:
            return
        found = looking.read_issue(forges, key) if issue is None else issue
        if task.by_intake:
            _require_label(ws, forges, key, found, again=issue is not None)
        else:
            _require_open(ws, key, found)
    except (ForgeFailure, BadInput) as problem:
        raise UnreadError(problem) from problem


def _require_label(ws: Workspace, forges: Forges, key: str, issue: Issue | None, *, again: bool) -> None:
    code = looking.why_gone_of(ws, key, issue)
    if code is not None or issue is None:
        looking.gone(ws, key, code or "missing", issue)
        raise WithdrawnError(code or "missing", ws.config_of(key).text("INTAKE_LABEL"))
    known = ws.state().intake.get(key)
    if again and known is not None and known["body"] == digest(issue):
        return
    outcome = looking.look_at(ws, forges, key, issue)
    if outcome is None and known is not None and known["of"][-1] is not None and _is_renamed(ws, forges, key):
        # The forge told before who set it: the label that the issue has now is another one by that name.
        looking.gone(ws, key, "unlabelled", issue)
        raise WithdrawnError("unlabelled", ws.config_of(key).text("INTAKE_LABEL"))
    if outcome is None:
        raise UnreadError(KugetsuError("the forge does not say who set the label"))
    if outcome.code == "needs_label":
        raise WithdrawnError("needs_label")


def _is_renamed(ws: Workspace, forges: Forges, key: str) -> bool:
    """Whether no event of the issue set its label: on GitHub a renamed label has none under its new name. Raises
    ForgeFailure also where the token may not ask for events."""
    ref, label = parse_ref(key), ws.config_of(key).text("INTAKE_LABEL")
    return forges.ask(ref.host, lambda forge: forge.label_event(ref.owner, ref.repo, ref.number, label)) is None


def _require_open(ws: Workspace, key: str, issue: Issue | None) -> None:
    why = looking.why_gone_of(ws, key, issue)
    code = why_no_turn(ws, key, why)
    if code is not None and why is not None:
        over_at = looking.closed_at(issue)
        ws.log.transact(lambda state: decide.withdrawn(state, key, code, over_at))
        raise WithdrawnError(why, ws.config_of(key).text("INTAKE_LABEL"), reason=code)


def why_no_turn(ws: Workspace, key: str, why_gone: str | None) -> str | None:
    """Why an issue wants no turn that answers feedback, from what `looking.why_gone` says; None if it does: of work
    that a person asked for, the label says nothing, and a repository may keep its issues elsewhere."""
    if why_gone == "unlabelled" and not is_asked_for(ws.state(), key):
        return None
    return NO_TURN.get(why_gone or "")
