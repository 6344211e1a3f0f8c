"""Clean checkouts for a while: of the commit itself, and gone afterwards, whatever happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kugetsu.host.paths import Paths
from kugetsu.model.errors import GitFailed
from kugetsu.runtime.git import scratch
from kugetsu.runtime.process.lease import Lease
from runtime.repos import Place, place, run

__all__ = ["place"]


@pytest.fixture
def clone(place: Place) -> Path:
    """A repository with one commit."""
    place.fill()
    return place.clone


@pytest.fixture
def paths(place: Place) -> Paths:
    """An empty KUGETSU_DIR."""
    return place.paths


@pytest.fixture
def held(paths: Paths) -> Iterator[Lease]:
    """A lease that is held."""
    lease = Lease.create(paths.leases)
    yield lease
    lease.close()


def test_it_has_the_commit_and_nothing_of_the_worktree(clone: Path, paths: Paths, held: Lease) -> None:
    head = run(clone, "rev-parse", "HEAD")
    (clone / "untracked").write_text("mine")
    tracked = run(clone, "ls-files").splitlines()
    (clone / tracked[0]).write_text("changed")
    (clone / ".git" / "hooks").mkdir(exist_ok=True)
    hook = clone / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch by-hook\n")
    hook.chmod(0o755)
    with scratch.checkout(paths, str(clone), head, held.nonce, "head") as path:
        assert sorted(name.name for name in Path(path).iterdir()) == sorted({".git", *tracked}), "also no hook ran"
        assert (Path(path) / tracked[0]).read_text() != "changed"
        assert run(Path(path), "rev-parse", "HEAD^{tree}") == scratch.tree_of(str(clone), head)
        locked = Path(path) / "cache"
        locked.mkdir()
        (locked / "file").touch()
        locked.chmod(0o500)
    assert not Path(paths.scratch, held.nonce).exists()
    assert run(clone, "worktree", "list").count("\n") == 0, "and git has no record of it"


def test_what_a_killed_owner_left_is_found_and_removed(clone: Path, paths: Paths) -> None:
    head = run(clone, "rev-parse", "HEAD")
    lease = Lease.create(paths.leases)
    kept = scratch.checkout(paths, str(clone), head, lease.nonce, "head")
    path = kept.__enter__()
    assert scratch.left_over(paths, ()) == [], "its owner lives"
    lease.close()
    assert scratch.left_over(paths, ()) == [lease.nonce]
    assert scratch.left_over(paths, {lease.nonce}) == [], "that of an attempt goes when this is settled"
    (Path(path) / ".git").unlink()
    assert scratch.remove(paths, lease.nonce)
    assert scratch.left_over(paths, ()) == []
    assert run(clone, "worktree", "list").count("\n") == 0


def test_a_commit_that_is_not_there_leaves_nothing(clone: Path, paths: Paths, held: Lease) -> None:
    with pytest.raises(GitFailed), scratch.checkout(paths, str(clone), "0" * 40, held.nonce, "head"):
        pass
    assert not Path(paths.scratch, held.nonce).exists()


def test_what_an_agent_had_git_replace_is_not_seen(clone: Path, paths: Paths, held: Lease) -> None:
    head = run(clone, "rev-parse", "HEAD")
    (clone / "good").touch()
    run(clone, "add", "good")
    run(clone, "commit", "-qm", "another")
    run(clone, "replace", head, run(clone, "commit-tree", "HEAD^{tree}", "-m", "instead"))
    with scratch.checkout(paths, str(clone), head, held.nonce, "head") as path:
        assert not (Path(path) / "good").exists()
