"""Commits in another checkout count as a run's when its commands made them there, and the user's never do."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kugetsu.agents.commands import Command
from kugetsu.runtime.git import elsewhere
from runtime.repos import Place, commit, place, run, sample

__all__ = ["place", "sample"]

SHELL = Command("make test", 0, "ok\n")


@pytest.fixture
def worktree(sample: Place) -> Path:
    """A worktree of the clone, in which a run began long ago."""
    path = sample.root / "worktrees" / "issue-1"
    run(sample.clone, "worktree", "add", "-q", "-b", "fix/issue-1", str(path))
    return path


def found(worktree: Path, *commands: Command, began: float = 0.0, others: tuple[Path, ...] = ()) -> str | None:
    return elsewhere.checkout_of(
        str(worktree), began, time.time() + 1, commands, others=[str(other) for other in others]
    )


LINES = {
    "cd {clone} && git add -A && git commit -qm x": True,
    "cd '{clone}'; git commit -qm x": True,
    "git -C {clone} commit -qm x": True,
    "git -C ../../work/sample commit -qm x": True,
    "cd ~/../work/sample && git pull -q": True,
    "cd {clone} && git log --oneline": False,
    "git -C {clone} status": False,
    "git commit -qm x": False,
    "cat {clone}/README": False,
}


@pytest.mark.parametrize("line", LINES)
def test_the_recorded_commands_decide_whose_commit_it_is(sample: Place, worktree: Path, line: str) -> None:
    commit(sample.clone, "misplaced")
    command = Command(line.format(clone=sample.clone), 0)
    assert found(worktree, SHELL, command) == (str(sample.clone) if LINES[line] else None)


def test_a_commit_that_a_command_printed_is_the_runs(sample: Place, worktree: Path) -> None:
    made = commit(sample.clone, "misplaced")
    assert found(worktree, Command("./release.sh", 0, f"[main {made[:7]}] change\n")) == str(sample.clone)
    assert found(worktree, Command("./release.sh", 0, "[main 0000000] change\n")) is None


def test_another_repository_counts_where_a_command_committed(sample: Place, worktree: Path) -> None:
    other = sample.root / "other"
    run(sample.root, "clone", "-q", str(sample.remote), str(other))
    commit(other, "misplaced")
    assert found(worktree, SHELL) is None
    assert found(worktree, Command("git commit -qm x", 0, folder=str(other))) == str(other)


def test_a_repository_that_goes_with_the_run_is_none(sample: Place, worktree: Path) -> None:
    tried = sample.root / "temp" / "tried"
    run(sample.root, "clone", "-q", str(sample.remote), str(tried))
    commit(tried, "a trial")
    command = Command("git commit -qm x", 0, folder=str(tried))
    began, ended = 0.0, time.time() + 1
    folders = {str(sample.root / "temp"): None, str(sample.root / "tem"): str(tried), None: str(tried)}
    for passing, expected in folders.items():
        seen = elsewhere.checkout_of(str(worktree), began, ended, [command], others=(), passing=passing)
        assert seen == expected


def test_without_records_every_checkout_of_the_repository_counts(sample: Place, worktree: Path) -> None:
    assert found(worktree, began=time.time() + 1) is None
    linked = sample.root / "linked"
    run(sample.clone, "worktree", "add", "-q", str(linked))
    commit(worktree, "own work")
    commit(linked, "misplaced")
    assert found(worktree, others=(sample.clone,)) == str(linked)
    assert found(worktree, others=(sample.clone, linked)) is None


def test_only_what_was_made_while_it_ran_counts(sample: Place, worktree: Path) -> None:
    commit(sample.clone, "misplaced")
    here = Command(f"git -C {sample.clone} commit", 0)
    assert found(worktree, here, began=time.time() + 5) is None
    run(sample.clone, "switch", "-q", "-c", "other")
    run(sample.clone, "reset", "-q", "--hard", "HEAD~1")
    assert found(worktree, here, began=time.time() + 5) is None
    assert found(sample.root / "gone", here) is None
