"""kill -9 of a runner: what is left of its attempt is found and ended, and the lease tells the truth all along."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kugetsu.runtime.process import identity, termination
from runtime.supervised import Attempt, ended, eventually

TOOLS = (
    '(setsid sh -c \'trap "" TERM; echo $$ > "$RUN/deaf"; while :; do sleep 1; done\' &);'
    "setsid sh -c 'echo $$ > \"$RUN/polite\"; exec sleep 60' & "
    "while ! test -s $RUN/deaf || ! test -s $RUN/polite; do sleep 0.01; done;"
    "echo ready > $RUN/ready; while :; do sleep 0.05; done"
)


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    one = Attempt(tmp_path)
    yield one
    one.clean_up()


def kill_runner(attempt: Attempt) -> None:
    found = identity.of(attempt.runner)
    assert found is not None
    assert identity.signal(found, signal.SIGKILL)
    assert attempt.runner_status() == -signal.SIGKILL


def test_a_killed_supervisor_leaves_processes_that_are_found_and_ended(attempt: Attempt) -> None:
    attempt.start(TOOLS)
    assert eventually((attempt.run / "ready").exists)
    assert eventually(attempt.in_phase_b)
    agent, deaf, polite = attempt.pid("agent"), attempt.pid("deaf"), attempt.pid("polite")
    kill_runner(attempt)
    assert attempt.holds(), "the agent lives, and holds the lease"
    assert {agent, deaf, polite} <= {found["pid"] for found in termination.marked(attempt.nonce)}
    report = termination.end(attempt.nonce, 0.3)
    assert report.left == []
    assert [ended(pid) for pid in (agent, deaf, polite)] == [True, True, True]
    assert not attempt.holds()
    assert termination.marked(attempt.nonce) == []


@pytest.mark.parametrize("seed", range(6))
def test_a_runner_killed_at_any_moment_leaves_nothing_that_is_not_found(attempt: Attempt, seed: int) -> None:
    attempt.start(TOOLS, deadline=time.monotonic() + 0.2)
    time.sleep(random.Random(seed).uniform(0.0, 0.7))
    # Its pid is this process's unreaped child: nobody else can have it.
    os.kill(attempt.runner, signal.SIGKILL)
    attempt.runner_status()
    assert termination.end_lost(attempt.leases, attempt.nonce, 0.1).left == []
    assert termination.marked(attempt.nonce) == []
    assert not attempt.holds()


def test_a_tool_that_forks_without_end_is_ended(attempt: Attempt) -> None:
    storm = "trap '' TERM; while :; do (sleep 0.02; sleep 0.02) & (setsid sleep 30 &); wait $!; done"
    attempt.start(f'(setsid sh -c "{storm}" &); sleep 0.5; exit 0')
    assert attempt.wait().leftover == 0
    assert termination.marked(attempt.nonce) == []


def test_a_killed_agent_takes_its_tools_along(attempt: Attempt) -> None:
    attempt.start(TOOLS)
    deaf, polite = attempt.pid("deaf"), attempt.pid("polite")
    os.kill(attempt.pid("agent"), signal.SIGKILL)
    told = attempt.wait()
    assert (told.signal, told.stopped, told.leftover) == (signal.SIGKILL, None, 0)
    assert (ended(deaf), ended(polite)) == (True, True)
    assert not attempt.holds()


def force_next_pid(pid: int) -> None:
    with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as file:
        file.write(str(pid - 1))


def child_with_pid(pid: int) -> bool:
    """Fork a child (it sleeps) that gets exactly this pid; False when another process was faster."""
    force_next_pid(pid)
    child = os.fork()
    if child == 0:
        try:
            time.sleep(60)
        finally:
            os._exit(0)
    if child != pid:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return child == pid


@pytest.mark.skipif(not os.access("/proc/sys/kernel/ns_last_pid", os.W_OK), reason="cannot choose pids here")
def test_a_process_that_got_a_recycled_pid_is_not_signalled() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    first = identity.of(child)
    assert first is not None
    os.waitpid(child, 0)
    time.sleep(0.03)  # identities tell two processes apart that started in different ticks of 10 ms
    assert eventually(lambda: child_with_pid(child))
    try:
        assert identity.current(first) is None
        assert identity.open_pidfd(first) is None
        assert not identity.signal(first, signal.SIGKILL)
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
