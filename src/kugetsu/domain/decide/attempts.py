"""Decisions on attempts: how each one ends, and the consequence for its task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kugetsu.domain import divergence, outages, task_options, unread, worktree_setup
from kugetsu.domain.decide import reviews, verification
from kugetsu.domain.decide.sessions import find_attempt
from kugetsu.domain.decision import decision
from kugetsu.domain.events import Identity
from kugetsu.domain.facts import Ending, OutcomeFacts
from kugetsu.domain.machines import OPEN_REVIEW, step
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.results import result_of
from kugetsu.domain.state import ENDED, Attempt, State, Task
from kugetsu.model.clock import add_seconds, seconds_between
from kugetsu.model.errors import BadInput, Conflict

#: The longest pause between two attempts, in seconds (5 minutes, cli.md RETRY_BACKOFF_SECONDS).
LONGEST_BACKOFF = 300.0
#: Seconds added to a stated reset time, because the provider's clock may be a little behind.
RESET_MARGIN = 60.0


#: The verdict on a run that did not end well, or has no agent yet, and whose issue asks for no work any more.
WITHDRAWN = "withdrawn"


def _about(attempt: Attempt, cause: int) -> dict[str, Any]:
    return {
        "issue": attempt.issue,
        "task": attempt.task,
        "attempt": attempt.id,
        "session": attempt.session,
        "cause": cause,
    }


@decision("attempts.starting")
def starting(state: State, attempt_id: str, runner: Identity) -> list[NewEvent]:
    """The runner takes over the attempt from its claimer."""
    attempt = find_attempt(state, attempt_id)
    if attempt.state != "claimed":
        raise Conflict.because("attempt_taken", attempt=attempt_id, state=attempt.state)
    return [NewEvent("attempt.starting", {"runner": runner}, **_about(attempt, attempt.claimed))]


@decision("attempts.running")
def running(
    state: State, attempt_id: str, agent: Identity, agent_session: str, worktree: str, program: str
) -> list[NewEvent]:
    """The agent's process runs. Raises Conflict if the attempt is not starting or its session is not idle."""
    attempt = find_attempt(state, attempt_id)
    if step("attempt", attempt.state, "run") is None:
        raise Conflict.because("attempt_not_starting", attempt=attempt_id, state=attempt.state)
    session = state.sessions.get(attempt.session)
    if session is None or step("session", session.state, "work") is None:
        is_now = session.state if session is not None else "gone"
        raise Conflict.because("session_not_idle", session=attempt.session, state=is_now, attempt=attempt_id)
    data = {"agent": agent, "agent_session": agent_session, "worktree": worktree, "program": program}
    return [NewEvent("attempt.running", data, **_about(attempt, attempt.claimed))]


def backoff_seconds(used: int, first: float) -> float:
    """The pause after ``used`` attempts: ``first`` seconds, doubled each time, at most five minutes."""
    # After 64 doublings any pause is past the longest; more would overflow a float.
    return min(first * 2.0 ** min(max(used - 1, 0), 64), LONGEST_BACKOFF)


@decision("attempts.finish", ending=Ending)
def finish(state: State, attempt_id: str, ending: Ending, facts: OutcomeFacts) -> list[NewEvent]:
    """The attempt's end and its consequence for the task and the session, in one transaction.

    An attempt that has already ended yields no events: whoever noticed first has recorded it. Of one that was given
    away with its host, what came of it counts for the issue (`attempt.late`), once.
    """
    attempt = state.attempts.get(attempt_id)
    if attempt is None:
        return _late(state, attempt_id, ending)
    return end(state, attempt, ending, facts, cause=attempt.stop_seq or attempt.claimed)


def _late(state: State, attempt_id: str, ending: Ending) -> list[NewEvent]:
    gone = next((host.away[attempt_id] for host in state.hosts.values() if attempt_id in host.away), None)
    if gone is None:
        return []
    data = {name: getattr(ending, name) for name in ("reason", "evidence", "tokens", "cost", "rescue")}
    return [NewEvent("attempt.late", data, attempt=attempt_id, **gone)]


