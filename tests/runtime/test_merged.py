"""Whether a base branch has the work of a branch: merged, rebased or squashed, and never unless it has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kugetsu.runtime.git import merged, repositories
from kugetsu.runtime.git.repositories import Repository
from runtime import repos
from runtime.repos import Place, commit, place, run, sample

__all__ = ["place", "sample"]

BRANCH = "fix/issue-1"


class Work:
    """A worktree of the clone on the issue's branch, and the user's own checkout of the base branch."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.base = run(place.clone, "rev-parse", "HEAD")
        self.tree = place.root / "tree"
        run(place.clone, "worktree", "add", "-q", "-b", BRANCH, str(self.tree))

    @property
    def repository(self) -> Repository:
        return repositories.at_path(self.place.name, str(self.place.clone), {})

    def found(self, *, worktree: bool = True) -> str | None:
        """The base branch that has the work."""
        tree = str(self.tree) if worktree else None
        found = merged.found_in_base(self.repository, tree, BRANCH, "main", self.base)
        if found is None:
            return None
        assert found[0] == run(self.tree, "rev-parse", "HEAD")
        return found[1]

    def objects(self) -> set[Path]:
        return set((self.place.clone / ".git" / "objects").rglob("*"))


@pytest.fixture
def work(sample: Place) -> Work:
    return Work(sample)


def squash(work: Work) -> None:
    run(work.place.clone, "merge", "-q", "--squash", BRANCH)
    run(work.place.clone, "commit", "-q", "-m", "Squashed")


HOW = {
    "fast-forward": lambda work: run(work.place.clone, "merge", "-q", "--ff-only", BRANCH),
    "merge": lambda work: run(work.place.clone, "merge", "-q", "--no-ff", "-m", "merge", BRANCH),
    "rebase": lambda work: run(work.place.clone, "cherry-pick", f"{work.base}..{BRANCH}"),
    "squash": squash,
}


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("how", HOW)
def test_it_is_found_however_it_was_merged(work: Work, how: str, moved: bool) -> None:
    commit(work.tree, "one", "1\n")
    commit(work.tree, "README", "sample\nmore\n")
    (work.tree / "picture").write_bytes(bytes(range(256)))
    run(work.tree, "add", ".")
    run(work.tree, "commit", "-q", "-m", "binary")
    if moved and how != "fast-forward":
        commit(work.place.clone, "news")
    assert work.found() is None
    HOW[how](work)
    assert work.found() == work.found(worktree=False) == "refs/heads/main"
    commit(work.place.clone, "later")
    before = work.objects()
    assert work.found() == "refs/heads/main"
    assert work.objects() == before, "an object was written into the user's repository"


def test_the_remotes_base_branch_counts_once_it_was_fetched(work: Work) -> None:
    commit(work.tree, "one")
    run(work.tree, "push", "-q", "origin", f"HEAD:{BRANCH}")
    other = work.place.root / "other"
    run(work.place.root, "clone", "-q", str(work.place.remote), str(other))
    run(other, "merge", "-q", "--squash", f"origin/{BRANCH}")
    run(other, "commit", "-q", "-m", "Squashed")
    run(other, "push", "-q", "origin", "main")
    assert work.found() is None
    run(work.place.clone, "fetch", "-q")
    assert work.found() == "refs/remotes/origin/main"


def test_a_branch_without_work_is_not_merged(work: Work) -> None:
    assert work.found() is None
    commit(work.place.clone, "news")
    assert work.found() is None
    run(work.tree, "merge", "-q", "--ff-only", "main")
    assert work.found() is None, "what came from the base branch is nobody's work"


def test_a_part_that_was_merged_is_not_all(work: Work) -> None:
    commit(work.tree, "one")
    commit(work.tree, "two")
    run(work.place.clone, "cherry-pick", f"{BRANCH}~1")
    assert work.found() is None


def test_commits_after_the_merge_are_not_merged(work: Work) -> None:
    commit(work.tree, "one")
    squash(work)
    commit(work.tree, "two")
    assert work.found() is None


def test_commits_that_cancel_each_other_out_are_not_merged(work: Work) -> None:
    commit(work.tree, "one")
    run(work.tree, "revert", "--no-edit", "HEAD")
    commit(work.place.clone, "news")
    assert work.found() is None


def test_the_same_text_elsewhere_is_not_the_work(work: Work) -> None:
    commit(work.tree, "one", "1\n")
    commit(work.place.clone, "two", "1\n")
    assert work.found() is None


def test_another_history_has_nothing_of_it(work: Work) -> None:
    commit(work.tree, "one")
    run(work.place.clone, "checkout", "-q", "--orphan", "fresh")
    repos.commit(work.place.clone, "one")
    run(work.place.clone, "branch", "-q", "-f", "main", "fresh")
    assert work.found() is None
