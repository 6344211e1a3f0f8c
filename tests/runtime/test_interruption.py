"""What is still being prepared stops at once when it is asked to, and at its time limit; nothing of it is left."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from kugetsu.domain.decide import queue
from kugetsu.runtime import dispatcher, host_lease, stop_attempt
from kugetsu.runtime.git import repositories
from kugetsu.runtime.process import identity, lease
from kugetsu.runtime.runner import interruption, launch
from kugetsu.runtime.runner.interruption import Interrupted, interruptible
from runtime.stage import COMMIT, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

#: A hook that never ends by itself, nor when it is asked to.
STUBBORN = """
test -e "$STAGE/let-go" && exit 0
trap '' TERM INT
setsid sh -c 'echo $$ > "$STAGE/apart"; exec sleep 600' &
echo $$ > "$STAGE/hook"
while :; do sleep 0.05; done
"""


def held(stage: Stage, name: str) -> str:
    return {
        "clone": os.path.realpath(stage.repository / ".git"),
        "base": f"base {stage.name}",
    }[name]


@pytest.mark.parametrize("name", ["clone", "base"])
def test_cancel_does_not_wait_for_another_issues_checkout(stage: Stage, name: str) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1")
    stage.start_daemon()
    with repositories.locked(stage.ws.paths, held(stage, name)):
        first = stage.enqueue(1)
        stage.wait("session.preparing", attempt=f"{first}.1")
        stop_attempt.cancel(stage.ws, first)
        assert stage.finished(first) == "cancelled", "while the lock is held"
        assert not stage.state.attempts, "its slot is free"
    assert "before the agent was started" in stage.wait("attempt.killed")["data"]["reason"]
    second = stage.enqueue(1)
    assert stage.finished(second) == "completed"


def test_what_is_prepared_ends_before_its_host_may_be_lost(stage: Stage) -> None:
    stage.monkeypatch.setattr(launch, "is_shared", lambda _: True)
    stage.monkeypatch.setattr(interruption, "POLL_SECONDS", 0.05)
    host_lease.renew(stage.ws.paths.make(stage.ws.paths.leases), host_lease.now(), 3600.0)
    with repositories.locked(stage.ws.paths, "pm session"):
        stage.ws.log.transact(lambda state: queue.enqueue(state, kind="pm", issue=None, message="plan", via="delegate"))
        dispatcher.dispatch(stage.ws, "self")
        stage.wait("attempt.starting")
        host_lease.renew(stage.ws.paths.leases, host_lease.now() - 7200.0, 3600.0)  # nobody hears of it any more
        killed = stage.wait("attempt.killed")
        assert "cut off from the shared log" in killed["data"]["reason"]
        assert "before the agent was started" in killed["data"]["reason"]
    stage.ws.log.transact(lambda state: queue.cancel(state, "q1", "cancel"))


def test_cancel_does_not_wait_for_the_lock_of_the_pm_session(stage: Stage) -> None:
    with repositories.locked(stage.ws.paths, "pm session"):
        stage.ws.log.transact(lambda state: queue.enqueue(state, kind="pm", issue=None, message="plan", via="delegate"))
        dispatcher.dispatch(stage.ws, "self")
        stage.wait("attempt.starting")
        stop_attempt.cancel(stage.ws, "q1")
        assert stage.finished("q1") == "cancelled"


def test_cancel_ends_the_git_that_makes_the_worktree_with_its_hooks(stage: Stage) -> None:
    stage.hook("post-checkout", STUBBORN)
    stage.agent(COMMIT)
    stage.start_daemon()
    task = stage.enqueue(1)
    hook, apart = stage.pid("hook"), stage.pid("apart")
    stop_attempt.cancel(stage.ws, task)
    assert stage.finished(task) == "cancelled"
    assert not identity.alive(hook) and not identity.alive(apart)
    (stage.folder / "let-go").touch()
    again = stage.enqueue(1)
    assert stage.finished(again) == "completed", "what was half made is finished"
    assert stage.wait("attempt.succeeded")["data"]["evidence"]["commits"] == 1


def test_a_hook_that_hangs_holds_a_slot_no_longer_than_the_time_limit(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "SHORTEST_PREPARATION_SECONDS", 0.5)
    stage.configure(TASK_TIMEOUT_HOURS="0.0001", MAX_ATTEMPTS="1")
    stage.hook("post-checkout", STUBBORN)
    started = stage.start(1)
    assert started.state == "timed_out"
    assert "TASK_TIMEOUT_HOURS" in (started.reason or "")
    assert stage.finished("q1") == "error"
    assert not stage.state.attempts


def test_a_preparation_that_is_ended_from_outside_is_tried_again(stage: Stage) -> None:
    stage.hook("post-checkout", STUBBORN)
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.file("hook")
    who = stage.state.attempts[f"{task}.1"].runner
    assert who is not None
    (stage.folder / "let-go").touch()
    assert identity.signal(who, signal.SIGTERM)
    assert stage.finished(task) == "completed"
    assert "stopped from outside" in stage.wait("attempt.killed")["data"]["reason"]
    assert not lease.alive(stage.ws.paths.leases, stage.nonces()[f"{task}.1"])


def test_an_attempt_whose_stop_was_requested_before_it_had_a_runner_never_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.agent('touch "$STAGE/ran"')
    fork = launch.fork

    def late(*arguments: object) -> None:
        stop_attempt.cancel(stage.ws, "q1")
        fork(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(dispatcher.launch, "fork", late)
    assert stage.start(1).state == "killed"
    assert stage.state.tasks["q1"].state == "cancelled"
    assert not (stage.folder / "ran").exists()
    assert not stage.events("session.preparing", attempt="q1.1")


def test_a_signal_that_was_held_back_interrupts_at_once_and_only_once() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, before)
    try:
        # To this thread, which holds it back: a worker of pytest-xdist has others, which would end the process.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        with pytest.raises(Interrupted) as stopped, interruptible(60.0):
            pytest.fail("it was not interrupted")
        assert not stopped.value.timed_out
        with pytest.raises(Interrupted) as late, interruptible(0.01):
            signal.pause()
        assert late.value.timed_out
        looks = [0.0, 0.0, 0.02, 0.02, 0.02]
        with pytest.raises(Interrupted) as cut_off, interruptible(60.0, looks.pop):
            while True:
                signal.pause()
        assert cut_off.value.cut_off and not cut_off.value.timed_out and looks == [0.0]
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        assert signal.SIGTERM in signal.sigpending(), "held back outside"
        assert signal.sigtimedwait([signal.SIGTERM], 0) is not None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