def end(state: State, attempt: Attempt, ending: Ending, facts: OutcomeFacts, *, cause: int) -> list[NewEvent]:
    """The events of an attempt's end: its outcome, which rests on the event ``cause``, and the consequences."""
    how, verdict = _as_the_machine_allows(attempt, ending)
    task = state.tasks[attempt.task]
    if task.withdrawn and verdict not in ("done", "cancelled"):
        verdict = WITHDRAWN  # what was to wait would be cancelled, too
    vain = _in_vain(state, attempt, ending)
    if vain and task in vain and verdict not in ("done", "cancelled"):
        verdict = WITHDRAWN
    data: dict[str, Any] = {
        "reason": ending.reason,
        "outcome": ending.outcome,
        "evidence": ending.evidence,
        "result": result_of(ENDED[how], ending.outcome, ending.evidence),
        "exit": ending.exit,
        "signal": ending.signal,
        "tokens": ending.tokens,
        "cost": ending.cost,
        "rescue": ending.rescue,
    }
    if ending.rescue_failed is not None:
        data["rescue_failed"] = ending.rescue_failed
    about = _about(attempt, cause)
    recorded: dict[str, Any] = {
        **facts,
        "verdict": verdict,
        "resets_at": ending.resets_at,
        "session_lost": ending.session_lost,
        "used": task.used,
    }
    if verdict == "unavailable":
        recorded["unavailable"] = {"gate": ending.gate, "remedy": ending.remedy}
    new_events = [NewEvent(ENDED[how], data, facts=recorded, **about)]
    new_events.append(_consequence(state, attempt, task, ending, verdict, facts, vain))
    new_events += _of_session(state, attempt, ending)
    new_events += outages.ended_by(state, attempt, ending, verdict, len(new_events))
    if ending.opening is not None and data["result"]["kind"] == "pushed" and attempt.session in state.sessions:
        # With the attempt's end: after a crash the intent is there.
        new_events.append(NewEvent("pull.opening", dict(ending.opening), **_about(attempt, -len(new_events))))
    new_events += _of_verification(state, attempt, ending, data["result"]["kind"], len(new_events))
    if vain:
        others = [one for one in vain if one is not task]
        session, how = state.sessions[attempt.session], ending.evidence["pull"]["state"]
        new_events += reviews.cancelled(session, others, f"pull_{how}", len(new_events))
    return new_events


def _in_vain(state: State, attempt: Attempt, ending: Ending) -> list[Task]:
    """The tasks for which there is nothing to do because the pull request was seen to be over at the run's end: those
    that wait, and the run's own, should it have to wait."""
    pull, session = ending.evidence.get("pull") or {}, state.sessions.get(attempt.session)
    how, over_at = pull.get("state"), pull.get("over_at")
    if session is None or over_at is None or how not in ("closed", "merged"):
        return []
    ended = session.review in OPEN_REVIEW
    tasks = [*state.waiting(), state.tasks[attempt.task]]
    return [task for task in tasks if reviews.is_over(task, session, how, over_at, ended=ended)]


def _of_verification(state: State, attempt: Attempt, ending: Ending, kind: str, before: int) -> list[NewEvent]:
    """What a verification says to the loop: feedback that the daemon answers with the next turn, or that an earlier one
    is over."""
    session = state.sessions.get(attempt.session)
    said = (ending.evidence.get("verification") or {}).get("code")
    if session is None:
        return []
    items = [ending.failed_check] if ending.failed_check is not None and kind == "checks_failed" else []
    url = (ending.evidence.get("pull") or {"url": session.pr})["url"]
    found = verification.feedback(state, session, said, items, url, ending.evidence.get("head"))
    return [NewEvent("feedback.seen", data, **_about(attempt, -before)) for data in found]


def _of_session(state: State, attempt: Attempt, ending: Ending) -> list[NewEvent]:
    """The consequence for the session; the two new_events before are the end and the consequence for the task."""
    session = state.sessions.get(attempt.session)
    new_events: list[NewEvent] = []
    if session is None:
        return new_events
    found = ending.evidence.get("pull")
    if found and session.pr != found["url"]:
        tied = {"url": found["url"], "source": "branch"}
        new_events.append(NewEvent("session.pr", tied, issue=attempt.issue, session=session.key, cause=-2))
    if session.state == "broken":
        return new_events
    if ending.session_lost or session.state == "preparing":
        broken = {"reason": ending.reason}
        back = -2 - len(new_events)
        new_events.append(NewEvent("session.broken", broken, issue=attempt.issue, session=session.key, cause=back))
    return new_events


