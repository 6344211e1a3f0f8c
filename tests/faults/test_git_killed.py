"""A git that was killed (SIGKILL) leaves its lock files: the attempt's are removed with it, all others are told."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from kugetsu.runtime import reconcile
from kugetsu.runtime.doctor import examination
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding
from kugetsu.runtime.git import locks
from runtime import repos
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

#: A hook in which git waits for as long as the file `block` is there; it tells that it has come so far.
WAIT = 'if test -e "$STAGE/block"; then touch "$STAGE/in-hook"; while test -e "$STAGE/block"; do sleep 0.02; done; fi\n'
#: An agent whose git is killed in the middle of its commit.
KILLED = """
if test -e "$STAGE/block"; then
    echo change > README
    git commit -qam change & git=$!
    while ! test -e "$STAGE/in-hook"; do sleep 0.02; done
    kill -9 $git
    wait
    find "$(git rev-parse --git-dir)" "$(git rev-parse --git-common-dir)/refs" -name '*.lock' > "$STAGE/left"
    test -z "$HANG" || { touch "$STAGE/at-work-$KUGETSU_ATTEMPT"; exec sleep 600; }
    exit 0
fi
"""


def left(stage: Stage) -> set[str]:
    return {os.path.basename(path) for path in stage.file("left").split()}


@pytest.mark.parametrize(
    ("hook", "script", "expected"),
    [
        ("pre-commit", WAIT, {"index.lock"}),
        ("reference-transaction", 'test "$1" = prepared || exit 0\n' + WAIT, {"HEAD.lock", "issue-1.lock"}),
    ],
)
def test_the_next_attempt_commits_after_a_git_that_was_killed(
    stage: Stage, hook: str, script: str, expected: set[str]
) -> None:
    stage.start(1)
    assert stage.finished("q1") == "completed"
    stage.hook(hook, script)
    (stage.folder / "block").touch()
    stage.agent(KILLED + COMMIT)
    stage.start(1)
    assert stage.finished("q2") == "completed"
    assert expected <= left(stage), "git left no lock: this tests nothing"
    removed = {os.path.basename(event["data"]["path"]) for event in stage.events("lock.removed", attempt="q2.1")}
    assert expected <= removed
    assert all(name in stage.wait("task.completed", task="q2")["data"]["summary"] for name in expected)
    (stage.folder / "block").unlink()
    stage.start(1)
    assert stage.finished("q3") == "completed"
    assert stage.wait("attempt.succeeded", attempt="q3.1")["data"]["evidence"]["commits"] == 1


def test_the_locks_of_an_attempt_that_died_with_its_runner_are_removed(stage: Stage) -> None:
    stage.configure(MAX_ATTEMPTS="1")
    stage.hook("pre-commit", WAIT)
    (stage.folder / "block").touch()
    stage.agent("HANG=yes\n" + KILLED)
    stage.start(1)
    stage.at_work("q1.1")
    attempt = stage.state.attempts["q1.1"]
    stage.kill(attempt.runner)
    stage.kill(attempt.agent)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert "index.lock" in stage.wait("attempt.lost")["data"]["reason"]
    (stage.folder / "block").unlink()
    stage.agent(COMMIT)
    stage.start(1)
    assert stage.finished("q2") == "completed"
    assert stage.wait("attempt.succeeded", attempt="q2.1")["data"]["evidence"]["commits"] == 1


def test_the_lock_of_somebody_elses_git_stays(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    stage.hook("pre-commit", WAIT)
    (stage.folder / "block").touch()
    tree = stage.worktree(1)
    (tree / "README").write_text("mine\n")
    mine = subprocess.Popen(["git", "commit", "-qam", "mine"], cwd=tree)
    try:
        stage.file("in-hook")
        stage.go()
        assert stage.finished("q1") == "completed"
        assert not stage.events("lock.removed")
    finally:
        (stage.folder / "block").unlink()
        assert mine.wait(30) == 0
    assert repos.run(tree, "log", "-1", "--format=%s") == "mine"


def test_a_lock_that_somebody_has_open_stays(stage: Stage) -> None:
    stage.start(1)
    assert stage.finished("q1") == "completed"
    git_dir = Path(repos.run(stage.worktree(1), "rev-parse", "--git-dir"))
    with (git_dir / "index.lock").open("w"):
        assert locks.of_worktree(str(stage.worktree(1)), None) == []
    assert [lock.path for lock in locks.of_worktree(str(stage.worktree(1)), None)] == [str(git_dir / "index.lock")]


def test_a_lock_in_the_place_of_a_dead_one_stays(stage: Stage) -> None:
    stage.start(1)
    assert stage.finished("q1") == "completed"
    path = Path(repos.run(stage.worktree(1), "rev-parse", "--git-dir")) / "index.lock"
    path.touch()
    (dead,) = locks.of_worktree(str(stage.worktree(1)), None)
    path.rename(path.with_suffix(".moved"))
    path.touch()
    assert not dead.remove()
    assert path.exists()


def test_doctor_names_old_locks_and_removes_them(stage: Stage) -> None:
    stage.start(1)
    assert stage.finished("q1") == "completed"
    git_dir = Path(repos.run(stage.worktree(1), "rev-parse", "--git-dir"))
    common = stage.repository / ".git"
    old = [git_dir / "HEAD.lock", common / "packed-refs.lock", common / "refs/heads/main.lock", common / "config.lock"]
    for path in old:
        path.touch()
        os.utime(path, (time.time() - 7200,) * 2)
    (common / "shallow.lock").touch()  # a moment old: git may be about to remove it

    def found() -> list[Finding]:
        case = Context(stage.ws.paths, os.environ, "doctor")
        try:
            return [one for one in examination.examine(case) if one.name == "locks" and one.group == "git"]
        finally:
            case.close()

    assert sorted(one.fix or "" for one in found()) == sorted(f"rm {path}" for path in old)
    assert all(failed is None for _, failed in examination.repair(found()))
    assert not any(path.exists() for path in old)
    assert found() == []
    assert sorted(event["data"]["path"] for event in stage.events("lock.removed")) == sorted(map(str, old))


def test_doctor_leaves_the_locks_of_a_git_at_work(stage: Stage) -> None:
    stage.start(1)
    assert stage.finished("q1") == "completed"
    stage.hook("pre-commit", WAIT)
    (stage.folder / "block").touch()
    (stage.repository / "README").write_text("mine\n")
    mine = subprocess.Popen(["git", "commit", "-qam", "mine"], cwd=stage.repository)
    try:
        stage.file("in-hook")
        lock = stage.repository / ".git" / "index.lock"
        os.utime(lock, (time.time() - 7200,) * 2)
        case = Context(stage.ws.paths, os.environ, "doctor")
        assert not [one for one in examination.examine(case) if one.group == "git" and one.name == "locks"]
        case.close()
    finally:
        (stage.folder / "block").unlink()
        assert mine.wait(30) == 0
