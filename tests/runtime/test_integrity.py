"""A session's folder that is no longer its worktree: repaired, or refused with a remedy, and never worked in."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

from kugetsu.model.errors import Conflict
from kugetsu.runtime import destroy
from kugetsu.runtime.git import evidence, integrity
from runtime import repos
from runtime.stage import COMMIT, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

MARK = 'touch "$STAGE/worked-$KUGETSU_ATTEMPT"\n'


@pytest.fixture
def worked(stage: Stage) -> Path:
    """The worktree of issue 1, on whose branch a first attempt has left a commit, and a file beside it."""
    stage.agent(COMMIT + "echo new_event > new_event")
    stage.start(1)
    assert stage.finished("q1") == "completed"
    stage.agent(MARK + 'git rev-parse --show-toplevel > "$STAGE/top"; git status --porcelain > "$STAGE/seen"')
    return stage.worktree(1)


def dotfiles(stage: Stage) -> Path:
    """A repository around KUGETSU_DIR, as of people who keep their home in git."""
    repos.run(stage.root, "init", "-q", "-b", "main")
    repos.run(stage.root, "commit", "-q", "--allow-empty", "-m", "dotfiles")
    return stage.root


def record(stage: Stage, worktree: Path) -> Path:
    return Path(repos.run(worktree, "rev-parse", "--git-dir"))


def test_a_file_of_gits_that_is_a_fifo_is_not_waited_for(stage: Stage, worked: Path) -> None:
    commondir = record(stage, worked) / "commondir"
    commondir.unlink()
    os.mkfifo(commondir)
    found: list[str | None] = []
    looking = threading.Thread(
        target=lambda: found.append(integrity.fault(str(stage.repository), str(worked))), daemon=True
    )
    looking.start()
    looking.join(60)
    assert len(found) == 1 and found[0] is not None


# --- before a turn ----------------------------------------------------------------------------------------------------


def test_a_git_file_that_is_gone_is_put_back_before_the_next_turn(stage: Stage, worked: Path) -> None:
    (worked / ".git").unlink()
    stage.start(1)
    assert stage.finished("q2") == "completed"
    assert stage.file("top").strip() == str(worked)
    assert "new_event" in stage.file("seen"), "work that was not committed is still there"
    assert "its .git file is gone" in stage.wait("session.broken")["data"]["reason"]


@pytest.mark.parametrize("of", ["the clone", "another issue"])
def test_a_git_file_of_another_worktree_is_put_right_before_the_next_turn(stage: Stage, worked: Path, of: str) -> None:
    stage.start(2)
    assert stage.finished("q2") == "completed"
    other = stage.worktree(2)
    theirs = (other / ".git").read_text() if of == "another issue" else f"gitdir: {stage.repository}/.git\n"
    heads = repos.run(stage.repository, "rev-parse", "HEAD"), repos.run(other, "rev-parse", "HEAD")
    (worked / ".git").write_text(theirs)
    stage.agent(COMMIT)
    stage.start(1)
    assert stage.finished("q3") == "completed"
    assert heads == (repos.run(stage.repository, "rev-parse", "HEAD"), repos.run(other, "rev-parse", "HEAD"))
    assert repos.run(worked, "rev-list", "--count", "main..fix/issue-1") == "2"
    assert "its .git file is that of" in stage.wait("session.broken")["data"]["reason"]


def test_a_git_file_of_another_worktree_is_refused_where_git_has_no_record(stage: Stage, worked: Path) -> None:
    shutil.rmtree(record(stage, worked))
    (worked / ".git").write_text(f"gitdir: {stage.repository}/.git\n")
    assert stage.start(1).state == "failed"
    assert not (stage.root / "worked-q2.1").exists()
    reason = stage.state.tasks["q2"].reason or ""
    assert f"its .git file is that of {stage.repository}" in reason
    assert f"mv {worked} {worked}.kept" in reason


def test_a_folder_without_a_record_is_never_worked_in(stage: Stage, worked: Path) -> None:
    home = dotfiles(stage)
    shutil.rmtree(record(stage, worked))
    started = stage.start(1)
    assert started.state == "failed"
    assert stage.finished("q2") == "error"
    reason = stage.state.tasks["q2"].reason or ""
    assert "record of it was removed" in reason and f"mv {worked} {worked}.kept" in reason
    assert (worked / "new_event").read_text() == "new_event\n"
    assert not (stage.folder / "worked-q2.1").exists()
    assert repos.run(home, "rev-list", "--count", "HEAD") == "1"


def test_the_remedy_of_a_refusal_works(stage: Stage, worked: Path) -> None:
    shutil.rmtree(record(stage, worked))
    stage.start(1)
    stage.finished("q2")
    worked.rename(f"{worked}.kept")
    stage.start(1)
    assert stage.finished("q3") == "completed"
    assert (worked / "work").read_text() == "q1.1\n", "the branch is the same"


def test_an_emptied_folder_is_made_anew_on_its_branch(stage: Stage, worked: Path) -> None:
    home = dotfiles(stage)
    for entry in worked.iterdir():
        entry.unlink()
    stage.start(1)
    assert stage.finished("q2") == "completed"
    assert (worked / "work").read_text() == "q1.1\n"
    assert repos.run(home, "rev-list", "--count", "HEAD") == "1"


def test_a_repository_that_the_agent_made_in_its_place_is_refused(stage: Stage, worked: Path) -> None:
    (worked / ".git").unlink()
    repos.run(worked, "init", "-q")
    stage.start(1)
    assert stage.finished("q2") == "error"
    assert "belongs to the repository" in (stage.state.tasks["q2"].reason or "")
    assert not (stage.folder / "worked-q2.1").exists()


def test_a_clone_that_moved_is_found_again_where_it_is_registered(stage: Stage, worked: Path) -> None:
    from kugetsu.runtime import initialisation

    elsewhere = stage.root / "elsewhere" / "sample"
    elsewhere.parent.mkdir()
    stage.repository.rename(elsewhere)
    stage.start(1)
    assert stage.finished("q2") == "error"
    assert "kugetsu init --repo" in (stage.state.tasks["q2"].reason or "")
    repos.run(elsewhere, "remote", "add", "origin", "https://example.com/work/sample.git")
    stage.repository.parent.mkdir(exist_ok=True)
    initialisation.initialise(stage.ws, repo=str(elsewhere), force=False)
    assert integrity.repair(str(elsewhere), str(worked)) is not None
    assert integrity.fault(str(elsewhere), str(worked)) is None


def test_a_clone_whose_git_folder_is_gone_is_not_taken_for_the_one_above_it(stage: Stage, worked: Path) -> None:
    home = dotfiles(stage)
    shutil.rmtree(stage.repository / ".git")
    stage.start(2)
    assert stage.finished("q2") == "error"
    assert "not a git repository" in (stage.state.tasks["q2"].reason or "")
    assert repos.run(home, "branch", "--list", "fix/*") == ""


# --- during a run -----------------------------------------------------------------------------------------------------


def test_a_git_file_that_the_agent_deletes_is_put_back_and_its_commit_counted(stage: Stage) -> None:
    stage.agent(COMMIT + "rm .git")
    stage.start(1)
    assert stage.finished("q1") == "completed"
    ended = stage.wait("attempt.succeeded")["data"]
    assert ended["evidence"]["commits"] == 1
    assert ended["evidence"]["repaired"] == "its .git file is gone"
    assert "1 commit" in ended["reason"] and "repaired" in ended["reason"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('rm -rf "$(git rev-parse --git-dir)"; echo more > more', "record of it was removed"),
        ("rm .git; git init -q; git add -A; git commit -qm elsewhere", "belongs to the repository"),
        ('here=$(pwd); cd /; mv "$here" "$here.moved"', "worktree is gone"),
        ("rm -rf ./* ./.[!.]*", "worktree is gone"),
    ],
    ids=["record gone", "own repository", "moved", "emptied"],
)
def test_a_run_whose_work_cannot_be_looked_at_is_never_done(stage: Stage, script: str, words: str) -> None:
    home = dotfiles(stage)
    stage.configure(MAX_ATTEMPTS="1")
    stage.agent(script)
    stage.start(1)
    assert stage.finished("q1") == "error"
    reason = stage.wait("attempt.failed")["data"]["reason"]
    assert "its work is unknown" in reason and words in reason
    assert repos.run(home, "rev-list", "--count", "HEAD") == "1"


def test_an_agent_that_removes_its_clean_worktree_at_the_end_has_done_its_work(stage: Stage) -> None:
    stage.agent(COMMIT + 'git -C "$(git rev-parse --git-common-dir)/.." worktree remove "$PWD"')
    stage.start(1)
    assert stage.finished("q1") == "completed"
    assert stage.wait("attempt.succeeded")["data"]["reason"] == "1 commit, its worktree was removed, not pushed"


def test_a_dead_runners_worktree_is_repaired_before_its_work_is_judged(stage: Stage) -> None:
    stage.agent('echo mine > mine; rm .git; touch "$STAGE/at-work"; while :; do sleep 0.05; done')
    stage.start(1)
    stage.file("at-work")
    stage.kill(stage.state.attempts["q1.1"].runner)
    from kugetsu.runtime import reconcile

    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    lost = stage.wait("attempt.lost")["data"]
    assert lost["evidence"]["untracked"] == 1 and lost["rescue"] == "kugetsu/rescue/q1.1"
    assert repos.run(stage.repository, "show", "kugetsu/rescue/q1.1:mine") == "mine"


def test_git_in_the_folder_finds_no_repository_above_it(stage: Stage) -> None:
    dotfiles(stage)
    stage.agent('rm .git; git rev-parse --show-toplevel > "$STAGE/top" 2>&1; echo $? > "$STAGE/code"')
    stage.start(1)
    stage.finished("q1")
    assert stage.file("code").strip() == "128", stage.file("top")


def test_submodules_and_worktrees_of_the_agents_own_work_as_ever(stage: Stage) -> None:
    inner = stage.root / "inner"
    repos.make_plain(inner)
    stage.agent(
        f"git -c protocol.file.allow=always submodule --quiet add {inner} sub && git commit -qm sub\n"
        'cd sub && mkdir deep && cd deep && git rev-parse --show-toplevel >> "$STAGE/tops"\n'
        'git -C ../.. worktree add -q "$STAGE/second" && cd "$STAGE/second" || exit 9\n'
        'git rev-parse --show-toplevel >> "$STAGE/tops"\n'
    )
    stage.start(1)
    assert stage.finished("q1") == "completed"
    assert stage.file("tops").split() == [str(stage.worktree(1) / "sub"), str(stage.folder / "second")]


# --- the end of a session ---------------------------------------------------------------------------------------------


def test_destroy_repairs_a_worktree_without_its_git_file_and_rescues_its_work(stage: Stage, worked: Path) -> None:
    key = str(stage.ref(1))
    (worked / ".git").unlink()
    with pytest.raises(Conflict, match="new_event"):
        destroy.destroy(stage.ws, key, force=False)
    (worked / ".git").unlink()
    event = destroy.destroy(stage.ws, key, force=True)
    assert repos.run(stage.repository, "show", f"{event['data']['rescue']}:new_event") == "new_event"
    assert not worked.exists()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("known", [True, False])
def test_destroy_of_an_emptied_folder_ends_the_session(stage: Stage, worked: Path, force: bool, known: bool) -> None:
    key = str(stage.ref(1))
    admin = record(stage, worked)
    for entry in worked.iterdir():
        entry.unlink()
    if not known:
        shutil.rmtree(admin)
    destroy.destroy(stage.ws, key, force=force)
    assert key not in stage.state.sessions and not worked.exists()


def test_destroy_of_a_folder_that_git_does_not_know_keeps_it_under_another_name(stage: Stage, worked: Path) -> None:
    key = str(stage.ref(1))
    shutil.rmtree(record(stage, worked))
    with pytest.raises(Conflict, match="no longer a git worktree") as refused:
        destroy.destroy(stage.ws, key, force=False)
    assert f"kugetsu destroy --force {key}" in (refused.value.hint or "")
    event = destroy.destroy(stage.ws, key, force=True)
    assert event["type"] == "session.destroyed" and key not in stage.state.sessions
    (aside,) = worked.parent.glob(f"{worked.name}.kept-*")
    assert f"folder {aside}" in event["data"]["kept"]
    assert Path(aside, "new_event").read_text() == "new_event\n" and not worked.exists()


def test_a_folder_that_a_killed_destroy_kept_is_named_by_the_next(stage: Stage, worked: Path) -> None:
    key = str(stage.ref(1))
    shutil.rmtree(record(stage, worked))
    with stage.monkeypatch.context() as killed, pytest.raises(SystemExit):
        killed.setattr(destroy, "_note_branch", lambda *_: sys.exit(9))
        destroy.destroy(stage.ws, key, force=True)
    assert stage.state.sessions[key].destroying
    (aside,) = worked.parent.glob(f"{worked.name}.kept-*")
    data = destroy.destroy(stage.ws, key, force=True)["data"]
    assert f"folder {aside}" in data["kept"] and data["worktree"] is None


def test_destroy_waits_for_a_repository_that_is_away_and_its_remedy_works(stage: Stage, worked: Path) -> None:
    key = str(stage.ref(1))
    shutil.rmtree(stage.repository)
    for force in (False, True):
        with pytest.raises(Conflict, match="is gone") as refused:
            destroy.destroy(stage.ws, key, force=force)
        assert "--force" in (refused.value.hint or "")
    assert stage.state.sessions[key].state == "idle", "a refusal leaves the session as it was"
    worked.rename(f"{worked}.kept")
    destroy.destroy(stage.ws, key, force=True)
    assert key not in stage.state.sessions


# --- work that cannot be saved ----------------------------------------------------------------------------------------


def test_a_rescue_that_failed_is_told_and_the_next_attempt_saves_the_work_first(stage: Stage) -> None:
    repos.run(stage.repository, "branch", "kugetsu")  # git can have no branch below it
    stage.configure(MAX_ATTEMPTS="2")
    stage.agent("echo first > file; exit 7")
    stage.start(1)
    failed = stage.wait("attempt.failed")["data"]
    assert failed["rescue"] is None and "kugetsu" in failed["rescue_failed"]
    session = stage.state.sessions[str(stage.ref(1))]
    assert session.unsaved == {"attempt": "q1.1", "reason": failed["rescue_failed"]}
    stage.agent(MARK + "echo second > file")
    stage.start_daemon()
    assert stage.finished("q1") == "error"
    assert "work of q1.1" in (stage.state.tasks["q1"].reason or "")
    assert not (stage.folder / "worked-q1.2").exists()
    assert (stage.worktree(1) / "file").read_text() == "first\n"
    repos.run(stage.repository, "branch", "-m", "kugetsu", "other")
    stage.start(1)
    assert stage.finished("q2") == "completed"
    assert stage.wait("session.rescued")["data"] == {"branch": "kugetsu/rescue/q1.1", "of": "q1.1"}
    assert repos.run(stage.repository, "show", "kugetsu/rescue/q1.1:file") == "first"
    assert stage.state.sessions[str(stage.ref(1))].unsaved is None


def test_evidence_of_a_folder_in_another_repository_is_none(stage: Stage) -> None:
    dotfiles(stage)
    folder = stage.root / "plain"
    folder.mkdir()
    (folder / "file").write_text("x")
    seen = evidence.collect(str(folder), "", "main", repository_path=str(stage.repository)).as_data()
    assert "commits" not in seen and ".git file is gone" in str(seen["problem"])


def test_the_remedy_of_a_folder_with_spaces_in_its_name_can_be_typed() -> None:
    assert "mv '/a b/c' '/a b/c.kept', then" in integrity.remedy("/a b/c")
