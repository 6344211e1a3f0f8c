"""What another host of a shared log has: the line to type, or what its own kugetsu shows over ssh.

The `ssh` here runs on this machine what the real one would give to the other host's shell: its words joined by spaces.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest

from cli.conftest import Command
from kugetsu.domain.decide import daemon, hosts
from kugetsu.host import host_file
from kugetsu.log import open_log
from kugetsu.model import clock
from property.simulation import PROCESS

REF = "example.com/o/r#1"
TWO = "f" * 32


def share(first: Command, called: str = "one") -> None:
    """The log of the first host as it is when two hosts have joined it."""
    log = open_log(str(first.root / "log"), by={"cmd": "test"}, now=clock.now)
    own = host_file.read(str(first.root))
    assert own is not None
    for host, name in ((own, called), (TWO, "two")):
        log.transact(partial(hosts.join, host=host, term=1, name=name, labels=[], cap=2))
    log.close()


def its_daemon_runs(first: Command) -> None:
    """That of the second host, by the log of the first one."""
    log = open_log(str(first.root / "log"), by={"cmd": "test"}, now=clock.now)
    log.transact(partial(daemon.started, identity={**PROCESS, "host": TWO}, lease="d-two"))
    log.close()


@pytest.fixture
def two(ready: Command, tmp_path: Path) -> Command:
    """The second host; `mirror` gives it the log."""
    folder = tmp_path / "second"
    folder.mkdir()
    other = Command(folder, ready.server)
    other.root.mkdir(mode=0o700)
    (other.root / host_file.NAME).write_text(TWO + "\n")
    return other


def mirror(first: Command, other: Command) -> None:
    shutil.copytree(first.root / "log", other.root / "log", dirs_exist_ok=True)


def ssh(first: Command, other: Command, *, script: str = "") -> Path:
    """Let the second host have an `ssh` that reaches the first one; returns the file of what it was called with."""
    programs = other.folder / "programs"
    programs.mkdir()
    called = other.folder / "called"
    there = " ".join(f"{name}={shlex.quote(value)}" for name, value in first.environment.items() if name != "PATH")
    kugetsu = f'#!/bin/sh\nexec env -u COLUMNS {there} {sys.executable} -m kugetsu "$@"\n'
    body = script or 'while test "$1" != --; do shift; done; shift 2; exec sh -c "$*"\n'
    listed = f'for word in "$@"; do printf "%s\\n" "$word"; done >> {called}\n'
    for name, text in (("kugetsu", kugetsu), ("ssh", f"#!/bin/sh\n{listed}{body}")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    other.environment |= {"PATH": f"{programs}:{other.environment['PATH']}", "HOST_SSH": "true"}
    return called


def ended(first: Command, other: Command) -> None:
    """An attempt of the first host that has ended."""
    assert first("start", "--wait", REF, "x").code == 0
    share(first)
    mirror(first, other)


@pytest.mark.parametrize("subject", ["q1", "q1.1", REF])
def test_logs_name_the_host_and_the_line_to_type(ready: Command, two: Command, subject: str) -> None:
    ended(ready, two)
    shown = two("logs", subject)
    assert shown.code == 4 and shown.out == "", shown
    assert "the output of q1.1 is on host one" in shown.err and "ssh one kugetsu logs q1.1" in shown.err, shown
    assert "all done" in ready("logs", subject).out


def test_logs_of_a_host_that_told_no_name(ready: Command, two: Command) -> None:
    assert ready("start", "--wait", REF, "x").code == 0
    mirror(ready, two)
    shown = two("logs", "q1.1")
    assert shown.code == 4 and "run there: kugetsu logs q1.1" in shown.err, shown


def test_an_output_that_is_gone_is_not_called_empty(ready: Command) -> None:
    assert ready("start", "--wait", REF, "x").code == 0
    shutil.rmtree(ready.root / "runs" / "q1.1")
    shown = ready("logs", "q1")
    assert "the output of q1.1 is gone" in shown.out and "nothing yet" not in shown.out, shown


def test_logs_are_fetched_over_ssh(ready: Command, two: Command) -> None:
    ended(ready, two)
    called = ssh(ready, two)
    shown = two("logs", "q1.1", "--all", "-f")
    assert shown.code == 0 and "all done" in shown.out and "q1.1 succeeded" in shown.out, shown
    words = called.read_text().splitlines()
    assert "BatchMode=yes" in words and any(word.startswith("ConnectTimeout=") for word in words)
    assert words[-3:] == ["--", "one", "env HOST_SSH=false COLUMNS=80 kugetsu logs q1.1 --follow --all"]
    assert two("logs", "q1.1", "--raw").out == ready("logs", "q1.1", "--raw").out
    assert two("logs", "q1.1", "--json").out == ready("logs", "q1.1", "--json").out


def test_a_host_that_cannot_be_reached_is_named(ready: Command, two: Command) -> None:
    ended(ready, two)
    ssh(ready, two, script="echo 'ssh: connect to host one port 22: refused' >&2; exit 255\n")
    shown = two("logs", "q1.1")
    assert shown.code == 1 and "port 22: refused" in shown.err and "ssh one kugetsu logs q1.1" in shown.err, shown
    [attempt] = two("context", REF, "--json").json["attempts"]
    assert "port 22: refused" in attempt["missing"][0] and attempt["answered"] == []


def test_hosts_that_take_each_other_for_the_other_ask_once(ready: Command, two: Command) -> None:
    ended(ready, two)
    called = ssh(two, two)  # the name leads back to itself
    assert two("logs", "q1.1").code == 4
    assert called.read_text().count("kugetsu logs") == 1


def test_context_says_where_the_answers_are_and_fetches_them(ready: Command, two: Command) -> None:
    ended(ready, two)
    shown = two("context", REF)
    assert shown.code == 0 and "is on host one: ssh one kugetsu context q1 --attempt q1.1" in shown.out, shown
    assert "is gone" not in shown.out
    ssh(ready, two)
    there = two("context", REF, "--full", "--json").json
    here = json.loads(ready("context", REF, "--full", "--json").out)
    [attempt] = there["attempts"]
    assert attempt.pop("host") == host_file.read(str(ready.root)) and here["attempts"][0].pop("host") is None
    assert there == here and "all done" in str(attempt["answered"])


def test_cancel_says_where_it_stops_and_whom_to_tell(ready: Command, two: Command) -> None:
    ready.agent("while :; do sleep 0.1; done")
    assert ready("start", REF, "x").code == 0
    share(ready)
    mirror(ready, two)
    shown = two("queue", "cancel", "q1")
    assert shown.code == 0 and "q1.1 is being stopped on host one" in shown.out, shown
    assert "no daemon of host one passes it on: ssh one kugetsu queue cancel q1" in shown.err, shown
    assert ready("queue", "cancel", "q1").code == 0


def test_a_session_is_attached_and_opened_where_its_worktree_is(ready: Command, two: Command) -> None:
    ended(ready, two)
    assert "ssh one kugetsu open --path " + REF in two("open", "--path", REF).err
    assert "ssh one kugetsu destroy " + REF in two("destroy", REF).err


def test_a_task_is_not_said_to_wait_for_a_daemon_while_that_of_another_host_runs(ready: Command) -> None:
    share(ready)
    assert "wait for kugetsu queue-daemon start" in ready("queue", "enqueue", REF, "x").err
    its_daemon_runs(ready)
    assert "no daemon is running" not in ready("queue", "enqueue", "example.com/o/r#2", "x").err


def test_a_label_keeps_a_task_for_hosts_that_offer_it(ready: Command, two: Command) -> None:
    alone = ready("queue", "enqueue", "--label", "gpu", REF, "train")
    assert alone.code == 0 and "no hosts share this log" in alone.err, alone
    share(ready)
    waits = ready("queue", "enqueue", "--label", "gpu,big", "--label", "gpu", "example.com/o/r#2", "train")
    assert "no host offers gpu and big now: it waits until one does (HOST_LABELS)" in waits.err, waits
    tasks = {task["task"]: task["options"] for task in ready("queue", "list", "--json").json["tasks"]}
    assert tasks == {"q1": {"labels": ["gpu"]}, "q2": {"labels": ["gpu", "big"]}}
    assert "on a host that offers gpu and big" in ready("why", "q2", COLUMNS="200").out
    assert ready("queue", "enqueue", "--label", " ", REF, "x").code == 3
