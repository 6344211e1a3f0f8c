"""Labelled issues become tasks: real daemon, observer and forge; one task for each label event, whatever is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from forge.scripted import ScriptedForge
from kugetsu.domain.decide import pauses
from kugetsu.model import clock
from kugetsu.runtime.forges import Forges
from kugetsu.runtime.intake import looking
from kugetsu.runtime.intake.looking import Outcome
from kugetsu.runtime.intake.reading import Place
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.named_lease import OBSERVER
from kugetsu.runtime.workspace import open_workspace
from runtime.forged import PUSH, REPOSITORY, forge, forged
from runtime.stage import COMMIT, PATIENCE, UNTIL_GO, Stage, bare_stage, stage
from runtime.supervised import eventually

__all__ = ["bare_stage", "forge", "forged", "stage"]

#: An interval in minutes in which a test does not wait for long.
OFTEN = "0.005"
LABEL = "kugetsu"


@pytest.fixture(autouse=True)
def no_observer_is_left(bare_stage: Stage) -> Iterator[None]:
    yield
    if not (bare_stage.directory / "log").is_dir():
        return
    for who in (bare_stage.state.daemon.identity, OBSERVER.holder(bare_stage.ws.paths)):
        if who is not None:
            identity.signal(who, signal.SIGKILL)
    assert eventually(lambda: not OBSERVER.alive(bare_stage.ws.paths), PATIENCE)


@pytest.fixture
def taken(forged: Stage, forge: ScriptedForge) -> Stage:
    """A stage with an intake; bob may set labels, and mallory may not."""
    forged.configure(INTAKE_LABEL=LABEL, INTAKE_INTERVAL_MINUTES=OFTEN)
    forge.intake(REPOSITORY).rights |= {"bob": "write", "mallory": "read"}
    return forged


def labelled(
    forge: ScriptedForge, number: int = 14, *, by: str = "bob", body: str = "as it is", more: str = ""
) -> None:
    forge.issue(REPOSITORY, number, title=f"Slow {number}", body=body, author="mallory", labels=(more,) if more else ())
    forge.label(REPOSITORY, number, LABEL, by=by)


def look(stage: Stage, place: Place | None = None, *, dry: bool = False) -> list[Outcome]:
    ws = stage.ws
    return list(looking.look(ws, place or Place(stage.name, LABEL), Forges(ws), dry=dry))


def queued(stage: Stage) -> list[str | None]:
    return [event.get("issue") for event in stage.events("task.queued")]


def test_a_labelled_issue_is_worked_on(taken: Stage, forge: ScriptedForge) -> None:
    taken.agent(COMMIT + PUSH)
    taken.start_daemon()
    taken.until(lambda: OBSERVER.alive(taken.ws.paths))
    labelled(forge, more="priority:high")
    taken.wait("task.completed")
    (event,) = taken.events("task.queued")
    assert event["issue"] == str(taken.ref(14)) and event["data"]["priority"] == 10
    assert event["data"]["message"] == "Slow 14\n\nas it is"
    entry = taken.state.intake[str(taken.ref(14))]
    assert entry["labelled_by"] == "bob"


def test_two_looks_at_a_time_queue_one_task(taken: Stage, forge: ScriptedForge) -> None:
    labelled(forge)
    other = open_workspace({**os.environ, "KUGETSU_DIR": str(taken.directory)}, "another")
    first = looking.look(taken.ws, Place(taken.name, LABEL), Forges(taken.ws))
    second = looking.look(other, Place(taken.name, LABEL), Forges(other))
    assert [one.fresh for one in (next(first), next(second))] == [True, False]
    other.close()
    assert queued(taken) == [str(taken.ref(14))]


def test_nothing_changed_costs_one_request_and_no_event(taken: Stage, forge: ScriptedForge) -> None:
    for number in range(14, 18):
        labelled(forge, number)
    place = Place(taken.name, LABEL)
    look(taken, place)
    seq, asked = taken.state.seq, len(forge.requests)
    look(taken, place)
    assert (taken.state.seq, len(forge.requests)) == (seq, asked + 1)


def working(stage: Stage, forge: ScriptedForge) -> None:
    """An agent of a labelled issue that has pushed, and is not done yet."""
    stage.configure(OPEN_PULL_REQUEST="missing", RETRY_BACKOFF_SECONDS="0")
    stage.agent(COMMIT + PUSH + UNTIL_GO)
    labelled(forge)
    look(stage)
    stage.start_daemon()
    stage.at_work("q1.1")


@pytest.mark.parametrize(("change", "why"), [("unlabel", "was removed"), ("close", "was closed")])
def test_no_pull_request_for_an_issue_that_was_taken_back_meanwhile(
    taken: Stage, forge: ScriptedForge, change: str, why: str
) -> None:
    working(taken, forge)
    if change == "unlabel":
        forge.unlabel(REPOSITORY, 14, LABEL)
    else:
        forge.change_issue(REPOSITORY, 14, state="closed")
    taken.go()
    failed = taken.wait("pull.failed")
    assert why in failed["data"]["reason"] and failed["data"]["not_before"] is None
    assert forge.pulls(REPOSITORY) == [] and taken.state.sessions[str(taken.ref(14))].commits == 1


def test_a_pause_holds_the_pull_request_until_it_ends(taken: Stage, forge: ScriptedForge) -> None:
    working(taken, forge)
    taken.ws.log.transact(lambda state: pauses.pause(state, None, None, clock.now()))
    taken.go()
    taken.wait("task.completed")
    taken.until(lambda: not taken.state.attempts)
    asked = len(forge.asked("GET", "/issues"))
    taken.until(lambda: len(forge.asked("GET", "/issues")) > asked + 2)  # the observer is awake, and lets it be
    assert forge.pulls(REPOSITORY) == [] and not taken.events("pull.failed")
    taken.ws.log.transact(lambda state: pauses.resume(state, None))
    taken.wait("pull.opened")


def test_what_a_person_asked_for_needs_no_label(forged: Stage, forge: ScriptedForge) -> None:
    forged.configure(OPEN_PULL_REQUEST="missing", INTAKE_LABEL=LABEL)
    forge.issue(REPOSITORY, 14)
    forged.agent(COMMIT + PUSH)
    forged.finished(forged.start(14).task)
    forged.wait("pull.opened")
