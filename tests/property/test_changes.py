"""What `diff` tells is what a comparison of the two states gives, and the event it names is the one that did it."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from kugetsu.domain import changes, state_codec
from kugetsu.domain.changes import Change, Comparison
from kugetsu.domain.state import State
from property.simulation import World, folded, random_commands, short_listing

Key = tuple[str, str]


def compared(events: list[dict[str, Any]], first: int, second: int) -> Comparison:
    comparison = Comparison(folded(events[:first]))
    for event in events[first:second]:
        comparison.add(event)
    return comparison


def records(state: State) -> dict[Key, Any]:
    """Every record's values, told from the state alone."""
    return dict(changes._records(state_codec.load(orjson.loads(orjson.dumps(state_codec.dump(state))))))


def value_at(states: list[dict[Key, Any]], seq: int, key: Key, field: str) -> Any:
    """A field of a record after an event; None when the record is not there."""
    values = states[seq].get(key)
    return values[changes.FIELDS[key[0]].index(field)] if values is not None else None


def judge(events: list[dict[str, Any]], states: list[dict[Key, Any]], first: int, second: int) -> int:
    """Compare two points; how many changes there are."""
    comparison = compared(events, first, second)
    found = {(change.kind, change.key): change for change in comparison.changes()}
    before, after = states[first], states[second]
    assert records(comparison.state) == after
    for key in {*before, *after} - {key for key in before if key[0] == "task" and key not in after}:
        if key[0] == "slot" and before.get(key, (None,)) == after.get(key, (None,)):
            continue
        was, now = before.get(key), after.get(key)
        differs = without_after(key, was) != without_after(key, now)
        assert not differs or key in found, f"{key}: {was} → {now} is not told"
        if key in found and was is not None and now is not None:
            told = {field.name for field in found[key].fields}
            real = {name for name, a, b in zip(changes.FIELDS[key[0]], was, now, strict=True) if a != b}
            assert told - {"after"} == real - {"after"}
    for key, change in found.items():
        check_events(states, key, change, first, second)
    return len(found)


def without_after(key: Key, values: Any) -> Any:
    """A task's values without those that it comes after: a completed one leaves them when it leaves the list."""
    if key[0] != "task" or values is None:
        return values
    return [value for name, value in zip(changes.FIELDS["task"], values, strict=True) if name != "after"]


def check_events(states: list[dict[Key, Any]], key: Key, change: Change, first: int, second: int) -> None:
    """The event that is named changed the field to its last value, and nothing did after it."""
    assert first < change.seq <= second
    if change.what == "came":
        assert key in states[change.seq] and key not in states[change.seq - 1]
    elif change.what == "went":
        assert key not in states[change.seq] and key in states[change.seq - 1]
    for field in change.fields:
        assert first < field.seq <= second
        if change.what == "changed" and field.name != "after":
            assert value_at(states, field.seq, key, field.name) == field.now
            assert value_at(states, second, key, field.name) == field.now
            back = value_at(states, field.seq - 1, key, field.name)
            assert back != field.now or key not in states[field.seq - 1], f"{key} {field.name}: not event {field.seq}"


@pytest.mark.parametrize("seed", range(6))
def test_what_is_told_is_what_differs_and_each_event_is_the_one_that_did_it(seed: int) -> None:
    with short_listing(4):
        world = World()
        for _ in world.play(random_commands(seed, 400)):
            pass
        events = world.memory.events
        states = [records(folded(events[:seq])) for seq in range(len(events) + 1)]
        chance = random.Random(seed)
        told = 0
        for _ in range(60):
            first, second = sorted(chance.sample(range(len(events) + 1), 2))
            told += judge(events, states, first, min(second, first + chance.choice((1, 5, 30, 10_000))))
        assert told > 300


def test_what_came_and_went_on_the_way_leaves_nothing_behind() -> None:
    with short_listing(4):
        world = World()
        for _ in world.play(random_commands(7, 1500)):
            pass
        comparison = compared(world.memory.events, 0, len(world.memory.events))
        state = world.state
        kept = len(state.tasks) + len(state.attempts) + len(state.sessions) + len(state.limits)
        assert sum(comparison.passed.values()) > 50
        assert len(comparison._now) <= kept + 30 and len(comparison._seqs) <= kept + 30
