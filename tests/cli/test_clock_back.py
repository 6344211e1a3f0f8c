"""A clock that was set back: no pause lasts longer for it, and it is said."""

from __future__ import annotations

import pytest

from kugetsu.domain import gates
from kugetsu.domain.decide import claims
from kugetsu.model import clock

LATER, BACK = "2027-11-23T10:00:00.000000Z", "2026-11-24T10:00:00.000000Z"


@pytest.mark.parametrize(
    ("now", "goes_on"),
    [
        ("2026-11-23T10:00:04.000000Z", True),
        ("2026-11-23T10:00:05.000000Z", False),
        ("2026-11-23T10:00:00.000000Z", True),
        ("2026-11-23T09:59:59.999000Z", True),  # facts that were gathered right before the pause began
        ("2026-11-23T09:58:00.000000Z", False),
        ("2025-11-24T10:00:00.000000Z", False),
    ],
)
def test_a_pause_is_over_when_now_is_before_its_own_beginning(now: str, goes_on: bool) -> None:
    assert clock.pause_lasts("2026-11-23T10:00:05.000000Z", "2026-11-23T10:00:00.000000Z", now) is goes_on


def test_a_task_that_pauses_starts_after_the_clock_was_set_back(kugetsu, story):
    story.at(LATER).enqueue()
    story.finish(story.run("q1"), "fail", "retry", "it crashed")
    waits = kugetsu("why", "q1", "--json", at=LATER).json
    assert "pauses after a failed attempt" in str(waits)
    data = kugetsu("why", "q1", "--json", at=BACK).json
    assert "pauses after a failed attempt" not in str(data)
    state, facts = story.log.state(), {**story.facts(), "now": BACK, "set_back": True}
    assert gates.first_closed(state, state.tasks["q1"], facts) is None
    assert "until" not in kugetsu("queue", "list", at=BACK).out
    offer = claims.ClaimRequest("lease-back", {"boot": "b", "pid": 4120, "start": 1})
    made = story.at(BACK).do(lambda state: claims.claim(state, "q1", offer, facts))
    assert [event["type"] for event in made] == ["attempt.claimed"]
    assert kugetsu("replay", "--verify").code == 0


def test_a_usage_limit_of_ten_seconds_holds_nobody_for_hours_after_the_clock_was_set_back(kugetsu, story):
    story.at(LATER).enqueue()
    story.enqueue("other", issue="github.com/a/b#2")
    until = "2027-11-23T10:00:10.000000Z"
    story.finish(story.run("q1"), "fail", "limited", "usage limit", resets_at=until)
    state = story.log.state()
    for task in ("q1", "q2"):
        closed = gates.first_closed(state, state.tasks[task], {**story.facts(), "now": LATER})
        assert closed is not None and closed.gate in ("parked", "provider")
        assert gates.first_closed(state, state.tasks[task], {**story.facts(), "now": BACK, "set_back": True}) is None
    assert "usage limit" not in kugetsu("status", at=BACK).out


def test_doctor_and_status_say_that_the_clock_was_set_back(kugetsu, story, fits):
    story.at(LATER).enqueue()
    shown = kugetsu("status", at=BACK)
    assert "clock" in shown.out and "set back" in shown.out and fits(shown.out), shown
    found = {one["name"]: one for one in kugetsu("doctor", "--json", at=BACK).json["findings"]}
    assert found["clock"]["level"] == "warning" and "2027-11-23 10:00 UTC" in found["clock"]["text"]
    assert "clock" not in {one["name"] for one in kugetsu("doctor", "--json", at=LATER).json["findings"]}
    assert "set back" not in kugetsu("status", at=LATER).out
