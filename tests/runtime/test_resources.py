"""What an issue, a repository and the machine can bear: limits that the dispatcher keeps, whoever asks for work."""

from __future__ import annotations

import pytest

from kugetsu.domain.decide import queue
from kugetsu.model.errors import CapReached, Conflict
from kugetsu.runtime import destroy
from kugetsu.views.refusals import words
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]


def test_runs_that_end_well_and_change_nothing_are_stopped_by_parking_the_next(stage: Stage) -> None:
    stage.configure(MAX_RUNS_WITHOUT_PROGRESS="2")
    stage.start_daemon()
    for _ in range(2):
        assert stage.finished(stage.enqueue(1)) == "completed"
    task = stage.enqueue(1)
    stage.until(lambda: stage.state.tasks[task].state == "parked")
    parked = stage.events("task.parked")[-1]
    assert (parked["data"]["reason"], parked["data"]["values"]["runs"]) == ("no_progress", 2)
    assert len(stage.events("attempt.claimed")) == 2, "no slot was taken"
    stage.agent(COMMIT)
    stage.ws.log.transact(lambda state: queue.unblock(state, "progress", str(stage.ref(1))))
    assert stage.finished(task) == "completed"
    assert stage.state.sessions[str(stage.ref(1))].usage.no_progress_runs == 0


def test_the_breaker_is_not_undone_by_destroying_the_session(stage: Stage) -> None:
    stage.configure(MAX_RUNS_WITHOUT_PROGRESS="2")
    stage.start_daemon()
    for _ in range(2):
        assert stage.finished(stage.enqueue(1)) == "completed"
    destroy.destroy(stage.ws, str(stage.ref(1)), force=False)
    with pytest.raises(Conflict, match=r"no_progress.*'runs': 2"):
        stage.start(1)


def test_a_start_beside_a_parked_task_names_a_remedy_that_is_one(stage: Stage) -> None:
    stage.configure(MAX_RUNS_WITHOUT_PROGRESS="1")
    stage.agent("exit 0\n")
    assert stage.finished(stage.start(1).task) == "completed"
    stage.start_daemon()
    parked = stage.enqueue(1)
    stage.wait("task.parked", task=parked)
    with pytest.raises(Conflict, match=rf"other_task_first.*{parked}") as refused:
        stage.start(1)
    assert words(refused.value)[1] == f"kugetsu why {parked}"
    stage.ws.log.transact(lambda state: queue.unblock(state, "progress", str(stage.ref(1))))
    assert stage.finished(parked) == "completed"


def test_commits_are_progress_however_many_runs_there_are(stage: Stage) -> None:
    stage.configure(MAX_RUNS_WITHOUT_PROGRESS="1")
    stage.agent(COMMIT)
    stage.start_daemon()
    for _ in range(3):
        assert stage.finished(stage.enqueue(1)) == "completed"


def test_a_repository_has_no_more_agents_than_its_cap(stage: Stage) -> None:
    stage.configure(MAX_AGENTS_PER_REPOSITORY="1")
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    first, second = stage.enqueue(1), stage.enqueue(2)
    stage.until(lambda: stage.state.tasks[second].held == "repository")
    with pytest.raises(CapReached, match="repository_full"):
        stage.start(3)
    stage.go()
    assert [stage.finished(task) for task in (first, second)] == ["completed", "completed"]


@pytest.mark.parametrize("setting", ["MIN_FREE_DISK_MB", "MIN_FREE_MEMORY_MB"])
def test_a_full_machine_starts_nothing_until_there_is_room(setting: str, stage: Stage) -> None:
    stage.configure(**{setting: "1000000"})
    stage.start_daemon()
    task = stage.enqueue(1)
    gate = "disk" if "DISK" in setting else "memory"
    stage.until(lambda: stage.state.tasks[task].held == gate)
    stage.configure(**{setting: "0"})
    assert stage.finished(task) == "completed"
