"""A program has ended when it has ended, whatever it left that keeps its output open."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from kugetsu.runtime.git import remotes, repositories, worktrees
from kugetsu.runtime.git.command import git
from kugetsu.runtime.process import programs
from runtime.repos import Place, place, run, sample
from runtime.supervised import eventually

__all__ = ["place", "sample"]

FOR_EVER = "sleep 600"


@pytest.fixture
def left(tmp_path: Path):  # type: ignore[no-untyped-def]
    """A file into which a test's program writes the pid of what it leaves behind; ended with the test."""
    file = tmp_path / "left.pid"
    yield file
    for pid in file.read_text().split() if file.exists() else []:
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue


def _ran(script: str, timeout: float = 60.0, stdin: bytes | None = None) -> programs.Result:
    return programs.run(["sh", "-c", script], cwd=None, env=dict(os.environ), timeout=timeout, stdin=stdin)


def test_a_process_that_keeps_the_output_open_is_not_waited_for(left: Path) -> None:
    ran = _ran(f"echo out; echo err >&2; {FOR_EVER} & echo $! > {left}; exit 3")
    assert (ran.code, ran.out, ran.err) == (3, b"out\n", b"err\n")
    os.kill(int(left.read_text()), 0)  # it goes on


def test_input_and_output_of_any_size_pass(tmp_path: Path) -> None:
    much = b"0123456789abcdef" * (1 << 18)
    ran = _ran("cat; cat /dev/null >&2", stdin=much)
    assert (ran.code, ran.out, ran.err) == (0, much, b"")


def test_a_program_that_takes_too_long_is_ended_with_what_it_started(left: Path) -> None:
    with pytest.raises(TimeoutError):
        _ran(f"trap '' TERM; {FOR_EVER} & echo $! > {left}; while :; do sleep 1; done", timeout=1.0)
    pid = int(left.read_text())
    assert eventually(lambda: not os.path.exists(f"/proc/{pid}") or _is_zombie(pid))


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_signal_is_a_negative_code() -> None:
    assert _ran("kill -9 $$").code == -9


def test_what_cannot_be_started_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        programs.run([str(tmp_path / "none")], cwd=None, env={}, timeout=5.0)


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    _ran("true")
    with pytest.raises(TimeoutError):
        _ran("sleep 30", timeout=0.1)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_hooks_background_process_holds_no_worktree_up(sample: Place, left: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    hook = sample.clone / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\n{FOR_EVER} &\necho $! >> {left}\n")
    hook.chmod(0o755)
    monkeypatch.setattr(worktrees, "ADD_TIMEOUT", 30.0)
    repository = repositories.at_path(sample.name, str(sample.clone))
    for number in (1, 2):
        path = sample.paths.worktree(f"issue-{number}")
        assert worktrees.ensure(repository, path, f"fix/issue-{number}", sample.paths).created
    assert len(left.read_text().split()) == 2


def test_a_connection_that_ssh_keeps_holds_no_fetch_and_no_clone_up(place: Place, left: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    place.fill()
    ssh = place.root / "ssh"
    ssh.write_text(f'#!/bin/sh\n{FOR_EVER} <&- &\necho $! >> {left}\nshift $(($# - 1))\neval "exec $1"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    monkeypatch.setenv("GIT_SSH_VARIANT", "simple")
    url = f"ssh://host{place.remote}"
    registered = {"host/shoko/sample": {"url": url}}
    repository = repositories.resolve("host/shoko/sample", place.paths, registered=registered, timeout=30.0)
    git(["fetch", "-q", "origin"], repository.path, timeout=30.0)
    made = worktrees.ensure(repository, place.paths.worktree("w"), "fix/issue-1", place.paths, fetch_timeout=30.0)
    assert made.fetched and left.read_text().split()
    assert run(Path(made.path), "rev-parse", "HEAD") == run(place.clone, "rev-parse", "HEAD")


def test_an_ssh_whose_configuration_leaves_a_program_behind_names_the_host(
    place: Place, left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = place.root / "bin" / "ssh"  # `Match exec` runs programs
    ssh.parent.mkdir()
    ssh.write_text(f"#!/bin/sh\n{FOR_EVER} <&- &\necho $! >> {left}\necho hostname git.example.com\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    remotes.target_of.cache_clear()
    assert remotes.target_of("work") == "git.example.com"
    remotes.target_of.cache_clear()
    assert left.read_text().split()


def test_this_interpreter_can_be_waited_for_without_a_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    assert programs.run([sys.executable, "-c", "pass"], cwd=None, env=dict(os.environ), timeout=60.0).code == 0
