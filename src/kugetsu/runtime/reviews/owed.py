"""Pull requests that have yet to be opened (`Session.owed`): when to try again (the try is `pull_opening`)."""

from __future__ import annotations

from kugetsu.domain.intake import on_hold
from kugetsu.domain.state import Session, State
from kugetsu.domain.verification import is_withheld
from kugetsu.model import clock

#: Seconds after which a pull request that another process was opening is tried, if that has died meanwhile.
ANOTHERS_SECONDS = 5.0


def due(state: State, now: str) -> list[Session]:
    """The sessions whose pull request is to be opened now."""
    owing = [session for session in state.sessions.values() if session.owed is not None and session.attempt is None]
    return [
        session
        for session in owing
        if _not_before(session) <= now and not on_hold(state, session.key, now) and not is_withheld(session)
    ]


def wait(state: State, now: str) -> float:
    """Seconds until the next of them is due; a day if none is. One that is due is another process's for the moment."""
    if due(state, now):
        return ANOTHERS_SECONDS
    later = [_not_before(session) for session in state.sessions.values() if session.owed is not None]
    return min((clock.seconds_between(now, at) for at in later if at > now), default=86_400.0)


def _not_before(session: Session) -> str:
    return (session.owed or {}).get("not_before") or ""
