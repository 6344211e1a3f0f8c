"""Decisions on sessions, repositories and the directory itself."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.decide.queue import require_initialised
from kugetsu.domain.decision import decision
from kugetsu.domain.fold import usage
from kugetsu.domain.machines import step
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Attempt, Session, State
from kugetsu.model.errors import Conflict, NotFound


def issue_of(session: Session) -> str | None:
    """The issue ref of an issue session; None for base and PM sessions."""
    return session.key if session.kind == "issue" else None


def find_session(state: State, key: str) -> Session:
    """The session of that key. Raises NotFound."""
    session = state.sessions.get(key)
    if session is None:
        raise NotFound.because("session_unknown", session=key)
    return session


def find_attempt(state: State, attempt_id: str) -> Attempt:
    """The live attempt of that id. Raises NotFound."""
    attempt = state.attempts.get(attempt_id)
    if attempt is None:
        raise NotFound.because("attempt_not_live", attempt=attempt_id)
    return attempt


def _find_ready_to(state: State, key: str, trigger: str) -> Session:
    """The session of that key. Raises Conflict if its state machine refuses ``trigger``."""
    session = find_session(state, key)
    if step("session", session.state, trigger) is None:
        raise Conflict.because("session_not_ready", session=key, state=session.state)
    return session


def base_key(repository: str, host: str | None = None) -> str:
    """The key of a repository's base session; of that of ``host``, if another one had made the first."""
    return f"base:{repository}" if host is None else f"base:{repository}@{host}"


def repository_of_base(key: str) -> str:
    """The repository of a base session's key."""
    return key.removeprefix("base:").partition("@")[0]


def create_log(state: State, log_id: str, version: str) -> list[NewEvent]:
    """The first event of a new log; [] if the log has an id."""
    if state.log_id is not None:
        return []
    return [NewEvent("log.created", {"log_id": log_id, "kugetsu": version})]


@decision("sessions.initialise")
def initialise(state: State, log_id: str, version: str, agent: str) -> list[NewEvent]:
    """`kugetsu init`: give a new log its id; a second time changes nothing."""
    new_events = create_log(state, log_id, version)
    if not state.initialised:
        new_events.append(NewEvent("kugetsu.initialised", {"agent": agent, "kugetsu": version}))
    return new_events


@decision("sessions.register")
def register(state: State, repository: str, origin: dict[str, str]) -> list[NewEvent]:
    """Register the clone (``path``, in a shared log with its ``host``, which others do not have) or the URL that a
    repository's worktrees come from."""
    from kugetsu.domain import hosts  # few commands that make sessions register anything

    require_initialised(state)
    there = hosts.registrations(state, repository)
    if "url" in origin:  # for any host
        known = len(there) == 1 and there[0].get("url") == origin["url"]
    else:
        known = any(one.get("path") == origin["path"] and one.get("host") == origin.get("host") for one in there)
    return [] if known else [NewEvent("repository.registered", {"repository": repository, **origin})]


@decision("sessions.request")
def request(state: State, key: str, kind: str, repository: str | None) -> list[NewEvent]:
    """Request a session; [] if it exists."""
    require_initialised(state)
    if key in state.sessions:
        return []
    issue = key if kind == "issue" else None
    return [NewEvent("session.requested", {"kind": kind, "repository": repository}, issue=issue, session=key)]


@decision("sessions.preparing")
def preparing(
    state: State, key: str, intent: dict[str, Any], attempt: str | None = None, lease: str | None = None
) -> list[NewEvent]:
    """Intent to make the session's worktree and agent session (`events.sessions.SessionPreparing`), by an ``attempt``
    or by whoever holds the ``lease`` (`require_claim`).

    An idle session must be `broken` first, which records why it is prepared again.
    """
    require_claim(state, key, lease)
    session = _find_ready_to(state, key, "prepare")
    return [NewEvent("session.preparing", intent, **_about(state, session, attempt))]


@decision("sessions.prepared")
def prepared(
    state: State, key: str, result: dict[str, Any], attempt: str | None = None, lease: str | None = None
) -> list[NewEvent]:
    """The session is prepared (`events.sessions.SessionPrepared`)."""
    require_claim(state, key, lease)
    session = _find_ready_to(state, key, "ready")
    return [NewEvent("session.prepared", result, **_about(state, session, attempt))]


