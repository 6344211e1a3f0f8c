"""A run's files that are no regular files any more: the agent works with our rights, and may make anything of them.

Nothing hangs, nothing fails but what was asked for, and the slot comes back.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kugetsu.agents import last_activity
from kugetsu.agents.opencode import baseline, events
from kugetsu.cli.main import main
from kugetsu.host import run_files
from kugetsu.runtime import reconcile, stderr_tail, stop_attempt
from kugetsu.runtime.process import lease
from kugetsu.runtime.runner import spawn
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage
from runtime.supervised import Attempt

__all__ = ["bare_stage", "stage"]

FILES = ("output.jsonl", "stderr.log", "checkup.json", "prompt.md", "result.json", "ended", "stop", "runner.log")
FILES += ("before.json", "tmpdir")
HUNG = 60.0
"""Seconds after which a command counts as hanging."""


def _socket(path: Path) -> None:
    # Bound by a short name: the whole path may be longer than a socket's may be.
    here = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)


def _link_to_a_folder(path: Path) -> None:
    """A link to a folder of the user's with files of these names: they stay as they are."""
    others = path.parent.parent / "others"
    others.mkdir(exist_ok=True)
    for name in set(FILES) - {"stop"}:  # which would stop the agent: what it links to itself
        (others / name).write_text("the user's")
    path.symlink_to(others)


MAKE: dict[str, Callable[[Path], object]] = {
    "folder": lambda path: path.mkdir(),
    "fifo": os.mkfifo,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "dangling": lambda path: path.symlink_to(path.parent / "nowhere"),
    "circle": lambda path: path.symlink_to(path),
    "socket": _socket,
}
#: In the place of the run's whole folder.
MAKE_FOLDER: dict[str, Callable[[Path], object]] = {
    "file": lambda path: path.write_text("not a folder"),
    "link to a file": lambda path: path.symlink_to("/etc/passwd"),
    "link to a folder": _link_to_a_folder,
    "link to nowhere": lambda path: path.symlink_to(path.parent / "nowhere"),
    "nothing": lambda path: None,
}


def spoil(path: Path, make: Callable[[Path], object]) -> None:
    """Put something else in the place of a file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    make(path)


@pytest.fixture(params=[*MAKE, *(f"run: {name}" for name in MAKE_FOLDER)])
def spoiled(stage: Stage, request: pytest.FixtureRequest) -> Iterator[Callable[[str], None]]:
    """Spoils all files of an attempt's run, or its folder, in one way."""
    kind = request.param

    def spoil_all(attempt: str) -> None:
        folder = stage.directory / "runs" / attempt
        if kind.startswith("run: "):
            spoil(folder, MAKE_FOLDER[kind.removeprefix("run: ")])
            return
        for name in FILES:
            spoil(folder / name, MAKE[kind])

    yield spoil_all
    for file in (stage.directory / "others").glob("*"):
        assert file.read_text() == "the user's" and file.name in FILES
    shutil.rmtree(stage.directory / "runs", ignore_errors=True)


class Done:
    """What a command did."""

    def __init__(self, returncode: int, stdout: str, stderr: str) -> None:
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        self.told = stdout + stderr

    def __repr__(self) -> str:
        return f"exit {self.returncode}\n{self.told}"


def command(*words: str) -> Done:
    """A command, in this process; one that hangs fails."""

    def hangs(*_: object) -> None:
        pytest.fail(f"hangs: kugetsu {' '.join(words)}")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.setitimer(signal.ITIMER_REAL, HUNG)
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    out.seek(0)
    return Done(code, out.read(), err.getvalue())


