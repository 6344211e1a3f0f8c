"""What an event must look like: real events fit, what does not is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kugetsu.domain.events import CATALOGUE, MALFORMED, validation
from kugetsu.domain.events.declaration import keys
from kugetsu.domain.fold import fold
from kugetsu.domain.state import empty
from property.simulation import World, random_commands

FIXTURES = Path(__file__).parents[1] / "fixtures" / "logs"


def event(kind: str = "task.resumed", data: Any = None, **more: Any) -> dict[str, Any]:
    made = {"seq": 1, "at": "2026-11-23T10:00:02.123456Z", "type": kind, "v": 1, "task": "q1", "by": {"cmd": "x"}}
    made |= {"attempt": "q1.1"} if kind.startswith("attempt.") else {}
    return {**made, "data": {"why": "retry"} if data is None else data, **more}


@pytest.mark.parametrize("kind", CATALOGUE)
def test_every_annotation_is_one_that_is_checked(kind: str) -> None:
    named = {name for name, text in keys(CATALOGUE[kind].shape).items() if text not in ("Any", "NotRequired[Any]")}
    assert {name for name, _, _ in validation._compiled(kind, CATALOGUE[kind].version)} == named


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*/*.jsonl")), ids=lambda path: path.parent.name)
def test_every_event_of_a_real_log_fits(path: Path) -> None:
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(validation.misshapen(one) is None for one in events)
    assert validation.settle(events, deep=True) is None
    assert [one for one in events if one["type"] == MALFORMED] == []


@pytest.mark.parametrize("kind", [kind for kind in CATALOGUE if CATALOGUE[kind].version > 1])
def test_of_an_older_version_all_is_checked_but_what_it_did_not_have(kind: str) -> None:
    older = {name for name, _, _ in validation._compiled(kind, 1)}
    present = {name for name, _, _ in validation._compiled(kind, CATALOGUE[kind].version)}
    assert present - older == CATALOGUE[kind].since.keys() and older <= present
    assert validation._compiled(kind, CATALOGUE[kind].version + 1) == ()


def test_every_event_that_decisions_make_fits() -> None:
    world = World()
    for _ in world.play(random_commands(3, 1500)):
        pass
    events = [{**json.loads(json.dumps(one)), "by": {}} for one in world.memory.events]
    assert validation.settle(events, deep=False) is None
    assert [one for one in events if one["type"] == MALFORMED] == []


@pytest.mark.parametrize(
    "wrong",
    [
        *({"seq": seq} for seq in (0, -1, "1", True, None, 1 << 60, 1.5)),
        *({"at": at} for at in (None, 5, "", "yesterday", "2026-11-23T10:00:02Z", "2026-02-30T10:00:02.123456Z")),
        *({"at": f"2026-11-23T{clock}.123456Z"} for clock in ("24:00:00", "10:60:00", "10:00:60", "1０:00:00")),
        *({"type": kind} for kind in (None, 5, [], {})),
        *({name: value} for name in ("issue", "task", "attempt", "session") for value in (None, 7, ["q1"], {})),
        *({name: value} for name in ("data", "by", "facts") for value in (None, 7, ["q1"], "me")),
        *({name: "1"} for name in ("v", "cause", "more")),
    ],
    ids=str,
)
def test_an_envelope_that_is_wrong_is_told_wherever_it_stands(wrong: dict[str, Any]) -> None:
    bad = {**event(), **wrong}
    assert validation.misshapen(bad)
    assert validation.settle([event(), bad, event()], deep=False) == 1
    assert validation.settle([event(), event()], deep=False) is None, "nothing wrong is known by heart"
    if "at" in wrong:
        assert not validation.have_times([event(), bad])


@pytest.mark.parametrize("missing", ["seq", "at", "type", "v", "data"])
def test_an_event_without_what_all_have_is_none(missing: str) -> None:
    bad = event()
    del bad[missing]
    assert validation.misshapen(bad) == f"it has no {missing}"
    assert validation.settle([bad], deep=False) == 0
    assert not isinstance(validation.misshapen([1]), type(None))


def test_what_is_nested_too_deep_is_no_event() -> None:
    deep: Any = []
    for _ in range(validation.DEEPEST):
        deep = [deep]
    assert validation.misshapen(event("future.kind", {"x": deep}))
    assert validation.settle([event("future.kind", {"x": deep})], deep=True) == 0
    assert validation.misshapen(event("future.kind", {"x": deep[0][0]})) is None


PARKED = {"until": None, "stated": False, "limit": None, "reason": "r", "gate": "progress"}
ENDED = {"reason": "r", "outcome": {}, "evidence": {}, "exit": 0, "signal": None, "tokens": 1, "cost": 1}
ENDED |= {"rescue": None}


@pytest.mark.parametrize(
    ("kind", "data", "problem"),
    [
        ("task.resumed", {}, "does not say 'why'"),
        ("task.resumed", {"why": ["retry"]}, "says a list as 'why', not a text"),
        ("task.cancelled", {"reason": None}, "says null as 'reason', not a text"),
        ("task.parked", {**PARKED, "until": "yesterday"}, "says something as 'until' that cannot be read"),
        ("queue.cleared", {"tasks": ["q1", 2], "older_than": None}, "says something as 'tasks' that cannot be read"),
        ("attempt.starting", {"runner": {"boot": "b", "pid": 1 << 70, "start": 1}}, "says something as 'runner'"),
        ("attempt.failed", {**ENDED, "evidence": {"commits": "many"}}, "says something as 'evidence'"),
        ("attempt.failed", {**ENDED, "evidence": {"pull": {"number": []}}}, "says something as 'evidence'"),
        ("attempt.failed", {**ENDED, "tokens": True}, "says true or false as 'tokens', not a whole number"),
        ("attempt.failed", {**ENDED, "cost": float("inf")}, "says something as 'cost'"),
        (MALFORMED, {"type": 5}, "says a whole number as 'type', not a text"),
    ],
    ids=str,
)
def test_data_that_does_not_fit_its_kind_is_handed_on_as_such_and_changes_nothing(
    kind: str, data: dict[str, Any], problem: str
) -> None:
    bad = event(kind, data, v=2 if kind == "task.parked" else 1, facts={"now": 1})
    events = [event(), bad, event()]
    assert validation.settle(events, deep=False) is None
    assert [one["type"] for one in events] == ["task.resumed", MALFORMED, "task.resumed"]
    said = events[1]["data"]
    assert said["type"] == kind and said["problem"].startswith(problem) and said["data"] == data
    state = empty()
    fold(state, events[1])
    assert state.violations == [{"seq": 1, "text": f"{kind} {said['problem']}"}] and not state.tasks
    assert validation.settle(events, deep=False) is None and events[1]["type"] == MALFORMED, "once more"


@pytest.mark.parametrize(
    ("kind", "name"), [("task.resumed", "task"), ("attempt.unsettled", "attempt"), ("session.broken", "session")]
)
def test_an_event_that_does_not_name_its_record_is_handed_on_as_such(kind: str, name: str) -> None:
    data = {"why": "retry"} if kind == "task.resumed" else {"reason": "r"}
    whole = event(kind, data, session="pm")
    part = {key: value for key, value in whole.items() if key != name}
    events = [whole, part, whole]
    assert validation.settle(events, deep=False) is None
    assert [one["type"] for one in events] == [kind, MALFORMED, kind]
    assert events[1]["data"]["problem"] == f"does not name its {name}"


def test_what_another_version_says_is_not_judged_by_this_ones_table() -> None:
    newer = event("task.resumed", {"since": 5}, v=9)
    older = event("task.parked", {name: value for name, value in PARKED.items() if name != "gate"}, v=1)
    events = [newer, older, event("future.kind", {"x": [None]})]
    assert validation.settle(events, deep=False) is None
    assert [one["type"] for one in events] == ["task.resumed", "task.parked", "future.kind"]
