"""Where an issue stands: what runs or waits, how the last task ended, what came of it, and the review."""

from __future__ import annotations

import pytest

from kugetsu.domain.machines import DEFINITIONS
from kugetsu.domain.standing import STANDINGS, last_tasks, standing
from kugetsu.domain.state import Session, State, Task

KEY = "github.com/shoko/kugetsu#14"


def state_of(session: str = "idle", *tasks: str, result: str | None = None, review: str = "none") -> State:
    """A state with one issue: its session, and tasks in these states, oldest first."""
    state = State()
    attempt = "q9.1" if session == "working" else None
    found = {"kind": result} if result else None
    state.sessions[KEY] = Session(KEY, "issue", session, attempt=attempt, result=found, review=review)
    for number, name in enumerate(tasks):
        task = Task(f"q{number}", "dev", KEY, "a title", name)
        state.tasks[task.id] = task
        if name in ("completed", "error", "cancelled"):
            state.finished[task.id] = None
        else:
            state.of_issue.setdefault(KEY, []).append(task.id)
    return state


@pytest.mark.parametrize(
    "state, expected",
    [
        (state_of("idle"), "idle"),
        (state_of("requested", "pending"), "pending"),
        (state_of("preparing", "notified"), "running"),
        (state_of("working"), "running"),
        (state_of("idle", "error", "parked", result="failed"), "parked"),
        (state_of("idle", "parked", "pending"), "pending"),
        (state_of("broken", "pending"), "pending"),
        (state_of("broken", "error", result="failed"), "broken"),
        (state_of("idle", "completed", "error", result="failed", review="to_review"), "failed"),
        (state_of("idle", result="failed"), "failed"),
        (state_of("idle", "completed", "cancelled", result="failed", review="to_review"), "to_review"),
        (state_of("idle", "cancelled"), "cancelled"),
        (state_of("idle", "error", "cancelled"), "failed"),
        (state_of("idle", "error", "completed", result="pushed", review="to_review"), "to_review"),
        (state_of("idle", "completed", result="question", review="approved"), "asks"),
        (state_of("idle", "completed", result="nothing"), "idle"),
        (state_of("idle", result="pull_request", review="checks_failed"), "checks_failed"),
        (state_of("idle", result="merged", review="merged"), "merged"),
        (state_of("destroyed", "completed", result="question"), "destroyed"),
    ],
)
def test_where_it_stands(state, expected):
    found = standing(state, state.sessions[KEY], last_tasks(state))
    assert found == expected and found in STANDINGS


def test_every_state_of_a_review_is_a_standing():
    assert set(DEFINITIONS["review"][0]) - {"none"} <= set(STANDINGS)
