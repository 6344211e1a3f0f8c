"""Decisions on the hosts that share a log: joining, leaving, and what becomes of the work of a lost one."""

from __future__ import annotations

from typing import Any

from kugetsu.domain import hosts
from kugetsu.domain.decide import attempts, persons, sessions
from kugetsu.domain.decide.queue import require_initialised
from kugetsu.domain.decision import decision
from kugetsu.domain.facts import Ending, OutcomeFacts
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Attempt, Host, State
from kugetsu.model.errors import BadInput, Conflict, NotFound
from kugetsu.model.settings import SHARED


def find(state: State, host: str, term: int) -> Host:
    """The host, if ``term`` is its latest and it takes part. Raises NotFound, Conflict."""
    known = state.hosts.get(host)
    if known is None:
        raise NotFound.because("host_unknown", host=host)
    if known.term != term or not known.takes_part:
        raise Conflict.because("host_fenced", host=known.name, state=known.state, term=known.term)
    return known


@decision("hosts.join")
def join(state: State, host: str, term: int, name: str, labels: list[str], cap: int) -> list[NewEvent]:
    """A host shares the log from here on. Raises Conflict for a term that is not newer than its last."""
    require_initialised(state)
    known = state.hosts.get(host)
    if known is not None and known.term >= term:
        raise Conflict.because("host_fenced", host=known.name, state=known.state, term=known.term)
    data = {"host": host, "term": term, "name": name, "labels": labels, "cap": cap}
    return [NewEvent("host.joined", data, cause=known.changed if known is not None else None)]


@decision("hosts.drain")
def drain(state: State, host: str, term: int, reason: str) -> list[NewEvent]:
    """Start nothing new there; [] if it is draining already."""
    known = find(state, host, term)
    if known.state == "draining":
        return []
    return [NewEvent("host.draining", {"host": host, "term": term, "reason": reason}, cause=known.changed)]


@decision("hosts.undrain")
def undrain(state: State, host: str, term: int) -> list[NewEvent]:
    """The host may start attempts again; [] if it may."""
    known = find(state, host, term)
    if known.state != "draining":
        return []
    return [NewEvent("host.undrained", {"host": host, "term": term}, cause=known.changed)]


@decision("hosts.leave")
def leave(state: State, host: str, term: int, reason: str) -> list[NewEvent]:
    """The host no longer shares the log. Raises Conflict while an attempt of it is live, or a person works there."""
    known = find(state, host, term)
    live = state.live_on(host)
    if live:
        raise Conflict.because("host_busy", host=known.name, attempts=[attempt.id for attempt in live])
    _require_unattended(state, known)
    left = NewEvent("host.left", {"host": host, "term": term, "reason": reason}, cause=known.changed)
    return [left, *_not_removed(state, host, reason, 1)]


def _require_unattended(state: State, known: Host) -> None:
    attended = [session.key for session in state.sessions.values() if persons.works_on(session, known.id)]
    if attended:
        raise Conflict.because("host_attended", host=known.name, sessions=attended)


@decision("hosts.take_back")
def take_back(state: State, host: str, reason: str) -> list[NewEvent]:
    """The log becomes ``host``'s own again, and every other one leaves for that ``reason``. Raises Conflict while an
    attempt is live, or a dispatcher of another host runs: it would go on in a log that takes nothing any more. So too
    while a person works on another host: nobody could give back what they have claimed."""
    others = [known for known in state.hosts.values() if known.takes_part and known.id != host]
    if state.attempts:
        where = ", ".join(dict.fromkeys(hosts.name_of(state, attempt.host) for attempt in state.attempts.values()))
        raise Conflict.because("host_busy", host=where, attempts=[*state.attempts])
    for known in others:
        if state.daemon_of(known.id).runs:
            raise Conflict.because("host_dispatches", host=known.name)
        _require_unattended(state, known)
    new_events: list[NewEvent] = []
    for known in others:
        data = {"host": known.id, "term": known.term, "reason": reason}
        new_events.append(NewEvent("host.left", data, cause=known.changed))
        new_events += _not_removed(state, known.id, reason, 1)
    return new_events


