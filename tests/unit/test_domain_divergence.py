"""A task that waits for its branch: what opens its gate, and whom it holds back."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain import divergence, gates
from kugetsu.domain.facts import Ending
from kugetsu.domain.state import Attempt, Session, State, Task
from kugetsu.model import result_words
from kugetsu.views import gates as words

BEFORE, NOW, LATER = (f"2026-11-30T1{hour}:00:00.000000Z" for hour in range(3))
COMMITS = {"kind": "parted", "branch": "fix", "remote": "origin", "here": "a1", "there": "b2", "worktree": "/w t"}


def parked() -> tuple[State, Task]:
    state, task = State(), Task("q1", "dev", "r#1", "go", "parked")
    state.sessions["r#1"] = Session("r#1", "issue")
    ending = Ending("fail", divergence.DIVERGED, "not started", evidence={"diverged": COMMITS})
    data = divergence.park(Attempt("q1.1", "q1", "dev", "r#1", "r#1"), ending)
    task.parked_for, task.changed_at, task.changed = data["gate"], NOW, 7
    task.reason, task.reason_values = data["reason"], data["values"]
    task.reaction = {"turn": 1, "items": []}
    state.tasks["q1"], state.of_issue["r#1"] = task, ["q1"]
    return state, task


@pytest.mark.parametrize(
    ("head", "pull", "is_open"),
    [
        (None, None, False),
        ("a1", None, False),
        ("c3", None, True),
        ("a1", {"head": "b2", "at": LATER, "seq": 9}, False),
        ("a1", {"head": "a0", "at": BEFORE, "seq": 5}, False),  # seen before they parted
        ("a1", {"head": "a1", "at": LATER, "seq": 9}, True),
        ("a1", {"head": "a1", "at": BEFORE, "seq": 9}, True),  # the clock was set back since
    ],
)
def test_the_gate_opens_once_one_of_the_two_has_moved(
    head: str | None, pull: dict[str, Any] | None, is_open: bool
) -> None:
    state, task = parked()
    state.sessions["r#1"].pull = pull
    facts: Any = {"now": NOW, "branch_heads": {"r#1": head}}
    assert gates.parked(state, task, facts).open is is_open


def test_both_commits_and_the_commands_are_shown() -> None:
    state, task = parked()
    facts: Any = {"now": NOW, "branch_heads": {"r#1": "a1"}}
    closed = gates.parked(state, task, facts)
    assert words.reason_of(closed) == "fix has parted from origin: a1 here, b2 there, by others"
    whole = {"here": "a1" * 20, "there": "b2" * 20}
    short = f"{'a1' * 6} here, {'b2' * 6} there"
    assert short in result_words.diverged({**(task.reason_values or {}), **whole}), "two whole ones fill a line"
    assert short in result_words.diverged({**whole, "kind": "in_the_way"})
    assert words.commands_of(closed) == ("kugetsu queue retry q1", "git -C '/w t' merge origin/fix")


@pytest.mark.parametrize(("of_a_person", "is_open"), [(True, True), (False, False)])
def test_only_a_persons_task_goes_before_it(of_a_person: bool, is_open: bool) -> None:
    state, _ = parked()
    later = Task("q2", "dev", "r#1", "merge them")
    later.order, later.reaction = 9, None if of_a_person else {"turn": 2, "items": []}
    state.tasks["q2"] = later
    state.of_issue["r#1"].append("q2")
    facts: Any = {"now": NOW}
    assert gates.issue(state, later, facts).open is is_open
