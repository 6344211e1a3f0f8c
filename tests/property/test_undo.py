"""After any history, undoing any event either refuses and changes nothing, or restores what the event changed and
breaks nothing; undoing that brings it back."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kugetsu.domain import state_codec
from kugetsu.domain.decide import undo
from kugetsu.domain.events import CATALOGUE
from kugetsu.domain.invariants import broken
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.domain.state import State
from kugetsu.model import clock
from kugetsu.model.errors import Conflict
from kugetsu.views.refusals import words
from profiles import examples
from property.simulation import COMMANDS, Event, Memory, World, folded, random_commands, short_listing

numbers = st.integers(min_value=0, max_value=59)
histories = st.lists(st.tuples(st.sampled_from(COMMANDS), numbers, numbers), min_size=10, max_size=60)

Field = Callable[[State, Event], Any]


def _place(state: State, event: Event) -> Any:
    task = state.tasks[event["task"]]
    known = [earlier for earlier in task.after if earlier in state.tasks]
    return task.state, task.priority, task.order, task.used, known


def _hold(state: State, event: Event) -> Any:
    subject = event["data"]["subject"]
    if event["data"]["gate"] == "provider":
        limit = state.limits.get(subject)
        return limit and (limit["until"], limit["task"])
    session = state.sessions.get(subject)
    return session and session.usage.no_progress_runs


def _pause(state: State, event: Event) -> Any:
    """Until when it is paused; a pause whose time is over may be gone instead."""
    pause = state.paused.get(event["data"]["repository"] or "*")
    return pause and pause["until"]


#: What undoing an event of a kind restores.
FIELDS: dict[str, Field] = {
    "task.moved": _place,
    "hold.lifted": _hold,
    "hold.restored": _hold,
    "task.edited": lambda state, event: state.tasks[event["task"]].title,
    "queue.paused": _pause,
    "queue.resumed": _pause,
    "task.acknowledged": lambda state, event: state.tasks[event["task"]].acknowledged,
    "queue.acknowledged": lambda state, _: state.unacknowledged_gone,
    "queue.unacknowledged": lambda state, _: state.unacknowledged_gone,
    "notices.read": lambda state, _: state.notices_read,
    "notices.unread": lambda state, _: state.notices_read,
    "session.pr": lambda state, event: state.sessions[event["session"]].pr,
    "review.done": lambda state, event: state.sessions[event["session"]].review,
    "review.reopened": lambda state, event: state.sessions[event["session"]].review,
    "report.acknowledged": lambda state, _: state.reported,
    "report.unacknowledged": lambda state, _: state.reported,
    "repository.registered": lambda state, event: state.repositories.get(event["data"]["repository"]),
}


def dumped(state: State) -> Any:
    return orjson.loads(orjson.dumps(state_codec.dump(state)))


def later(events: list[Event]) -> Memory:
    """A log of its own with these events, to be written on."""
    memory = Memory()
    memory.state = folded(events)
    memory.events = list(events)
    memory.at = events[-1]["at"]
    return memory


def undone_by(memory: Memory, event: Event) -> list[Event]:
    """What undoing it appends. Raises Conflict."""
    description = undo.described(event, folded(memory.events[: event["seq"] - 1]), memory.at)
    return memory.transact(lambda state: undo.compensate(state, [description]))


def check(memory: Memory, event: Event) -> list[Event]:
    """Undo it; [] when that is refused."""
    before = dumped(memory.state)
    try:
        made = undone_by(memory, event)
    except Conflict as refused:
        assert words(refused)[0].startswith(f"event {event['seq']}")
        assert dumped(memory.state) == before
        return []
    assert made and made[0]["cause"] == event["seq"] == undo.undoes(made[0])
    assert memory.state.violations == []
    assert broken(memory.state) == []
    was = folded(memory.events[: event["seq"] - 1])
    field = FIELDS.get(event["type"])
    if event["type"] == "task.moved":
        # Those that were completed since have left what it comes after; attempts since are no move.
        assert _place(memory.state, event)[1:3] == _place(was, event)[1:3]
    elif event["type"] in ("task.queued", "task.requeued"):
        task = memory.state.tasks.get(event["task"])  # None: what stays for others leaves it no room
        assert task is None or task.state == "cancelled"
    elif event["type"] == "task.cancelled":
        (_, *place), (now, *place_now) = _place(was, event), _place(memory.state, event)
        assert (now, place_now[:3]) == ("pending", place[:3])
        assert memory.state.tasks[event["task"]].not_before == was.tasks[event["task"]].not_before
    elif event["type"] in ("queue.paused", "queue.resumed"):
        # A pause whose time is over by now is not begun again.
        assert field is not None and field(memory.state, event) in (field(was, event), None)
    elif field is not None:
        assert field(memory.state, event) == field(was, event)
    return made


@settings(
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@example([*[("enqueue", 0, 0)] * 6, ("move", 0, 1), ("daemon_start", 0, 0), ("dispatch", 0, 1), ("finish", 0, 0)])
@given(histories)
def test_undoing_any_event_refuses_or_restores(commands: list[tuple[str, int, int]]) -> None:
    world = World()
    with short_listing(3):
        for _ in world.play(commands):
            pass
        for event in world.memory.events:
            if event["type"] in undo.KINDS:
                check(later(world.memory.events), event)


def test_undoing_what_was_just_done_works_and_so_does_undoing_that() -> None:
    """Right after an event of a kind that can be undone nothing has changed since: three times there and back."""
    done: Counter[str] = Counter()
    back: Counter[str] = Counter()
    elsewhere = {"queue.acknowledged", "queue.unacknowledged"}  # test_domain_acknowledge
    wanted = undo.KINDS - {"task.queued", "task.resumed"} - elsewhere
    for seed in range(20, 60):
        if seed > 25 and done.keys() >= wanted:
            break
        world = World()
        with short_listing(3):
            for made in world.play(random_commands(seed, 600)):
                for event in made:
                    if event["type"] in undo.KINDS - {"task.queued"}:
                        _there_and_back(later(world.memory.events), event, done, back)
    assert done.keys() >= wanted
    assert back.keys() >= {"task.requeued", "task.moved", "hold.restored", "notices.unread", "session.pr"}


def _there_and_back(memory: Memory, event: Event, done: Counter[str], back: Counter[str]) -> None:
    for turn in range(3):
        made = check(memory, event)
        if not made:
            return
        (back if turn else done)[event["type"]] += 1
        event = made[0]


def test_a_kind_is_undone_or_its_refusal_says_why() -> None:
    assert undo.KINDS | {"setting.changed"} == {name for name, kind in CATALOGUE.items() if kind.undoable}
    assert all(kind.undoable or kind.irrevocable for kind in CATALOGUE.values())
    for kind in (name for name, kind in CATALOGUE.items() if kind.irrevocable is not None):
        event = {"seq": 7, "type": kind, "data": {}, "task": "q1", "attempt": "q1.1", "session": "h/o/r#1"}
        with pytest.raises(Conflict) as refused:
            undo.described({**event, "data": {"why": "time", "was": "error", "url": None}}, State(), "now")
        message, hint = words(refused.value)
        assert "cannot be undone: " in message
        assert "{" not in (hint or "")


def test_what_was_undone_is_decided_again_from_the_log_alone() -> None:
    world = World()
    with short_listing(3):
        for _ in world.play(random_commands(77, 900)):
            pass
        undone = Counter(event["type"] for event in world.memory.events if undo.undoes(event) is not None)
        assert len(undone) > 3, undone
        verifier = ReplayChecker(lambda seq: folded(world.memory.events[:seq]), "0")
        differences = [verifier.add(event) for event in world.memory.events]
    assert [found for found in differences if found is not None] == []


def limited() -> World:
    """q1 ran into a usage limit and is parked."""
    world = World()
    world.daemon_start(1, 0)
    world.enqueue(0, 1)
    world.dispatch(1, 1)
    world.run(0, 0)
    world.finish(0, 4)
    assert world.state.tasks["q1"].state == "parked"
    return world


@pytest.mark.parametrize("verb", ["lift", "retry"])
def test_a_lift_and_a_retry_of_what_a_usage_limit_parked_are_undone(verb: str) -> None:
    world = limited()
    was = world.state.limits.copy(), world.state.tasks["q1"].not_before
    lifted = getattr(world, verb)(0, 1)[0]
    assert not world.state.limits
    memory = later(world.memory.events)
    assert [event["type"] for event in check(memory, lifted)] == ["hold.restored", "task.parked"]
    task = memory.state.tasks["q1"]
    assert (task.state, task.usage.parks, task.used) == ("parked", 1, 0), "it was counted twice"
    (limit,), (limit_was,) = memory.state.limits.values(), was[0].values()
    assert (limit["until"], limit["task"], task.not_before) == (limit_was["until"], "q1", was[1])


@pytest.mark.parametrize("verb", ["lift", "retry"])
def test_a_usage_limit_that_is_over_does_not_come_back(verb: str) -> None:
    world = limited()
    lifted = getattr(world, verb)(0, 1)[0]
    memory = later(world.memory.events)
    memory.at = clock.add_seconds(world.now, 86_400.0)
    with pytest.raises(Conflict, match="limit_ended"):
        undone_by(memory, lifted)


def test_a_cancelled_task_that_ran_into_a_limit_comes_back_and_the_limit_stays() -> None:
    world = limited()
    until = world.state.tasks["q1"].not_before
    cancelled = world.cancel(0, 0)[0]
    memory = later(world.memory.events)
    check(memory, cancelled)
    assert memory.state.limits and memory.state.tasks["q1"].not_before == until
