"""Repositories in formats that git's own files do not show, or that a strict configuration guards."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kugetsu.runtime.git import (
    checkouts,
    evidence,
    integrity,
    interrupted_checkout,
    refs,
    removal,
    repositories,
    rescue,
    worktrees,
)
from runtime.repos import Place, commit, place, run, sample

__all__ = ["place", "sample"]

URL = "host/shoko/sample"


def _cloned(place: Place) -> repositories.Repository:
    registered = {URL: {"url": f"file://{place.remote}"}}
    return repositories.resolve(URL, place.paths, registered=registered)


def _fill(place: Place, *options: str) -> None:
    """A remote of that format, with a first commit."""
    first = place.root / "first"
    done = subprocess.run(["git", "init", "-q", "-b", "trunk", *options, str(first)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this git does not know {' '.join(options)}")
    commit(first, "README")
    place.remote.parent.mkdir(parents=True)
    run(place.root, "clone", "-q", "--bare", f"file://{first}", str(place.remote))
    run(place.root, "clone", "-q", f"file://{place.remote}", str(place.clone))


def _life(repository: repositories.Repository, place: Place) -> None:
    """A worktree from its making to its end."""
    made = worktrees.ensure(repository, place.paths.worktree("w"), "fix/issue-1", place.paths)
    assert (made.branch, made.base_branch, made.created) == ("fix/issue-1", "trunk", True)
    head = commit(Path(made.path), "work")
    again = worktrees.ensure(repository, made.path, "fix/issue-1", place.paths)
    assert (again.branch, again.base_branch, again.base_commit) == ("fix/issue-1", "trunk", made.base_commit)
    seen = evidence.collect(made.path, made.base_commit, made.branch, repository_path=repository.path)
    assert (seen.branch, seen.head, seen.commits, seen.problem) == ("fix/issue-1", head, 1, None)
    (Path(made.path) / "README").write_text("changed\n")
    run(Path(made.path), "stash", "-q")
    assert subprocess.run(["git", "cherry-pick", "stash@{0}^2"], cwd=made.path, capture_output=True, check=False)
    (Path(made.path) / "new").write_text("x\n")
    kept = rescue.rescue(made.path, "q1.1", branch=made.branch)
    assert kept is not None and run(Path(repository.path), "cat-file", "-t", kept.commit) == "commit"
    assert removal.why_keep(made.path, made.branch, repository)
    assert removal.remove(repository, made.path, made.branch, place.paths, force=True)
    assert removal.has_branch(repository, "fix/issue-1")


def test_a_remote_with_sha256_objects_is_cloned_in_its_format(place: Place) -> None:
    _fill(place, "--object-format=sha256")
    repository = _cloned(place)
    assert run(Path(repository.path), "rev-parse", "--show-object-format") == "sha256"
    _life(repository, place)


def test_a_clone_in_the_reftable_format_is_worked_with(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DEFAULT_REF_FORMAT", "reftable")
    _fill(place, "--ref-format=reftable")
    assert refs.symbolic_ref(str(place.clone / ".git")) == "refs/heads/trunk"
    _life(repositories.at_path("local/work/sample", str(place.clone)), place)
    _life(_cloned(place), place)


def test_an_operation_that_a_table_of_refs_holds_is_seen(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from kugetsu.runtime.git.changes import operation

    monkeypatch.setenv("GIT_DEFAULT_REF_FORMAT", "reftable")
    _fill(place, "--ref-format=reftable")
    clone = place.clone
    run(clone, "switch", "-q", "-c", "other")
    theirs = commit(clone, "README", "theirs\n")
    run(clone, "switch", "-q", "trunk")
    commit(clone, "README", "ours\n")
    subprocess.run(["git", "cherry-pick", theirs], cwd=clone, capture_output=True, check=False)
    assert operation(str(clone / ".git")) == "cherry-pick"
    run(clone, "worktree", "add", "-q", "--detach", "../detached", theirs)
    assert refs.symbolic_ref(checkouts.git_dir_of(str(clone.parent / "detached")) or "") is None


def test_a_head_that_names_no_branch_is_asked_of_git(sample: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file of the reftable format looks like, where git has none: its answer is what counts."""
    git_dir = sample.clone / ".git"
    (git_dir / "reftable").mkdir()
    (git_dir / "HEAD").write_text("ref: refs/heads/.invalid\n")
    program = sample.root / "bin" / "git"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\ncase " $* " in *" symbolic-ref "*) echo refs/heads/main ;; *) exit 1 ;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    assert refs.symbolic_ref(str(git_dir)) == "refs/heads/main"


def test_own_bare_clones_work_where_bare_repositories_must_be_named(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(place)
    run(place.root, "config", "--global", "safe.bareRepository", "explicit")
    repository = _cloned(place)
    made = worktrees.ensure(repository, place.paths.worktree("w"), "fix/issue-1", place.paths)
    assert made.fetched, made.why_not_fetched
    commit(Path(made.path), "work")
    assert evidence.collect(made.path, made.base_commit, made.branch, repository_path=repository.path).commits == 1
    assert removal.why_keep(made.path, made.branch, repository)
    assert removal.remove(repository, made.path, made.branch, place.paths, force=True)


def test_the_clone_has_the_remotes_branches_and_none_of_its_own(place: Place) -> None:
    _fill(place)
    run(place.clone, "push", "-q", "origin", "trunk:further")
    run(place.root, "config", "--global", "clone.defaultRemoteName", "elsewhere")
    path = Path(_cloned(place).path)
    refs = run(path, "for-each-ref", "--format=%(refname)").split()
    assert refs == ["refs/remotes/origin/HEAD", "refs/remotes/origin/further", "refs/remotes/origin/trunk"]
    assert run(path, "rev-parse", "--is-bare-repository") == "true"
    assert run(path, "config", "remote.origin.fetch") == "+refs/heads/*:refs/remotes/origin/*"
    assert not list(path.parent.glob(".*"))


def _relative(repository: repositories.Repository, path: str) -> str:
    """Makes the two pointers between a worktree and its record relative, as worktree.useRelativePaths does."""
    import os

    admin = interrupted_checkout.admin_folder(repository.common_dir, path)
    assert admin is not None
    Path(path, ".git").write_text(f"gitdir: {os.path.relpath(admin, path)}\n")
    Path(admin, "gitdir").write_text(os.path.relpath(path + "/.git", admin) + "\n")
    return admin


def test_a_worktree_with_relative_paths_is_known_by_its_record(
    sample: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repository = repositories.at_path(sample.name, str(sample.clone))
    made = worktrees.ensure(repository, sample.paths.worktree("w"), "fix/issue-1", sample.paths)
    admin = _relative(repository, made.path)
    monkeypatch.chdir(tmp_path)
    assert interrupted_checkout.admin_folder(repository.common_dir, made.path) == admin
    assert integrity.fault(repository.path, made.path) is None
    assert worktrees.ensure(repository, made.path, "fix/issue-1", sample.paths).created is False
    commit(Path(made.path))
    assert removal.why_keep(made.path, "fix/issue-1", repository) == ["1 commit that no other branch has"]
    Path(made.path, ".git").unlink()
    assert integrity.repair(repository.path, made.path) == "its .git file is gone"
    assert removal.why_keep(made.path, "fix/issue-1", repository) == ["1 commit that no other branch has"]
