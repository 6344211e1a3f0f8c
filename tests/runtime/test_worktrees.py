"""A worktree per issue: made from the right base, kept whatever its state, removed only when nothing is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kugetsu.model.errors import Conflict, GitFailed, KugetsuError, NotFound
from kugetsu.runtime.git import remotes, removal, repositories, worktrees
from kugetsu.runtime.git.changes import operation
from kugetsu.runtime.git.rescue import rescue
from kugetsu.runtime.git.worktrees import Worktree
from runtime.repos import Place, commit, place, run, sample
from runtime.supervised import ended

__all__ = ["place", "sample"]

BRANCH = "fix/issue-1"


def source(place: Place) -> repositories.Repository:
    return repositories.at_path(place.name, str(place.clone))


def path_of(place: Place, number: int = 1) -> Path:
    return Path(place.paths.worktree(f"sample+{number}"))


def ensure(
    place: Place, number: int = 1, base: str = "", repository: repositories.Repository | None = None
) -> Worktree:
    return worktrees.ensure(
        repository or source(place),
        str(path_of(place, number)),
        worktrees.branch_name("fix/issue-{number}", "shoko", "sample", number),
        place.paths,
        base_branch=base,
    )


def current(folder: Path) -> str:
    return run(folder, "branch", "--show-current")


def test_a_fresh_worktree_starts_from_what_the_remote_has_now(sample: Place) -> None:
    news = sample.push_from_elsewhere()
    made = ensure(sample)
    assert (made.created, made.fetched, made.why_not_fetched) == (True, True, None)
    assert (made.base_branch, made.base_commit) == ("main", news)
    assert current(path_of(sample)) == BRANCH
    assert run(path_of(sample), "rev-parse", "HEAD") == news
    assert run(path_of(sample), "status", "--porcelain") == ""


def test_unpushed_commits_of_the_clone_are_not_in_it(sample: Place) -> None:
    commit(sample.clone, "mine")
    ensure(sample)
    assert not (path_of(sample) / "mine").exists()


def test_a_fresh_branch_follows_no_remote_branch(sample: Place) -> None:
    run(sample.clone, "config", "branch.autoSetupMerge", "always")
    ensure(sample)
    assert run(path_of(sample), "for-each-ref", "--format=%(upstream)", f"refs/heads/{BRANCH}") == ""


def test_the_clone_that_it_came_from_is_left_alone(sample: Place) -> None:
    (sample.clone / "README").write_text("being edited\n")
    before = run(sample.clone, "status", "--porcelain", "--branch"), run(sample.clone, "rev-parse", "HEAD")
    ensure(sample)
    assert (run(sample.clone, "status", "--porcelain", "--branch"), run(sample.clone, "rev-parse", "HEAD")) == before
    assert not (sample.clone / ".git" / "FETCH_HEAD").exists()


@pytest.mark.parametrize("branch", ["trunk", "release/2"])
def test_the_base_is_the_remotes_head_whatever_its_name(place: Place, branch: str) -> None:
    first = place.fill(branch)
    assert (ensure(place).base_branch, ensure(place).base_commit) == (branch, first)


def test_a_clone_that_does_not_know_the_remotes_head_asks(sample: Place) -> None:
    run(sample.clone, "remote", "set-head", "origin", "-d")
    assert ensure(sample).base_branch == "main"


def test_a_remote_whose_head_moved_is_asked_again(sample: Place) -> None:
    run(sample.remote, "branch", "-m", "main", "trunk")
    news = sample.push_from_elsewhere("trunk")
    made = ensure(sample)
    assert (made.base_branch, made.base_commit, made.fetched) == ("trunk", news, True)


def test_the_setting_names_the_base(sample: Place) -> None:
    news = sample.push_from_elsewhere("develop")
    made = ensure(sample, base="develop")
    assert (made.base_branch, made.base_commit) == ("develop", news)


def test_a_base_that_only_the_clone_has_is_used_and_the_failed_fetch_told(sample: Place) -> None:
    run(sample.clone, "branch", "mine")
    made = ensure(sample, base="mine")
    assert (made.base_branch, made.fetched) == ("mine", False)
    assert "mine" in (made.why_not_fetched or "")


def test_a_base_that_is_nowhere_is_an_error_with_a_remedy(sample: Place) -> None:
    with pytest.raises(NotFound, match="no branch nowhere") as caught:
        ensure(sample, base="nowhere")
    assert "KUGETSU_BASE_BRANCH" in (caught.value.hint or "")
    assert not path_of(sample).exists()


def test_without_the_remote_the_known_base_is_used_and_the_reason_told(sample: Place) -> None:
    sample.remote.rename(sample.root / "gone")
    made = ensure(sample)
    assert (made.created, made.fetched) == (True, False)
    assert "does not appear to be a git repository" in (made.why_not_fetched or "")


def test_a_clone_without_a_remote_starts_from_its_own_head(place: Place) -> None:
    place.clone.mkdir(parents=True)
    run(place.clone, "init", "-q", "-b", "work")
    first = commit(place.clone)
    made = ensure(place)
    assert (made.base_branch, made.base_commit, made.fetched) == ("work", first, False)
    run(place.clone, "switch", "-q", "--detach")
    assert (ensure(place, 2).base_branch, ensure(place, 2).base_commit) == ("HEAD", first)


def test_a_repository_without_commits_is_an_error_with_a_remedy(place: Place) -> None:
    place.clone.mkdir(parents=True)
    run(place.clone, "init", "-q")
    with pytest.raises(NotFound, match="no commits") as caught:
        ensure(place)
    assert "allow-empty" in (caught.value.hint or "")


def test_our_own_bare_clone_works_too(sample: Place) -> None:
    own = repositories.resolve("git.test/shoko/sample", sample.paths, servers={"git.test": f"file://{sample.root}/srv"})
    made = ensure(sample, repository=own)
    commit(path_of(sample))
    run(path_of(sample), "push", "-q", "origin", "HEAD")
    assert sample.has(BRANCH)
    assert remotes.here(made.path, own=sample.paths.repositories) == ("git.test", "shoko", "sample")
    assert ensure(sample, repository=own).created is False


def test_a_branch_that_exists_here_is_used_and_not_reset(sample: Place) -> None:
    base = run(sample.clone, "rev-parse", "HEAD")
    run(sample.clone, "switch", "-q", "-c", BRANCH)
    head = commit(sample.clone, "earlier")
    run(sample.clone, "switch", "-q", "main")
    sample.push_from_elsewhere()
    made = ensure(sample)
    assert run(path_of(sample), "rev-parse", "HEAD") == head
    assert made.base_commit == base


def test_a_branch_that_exists_on_the_remote_is_used_and_followed(sample: Place) -> None:
    base = run(sample.clone, "rev-parse", "HEAD")
    head = sample.push_from_elsewhere(BRANCH)
    sample.push_from_elsewhere("fix/issue-12")
    made = ensure(sample)
    assert run(path_of(sample), "rev-parse", "HEAD") == head
    assert run(path_of(sample), "rev-parse", "--abbrev-ref", "@{upstream}") == f"origin/{BRANCH}"
    assert made.base_commit == base


def test_a_branch_checked_out_elsewhere_is_a_conflict_that_names_where(sample: Place) -> None:
    run(sample.clone, "switch", "-q", "-c", BRANCH)
    with pytest.raises(Conflict, match=str(sample.clone)) as caught:
        ensure(sample)
    assert "switch" in (caught.value.hint or "")
    assert not path_of(sample).exists()


def test_a_branch_of_a_worktree_that_is_gone_is_a_conflict_that_says_so(sample: Place) -> None:
    run(sample.clone, "worktree", "add", "-q", "-b", BRANCH, "../lost")
    shutil.rmtree(sample.root / "work" / "lost")
    with pytest.raises(Conflict, match="is gone") as caught:
        ensure(sample)
    assert "prune" in (caught.value.hint or "")


def test_a_branch_name_in_the_way_is_a_conflict_that_names_the_setting(sample: Place) -> None:
    run(sample.clone, "branch", "fix")
    with pytest.raises(Conflict) as caught:
        ensure(sample)
    assert "KUGETSU_BRANCH_PATTERN" in (caught.value.hint or "")


def test_a_worktree_that_is_there_is_kept_as_it_is(sample: Place) -> None:
    made = ensure(sample)
    tree = path_of(sample)
    commit(tree, "done")
    (tree / "README").write_text("half\n")
    (tree / "new").write_text("n\n")
    run(tree, "add", "new")
    before = run(tree, "status", "--porcelain", "--branch"), run(tree, "rev-parse", "HEAD")
    again = ensure(sample)
    assert (again.created, again.base_commit, again.branch) == (False, made.base_commit, BRANCH)
    assert (run(tree, "status", "--porcelain", "--branch"), run(tree, "rev-parse", "HEAD")) == before


def test_a_worktree_in_the_middle_of_a_rebase_is_kept_as_it_is(sample: Place) -> None:
    made = ensure(sample)
    tree = path_of(sample)
    commit(tree, "README", "ours\n")
    commit(sample.clone, "README", "theirs\n")
    with pytest.raises(AssertionError):
        run(tree, "rebase", "main")
    before = (tree / "README").read_text()
    assert ensure(sample).branch == made.branch
    assert (tree / "README").read_text() == before
    assert operation(run(tree, "rev-parse", "--absolute-git-dir")) == "rebase"


def test_the_branch_that_the_agent_went_to_is_told(sample: Place) -> None:
    ensure(sample)
    run(path_of(sample), "switch", "-q", "-c", "own/idea")
    assert ensure(sample).branch == "own/idea"


def test_files_in_the_way_are_a_conflict_and_stay(sample: Place) -> None:
    path_of(sample).mkdir(parents=True)
    (path_of(sample) / "mine").write_text("m\n")
    with pytest.raises(Conflict, match="in the way") as caught:
        ensure(sample)
    assert (path_of(sample) / "mine").read_text() == "m\n"
    assert "mv" in (caught.value.hint or "")


def test_a_file_in_the_way_is_a_conflict_and_stays(sample: Place) -> None:
    sample.paths.make(sample.paths.worktrees)
    path_of(sample).write_text("m\n")
    with pytest.raises(Conflict, match="in the way"):
        ensure(sample)
    assert path_of(sample).read_text() == "m\n"


def test_an_empty_folder_is_no_obstacle(sample: Place) -> None:
    path_of(sample).mkdir(parents=True)
    assert ensure(sample).created


def test_a_worktree_of_another_clone_is_a_conflict(sample: Place) -> None:
    ensure(sample)
    run(sample.root, "clone", "-q", str(sample.remote), str(sample.root / "second"))
    second = repositories.at_path(sample.name, str(sample.root / "second"))
    with pytest.raises(Conflict, match="worktree of"):
        ensure(sample, repository=second)


def test_a_worktree_whose_folder_was_removed_is_made_again_with_its_branch(sample: Place) -> None:
    ensure(sample)
    head = commit(path_of(sample), "done")
    shutil.rmtree(path_of(sample))
    again = ensure(sample)
    assert again.created
    assert run(path_of(sample), "rev-parse", "HEAD") == head
    assert (path_of(sample) / "done").exists()


def test_commits_that_only_a_removed_worktree_reached_get_a_branch(sample: Place) -> None:
    ensure(sample)
    run(path_of(sample), "switch", "-q", "--detach")
    head = commit(path_of(sample), "done")
    shutil.rmtree(path_of(sample))
    ensure(sample)
    assert run(sample.clone, "rev-parse", f"{worktrees.RESCUE}lost-{head[:12]}") == head


def test_a_missing_worktree_that_the_user_locked_is_a_conflict(sample: Place) -> None:
    ensure(sample)
    run(sample.clone, "worktree", "lock", "--reason", "on a stick", str(path_of(sample)))
    shutil.rmtree(path_of(sample))
    with pytest.raises(Conflict, match="on a stick"):
        ensure(sample)


def test_other_missing_worktrees_stay_registered(sample: Place) -> None:
    run(sample.clone, "worktree", "add", "-q", "../lost")
    shutil.rmtree(sample.root / "work" / "lost")
    ensure(sample)
    shutil.rmtree(path_of(sample))
    ensure(sample)
    assert "/lost" in run(sample.clone, "worktree", "list")


def test_worktrees_made_at_once_all_stand(sample: Place) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: ensure(sample, number), range(1, 9)))
    assert all(one.created and one.fetched for one in made)
    assert {current(path_of(sample, number)) for number in range(1, 9)} == {f"fix/issue-{n}" for n in range(1, 9)}


def test_one_worktree_asked_for_at_once_is_made_once(sample: Place) -> None:
    code = (
        "import sys; from kugetsu.host.paths import Paths\n"
        "from kugetsu.runtime.git import repositories as r, worktrees as w\n"
        "paths = Paths(sys.argv[1])\n"
        "made = w.ensure(r.at_path('local/shoko/sample', sys.argv[2]), sys.argv[3], 'fix/issue-1', paths)\n"
        "print(made.created)"
    )
    args = [sys.executable, "-c", code, sample.paths.root, str(sample.clone), str(path_of(sample))]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [subprocess.Popen(args, env=env, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    said = [process.communicate()[0].strip() for process in started]
    assert sorted(said) == ["False"] * 4 + ["True"]


# A kill in the middle of `git worktree add`, held there by a filter that never ends its first file.


@pytest.fixture
def half_made(sample: Place) -> Place:
    """The machine after `git worktree add` was killed with SIGKILL while it checked out."""
    hold = sample.root / "hold"
    hold.write_text(f"#!/bin/sh\ntouch {sample.root}/reached\n[ -e {sample.root}/free ] || sleep 300\ncat\n")
    hold.chmod(0o755)
    (sample.clone / ".gitattributes").write_text("m* filter=hold\n")
    for name in ("a", "b", "m", "z"):
        (sample.clone / name).write_text(f"content of {name}\n" * 3)
    run(sample.clone, "add", "-A")
    run(sample.clone, "commit", "-q", "-m", "files")
    run(sample.clone, "push", "-q", "origin", "main")
    run(sample.clone, "config", "filter.hold.smudge", str(hold))
    code = (
        "import sys; from kugetsu.host.paths import Paths\n"
        "from kugetsu.runtime.git import repositories as r, worktrees as w\n"
        "w.ensure(r.at_path('local/shoko/sample', sys.argv[2]), sys.argv[3], 'fix/issue-1', Paths(sys.argv[1]))"
    )
    args = [sys.executable, "-c", code, sample.paths.root, str(sample.clone), str(path_of(sample))]
    process = subprocess.Popen(args, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    until = time.monotonic() + 30
    while not (sample.root / "reached").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    git_pid = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    process.kill()
    process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(git_pid, signal.SIGKILL)  # git leads a session of its own, with its checkout and the filter
    while not ended(git_pid):
        time.sleep(0.01)
    (sample.root / "free").touch()
    return sample


def test_a_half_made_worktree_is_finished(half_made: Place) -> None:
    assert "initializing" in run(half_made.clone, "worktree", "list", "--porcelain")
    made = ensure(half_made)
    tree = path_of(half_made)
    assert made.created
    assert made.base_commit == run(half_made.clone, "rev-parse", "origin/main")
    assert current(tree) == BRANCH
    assert run(tree, "status", "--porcelain") == ""
    assert (tree / "m").read_text() == "content of m\n" * 3
    assert "locked" not in run(half_made.clone, "worktree", "list", "--porcelain")
    assert ensure(half_made).created is False


def test_a_file_cut_off_by_the_kill_is_completed(half_made: Place) -> None:
    (path_of(half_made) / "a").write_text("content of a\ncont")
    ensure(half_made)
    assert (path_of(half_made) / "a").read_text() == "content of a\n" * 3


@pytest.mark.parametrize(("name", "text"), [("mine", "m\n"), ("a", "edited\n")])
def test_a_half_made_worktree_with_someones_file_is_a_conflict_and_stays(
    half_made: Place, name: str, text: str
) -> None:
    (path_of(half_made) / name).write_text(text)
    for _ in range(2):
        with pytest.raises(Conflict, match=f"never completed.*: {name}$") as caught:
            ensure(half_made)
        assert "mv" in (caught.value.hint or "")
    assert (path_of(half_made) / name).read_text() == text


@pytest.mark.parametrize("keep", ["nothing", "the folder", "the pointer"])
def test_a_worktree_killed_before_its_first_file_is_made_again(half_made: Place, keep: str) -> None:
    tree = path_of(half_made)
    pointer = (tree / ".git").read_text()
    shutil.rmtree(tree)
    if keep != "nothing":
        tree.mkdir()
    if keep == "the pointer":
        (tree / ".git").write_text(pointer)
    made = ensure(half_made)
    assert made.created
    assert run(tree, "status", "--porcelain") == ""
    assert current(tree) == BRANCH


def test_a_checkout_that_still_goes_on_is_waited_for(sample: Place) -> None:
    hook = sample.clone / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {sample.root}/reached\nsleep 1\n")
    hook.chmod(0o755)
    tree = path_of(sample)
    tree.parent.mkdir(parents=True)
    # As if whoever had started it was killed: git goes on without the lock.
    process = subprocess.Popen(
        ["git", "worktree", "add", "-q", "-b", BRANCH, str(tree), "origin/main"], cwd=sample.clone
    )
    while not (tree / ".git").exists():
        time.sleep(0.005)
    made = ensure(sample)
    assert process.wait() == 0
    assert run(tree, "status", "--porcelain") == ""
    assert made.branch == BRANCH


# Removal.


def remove(place: Place, force: bool = False) -> bool:
    return removal.remove(source(place), str(path_of(place)), BRANCH, place.paths, force=force)


def test_a_clean_worktree_goes_and_its_branch_stays(sample: Place) -> None:
    ensure(sample)
    assert remove(sample) is True
    assert not path_of(sample).exists()
    assert run(sample.clone, "branch", "--list", BRANCH) != ""
    assert remove(sample) is False


def test_every_reason_against_removal_is_named_and_the_worktree_stays(sample: Place) -> None:
    ensure(sample)
    tree = path_of(sample)
    commit(tree, "done")
    (tree / "new").write_text("n\n")
    run(sample.clone, "worktree", "lock", str(tree))
    (Path(run(tree, "rev-parse", "--absolute-git-dir")) / "MERGE_HEAD").write_text(run(tree, "rev-parse", "HEAD"))
    with pytest.raises(Conflict) as caught:
        remove(sample)
    for reason in ("1 uncommitted change (new)", "1 commit that no other", "a merge in progress", "worktree lock"):
        assert reason in caught.value.message
    assert (tree / "new").exists()


@pytest.mark.parametrize("how", ["pushed", "merged", "rescued"])
def test_commits_that_are_kept_elsewhere_do_not_stop_removal(sample: Place, how: str) -> None:
    ensure(sample)
    tree = path_of(sample)
    commit(tree, "done")
    with pytest.raises(Conflict, match="no other branch"):
        remove(sample)
    if how == "pushed":
        run(tree, "push", "-q", "origin", "HEAD")
    elif how == "merged":
        run(sample.clone, "merge", "-q", BRANCH)
    else:
        assert rescue(str(tree), "q1.1", branch=BRANCH) is not None
    assert remove(sample) is True


def test_force_removes_a_dirty_and_locked_worktree(sample: Place) -> None:
    ensure(sample)
    (path_of(sample) / "new").write_text("n\n")
    run(sample.clone, "worktree", "lock", str(path_of(sample)))
    assert remove(sample, force=True) is True
    assert not path_of(sample).exists()


def test_a_folder_that_cannot_be_written_is_an_error(sample: Place) -> None:
    Path(sample.paths.worktrees).write_text("in the way")
    with pytest.raises(KugetsuError, match="in its place"):
        ensure(sample)


def test_a_failing_checkout_is_gits_own_words_and_can_be_tried_again(sample: Place) -> None:
    run(sample.clone, "config", "filter.broken.smudge", "false")
    run(sample.clone, "config", "filter.broken.required", "true")
    (sample.clone / ".git" / "info" / "attributes").write_text("README filter=broken\n")
    with pytest.raises(GitFailed, match="README"):
        ensure(sample)
    (sample.clone / ".git" / "info" / "attributes").unlink()
    ensure(sample)
    assert run(path_of(sample), "status", "--porcelain") == ""
