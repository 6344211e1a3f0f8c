"""A branch that is merged is finished: more work starts on a fresh one from the base; the old one stays as it is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from forge.scripted import ScriptedForge
from kugetsu.runtime import destroy, prune
from kugetsu.runtime.reviews import survey
from runtime import repos
from runtime.forged import PUSH, forge, forged, prompt, worked
from runtime.stage import COMMIT, Stage, bare_stage, stage

__all__ = ["bare_stage", "forge", "forged", "stage"]

OLD, NEW = "fix/issue-14", "fix/issue-14-2"


def merged(stage: Stage, forge: ScriptedForge | None, *, how: str = "squash", branch: str = OLD) -> str:
    """The branch's pull request #31 is merged on the server, and the branch deleted there; the base's new commit."""
    server, other = stage.root / "srv.git", stage.root / "other"
    head = repos.run(server, "rev-parse", branch)
    if not other.exists():
        repos.run(stage.root, "clone", "-q", str(server), str(other))
    repos.run(other, "pull", "-q")
    if how == "squash":
        repos.run(other, "merge", "-q", "--squash", f"origin/{branch}")
        repos.run(other, "commit", "-qm", "squashed")
    else:
        repos.run(other, "merge", "-q", "--no-ff", "-m", "merged", f"origin/{branch}")
    repos.run(other, "push", "-q", "origin", "main", f":{branch}")
    if forge is not None:
        forge.pull("acme/web", 31, branch=branch, sha=head, state="merged", branch_deleted=True)
    return repos.run(other, "rev-parse", "HEAD")


def once(stage: Stage, forge: ScriptedForge, script: str = COMMIT + PUSH) -> str:
    forge.issue("acme/web", 14)
    forge.pull("acme/web", 31, branch=OLD)
    return worked(stage, script=script)


@pytest.mark.parametrize("way", ["continue", "destroy and start", "prune and start"])
def test_more_work_on_a_merged_branch_starts_on_a_fresh_one_from_the_base(
    forged: Stage, forge: ScriptedForge, way: str
) -> None:
    key = once(forged, forge)
    old = repos.run(forged.repository, "rev-parse", OLD)
    base = merged(forged, forge)
    if way == "destroy and start":
        destroy.destroy(forged.ws, key, force=False)
    elif way == "prune and start":
        prune.carry_out(forged.ws, prune.plan(forged.ws))
    assert (key in forged.state.sessions) == (way == "continue")
    worked(forged, script=COMMIT.replace("> work", "> more").replace("add work", "add more"))
    session = forged.state.sessions[key]
    assert (session.branch, session.base_commit, session.pr) == (NEW, base, None)
    assert repos.run(forged.worktree(14), "log", "--format=%P", "-1") == base
    assert repos.run(forged.repository, "rev-parse", OLD) == old
    ended = forged.events("attempt.succeeded")[-1]["data"]
    assert ended["reason"] == "1 commit, not pushed" and "pull" not in ended["evidence"]
    intent = forged.events("session.preparing", session=key)[-1]["data"]
    outcome = forged.events("session.prepared", session=key)[-1]["data"]
    assert intent["branch"] == outcome["branch"] == NEW
    assert outcome["follows"] == {"branch": OLD, "url": f"{forge.url}/acme/web/pulls/31", "later": 0}
    told = prompt(forged, "q2.1")
    assert f"branch: {NEW}, made from main at {base[:12]}" in told
    assert f"merged before: {OLD} is merged by {forge.url}/acme/web/pulls/31" in told
    assert prune.plan(forged.ws).items == []


@pytest.mark.parametrize("way", ["continue", "destroy and start"])
def test_without_a_forge_a_branch_that_the_base_has_and_the_remote_no_longer_is_finished(
    forged: Stage, forge: ScriptedForge, way: str
) -> None:
    forged.configure(KUGETSU_FORGE="off", WORKTREE_CHECK_PR_STATUS="false")
    key = worked(forged, script=COMMIT + PUSH)
    base = merged(forged, None, how="merge")
    if way == "destroy and start":
        destroy.destroy(forged.ws, key, force=False)
    else:
        repos.run(forged.repository, "fetch", "-q", "--prune")
    worked(forged)
    assert (forged.state.sessions[key].branch, forged.state.sessions[key].base_commit) == (NEW, base)


def test_a_branch_that_the_agent_renamed_is_finished_when_the_base_has_it(forged: Stage, forge: ScriptedForge) -> None:
    forged.configure(KUGETSU_FORGE="off", WORKTREE_CHECK_PR_STATUS="false")
    key = worked(forged, script=COMMIT + "git branch -q -m mine\n" + PUSH)
    base = merged(forged, None, how="merge", branch="mine")
    repos.run(forged.repository, "fetch", "-q", "--prune")
    worked(forged)
    session = forged.state.sessions[key]
    assert session.branch is not None and session.branch.startswith("fix/issue-14")
    assert session.base_commit == base
    assert forged.events("session.prepared", session=key)[-1]["data"]["follows"]["branch"] == "mine"


@pytest.mark.parametrize("state", ["open", "closed", "none", "squash without a forge", "merged, kept on the remote"])
def test_a_branch_that_is_not_merged_or_may_not_be_goes_on(forged: Stage, forge: ScriptedForge, state: str) -> None:
    if state in ("open", "closed"):
        once(forged, forge)
        forge.change_pull("acme/web", 31, state=state)
    else:
        forged.configure(KUGETSU_FORGE="off", WORKTREE_CHECK_PR_STATUS="false")
        worked(forged, script=COMMIT + PUSH)
    if state == "squash without a forge":
        merged(forged, None)
    elif state == "merged, kept on the remote":
        head = repos.run(forged.repository, "rev-parse", OLD)
        merged(forged, None, how="merge")
        repos.run(forged.repository, "push", "-q", "origin", f"{head}:refs/heads/{OLD}")
    worked(forged)
    assert forged.state.sessions[str(forged.ref(14))].branch == OLD
    assert len(forged.events("session.prepared", session=str(forged.ref(14)))) == 1


def test_uncommitted_work_on_a_finished_branch_is_refused_with_the_remedy_and_stays(
    forged: Stage, forge: ScriptedForge
) -> None:
    key = once(forged, forge, COMMIT + PUSH + "echo x > untracked\n")
    merged(forged, forge)
    forged.agent("exit 0")
    task = forged.start(14).task
    assert forged.finished(task) == "error"
    reason = forged.events("task.failed")[0]["data"]["reason"]
    assert "1 uncommitted change (untracked)" in reason and "commit or stash that there" in reason
    assert (forged.worktree(14) / "untracked").exists() and forged.state.sessions[key].branch == OLD
    (forged.worktree(14) / "untracked").unlink()
    worked(forged)
    assert forged.state.sessions[key].branch == NEW


def test_commits_after_the_merge_are_told_and_stay_on_the_merged_branch(forged: Stage, forge: ScriptedForge) -> None:
    key = once(forged, forge)
    merged(forged, forge)
    later = repos.commit(forged.worktree(14), "later")
    repos.run(forged.worktree(14), "push", "-q", "origin", "HEAD")
    kept = prune.plan(forged.ws).kept
    assert kept[0].reasons == ["1 commit came after its pull request #31 was merged"]
    worked(forged)
    assert forged.state.sessions[key].branch == NEW
    assert repos.run(forged.repository, "rev-parse", OLD) == later
    assert "It still has 1 commit from after the merge: git log -1 " in prompt(forged, "q2.1")


def test_a_run_that_commits_after_the_merge_says_that_these_are_in_no_pull_request(
    forged: Stage, forge: ScriptedForge
) -> None:
    forge.issue("acme/web", 14)
    forge.pull("acme/web", 31, branch=OLD, state="merged")
    script = COMMIT + PUSH + 'git rev-parse HEAD > "$STAGE/head"; while ! test -e "$STAGE/go"; do sleep 0.02; done\n'
    forged.agent(script + "git commit -q --allow-empty -m later\n" + PUSH)
    task = forged.start(14).task
    forged.until(lambda: forged.file("head").strip())
    forge.change_pull("acme/web", 31, sha=forged.file("head").strip())
    forged.go()
    forged.finished(task)
    ended = forged.events("attempt.succeeded")[0]["data"]
    assert ended["reason"].endswith("pull request #31 merged, 1 commit after the merge in no pull request")
    assert ended["evidence"]["pull"]["later"] == 1


def test_a_leftover_of_the_fresh_name_is_not_taken_and_a_second_merge_gives_the_next(
    forged: Stage, forge: ScriptedForge
) -> None:
    key = once(forged, forge)
    repos.run(forged.repository, "branch", NEW, "main")
    merged(forged, forge)
    worked(forged, script="echo more > more; git add more; git commit -qm more\n" + PUSH)
    assert forged.state.sessions[key].branch == f"{OLD}-3"
    head = repos.run(Path(forged.worktree(14)), "rev-parse", "HEAD")
    forge.pull("acme/web", 32, branch=f"{OLD}-3", sha=head, state="merged")
    worked(forged)
    assert forged.state.sessions[key].branch == f"{OLD}-4"


PAUSING = """#!/bin/sh
case "$*" in
PAUSED_AT)
  if ! test -e "$STAGE/go"; then
    REAL_GIT "$@"
    touch "$STAGE/paused"; while ! test -e "$STAGE/go"; do sleep 0.02; done
    exit 0
  fi;;
