"""A full disk: commands fail and say so, what runs is recorded once there is space, nothing is lost."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kugetsu.domain.decide import queue
from kugetsu.model.errors import KugetsuError, LogWriteFailed
from kugetsu.runtime import reconcile, stop_attempt, submit
from kugetsu.runtime.runner import launch as runner
from runtime.stage import COMMIT, SOURCE, UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]


def log_bytes(stage: Stage) -> int:
    return max(path.stat().st_size for path in (stage.directory / "log").glob("*.jsonl"))


@contextmanager
def no_file_grows_beyond(pid: int, size: int) -> Iterator[None]:
    """As on a full disk: what a process (0: this one) and its children write beyond ``size`` bytes fails."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        if os.path.isdir(f"/proc/{pid or 'self'}"):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def test_commands_fail_with_the_remedy_and_change_nothing(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    head, leases = stage.ws.log.head(), sorted(os.listdir(stage.ws.paths.leases))
    with no_file_grows_beyond(0, log_bytes(stage)):
        for command in (lambda: stage.start(2), lambda: stage.enqueue(2), lambda: stop_attempt.cancel(stage.ws, "q1")):
            with pytest.raises(LogWriteFailed) as refused:
                command()
            assert refused.value.hint
    assert stage.ws.log.head() == head
    assert sorted(os.listdir(stage.ws.paths.leases)) == leases
    stage.go()
    assert stage.finished("q1") == "completed"
    assert stage.start(2).state == "running"
    assert stage.finished("q2") == "completed"


def test_an_attempt_that_ends_on_a_full_disk_is_recorded_once_there_is_space(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    runner = stage.state.attempts["q1.1"].runner
    assert runner is not None
    head = stage.ws.log.head().seq
    with no_file_grows_beyond(runner["pid"], log_bytes(stage)):
        stage.go()
        ended = stage.directory / "runs" / "q1.1" / "ended"
        stage.until(ended.exists)
        assert not stage.ws.log.wait(head, 1.5)
        assert "q1.1" in stage.state.attempts, "its slot is held as long as its end is not recorded"
    assert stage.finished("q1") == "completed"


def test_reconciling_on_a_full_disk_fails_at_once_and_succeeds_later(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    attempt = stage.state.attempts["q1.1"]
    agent = attempt.agent
    stage.kill(attempt.runner)
    stage.kill(agent)
    with no_file_grows_beyond(0, log_bytes(stage)), pytest.raises(LogWriteFailed):
        reconcile.reconcile(stage.ws)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]


def test_a_daemon_on_a_full_disk_does_not_spin_and_goes_on_when_there_is_space(stage: Stage) -> None:
    pid = stage.start_daemon()
    with no_file_grows_beyond(pid, log_bytes(stage)):
        tasks = [stage.enqueue(number) for number in (1, 2)]
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        assert not stage.ws.log.wait(stage.ws.log.head().seq, 3.0)
        later = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        assert sum(map(int, later[11:13])) - sum(map(int, fields[11:13])) < 100
        assert [stage.state.tasks[task].state for task in tasks] == ["pending", "pending"]
    assert [stage.finished(task) for task in tasks] == ["completed", "completed"]


def test_a_healthy_daemon_frees_the_slot_of_a_runner_that_may_write_no_more(stage: Stage) -> None:
    """As of one that was started under `ulimit -f`."""
    stage.configure(MAX_CONCURRENT_AGENTS="1")
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    stage.start_daemon()
    runner = stage.state.attempts["q1.1"].runner
    assert runner is not None
    with no_file_grows_beyond(runner["pid"], log_bytes(stage)):
        stage.go()
        assert stage.finished("q1") == "completed"
    assert stage.wait("attempt.succeeded")["by"]["cmd"] == "kugetsu queue-daemon"


def test_who_waits_under_a_limit_on_files_is_told_at_once(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    runner = stage.state.attempts["q1.1"].runner
    assert runner is not None
    size = log_bytes(stage)
    with (
        no_file_grows_beyond(runner["pid"], size),
        no_file_grows_beyond(0, size),
        pytest.raises(LogWriteFailed, match="cannot be recorded yet") as told,
    ):
        stage.go()
        submit.wait_for(stage.ws, "q1")
    assert "ulimit -f" in str(told.value.hint)
    assert reconcile.reconcile(stage.ws) in (["q1.1"], [])
    assert stage.finished("q1") == "completed"


def test_a_start_whose_runner_may_not_write_ends_at_once_and_its_slot_comes_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = runner._prepare

    def limited(*arguments: Any) -> Any:
        resource.setrlimit(resource.RLIMIT_FSIZE, (log_bytes(stage), resource.RLIM_INFINITY))
        return prepare(*arguments)

    monkeypatch.setattr(runner, "_prepare", limited)
    stage.configure(MAX_ATTEMPTS="1")
    started = stage.start(1)
    assert started.state == "lost"
    assert not stage.state.attempts


@pytest.mark.parametrize("mebibytes", [1, 12])
def test_a_daemon_under_a_fixed_limit_on_files_is_refused(stage: Stage, mebibytes: int) -> None:
    refused = daemon_under(mebibytes << 20, mebibytes << 20)
    assert refused.returncode == 1
    assert f"exceed {mebibytes << 10} KiB" in refused.stderr and "ulimit -f unlimited" in refused.stderr
    assert not stage.events("daemon.started")


def test_a_daemon_under_a_limit_on_files_that_it_may_raise_works(stage: Stage) -> None:
    assert daemon_under(log_bytes(stage), resource.RLIM_INFINITY).returncode == 0
    tasks = [stage.enqueue(number) for number in (1, 2)]
    assert [stage.finished(task) for task in tasks] == ["completed", "completed"]


def daemon_under(soft: int, hard: int) -> subprocess.CompletedProcess[str]:
    """`queue-daemon start` under limits on the size of files.

    -B: what Python compiles before kugetsu is there would be cut at the limit, for every later process of these tests.
    """
    return subprocess.run(
        [sys.executable, "-B", "-m", "kugetsu", "queue-daemon", "start"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)),
    )


def test_a_command_under_a_limit_on_files_leaves_no_half_written_bytecode(stage: Stage) -> None:
    """Python renames what it could write: every later start failed with "marshal data too short"."""
    package = stage.folder / "source" / "kugetsu"
    shutil.copytree(Path(SOURCE) / "kugetsu", package, ignore=shutil.ignore_patterns("__pycache__"))
    # Set once Python itself is there: what it imports before is nobody's to protect here.
    limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)); "
    run = "import runpy, sys; sys.argv[1:] = ['status']; runpy.run_module('kugetsu', run_name='__main__')"
    for code in (limited + run, run):
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            env={**os.environ, "PYTHONPATH": str(package.parent), "PYTHONPYCACHEPREFIX": ""},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert list(package.rglob("main*.pyc")), "without a limit it is written"


