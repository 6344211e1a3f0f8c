"""Preparation: a session is made ready once, what a crash left half done is finished, nothing is deleted."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys

from kugetsu.model.refs import parse_ref
from kugetsu.runtime import submit
from runtime import repos
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]


def test_what_is_prepared_is_recorded_as_intent_and_outcome(stage: Stage) -> None:
    base = repos.run(stage.repository, "rev-parse", "HEAD")
    stage.start(1)
    stage.finished("q1")
    intent, outcome = stage.wait("session.preparing", attempt="q1.1"), stage.wait("session.prepared", attempt="q1.1")
    assert outcome["cause"] == intent["seq"]
    assert intent["data"]["branch"] == outcome["data"]["branch"] == "fix/issue-1"
    assert (outcome["data"]["base_branch"], outcome["data"]["base_commit"]) == ("main", base)
    assert outcome["data"]["agent_session"] == stage.wait("attempt.running")["data"]["agent_session"]


def test_a_session_that_is_ready_is_not_prepared_again_and_is_the_same(stage: Stage) -> None:
    stage.agent('echo "$KUGETSU_SESSION" >> "$STAGE/sessions"')
    for task in ("q1", "q2"):
        stage.start(1)
        stage.finished(task)
    assert len(stage.events("session.prepared", issue=str(stage.ref(1)))) == 1
    assert len(set(stage.file("sessions").split())) == 1


def test_every_issue_has_a_session_and_a_worktree_of_its_own(stage: Stage) -> None:
    stage.agent('echo "$KUGETSU_SESSION $PWD" >> "$STAGE/sessions"')
    for number, task in ((1, "q1"), (11, "q2")):
        stage.start(number)
        stage.finished(task)
    assert len({word for line in stage.file("sessions").splitlines() for word in line.split()}) == 4


def test_every_repository_has_a_base_of_its_own(stage: Stage) -> None:
    other = stage.root / "elsewhere" / "sample"
    repos.make_plain(other)
    stage.start(1)
    stage.finished("q1")
    name = "local/elsewhere/sample"
    stage.monkeypatch.chdir(other)
    submit.start(stage.ws, parse_ref(f"{name}#1"), "x")
    stage.finished("q2")
    bases = {key for key in stage.state.sessions if key.startswith("base:")}
    assert bases == {f"base:{stage.name}", f"base:{name}"}
    forks = [event["data"]["base_session"] for event in stage.events("session.prepared") if event.get("issue")]
    assert len(set(forks)) == 2


def test_a_worktree_that_was_deleted_is_made_again_on_its_branch(stage: Stage) -> None:
    stage.agent(COMMIT)
    stage.start(1)
    stage.finished("q1")
    shutil.rmtree(stage.worktree(1))
    stage.agent('cat work > "$STAGE/found"')
    stage.start(1)
    assert stage.finished("q2") == "completed"
    assert stage.file("found") == "q1.1\n", "the branch and its commits were kept"
    assert "gone" in stage.wait("session.broken")["data"]["reason"]


def test_files_that_lie_where_the_worktree_belongs_are_never_deleted(stage: Stage) -> None:
    from kugetsu.model.refs import folder_name

    place = stage.directory / "worktrees" / folder_name(stage.ref(1))
    place.mkdir(parents=True)
    (place / "mine").write_text("precious\n")
    assert stage.start(1).state == "failed"
    assert (place / "mine").read_text() == "precious\n"
    assert stage.finished("q1") == "error"
    assert str(place) in (stage.state.tasks["q1"].reason or "")


def test_a_branch_that_somebody_has_checked_out_is_not_taken_away(stage: Stage) -> None:
    repos.run(stage.repository, "checkout", "-q", "-b", "fix/issue-1")
    assert stage.start(1).state == "failed"
    assert stage.finished("q1") == "error"
    assert repos.run(stage.repository, "branch", "--show-current") == "fix/issue-1"


def test_a_git_that_fails_once_is_tried_again(stage: Stage) -> None:
    once = 'test -e "$STAGE/second" && exec cat; touch "$STAGE/second"; exit 1'
    repos.run(stage.repository, "config", "filter.once.smudge", once)
    repos.run(stage.repository, "config", "filter.once.required", "true")
    (stage.repository / ".git" / "info" / "attributes").write_text("README filter=once\n")
    stage.start_daemon()
    task = stage.enqueue(1)
    assert stage.finished(task) == "completed"
    assert stage.events("task.retried")


def test_a_failing_hook_is_told_once_where_people_look_and_the_work_goes_on(stage: Stage) -> None:
    stage.hook("post-checkout", "echo 'husky: not found' >&2; exit 1\n")
    stage.agent(UNTIL_GO)
    stage.start(1)
    key = str(stage.ref(1))
    said = "the post-checkout hook failed (exit 1): husky: not found"
    assert stage.state.sessions[key].notes == [said]
    assert [event["data"]["notes"] for event in stage.events("session.prepared", session=key)] == [[said]]
    stage.monkeypatch.setenv("COLUMNS", "200")
    shown = subprocess.run([sys.executable, "-m", "kugetsu", "status"], capture_output=True, text=True, check=True)
    assert "the post-checkout hook failed" in " ".join(shown.stdout.split())
    told = subprocess.run([sys.executable, "-m", "kugetsu", "history", key], capture_output=True, text=True, check=True)
    assert "the post-checkout hook failed" in told.stdout
    stage.go()
    assert stage.finished("q1") == "completed"
    why = subprocess.run([sys.executable, "-m", "kugetsu", "why", "q1"], capture_output=True, text=True, check=True)
    assert "the post-checkout hook failed" in why.stdout
    stage.agent("exit 0\n")
    stage.start(1)
    assert stage.finished("q2") == "completed"
    assert stage.state.sessions[key].notes == []
    assert len(stage.events("session.prepared", session=key)) == 1


def test_the_command_that_a_branch_in_the_way_names_lifts_it_for_the_task_at_hand(stage: Stage) -> None:
    repos.run(stage.repository, "branch", "fix")
    assert stage.start(1).state == "failed"
    assert stage.finished("q1") == "error"
    reason = stage.events("task.failed")[0]["data"]["reason"]
    command = re.search(r"kugetsu (config set KUGETSU_BRANCH_PATTERN \S+)", reason)
    assert command, reason
    typed = [sys.executable, "-m", "kugetsu", *shlex.split(command[1].rstrip(";"))]
    subprocess.run(typed, check=True, capture_output=True)
    stage.ws.reload()
    subprocess.run([sys.executable, "-m", "kugetsu", "queue", "retry", "q1"], check=True, capture_output=True)
    stage.start_daemon()
    stage.until(lambda: stage.state.tasks["q1"].state == "completed")
    assert stage.state.sessions[str(stage.ref(1))].branch == "issue-1"


def test_a_setting_names_branch_and_base(stage: Stage) -> None:
    repos.run(stage.repository, "branch", "stable")
    repos.commit(stage.repository, "newer", "x\n", "newer")
    stage.configure(KUGETSU_BRANCH_PATTERN="work/{repo}-{number}", KUGETSU_BASE_BRANCH="stable")
    stage.agent('ls > "$STAGE/files"')
    stage.start(7)
    assert stage.finished("q1") == "completed"
    assert stage.state.sessions[str(stage.ref(7))].branch == "work/sample-7"
    assert "newer" not in stage.file("files").split()


def test_the_base_commit_stays_that_of_the_first_preparation(stage: Stage) -> None:
    stage.agent(COMMIT)
    stage.start(1)
    stage.finished("q1")
    first = stage.state.sessions[str(stage.ref(1))].base_commit
    repos.commit(stage.repository, "newer", "x\n", "newer")
    shutil.rmtree(stage.worktree(1))
    stage.start(1)
    stage.finished("q2")
    assert stage.state.sessions[str(stage.ref(1))].base_commit == first
    assert stage.events("attempt.succeeded")[1]["data"]["evidence"]["commits"] == 2


def test_a_directory_named_kugetsu_in_the_worktree_is_not_taken_for_the_program(stage: Stage) -> None:
    repos.commit(stage.repository, "kugetsu/__init__.py", "raise SystemExit('not me')\n")
    stage.start(1)
    assert stage.finished("q1") == "completed"
    assert os.path.isdir(stage.worktree(1) / "kugetsu")
