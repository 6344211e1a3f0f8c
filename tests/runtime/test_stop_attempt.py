"""Cancel: while it waits, while it is prepared, while it runs, and when it does not obey."""

from __future__ import annotations

import pytest

from kugetsu.model.errors import Conflict, NotFound
from kugetsu.runtime import stop_attempt
from kugetsu.runtime.process import identity
from runtime.stage import UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]


def test_a_waiting_task_is_cancelled_at_once(stage: Stage) -> None:
    task = stage.enqueue(1)
    assert [event["type"] for event in stop_attempt.cancel(stage.ws, task)] == ["task.cancelled"]
    stage.start_daemon()
    assert stage.finished(stage.enqueue(2)) == "completed"
    assert not stage.events("attempt.claimed", task=task)


def test_a_working_agent_and_its_tools_are_ended(stage: Stage) -> None:
    stage.agent("setsid sh -c 'echo $$ > \"$STAGE/tool\"; exec sleep 60' &\n" + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    tool, agent = stage.pid("tool"), stage.state.attempts["q1.1"].agent
    stop_attempt.cancel(stage.ws, "q1")
    assert stage.finished("q1") == "cancelled"
    assert agent is not None and not identity.alive(agent)
    assert not identity.alive(tool)
    assert stage.wait("attempt.killed")["cause"] == stage.wait("attempt.stop_requested")["seq"]
    assert stage.state.tasks["q1"].state == "cancelled"


def test_an_agent_that_ignores_the_request_is_killed(stage: Stage) -> None:
    stage.agent("trap '' TERM INT HUP\n" + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    stop_attempt.cancel(stage.ws, "q1")
    assert stage.finished("q1") == "cancelled"
    assert stage.wait("attempt.killed")["data"]["signal"] == 9


def test_an_agent_that_obeys_with_exit_code_0_is_cancelled_and_not_completed(stage: Stage) -> None:
    stage.agent("trap 'exit 0' TERM\n" + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    stop_attempt.cancel(stage.ws, "q1")
    assert stage.finished("q1") == "cancelled"


def test_a_task_that_is_cancelled_while_its_worktree_is_made_never_runs(stage: Stage) -> None:
    stage.hook("post-checkout", 'touch "$STAGE/preparing"; while ! test -e "$STAGE/go"; do sleep 0.02; done\n')
    stage.agent('touch "$STAGE/ran"')
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.file("preparing")
    stop_attempt.cancel(stage.ws, task)
    assert stage.finished(task) == "cancelled", "while its hook still waits"
    assert not (stage.folder / "ran").exists()
    assert not stage.events("attempt.running")
    stage.go()
    again = stage.enqueue(1)
    assert stage.finished(again) == "completed", "what was prepared is kept for the next task"


def test_a_second_cancel_changes_nothing(stage: Stage) -> None:
    stage.agent("trap '' TERM\n" + UNTIL_GO)
    stage.configure(KILL_GRACE_SECONDS="60")
    stage.start(1)
    stage.at_work("q1.1")
    assert stop_attempt.cancel(stage.ws, "q1")
    assert stop_attempt.cancel(stage.ws, "q1") == []
    stage.go()
    stage.finished("q1")


def test_what_is_over_or_was_never_there_cannot_be_cancelled(stage: Stage) -> None:
    stage.start(1)
    stage.finished("q1")
    with pytest.raises(Conflict):
        stop_attempt.cancel(stage.ws, "q1")
    with pytest.raises(NotFound):
        stop_attempt.cancel(stage.ws, "q7")


def test_an_issue_can_be_started_again_after_a_cancel(stage: Stage) -> None:
    stage.agent('if test "$KUGETSU_ATTEMPT" = q1.1; then sleep 60; fi')
    stage.start(1)
    stage.wait("attempt.running")
    stop_attempt.cancel(stage.ws, "q1")
    stage.finished("q1")
    assert stage.start(1).state == "running"
    assert stage.finished("q2") == "completed"
