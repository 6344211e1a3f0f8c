"""Pull requests that have yet to be opened (`Session.owed`): when to try again (the try is `pull_opening`)."""

from __future__ import annotations

from collections.abc import Iterator

from kugetsu.domain import hosts
from kugetsu.domain.intake import on_hold
from kugetsu.domain.state import Session, State
from kugetsu.domain.verification import is_withheld
from kugetsu.model import clock

#: Seconds after which a pull request that another process was opening is tried, if that has died meanwhile.
ANOTHERS_SECONDS = 5.0


def owing(state: State, host: str | None = None) -> Iterator[Session]:
    """The sessions that owe one, only those of which ``host`` opens it if given (`hosts.acts_for`)."""
    for session in state.sessions.values():
        if session.owed is not None and (host is None or hosts.acts_for(state, session, host)):
            yield session


def due(state: State, now: str, host: str | None = None) -> list[Session]:
    """The sessions whose pull request is to be opened now (`owing`)."""
    return [
        session
        for session in owing(state, host)
        if session.attempt is None
        and _not_before(session) <= now
        and not on_hold(state, session.key, now)
        and not is_withheld(session)
    ]


def wait(state: State, now: str, host: str | None = None) -> float:
    """Seconds until the next of them is due; a day if none is. One that is due is another process's for the moment."""
    if due(state, now, host):
        return ANOTHERS_SECONDS
    later = [_not_before(session) for session in owing(state, host)]
    return min((clock.seconds_between(now, at) for at in later if at > now), default=86_400.0)


def _not_before(session: Session) -> str:
    return (session.owed or {}).get("not_before") or ""
