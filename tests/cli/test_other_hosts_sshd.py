"""What another host has, over a real OpenSSH: its output, its exit code, and each way in which it is not to be had."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import sshd
from cli.conftest import Command
from cli.sshd import Sshd
from cli.test_other_hosts import REF, ended, mirror, share, two
from runtime.supervised import eventually

__all__ = ["two"]

pytestmark = pytest.mark.skipif(sshd.missing() is not None, reason=str(sshd.missing()))


@pytest.fixture
def server(ready: Command, tmp_path: Path) -> Iterator[Sshd]:
    """The first host as a login sees it: its settings, and its kugetsu in PATH."""
    programs = tmp_path / "there"
    programs.mkdir()
    (programs / "kugetsu").write_text(f'#!/bin/sh\nexec {sys.executable} -m kugetsu "$@"\n')
    (programs / "kugetsu").chmod(0o755)
    there = {**ready.environment, "PATH": f"{programs}:/usr/bin:/bin"}
    del there["COLUMNS"], there["HOME"], there["USER"]
    running = Sshd(tmp_path / "sshd", there)
    yield running
    running.close()


@pytest.fixture
def reached(server: Sshd, two: Command) -> Sshd:
    """The second host may ask the first one."""
    ask(two, server.client("one"))
    return server


def ask(other: Command, client: str) -> None:
    other.environment |= {"PATH": f"{client}:{os.environ['PATH']}", "HOST_SSH": "true"}


def test_logs_and_context_are_those_of_the_other_host(ready: Command, two: Command, reached: Sshd) -> None:
    ended(ready, two)
    for words in (("logs", "q1.1"), ("logs", REF, "--raw"), ("logs", "q1", "--json"), ("logs", "q1.1", "-f", "--all")):
        there, here = two(*words), ready(*words)
        assert (there.code, there.raw) == (here.code, here.raw), there
    assert "all done" in two("context", REF).out


def test_follow_ends_with_the_attempt_and_with_ctrl_c(ready: Command, two: Command, reached: Sshd) -> None:
    ready.agent("echo begun; until test -e go; do sleep 0.05; done; echo all done")
    assert ready("start", REF, "x").code == 0
    share(ready)
    mirror(ready, two)
    words = [sys.executable, "-m", "kugetsu", "logs", "q1.1", "-f"]
    first, second = (
        subprocess.Popen(words, env=two.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    for one in (first, second):
        assert one.stdout is not None
        assert "begun" in one.stdout.readline()
    followers = lambda: following(ready)  # noqa: E731
    assert eventually(lambda: len(followers()) == 2)
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 130
    assert eventually(lambda: len(followers()) == 1), "the other host follows for nobody"
    [worktree] = [path.parent for path in (ready.root / "worktrees").glob("*/.git")]
    (worktree / "go").touch()
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0 and "all done" in out and "q1.1 succeeded" in out, (out, err)
    first.communicate()


def test_a_host_that_cannot_be_asked_says_why_and_what_to_type(ready: Command, two: Command, reached: Sshd) -> None:
    ended(ready, two)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]
    reasons = {
        "Connection refused": {"port": nobody},
        "Permission denied (publickey)": {"key": "stranger"},
        "Host key verification failed": {"host_key": "stranger"},
    }
    for reason, wrong in reasons.items():
        ask(two, reached.client("one", **wrong))
        shown = two("logs", "q1.1")
        assert shown.code == 1 and reason in shown.err and "ssh one kugetsu logs q1.1" in shown.err, shown
        assert shown.out == ""
        assert reason in two("context", REF).out.replace("\n", " "), reason


def test_a_host_without_kugetsu_in_its_path(ready: Command, two: Command, reached: Sshd) -> None:
    ended(ready, two)
    (ready.folder / "there" / "kugetsu").unlink()
    shown = two("logs", "q1.1")
    assert shown.code == 1 and "put kugetsu into PATH there: ssh one env" in shown.err, shown


def test_what_the_other_hosts_shell_prints_is_made_harmless(ready: Command, two: Command, reached: Sshd) -> None:
    ended(ready, two)
    noise = "\\033]0;owned\\007\\033[2J\\200\\n"
    program = ready.folder / "there" / "kugetsu"
    program.write_text(f"#!/bin/sh\nprintf '{noise}'\nprintf '{noise}' >&2\nexit 3\n")
    shown = two("logs", "q1.1")
    assert shown.code == 3 and "owned" in shown.out + shown.err, shown
    assert "\x1b" not in shown.out + shown.err and "\x07" not in shown.out + shown.err, shown
    told = two("context", REF)
    assert told.code == 0 and "\x1b" not in told.out, told


def test_a_name_that_is_an_option_to_ssh_reaches_nobody(ready: Command, two: Command, reached: Sshd) -> None:
    assert ready("start", "--wait", REF, "x").code == 0
    share(ready, "-oProxyCommand=touch owned\x1b[2J")
    mirror(ready, two)
    shown = two("logs", "q1.1")
    assert shown.code == 4 and "run there: kugetsu logs q1.1" in shown.err, shown
    assert "\x1b" not in shown.err and not list(ready.folder.rglob("owned"))


def following(there: Command) -> list[int]:
    """The commands that follow a log for somebody who asked over ssh."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if b"--follow" in words and b"SSH_CONNECTION=" in environment and str(there.root).encode() in environment:
            found.append(int(process.name))
    return found
