"""Decisions on reviews: what was observed of a pull request or a branch, what a user has reviewed, which report was
acknowledged, what became of a pull request that was to be opened."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kugetsu.domain.decide.sessions import find_session, issue_of
from kugetsu.domain.decision import decision
from kugetsu.domain.fold.reviews import SEEN
from kugetsu.domain.machines import OPEN_REVIEW, step
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Session, State, Task
from kugetsu.model.clock import add_seconds, seconds_between
from kugetsu.model.errors import Conflict

#: The longest pause between two tries to open a pull request, in seconds (an hour); and how often it is tried: for two
#: days and a half.
LONGEST_PAUSE = 3600.0
MOST_TRIES = 64


def _about(session: Session) -> dict[str, Any]:
    return {"issue": issue_of(session), "session": session.key, "cause": session.changed}


@decision("reviews.observe")
def observe(state: State, key: str, observed: dict[str, Any], over_at: str | None = None) -> list[NewEvent]:
    """Record what was observed of the session's pull request (`events.reviews.PullObserved`); [] if nothing changed.
    One that the session did not know is tied to it.

    With ``over_at``, the time of its end, that ends what waits for it: its merge the turns that would answer it, its
    close without one every waiting task that was asked for before (`over`).
    """
    session = find_session(state, key)
    known = session.pull or {}
    news = any(known.get(name) != observed[name] for name in SEEN)
    new_events = []
    if news and session.pr is None:
        new_events.append(NewEvent("session.pr", {"url": observed["url"], "source": "branch"}, **_about(session)))
    if news:
        new_events.append(NewEvent("pull.observed", {name: observed[name] for name in SEEN}, **_about(session)))
    if over_at is not None and observed["state"] != "open":
        ended = news and session.review in OPEN_REVIEW
        waiting = [task for task in state.waiting() if is_over(task, session, observed["state"], over_at, ended=ended)]
        new_events += cancelled(session, waiting, f"pull_{observed['state']}", len(new_events))
    return new_events


def is_over(task: Task, session: Session, how: str, over_at: str, *, ended: bool) -> bool:
    """Whether a task waits in vain because the session's pull request is ``how`` since ``over_at``; what was asked for
    later does not. A turn does, whenever it was queued, if that has only ``ended`` now for kugetsu."""
    if task.session != session.key:
        return False
    known = session.pull or {}
    before = asked_before(task, over_at, known["since"] if known.get("state") == how else None)
    return before and how == "closed" if task.reaction is None else before or ended


def asked_before(task: Task, at: str | None, known: int | None = None) -> bool:
    """Whether a task was asked for last before an end that a forge tells, ``at`` its own time; False if it tells none.

    What was asked for when kugetsu knew of the end, by the event ``known``, was asked for later, whatever the forge's
    clock says; and a forge may tell no end, only its latest change."""
    if at is None or (known is not None and task.asked > known):
        return False
    return seconds_between(task.asked_at or task.queued_at, at) > 0


def asked_before_close(task: Task, session: Session | None, at: str | None) -> bool:
    """`asked_before`, of the close of the issue of ``session``."""
    closed = session.closed if session is not None else None
    return asked_before(task, at, closed["seq"] if closed is not None and closed["at"] == at else None)


def cancelled(session: Session, tasks: Iterable[Task], reason: str, before: int) -> list[NewEvent]:
    """The end of tasks that wait in vain, caused by one another and the ``before`` events of their transaction."""
    new_events: list[NewEvent] = []
    about: dict[str, Any] = {"issue": issue_of(session), "session": session.key}
    for task in tasks:
        back = before + len(new_events)
        cause = -back if back else session.changed
        new_events.append(NewEvent("task.cancelled", {"reason": reason}, task=task.id, cause=cause, **about))
    return new_events


@decision("reviews.merged")
def merged(state: State, key: str, branch: str, base_branch: str, commit: str | None) -> list[NewEvent]:
    """The session's branch was found in its base branch; [] if that is known."""
    session = find_session(state, key)
    if session.review == "merged":
        return []
    data = {"branch": branch, "base_branch": base_branch, "commit": commit}
    return [NewEvent("branch.merged", data, **_about(session))]


@decision("reviews.done")
def done(state: State, key: str) -> list[NewEvent]:
    """A user has reviewed the work as it is, or wants no answer to the question that a run ended with; [] if that is
    recorded. Raises Conflict if there is nothing to review."""
    session = find_session(state, key)
    asked = session.review != "none" or session.result_kind == "question"
    if not asked or step("review", session.review, "approve") is None:
        raise Conflict.because("nothing_to_review", session=key, state=session.review)
    head = (session.pull or {}).get("head") or session.head
    if session.review == "approved" and session.reviewed == head:
        return []
    return [NewEvent("review.done", {"was": session.review, "head": head}, **_about(session))]


@decision("reviews.acknowledge")
def acknowledge(state: State, upto: int) -> list[NewEvent]:
    """A user has seen the report up to an event; [] if they have seen a later one."""
    if state.reported is not None and state.reported["upto"] >= upto:
        return []
    return [NewEvent("report.acknowledged", {"upto": upto})]


def is_owed(session: Session, intent: int) -> bool:
    """Whether a session still owes the pull request of an intent, by its seq."""
    return session.owed is not None and session.owed["seq"] == intent


def _of_intent(session: Session, intent: int) -> dict[str, Any]:
    owed = session.owed or {}
    work = {name: owed.get(name) for name in ("task", "attempt")}
    return {"issue": issue_of(session), "session": session.key, "cause": intent, **work}


@decision("reviews.opened")
def opened(state: State, key: str, intent: int, url: str, number: int, found: bool) -> list[NewEvent]:
    """The pull request of an intent (its seq) is open; [] if that is recorded, the intent was replaced, or the session
    was destroyed."""
    session = state.sessions.get(key)
    if session is None or session.owed is None or not is_owed(session, intent):
        return []
    data = {"url": url, "number": number, "head": session.owed["head"], "found": found}
    return [NewEvent("pull.opened", data, **_of_intent(session, intent))]


@decision("reviews.failed")
def failed(
    state: State,
    key: str,
    intent: int,
    reason: str,
    remedy: str,
    now: str,
    first_pause: float,
    passes: bool,
    retry_at: str | None = None,
) -> list[NewEvent]:
    """The pull request of an intent could not be opened; [] as `opened`. If that ``passes`` it is tried again: after
    ``first_pause`` seconds, doubled each time, and not before ``retry_at``."""
    session = state.sessions.get(key)
    if session is None or session.owed is None or not is_owed(session, intent):
        return []
    tries = session.owed["tries"] + 1
    again = tried_again(tries, now, first_pause, retry_at) if passes else None
    data: dict[str, Any] = {"reason": reason, "tries": tries, "not_before": again}
    if remedy:
        data["remedy"] = remedy
    return [NewEvent("pull.failed", data, **_of_intent(session, intent))]


def tried_again(tries: int, now: str, first_pause: float, retry_at: str | None) -> str | None:
    """When an act at a forge that has failed so often is tried again; None after `MOST_TRIES`."""
    if tries >= MOST_TRIES:
        return None
    again = add_seconds(now, min(first_pause * 2.0 ** min(tries - 1, 64), LONGEST_PAUSE))
    if retry_at is not None and seconds_between(again, retry_at) > 0:
        return add_seconds(retry_at, 0.0)
    return again
