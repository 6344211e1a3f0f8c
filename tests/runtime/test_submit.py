"""Requests for work: start claims or changes nothing, enqueue waits, waiting tells how it ended."""

from __future__ import annotations

import os

import pytest

from kugetsu.domain.decide import queue
from kugetsu.model.errors import AgentUnavailable, BadInput, CapReached, Conflict, KugetsuError, NotFound
from kugetsu.runtime import submit
from kugetsu.runtime.workspace import Workspace
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, broken_after_the_look, stage

__all__ = ["bare_stage", "stage"]


def test_a_started_task_runs_in_a_worktree_and_is_completed_with_its_evidence(stage: Stage) -> None:
    stage.agent('pwd > "$STAGE/where"\n' + COMMIT)
    started = stage.start(1)
    assert (started.state, started.task, started.attempt) == ("running", "q1", "q1.1")
    assert submit.wait_for(stage.ws, "q1")["type"] == "task.completed"
    assert stage.file("where").strip() == str(stage.worktree(1))
    assert stage.wait("attempt.succeeded")["data"]["evidence"]["commits"] == 1


def test_a_pull_request_that_is_said_comes_with_the_claim_and_its_agent_is_told(stage: Stage) -> None:
    url = "https://git.example.com/a/b/pulls/3"
    stage.agent('cat > "$STAGE/prompt"')
    submit.start(stage.ws, stage.ref(1), "do it", pr=url)
    stage.finished("q1")
    (claimed,), (tied,) = stage.events("attempt.claimed"), stage.events("session.pr")
    assert (claimed["more"], tied["seq"], tied["cause"]) == (1, claimed["seq"] + 1, claimed["seq"])
    assert tied["data"] == {"url": url, "source": "said"} and url in stage.file("prompt")
    submit.start(stage.ws, stage.ref(1), "go on", pr=url)
    assert len(stage.events("session.pr")) == 1