def _about(state: State, session: Session, attempt: str | None) -> dict[str, Any]:
    """The subject of an event on a session that an attempt (or none) prepares.

    Raises NotFound if that attempt is not live: its task was given away with its host, and the session with it.
    """
    live = find_attempt(state, attempt) if attempt is not None else None
    return {
        "issue": issue_of(session),
        "session": session.key,
        "attempt": attempt,
        "task": live.task if live is not None else None,
        "cause": session.changed,
    }


def require_claim(state: State, key: str, lease: str | None) -> None:
    """Raise Conflict if the claim on the session of an attempt, or of a person, with that ``lease`` is over: it was
    given away with its host, and the session with it. None is for those who need no claim."""
    if lease is None:
        return
    session = state.sessions.get(key)
    held = [attempt.lease for attempt in state.attempts.values() if attempt.session == key]
    if session is not None and session.person is not None:
        held.append(session.person["lease"])
    if lease not in held:
        raise Conflict.because("claim_given_away", session=key)


@decision("sessions.rescued")
def rescued(
    state: State, key: str, branch: str | None, attempt: str | None = None, lease: str | None = None
) -> list[NewEvent]:
    """The work of a failed attempt has been saved on ``branch`` (None: none was left to save)."""
    require_claim(state, key, lease)
    session = find_session(state, key)
    if session.unsaved is None:
        return []
    data = {"branch": branch, "of": session.unsaved["attempt"]}
    return [NewEvent("session.rescued", data, **_about(state, session, attempt))]


@decision("sessions.forwarded")
def forwarded(
    state: State,
    key: str,
    branch: str,
    was: str,
    head: str,
    commits: int,
    attempt: str | None = None,
    lease: str | None = None,
) -> list[NewEvent]:
    """Others' commits are in the session's worktree by now (`events.sessions.SessionForwarded`)."""
    require_claim(state, key, lease)
    session = find_session(state, key)
    data = {"branch": branch, "was": was, "head": head, "commits": commits}
    return [NewEvent("session.forwarded", data, **_about(state, session, attempt))]


@decision("sessions.broken")
def broken(state: State, key: str, reason: str, attempt: str | None = None, lease: str | None = None) -> list[NewEvent]:
    """The session cannot be used as it is; [] if already known. Also ends a failed destruction. Raises NotFound if the
    attempt that found it so is not live any more, Conflict if the claim of that ``lease`` is over."""
    require_claim(state, key, lease)
    if attempt is not None:
        find_attempt(state, attempt)
    session = find_session(state, key)
    if session.state == "broken" and not session.destroying:
        return []
    about: dict[str, Any] = {"issue": issue_of(session), "session": key, "cause": session.changed}
    return [NewEvent("session.broken", {"reason": reason}, **about)]


def unused(state: State, session: Session, force: bool) -> list[str]:
    """The waiting tasks that end with a destroyed session. Raises Conflict while an agent works in it and, without
    `force`, while tasks wait for it."""
    require_free(state, session)
    waiting = [task.id for task in state.waiting() if task.session == session.key]
    if session.destroying and not force:
        return []
    if waiting and not force:
        raise Conflict.because("session_wanted", session=session.key, tasks=waiting)
    return waiting


def require_free(state: State, session: Session) -> None:
    """Raise Conflict while an agent or a person works in the session."""
    if session.attempt is not None or session.person is not None:
        raise busy(state, session)


def busy(state: State, session: Session) -> Conflict:
    """The error for a session in which an agent or a person works."""
    if session.person is not None:
        return Conflict.because("session_attached", **held_by(session))
    attempt = session.attempt or ""
    return Conflict.because("session_busy", session=session.key, attempt=attempt, task=state.attempts[attempt].task)


def held_by(session: Session) -> dict[str, Any]:
    """Who works in the session: the values of a refusal."""
    person = session.person or {}
    who = {name: person[name] for name in ("user", "host")}
    return {"session": session.key, **who, "pid": person["holder"]["pid"], "since": person["at"]}


