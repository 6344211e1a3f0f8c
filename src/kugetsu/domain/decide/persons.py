"""Decisions on people who work in a session themselves: they take it, and give it back."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.decide.queue import require_initialised
from kugetsu.domain.decide.sessions import busy, find_session, issue_of
from kugetsu.domain.decision import decision
from kugetsu.domain.events import Identity
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.results import result_of, uncommitted
from kugetsu.domain.state import Session, State
from kugetsu.model.errors import Conflict, NotFound


@decision("persons.attach")
def attach(state: State, key: str, lease: str, holder: Identity, user: str, host: str) -> list[NewEvent]:
    """A person claims the issue's session. Raises NotFound without one, Conflict while an agent or another person
    works in it, while it is being destroyed, and on a host of a shared log that does not have it (`hosts.home_of`), or
    takes no part: nobody would give that claim back."""
    require_initialised(state)
    session = find_session(state, key)
    if session.kind != "issue":
        raise NotFound.because("session_unknown", session=key)
    if session.attempt is not None or session.person is not None:
        raise busy(state, session)
    if session.destroying or session.state == "destroyed":
        raise Conflict.because("session_not_ready", session=key, state="destroying")
    if state.hosts:
        _require_host(state, session, holder.get("host", ""), host)
    data = {"lease": lease, "holder": holder, "user": user, "host": host}
    return [NewEvent("person.attached", data, issue=issue_of(session), session=key, cause=session.changed)]


def _require_host(state: State, session: Session, host: str, name: str) -> None:
    from kugetsu.domain import hosts

    here, home = state.hosts.get(host), hosts.home_of(state, session)
    if here is None or not here.takes_part:
        is_now = here.state if here is not None else "absent"
        raise Conflict.because("host_takes_no_part", host=name, state=is_now)
    if home is not None and home.id != host:
        raise Conflict.because("session_moved", session=session.key, host=home.name)


@decision("persons.leave")
def leave(
    state: State,
    key: str,
    lease: str,
    how: str,
    reason: str,
    evidence: dict[str, Any],
    exit: int | None = None,
    signal: int | None = None,
) -> list[NewEvent]:
    """The person who holds ``lease`` has left; [] if that is recorded. A session that was being prepared is broken."""
    session = state.sessions.get(key)
    if session is None or session.person is None or session.person["lease"] != lease:
        return []
    result = result_of("attempt.succeeded", {}, evidence) if _changed(session, evidence) else None
    data: dict[str, Any] = {"how": how, "reason": reason, "evidence": evidence, "result": result}
    about: dict[str, Any] = {"issue": issue_of(session), "session": key}
    held = session.person["seq"]
    new_events = [NewEvent("person.left", {**data, "exit": exit, "signal": signal}, cause=held, **about)]
    found = evidence.get("pull")
    if found and session.pr != found["url"]:
        tied = {"url": found["url"], "source": "branch"}
        new_events.append(NewEvent("session.pr", tied, cause=-1, **about))
    if session.state == "preparing":
        new_events.append(NewEvent("session.broken", {"reason": reason}, cause=-len(new_events), **about))
    return new_events


def works_on(session: Session, host: str) -> bool:
    """Whether a person works in the session on that host: by their own process, since a session that is still to be
    prepared is of no host; older versions recorded none of the process."""
    return session.person is not None and session.person["holder"].get("host", session.host) == host


def given_away(session: Session, reason: str, before: int) -> list[NewEvent]:
    """The end of a person's claim whose host is lost; ``before`` events of the transaction came before, first the loss.
    What the person does there meanwhile stays there."""
    data: dict[str, Any] = {"how": "lost", "reason": reason, "evidence": {}, "result": None}
    about: dict[str, Any] = {"issue": issue_of(session), "session": session.key}
    new_events = [NewEvent("person.left", {**data, "exit": None, "signal": None}, cause=-before, **about)]
    if session.state == "preparing":
        new_events.append(NewEvent("session.broken", {"reason": reason}, cause=-1, **about))
    return new_events


def _changed(session: Session, evidence: dict[str, Any]) -> bool:
    """Whether the work is not as it was before; an agent's question counts as answered."""
    if not evidence:
        return False
    loose = uncommitted(evidence)
    return (
        session.result is None
        or session.result["kind"] == "question"
        or (evidence.get("head") is not None and evidence["head"] != session.head)
        or (loose is not None and loose != session.dirty)
        or evidence.get("pushed", session.pushed) != session.pushed
    )
