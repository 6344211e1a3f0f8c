"""What a long command waits for, on a terminal; nothing on a pipe."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys

import pytest

from kugetsu.cli import progress


@pytest.fixture
def waiting(ready):
    """An agent that works until the file `go` is there."""
    ready.agent(f"cat >/dev/null; until [ -e {ready.folder}/go ]; do sleep 0.1; done; echo done")
    return ready


def started(kugetsu, *words, stderr, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "kugetsu", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=kugetsu.work,
        env={**kugetsu.environment, "TERM": "xterm", **more},
    )


def read_until(descriptor, wanted):
    seen = b""
    while wanted not in seen:
        assert select.select([descriptor], [], [], 60)[0] and len(seen) < 4096, seen
        seen += os.read(descriptor, 4096)
    return seen


def test_a_start_that_waits_says_for_what_on_a_terminal_and_takes_it_away(waiting):
    ours, theirs = pty.openpty()
    process = started(waiting, "start", "--wait", "example.com/o/r#1", "go", stderr=theirs)
    os.close(theirs)
    seen = read_until(ours, "q1: waiting for the outcome … 1s".encode())
    assert b"\r\x1b[K" in seen
    (waiting.folder / "go").touch()
    out, _ = process.communicate(timeout=60)
    rest = b""
    while select.select([ours], [], [], 0)[0]:
        try:
            rest += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.returncode == 0, out
    assert (seen + rest).rpartition(b"outcome")[2].find(b"\r\x1b[K") >= 0, "the line is gone at the end"


def test_a_pipe_gets_nothing_of_it(waiting):
    process = started(waiting, "start", "--wait", "example.com/o/r#1", "go", stderr=subprocess.PIPE)
    shown = waiting("status", "--json")
    while not shown.json["agents"] or shown.json["agents"][0]["state"] != "running":
        shown = waiting("status", "--json")
    (waiting.folder / "go").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"\x1b" not in err and b"waiting for" not in err


def test_a_dumb_terminal_and_a_quiet_user_get_nothing_of_it(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    wanted = {"TERM": "xterm", "NO_COLOR": "1"}
    timers = []
    for environment in (wanted, {"TERM": "dumb"}, {}, {"TERM": "xterm", "KUGETSU_VERBOSITY": "quiet"}):
        with progress.shown(environment, "x"):
            timers.append(signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0))
    assert timers == [True, False, False, False]
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_start_says_that_it_sets_up_the_worktree(ready):
    until = f"until [ -e {ready.folder}/go ]; do sleep 0.1; done"
    assert ready("config", "set", "WORKTREE_SETUP", until).code == 0
    ours, theirs = pty.openpty()
    process = started(ready, "start", "example.com/o/r#1", "go", stderr=theirs)
    os.close(theirs)
    read_until(ours, b"q1.1: setting up the worktree")
    (ready.folder / "go").touch()
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, out