def _as_the_machine_allows(attempt: Attempt, ending: Ending) -> tuple[str, str]:
    """The ending's ``how`` and ``verdict``: an agent that was never seen running cannot have succeeded."""
    if ending.how == "succeed" and attempt.state != "running":
        return "fail", "retry"
    return ending.how, ending.verdict


def _consequence(
    state: State,
    attempt: Attempt,
    task: Task,
    ending: Ending,
    verdict: str,
    facts: OutcomeFacts,
    vain: Sequence[Task],
) -> NewEvent:
    about: dict[str, Any] = {"issue": task.issue, "task": task.id, "attempt": attempt.id, "cause": -1}
    if attempt.stop == "cancel" and verdict != "done":
        return NewEvent("task.cancelled", {"reason": "cancel"}, **about)
    if verdict == "done":
        return NewEvent("task.completed", {"summary": ending.reason}, **about)
    if verdict == "cancelled":
        return NewEvent("task.cancelled", {"reason": ending.reason}, **about)
    if verdict == WITHDRAWN:
        reason = f"pull_{ending.evidence['pull']['state']}" if task in vain else ending.withdrawn or "intake_gone"
        return NewEvent("task.cancelled", {"reason": reason}, **about)
    if verdict == "limited":
        return NewEvent("task.parked", _park(attempt, ending, facts), **about)
    if verdict == worktree_setup.UNREADY:
        session = state.sessions.get(attempt.session)
        return NewEvent("task.parked", worktree_setup.park(session, attempt, ending, facts["now"]), **about)
    if verdict == divergence.DIVERGED:
        return NewEvent("task.parked", divergence.park(attempt, ending), **about)
    if verdict == unread.UNREAD:
        return NewEvent("task.parked", unread.park(task, ending, facts["now"]), **about)
    if outages.is_met(task, verdict):
        return NewEvent("task.parked", outages.park(state, attempt, ending, facts), **about)
    used, most = task.used, task_options.max_attempts(task, facts["max_attempts"])
    passing = verdict in ("retry", "unavailable")
    if passing and used < most:
        not_before = add_seconds(facts["now"], backoff_seconds(used, facts["backoff_seconds"]))
        data = {"not_before": not_before, "used": used, "max_attempts": most, "reason": ending.reason}
        return NewEvent("task.retried", data, **about)
    data = {"reason": ending.reason, "used": used, "max_attempts": most}
    return NewEvent("task.failed", {**data, "values": {"failures": used}} if passing else data, **about)


def _park(attempt: Attempt, ending: Ending, facts: OutcomeFacts) -> dict[str, Any]:
    try:
        wait = seconds_between(facts["now"], ending.resets_at) if ending.resets_at is not None else 0.0
    except BadInput:  # a provider's text must never keep an attempt from ending
        wait = 0.0
    stated = wait > 0
    until = add_seconds(facts["now"], wait + RESET_MARGIN if stated else facts["pause_seconds"])
    limit = attempt.label or facts["agent"]
    return {"until": until, "stated": stated, "limit": limit, "reason": ending.reason, "gate": "provider"}


@decision("attempts.unsettled")
def unsettled(state: State, attempt_id: str, reason: str) -> list[NewEvent]:
    """Record why a dead attempt's end cannot be recorded; [] if it has ended, or if that reason is already recorded."""
    attempt = state.attempts.get(attempt_id)
    if attempt is None or attempt.unsettled == reason:
        return []
    return [NewEvent("attempt.unsettled", {"reason": reason}, **_about(attempt, attempt.claimed))]


@decision("attempts.stop")
def stop(state: State, attempt_id: str, reason: str) -> list[NewEvent]:
    """Intent to end the agent of a live attempt; [] if already requested, for any reason."""
    attempt = find_attempt(state, attempt_id)
    if attempt.stop is not None:
        return []
    return [NewEvent("attempt.stop_requested", {"reason": reason}, **_about(attempt, attempt.claimed))]
