"""A folder of runs that cannot be used: told in one line with its remedy, no slot lost, no attempt used up for it."""

from __future__ import annotations

import os
import subprocess

import pytest

from kugetsu.model.errors import AgentUnavailable
from kugetsu.views import refusals
from runtime.stage import Stage, bare_stage, broken_after_the_look, stage

__all__ = ["bare_stage", "stage"]


def put_a_file_there(stage: Stage) -> None:
    runs = stage.directory / "runs"
    runs.rmdir()
    runs.write_text("not a folder")


def test_start_is_refused_with_the_remedy(stage: Stage) -> None:
    put_a_file_there(stage)
    head = stage.ws.log.head()
    with pytest.raises(AgentUnavailable) as refused:
        stage.start(1)
    message, hint = refusals.words(refused.value)[:2]
    assert "runs is not a folder" in message and f"mv {stage.directory}/runs" in str(hint)
    assert stage.ws.log.head() == head
    (stage.directory / "runs").unlink()
    assert stage.start(1).state in ("running", "succeeded")
    assert stage.finished("q1") == "completed"


def test_the_queue_waits_until_it_is_mended(stage: Stage) -> None:
    put_a_file_there(stage)
    stage.start_daemon()
    tasks = [stage.enqueue(number) for number in (1, 2)]
    assert "runs is not a folder" in stage.wait("task.held")["data"]["values"]["why"]
    assert [stage.state.tasks[task].used for task in tasks] == [0, 0]
    (stage.directory / "runs").unlink()
    assert [stage.finished(task) for task in tasks] == ["completed", "completed"]


def test_one_that_breaks_after_the_look_gives_the_slot_back_without_a_traceback(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1", RETRY_BACKOFF_SECONDS="60")
    put_a_file_there(stage)
    broken_after_the_look(stage)
    started = stage.start(1)
    assert started.state == "failed"
    assert "cannot use the folder" in (started.reason or "") and "a file" in (started.reason or "")
    assert stage.state.tasks["q1"].state == "pending", "it is tried again"
    told = capfd.readouterr()
    assert "Traceback" not in told.out + told.err
    (stage.directory / "runs").unlink()
    assert stage.start(2).state in ("running", "succeeded")
    assert stage.finished("q2") == "completed"


def test_a_file_in_the_place_of_one_run_fails_that_attempt_only(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    (stage.directory / "runs" / "q1.1").write_text("not a folder")
    stage.start_daemon()
    task = stage.enqueue(1)
    assert stage.finished(task) == "completed"
    assert "not started: cannot use the folder" in stage.wait("attempt.failed", attempt="q1.1")["data"]["reason"]
    assert stage.wait("attempt.succeeded", attempt="q1.2")
    told = capfd.readouterr()
    assert "Traceback" not in told.out + told.err


def test_a_read_only_folder_of_runs_is_told(stage: Stage) -> None:
    runs = stage.directory / "runs"
    mount = ["mount", "-t", "tmpfs", "-o", "ro,mode=700", "kugetsu-test", str(runs)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("may not mount a tmpfs")
    try:
        with pytest.raises(AgentUnavailable, match="runs is not writable"):
            stage.start(1)
    finally:
        subprocess.run(["umount", "-l", str(runs)], check=True)
