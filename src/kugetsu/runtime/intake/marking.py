"""The labels that show the state of an issue on the forge: set by the observer, which is the only one of its kind.

The intent is in the log before the forge is asked, the outcome after; to add and remove labels again changes nothing,
so that whatever is killed, the next try completes it.
"""

from __future__ import annotations

from kugetsu.domain import marks
from kugetsu.domain.decide import marks as decide
from kugetsu.domain.intake import is_paused
from kugetsu.domain.state import State
from kugetsu.forge.failures import ForgeFailure, may_pass
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError, LogDamaged, LogWriteFailed
from kugetsu.model.refs import parse_ref
from kugetsu.redaction.funnel import redact
from kugetsu.runtime.forges import Forges, as_failure, one_line
from kugetsu.runtime.intake import looking
from kugetsu.runtime.workspace import Workspace


def wanted(ws: Workspace, state: State, issue: str) -> str | None:
    """The label that the issue is to show; None for none of kugetsu's."""
    return marks.wanted(state, issue) if ws.config_of(issue).flag("INTAKE_MARK") else None


def due(ws: Workspace, state: State, now: str) -> list[str]:
    """The issues whose labels are to be changed now; not while their queue is paused."""
    found = []
    for issue in dict.fromkeys((*state.marks, *state.intake)):
        owed = state.marks.get(issue, {}).get("owed")
        news = decide.show(state, issue, wanted(ws, state, issue))
        waits = owed is None or (owed["not_before"] or "") > now
        if (news or not waits) and not is_paused(state, issue, now):
            found.append(issue)
    return found


def wait(state: State, now: str) -> float:
    """Seconds until the next of those that failed is due; a day if none is."""
    owed = [entry["owed"]["not_before"] for entry in state.marks.values() if entry["owed"] is not None]
    return min((clock.seconds_between(now, at) for at in owed if at is not None and at > now), default=86_400.0)


def mark(ws: Workspace, issue: str) -> KugetsuError | None:
    """Let the forge show where the issue stands; what kept it from that. Raises LogWriteFailed, LogDamaged."""
    label = wanted(ws, ws.state(), issue)
    ws.log.transact(lambda state: decide.show(state, issue, label))
    owed = ws.state().marks.get(issue, {}).get("owed")
    if owed is None:
        return None
    intent = owed["seq"]
    if is_paused(ws.state(), issue, clock.now()):
        return None
    try:
        forges, ref = Forges(ws), parse_ref(issue)
        if owed["add"] and not _still_asks(ws, issue, forges):
            return None  # nothing is to be added then: the next step removes what there is
        forges.ask(
            ref.host, lambda forge: forge.change_labels(ref.owner, ref.repo, ref.number, owed["add"], owed["remove"])
        )
        ws.log.transact(lambda state: decide.shown(state, issue, intent))
    except (LogWriteFailed, LogDamaged):
        raise
    except Exception as problem:  # noqa: BLE001  whatever a server sends: it stays owed, or ends with its reason
        failure = as_failure(problem)
        _record_failure(ws, issue, intent, failure)
        return failure
    return None


def _still_asks(ws: Workspace, issue: str, forges: Forges) -> bool:
    """Whether the issue is still open and labelled; if it is not, that is recorded."""
    found = looking.read_issue(forges, issue)
    code = looking.why_gone_of(ws, issue, found)
    if code is not None:
        looking.gone(ws, issue, code, found)
    return code is None


def _record_failure(ws: Workspace, issue: str, intent: int, failure: KugetsuError) -> None:
    passes = may_pass(failure)
    retry_at = failure.retry_at if isinstance(failure, ForgeFailure) else None
    now, pause = clock.now(), ws.config.number("RETRY_BACKOFF_SECONDS")
    reason, remedy = one_line(failure), redact(failure.hint or "")
    ws.log.transact(
        lambda state: decide.failed(state, issue, intent, reason, remedy, now, pause, passes, retry_at=retry_at)
    )
