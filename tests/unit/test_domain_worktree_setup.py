"""What follows a worktree that could not be made ready: when it is tried again, and what opens the gate."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain import gates, worktree_setup
from kugetsu.domain.decide import claims
from kugetsu.domain.facts import Ending
from kugetsu.domain.state import Attempt, Session, State, Task
from property.simulation import World

NOW = "2026-11-30T10:00:00.000000Z"
FAILED = {"code": "failed", "sha": "a"}
#: Facts of this version: earlier ones named no set-up.
NAMED = {"names_set_up": True}


@pytest.mark.parametrize(
    ("known", "found", "tries"),
    [
        (None, FAILED, 1),
        ({**FAILED, "tries": 2}, FAILED, 3),
        ({**FAILED, "tries": 2}, {**FAILED, "sha": "b"}, 1),
        ({**FAILED, "tries": 2}, {**FAILED, "code": "done"}, 0),
    ],
)
def test_failures_in_a_row_are_counted_for_one_set_up(
    known: dict[str, Any] | None, found: dict[str, Any], tries: int
) -> None:
    assert worktree_setup.tries(known, found) == tries


@pytest.mark.parametrize(("tries", "until"), [(1, "10:01"), (2, "10:05"), (3, None)])
def test_it_is_tried_again_after_1_and_5_minutes_and_then_waits(tries: int, until: str | None) -> None:
    session = Session("r#1", "issue")
    session.set_up = {**FAILED, "tries": tries}
    attempt = Attempt("q1.1", "q1", "dev", "r#1", "r#1")
    ending = Ending("fail", "unready", "not started", evidence={"set_up": {"code": "failed", "problem": "make: no"}})
    parked = worktree_setup.park(session, attempt, ending, NOW)
    assert (parked["until"] or "")[11:16] == (until or "")
    assert parked["values"] == {
        "attempt": "q1.1",
        "tries": tries,
        "step": "failed",
        "problem": "make: no",
        "command": None,
    }


@pytest.mark.parametrize(
    ("now", "not_before", "facts", "why"),
    [
        ("2026-11-30T10:02:00.000000Z", "2026-11-30T10:01:00.000000Z", {"set_ups": {"r": "b"}, **NAMED}, "time"),
        (NOW, "2026-11-30T10:01:00.000000Z", {"set_ups": {"r": "b"}, **NAMED}, "set_up"),
        (NOW, "2026-11-30T10:01:00.000000Z", {"set_ups": {"r": "b"}}, "time"),
        (NOW, None, {"set_ups": {"r": "b"}, **NAMED}, "set_up"),
        (NOW, None, {"set_ups": {"r": "b"}}, "open"),
        (NOW, None, {"set_ups": {"r": "a"}, **NAMED}, "accepted"),
    ],
)
def test_a_task_that_resumes_says_why(now: str, not_before: str | None, facts: dict[str, Any], why: str) -> None:
    world = World()
    state, task = State(), Task("q1", "dev", "r#1", "go", "parked")
    session = state.sessions["r#1"] = Session("r#1", "issue")
    session.repository, session.set_up = "r", {**FAILED, "tries": 1}
    task.parked_for, task.not_before, task.changed_at = worktree_setup.SETUP, not_before, NOW
    state.tasks["q1"] = task
    if why == "accepted":
        session.set_up |= {"code": worktree_setup.CHANGED, "supplied": "c"}
        state.accepted["r"] = {"shas": ["c"]}
    made = claims.claim(state, "q1", claims.ClaimRequest(), {**world.claim_facts(), "now": now, **facts})  # type: ignore[typeddict-item]
    assert [one.type for one in made] == ["task.resumed", "attempt.claimed"]
    assert made[0].data == {"why": why}


@pytest.mark.parametrize(
    ("now", "not_before", "shas", "is_open"),
    [
        (NOW, None, {"r": "a"}, False),
        (NOW, None, {"other": "b"}, False),
        (NOW, None, {"r": "b"}, True),
        (NOW, "2026-11-30T10:01:00.000000Z", {"r": "a"}, False),
        (NOW, "2026-11-30T10:01:00.000000Z", {"r": "b"}, True),
        ("2026-11-30T10:02:00.000000Z", "2026-11-30T10:01:00.000000Z", {"r": "a"}, True),
    ],
)
def test_the_gate_opens_at_its_time_or_for_another_set_up(
    now: str, not_before: str | None, shas: dict[str, str], is_open: bool
) -> None:
    state, task = State(), Task("q1", "dev", "r#1", "go", "parked")
    session = state.sessions["r#1"] = Session("r#1", "issue")
    session.repository, session.set_up = "r", {**FAILED, "tries": 1}
    task.parked_for, task.not_before, task.changed_at = worktree_setup.SETUP, not_before, NOW
    task.reason_values = {"step": "failed", "problem": "make: no", "attempt": "q1.1"}
    facts: Any = {"now": now, "set_ups": shas}
    verdict = gates.parked(state, task, facts)
    assert verdict.open is is_open
    assert verdict.until == (None if is_open else not_before)
