"""Chains of causes: back to who typed the command, through agents; forward as a tree, within bounds."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain import causes
from kugetsu.domain.causes import Reader, back, forward
from kugetsu.domain.events import Event


def event(seq: int, kind: str, cause: int | None = None, **more: Any) -> Event:
    made: Event = {"seq": seq, "type": kind, "data": {}, "by": {"cmd": "kugetsu queue-daemon"}, **more}
    if cause is not None:
        made["cause"] = cause
    return made


#: q1's agent queues q2 while it works; q2 fails.
TOLD = [
    event(1, "task.queued", task="q1", issue="a", by={"cmd": "kugetsu queue enqueue a go"}),
    event(2, "attempt.claimed", 1, task="q1", attempt="q1.1", issue="a", session="a"),
    event(3, "attempt.running", 2, task="q1", attempt="q1.1", issue="a", session="a"),
    event(4, "task.queued", task="q2", issue="b", by={"cmd": "kugetsu queue enqueue b go", "attempt": "q1.1"}),
    event(5, "task.held", 2, task="q2", issue="b"),
    event(6, "attempt.succeeded", 2, task="q1", attempt="q1.1", issue="a", session="a"),
    event(7, "task.completed", 6, task="q1", attempt="q1.1", issue="a"),
    event(8, "attempt.claimed", 4, task="q2", attempt="q2.1", issue="b", session="b"),
    event(9, "attempt.running", 8, task="q2", attempt="q2.1", issue="b", session="b"),
    event(10, "attempt.failed", 8, task="q2", attempt="q2.1", issue="b", session="b"),
    event(11, "task.failed", 10, task="q2", attempt="q2.1", issue="b"),
]


def reader(events: list[Event]) -> Reader:
    by_seq = {one["seq"]: one for one in events}
    return Reader(by_seq.get, lambda key: [one for one in events if key in (one.get("task"), one.get("issue"))])


def seqs(events: list[Event]) -> list[int]:
    return [one["seq"] for one in events]


def test_a_chain_goes_back_to_the_command_and_shows_when_the_agent_ran() -> None:
    assert seqs(back(TOLD[6], reader(TOLD))) == [1, 2, 3, 6, 7]


def test_a_command_that_an_agent_typed_goes_back_through_that_agent() -> None:
    assert seqs(back(TOLD[10], reader(TOLD))) == [1, 2, 3, 4, 8, 9, 10, 11]


def test_an_event_without_a_cause_is_its_own_chain() -> None:
    assert seqs(back(TOLD[0], reader(TOLD))) == [1]


def test_effects_stand_behind_their_causes_also_those_on_other_tasks() -> None:
    found = forward(TOLD[1], reader(TOLD), TOLD[2:])
    assert [(depth, one["seq"]) for depth, one in found.found] == [(1, 3), (2, 6), (3, 7), (1, 5)]
    assert found.more == 0


def test_effects_that_are_far_away_are_found_within_what_is_read_by_key() -> None:
    far = event(900, "task.moved", 1, task="q1", issue="a")
    assert 900 in [one["seq"] for _, one in forward(TOLD[0], reader([*TOLD, far])).found]


def test_a_tree_is_cut_and_says_how_much_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [TOLD[0], *(event(seq, "task.held", 1, task="q1") for seq in range(2, 100))]
    found = forward(many[0], reader(many))
    assert (len(found.found), found.more) == (causes.MOST_EFFECTS, 98 - causes.MOST_EFFECTS)
    deep = [TOLD[0], *(event(seq, "task.held", seq - 1, task="q1") for seq in range(2, 30))]
    found = forward(deep[0], reader(deep))
    assert [depth for depth, _ in found.found] == list(range(1, causes.DEEPEST + 1))
    assert found.more == 28 - causes.DEEPEST


def test_causes_that_go_in_circles_or_lead_nowhere_end_the_chain() -> None:
    odd = [
        event(5, "task.held", 5, task="q1"),
        event(6, "task.held", 900, task="q1"),
        event(7, "task.held", 3, task="q1"),
    ]
    for one in odd:
        assert seqs(back(one, reader(odd))) == [one["seq"]]


def test_a_long_chain_keeps_its_nearest_links() -> None:
    deep = [event(seq, "task.held", seq - 1 or None, task="q1") for seq in range(1, 200)]
    chain = seqs(back(deep[-1], reader(deep)))
    assert chain[-1] == 199
    assert len(chain) == causes.LONGEST_CHAIN
