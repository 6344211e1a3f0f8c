"""Destroy: refused while work would be lost; forced, it moves the work to a rescue branch first."""

from __future__ import annotations

import os
import shutil

import pytest

from forge.scripted import Request, ScriptedForge
from kugetsu.domain.decide import sessions
from kugetsu.model.errors import Conflict, GitFailed, NotFound
from kugetsu.runtime import destroy, stop_attempt
from kugetsu.runtime.git import removal, repositories
from kugetsu.views.wording import words
from runtime import repos
from runtime.forged import PUSH, forge, forged
from runtime.forged import worked as forged_work
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "forge", "forged", "stage"]


def worked(stage: Stage, number: int = 1, script: str = "exit 0") -> str:
    """An issue on which an agent worked; its session's key."""
    stage.agent(script)
    task = stage.start(number).task
    assert stage.finished(task) == "completed"
    return str(stage.ref(number))


def test_a_clean_session_is_destroyed_and_its_branch_and_history_stay(stage: Stage) -> None:
    key = worked(stage)
    path = stage.worktree(1)
    event = destroy.destroy(stage.ws, key, force=False)
    assert event["type"] == "session.destroyed"
    assert not path.exists()
    assert key not in stage.state.sessions
    assert "fix/issue-1" in repos.run(stage.repository, "branch", "--list")
    assert list(stage.ws.log.read_key(key))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo x > untracked", "untracked"),
        ("echo x >> README", "README"),
        (COMMIT, "1 commit that no other branch has"),
    ],
)
def test_it_is_refused_while_work_is_nowhere_else_and_says_what(stage: Stage, script: str, reason: str) -> None:
    key = worked(stage, script=script)
    head = stage.ws.log.head()
    with pytest.raises(Conflict) as refused:
        destroy.destroy(stage.ws, key, force=False)
    assert reason in refused.value.message
    assert "--force" in (refused.value.hint or "")
    assert stage.worktree(1).is_dir()
    assert stage.ws.log.head() == head


