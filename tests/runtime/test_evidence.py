"""Evidence says what git says, and says so when it cannot."""

from __future__ import annotations

import json

import pytest

from kugetsu.runtime.git import comparison, removal
from kugetsu.runtime.git.changes import changed_files
from kugetsu.runtime.git.evidence import Evidence, collect
from kugetsu.runtime.runner import ending
from runtime.repos import Place, commit, place, run, sample

__all__ = ["place", "sample"]


@pytest.fixture
def base(sample: Place) -> str:
    """The base commit, with a branch for the issue checked out in the clone."""
    run(sample.clone, "switch", "-q", "-c", "fix/issue-1")
    return run(sample.clone, "rev-parse", "HEAD")


def look(sample: Place, base: str) -> Evidence:
    evidence = collect(str(sample.clone), base, "fix/issue-1")
    assert json.loads(json.dumps(evidence.as_data())) == evidence.as_data()
    return evidence


def test_an_untouched_worktree_shows_nothing(sample: Place, base: str) -> None:
    assert look(sample, base).as_data() == {
        "ahead": 0,
        "branch": "fix/issue-1",
        "commits": 0,
        "dirty": 0,
        "exists": True,
        "head": base,
        "names": [],
        "pushed": True,
        "untracked": 0,
    }


def test_commits_are_counted_since_the_base_and_the_last_is_shown(sample: Place, base: str) -> None:
    commit(sample.clone, "a", message="one")
    head = commit(sample.clone, "b", message="two words")
    evidence = look(sample, base)
    assert (evidence.commits, evidence.head, evidence.subject) == (2, head, "two words")
    assert (evidence.ahead, evidence.pushed) == (2, False)
    run(sample.clone, "push", "-q", "origin", "fix/issue-1")
    evidence = look(sample, base)
    assert (evidence.commits, evidence.ahead, evidence.pushed) == (2, 0, True)


def test_files_and_lines_are_those_of_the_work_against_its_base(sample: Place, base: str) -> None:
    assert look(sample, base).files is None, "no commit, so nothing to compare"
    commit(sample.clone, "a", "one\ntwo\n")
    commit(sample.clone, "a", "one\nthree\nfour\n")
    commit(sample.clone, "README", "")
    run(sample.clone, "mv", ".gitignore", "moved")
    run(sample.clone, "commit", "-qm", "move")
    (sample.clone / "loose").write_text("not committed\n")
    evidence = look(sample, base)
    assert (evidence.commits, evidence.files, evidence.added, evidence.removed) == (4, 3, 3, 1)
    run(sample.clone, "revert", "--no-edit", "HEAD~3..HEAD")
    run(sample.clone, "rm", "-q", "a")
    run(sample.clone, "commit", "-qm", "nothing is left of it")
    evidence = look(sample, base)
    assert (evidence.files, evidence.added, evidence.removed) == (0, 0, 0)


def based(sample: Place, base: str) -> Evidence:
    return collect(str(sample.clone), base, "fix/issue-1", bases=comparison.base_refs("origin", "main"))


@pytest.mark.parametrize("how", ["rebase", "merge --no-edit"])
def test_what_was_taken_over_from_the_base_branch_is_no_work(sample: Place, base: str, how: str) -> None:
    commit(sample.clone, "a", "one\n")
    for name in ("theirs", "more"):
        sample.push_from_elsewhere(name=name)
    run(sample.clone, "fetch", "-q")
    run(sample.clone, *how.split(), "origin/main")
    evidence = based(sample, base)
    merges = how != "rebase"
    assert (evidence.commits, evidence.files, evidence.added) == (1 + merges, 1, 1)
    run(sample.clone, "push", "-q", "origin", "HEAD:main")
    run(sample.clone, "push", "-q", "origin", "HEAD:fix/issue-1")
    assert based(sample, base).commits, "merged work is still its work"


