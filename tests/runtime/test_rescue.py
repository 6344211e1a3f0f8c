"""A rescue keeps every byte and touches nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kugetsu.model.errors import BadInput
from kugetsu.runtime.git.rescue import Rescue, rescue
from runtime.repos import Place, commit, place, run, sample

__all__ = ["place", "sample"]

BRANCH = "fix/issue-1"


@pytest.fixture
def tree(sample: Place) -> Path:
    """A worktree for the issue."""
    path = sample.root / "tree"
    run(sample.clone, "worktree", "add", "-q", "--no-track", "-b", BRANCH, str(path), "origin/main")
    return path


def snapshot(tree: Path) -> dict[str, object]:
    """All that a rescue must leave as it is: files with their times, the index, HEAD, and what git is busy with."""
    git_dir = Path(run(tree, "rev-parse", "--absolute-git-dir"))
    files: dict[str, object] = {}
    for folder in (tree, git_dir):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                files[str(path)] = (path.read_bytes(), path.stat().st_mtime_ns)
    return files


def kept(tree: Path, work: Rescue | None) -> dict[str, str]:
    """The files of the rescue's commit."""
    assert work is not None
    assert run(tree, "rev-parse", work.branch) == work.commit
    names = run(tree, "ls-tree", "-r", "--name-only", "-z", work.branch).split("\0")
    return {name: run(tree, "show", f"{work.branch}:{name}") for name in names if name}


def save(tree: Path, name: str = "q1.1") -> Rescue | None:
    before = snapshot(tree)
    work = rescue(str(tree), name, branch=BRANCH)
    assert snapshot(tree) == before
    return work


def test_nothing_to_keep_makes_no_branch(tree: Path) -> None:
    (tree / "ignored").write_text("x")
    assert save(tree) is None
    assert run(tree, "branch", "--list", "kugetsu/*") == ""


def test_changed_staged_new_and_deleted_files_are_kept(tree: Path) -> None:
    commit(tree, "unpushed", "u\n")
    commit(tree, "doomed", "d\n")
    (tree / "README").write_text("changed\n")
    (tree / "staged").write_text("s\n")
    run(tree, "add", "staged")
    (tree / "sub dir").mkdir()
    (tree / "sub dir" / "new\nline").write_text("n\n")
    (tree / "doomed").unlink()
    work = save(tree)
    assert work is not None and work.branch == "kugetsu/rescue/q1.1" and work.left_out == []
    assert kept(tree, work) == {
        ".gitignore": "ignored", "README": "changed", "staged": "s", "sub dir/new\nline": "n", "unpushed": "u",
    }  # fmt: skip
    assert run(tree, "rev-parse", f"{work.branch}~1") == run(tree, "rev-parse", "HEAD")


def test_unpushed_commits_alone_are_kept_as_they_are(tree: Path) -> None:
    head = commit(tree)
    work = save(tree)
    assert work is not None and work.commit == head
    run(tree, "push", "-q", "origin", BRANCH)
    assert save(tree, "q1.2") is None


def test_what_was_staged_and_changed_again_is_kept_twice(tree: Path) -> None:
    (tree / "README").write_text("staged\n")
    run(tree, "add", "README")
    (tree / "README").write_text("later\n")
    work = save(tree)
    assert work is not None
    assert kept(tree, work)["README"] == "later"
    assert run(tree, "show", f"{work.branch}~1:README") == "staged"


def test_the_same_work_gives_the_same_branch_and_other_work_another(tree: Path) -> None:
    (tree / "README").write_text("staged\n")
    run(tree, "add", "README")
    (tree / "README").write_text("one\n")
    first = save(tree)
    again = save(tree)
    assert first is not None and again is not None
    assert (first.branch, first.commit) == (again.branch, again.commit)
    (tree / "README").write_text("two\n")
    other = save(tree)
    assert other is not None and other.branch == "kugetsu/rescue/q1.1-2"
    assert run(tree, "show", f"{first.branch}:README") == "one"


def test_the_same_commits_give_the_same_branch(tree: Path) -> None:
    commit(tree)
    first, again = save(tree), save(tree)
    assert first is not None and again is not None and first.branch == again.branch


def conflict(sample: Place, tree: Path, how: str) -> None:
    commit(tree, "README", "ours\n")
    sample_clone = sample.clone
    commit(sample_clone, "README", "theirs\n")
    (tree / "README.user").write_text("mine\n")
    with pytest.raises(AssertionError):
        run(tree, how, "main")


@pytest.mark.parametrize("how", ["merge", "rebase", "cherry-pick"])
def test_work_in_the_middle_of_a_conflict_is_kept(sample: Place, tree: Path, how: str) -> None:
    conflict(sample, tree, how)
    work = save(tree)
    files = kept(tree, work)
    assert "<<<<<<<" in files["README"]
    assert files["README.user"] == "mine"
    assert work is not None
    reached = run(tree, "log", "--format=%H", work.branch).split()
    assert run(tree, "rev-parse", BRANCH) in reached  # the issue's own commits, also while a rebase has HEAD elsewhere