def look_everywhere(stage: Stage, attempt: str) -> None:
    """Every command that looks at runs answers; `logs` may say that there is nothing to read."""
    task = attempt.partition(".")[0]
    (stage.root / "bundle").mkdir(exist_ok=True)
    for words in (
        ("status",),
        ("status", "--json"),
        ("list",),
        ("queue", "list"),
        ("logs",),
        ("why", task),
        ("history", attempt),
        ("context", str(stage.ref(1))),
        ("notify", "list"),
        ("doctor",),
        ("doctor", "--bundle", str(stage.root / "bundle" / attempt), "--force"),
        ("prune", "--dry-run"),
    ):
        done = command(*words)
        told = done.told
        assert "internal error" not in told and "Traceback" not in told, (words, told)
        may = (0, 1) if words[0] == "doctor" else (0,)
        assert done.returncode in may, (words, told)
    for words in (("logs", attempt), ("logs", attempt, "-f"), ("logs", attempt, "--raw"), ("logs", attempt, "--json")):
        if attempt in stage.state.attempts and words[-1] == "-f" and not run_files.problem(_output(stage, attempt)):
            continue  # it waits for what comes
        done = command(*words)
        told = done.told
        assert "internal error" not in told and "Traceback" not in told, (words, told)
        assert done.returncode in (0, 1, 4), (words, told)
        if done.returncode == 1:
            assert "cannot be read: " in told, told


def _output(stage: Stage, attempt: str) -> str:
    return f"{stage.directory}/runs/{attempt}/output.jsonl"


def test_every_command_answers_and_the_attempt_ends(stage: Stage, spoiled: Callable[[str], None]) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    spoiled("q1.1")
    look_everywhere(stage, "q1.1")
    stage.go()
    assert stage.finished("q1") == "completed"
    look_everywhere(stage, "q1.1")


def test_a_killed_runner_whose_files_are_spoiled_is_settled(stage: Stage, spoiled: Callable[[str], None]) -> None:
    stage.configure(MAX_ATTEMPTS="1")
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    attempt = stage.state.attempts["q1.1"]
    spoiled("q1.1")
    stage.kill(attempt.runner)
    stage.kill(attempt.agent)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert stage.state.tasks["q1"].state == "error"
    look_everywhere(stage, "q1.1")


def test_an_attempt_whose_files_are_spoiled_can_be_cancelled(stage: Stage, spoiled: Callable[[str], None]) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    spoiled("q1.1")
    done = command("queue", "cancel", "q1")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done
    assert stage.finished("q1") == "cancelled"


def test_the_daemon_settles_and_starts_others_beside_spoiled_files(
    stage: Stage, spoiled: Callable[[str], None]
) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1", MAX_ATTEMPTS="1")
    stage.agent('test "$NUMBER" = 2 && exit 0\n' + UNTIL_GO)
    stage.start_daemon()
    first = stage.enqueue(1)
    stage.at_work("q1.1")
    attempt = stage.state.attempts["q1.1"]
    second = stage.enqueue(2)
    spoiled("q1.1")
    stage.kill(attempt.runner)
    assert stage.finished(first) == "error"
    assert stage.finished(second) == "completed"


@pytest.mark.parametrize("kind", ["folder", "fifo", "endless"])
def test_the_next_runs_folder_may_be_spoiled_beforehand(stage: Stage, kind: str) -> None:
    """The ids of runs can be foreseen: an agent may make those of the next ones."""
    folder = stage.directory / "runs" / "q1.1"
    folder.mkdir(parents=True)
    for name in ("prompt.md", "result.json", "ended", "stop", "checkup.json", "output.jsonl", "stderr.log"):
        MAKE[kind](folder / name)
    stage.configure(MAX_ATTEMPTS="1")
    started = stage.start(1)
    assert started.state in ("running", "failed", "succeeded"), stage.story()
    assert stage.finished("q1") in ("completed", "error")
    shutil.rmtree(folder)


def test_the_outcome_says_which_output_could_not_be_read(stage: Stage) -> None:
    stage.agent(
        'mkdir "$KUGETSU_DIR/runs/$KUGETSU_ATTEMPT/x"; cd "$KUGETSU_DIR/runs/$KUGETSU_ATTEMPT" || exit 1\n'
        "rm output.jsonl; mkfifo output.jsonl\n"
    )
    stage.start(1)
    assert stage.finished("q1") == "completed"
    reason = stage.wait("attempt.succeeded")["data"]["reason"]
    assert "output.jsonl cannot be read: it is a FIFO, not a regular file" in reason


