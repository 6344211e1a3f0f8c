"""The pull request that a session owes: intended with the attempt's end, tried again while that may help, made once."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain.decide import attempts, reviews
from kugetsu.domain.decide.reviews import LONGEST_PAUSE, MOST_TRIES
from kugetsu.domain.events import Event
from kugetsu.domain.facts import Ending
from kugetsu.domain.state import Session
from kugetsu.model import clock
from kugetsu.runtime.reviews import owed
from kugetsu.views.wording import words
from property.simulation import ISSUES, World

INTENT = {"head": "c1", "branch": "fix/issue-1", "base": "main", "title": "Slow", "draft": False}
EVIDENCE = {"commits": 1, "pushed": True, "head": "c1", "dirty": 0, "branch": "fix/issue-1"}
URL = "https://example.org/o/a/pulls/5"


def ended(world: World, opening: dict[str, Any] | None = INTENT, **evidence: Any) -> list[Event]:
    """A run of the first issue that ended well, with this evidence."""
    world.start(0, 1)
    world.run(0, 0)
    (attempt,) = world.state.attempts
    ending = Ending("succeed", "done", "done", evidence={**EVIDENCE, **evidence}, opening=opening)
    return world.do(lambda state: attempts.finish(state, attempt, ending, world.outcome_facts()))


def session(world: World) -> Session:
    return world.state.sessions[ISSUES[0]]


def failed(world: World, *, passes: bool = True, retry_at: str | None = None) -> list[Event]:
    owed = session(world).owed
    seq = owed["seq"] if owed is not None else 1
    return world.do(
        lambda state: reviews.failed(
            state, ISSUES[0], seq, "in trouble (502)", "look at it", world.now, 10.0, passes, retry_at=retry_at
        )
    )


def opened(world: World, intent: int) -> list[Event]:
    return world.do(lambda state: reviews.opened(state, ISSUES[0], intent, URL, 5, found=False))


def test_the_intent_is_part_of_the_transaction_that_ends_the_attempt() -> None:
    made = ended(World())
    assert made[0]["type"] == "attempt.succeeded"
    assert (made[-1]["type"], made[-1]["data"], made[-1]["cause"]) == ("pull.opening", INTENT, made[0]["seq"])
    assert (made[-1]["attempt"], made[-1]["session"]) == ("q1.1", ISSUES[0])


@pytest.mark.parametrize(
    ("opening", "evidence"),
    [
        (None, {}),
        (INTENT, {"pushed": False}),
        (INTENT, {"commits": 0}),
        (INTENT, {"pull": {"url": URL, "number": 5, "state": "open"}}),
    ],
    ids=["not wanted", "not pushed", "no commit", "open"],
)
def test_only_pushed_work_without_one_gets_one(opening: dict[str, Any] | None, evidence: dict[str, Any]) -> None:
    world = World()
    assert "pull.opening" not in [event["type"] for event in ended(world, opening, **evidence)]
    assert session(world).owed is None


def test_it_is_owed_until_it_is_open_and_the_result_stays_what_git_proves() -> None:
    world = World()
    intent = ended(world)[-1]["seq"]
    assert session(world).owed == {
        **INTENT,
        "fork": None,
        "seq": intent,
        "task": "q1",
        "attempt": "q1.1",
        "tries": 0,
        "not_before": None,
    }
    failed(world)
    assert (session(world).result_kind, world.state.tasks["q1"].result_kind) == ("pushed", "pushed")
    (event,) = opened(world, intent)
    assert event["data"] == {"url": URL, "number": 5, "head": "c1", "found": False}
    assert session(world).owed is None and session(world).pr == URL
    assert (session(world).result_kind, world.state.tasks["q1"].result_kind) == ("pull_request", "pull_request")
    assert opened(world, intent) == [], "somebody else recorded it"


def test_pauses_double_to_an_hour_and_end_some_day() -> None:
    world = World()
    ended(world)
    pauses = []
    for _ in range(MOST_TRIES):
        (event,) = failed(world)
        again = event["data"]["not_before"]
        pauses.append(clock.seconds_between(world.now, again) if again is not None else None)
    assert pauses[:4] == [10.0, 20.0, 40.0, 80.0] and set(pauses[10:-1]) == {LONGEST_PAUSE}
    assert pauses[-1] is None and session(world).owed is None
    assert failed(world) == []
    assert words(event) == f"in trouble (502); given up after {MOST_TRIES} tries; look at it"


def test_the_time_that_a_forge_names_counts_where_it_is_later() -> None:
    world = World()
    ended(world)
    (event,) = failed(world, retry_at=clock.add_seconds(world.now, 3.0)[:19] + "Z")
    assert event["data"]["not_before"] == clock.add_seconds(world.now, 10.0)
    later = clock.add_seconds(world.now, 7200.0)
    (event,) = failed(world, retry_at=later[:19] + "Z")
    assert event["data"]["not_before"] == later


def test_what_does_not_pass_ends_it_with_its_reason_and_remedy() -> None:
    world = World()
    ended(world)
    (event,) = failed(world, passes=False)
    assert event["data"] == {"reason": "in trouble (502)", "tries": 1, "not_before": None, "remedy": "look at it"}
    assert session(world).owed is None and session(world).result_kind == "pushed"
    assert words(event) == "in trouble (502); not tried again; look at it"


def test_a_later_run_replaces_the_intent_and_the_outcome_of_the_earlier_one_counts_no_more() -> None:
    world = World()
    first = ended(world)[-1]["seq"]
    second = ended(world, {**INTENT, "head": "c2"}, head="c2", commits=2)[-1]["seq"]
    assert opened(world, first) == []
    assert session(world).owed is not None and session(world).owed["head"] == "c2"
    assert opened(world, second) != []


def test_a_session_that_is_gone_owes_nothing() -> None:
    world = World()
    intent = ended(world)[-1]["seq"]
    world.destroy(list(world.state.sessions).index(ISSUES[0]), 2)
    assert opened(world, intent) == []
    now = world.now
    assert world.do(lambda state: reviews.failed(state, ISSUES[0], intent, "gone", "", now, 10.0, True)) == []


def test_while_later_work_fails_its_verification_it_waits_for_nothing_but_the_next_run() -> None:
    world = World()
    ended(world)
    assert owed.due(world.state, world.now) == [session(world)]
    ended(world, None, head="c2", commits=2, verification={"code": "failed"})
    assert session(world).owed is not None and owed.due(world.state, world.now) == []
    assert owed.wait(world.state, world.now) > owed.ANOTHERS_SECONDS
    ended(world, {**INTENT, "head": "c3"}, head="c3", commits=3, verification={"code": "passed"})
    assert owed.due(world.state, world.now) == [session(world)]
