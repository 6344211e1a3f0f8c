"""A pull request with a session's work is found whatever its branch is called; while it is open, the session stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from forge.scripted import ScriptedForge
from kugetsu.model.errors import Conflict
from kugetsu.runtime import destroy, prune
from runtime import repos
from runtime.forged import PUSH, forge, forged, let_in, worked
from runtime.stage import COMMIT, Stage, bare_stage, stage

__all__ = ["bare_stage", "forge", "forged", "stage"]

RENAME = "git branch -m better-name\n"
ELSEWHERE = "git push -q origin HEAD:refs/heads/better-name\n"
SWITCH = "git switch -qc better-name\n"

WAYS = {
    "the branch was renamed": COMMIT + RENAME + PUSH,
    "another branch was made": SWITCH + COMMIT + PUSH,
    "pushed under another name": COMMIT + ELSEWHERE,
    "switched back afterwards": SWITCH + COMMIT + PUSH + "git switch -q fix/issue-14\n",
    "detached": "git switch -q --detach\n" + COMMIT + ELSEWHERE,
    "amended afterwards": COMMIT + ELSEWHERE + "git commit -q --amend -m again\n",
    "rebased before": COMMIT + "git rebase -q --force-rebase HEAD~1\n" + RENAME + PUSH,
    "the worktree is gone": COMMIT + RENAME + PUSH,
}


def pushed_head(stage: Stage, branch: str = "better-name") -> str:
    return repos.run(stage.root / "srv.git", "rev-parse", branch)


@pytest.mark.parametrize("kind", ["gitea", "github"])
@pytest.mark.parametrize("way", WAYS)
def test_an_open_pull_request_from_another_branch_keeps_the_session(
    forged: Stage, forge: ScriptedForge, way: str, kind: str
) -> None:
    forged.configure(FORGE_KINDS=f"{forge.host}={kind}")
    let_in(forged, "tok-4f2c9d81aa", "GITHUB_TOKEN" if kind == "github" else "GITEA_TOKEN")
    key = worked(forged, script=WAYS[way])
    if way == "the worktree is gone":
        shutil.rmtree(forged.worktree(14))
    forge.pull("acme/web", 20, branch="better-name", sha=pushed_head(forged))
    with pytest.raises(Conflict, match=r"is open: .*/20"):
        destroy.destroy(forged.ws, key, force=False)
    assert [one.reasons for one in prune.plan(forged.ws).kept] == [["its pull request #20 is open"]]


@pytest.mark.parametrize("way", ["the branch was renamed", "pushed under another name"])
def test_a_pull_request_that_the_agent_opened_from_another_branch_is_told_with_the_outcome(
    forged: Stage, forge: ScriptedForge, way: str
) -> None:
    forge.issue("acme/web", 14)
    forge.pull("acme/web", 20, branch="better-name")
    key = worked(forged, script=WAYS[way])
    assert forged.events("attempt.succeeded")[0]["data"]["evidence"]["pull"]["number"] == 20
    assert (forged.state.sessions[key].pr or "").endswith("/20")


def test_a_second_pull_request_that_is_open_keeps_a_session_whose_first_is_merged(
    forged: Stage, forge: ScriptedForge
) -> None:
    forge.issue("acme/web", 14)
    forge.pull("acme/web", 20, branch="fix/issue-14")
    key = worked(forged, script=COMMIT + PUSH + SWITCH + "git commit -q --allow-empty -m more\n" + PUSH)
    assert (forged.state.sessions[key].pr or "").endswith("/20")
    forge.change_pull("acme/web", 20, state="merged")
    forge.pull("acme/web", 21, branch="better-name")
    with pytest.raises(Conflict, match="pulls/21"):
        destroy.destroy(forged.ws, key, force=False)


def test_an_open_pull_request_of_a_transferred_repository_keeps_the_session(
    forged: Stage, forge: ScriptedForge
) -> None:
    key = worked(forged, script=COMMIT + PUSH)
    forge.pull("newco/site", 20, branch="fix/issue-14")
    forge.moved["acme/web"] = "newco/site"
    with pytest.raises(Conflict, match="newco/site/pulls/20"):
        destroy.destroy(forged.ws, key, force=False)


def test_a_transferred_repository_makes_no_other_pull_request(forged: Stage, forge: ScriptedForge) -> None:
    forge.pull("acme/web", 20, branch="fix/issue-14")
    key = worked(forged, script=COMMIT + PUSH)
    known = forged.state.sessions[key].pr
    forge.repositories["newco/site"] = forge.repositories.pop("acme/web")
    forge.moved["acme/web"] = "newco/site"
    forged.start(14, "more")
    forged.finished("q2")
    assert known is not None and known.endswith("acme/web/pulls/20") and forged.state.sessions[key].pr == known


def test_another_persons_pull_request_on_top_of_merged_work_does_not_keep_it(
    forged: Stage, forge: ScriptedForge
) -> None:
    key = worked(forged, script=COMMIT + PUSH)
    other = forged.root / "other"
    repos.run(forged.root, "clone", "-q", str(forged.root / "srv.git"), str(other))
    repos.run(other, "merge", "-q", "--no-ff", "-m", "Merge", "origin/fix/issue-14")
    repos.run(other, "push", "-q", "origin", "main")
    repos.run(other, "switch", "-qc", "theirs")
    theirs = repos.commit(other, "theirs")
    repos.run(other, "push", "-q", "origin", "theirs")
    repos.run(forged.repository, "fetch", "-q")
    forge.pull("acme/web", 20, branch="fix/issue-14", state="merged")
    forge.pull("acme/web", 21, branch="theirs", sha=theirs)
    destroy.destroy(forged.ws, key, force=False)


def test_a_branch_that_was_only_visited_is_not_the_sessions(forged: Stage, forge: ScriptedForge) -> None:
    other = forged.root / "other"
    repos.run(forged.root, "clone", "-q", str(forged.root / "srv.git"), str(other))
    repos.run(other, "switch", "-qc", "theirs")
    theirs = repos.commit(other, "theirs")
    repos.run(other, "push", "-q", "origin", "theirs")
    repos.run(forged.repository, "fetch", "-q")
    forge.pull("acme/web", 21, branch="theirs", sha=theirs)
    key = worked(forged, script="git switch -q theirs\n")
    destroy.destroy(forged.ws, key, force=False)


@pytest.mark.parametrize("how", ["bare", "single branch"])
def test_an_open_pull_request_keeps_a_session_of_a_clone_that_cannot_tell_what_was_pushed(
    forged: Stage, forge: ScriptedForge, how: str
) -> None:
    if how == "bare":
        repos.run(forged.repository, "config", "--unset", "remote.origin.fetch")
    else:
        single = "+refs/heads/main:refs/remotes/origin/main"
        repos.run(forged.repository, "config", "remote.origin.fetch", single)
    key = worked(forged, script=COMMIT)
    repos.run(forged.worktree(14), "push", "-q", "origin", "HEAD")  # by hand, when no run asks the remote afterwards
    assert repos.run(forged.repository, "for-each-ref", "refs/remotes/origin/fix") == ""
    forge.pull("acme/web", 20, branch="fix/issue-14")
    with pytest.raises(Conflict, match="pulls/20"):
        destroy.destroy(forged.ws, key, force=False)


CLONES = {
    "shallow": ("--depth", "1"),
    "bare": ("--bare",),
    "bare, shallow": ("--bare", "--depth", "1"),
    "single branch": ("--single-branch",),
    "shallow, all branches": ("--depth", "1", "--no-single-branch"),
}


@pytest.mark.parametrize("how", CLONES)
def test_work_in_a_clone_that_lacks_branches_or_history_counts_as_pushed_and_merged_like_any_other(
    forged: Stage, forge: ScriptedForge, how: str
) -> None:
    server, clone = forged.root / "srv.git", forged.repository
    repos.commit(clone, "second")
    repos.run(clone, "push", "-q", "origin", "main")
    url = repos.run(clone, "config", "remote.origin.url")
    shutil.rmtree(clone)
    repos.run(forged.root, "clone", "-q", *CLONES[how], f"file://{server}", str(clone))
    repos.run(clone, "config", "remote.origin.url", url)
    assert repos.run(clone, "rev-parse", "--is-shallow-repository") == str("shallow" in how).lower()
    forge.issue("acme/web", 14)
    key = worked(forged, script=COMMIT + PUSH)
    assert forged.events("attempt.succeeded")[-1]["data"]["reason"] == "1 commit, pushed"
    tree = Path(forged.worktree(14))
    repos.commit(tree, "by-hand")
    with pytest.raises(Conflict, match="1 commit that no other branch has"):
        destroy.destroy(forged.ws, key, force=False)
    repos.run(tree, "push", "-q", "origin", "HEAD")  # as the refusal says; no run asks the remote afterwards
    head = repos.run(tree, "rev-parse", "HEAD")
    other = forged.root / "other"
    repos.run(forged.root, "clone", "-q", str(server), str(other))
    repos.run(other, "merge", "-q", "--squash", "origin/fix/issue-14")
    repos.run(other, "commit", "-qm", "squashed")
    repos.run(other, "push", "-q", "origin", "main", ":fix/issue-14")
    forge.pull("acme/web", 20, branch="fix/issue-14", sha=head, state="merged", branch_deleted=True)
    worked(forged, script="echo more > more; git add more; git commit -qm more\n" + PUSH)
    session = forged.state.sessions[key]
    assert (session.branch, session.commits, session.pushed) == ("fix/issue-14-2", 1, True)
    assert session.base_commit == repos.run(other, "rev-parse", "HEAD")
    repos.commit(tree, "again")
    repos.run(tree, "push", "-q", "origin", "HEAD")
    destroy.destroy(forged.ws, key, force=False)
    assert not tree.exists()


def test_strays_are_kept_by_a_pull_request_from_another_branch(forged: Stage, forge: ScriptedForge) -> None:
    path = Path(forged.directory) / "worktrees" / "stray"
    repos.run(forged.repository, "worktree", "add", "-q", "-b", "own/idea", str(path))
    repos.commit(path, "idea")
    repos.run(path, "push", "-q", "origin", "HEAD:refs/heads/better-name")
    forge.pull("acme/web", 20, branch="better-name")
    plan = prune.plan(forged.ws)
    assert plan.items == [] and "pull request #20" in plan.kept[0].reasons[0]