@decision("sessions.destroying")
def destroying(state: State, key: str, force: bool, reason: str, host: str | None = None) -> list[NewEvent]:
    """Intent to remove a session; refused while an agent works in it or tasks wait for it, and on a ``host`` of a
    shared log that does not have it, or was lost.

    From here on nothing starts in it until `destroyed`, or `broken` if it could not be removed. An unfinished removal
    continues even if tasks wait: it holds them back, and they get a new session afterwards.
    """
    session = find_session(state, key)
    here = state.hosts.get(host or "")
    if here is not None and here.state == "lost":  # what was given away may still work in the worktree
        raise Conflict.because("host_takes_no_part", host=here.name, state=here.state)
    if host is not None and session.host not in (None, host):
        raise _moved(state, session)
    waiting = unused(state, session, force)
    about: dict[str, Any] = {"issue": issue_of(session), "session": key}
    new_events = [
        NewEvent(
            "task.cancelled",
            {"reason": "session destroyed"},
            task=task_id,
            cause=state.tasks[task_id].changed,
            issue=about["issue"],
        )
        for task_id in waiting
    ]
    data = {"force": force, "reason": reason}
    return [*new_events, NewEvent("session.destroying", data, cause=session.changed, **about)]


@decision("sessions.destroyed")
def destroyed(state: State, key: str, result: dict[str, Any], begun: int | None = None) -> list[NewEvent]:
    """The session was removed (`events.sessions.SessionDestroyed`). Raises Conflict while an agent works in it, and as
    `require_begun`."""
    session = _find_ready_to(state, key, "destroy")
    require_begun(state, key, begun, result["rescue"])
    require_free(state, session)
    about: dict[str, Any] = {"issue": issue_of(session), "session": key, "cause": session.destroying or session.changed}
    return [NewEvent("session.destroyed", result, **about)]


def require_begun(state: State, key: str, begun: int | None, rescue: str | None = None) -> None:
    """Raise Conflict if a removal, whose intent is the event ``begun``, was given up with its host: another one may
    have the session by now. None in a log that is one host's own. ``rescue``: the branch that has its work already."""
    session = find_session(state, key)
    if begun not in (None, session.destroying):
        raise Conflict.because("removal_given_up", session=session.key, rescue=rescue)


def not_destroyed(state: State, key: str, reason: str, begun: int | None) -> list[NewEvent]:
    """A removal failed; [] if it was given up before (`require_begun`)."""
    return broken(state, key, reason) if begun in (None, find_session(state, key).destroying) else []


def _moved(state: State, session: Session) -> Conflict:
    host = state.hosts.get(session.host or "")
    return Conflict.because("session_moved", session=session.key, host=host.name if host is not None else session.host)


@decision("sessions.set_pr")
def set_pr(state: State, key: str, url: str, source: str) -> list[NewEvent]:
    """Tie a pull request to the session (`events.sessions.SessionPr`); [] if already tied."""
    session = find_session(state, key)
    if session.pr == url:
        return []
    data = {"url": url, "source": source}
    return [NewEvent("session.pr", data, issue=issue_of(session), session=key, cause=session.changed)]


def setting_changed(
    key: str,
    old: str | None,
    new: str,
    repository: str | None = None,
    *,
    inherited: bool = False,
    host: str | None = None,
) -> list[NewEvent]:
    """Record a written setting (`events.system.SettingChanged`); ``host``: in a log that hosts share."""
    data: dict[str, Any] = {"key": key, "old": old, "new": new}
    if repository is not None:
        data |= {"repository": repository, "inherited": inherited}
    if host is not None:
        data["host"] = host
    return [NewEvent("setting.changed", data)]


@decision("sessions.correct_counters")
def correct_counters(state: State, issue: str, new: dict[str, Any], wrong: int) -> list[NewEvent]:
    """Correct the issue's usage to ``new`` (`state.ISSUE_COUNTERS`), counted from its history; ``wrong`` is the event
    that carried other counters. [] if there are no counters, or if they are already correct."""
    old = usage.of_issue(state, issue)
    if old is None or old == new:
        return []
    session = issue if issue in state.sessions else None
    return [NewEvent("counters.corrected", {"old": old, "new": new}, issue=issue, session=session, cause=wrong)]
