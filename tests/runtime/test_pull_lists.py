"""When a pull request of a list is looked at closely again."""

from __future__ import annotations

import pytest

from forge.scripted import ScriptedForge
from kugetsu.model import clock
from kugetsu.runtime import pull_requests
from kugetsu.runtime.forges import Forges
from kugetsu.runtime.reviews.lists import Lists
from runtime.forged import forge, forged, worked
from runtime.stage import PATIENCE, Stage, bare_stage, stage

__all__ = ["bare_stage", "forge", "forged", "stage"]


@pytest.mark.parametrize("now", [False, True])
def test_look_right_after_a_change_settles_nothing(forged: Stage, forge: ScriptedForge, now: bool) -> None:
    # A second comment within the same second leaves the list as it was.
    if now:
        forged.monkeypatch.setattr("forge.times.START", clock.parse(clock.now()) // 10**6)
    key = worked(forged, 14)
    session = forged.state.sessions[key]
    forge.pull("acme/web", 20, branch=session.branch, sha=session.head or "")
    lists = Lists(forged.ws)
    lists.refresh(lists.place_of(session), Forges(forged.ws))
    listed = lists.find(session)
    assert listed is not None
    seen = {**pull_requests.as_data(listed.url, listed), "checks": "success"}
    lists.note(session, listed, seen, waiting=False, conflicts=False)
    assert lists.is_due(session, PATIENCE) is now


def test_after_checks_that_passed_there_is_one_more_look(forged: Stage, forge: ScriptedForge) -> None:
    # Others may begin later: no list shows that.
    key = worked(forged, 14)
    session = forged.state.sessions[key]
    forge.pull("acme/web", 20, branch=session.branch, sha=session.head or "")
    lists = Lists(forged.ws)
    lists.refresh(lists.place_of(session), Forges(forged.ws))
    listed = lists.find(session)
    assert listed is not None
    seen = {**pull_requests.as_data(listed.url, listed), "checks": "success"}
    due = []
    for _ in range(2):
        lists.note(session, listed, seen, waiting=False, conflicts=False)
        due.append(lists.is_due(session, 0.0))
    assert due == [True, False]
