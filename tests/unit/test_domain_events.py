"""The catalogue: every kind has one place in the fold, a shape, and a way up from its older versions."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest

from kugetsu.domain import events, fold
from kugetsu.domain.events import CATALOGUE, Kind, declaration, missing_keys, upcast
from kugetsu.domain.events.declaration import keys
from kugetsu.domain.state import empty


def test_every_kind_that_is_declared_to_be_folded_has_a_handler() -> None:
    assert fold.HANDLERS.keys() == {name for name, kind in CATALOGUE.items() if kind.folded}


def test_every_older_version_has_an_upcaster() -> None:
    for kind in CATALOGUE.values():
        assert kind.upcasters.keys() == set(range(1, kind.version))


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_shape_is_explained_and_typed(name: str) -> None:
    shape = CATALOGUE[name].shape
    assert shape.__doc__
    assert keys(shape)


def test_missing_keys_are_named_in_order() -> None:
    assert missing_keys("log.created", {}) == ["kugetsu", "log_id"]
    assert missing_keys("log.created", {"log_id": "x", "kugetsu": "1", "more": 1}) == []


def test_optional_keys_are_not_missing() -> None:
    assert missing_keys("session.requested", {"kind": "pm", "repository": None}) == []
    assert missing_keys("repository.registered", {"repository": "r"}) == []


def test_the_keys_of_an_unknown_kind_are_not_made_up() -> None:
    with pytest.raises(KeyError):
        missing_keys("task.exploded", {})


class Third(TypedDict):
    """A shape in its third version."""

    whole: str


def _first_to_second(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "v": 2, "data": {"name": event["data"]["nm"]}}


def _second_to_third(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "v": 3, "data": {"whole": event["data"]["name"] + "!"}}


@pytest.fixture
def temporary_kind(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A kind in its third version; gives what was folded of it."""
    folded: list[dict[str, Any]] = []
    kind = Kind("test.happened", Third, 3, {1: _first_to_second, 2: _second_to_third})
    monkeypatch.setitem(declaration.DECLARED, "test.happened", kind)
    monkeypatch.setitem(events.PRESENT, "test.happened", 3)
    monkeypatch.setitem(fold.HANDLERS, "test.happened", lambda state, event: folded.append(event["data"]))
    return folded


@pytest.mark.parametrize(
    ("version", "data"), [(1, {"nm": "a"}), (2, {"name": "a"}), (3, {"whole": "a!"})], ids=["v1", "v2", "v3"]
)
def test_an_event_of_every_version_is_folded_in_the_present_one(
    version: int, data: dict[str, str], temporary_kind: list[dict[str, Any]]
) -> None:
    state = empty()
    event = {"seq": 1, "at": "t", "type": "test.happened", "v": version, "data": data}
    fold.fold(state, event)
    assert temporary_kind == [{"whole": "a!"}]
    assert state.violations == []
    assert event["data"] == data, "the recorded event was changed"


def test_an_old_event_that_no_upcaster_can_read_is_a_violation(temporary_kind: list[dict[str, Any]]) -> None:
    state = empty()
    fold.fold(state, {"seq": 9, "at": "t", "type": "test.happened", "v": 1, "data": {}})
    assert [violation["seq"] for violation in state.violations] == [9]
    assert (state.seq, temporary_kind) == (9, [])


def test_an_event_of_a_later_version_is_folded_as_well_as_can_be_and_reported(
    temporary_kind: list[dict[str, Any]],
) -> None:
    state = empty()
    fold.fold(state, {"seq": 4, "at": "t", "type": "test.happened", "v": 4, "data": {"whole": "b"}})
    assert temporary_kind == [{"whole": "b"}]
    assert "version 4, later than the 3" in state.violations[0]["text"]


def test_upcasting_an_unknown_kind_leaves_it_alone() -> None:
    event = {"type": "task.exploded", "v": 1}
    assert upcast(event) is event
