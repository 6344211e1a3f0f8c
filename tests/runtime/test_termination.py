"""All processes of an attempt are found and ended, and no other one is touched."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from kugetsu.runtime.process import identity, lease, termination
from runtime.supervised import ended, eventually

NONCE = os.urandom(16).hex()

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a shell script, without or with a mark."""
    started: list[subprocess.Popen[bytes]] = []

    def run(script: str, mark: str | None = NONCE, **variables: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **variables}
        if mark is not None:
            environment[termination.MARK] = mark
        started.append(subprocess.Popen(["sh", "-c", script], env=environment, start_new_session=True))
        return started[-1]

    yield run
    termination.end(NONCE, 0.0)
    for child in started:
        child.kill()
        child.wait()


def marked_pids(exclude: tuple[int, ...] = ()) -> set[int]:
    return {found["pid"] for found in termination.marked(NONCE, exclude)}


def written_pid(file: Path) -> int:
    assert eventually(lambda: file.exists() and file.read_text().strip())
    return int(file.read_text())


def test_a_marked_process_is_found(start: Start) -> None:
    child = start("exec sleep 60")
    assert eventually(lambda: marked_pids() == {child.pid})
    assert termination.marked(NONCE) == [identity.of(child.pid)]


def test_excluded_ones_and_zombies_are_not_found(start: Start) -> None:
    child = start("exec sleep 60")
    assert eventually(lambda: marked_pids() == {child.pid})
    assert marked_pids((child.pid,)) == set()
    child.kill()
    assert eventually(lambda: marked_pids() == set())


def test_only_the_whole_mark_counts(start: Start) -> None:
    start("exec sleep 60", mark=NONCE + "0")
    start("exec sleep 60", mark=NONCE[:-1])
    start("exec sleep 60", mark=None, **{"X" + termination.MARK: NONCE})
    start("exec sleep 60", mark=None, OTHER=f"{termination.MARK}={NONCE}")
    child = start("exec sleep 60")
    assert eventually(lambda: marked_pids() == {child.pid})


def test_a_mark_behind_a_huge_environment_is_found(start: Start) -> None:
    child = start("exec sleep 60", **{f"A{number}": "x" * 100_000 for number in range(5)})
    assert eventually(lambda: marked_pids() == {child.pid})


def test_descendants_are_children_and_theirs(start: Start, tmp_path: Path) -> None:
    child = start(f"(sleep 60 & echo $! > {tmp_path}/pid; wait) & wait")
    deepest = written_pid(tmp_path / "pid")
    found = {*termination._below([child.pid], termination._living(), lambda _: False)} - {child.pid}
    assert deepest in found and len(found) == 2


