"""Which sessions the observer looks at, and which of them owe something."""

from __future__ import annotations

from collections.abc import Iterator

from kugetsu.domain.machines import OPEN_REVIEW
from kugetsu.domain.state import Session, State
from kugetsu.model import clock
from kugetsu.runtime import host_id
from kugetsu.runtime.reviews import owed
from kugetsu.runtime.workspace import Workspace

#: Seconds for which a pull request that is over is still looked at: it may be reopened, its session may stay for now.
OVER_SECONDS = 7 * 86_400.0


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
        return clock.seconds_between(session.review_at, now) < OVER_SECONDS
    return session.review in OPEN_REVIEW


def any_left(ws: Workspace, state: State) -> bool:
    """Whether an observer is needed."""
    if any(owed.owing(state, host_id.own(ws))) or _feedback_waits(state):
        return True
    now = clock.now()
    return interval(ws) > 0 and (bool(to_observe(state, now)) or any(to_retire(ws, state, now)))


def _feedback_waits(state: State) -> bool:
    """Whether a turn may follow, which only the observer queues."""
    return any(
        item["open"] and item["counts"] and item["turn"] is None
        for key, loop in state.loops.items()
        if key in state.sessions and state.sessions[key].review not in ("merged", "closed")
        for item in loop["items"].values()
    )


def is_looped(ws: Workspace, key: str) -> bool:
    """Whether the loop of an issue runs by itself: kugetsu takes its repository's issues, or answers feedback."""
    settings = ws.config_of(key)
    return bool(settings.text("REACTIONS") or settings.text("INTAKE_LABEL"))


def to_retire(ws: Workspace, state: State, now: str) -> Iterator[Session]:
    """The sessions whose work was merged lately and that nobody uses or waits for, where the loop runs by itself."""
    for session in state.sessions.values():
        if session.review != "merged" or session.kind != "issue" or session.attempt or session.person:
            continue
        if state.of_issue.get(session.key) or session.owed is not None:
            continue
        if clock.seconds_between(session.review_at, now) >= OVER_SECONDS or not host_id.is_own(ws, session.host):
            continue
        if is_looped(ws, session.key):
            yield session
