"""Which sessions the observer looks at, and which of them owe something."""

from __future__ import annotations

from kugetsu.domain.machines import OPEN_REVIEW
from kugetsu.domain.state import Session, State
from kugetsu.model import clock
from kugetsu.runtime.workspace import Workspace

#: Seconds for which a closed pull request is still looked at: it may be reopened.
CLOSED_SECONDS = 7 * 86_400.0


def interval(ws: Workspace) -> float:
    """Seconds between two looks; 0: never."""
    return ws.config.number("OBSERVE_INTERVAL_MINUTES") * 60


def to_observe(state: State, now: str) -> list[Session]:
    """The sessions whose review is open, or was closed lately; an agent at work brings its own look at its end."""
    return [session for session in state.sessions.values() if session.attempt is None and _is_open(session, now)]


def _is_open(session: Session, now: str) -> bool:
    if session.kind != "issue":
        return False
    if session.review == "closed":
        return clock.seconds_between(session.review_at, now) < CLOSED_SECONDS
    return session.review in OPEN_REVIEW


def any_left(ws: Workspace, state: State) -> bool:
    """Whether an observer is needed."""
    if any(session.owed is not None for session in state.sessions.values()):
        return True
    return interval(ws) > 0 and bool(to_observe(state, clock.now()))