def test_it_is_refused_with_and_without_force_while_an_agent_works(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    (stage.worktree(1) / "new_event").write_text("x")  # that the agent works comes first, whatever else there is
    for force in (False, True):
        with pytest.raises(Conflict, match=r"session_busy.*q1\.1"):
            destroy.destroy(stage.ws, str(stage.ref(1)), force=force)
    assert stage.worktree(1).is_dir()
    stage.go()
    assert stage.finished("q1") == "completed"


def test_it_is_refused_while_tasks_wait_for_the_session_and_forced_it_cancels_them(stage: Stage) -> None:
    key = worked(stage)
    waiting = stage.enqueue(1)
    with pytest.raises(Conflict, match=rf"session_wanted.*{waiting}"):
        destroy.destroy(stage.ws, key, force=False)
    destroy.destroy(stage.ws, key, force=True)
    assert stage.state.tasks[waiting].state == "cancelled"


def test_it_is_refused_while_a_pull_request_may_be_open(stage: Stage) -> None:
    key = worked(stage)
    tied(stage, key, "https://git.example.com/a/b/pulls/1")
    with pytest.raises(Conflict, match=r"may be open: git\.example\.com cannot be queried") as refused:
        destroy.destroy(stage.ws, key, force=False)
    hint = refused.value.hint or ""
    assert "kugetsu server add git.example.com" in hint and "--force" in hint
    stage.configure(WORKTREE_CHECK_PR_STATUS="false")
    destroy.destroy(stage.ws, key, force=False)


def tied(stage: Stage, key: str, url: str) -> None:
    stage.ws.log.transact(lambda state: sessions.set_pr(state, key, url, "set-pr"))


def test_an_open_pull_request_keeps_the_session_and_force_overrides_after_a_rescue(
    forged: Stage, forge: ScriptedForge
) -> None:
    forge.pull("acme/web", 20, branch="fix/issue-14")
    key = forged_work(forged, script=COMMIT)
    with pytest.raises(Conflict, match=f"is open: {forge.url}/acme/web/pulls/20"):
        destroy.destroy(forged.ws, key, force=False)
    asked = len(forge.requests)
    event = destroy.destroy(forged.ws, key, force=True)
    assert repos.run(forged.repository, "show", f"{event['data']['rescue']}:work") == "q1.1"
    assert len(forge.requests) == asked


@pytest.mark.parametrize("state", ["merged", "closed"])
def test_a_merged_or_closed_pull_request_goes_on_to_the_other_checks(
    forged: Stage, forge: ScriptedForge, state: str
) -> None:
    forge.pull("acme/web", 20, branch="fix/issue-14", state=state)
    key = forged_work(forged, script=COMMIT + PUSH + "echo x > untracked")
    with pytest.raises(Conflict, match="untracked"):
        destroy.destroy(forged.ws, key, force=False)
    (forged.worktree(14) / "untracked").unlink()
    destroy.destroy(forged.ws, key, force=False)


@pytest.mark.parametrize(
    "script", [{"status": 404}, {"status": 401}, {"status": 500, "times": 0}, {"body": {}}, {"silent": True}]
)
def test_a_pull_request_that_nobody_can_say_of_counts_as_open(
    forged: Stage, forge: ScriptedForge, script: dict[str, object]
) -> None:
    forge.pull("acme/web", 20, branch="fix/issue-14", state="merged")
    key = forged_work(forged)
    tied(forged, key, f"{forge.url}/acme/web/pulls/20")
    forged.configure(FORGE_TIMEOUT_SECONDS="1.5")
    forge.answer("GET", "/pulls/20", **script)
    head = forged.ws.log.head()
    with pytest.raises(Conflict, match="which may be open: "):
        destroy.destroy(forged.ws, key, force=False)
    assert forged.worktree(14).is_dir() and forged.ws.log.head() == head


@pytest.mark.parametrize("remote", ["origin", "team/fork"])
def test_a_pull_request_that_nobody_tied_is_found_by_the_pushed_branch(
    forged: Stage, forge: ScriptedForge, remote: str
) -> None:
    key = forged_work(forged, script=COMMIT + PUSH)
    if remote != "origin":
        repos.run(forged.repository, "remote", "rename", "origin", remote)
    assert forged.state.sessions[key].pr is None
    forge.pull("acme/web", 20, branch="fix/issue-14")
    with pytest.raises(Conflict, match="pulls/20"):
        destroy.destroy(forged.ws, key, force=False)


def test_no_forge_is_asked_for_a_branch_that_was_never_pushed(forged: Stage, forge: ScriptedForge) -> None:
    key = forged_work(forged)
    asked = len(forge.requests)
    destroy.destroy(forged.ws, key, force=False)
    assert len(forge.requests) == asked


@pytest.mark.parametrize("more", [False, True])
def test_commits_of_a_squashed_pull_request_count_as_kept_and_later_ones_do_not(
    forged: Stage, forge: ScriptedForge, more: bool
) -> None:
    key = forged_work(forged, script=COMMIT)
    tree = forged.worktree(14)
    head = repos.run(tree, "rev-parse", "HEAD")
    forge.pull("acme/web", 20, branch="fix/issue-14", state="merged", sha=head, branch_deleted=True)
    with pytest.raises(Conflict, match="1 commit that no other branch has"):
        destroy.destroy(forged.ws, key, force=False)
    tied(forged, key, f"{forge.url}/acme/web/pulls/20")
    if more:
        repos.commit(tree, "later")
        with pytest.raises(Conflict, match="1 commit that no other branch has"):
            destroy.destroy(forged.ws, key, force=False)
    else:
        destroy.destroy(forged.ws, key, force=False)


def test_no_lock_is_held_while_a_forge_is_asked(forged: Stage, forge: ScriptedForge) -> None:
    forge.pull("acme/web", 20, branch="fix/issue-14", state="merged")
    key = forged_work(forged)
    tied(forged, key, f"{forge.url}/acme/web/pulls/20")
    seen: list[bool] = []
    real = forge.respond

    def respond(request: Request) -> tuple[int, dict[str, str], object]:
        if request.path.endswith("/pulls/20"):
            with repositories.locked(forged.ws.paths, "destroy " + key):
                seen.append(True)
        return real(request)

    forge.respond = respond  # type: ignore[method-assign]
    destroy.destroy(forged.ws, key, force=False)
    assert seen == [True]


@pytest.mark.parametrize("gone", [["README"], ["README", ".git"], ["README", ".git", ".gitignore"]])
def test_a_removal_that_was_killed_among_the_files_is_finished_by_the_next(stage: Stage, gone: list[str]) -> None:
    key = worked(stage)
    stage.ws.log.transact(lambda state: sessions.destroying(state, key, False, "destroy"))
    for name in gone:
        (stage.worktree(1) / name).unlink()
    tree = stage.worktree(1)
    destroy.destroy(stage.ws, key, force=False)
    assert not tree.exists()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("left", ["all", "work", "a part", "a part without .git", "nothing"])
def test_a_forced_removal_that_was_killed_after_the_rescue_still_names_the_branch(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, left: str, force: bool
) -> None:
    key = worked(stage, script="echo x > untracked; echo y > other")
    tree = stage.worktree(1)

    def killed(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(removal, "remove", killed)
        destroy.destroy(stage.ws, key, force=True)
    gone = {"all": [], "work": ["untracked", "other"], "a part": ["untracked", "README"]}
    for name in gone.get(left, ["untracked", "README", ".git"]):
        (tree / name).unlink()
    if left == "nothing":
        shutil.rmtree(tree)
    if not force and left not in ("work", "nothing"):
        with pytest.raises(Conflict, match="other"):
            destroy.destroy(stage.ws, key, force=False)
        force = True
    data = destroy.destroy(stage.ws, key, force=force)["data"]
    assert not tree.exists()
    assert data["worktree"] == str(tree)
    assert repos.run(stage.repository, "show", f"{data['rescue']}:untracked") == "x"
    made = repos.run(stage.repository, "branch", "--list", "--format=%(refname:short)", "kugetsu/rescue/*").split()
    said = [what.removeprefix("branch ") for what in data["kept"]]
    assert sorted([data["rescue"], *said]) == sorted(["fix/issue-1", *made])


def test_one_that_could_not_be_removed_after_the_rescue_says_where_its_work_is(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = worked(stage, script="echo x > untracked")

    def refused(*_: object, **__: object) -> bool:
        raise GitFailed("git says no")

    with monkeypatch.context() as patch, pytest.raises(GitFailed):
        patch.setattr(removal, "remove", refused)
        destroy.destroy(stage.ws, key, force=True)
    branch = repos.run(stage.repository, "branch", "--list", "--format=%(refname:short)", "kugetsu/rescue/*")
    assert stage.state.sessions[key].reason == f"could not be destroyed: git says no; its work is kept on {branch}"


def test_files_that_are_missing_without_a_removal_are_changes(stage: Stage) -> None:
    key = worked(stage)
    (stage.worktree(1) / "README").unlink()
    with pytest.raises(Conflict, match="README"):
        destroy.destroy(stage.ws, key, force=False)


def test_forced_it_moves_every_byte_to_a_rescue_branch(stage: Stage) -> None:
    key = worked(stage, script=COMMIT + "echo x > untracked; echo changed >> README")
    event = destroy.destroy(stage.ws, key, force=True)
    branch = event["data"]["rescue"]
    shown = repos.run(stage.repository, "ls-tree", "-r", "--name-only", branch).split()
    assert {"work", "untracked", "README"} <= set(shown)
    assert repos.run(stage.repository, "show", f"{branch}:README") == "sample\nchanged"


def test_an_issue_with_a_similar_name_is_not_touched(stage: Stage) -> None:
    first = worked(stage, 1, "echo x > untracked")
    worked(stage, 11, "echo x > untracked")
    worked(stage, 111, "echo x > untracked")
    destroy.destroy(stage.ws, first, force=True)
    for number in (11, 111):
        assert (stage.worktree(number) / "untracked").read_text() == "x\n"
        assert stage.state.sessions[str(stage.ref(number))].state == "idle"


def test_after_it_a_new_start_works_and_the_counters_go_on(stage: Stage) -> None:
    stage.configure(MAX_ATTEMPTS="1")
    stage.agent('echo \'{"tokens": 100, "cost": 0.5}\'; exit 1')
    stage.start(1)
    stage.finished("q1")
    destroy.destroy(stage.ws, str(stage.ref(1)), force=True)
    worked(stage)
    session = stage.state.sessions[str(stage.ref(1))]
    assert (session.usage.attempts, session.usage.tokens, session.usage.cost) == (2, 100, 0.5)


def test_a_worktree_that_is_gone_already_does_not_stand_in_the_way(stage: Stage) -> None:
    key = worked(stage)
    shutil.rmtree(stage.worktree(1))
    data = destroy.destroy(stage.ws, key, force=False)["data"]
    assert data == {"worktree": None, "branch": "fix/issue-1", "rescue": None, "kept": ["branch fix/issue-1"]}
    worked(stage)


@pytest.mark.parametrize("force", [False, True])
def test_a_worktree_that_the_user_moved_and_linked_goes_with_its_link(stage: Stage, force: bool) -> None:
    key = worked(stage)
    worktree, elsewhere = stage.worktree(1), stage.root / "elsewhere"
    worktree.rename(elsewhere)
    worktree.symlink_to(elsewhere)
    destroy.destroy(stage.ws, key, force=force)
    assert not os.path.lexists(worktree)
    assert not elsewhere.exists()
    assert str(elsewhere) not in repos.run(stage.repository, "worktree", "list")


def test_a_branch_that_is_gone_with_its_worktree_is_not_said_to_be_kept(stage: Stage) -> None:
    key = worked(stage)
    repos.run(stage.repository, "worktree", "remove", str(stage.worktree(1)))
    repos.run(stage.repository, "branch", "-D", "fix/issue-1")
    data = destroy.destroy(stage.ws, key, force=False)["data"]
    assert (data["worktree"], data["kept"]) == (None, [])


def test_one_whose_clone_is_gone_can_be_destroyed(stage: Stage) -> None:
    key = worked(stage)
    shutil.rmtree(stage.worktree(1))
    hidden = stage.root / "hidden"
    stage.repository.rename(hidden)
    stage.ws.log.transact(lambda state: sessions.destroying(state, key, True, "destroy"))
    data = destroy.destroy(stage.ws, key, force=True)["data"]
    assert (data["rescue"], data["kept"]) == (None, [])
    hidden.rename(stage.repository)


@pytest.mark.parametrize("kind", ["base", "pm"])
def test_the_folders_of_base_and_pm_sessions_are_the_users_and_not_said_to_be_removed(stage: Stage, kind: str) -> None:
    key = "pm" if kind == "pm" else f"base:{stage.name}"
    folder = stage.state.sessions[key].worktree
    assert folder is not None
    event = destroy.destroy(stage.ws, key, force=False)
    assert os.path.isdir(folder)
    assert event["data"]["worktree"] is None
    assert words(event) == "no worktree to remove"
    of_an_older_log = {**event, "data": {**event["data"], "worktree": folder}}
    assert words(of_an_older_log) == "no worktree to remove"


def test_one_that_could_not_be_removed_stays_usable(stage: Stage) -> None:
    key = worked(stage)
    hidden = stage.root / "hidden"
    stage.repository.rename(hidden)
    with pytest.raises(Exception, match=str(stage.repository)):
        destroy.destroy(stage.ws, key, force=True)
    hidden.rename(stage.repository)
    assert stage.state.sessions[key].destroying == 0
    worked(stage)


def test_one_that_was_killed_half_way_is_finished_by_the_next(stage: Stage) -> None:
    key = worked(stage)
    stage.ws.log.transact(lambda state: sessions.destroying(state, key, False, "destroy"))
    with pytest.raises(Conflict, match="session_destroying"):
        stage.start(1)
    destroy.destroy(stage.ws, key, force=False)
    worked(stage)


def test_what_is_not_there_cannot_be_destroyed(stage: Stage) -> None:
    with pytest.raises(NotFound):
        destroy.destroy(stage.ws, str(stage.ref(9)), force=True)


def test_after_a_cancel_it_goes(stage: Stage) -> None:
    stage.agent("sleep 60")
    stage.start(1)
    stage.wait("attempt.running")
    stop_attempt.cancel(stage.ws, "q1")
    stage.finished("q1")
    destroy.destroy(stage.ws, str(stage.ref(1)), force=False)
