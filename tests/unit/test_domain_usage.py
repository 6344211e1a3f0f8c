"""What an issue has used over its whole life: the fold and the reading of its history count the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kugetsu.domain.decide import sessions as decide
from kugetsu.domain.fold import fold, usage
from kugetsu.domain.state import empty
from kugetsu.log import DomainProjection
from kugetsu.log.files.engine import FileLog

FIXTURES = Path(__file__).parents[1] / "fixtures" / "logs"
ISSUE = "git.example.org/o/r#1"


def event(seq: int, kind: str, data: dict[str, Any], v: int = 1, **about: str) -> dict[str, Any]:
    at = f"2026-11-23T12:00:{seq:02d}.000000Z"
    return {"seq": seq, "at": at, "type": kind, "v": v, "issue": ISSUE, "session": ISSUE, **about, "data": data}


def parked_and_resumed(gate: str, why: str) -> list[dict[str, Any]]:
    """Two runs that ended well and brought nothing; the third task is parked by a gate, and someone lets it go on."""
    told = [event(1, "session.requested", {"kind": "issue", "repository": "git.example.org/o/r"}, task="q1")]
    queued = {"kind": "dev", "title": "t", "message": "m", "priority": 0, "after": [], "repository": None, "via": "x"}
    ended = {"tokens": 5, "cost": 0.5, "evidence": {"head": "h", "comments": None}}
    ended |= {"reason": "", "outcome": {}, "exit": 0, "signal": None, "rescue": None}
    seq = 1
    for number in (1, 2, 3):
        task = f"q{number}"
        told.append(event(seq := seq + 1, "task.queued", queued, task=task))
        if number == 3:
            break
        claimed: dict[str, Any] = {"number": 1, "kind": "dev", "slot": 1, "lease": "l", "claimer": None, "live": []}
        told.append(event(seq := seq + 1, "attempt.claimed", claimed, task=task, attempt=f"{task}.1"))
        kind = "attempt.failed"  # one that was never seen running cannot succeed
        told.append(event(seq := seq + 1, kind, ended, task=task, attempt=f"{task}.1"))
        told.append(event(seq := seq + 1, "task.completed", {"summary": ""}, task=task))
    limit = "a:m" if gate == "provider" else None
    parked = {"until": "2026-11-23T14:00:00.000000Z" if limit else None, "limit": limit, "reason": "", "gate": gate}
    told.append(event(seq := seq + 1, "task.parked", {**parked, "stated": False}, v=2, task="q3"))
    told.append(event(seq + 1, "task.resumed", {"why": why}, task="q3"))
    return told


@pytest.mark.parametrize(("gate", "why", "left"), [("provider", "retry", 2), ("progress", "retry", 0)])
def test_only_who_lets_runs_without_progress_go_on_forgives_them(gate: str, why: str, left: int) -> None:
    told = parked_and_resumed(gate, why)
    state = empty()
    for one in told[:-1]:
        fold(state, one)
    state.sessions[ISSUE].usage.no_progress_runs = 2
    fold(state, told[-1])
    assert state.sessions[ISSUE].usage.no_progress_runs == left
    as_lived = [{**one, "type": "attempt.succeeded"} if one["type"] == "attempt.failed" else one for one in told]
    before = event(0, "session.prepared", {"base_commit": "h"})
    carried = usage.of_history(ISSUE, [before, *as_lived])
    assert carried is not None and carried["fruitless"] == left


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.iterdir() if path.is_dir()))
def test_the_history_of_a_real_issue_counts_what_the_fold_counts(name: str) -> None:
    log = FileLog(str(FIXTURES / name), DomainProjection(), {}, lambda: "", upkeep=False)
    state = empty()
    events = []
    for one in log.read():
        events.append(one)
        fold(state, one)
    compared = 0
    for session in state.sessions.values():
        if session.kind == "issue":
            own = [one for one in events if session.key in (one.get("issue"), one.get("session"))]
            assert usage.of_history(session.key, own) == usage.prior_usage(session), session.key
            compared += session.usage.attempts > 0
    assert compared


NEW = {"attempts": 1, "parks": 0, "tokens": 5, "cost": 0.5, "fruitless": 0}


def waiting(tokens: int, attempts: int = 2) -> Any:
    """A state in which a task waits that carries counters for its issue's next session."""
    state = empty()
    queued = {"kind": "dev", "title": "t", "message": "m", "priority": 0, "after": [], "repository": None, "via": "x"}
    carried = {**NEW, "attempts": attempts, "tokens": tokens, "pr": "https://example.org/1", "head": "h"}
    fold(state, event(1, "task.queued", {**queued, "carried": carried}, task="q1"))
    return state


def test_a_correction_counts_from_its_values_on_and_keeps_what_is_no_sum() -> None:
    state = waiting(10)
    (new_event,) = decide.correct_counters(state, ISSUE, NEW, 1)
    assert new_event.data["old"] == {**NEW, "attempts": 2, "tokens": 10}
    corrected = event(2, "counters.corrected", new_event.data)
    fold(state, corrected)
    assert state.tasks["q1"].prior_usage == {**NEW, "pr": "https://example.org/1", "head": "h"}
    requested = {"kind": "issue", "repository": "git.example.org/o/r", "carried": state.tasks["q1"].prior_usage}
    fold(state, event(3, "session.requested", requested, task="q1"))
    state.sessions[ISSUE].usage.tokens += 7
    fold(state, {**corrected, "seq": 4})
    assert usage.of_issue(state, ISSUE) == NEW and state.violations == []
    assert decide.correct_counters(state, ISSUE, NEW, 1) == []


@pytest.mark.parametrize("data", [{}, {"old": NEW}, {"new": NEW}, {"old": NEW, "new": {"tokens": 1}}, {"new": None}])
def test_a_correction_that_lacks_something_changes_nothing(data: dict[str, Any]) -> None:
    state = waiting(10)
    before = usage.of_issue(state, ISSUE)
    fold(state, event(2, "counters.corrected", data))
    assert usage.of_issue(state, ISSUE) == before
    assert [one["seq"] for one in state.violations] == [2]


def test_a_correction_of_an_issue_of_which_nothing_is_counted_is_a_violation() -> None:
    state = empty()
    fold(state, event(1, "counters.corrected", {"old": NEW, "new": NEW}))
    assert [one["seq"] for one in state.violations] == [1]
    assert decide.correct_counters(state, ISSUE, NEW, 1) == []