def test_a_branch_that_was_only_brought_up_to_date_has_no_work(sample: Place, base: str) -> None:
    sample.push_from_elsewhere()
    run(sample.clone, "pull", "-q", "--ff-only", "origin", "main")
    evidence = based(sample, base)
    assert (evidence.commits, evidence.head != base, evidence.pushed) == (0, True, True)


def test_a_driver_of_the_repository_is_not_run_to_compare(sample: Place, base: str) -> None:
    commit(sample.clone, ".gitattributes", "* diff=own\n")
    for name in ("command", "textconv"):
        run(sample.clone, "config", f"diff.own.{name}", f"touch {sample.root}/was-run; cat")
    assert (look(sample, base).files, (sample.root / "was-run").exists()) == (1, False)


def test_work_left_on_another_branch_counts(sample: Place, base: str) -> None:
    run(sample.clone, "switch", "-q", "-c", "feat/x")
    head = commit(sample.clone, "a", message="the work")
    run(sample.clone, "push", "-q", "origin", "feat/x")
    run(sample.clone, "switch", "-q", "fix/issue-1")
    evidence = look(sample, base)
    assert (evidence.commits, evidence.head, evidence.subject) == (1, head, "the work")
    assert (evidence.branch, evidence.pushed, evidence.ahead) == ("feat/x", True, 0)
    run(sample.clone, "branch", "-qD", "feat/x")
    assert look(sample, base).branch == "feat/x", "the remote's branch has it"
    run(sample.clone, "remote", "rename", "origin", "team/fork")
    assert look(sample, base).branch == "feat/x", "a remote's name may hold a slash"


def test_a_commit_that_no_branch_has_any_more_is_not_work(sample: Place, base: str) -> None:
    commit(sample.clone, "a")
    run(sample.clone, "reset", "-q", "--hard", base)
    assert look(sample, base).commits == 0


def test_uncommitted_files_are_counted_and_named(sample: Place, base: str) -> None:
    (sample.clone / "README").write_text("changed\n")
    (sample.clone / "staged with space").write_text("x")
    run(sample.clone, "add", "staged with space")
    (sample.clone / "ignored").write_text("x")
    (sample.clone / "new").mkdir()
    for number in range(20):
        (sample.clone / "new" / f"{number}").write_text("x")
    evidence = look(sample, base)
    assert (evidence.dirty, evidence.untracked) == (2, 20)
    assert evidence.names == ["README", "new/0", "new/1", "new/10", "new/11"]
    assert len(comparison.uncommitted(str(sample.clone))) == len(changed_files(str(sample.clone))) == 22


def test_files_in_a_submodule_that_is_not_initialised_count(sample: Place, base: str) -> None:
    run(sample.clone, "update-index", "--add", "--cacheinfo", f"160000,{base},vendor/lib")
    run(sample.clone, "commit", "-qm", "Add a submodule")
    (sample.clone / "vendor/lib").mkdir(parents=True)
    assert look(sample, base).untracked == 0
    (sample.clone / "vendor/lib/patch.c").write_text("x")
    evidence = look(sample, base)
    assert (evidence.dirty, evidence.untracked, evidence.names) == (0, 1, ["vendor/lib/"])


def test_a_name_that_is_no_text_can_be_kept_as_json(sample: Place, base: str) -> None:
    with open(bytes(sample.clone) + b"/\xff\xfe", "w") as file:
        file.write("x")
    assert look(sample, base).untracked == 1


def test_a_conflict_in_the_middle_of_a_merge_is_told(sample: Place, base: str) -> None:
    commit(sample.clone, "README", "ours\n")
    run(sample.clone, "switch", "-q", "-c", "other", base)
    commit(sample.clone, "README", "theirs\n")
    with pytest.raises(AssertionError):
        run(sample.clone, "merge", "fix/issue-1")
    evidence = look(sample, base)
    assert (evidence.operation, evidence.dirty, evidence.names) == ("merge", 1, ["README"])
    assert evidence.branch == "other"


def test_a_detached_head_has_no_branch(sample: Place, base: str) -> None:
    run(sample.clone, "switch", "-q", "--detach")
    assert "branch" not in look(sample, base).as_data()