@decision("hosts.lost")
def lost(
    state: State, host: str, term: int, silent_since: str | None, by: str | None, reason: str, facts: OutcomeFacts
) -> list[NewEvent]:
    """The host was not heard of for too long, or a person knows that it is gone: its term is fenced, and each of its
    attempts ends as lost for that ``reason``, with the consequence for its task, in one transaction. So does the claim
    of a person who works in a session there: else nobody else ever could.

    [] if that term takes no part any more: another host was first, it has left, or it has come back with a new one.
    """
    known = state.hosts.get(host)
    if known is None or known.term != term or not known.takes_part:
        return []
    data = {"host": host, "term": term, "silent_since": silent_since, "by": by}
    new_events = [NewEvent("host.lost", data, cause=known.changed, facts=dict(facts))]
    if state.daemon_of(host).runs:
        daemon = state.daemon_of(host)
        new_events.append(NewEvent("daemon.lost", {"identity": daemon.identity, "host": host}, cause=-1))
    for attempt in state.live_on(host):
        new_events += _given_away(state, attempt, reason, facts, len(new_events))
    for session in state.sessions.values():
        if persons.works_on(session, host):
            new_events += persons.given_away(session, reason, len(new_events))
    return [*new_events, *_not_removed(state, host, reason, len(new_events))]


def _not_removed(state: State, host: str, reason: str, before: int) -> list[NewEvent]:
    """The end of each removal of a session that the host began and did not finish: else nobody could ever work on that
    issue. ``before`` events of the transaction came before, first that of the host."""
    left = [session for session in state.sessions.values() if session.destroying and session.host == host]
    return [
        NewEvent(
            "session.broken",
            {"reason": reason},
            issue=sessions.issue_of(session),
            session=session.key,
            cause=-before - number,
        )
        for number, session in enumerate(left)
    ]


def _given_away(state: State, attempt: Attempt, reason: str, facts: OutcomeFacts, before: int) -> list[NewEvent]:
    """The end of an attempt whose host is lost; ``before`` events of the transaction came before, first the loss."""
    session = state.sessions.get(attempt.session)
    work: dict[str, Any] = {"host": attempt.host, "worktree": None, "branch": None, "head": None, "pushed": None}
    if session is not None:
        work |= {name: getattr(session, name) for name in ("worktree", "branch", "head", "pushed")}
    verdict = "cancelled" if attempt.stop == "cancel" else "retry"
    made = work["worktree"] is not None
    ending = Ending("lose", verdict, reason, evidence={"work": work}, session_lost=made)
    return attempts.end(state, attempt, ending, facts, cause=-before)


def returned(host: str, term: int, worktrees: list[dict[str, Any]]) -> NewEvent:
    """A host is there again: what the sessions that moved meanwhile had left there (`events.hosts.LeftWork`)."""
    return NewEvent("host.returned", {"host": host, "term": term, "worktrees": worktrees})


@decision("hosts.share_setting")
def share_setting(state: State, key: str, new: str | None) -> list[NewEvent]:
    """Give a setting of all hosts (`settings.SHARED`) a value, None for none; [] if it has it. Raises BadInput."""
    if key not in SHARED:
        raise BadInput.because("setting_not_shared", key=key, known=[*SHARED])
    old = state.shared.get(key)
    return [NewEvent("setting.shared", {"key": key, "old": old, "new": new})] if old != new else []


@decision("hosts.observe")
def observe(state: State, host: str) -> list[NewEvent]:
    """``host`` asks the forges for all from here on; [] while another one does, or if it takes no part. What it then
    decides does not rest on being the only one: two that look at once record the same once."""
    known = state.hosts.get(host)
    if known is None or not known.takes_part or hosts.observer(state) is not None:
        return []
    old = state.shared.get(hosts.OBSERVER)
    return [NewEvent("setting.shared", {"key": hosts.OBSERVER, "old": old, "new": host})] if old != host else []


@decision("hosts.observe_instead")
def observe_instead(state: State, host: str, silent: str) -> list[NewEvent]:
    """``host`` asks the forges in place of ``silent``, which was not heard of for some time though it counts as there;
    [] if that no longer does, or ``host`` takes no part."""
    known = state.hosts.get(host)
    if known is None or not known.takes_part or state.shared.get(hosts.OBSERVER) != silent:
        return []
    return [NewEvent("setting.shared", {"key": hosts.OBSERVER, "old": silent, "new": host})]


@decision("hosts.observe_no_more")
def observe_no_more(state: State, host: str) -> list[NewEvent]:
    """``host`` has nothing set by which it would ask a forge: another one may; [] if it did not."""
    if state.shared.get(hosts.OBSERVER) != host:
        return []
    return [NewEvent("setting.shared", {"key": hosts.OBSERVER, "old": host, "new": None})]
