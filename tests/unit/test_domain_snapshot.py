"""The snapshot: all of a state goes into JSON and comes back, and a changed shape is noticed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kugetsu.domain import state_codec
from kugetsu.domain.decide import hosts
from kugetsu.domain.state import Attempt, Daemon, Host, Session, State, Task, empty
from property.simulation import World, random_commands


@pytest.fixture(scope="module")
def state() -> State:
    world = World()
    commands = [*random_commands(3, 700), ("pass_time", 4, 0), ("change_machine", 3, 2), ("start", 6, 0), ("run", 0, 0)]
    for _ in world.play(commands):
        pass
    assert world.state.attempts, "the history must end in the middle of work"
    world.do(lambda state: hosts.join(state, "1" * 32, 1, "one", ["gpu"], 2))
    return world.state


def kept(state: State) -> Any:
    return orjson.loads(orjson.dumps(state_codec.dump(state)))


def test_every_field_of_every_record_comes_back(state: State) -> None:
    loaded = state_codec.load(kept(state))
    for name in State.__slots__:
        before, after = getattr(state, name), getattr(loaded, name)
        if name in ("tasks", "attempts", "sessions", "daemons", "hosts"):
            assert list(before) == list(after)
            for key, record in before.items():
                assert type(after[key]) is type(record)
                for slot in record.__slots__:
                    assert repr(getattr(after[key], slot)) == repr(getattr(record, slot)), (name, key, slot)
        else:
            assert after == before, name


def test_an_empty_state_comes_back_empty() -> None:
    assert kept(state_codec.load(kept(empty()))) == kept(empty())


def test_a_loaded_state_shares_nothing_with_the_one_it_was_dumped_from(state: State) -> None:
    before = kept(state)
    loaded = state_codec.load(kept(state))
    loaded.limits["x"] = {"until": "", "seq": 0, "task": ""}
    loaded.finished.clear()
    for task in loaded.tasks.values():
        task.after.append("q0")
    assert kept(state) == before


@pytest.mark.parametrize("kind", [Task, Attempt, Session, Daemon, Host])
def test_the_version_names_every_field(kind: type[Any]) -> None:
    assert f"={','.join(kind.__slots__)}" in state_codec.VERSION


def test_the_version_names_every_plain_field_of_the_state() -> None:
    plain = set(State.__slots__) - {"tasks", "attempts", "sessions", "daemons", "hosts", "finished", "recent"}
    assert plain == set(state_codec.VERSION.split("state=")[1].split(";")[0].split(","))


@pytest.mark.parametrize("damage", ["tasks", "finished", "daemons", "machines", "of_issue"])
def test_what_was_not_made_by_dump_is_refused(damage: str, state: State) -> None:
    broken = kept(state)
    del broken[damage]
    with pytest.raises((KeyError, TypeError, ValueError)):
        state_codec.load(broken)


@pytest.mark.parametrize("values", [[], [1], None, "text"])
def test_a_record_of_another_shape_is_refused(values: Any, state: State) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        state_codec.load({**kept(state), "tasks": [values]})
