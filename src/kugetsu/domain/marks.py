"""The labels that show on the forge where a labelled issue stands: which one is wanted, purely from the state."""

from __future__ import annotations

from kugetsu.domain.machines import OPEN_REVIEW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.state import State

IN_PROGRESS = "kugetsu: in progress"
TO_REVIEW = "kugetsu: to review"
FAILED = "kugetsu: failed"


def wanted(state: State, issue: str) -> str | None:
    """The label that an issue is to have; None for none: it asks for no work, or nothing came of it that concerns
    anybody."""
    entry, session = state.intake.get(issue), state.sessions.get(issue)
    if entry is None:
        return None
    if state.of_issue.get(issue) or (session is not None and session.attempt is not None):
        return IN_PROGRESS
    if entry["ended"] == "error":
        return FAILED
    asks = session is not None and session.review == "none" and session.result_kind == "question"
    return TO_REVIEW if session is not None and (asks or session.review in OPEN_REVIEW) else None
