"""A decision with an effect is found by taking it twice."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State, empty
from kugetsu.log import open_log
from kugetsu.model import clock
from kugetsu.model.errors import Conflict
from twice import twice


def test_a_pure_decision_passes() -> None:
    new_event = NewEvent("notices.read", {"until": 3})
    assert twice(lambda _: [new_event], empty()) == [new_event]
    with pytest.raises(Conflict):
        twice(lambda _: refuse(), empty())


def refuse() -> list[NewEvent]:
    raise Conflict("no")


def test_one_that_remembers_is_found() -> None:
    beaten: list[int] = []

    def decide(state: State) -> list[NewEvent]:
        beaten.append(state.seq)
        return [NewEvent("notices.read", {"until": len(beaten)})]

    with pytest.raises(AssertionError, match="gives something else"):
        twice(decide, empty())

    def once(state: State) -> list[NewEvent]:
        beaten.append(state.seq)
        return refuse() if len(beaten) % 2 else []

    with pytest.raises(AssertionError, match="taken again"):
        twice(once, empty())


def test_logs_in_files_take_each_decision_twice(tmp_path: Any) -> None:
    log = open_log(str(tmp_path), by={}, now=clock.now)
    asked: list[int] = []

    def decide(state: State) -> list[NewEvent]:
        asked.append(state.seq)
        return []

    log.transact(decide)
    log.close()
    assert len(asked) % 2 == 0 and len(asked) >= 2
