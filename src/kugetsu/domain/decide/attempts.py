"""Decisions on attempts: how each one ends, and what follows for its task."""

from __future__ import annotations

from kugetsu.clock import add_seconds
from kugetsu.domain.draft import Draft
from kugetsu.errors import Conflict, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.facts import OutcomeFacts
    from kugetsu.domain.state import Attempt, Identity, State, Task

#: The longest pause between two attempts, in seconds (5 minutes, cli.md RETRY_BACKOFF_SECONDS).
LONGEST_BACKOFF = 300.0
#: Seconds added to a stated reset time, so that the provider's clock may be a little behind ours.
RESET_MARGIN = 60.0


class Ending:
    """How an attempt ended, as its runner (or whoever found it dead) saw it.

    ``how`` is the trigger of the attempt's machine: succeed, fail, time_out, kill or lose. ``verdict`` is what that
    means for the task: done, retry, limited, give_up or cancelled. ``resets_at`` belongs to limited.
    """

    __slots__ = (
        "cost",
        "evidence",
        "exit",
        "how",
        "outcome",
        "reason",
        "rescue",
        "resets_at",
        "session_lost",
        "signal",
        "tokens",
        "verdict",
    )

    def __init__(
        self,
        how: str,
        verdict: str,
        reason: str,
        *,
        outcome: dict[str, Any] | None = None,
        evidence: dict[str, Any] | None = None,
        exit: int | None = None,
        signal: int | None = None,
        tokens: int = 0,
        cost: float = 0.0,
        rescue: str | None = None,
        resets_at: str | None = None,
        session_lost: bool = False,
    ) -> None:
        self.how = how
        self.verdict = verdict
        self.reason = reason
        self.outcome = outcome or {}
        self.evidence = evidence or {}
        self.exit = exit
        self.signal = signal
        self.tokens = tokens
        self.cost = cost
        self.rescue = rescue
        self.resets_at = resets_at
        self.session_lost = session_lost


ENDED = {
    "succeed": "attempt.succeeded",
    "fail": "attempt.failed",
    "time_out": "attempt.timed_out",
    "kill": "attempt.killed",
    "lose": "attempt.lost",
}


def find_attempt(state: State, attempt_id: str) -> Attempt:
    """The live attempt of that id; NotFound when none lives."""
    attempt = state.attempts.get(attempt_id)
    if attempt is None:
        raise NotFound(f"no attempt {attempt_id} is live", hint=f"kugetsu history {attempt_id}")
    return attempt


def _about(attempt: Attempt, cause: int) -> dict[str, Any]:
    return {
        "issue": attempt.issue,
        "task": attempt.task,
        "attempt": attempt.id,
        "session": attempt.session,
        "cause": cause,
    }


def starting(state: State, attempt_id: str, runner: Identity) -> list[Draft]:
    """The runner takes the attempt over from its claimer."""
    attempt = find_attempt(state, attempt_id)
    if attempt.state != "claimed":
        raise Conflict(f"{attempt_id} is {attempt.state} already")
    return [Draft("attempt.starting", {"runner": runner}, **_about(attempt, attempt.claimed))]


def running(
    state: State, attempt_id: str, agent: Identity, agent_session: str, worktree: str, program: str
) -> list[Draft]:
    """The agent's process is there."""
    attempt = find_attempt(state, attempt_id)
    data = {"agent": agent, "agent_session": agent_session, "worktree": worktree, "program": program}
    return [Draft("attempt.running", data, **_about(attempt, attempt.claimed))]


def backoff_seconds(used: int, first: float) -> float:
    """The pause after ``used`` attempts: ``first`` seconds, doubled each time, at most five minutes."""
    return min(first * 2.0 ** max(used - 1, 0), LONGEST_BACKOFF)


def finish(state: State, attempt_id: str, ending: Ending, facts: OutcomeFacts) -> list[Draft]:
    """The attempt's end and its consequence for the task and the session, in one transaction.

    An attempt that has ended already gives no events: the first who noticed has recorded it.
    """
    attempt = state.attempts.get(attempt_id)
    if attempt is None:
        return []
    ending = _as_the_machine_allows(attempt, ending)
    task = state.tasks[attempt.task]
    data: dict[str, Any] = {
        "reason": ending.reason,
        "outcome": ending.outcome,
        "evidence": ending.evidence,
        "exit": ending.exit,
        "signal": ending.signal,
        "tokens": ending.tokens,
        "cost": ending.cost,
        "rescue": ending.rescue,
    }
    about = _about(attempt, attempt.stop_seq or attempt.claimed)
    recorded: dict[str, Any] = {
        **facts,
        "verdict": ending.verdict,
        "resets_at": ending.resets_at,
        "session_lost": ending.session_lost,
        "used": task.used,
    }
    drafts = [Draft(ENDED[ending.how], data, facts=recorded, **about)]
    drafts.append(_consequence(attempt, task, ending, facts))
    session = state.sessions.get(attempt.session)
    if session is not None and (ending.session_lost or session.state == "preparing"):
        broken = {"reason": ending.reason}
        drafts.append(Draft("session.broken", broken, issue=attempt.issue, session=session.key, cause=-2))
    return drafts


def _as_the_machine_allows(attempt: Attempt, ending: Ending) -> Ending:
    """An agent that was never seen running cannot have succeeded."""
    if ending.how == "succeed" and attempt.state != "running":
        ending.how, ending.verdict = "fail", "retry"
    return ending


def _consequence(attempt: Attempt, task: Task, ending: Ending, facts: OutcomeFacts) -> Draft:
    about: dict[str, Any] = {"issue": task.issue, "task": task.id, "attempt": attempt.id, "cause": -1}
    if attempt.stop == "cancel" and ending.verdict != "done":
        return Draft("task.cancelled", {"reason": "cancel"}, **about)
    if ending.verdict == "done":
        return Draft("task.completed", {"summary": ending.reason}, **about)
    if ending.verdict == "cancelled":
        return Draft("task.cancelled", {"reason": ending.reason}, **about)
    if ending.verdict == "limited":
        return Draft("task.parked", _park(ending, facts), **about)
    used, most = task.used, facts["max_attempts"]
    if ending.verdict == "retry" and used < most:
        not_before = add_seconds(facts["now"], backoff_seconds(used, facts["backoff_seconds"]))
        data = {"not_before": not_before, "used": used, "max_attempts": most, "reason": ending.reason}
        return Draft("task.retried", data, **about)
    plural = "attempt" if used == 1 else "attempts"
    spent = f"{used} {plural} failed: {ending.reason}" if ending.verdict == "retry" else ending.reason
    return Draft("task.failed", {"reason": spent, "used": used, "max_attempts": most}, **about)


def _park(ending: Ending, facts: OutcomeFacts) -> dict[str, Any]:
    stated = ending.resets_at is not None and ending.resets_at > facts["now"]
    if stated and ending.resets_at is not None:
        until = add_seconds(ending.resets_at, RESET_MARGIN)
    else:
        until = add_seconds(facts["now"], facts["pause_seconds"])
    return {"until": until, "stated": stated, "limit": facts["agent"], "reason": ending.reason}


def stop(state: State, attempt_id: str, reason: str) -> list[Draft]:
    """Intent to end the agent of a live attempt; [] when that was requested already."""
    attempt = find_attempt(state, attempt_id)
    if attempt.stop is not None:
        return []
    return [Draft("attempt.stop_requested", {"reason": reason}, **_about(attempt, attempt.claimed))]