def test_a_polite_process_is_ended_without_sigkill(start: Start) -> None:
    child = start("exec sleep 60")
    assert eventually(lambda: marked_pids() == {child.pid})
    report = termination.end(NONCE, 10.0)
    assert child.wait(20) == -signal.SIGTERM
    assert (report.signalled, report.killed, report.left) == (1, 0, [])


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(start: Start, tmp_path: Path) -> None:
    child = start(f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 60; done")
    written_pid(tmp_path / "pid")
    report = termination.end(NONCE, 0.2)
    assert child.wait(20) == -signal.SIGKILL
    assert report.killed >= 1
    assert report.left == []


def test_sigterm_is_sent_once_to_each(start: Start, tmp_path: Path) -> None:
    start(f"trap 'echo asked >> {tmp_path}/asked' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.01; done")
    written_pid(tmp_path / "pid")
    termination.end(NONCE, 0.5)
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_a_stopped_process_gets_to_act_on_sigterm(start: Start, tmp_path: Path) -> None:
    child = start(
        f"trap 'echo bye > {tmp_path}/bye; exit 0' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.01; done"
    )
    written_pid(tmp_path / "pid")
    os.kill(child.pid, signal.SIGSTOP)
    termination.end(NONCE, 10.0)
    assert child.wait(20) == 0
    assert (tmp_path / "bye").exists()


def test_a_daemonised_tool_is_ended(start: Start, tmp_path: Path) -> None:
    start(f"(setsid sh -c 'trap \"\" TERM; echo $$ > {tmp_path}/pid; while :; do sleep 1; done' &) ; exit 0").wait()
    tool = written_pid(tmp_path / "pid")
    termination.end(NONCE, 0.1)
    assert ended(tool)


def test_a_tool_without_the_mark_is_ended_with_its_marked_parent(start: Start, tmp_path: Path) -> None:
    start(f"env -i setsid sh -c 'trap \"\" TERM; echo $$ > {tmp_path}/pid; while :; do sleep 1; done' & wait")
    tool = written_pid(tmp_path / "pid")
    # The parent goes at SIGTERM, and with it the descent that the tool was found by.
    termination.end(NONCE, 0.3)
    assert ended(tool)


def test_strangers_are_not_touched(start: Start) -> None:
    strangers = [start("exec sleep 60", mark=None), start("exec sleep 60", mark="f" * 32)]
    child = start("exec sleep 60")
    assert eventually(lambda: marked_pids() == {child.pid})
    termination.end(NONCE, 5.0)
    child.wait(20)
    assert [stranger.poll() for stranger in strangers] == [None, None]


def test_another_attempt_below_the_agent_is_spared(start: Start, tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/pid; sleep 60 & echo $! > {tmp_path}/tool; wait"
    start(f"env {termination.MARK}={'e' * 32} setsid sh -c '{script}' & wait")
    other, tool = written_pid(tmp_path / "pid"), written_pid(tmp_path / "tool")
    termination.end(NONCE, 0.2)
    assert (ended(other), ended(tool)) == (False, False)
    termination.end("e" * 32, 0.2)
    assert (ended(other), ended(tool)) == (True, True)


def test_a_holder_of_another_lease_is_spared_although_it_has_the_mark(start: Start, tmp_path: Path) -> None:
    held = lease.Lease.create(str(tmp_path / "leases"))
    held.make_inheritable()
    runner = subprocess.Popen(["sleep", "60"], close_fds=False, env={**os.environ, termination.MARK: NONCE})
    held.close()
    child = start("exec sleep 60")
    assert eventually(lambda: marked_pids() == {child.pid})
    termination.end(NONCE, 0.2)
    assert ended(child.pid)
    assert runner.poll() is None
    runner.kill()
    runner.wait()


def test_the_holder_of_the_attempts_own_lease_is_not_spared(tmp_path: Path) -> None:
    held = lease.Lease.create(str(tmp_path / "leases"))
    held.make_inheritable()
    agent = subprocess.Popen(["sleep", "60"], close_fds=False, env={**os.environ, termination.MARK: held.nonce})
    held.close()
    termination.end(held.nonce, 5.0)
    assert agent.wait(20) == -signal.SIGTERM


def test_the_descendants_of_a_root_are_ended_and_the_root_is_not(start: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    root = start(f"env -i sleep 60 & echo $! > {tmp_path}/pid; read nothing <> {tmp_path}/fifo", mark=None)
    tool = written_pid(tmp_path / "pid")
    termination.end(NONCE, 5.0, exclude=(root.pid,), root=root.pid)
    assert ended(tool)
    assert root.poll() is None


def test_what_a_root_had_before_is_spared_with_all_below_it_unless_it_has_the_mark(
    start: Start, tmp_path: Path
) -> None:
    older = start(f"sleep 60 & echo $! > {tmp_path}/below; wait", mark=None)
    marked = start("exec sleep 60")
    below = written_pid(tmp_path / "below")
    before = termination.below(os.getpid())
    assert {older.pid, below, marked.pid} <= {one["pid"] for one in before}
    younger = start("exec sleep 60", mark=None)
    termination.end(NONCE, 5.0, root=os.getpid(), spare=before)
    assert (ended(older.pid), ended(below), ended(younger.pid), ended(marked.pid)) == (False, False, True, True)


def test_nothing_to_end_is_a_report_of_nothing() -> None:
    report = termination.end(os.urandom(16).hex(), 5.0)
    assert (report.signalled, report.killed, report.left) == (0, 0, [])


def test_a_machine_that_stood_still_before_the_first_signal_gives_nobody_up(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = start("exec sleep 60")
    assert eventually(lambda: marked_pids() == {child.pid})
    asked = iter([0.0])
    clock = SimpleNamespace(monotonic=lambda: next(asked, time.monotonic() + 3600))
    monkeypatch.setattr(termination, "time", clock)
    report = termination.end(NONCE, 5.0)
    assert (report.signalled, report.left) == (1, [])
    assert child.wait(20) == -signal.SIGKILL


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user's process")
def test_what_cannot_be_ended_is_reported(start: Start, tmp_path: Path) -> None:
    child = start("exec sleep 60", mark=None)
    asker = os.fork()
    if asker == 0:
        code = 9
        try:
            termination.KILL_SECONDS = 0.2
            os.setuid(65534)
            # A root that is this process's sibling: `nobody` may neither read its environment nor signal it.
            report = termination.end(NONCE, 0.1, root=child.pid)
            code = 0 if [left["pid"] for left in report.left] == [child.pid] else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(asker, 0)[1]) == 0
    assert child.poll() is None


def test_a_subreaper_adopts_orphans(tmp_path: Path) -> None:
    runner = os.fork()
    if runner == 0:
        code = 9
        try:
            assert termination.become_subreaper()
            os.system(f"(sleep 60 & echo $! > {tmp_path}/pid)")
            orphan = int((tmp_path / "pid").read_text())
            found = identity.stat(orphan)
            code = 0 if found is not None and found.parent == os.getpid() else 1
            os.kill(orphan, signal.SIGKILL)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(runner, 0)[1]) == 0


def test_a_leader_whose_threads_run_on_is_not_dead() -> None:
    child = os.fork()
    if child == 0:
        import threading

        threading.Thread(target=time.sleep, args=(60,)).start()
        ctypes.CDLL(None).syscall(60, 0)  # exit of this thread only (x86-64)
        os._exit(1)
    try:
        assert eventually(lambda: (found := identity.stat(child)) is not None and found.state == "Z")
        found = identity.stat(child)
        assert found is not None
        assert not found.dead
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