@pytest.mark.parametrize("kind", ["fifo", "endless", "folder"])
def test_a_lease_file_that_was_replaced_hangs_nobody(stage: Stage, kind: str) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    path = Path(stage.ws.paths.lease(stage.nonces()["q1.1"]))
    spoil(path, MAKE[kind])
    done = command("status", "--json")
    assert done.returncode == 0 and len(json.loads(done.stdout)["agents"]) == 1, done
    assert reconcile.reconcile(stage.ws) == [], "as with a lease file that somebody deleted"
    stage.go()
    assert stage.finished("q1") == "completed"
    spoil(path, lambda _: None)


def test_an_attempt_that_cannot_be_settled_is_lost_after_a_while_with_the_reason(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.configure(MAX_ATTEMPTS="1")
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    stage.kill(stage.state.attempts["q1.1"].runner)

    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(reconcile, "_ending", refuse)
    for _ in range(2):
        with pytest.raises(Exception, match=r"q1\.1 has ended, and cannot be recorded: .*Input/output error"):
            reconcile.reconcile(stage.ws)
    assert len(stage.events("attempt.unsettled")) == 1, "once for each reason"
    monkeypatch.setenv("COLUMNS", "200")
    assert "Input/output error" in command("history", "q1.1").stdout
    assert "Input/output error" in command("status").stdout
    monkeypatch.setattr(reconcile, "SETTLE_PATIENCE_SECONDS", 0.0)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert "Input/output error" in stage.wait("attempt.lost")["data"]["reason"]
    assert stage.state.tasks["q1"].state == "error"
    assert not lease.alive(stage.ws.paths.leases, stage.nonces()["q1.1"])


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    made = Attempt(tmp_path)
    yield made
    made.clean_up()


@pytest.mark.parametrize("kind", ["fifo", "endless", "folder", "socket"])
def test_a_checkup_file_that_is_spoiled_stops_no_supervision(attempt: Attempt, kind: str) -> None:
    path = attempt.run / "checkup.json"
    MAKE[kind](path)
    checkup = ["/bin/sh", "-c", f'echo looked >> "{attempt.run}/looked"; exit 11']
    attempt.start("exec sleep 60", checkup=checkup, checkup_every=0.05, checkup_output=str(path))
    assert attempt.wait().stopped == "stall"
    assert (attempt.run / "looked").read_text().startswith("looked")


@pytest.mark.parametrize("kind", ["fifo", "endless", "folder", "socket"])
def test_a_stop_file_that_is_spoiled_stops_nothing_and_a_signal_does(attempt: Attempt, kind: str) -> None:
    MAKE[kind](attempt.run / "stop")
    MAKE[kind](attempt.run / "ended")
    attempt.start('touch "$RUN/up"; exec sleep 60')
    attempt.pid("agent")
    assert _becomes(attempt.in_phase_b)
    os.kill(attempt.runner, signal.SIGTERM)
    assert attempt.wait().stopped == "terminated"


def _becomes(what: Callable[[], bool]) -> bool:
    from runtime.supervised import eventually

    return eventually(what)


def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    before = os.stat(os.devnull)
    with pytest.raises(OSError, match="it is a device"):
        run_files.replace(os.devnull, b"")
    assert os.stat(os.devnull).st_ino == before.st_ino


@pytest.mark.parametrize("kind", MAKE)
def test_whatever_is_there_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    MAKE[kind](path)
    words = {"folder": "a folder", "fifo": "a FIFO", "socket": "a socket"}.get(kind, "a link")
    assert run_files.problem(str(path)) == f"file cannot be read: it is {words}, not a regular file"
    assert spawn.read_ended(str(path)) is None
    assert events.read_output(str(path)).steps == 0
    assert events.read_errors(str(path), "ses_1").said == []
    MAKE[kind](tmp_path / "before.json")
    assert baseline.read(str(path)) == {}
    assert last_activity.of_opencode(str(path), str(path)).last is None
    assert last_activity.of_text(str(path)).last is None
    assert stderr_tail.of(str(path)) == ""


def test_a_cancelled_attempt_is_cancelled_though_its_stop_file_could_not_be_written(stage: Stage) -> None:
    stage.agent(COMMIT + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    (stage.directory / "runs" / "q1.1" / "stop").mkdir()
    stop_attempt.cancel(stage.ws, "q1")
    assert stage.finished("q1") == "cancelled"
