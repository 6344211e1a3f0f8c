"""kill -9 at each step of an attempt: the slot comes back, the task is finished, nothing is left, no stranger is hit.

A step is hit by real means: a git hook, or a `git` in PATH that pauses at its n-th call, before or after it worked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from kugetsu.runtime import daemon_control
from kugetsu.runtime.process import identity
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

PAUSING_GIT = """#!/bin/sh
# One call at a time is paused: the one whose words or number the file `pause` names.
calls=$(($(cat "$STAGE/calls" 2>/dev/null || echo 0) + 1))
echo $calls > "$STAGE/calls"
pause() {
  if test -e "$STAGE/pause-$1"; then
    wanted=$(cat "$STAGE/pause-$1")
    case "$calls: $GIT_WORDS" in
      $wanted) rm "$STAGE/pause-$1"; touch "$STAGE/paused"; while ! test -e "$STAGE/go"; do sleep 0.02; done;;
    esac
  fi
}
GIT_WORDS="$*"
pause before
REAL_GIT "$@"
code=$?
pause after
exit $code
"""


@pytest.fixture(autouse=True)
def bystander(stage: Stage) -> Iterator[None]:
    """A stranger that works on the same things in the same way, and must survive everything."""
    environment = {**os.environ, "KUGETSU_ATTEMPT": "q1.1", "KUGETSU_LEASE": "a" * 32}
    sleep = shutil.which("sleep")
    looks = f"/bin/sh {stage.folder}/agent.sh supervisor.py"
    process = subprocess.Popen([looks, "300"], executable=sleep, env=environment, cwd=stage.folder)
    yield
    alive = process.poll() is None
    process.kill()
    process.wait()
    assert alive, "the stranger was ended"


def pausing_git(stage: Stage, when: str, which: str) -> None:
    folder = stage.root / "bin"
    folder.mkdir()
    (folder / "git").write_text(PAUSING_GIT.replace("REAL_GIT", str(shutil.which("git"))))
    (folder / "git").chmod(0o755)
    stage.monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    (stage.folder / f"pause-{when}").write_text(which)


def runner_of(stage: Stage, task: str) -> identity.Identity:
    stage.wait("attempt.starting", task=task)
    runner = stage.state.attempts[f"{task}.1"].runner
    assert runner is not None
    return runner


def completed_by_the_second(stage: Stage, task: str) -> None:
    stage.wait("task.retried", task=task)
    stage.go()
    assert stage.finished(task) == "completed"
    assert stage.wait("attempt.lost", attempt=f"{task}.1")
    assert stage.wait("attempt.succeeded", attempt=f"{task}.2")["data"]["evidence"]["commits"] == 1
    stage.until(lambda: not stage.state.attempts)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["1: *", "2: *", "*worktree add*"])
def test_a_runner_killed_while_git_prepares_is_followed_by_one_that_finishes(
    stage: Stage, when: str, call: str
) -> None:
    pausing_git(stage, when, call)
    stage.agent(COMMIT)
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.file("paused")
    stage.kill(runner_of(stage, task))
    completed_by_the_second(stage, task)


def test_a_runner_killed_in_the_middle_of_a_checkout_is_followed_by_one_that_finishes(stage: Stage) -> None:
    stage.hook("post-checkout", 'touch "$STAGE/paused"; while ! test -e "$STAGE/go"; do sleep 0.02; done\n')
    stage.agent(COMMIT)
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.file("paused")
    stage.kill(runner_of(stage, task))
    completed_by_the_second(stage, task)


@pytest.mark.parametrize("victim", ["runner", "agent", "both"])
def test_runner_or_agent_killed_while_it_works(stage: Stage, victim: str) -> None:
    stage.agent('setsid sh -c "exec sleep 60" &\n' + UNTIL_GO + COMMIT)
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.at_work(f"{task}.1")
    attempt = stage.state.attempts[f"{task}.1"]
    runner, agent = attempt.runner, attempt.agent
    if victim in ("runner", "both"):
        stage.kill(runner)
    if victim == "both" and agent is not None:
        identity.signal(agent, 9)  # the daemon may have been faster
    elif victim == "agent":
        stage.kill(agent)
    stage.wait("task.retried", task=task)
    stage.go()
    assert stage.finished(task) == "completed"
    ended = stage.wait("attempt.lost", "attempt.failed", attempt=f"{task}.1")
    assert ended["type"] == ("attempt.failed" if victim == "agent" else "attempt.lost")
    assert ended["data"]["signal"] == (9 if victim == "agent" else None)


def test_a_runner_killed_while_it_concludes_is_concluded_from_what_it_saw(stage: Stage) -> None:
    pausing_git(stage, "before", "*status --porcelain=v2 --branch*")
    stage.agent(COMMIT)
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.file("paused")
    stage.kill(runner_of(stage, task))
    assert stage.finished(task) == "completed"
    assert stage.wait("attempt.succeeded", attempt=f"{task}.1")["data"]["evidence"]["commits"] == 1
    assert len(stage.events("attempt.claimed")) == 1, "the work was done: it is not done again"


@pytest.mark.parametrize("step", ["preparing", "working", "concluding"])
def test_a_daemon_killed_at_any_step_of_an_attempt_does_not_disturb_it(stage: Stage, step: str) -> None:
    if step == "preparing":
        pausing_git(stage, "before", "*worktree add*")
    elif step == "concluding":
        pausing_git(stage, "before", "*status --porcelain=v2 --branch*")
    stage.agent((UNTIL_GO if step == "working" else "") + COMMIT)
    stage.start_daemon()
    task = stage.enqueue(1)
    if step == "working":
        stage.at_work(f"{task}.1")
    else:
        stage.file("paused")
    stage.kill_daemon()
    stage.start_daemon()
    assert list(stage.state.attempts) == [f"{task}.1"]
    stage.go()
    assert stage.finished(task) == "completed"
    assert len(stage.events("attempt.claimed")) == 1
    assert daemon_control.status(stage.ws).running


def test_a_runner_and_the_daemon_killed_at_once_are_both_made_good_by_the_next_daemon(stage: Stage) -> None:
    stage.agent(UNTIL_GO + COMMIT)
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.at_work(f"{task}.1")
    runner = stage.state.attempts[f"{task}.1"].runner
    stage.kill_daemon()
    stage.kill(runner)
    stage.start_daemon()
    completed_by_the_second(stage, task)


def test_an_agent_that_starts_another_issue_and_ends_does_not_end_the_others_agent(stage: Stage) -> None:
    nested = (
        "import os; from kugetsu.model.refs import parse_ref; from kugetsu.runtime import submit as requests;"
        "from kugetsu.runtime.workspace import open_workspace;"
        "requests.start(open_workspace(os.environ, 'pm'), parse_ref(os.environ['OTHER']), 'go on')"
    )
    import sys

    stage.monkeypatch.setenv("PYTHON", sys.executable)
    stage.monkeypatch.setenv("NESTED", nested)
    stage.monkeypatch.setenv("OTHER", str(stage.ref(2)))
    stage.agent('case "$NUMBER" in 1) "$PYTHON" -P -c "$NESTED" || exit 1;; esac\n' + UNTIL_GO)
    stage.start(1)
    stage.at_work("q2.1")
    second = stage.state.attempts["q2.1"]
    assert second.lease != stage.state.attempts["q1.1"].lease
    from kugetsu.runtime import stop_attempt

    stop_attempt.cancel(stage.ws, "q1")
    assert stage.finished("q1") == "cancelled"
    assert second.agent is not None and identity.alive(second.agent)
    assert second.runner is not None and identity.alive(second.runner)
    stage.go()
    assert stage.finished("q2") == "completed"