def test_a_start_beyond_the_cap_is_refused_and_changes_nothing(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1")
    stage.agent(UNTIL_GO)
    stage.start(1)
    before = stage.ws.log.head()
    with pytest.raises(CapReached) as refused:
        stage.start(2)
    assert refused.value.exit_code == 2
    assert stage.ws.log.head() == before
    leases = os.listdir(stage.ws.paths.leases)
    assert len(leases) == 1, "the refused claim's lease is gone"


def test_a_second_start_on_a_busy_issue_is_refused_and_changes_nothing(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    before = stage.ws.log.head()
    with pytest.raises(Conflict, match=r"issue_busy.*q1\.1"):
        stage.start(1)
    assert stage.ws.log.head() == before


def test_a_start_before_init_says_what_to_do(bare_stage: Stage) -> None:
    bare_stage.configure()
    with pytest.raises(KugetsuError) as refused:
        submit.start(bare_stage.ws, bare_stage.ref(1), "x")
    assert refused.value.hint == "kugetsu init"


def test_a_start_whose_agent_is_missing_is_refused_and_changes_nothing(stage: Stage) -> None:
    stage.configure(KUGETSU_AGENT_COMMAND="/nowhere/agent")
    told = len(stage.events())
    with pytest.raises(AgentUnavailable, match="/nowhere/agent") as refused:
        stage.start(1)
    assert "kugetsu config set KUGETSU_AGENT_COMMAND" in str(refused.value)
    assert len(stage.events()) == told


def test_a_start_whose_agent_goes_missing_says_so_and_frees_the_slot(stage: Stage) -> None:
    stage.configure(KUGETSU_AGENT_COMMAND="/nowhere/agent")
    broken_after_the_look(stage)
    started = stage.start(1)
    assert started.state == "failed"
    assert "/nowhere/agent" in (started.reason or "")
    stage.until(lambda: not stage.state.attempts)
    task = stage.state.tasks["q1"]
    assert (task.state, task.used) == ("parked", 0), "it is tried again when the agent is there"


def test_a_start_in_a_repository_that_is_not_there_ends_in_error_with_the_reason(stage: Stage) -> None:
    stage.repository.rename(stage.root / "gone")
    started = stage.start(1)
    assert started.state == "failed"
    assert stage.finished("q1") == "error"
    assert str(stage.repository) in (stage.state.tasks["q1"].reason or "")


def test_the_clone_in_which_it_is_typed_is_where_the_worktree_comes_from(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stage.repository)
    stage.enqueue(1)
    assert stage.wait("task.queued")["data"]["repository"] == {"path": str(stage.repository)}


def test_waiting_for_a_finished_task_gives_its_last_end_and_not_an_earlier_one(stage: Stage) -> None:
    stage.configure(USAGE_LIMIT_PAUSE_MINUTES="0.01")
    stage.agent(
        'if test -e "$STAGE/limited"; then exit 0; fi; touch "$STAGE/limited"; echo "usage limit reached" >&2; exit 1'
    )
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.wait("task.completed", task=task)
    assert stage.events("task.parked", task=task)
    assert submit.wait_for(stage.ws, task)["type"] == "task.completed"


def test_waiting_for_a_task_that_runs_again_does_not_give_its_earlier_park(stage: Stage) -> None:
    stage.configure(USAGE_LIMIT_PAUSE_MINUTES="0.01")
    stage.agent(
        'if ! test -e "$STAGE/limited"; then touch "$STAGE/limited"; echo "usage limit reached" >&2; exit 1; fi\n'
        + UNTIL_GO
    )
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.at_work(f"{task}.2")
    stage.go()
    assert submit.wait_for(stage.ws, task)["type"] == "task.completed"


def test_waiting_without_a_daemon_tells_that_nobody_retries(stage: Stage) -> None:
    stage.agent("exit 1")
    stage.start(1)
    assert submit.wait_for(stage.ws, "q1")["type"] == "task.retried"
    assert submit.wait_for(stage.ws, "q1")["type"] == "task.retried", "asked again, the answer is the same"


def test_waiting_for_a_task_that_has_left_the_queue_still_answers(stage: Stage) -> None:
    stage.start(1)
    stage.finished("q1")
    stage.ws.log.transact(lambda state: queue.clear(state, None))
    assert "q1" not in stage.state.tasks
    assert submit.wait_for(stage.ws, "q1")["type"] == "task.completed"


def test_waiting_for_an_unknown_task_is_refused(stage: Stage) -> None:
    with pytest.raises(NotFound):
        submit.wait_for(stage.ws, "q99")


def test_a_dead_runner_is_noticed_by_the_next_start(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1")
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    stage.kill(stage.state.attempts["q1.1"].runner)
    assert stage.start(2).state == "running"
    assert stage.wait("attempt.lost", attempt="q1.1")


def test_a_message_that_is_no_text_is_refused_and_changes_nothing(stage: Stage) -> None:
    before = stage.ws.log.head()
    with pytest.raises(BadInput):
        stage.enqueue(1, os.fsdecode(b"caf\xe9"))
    assert stage.ws.log.head() == before
    stage.enqueue(1, "café")


def test_a_relative_directory_means_the_same_to_the_runner(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUGETSU_DIR", os.path.relpath(stage.directory))
    stage.start(1)
    assert stage.finished("q1") == "completed"


def test_a_start_that_loses_the_last_slot_between_look_and_lock_records_to_whom(stage: Stage) -> None:
    from kugetsu.runtime import dispatcher

    stage.configure(MAX_CONCURRENT_AGENTS="1")
    stage.agent(UNTIL_GO)
    offer = dispatcher.make_claim_request

    def too_late(ws: Workspace) -> object:
        stage.monkeypatch.setattr(dispatcher, "make_claim_request", offer)
        stage.start(2)
        return offer(ws)

    stage.monkeypatch.setattr(dispatcher, "make_claim_request", too_late)
    with pytest.raises(CapReached):
        stage.start(1)
    (lost,) = stage.events("claim.lost")
    assert (lost["issue"], lost["data"]["gate"], lost["data"]["to"]) == (str(stage.ref(1)), "slots", "q1.1")
    assert [event["issue"] for event in stage.events("task.queued")] == [str(stage.ref(2))]
    with pytest.raises(CapReached):
        stage.start(1)
    assert len(stage.events("claim.lost")) == 1, "a machine that was full already is no race"
    assert len(os.listdir(stage.ws.paths.leases)) == 1
