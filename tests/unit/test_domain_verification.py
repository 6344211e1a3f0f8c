"""What is remembered of base commits: each of them once, and not for ever."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain.decide import verification
from kugetsu.domain.fold import fold
from kugetsu.domain.fold.sessions import BASES_KEPT, base_key
from kugetsu.domain.state import State, empty
from kugetsu.domain.verification import is_believed
from kugetsu.runtime.verification.clean_run import judged

REPOSITORY = "example.org/o/r"


def verified(state: State, commit: str, code: str = "passed", sha: str = "s") -> int:
    """Decide and fold; how many events that gave."""
    made = verification.base(state, REPOSITORY, commit, sha, code, 0, 1.5)
    for new_event in made:
        seq = len(state.bases) + 1000 + verified.count
        verified.count += 1
        event: dict[str, Any] = {"seq": seq, "at": "2026-11-23T10:00:00.000000Z", "type": new_event.type, "v": 1}
        fold(state, {**event, "data": new_event.data})
    return len(made)


verified.count = 0


def test_a_base_is_remembered_once_for_its_commit_and_command() -> None:
    state = empty()
    assert verified(state, "a", "failed") == 1
    assert verified(state, "b") == 1
    assert verified(state, "b") == 0, "what is known is not recorded again"
    assert verified(state, "a", "passed", "another command") == 1
    assert state.bases[base_key(REPOSITORY, "a", "s")]["code"] == "failed"
    assert state.bases[base_key(REPOSITORY, "b", "s")]["code"] == "passed"
    assert not state.violations


def test_a_base_that_fails_is_believed_when_it_fails_again() -> None:
    state = empty()
    key = base_key(REPOSITORY, "a", "s")
    verified(state, "a", "failed")
    assert not is_believed(state.bases[key], 60.0)
    assert verified(state, "a", "failed") == 1
    assert state.bases[key]["tries"] == 2 and is_believed(state.bases[key], 60.0)
    verified(state, "a", "passed")
    assert is_believed(state.bases[key], 60.0)
    verified(state, "a", "failed")
    assert not is_believed(state.bases[key], 60.0), "one failure after it passed is one"


def test_a_time_limit_that_a_base_met_says_nothing_of_a_longer_one() -> None:
    state = empty()
    verified(state, "a", "timed_out")  # after 1.5 seconds
    known = state.bases[base_key(REPOSITORY, "a", "s")]
    assert is_believed(known, 1.4) and not is_believed(known, 60.0)


@pytest.mark.parametrize(
    ("code", "base", "comes_to"),
    [
        ("failed", "passed", "failed"),
        ("failed", "failed", "base_failed"),
        ("failed", "not_found", "failed"),
        ("failed", "timed_out", "failed"),
        ("timed_out", "timed_out", "too_slow"),
        ("timed_out", "failed", "base_failed"),
        ("timed_out", "passed", "timed_out"),
        ("not_found", "not_found", "not_found"),
        ("not_found", "passed", "failed"),
        ("not_found", "not_executable", "failed"),
        ("not_executable", "not_executable", "not_executable"),
        ("set_up_failed", "set_up_failed", "base_unready"),
        ("set_up_failed", "passed", "set_up_failed"),
    ],
)
def test_work_is_at_fault_where_its_base_behaves_otherwise(code: str, base: str, comes_to: str) -> None:
    assert {"code": code, **judged(code, base, "c0")}["code"] == comes_to


def test_the_oldest_base_is_forgotten() -> None:
    state = empty()
    for number in range(BASES_KEPT + 2):
        verified(state, f"c{number}")
    assert len(state.bases) == BASES_KEPT
    assert base_key(REPOSITORY, "c1", "s") not in state.bases
    assert base_key(REPOSITORY, "c2", "s") in state.bases
