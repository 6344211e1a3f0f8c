"""What came of an attempt that was given away with its host, and whose runner cannot tell it any more."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from kugetsu.domain.decide import hosts
from kugetsu.domain.facts import Ending
from kugetsu.runtime import host_id, late_outcomes
from kugetsu.runtime.process import identity, termination
from kugetsu.runtime.runner import finalize, spawn, temp_folders
from runtime.stage import UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

TWO = "f" * 32


@pytest.fixture
def given_away(stage: Stage) -> identity.Identity:
    """An agent at work whose runner was killed; its host was lost, and has joined again. The agent."""
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    attempt, own = stage.state.attempts["q1.1"], host_id.own(stage.ws)
    for host, name in ((own, "one"), (TWO, "two")):
        join(stage, host, name, 1)
    stage.kill(attempt.runner)
    lose(stage, own)
    join(stage, own, "one", 2)
    assert attempt.agent is not None and list(stage.state.hosts[own].away) == ["q1.1"]
    return attempt.agent


def lose(stage: Stage, own: str) -> None:
    facts: Any = {
        "now": stage.state.latest,
        "max_attempts": 3,
        "backoff_seconds": 1.0,
        "pause_seconds": 1.0,
        "agent": "-",
    }
    lost = partial(hosts.lost, host=own, term=1, silent_since=None, by=None, reason="lost", facts=facts)
    stage.ws.log.transact(lost)


def join(stage: Stage, host: str, name: str, term: int) -> None:
    stage.ws.log.transact(partial(hosts.join, host=host, term=term, name=name, labels=[], cap=2))


def test_what_a_dead_runner_left_is_ended_and_recorded(stage: Stage, given_away: identity.Identity) -> None:
    assert identity.alive(given_away), "an agent outlives its runner"
    assert late_outcomes.settle(stage.ws, stage.state, {}) == ["q1.1"]
    assert not identity.alive(given_away)
    (late,) = stage.events("attempt.late")
    assert late["attempt"] == "q1.1" and "its runner was killed" in late["data"]["reason"]
    assert [event["attempt"] for event in stage.events("orphans.ended")] == ["q1.1"]
    assert late_outcomes.settle(stage.ws, stage.state, {}) == []
    assert stage.state.tasks["q1"].state == "pending", "its task was given away, and is"


def test_the_end_that_a_supervisor_wrote_down_is_recorded(stage: Stage, given_away: identity.Identity) -> None:
    stage.kill(given_away)
    stage.monkeypatch.setattr(identity, "boot_id", lambda: "since the restart")
    ended = "--exit\n3\n--stopped\nnone\n--ended-at\n2026-11-23T09:00:00.000000Z\n--leftover\n0\n"
    (stage.directory / "runs" / "q1.1" / "ended").write_text(ended)
    assert late_outcomes.settle(stage.ws, stage.state, {}) == ["q1.1"]
    (late,) = stage.events("attempt.late")
    assert "exit code 3" in late["data"]["reason"], late


def test_what_was_given_away_and_still_works_is_awaited(stage: Stage, given_away: identity.Identity) -> None:
    known: Any = {}
    assert late_outcomes.at_work(stage.ws, stage.state, known) == ["q1.1"]
    late_outcomes.settle(stage.ws, stage.state, known)
    assert late_outcomes.at_work(stage.ws, stage.state, known) == []


def test_an_attempt_without_its_folder_is_left_alone(stage: Stage, given_away: identity.Identity) -> None:
    stage.kill(given_away)
    (stage.directory / "runs" / "q1.1").rename(stage.root / "away")
    assert late_outcomes.settle(stage.ws, stage.state, {}) == [] == stage.events("attempt.late")


def test_a_runner_whose_attempt_is_given_away_while_it_looks_leaves_no_temporary_folder(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    attempt, own = stage.state.attempts["q1.1"], host_id.own(stage.ws)
    join(stage, own, "one", 1)
    stage.kill(attempt.runner)
    termination.end(attempt.lease, 0.0)
    assert temp_folders.left(stage.ws.paths, "q1.1") is not None

    def look(*_: Any, **__: Any) -> Ending:
        lose(stage, own)
        return Ending("fail", "retry", "exit code 3")

    stage.monkeypatch.setattr(spawn, "begin_finalizing", lambda: None)
    stage.monkeypatch.setattr(finalize, "ending_of", look)
    end = ["--exit", "3", "--stopped", "none", "--ended-at", "2026-11-23T09:00:00.000000Z", "--leftover", "0"]
    assert finalize.main(["q1.1", *end]) == 0
    assert [event["attempt"] for event in stage.events("attempt.late")] == ["q1.1"]
    assert temp_folders.left(stage.ws.paths, "q1.1") is None