def test_a_worktree_that_is_gone_leaves_its_branch(sample: Place, base: str) -> None:
    head = commit(sample.clone)
    run(sample.clone, "switch", "-q", "main")
    evidence = collect("/gone", base, "fix/issue-1", repository_path=str(sample.clone))
    assert (evidence.exists, evidence.commits, evidence.head, evidence.dirty) == (False, 1, head, None)
    assert evidence.problem is not None
    assert collect("/gone", base, "fix/issue-1").as_data() == {
        "exists": False, "branch": "fix/issue-1", "names": [], "problem": "the worktree is gone",
    }  # fmt: skip


def test_a_base_that_is_gone_is_a_problem_and_no_crash(sample: Place, base: str) -> None:
    evidence = look(sample, "0123456789" * 4)
    assert evidence.commits is None
    assert evidence.head == base
    assert "log failed" in (evidence.problem or "")


def test_a_broken_worktree_is_a_problem_and_no_crash(sample: Place, base: str) -> None:
    (sample.clone / ".git" / "HEAD").unlink()
    evidence = look(sample, base)
    assert evidence.exists
    assert "no longer a git repository" in (evidence.problem or "")


def test_without_a_remote_nothing_is_pushed(sample: Place, base: str) -> None:
    run(sample.clone, "remote", "remove", "origin")
    commit(sample.clone)
    evidence = look(sample, base)
    assert (evidence.ahead, evidence.pushed) == (1, False)


def test_looking_takes_no_lock(sample: Place, base: str) -> None:
    (sample.clone / ".git" / "index.lock").write_text("")
    assert look(sample, base).problem is None


CLONES = {
    "bare": ["config", "--unset", "remote.origin.fetch"],  # as `git clone --bare` leaves it
    "single branch": ["config", "remote.origin.fetch", "+refs/heads/main:refs/remotes/origin/main"],
    "usual": ["config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"],
}


@pytest.mark.parametrize("how", ["HEAD", "HEAD:refs/heads/other-name"])
@pytest.mark.parametrize("clone", CLONES)
def test_pushed_work_shows_as_pushed_whatever_the_clone_follows(sample: Place, base: str, clone: str, how: str) -> None:
    run(sample.clone, *CLONES[clone])
    tree = sample.clone
    commit(tree, "pushed")
    run(tree, "push", "-q", str(sample.remote) if clone == "usual" else "origin", how)  # to a URL: without a trace
    evidence = collect(str(tree), base, "fix/issue-1", ask_remote=True)
    assert (evidence.commits, evidence.pushed, evidence.ahead, evidence.problem) == (1, True, 0, None)
    assert removal.commits_only_here(str(tree), "fix/issue-1") == 0


@pytest.mark.parametrize("ask", [True, False])
@pytest.mark.parametrize("clone", CLONES)
def test_what_nobody_knows_of_a_push_is_unknown_and_not_unpushed(
    sample: Place, base: str, clone: str, ask: bool
) -> None:
    run(sample.clone, *CLONES[clone])
    tree = sample.clone
    commit(tree, "pushed")
    sample.remote.rename(sample.root / "away")
    data = collect(str(tree), base, "fix/issue-1", ask_remote=ask).as_data()
    if clone == "usual":
        assert data["pushed"] is False  # a push to its remote would have left a trace
    else:
        assert data["pushed"] is None and data["pushed_problem"]
        assert ending.summary(data) == "1 commit, unknown whether pushed"


@pytest.mark.parametrize("clone", CLONES)
def test_a_remote_that_answers_and_lacks_the_commit_means_not_pushed(sample: Place, base: str, clone: str) -> None:
    run(sample.clone, *CLONES[clone])
    commit(sample.clone, "kept to itself")
    evidence = collect(str(sample.clone), base, "fix/issue-1", ask_remote=True)
    assert (evidence.pushed, evidence.ahead, evidence.pushed_problem) == (False, 1, None)
