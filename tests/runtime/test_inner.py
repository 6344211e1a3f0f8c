"""Repositories that go with a worktree: what they alone hold keeps it, and a forced destroy moves it to the clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kugetsu.model.errors import Conflict, KugetsuError
from kugetsu.runtime import destroy, prune
from kugetsu.runtime.git import inner_rescue, removal, repositories
from profiles import examples
from runtime import repos
from runtime.repos import commit, run
from runtime.stage import Stage, bare_stage, stage
from runtime.test_destroy import worked
from runtime.test_prune import reachable

__all__ = ["bare_stage", "stage"]


@pytest.fixture
def modular(stage: Stage) -> Stage:
    """The stage, its repository with a submodule `sub`, both pushed to servers; the submodule has one of its own."""
    run(stage.root, "config", "--global", "protocol.file.allow", "always")
    for name, holds in (("deep", ""), ("inner", "deep"), ("outer", "inner")):
        work = stage.repository if name == "outer" else stage.root / f"make-{name}"
        if name != "outer":
            repos.make_plain(work)
        if holds:
            run(work, "submodule", "-q", "add", str(stage.root / f"{holds}.git"), "sub" if name == "outer" else holds)
            run(work, "commit", "-qm", "Add a submodule")
        server = stage.root / f"{name}.git"
        run(stage.root, "init", "-q", "--bare", "-b", "main", str(server))
        run(work, "remote", "add", "origin", str(server))
        run(work, "push", "-q", "origin", "main")
    run(stage.repository, "remote", "set-head", "origin", "main")
    return stage


def initialised(stage: Stage, number: int = 1) -> tuple[str, Path]:
    """A session whose worktree has its submodules checked out; its key and the worktree."""
    key = worked(stage, number)
    tree = stage.worktree(number)
    run(tree, "submodule", "-q", "update", "--init", "--recursive")
    return key, tree


def clone_within(tree: Path, name: str = "ignored") -> Path:
    """A clone in a folder that git ignores."""
    run(tree, "clone", "-q", str(tree.parents[2] / "inner.git"), name)
    return tree / name


def branches(stage: Stage) -> str:
    return run(stage.repository, "branch", "--list", "--format=%(refname:short)", "kugetsu/rescue/*")


# --- one thing at a time ----------------------------------------------------------------------------------------------


def stash(folder: Path, text: str = "stashed\n") -> None:
    (folder / "README").write_text(text)
    run(folder, "stash", "-q")


def left_behind(folder: Path) -> None:
    """A commit on no branch, left by a checkout as `git submodule update` does it."""
    run(folder, "checkout", "-q", "--detach")
    commit(folder, "orphan", f"{time.time_ns()}\n")
    run(folder, "checkout", "-q", "--detach", "origin/main")


WORK: dict[str, Callable[[Path], object]] = {
    "commit": lambda folder: commit(folder, "new", f"{time.time_ns()}\n"),
    "stash": stash,
    "two stashes": lambda folder: (stash(folder, "one\n"), stash(folder, "two\n")),
    "changed": lambda folder: (folder / "README").write_text("changed\n"),
    "untracked": lambda folder: (folder / "untracked").write_text("untracked\n"),
    "staged": lambda folder: ((folder / "s").write_text("staged\n"), run(folder, "add", "s")),
    "branch": lambda folder: (
        run(folder, "checkout", "-qb", f"b{time.time_ns()}"),
        commit(folder, "on-branch", f"{time.time_ns()}\n"),
        run(folder, "checkout", "-q", "origin/main"),
    ),
    "tag": lambda folder: (
        run(folder, "checkout", "-q", "--detach"),
        commit(folder, "tagged", f"{time.time_ns()}\n"),
        run(folder, "tag", f"t{time.time_ns()}"),
        run(folder, "pack-refs", "--all"),
        run(folder, "checkout", "-q", "origin/main"),
    ),
    "left behind": left_behind,
}


@pytest.mark.parametrize(
    ("where", "work"),
    [
        *(("submodule", work) for work in sorted(WORK)),
        *(("nested submodule", work) for work in ("commit", "untracked")),
        *(("clone in an ignored folder", work) for work in ("commit", "two stashes", "changed")),
        *(("ignore = all", work) for work in ("commit", "staged")),
    ],
)
def test_work_in_a_repository_within_keeps_the_worktree_and_forced_is_moved(
    modular: Stage, where: str, work: str
) -> None:
    key, tree = initialised(modular)
    if where == "ignore = all":
        run(modular.repository, "config", "submodule.sub.ignore", "all")
    folder = {"nested submodule": tree / "sub" / "deep"}.get(where, tree / "sub")
    folder = clone_within(tree) if where.startswith("clone") else folder
    WORK[work](folder)
    files, commits = contents(folder)
    with pytest.raises(Conflict, match=f"in the repository {folder.relative_to(tree)}"):
        destroy.destroy(modular.ws, key, force=False)
    assert contents(folder) == (files, commits)
    event = destroy.destroy(modular.ws, key, force=True)
    assert not tree.exists()
    blobs, known = safe(modular)
    assert files <= blobs and commits <= known
    assert event["data"]["rescue"] in branches(modular).split()
    assert event["data"]["rescue"].startswith("kugetsu/rescue/1-")


@pytest.mark.parametrize("how", ["destroy", "prune"])
def test_a_clean_pushed_worktree_with_initialised_submodules_goes(modular: Stage, how: str) -> None:
    key, tree = initialised(modular)
    if how == "destroy":
        destroy.destroy(modular.ws, key, force=False)
    else:
        tree = modular.directory / "worktrees" / "stray"
        run(modular.repository, "worktree", "add", "-q", "-b", "own/idea", str(tree))
        run(tree, "submodule", "-q", "update", "--init", "--recursive")
        plan = prune.plan(modular.ws)
        outcome = prune.carry_out(modular.ws, plan)
        assert [item.kind for item, _ in outcome.removed] == ["worktree"]
    assert not tree.exists() and branches(modular) == ""


def test_files_in_the_folder_of_a_submodule_that_is_not_initialised_count(modular: Stage) -> None:
    modular.configure(WORKTREE_SUBMODULES="never")
    key = worked(modular)
    tree = modular.worktree(1)
    assert list((tree / "sub").iterdir()) == []
    (tree / "sub" / "notes").write_text("git status does not show this\n")
    destruction_refused(modular, key, r"1 uncommitted change \(sub/\)")
    branch = destroy.destroy(modular.ws, key, force=True)["data"]["rescue"]
    assert run(modular.repository, "show", f"{branch}:sub/notes") == "git status does not show this"


def test_a_clean_pushed_clone_in_an_ignored_folder_does_not_keep_the_worktree(modular: Stage) -> None:
    key, tree = initialised(modular)
    inner = clone_within(tree)
    commit(inner, "pushed")
    run(inner, "push", "-q", "origin", "HEAD:refs/heads/pushed")
    destroy.destroy(modular.ws, key, force=False)
    assert not tree.exists()


def test_a_shallow_clone_of_a_tag_holds_nothing_of_its_own(modular: Stage) -> None:
    key, tree = initialised(modular)
    server = modular.root / "inner.git"
    run(server, "tag", "v1", "main")
    run(tree, "clone", "-q", "--depth=1", "--branch=v1", f"file://{server}", "ignored")
    destroy.destroy(modular.ws, key, force=False)
    assert not tree.exists()


def test_a_bare_repository_within_counts(modular: Stage) -> None:
    key, tree = initialised(modular)
    run(tree, "init", "-q", "--bare", "-b", "main", "ignored")
    run(tree, "push", "-q", "ignored", "HEAD~1:refs/heads/main")
    destruction_refused(modular, key, "repository ignored")
    destroy.destroy(modular.ws, key, force=True)
    assert not tree.exists()


def destruction_refused(stage: Stage, key: str, words: str, *, force: bool = False) -> Conflict:
    with pytest.raises(Conflict, match=words) as refused:
        destroy.destroy(stage.ws, key, force=force)
    return refused.value


def test_a_worktree_of_another_repository_within_counts(modular: Stage) -> None:
    key, tree = initialised(modular)
    run(modular.root / "make-inner", "worktree", "add", "-q", "--detach", str(tree / "ignored"))
    head = commit(tree / "ignored", "detached")
    destruction_refused(modular, key, "1 commit that no remote has in the repository ignored")
    destroy.destroy(modular.ws, key, force=True)
    assert head in run(modular.repository, "rev-list", "--all").split()


def test_a_repository_that_worktrees_elsewhere_live_on_is_not_removed_even_forced(modular: Stage) -> None:
    key, tree = initialised(modular)
    inner = clone_within(tree)
    away = modular.root / "away"
    run(inner, "worktree", "add", "-q", "-b", "away", str(away))
    error = destruction_refused(modular, key, f"worktree {away}", force=True)
    assert "move it away from" in (error.hint or "")
    assert run(away, "status", "--porcelain") == ""
    run(inner, "worktree", "remove", str(away))
    run(inner, "branch", "-D", "away")
    destroy.destroy(modular.ws, key, force=False)


@pytest.mark.parametrize("spoil", ["shallow", "unreadable"])
def test_what_cannot_be_moved_is_refused_even_forced_and_stays(modular: Stage, spoil: str) -> None:
    key, tree = initialised(modular)
    if spoil == "shallow":
        run(modular.root / "make-inner", "commit", "-q", "--allow-empty", "-m", "more")
        run(modular.root / "make-inner", "push", "-q", "origin", "main")
        run(tree, "clone", "-q", "--depth=1", f"file://{modular.root / 'inner.git'}", "ignored")
        commit(tree / "ignored", "mine")
    else:
        inner = clone_within(tree)
        commit(inner, "mine")
        (inner / ".git" / "HEAD").unlink()
    error = destruction_refused(modular, key, "ignored: ", force=True)
    assert "move it away from" in (error.hint or "") and tree.is_dir()
    shutil.move(tree / "ignored", modular.root / "moved")
    destroy.destroy(modular.ws, key, force=True)


def test_a_record_that_is_replaced_gives_up_nothing(modular: Stage) -> None:
    key, tree = initialised(modular)
    head = commit(tree / "sub", "only here")
    (tree / "staged").write_text("staged in the index alone\n")
    run(tree, "add", "staged")
    shutil.rmtree(tree)
    worked(modular)
    blobs, known = safe(modular)
    assert head in known and b"staged in the index alone\n" in blobs
    destroy.destroy(modular.ws, key, force=False)


def test_a_record_with_clean_submodules_goes_and_one_with_work_stays(modular: Stage) -> None:
    for name in ("clean", "work"):
        tree = modular.directory / "worktrees" / name
        run(modular.repository, "worktree", "add", "-q", "-b", f"own/{name}", str(tree))
        run(tree, "submodule", "-q", "update", "--init")
        if name == "work":
            commit(tree / "sub", "only here")
        shutil.rmtree(tree)
    plan = prune.plan(modular.ws)
    assert [item.subject for item in plan.items] == [str(modular.directory / "worktrees" / "clean")]
    assert "1 commit that no remote has in the repository sub" in plan.kept[0].reasons[0]


def test_a_forced_removal_that_was_killed_is_finished_whatever_it_left_of_repositories(
    modular: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, tree = initialised(modular)
    inner = clone_within(tree)
    destroy_killed(modular, key, monkeypatch, removal, "remove")
    shutil.rmtree(inner / ".git" / "refs")
    (inner / ".git" / "HEAD").unlink()
    destroy.destroy(modular.ws, key, force=True)
    assert not tree.exists()


def test_a_forced_removal_that_was_killed_before_its_rescue_still_keeps_what_cannot_be_moved(
    modular: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, tree = initialised(modular)
    inner = clone_within(tree)
    commit(inner, "only here")
    (inner / ".git" / "HEAD").unlink()
    destroy_killed(modular, key, monkeypatch, inner_rescue, "rescue_all")
    destruction_refused(modular, key, "ignored: ", force=True)
    assert (inner / ".git" / "objects").is_dir()


def destroy_killed(stage: Stage, key: str, monkeypatch: pytest.MonkeyPatch, module: ModuleType, function: str) -> None:
    """Destroy by force, and end like one that was killed where it calls a function: nothing is recorded any more."""

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, function, killed)
        destroy.destroy(stage.ws, key, force=True)


def test_a_repository_below_a_thousand_folders_is_found(stage: Stage) -> None:
    key = worked(stage)
    deep = stage.worktree(1) / ("n/" * 1200)
    subprocess.run(["mkdir", "-p", deep], check=True)
    run(deep, "init", "-q")
    commit(deep, "only here")
    try:
        destruction_refused(stage, key, "1 commit that no remote has in the repository n/n/n")
    finally:
        subprocess.run(["rm", "-rf", stage.worktree(1) / "n"], check=True)  # pytest itself could not


# --- nothing is ever lost ---------------------------------------------------------------------------------------------


def contents(path: Path) -> tuple[set[bytes], set[str]]:
    """Every byte in the files of a folder, and every commit that any repository in it has by itself."""
    files, commits = set(), set()
    for folder, names, found in os.walk(path):
        if ".git" in names or ".git" in found:
            command = ["rev-list", "--all", "HEAD", "--not", "--remotes"]
            commits |= set(git_output(Path(folder), *command).split())
            commits |= set(git_output(Path(folder), "rev-list", "-g", "refs/stash").split())
            left = git_output(Path(folder), "log", "-g", "--format=%H %gs").splitlines()
            commits |= {line.split()[0] for line in left if " commit" in line}
        if ".git" in names:
            names.remove(".git")
        files |= {(Path(folder) / name).read_bytes() for name in found if name != ".git"}
    return files, commits


def git_output(folder: Path, *args: str) -> str:
    return subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, check=False).stdout


def safe(stage: Stage) -> tuple[set[bytes], set[str]]:
    """What the clone and the servers reach."""
    blobs: set[bytes] = set()
    commits: set[str] = set()
    for place in (stage.repository, *stage.root.glob("*.git")):
        more, others = reachable(place)
        blobs |= more
        commits |= others
    return blobs, commits


def within(name: str, do: Callable[[Path], object]) -> Callable[[Path], object]:
    """That, done in a repository within a worktree; FileNotFoundError when none is there."""

    def act(tree: Path) -> object:
        os.lstat(tree / name / ".git")
        return do(tree / name)

    return act


STEPS: dict[str, Callable[[Path], object]] = {
    **{f"sub: {name}": within("sub", do) for name, do in WORK.items()},
    **{f"deep: {name}": within("sub/deep", do) for name, do in WORK.items()},
    **{f"clone: {name}": within("ignored", do) for name, do in WORK.items()},
    "write into sub": lambda tree: (tree / "sub" / "notes").write_text("notes\n"),
    "clone": clone_within,
    "clone in a clone": lambda tree: run(tree / "ignored", "clone", "-q", str(tree.parents[2] / "deep.git"), "again"),
    "clone that is not ignored": lambda tree: clone_within(tree, "nested"),
    "sub: push": lambda tree: run(tree / "sub", "push", "-q", "origin", f"HEAD:refs/heads/p{time.time_ns()}"),
    "clone: push": lambda tree: run(tree / "ignored", "push", "-q", "origin", f"HEAD:refs/heads/p{time.time_ns()}"),
    "update": lambda tree: run(tree, "submodule", "-q", "update", "--recursive"),
    "deinit": lambda tree: run(tree, "submodule", "-q", "deinit", "-f", "sub"),
    "record": lambda tree: run(tree, "commit", "-qam", "Move the submodule"),
    "push": lambda tree: run(tree, "push", "-q", "origin", f"HEAD:refs/heads/p{time.time_ns()}"),
    "changed": lambda tree: (tree / "README").write_text("changed\n"),
    "ignore": lambda tree: run(tree, "config", "submodule.sub.ignore", "all"),
}


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.sampled_from(sorted(STEPS)), max_size=5), force=st.booleans())
def test_destroy_never_loses_a_commit_or_a_byte_of_a_repository_within(
    modular: Stage, steps: list[str], force: bool
) -> None:
    source = repositories.at_path(modular.name, str(modular.repository))
    name = f"s{time.time_ns()}"
    path = modular.directory / "worktrees" / name
    run(modular.repository, "worktree", "add", "-q", "-b", f"own/{name}", str(path))
    run(path, "submodule", "-q", "update", "--init", "--recursive")
    done = []
    for step in steps:
        try:
            STEPS[step](path)
            done.append(step)
        except (AssertionError, OSError):
            continue  # git does not do that after the steps before it
    files, commits = contents(path)
    try:
        if force:
            kept = inner_rescue.rescue_all(source, str(path), f"own/{name}", name)
            assert not kept.left_out and not kept.refused, done
        removal.remove(source, str(path), f"own/{name}", modular.ws.paths, force=force)
    except KugetsuError as refusal:
        assert not force, (done, refusal)
        assert contents(path) == (files, commits), done
        return
    assert not path.exists()
    blobs, known = safe(modular)
    assert files <= blobs, (done, files - blobs)
    assert commits <= known, (done, commits - known)
