"""Folds the events of attempts: the claim takes a slot, the outcome releases it."""

from __future__ import annotations

from kugetsu.domain.fold import reviews, usage
from kugetsu.domain.fold.sessions import move_session
from kugetsu.domain.fold.tasks import move_task
from kugetsu.domain.machines import step
from kugetsu.domain.state import Attempt, State
from kugetsu.model.clock import seconds_between

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kugetsu.domain.events import Event

    Handler = Callable[[State, Event], None]


def move_attempt(state: State, event: Event, trigger: str) -> Attempt | None:
    """The live attempt of ``event`` after ``trigger``; None (and a violation) if it is not live, or refuses."""
    attempt = state.attempts.get(event["attempt"])
    if attempt is None:
        state.violate(event["seq"], f"{event['type']} names the attempt {event['attempt']}, which is not live")
        return None
    dest = step("attempt", attempt.state, trigger)
    if dest is None:
        state.violate(event["seq"], f"{event['type']}: an attempt that is {attempt.state} cannot {trigger}")
        return None
    attempt.state = dest
    return attempt


def attempt_claimed(state: State, event: Event) -> None:
    """Fold of ``attempt.claimed``."""
    data = event["data"]
    attempt_id, kind, slot, number = event["attempt"], data["kind"], data["slot"], data["number"]
    lease, claimer = data["lease"], data["claimer"]
    label = data.get("agent") or (event["facts"]["agent"] if "facts" in event else None)
    task = move_task(state, event, "claim")
    if task is None:
        return
    attempt = Attempt(attempt_id, task.id, kind, task.issue, task.session)
    attempt.slot = slot
    attempt.lease = lease
    attempt.label = label
    attempt.claimer = claimer
    attempt.claimed = event["seq"]
    attempt.claimed_at = event["at"]
    state.attempts[attempt.id] = attempt
    attempt.term = (event.get("facts") or {}).get("term", 0)
    if state.hosts:
        from kugetsu.domain.fold import hosts

        hosts.claimed(state, attempt, event)
    task.attempt = attempt.id
    task.usage.attempts = number
    task.used += 1
    task.not_before = None
    session = state.sessions.get(task.session)
    if session is not None:
        session.attempt = attempt.id
        session.unattended = task.by_intake or task.reaction is not None
        session.by_intake = task.by_intake or (session.by_intake and task.reaction is not None)
        session.usage.attempts += 1
        session.notes = []


def attempt_starting(state: State, event: Event) -> None:
    """Fold of ``attempt.starting``."""
    runner = event["data"]["runner"]
    attempt = move_attempt(state, event, "spawn")
    if attempt is not None:
        attempt.runner = runner


def attempt_running(state: State, event: Event) -> None:
    """Fold of ``attempt.running``."""
    agent, agent_session = event["data"]["agent"], event["data"]["agent_session"]
    attempt = move_attempt(state, event, "run")
    if attempt is None:
        return
    attempt.agent = agent
    attempt.agent_session = agent_session
    attempt.running_at = event["at"]
    state.tasks[attempt.task].begun = True
    move_session(state, event, attempt.session, "work")


def attempt_stop_requested(state: State, event: Event) -> None:
    """Fold of ``attempt.stop_requested``."""
    attempt = state.attempts.get(event["attempt"])
    if attempt is None:
        state.violate(event["seq"], f"attempt.stop_requested names {event['attempt']}, which is not live")
        return
    attempt.stop = event["data"]["reason"]
    attempt.stop_seq = event["seq"]


def attempt_unsettled(state: State, event: Event) -> None:
    """Fold of ``attempt.unsettled``: the first time, and the latest reason."""
    reason = event["data"]["reason"]
    attempt = state.attempts.get(event["attempt"])
    if attempt is None:
        state.violate(event["seq"], f"attempt.unsettled names {event['attempt']}, which is not live")
        return
    attempt.unsettled = reason
    attempt.unsettled_at = attempt.unsettled_at or event["at"]


def attempt_ended(trigger: str) -> Handler:
    """Fold of the ends of attempts (`events.attempts.AttemptEnded`); ``trigger`` is the machine's."""

    def handler(state: State, event: Event) -> None:
        data = event["data"]
        evidence, result, _tokens, _cost = data["evidence"], data["result"], data["tokens"], data["cost"]
        notes = data["outcome"].get("notes") or []
        attempt = move_attempt(state, event, trigger)
        if attempt is None:
            return
        del state.attempts[attempt.id]
        if evidence.get("work"):
            from kugetsu.domain.fold import hosts

            hosts.given_away(state, attempt)
        if state.hosts:
            from kugetsu.domain.fold import hosts

            hosts.attempt_ended(state, attempt, trigger == "fail", event["at"])
        task = state.tasks[attempt.task]
        task.attempt = None
        task.usage.count(event["type"], data)
        task.result = result
        ran = _seconds(attempt, event)
        task.usage.seconds += ran
        session = state.sessions.get(attempt.session)
        if session is None:
            return
        session.attempt = None
        if trigger == "succeed":
            # An attempt that failed is in the list of errors, with its reason.
            session.notes = [*session.notes, *notes]
        if data.get("rescue_failed"):
            session.unsaved = {"attempt": attempt.id, "reason": data["rescue_failed"]}
        session.usage.count(event["type"], data)
        session.usage.seconds += ran
        usage.note_end(session, trigger == "succeed", evidence)
        if evidence.get("verification"):
            from kugetsu.domain import verification

            session.verified = verification.of_attempt(session, event, attempt.claimed_at)
        if session.owed is not None:
            session.owed = {**session.owed, "to_verify": bool(evidence.get("to_verify"))}
        reviews.attempt_result(state, event, session)
        if session.state == "working":
            move_session(state, event, session.key, "rest")

    return handler


def _seconds(attempt: Attempt, event: Event) -> float:
    """How long its agent ran; none if it never did, or if the clock was set back meanwhile."""
    return max(seconds_between(attempt.running_at, event["at"]), 0.0) if attempt.running_at else 0.0