esac
exec REAL_GIT "$@"
"""


@pytest.mark.parametrize(
    ("way", "call"),
    [("continue", "*switch*"), ("continue", "*fetch*"), ("destroy and start", '"worktree add"*')],
)
def test_a_runner_killed_on_the_way_to_a_fresh_branch_is_followed_by_one_that_knows_what_it_follows(
    forged: Stage, forge: ScriptedForge, way: str, call: str
) -> None:
    key = once(forged, forge)
    base = merged(forged, forge)
    if way == "destroy and start":
        destroy.destroy(forged.ws, key, force=False)
    folder = forged.root / "bin"
    folder.mkdir()
    (folder / "git").write_text(PAUSING.replace("REAL_GIT", str(shutil.which("git"))).replace("PAUSED_AT", call))
    (folder / "git").chmod(0o755)
    forged.monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    forged.agent(COMMIT.replace("> work", "> more").replace("add work", "add more"))
    forged.start_daemon()
    task = forged.enqueue(14)
    forged.file("paused")
    forged.wait("session.preparing", attempt=f"{task}.1")
    assert not forged.events("session.prepared", attempt=f"{task}.1")
    runner = forged.state.attempts[f"{task}.1"].runner
    assert runner is not None
    forged.kill(runner)
    forged.wait("task.retried", task=task)
    forged.go()
    assert forged.finished(task) == "completed"
    session = forged.state.sessions[key]
    assert (session.branch, session.base_commit, session.pr, session.commits) == (NEW, base, None, 1)
    assert repos.run(forged.repository, "branch", "--list", f"{OLD}-*") == f"+ {NEW}"
    follows = {"branch": OLD, "url": f"{forge.url}/acme/web/pulls/31", "later": 0}
    for attempt in (f"{task}.1", f"{task}.2"):
        assert forged.wait("session.preparing", attempt=attempt)["data"]["follows"] == follows
    assert forged.wait("session.prepared", attempt=f"{task}.2")["data"]["follows"] == follows
    assert f"merged before: {OLD} is merged by" in prompt(forged, f"{task}.2")


def test_work_that_was_found_squashed_in_the_base_is_followed_by_a_fresh_branch(
    forged: Stage, forge: ScriptedForge
) -> None:
    forged.configure(KUGETSU_FORGE="off", WORKTREE_CHECK_PR_STATUS="false")
    key = worked(forged, script=COMMIT)
    base = _squashed(forged)
    session = forged.state.sessions[key]
    survey.record(forged.ws, session, survey.Survey.of(forged.ws).look(session))
    assert forged.state.sessions[key].review == "merged"
    worked(forged, script=COMMIT)
    session = forged.state.sessions[key]
    assert (session.branch, session.base_commit, session.review) == (NEW, base, "to_review")


def _squashed(stage: Stage) -> str:
    """Squash the issue's branch into the base branch and push that; the base branch's commit."""
    repos.run(stage.repository, "merge", "-q", "--squash", OLD)
    repos.run(stage.repository, "commit", "-q", "-m", "Squashed")
    repos.run(stage.repository, "push", "-q", "origin", "main")
    return repos.run(stage.repository, "rev-parse", "HEAD")