@pytest.fixture
def tiny_disk(bare_stage: Stage) -> Iterator[Stage]:
    """KUGETSU_DIR on a disk of its own of 2 MB."""
    bare_stage.directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "kugetsu-test", str(bare_stage.directory)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("may not mount a tmpfs")
    try:
        bare_stage.set_up()
        yield bare_stage
        bare_stage.check()
        bare_stage.clean_up()
    finally:
        subprocess.run(["umount", "-l", str(bare_stage.directory)], check=True)


def test_a_disk_that_fills_up_and_is_freed_again_loses_nothing(tiny_disk: Stage) -> None:
    stage = tiny_disk
    stage.agent(UNTIL_GO + 'cd "$STAGE" && exit 0\n')
    stage.start_daemon()
    first = stage.enqueue(1)
    stage.at_work(f"{first}.1")
    second = stage.enqueue(2)
    stage.at_work(f"{second}.1")
    ballast = stage.directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            pass  # full
    with pytest.raises(KugetsuError) as refused:
        for number in range(3, 60):  # what is left of the last block may take a few
            stage.enqueue(number, "x" * 200)
    assert "space" in f"{refused.value.message} {refused.value.hint}"
    stage.go()
    for task in (first, second):
        stage.until((stage.directory / "runs" / f"{task}.1").is_dir)
    assert not stage.ws.log.wait(stage.ws.log.head().seq, 1.0)
    ballast.unlink()
    assert [stage.finished(task) for task in (first, second)] == ["completed", "completed"]
    stage.agent(COMMIT)
    stage.until(lambda: not stage.state.waiting() and not stage.state.attempts)


def fill(stage: Stage) -> Path:
    """Fill the tiny disk; the file that does."""
    ballast = stage.directory / "ballast"
    with ballast.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            pass  # full
    return ballast


def until_nothing_fits(stage: Stage) -> Path:
    """Fill the disk, and what is left of the log's last block."""
    ballast = fill(stage)
    with pytest.raises(KugetsuError):
        for number in range(100, 200):
            stage.enqueue(number, "x" * 200)
    return ballast


def test_who_waits_for_an_outcome_is_told_that_the_disk_is_full(tiny_disk: Stage) -> None:
    stage = tiny_disk
    stage.agent(UNTIL_GO + 'cd "$STAGE" && exit 0\n')
    errors = stage.folder / "errors"
    with errors.open("w") as file:
        waiting = subprocess.Popen(
            [sys.executable, "-m", "kugetsu", "start", "--wait", str(stage.ref(1)), "do it"],
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    try:
        stage.at_work("q1.1")
        ballast = until_nothing_fits(stage)
        stage.go()
        stage.until(lambda: "cannot be recorded yet" in errors.read_text())
        assert "space" in errors.read_text()
        ballast.unlink()
        assert waiting.wait(60) == 0
    finally:
        waiting.kill()
        waiting.wait()


def test_a_start_on_a_disk_that_fills_up_meanwhile_ends_and_says_so(
    tiny_disk: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = tiny_disk
    prepare = runner._prepare

    def full(*arguments: Any) -> Any:
        until_nothing_fits(stage)
        return prepare(*arguments)

    monkeypatch.setattr(runner, "_prepare", full)
    stage.configure(MAX_ATTEMPTS="1")
    with pytest.raises(LogWriteFailed, match=r"q1\.1 has ended, which cannot be recorded yet: .*space"):
        stage.start(1)
    (stage.directory / "ballast").unlink()
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert stage.state.tasks["q1"].state == "error"
    stage.ws.log.transact(lambda state: queue.cancel_waiting(state, "over"))
