"""The fold: refused events are told and change nothing, and the rest is never hidden by them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kugetsu.domain import state_codec
from kugetsu.domain.events import CATALOGUE, missing_keys
from kugetsu.domain.fold import HANDLERS, fold
from kugetsu.domain.invariants import broken
from kugetsu.domain.state import FINISHED_KEPT, VIOLATIONS_KEPT, State, empty
from property import hosts_story
from property.simulation import PROCESS, Event, World, folded, random_commands

AT = "2026-11-23T12:00:00.000000Z"


#: What every event moves, whatever it says.
PLACE = ("seq", "at", "latest", "violations", "violations_seen")


def event(seq: int, type: str, data: dict[str, Any], **about: str) -> Event:
    return {"seq": seq, "at": AT, "type": type, "v": 1, **about, "data": data}


def frozen(state: State) -> Any:
    """All of a state but the place in the log and the violations."""
    kept = orjson.loads(orjson.dumps(state_codec.dump(state)))
    return {name: value for name, value in kept.items() if name not in PLACE}


#: Kinds that the played histories do not make: their own tests have them.
TOLD = {
    "sink.enabled",
    "sink.disabled",
    "notice.sending",
    "notice.sent",
    "notice.failed",
    "issue.read",
    "counters.corrected",
    "queue.acknowledged",
    "queue.unacknowledged",
    "worktree.set_up",
}
#: Kinds of a log that hosts share.
OF_HOSTS = {kind for kind in HANDLERS if kind.startswith("host.")} | {"setting.shared", "attempt.late"}


def recorded() -> dict[str, tuple[list[Event], Event]]:
    """kind → the events before it and one that was really made, for each kind that a history holds."""
    found: dict[str, tuple[list[Event], Event]] = {}
    for seed in range(40):
        if seed > 3 and HANDLERS.keys() - TOLD - OF_HOSTS <= found.keys():
            break
        world = World()
        for _ in world.play(random_commands(seed, 800)):
            pass
        for place, made in enumerate(world.memory.events):
            if "record" not in made["data"]:  # of a task that has left the state
                found.setdefault(made["type"], (world.memory.events[:place], made))
    shared = World()
    for decide in hosts_story.story():
        shared.do(decide)
    for place, made in enumerate(shared.memory.events):
        found.setdefault(made["type"], (shared.memory.events[:place], made))
    return found


RECORDED = recorded()
#: Kinds that make what they are about, and the beginnings of the others that are about something.
MAKING = ("task.queued", "session.requested")
ABOUT = ("task", "atte", "sess")
#: What the fold reads of each kind's data; the rest of an event is for people.
LACKING = [(kind, key) for kind in RECORDED if kind in HANDLERS for key in missing_keys(kind, {})]


@pytest.mark.parametrize("kind", RECORDED)
def test_a_kind_that_is_folded_changes_the_state(kind: str) -> None:
    before, made = RECORDED[kind]
    state = folded(before)
    kept = frozen(state)
    fold(state, made)
    assert (frozen(state) != kept) == (CATALOGUE[kind].folded)
    assert state.violations == []


@pytest.mark.parametrize(("kind", "key"), LACKING)
def test_an_event_that_lacks_something_changes_all_or_nothing(kind: str, key: str) -> None:
    before, made = RECORDED[kind]
    whole, state = folded(before), folded(before)
    kept = frozen(state)
    fold(whole, made)
    fold(state, {**made, "data": {name: value for name, value in made["data"].items() if name != key}})
    if state.violations:
        assert state.violations == [{"seq": made["seq"], "text": f"{kind} does not say {key!r}"}]
        assert frozen(state) == kept
    else:
        assert frozen(state) == frozen(whole), f"the fold makes up a {key}"
    # In the middle of a transaction (attempt ended, task not yet told) invariants need not hold.
    assert broken(state) == broken(folded(before) if state.violations else whole)
    assert state.seq == made["seq"]


@pytest.mark.parametrize("kind", RECORDED)
@pytest.mark.parametrize("data", [None, [], "text", 7, {}], ids=repr)
def test_nonsense_as_data_never_stops_the_fold(kind: str, data: Any) -> None:
    before, made = RECORDED[kind]
    state = folded(before)
    fold(state, {**made, "data": data})
    assert state.seq == made["seq"]
    if state.violations:
        assert broken(state) == broken(folded(before))


@pytest.mark.parametrize("kind", sorted(kind for kind in RECORDED if kind not in MAKING and kind[:4] in ABOUT))
def test_an_event_about_nothing_that_is_there_is_a_violation(kind: str) -> None:
    made = RECORDED[kind][1]
    state = empty()
    fold(state, made)
    assert [violation["seq"] for violation in state.violations] == [made["seq"]]
    assert frozen(state) == frozen(empty())


@pytest.mark.parametrize("kind", [kind for kind in RECORDED if CATALOGUE[kind].folded])
def test_an_event_that_comes_twice_is_a_violation_or_says_nothing_new(kind: str) -> None:
    before, made = RECORDED[kind]
    state = folded([*before, made])
    kept = frozen(state)
    fold(state, {**made, "seq": made["seq"] + 1})
    repeatable = {
        "queue.paused",
        "task.edited",
        "log.created",
        "kugetsu.initialised",
        "task.held",
        "task.moved",
        "task.resumed",
        "hold.lifted",
        "session.pr",
        "pull.observed",
        "pull.opening",
        "feedback.seen",
        "reaction.held",
        "intake.seen",
        "mark.setting",
        "mark.failed",
        "base.verified",
        "setup.accepted",
        "session.forwarded",
        "report.acknowledged",
        "report.unacknowledged",
        "review.done",
        "review.reopened",
        "attempt.stop_requested",
        "attempt.unsettled",
        "session.preparing",
        "session.broken",
        "session.destroying",
        "session.rescued",
        "repository.registered",
        "hold.restored",
        "notices.read",
        "notices.unread",
        "setting.shared",
        "host.returned",
    }
    if kind in repeatable:
        assert state.violations == []
    else:
        assert {violation["seq"] for violation in state.violations} == {made["seq"] + 1}
        assert frozen(state) == kept


def test_an_unknown_kind_is_a_violation_and_the_fold_goes_on() -> None:
    state = empty()
    fold(state, event(1, "task.exploded", {}))
    fold(state, event(2, "log.created", {"log_id": "x", "kugetsu": "1"}))
    assert state.violations == [{"seq": 1, "text": "task.exploded is not a kind of event that this version knows"}]
    assert (state.seq, state.at, state.log_id) == (2, AT, "x")


@pytest.mark.parametrize("kind", sorted(name for name, kind in CATALOGUE.items() if not kind.folded))
def test_a_kind_that_is_not_folded_moves_nothing_but_the_place_in_the_log(kind: str) -> None:
    state = empty()
    fold(state, event(5, kind, {}))
    assert (state.seq, state.violations, frozen(state)) == (5, [], frozen(empty()))


def test_a_refused_transition_names_its_seq_and_what_it_was() -> None:
    world = World()
    world.enqueue(0, 1)
    state = world.state
    fold(state, event(state.seq + 1, "task.completed", {"summary": ""}, task="q1"))
    assert state.violations == [{"seq": state.seq, "text": "task.completed: a task that is pending cannot succeed"}]
    assert state.tasks["q1"].state == "pending"
    fold(state, event(state.seq + 1, "task.cancelled", {"reason": "x"}, task="q1"))
    assert state.tasks["q1"].state == "cancelled"


def test_violations_beyond_those_kept_are_counted() -> None:
    state = empty()
    for seq in range(1, VIOLATIONS_KEPT + 11):
        fold(state, event(seq, "task.exploded", {}))
    assert (len(state.violations), state.violations_seen) == (VIOLATIONS_KEPT, VIOLATIONS_KEPT + 10)


def test_folding_changes_no_event() -> None:
    world = World()
    for _ in world.play(random_commands(5, 400)):
        pass
    text = orjson.dumps(world.memory.events)
    state = folded(world.memory.events)
    assert orjson.dumps(world.memory.events) == text
    for task in state.tasks.values():
        task.after.append("q0")
    assert orjson.dumps(world.memory.events) == text, "the state shares a list with an event"


def test_a_repository_is_registered_with_what_it_has() -> None:
    state = empty()
    fold(state, event(1, "repository.registered", {"repository": "h/o/r", "path": "/r"}))
    fold(state, event(2, "repository.registered", {"repository": "h/o/s", "url": "https://h/o/s", "path": ""}))
    assert state.repositories == {"h/o/r": {"path": "/r"}, "h/o/s": {"url": "https://h/o/s"}}


def test_ids_go_on_after_the_highest_that_was_made() -> None:
    state = empty()
    data = {"kind": "dev", "title": "t", "priority": 0, "after": [], "repository": None}
    fold(state, event(1, "task.queued", data, task="q41", issue="h/o/r#1"))
    fold(state, event(2, "task.queued", data, task="imported-3", issue="h/o/r#1"))
    fold(state, event(3, "task.queued", data, task="q7", issue="h/o/r#1"))
    assert state.tasks_made == 41


def test_of_the_finished_tasks_the_latest_stay() -> None:
    world = World()
    for _ in range(FINISHED_KEPT + 5):
        world.enqueue(0, 1)
        world.dequeue(0, 0)
    state = world.state
    assert list(state.finished) == [f"q{number}" for number in range(6, FINISHED_KEPT + 6)]
    assert state.tasks.keys() == state.finished.keys()
    assert state.retired == {"cancelled": 5}
    assert (state.of_issue, state.successors) == ({}, {})


def test_the_daemon_is_known_by_what_it_said_last() -> None:
    world = World()
    world.daemon_start(1, 0)
    assert (world.state.daemon.state, world.state.daemon.lease) == ("running", "daemon-1")
    assert world.state.daemon.identity == PROCESS
    world.daemon_end(0, 0)
    assert world.state.daemon.state == "draining"


def test_every_kind_that_commands_make_was_tried_here() -> None:
    untried = HANDLERS.keys() - RECORDED.keys()
    assert untried == TOLD
    assert RECORDED.keys() <= CATALOGUE.keys()
