"""What is remembered of base commits: each of them once, and not for ever."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.decide import verification
from kugetsu.domain.fold import fold
from kugetsu.domain.fold.sessions import BASES_KEPT, base_key
from kugetsu.domain.state import State, empty

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
    assert verified(state, "a", "failed") == 0, "what is known is not recorded again"
    assert verified(state, "a", "passed", "another command") == 1
    assert state.bases[base_key(REPOSITORY, "a", "s")]["code"] == "failed"
    assert state.bases[base_key(REPOSITORY, "b", "s")]["code"] == "passed"
    assert not state.violations


def test_the_oldest_base_is_forgotten() -> None:
    state = empty()
    for number in range(BASES_KEPT + 2):
        verified(state, f"c{number}")
    assert len(state.bases) == BASES_KEPT
    assert base_key(REPOSITORY, "c1", "s") not in state.bases
    assert base_key(REPOSITORY, "c2", "s") in state.bases