def test_an_autostash_of_a_rebase_is_reached(sample: Place, tree: Path) -> None:
    commit(tree, "README", "ours\n")
    commit(tree, "other", "o\n")
    commit(sample.clone, "README", "theirs\n")
    (tree / "other").write_text("stashed\n")
    with pytest.raises(AssertionError):
        run(tree, "rebase", "--autostash", "main")
    stash = (Path(run(tree, "rev-parse", "--absolute-git-dir")) / "rebase-merge" / "autostash").read_text().strip()
    work = save(tree)
    assert work is not None
    assert stash in run(tree, "log", "--format=%H", work.branch).split()


def test_a_user_without_a_name_can_be_rescued(tree: Path, sample: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    config = sample.root / "home" / ".gitconfig"
    config.write_text("[user]\n\tuseConfigOnly = true\n[commit]\n\tgpgSign = true\n")
    (tree / "new").write_text("n\n")
    work = save(tree)
    assert work is not None
    assert run(tree, "log", "-1", "--format=%an", work.branch) == "kugetsu"


def test_hooks_do_not_stop_a_rescue(sample: Place, tree: Path) -> None:
    for name in ("pre-commit", "commit-msg", "post-commit"):
        hook = sample.clone / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
    (tree / "new").write_text("n\n")
    assert kept(tree, save(tree))["new"] == "n"


def test_bytes_are_kept_as_they_are(tree: Path) -> None:
    run(tree, "config", "core.autocrlf", "input")
    (tree / "dos").write_bytes(b"a\r\nb\r\n")
    work = save(tree)
    assert work is not None
    assert int(run(tree, "cat-file", "-s", f"{work.branch}:dos")) == 6


def test_the_files_of_a_repository_within_are_kept_and_its_history_is_named(tree: Path) -> None:
    for name in ("inner", "empty repo"):
        (tree / name).mkdir()
        run(tree / name, "init", "-q")
        (tree / name / "loose").write_text("l\n")
    commit(tree / "inner", "committed", "c\n")
    work = save(tree)
    files = kept(tree, work)
    assert (files["inner/committed"], files["inner/loose"], files["empty repo/loose"]) == ("c", "l", "l")
    assert work is not None
    assert sorted(work.left_out) == ["the history of the repository empty repo", "the history of the repository inner"]


def test_changes_within_a_submodule_are_named(sample: Place, tree: Path) -> None:
    run(tree, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(sample.remote), "sub")
    run(tree, "commit", "-q", "-m", "sub")
    (tree / "sub" / "README").write_text("changed\n")
    work = rescue(str(tree), "q1.1", branch=BRANCH)
    assert work is not None
    assert work.left_out == ["changes within the submodule sub"]


def test_links_and_modes_are_kept(tree: Path) -> None:
    (tree / "link").symlink_to("nowhere")
    (tree / "script").write_text("#!/bin/sh\n")
    (tree / "script").chmod(0o755)
    os.mkfifo(tree / "pipe")
    work = rescue(str(tree), "q1.1", branch=BRANCH)
    assert work is not None
    modes = {line.split("\t")[1]: line.split()[0] for line in run(tree, "ls-tree", work.branch).splitlines()}
    assert (modes["link"], modes["script"]) == ("120000", "100755")
    assert "pipe" not in modes


def test_a_repository_without_commits_is_kept_too(place: Place) -> None:
    place.clone.mkdir(parents=True)
    run(place.clone, "init", "-q")
    assert rescue(str(place.clone), "q1.1") is None
    (place.clone / "new").write_text("n\n")
    assert kept(place.clone, rescue(str(place.clone), "q1.1")) == {"new": "n"}


def test_a_worktree_that_is_gone_has_nothing(tree: Path) -> None:
    shutil.rmtree(tree)
    assert rescue(str(tree), "q1.1", branch=BRANCH) is None


@pytest.mark.parametrize("name", ["", "-x", "a b", "a..b", "../x", "a:b"])
def test_a_name_that_is_no_branch_is_refused(tree: Path, name: str) -> None:
    with pytest.raises(BadInput):
        rescue(str(tree), name)


def test_several_who_rescue_the_same_work_at_once_all_name_the_one_branch(tree: Path) -> None:
    (tree / "untracked").write_text("work\n")
    barrier_read, barrier_write = os.pipe()
    answers_read, answers_write = os.pipe()
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            answer = "failed"
            try:
                os.close(barrier_write)
                os.read(barrier_read, 1)  # end of file: the parent has let go
                found = rescue(str(tree), "q1.1", branch=BRANCH)
                answer = found.branch if found is not None else "nothing"
            finally:
                os.write(answers_write, f"{answer}\n".encode())
                os._exit(0)
        children.append(child)
    for fd in (barrier_read, answers_write, barrier_write):
        os.close(fd)
    with os.fdopen(answers_read) as answers:
        for child in children:
            os.waitpid(child, 0)
        assert answers.read().split() == ["kugetsu/rescue/q1.1"] * 8
