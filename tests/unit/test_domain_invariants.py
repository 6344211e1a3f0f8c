"""The invariants: none is broken by what commands do, and each one is noticed when it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kugetsu.domain.fold.loops import new_loop
from kugetsu.domain.invariants import broken, cap_kept
from kugetsu.domain.state import Attempt, State
from property.simulation import ISSUES, World


@pytest.fixture
def state() -> State:
    """Two dev attempts and a pm attempt run, one task waits, one is completed."""
    world = World()
    world.warmup, world.cores = 0.0, 9
    for pick in (0, 1, 6):
        world.start(pick, 1)
    for place in range(3):
        world.run(place, 0)
    world.enqueue(2, 1)
    world.enqueue(3, 1)
    world.cancel(4, 0)
    assert broken(world.state) == []
    assert (len(world.state.attempts), len(world.state.finished)) == (3, 1)
    return world.state


def pm_with_slot(state: State) -> None:
    state.attempts["q3.1"].slot = 3


def dev_without_slot(state: State) -> None:
    state.attempts["q1.1"].slot = None


def slot_zero(state: State) -> None:
    state.attempts["q1.1"].slot = 0


def slot_held_twice(state: State) -> None:
    state.attempts["q2.1"].slot = 1


def second_pm(state: State) -> None:
    state.attempts["q9.1"] = Attempt("q9.1", "q9", "pm", None, "other")


def attempt_without_task(state: State) -> None:
    del state.tasks["q1"]


def two_in_one_session(state: State) -> None:
    state.attempts["q2.1"].session = ISSUES[0]


def notified_without_attempt(state: State) -> None:
    state.tasks["q4"].state = "notified"


def pending_with_attempt(state: State) -> None:
    state.tasks["q1"].state = "pending"


def attempt_gone(state: State) -> None:
    del state.attempts["q1.1"]


def finished_not_listed(state: State) -> None:
    state.finished.clear()


def listed_not_finished(state: State) -> None:
    state.finished["q4"] = None


def more_used_than_made(state: State) -> None:
    state.tasks["q4"].used = 1


def used_below_nothing(state: State) -> None:
    state.tasks["q4"].used = -1


def working_without_attempt(state: State) -> None:
    state.sessions[ISSUES[0]].attempt = None


def working_without_running(state: State) -> None:
    state.attempts["q1.1"].state = "starting"


def of_another_issue(state: State) -> None:
    state.intake[ISSUES[1]] = {"task": "q1"}


def nothing_to_set(state: State) -> None:
    state.marks[ISSUES[0]] = {"label": None, "owed": {"add": [], "remove": []}}


def answered_by_another(state: State) -> None:
    state.loops[ISSUES[0]] = {**new_loop(None), "items": {"review-1": {"turn": "q4"}}}


BREAKS: list[tuple[Callable[[State], None], str]] = [
    (pm_with_slot, "only dev attempts hold one"),
    (dev_without_slot, "q1.1 is live and holds no slot"),
    (slot_zero, "q1.1 is live and holds no slot"),
    (slot_held_twice, "slot 1 is held by q1.1 and q2.1"),
    (second_pm, "more than one pm attempt"),
    (attempt_without_task, "its task q1 does not know it"),
    (two_in_one_session, "q1.1 and q2.1 work in one session"),
    (notified_without_attempt, "q4 is notified with no attempt"),
    (pending_with_attempt, "q1 is pending with attempt q1.1"),
    (attempt_gone, "q1 is worked on by q1.1, which is not live"),
    (finished_not_listed, "q5 is cancelled, but the list"),
    (listed_not_finished, "q4 is pending, but the list"),
    (more_used_than_made, "q4 has used 1 of 0"),
    (used_below_nothing, "q4 has used -1 of 0"),
    (working_without_attempt, "is working without a running attempt"),
    (working_without_running, "is working without a running attempt"),
    (of_another_issue, "q1 is queued for the label of"),
    (nothing_to_set, "are owed, but none is named"),
    (answered_by_another, "counts as answered by q4"),
]


@pytest.mark.parametrize(("breaks", "said"), BREAKS, ids=[breaks.__name__ for breaks, _ in BREAKS])
def test_a_broken_invariant_is_noticed(breaks: Callable[[State], None], said: str, state: State) -> None:
    breaks(state)
    assert any(said in sentence for sentence in broken(state)), broken(state)


@pytest.mark.parametrize(
    ("live", "slot", "cap", "kept"),
    [
        ([], 1, 1, True),
        (["a"], 2, 2, True),
        (["a"], 1, 1, False),
        ([], 2, 1, False),
        ([], 0, 1, False),
        ([], None, 0, True),
        (None, 1, 1, False),
        ([], "1", 1, False),
        ([], 1, "1", False),
    ],
)
def test_a_claim_is_within_the_cap_that_it_recorded(live: object, slot: object, cap: object, kept: bool) -> None:
    assert cap_kept({"live": live, "slot": slot}, {"cap": cap}) == kept
