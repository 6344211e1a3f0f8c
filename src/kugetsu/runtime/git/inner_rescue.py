"""Move the work of repositories within a worktree into its clone, onto one rescue branch each.

The branch `kugetsu/rescue/<name>.<path>` reaches everything only that repository has: uncommitted files, branches,
stash. The repository itself only gains objects.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field

from kugetsu.host import run_files
from kugetsu.model.errors import GitFailed, KugetsuError
from kugetsu.runtime.git import checkouts, interrupted_checkout, rescue
from kugetsu.runtime.git.command import ask, commit_of, git
from kugetsu.runtime.git.inner import Inner, Work, examine, find
from kugetsu.runtime.git.repositories import Repository

FETCH_TIMEOUT = 600.0
"""Seconds to copy a repository's objects: it may be as large as the project."""

_COMPLETE = "kugetsu-rescued"  # in git's record of a worktree
_LONGEST = 100  # characters of the path that a branch's name keeps


@dataclass(slots=True)
class Kept:
    """The branches with the work of a worktree and of repositories in it, its own first.

    `left_out`: what of the worktree git could not take in (`rescue.Rescue`); `refused`: repositories whose work cannot
    be moved, with the reasons.
    """

    branches: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def all_left_out(self) -> list[str]:
        """Everything whose work is on none of the branches."""
        return self.left_out + self.refused


def rescue_all(repository: Repository, path: str, branch: str, name: str) -> Kept:
    """Put the work of the worktree at `path` (`rescue.rescue`) and of every repository in it on a branch each.

    Moves what it can, whatever prevents the rest. Raises as `rescue.rescue`.
    """
    admin = interrupted_checkout.admin_folder(repository.common_dir, path)
    within = find(path, admin)
    kept = _rescue(repository.path, within, name)
    own = rescue.rescue(path, name, branch=branch, within=[inner.name for inner in within])
    if own is not None:
        kept.branches.insert(0, own.branch)
        kept.left_out = own.left_out
    return kept


def note_complete(repository: Repository, path: str, name: str) -> None:
    """Record beside the worktree's record that the rescue `name` has all of its work, so that it may be removed.

    git removes the record last. Raises OSError.
    """
    admin = interrupted_checkout.admin_folder(repository.common_dir, path)
    if admin is not None:
        run_files.replace(f"{admin}/{_COMPLETE}", name.encode())


def was_complete(repository: Repository, path: str, name: str) -> bool:
    """Whether `note_complete` recorded the rescue `name`: what a removal then took is safe."""
    admin = interrupted_checkout.admin_folder(repository.common_dir, path)
    return admin is not None and checkouts.read_line(f"{admin}/{_COMPLETE}") == name


def rescue_record(clone: str, path: str, admin: str, name: str) -> Kept:
    """Keep what only `admin`, git's record of a missing worktree, holds: staged files, a detached HEAD, submodules."""
    folder = os.path.realpath(admin)
    record = Inner("", None, folder, os.path.dirname(os.path.dirname(folder)), owned=False)
    return _rescue(clone, [record, *find(path, admin)], name)


def _rescue(clone: str, repositories: list[Inner], name: str) -> Kept:
    kept = Kept()
    for inner in repositories:
        work = examine(inner)
        if work.problem is not None:
            kept.refused.append(f"{inner.name}: {work.problem}")
        elif work:
            try:
                kept.branches.append(_move(clone, inner, work, name))
            except (KugetsuError, OSError) as problem:
                kept.refused.append(f"{inner.name}: {work}, which cannot be moved ({problem})")
    return kept


def _move(clone: str, inner: Inner, work: Work, name: str) -> str:
    """Commit the work, fetch it into the clone, and name it there; the branch."""
    _require_whole_history(clone, inner, work)
    name = f"{name}.{_slug(inner.name)}" if inner.name else name
    commit, tree = _commit(inner, work, name)
    quiet = ["-q", "--no-tags", "--no-auto-gc", "--no-recurse-submodules", "--no-write-fetch-head"]
    # Version 2 gives any commit by its id; settings may have chosen an older one.
    pinned = ["-c", "protocol.version=2", "-c", "protocol.file.allow=always"]
    # `core.worktree` of a submodule that is not checked out names a folder that is missing, which ends git.
    serve = f"--upload-pack=GIT_WORK_TREE={shlex.quote(inner.folder)} git upload-pack"
    git([*pinned, "fetch", *quiet, serve, inner.git_dir, commit], clone, timeout=FETCH_TIMEOUT)
    return rescue.keep(clone, name, commit, tree).branch


def _require_whole_history(clone: str, inner: Inner, work: Work) -> None:
    """Raise GitFailed for a shallow history that the clone cannot complete: the clone would become shallow."""
    beginnings = set(checkouts.read_lines(inner.common_dir + "/shallow"))
    if not beginnings:
        return
    reached = git(["rev-list", *(work.tips or ["HEAD"])], inner.folder, env=inner.env).split()
    for commit in beginnings.intersection(reached):
        if ask(["cat-file", "-e", f"{commit}^{{commit}}"], clone).code != 0:
            raise GitFailed(f"its history is shallow: git -C {inner.folder} fetch --unshallow")


def _commit(inner: Inner, work: Work, name: str) -> tuple[str, str | None]:
    """A commit that reaches all of the work, and its tree; without a tree if that commit existed."""
    if not work.changes and work.operation is None and len(work.tips) == 1:
        return work.tips[0], None
    if inner.top is not None:
        return rescue.commit_everything(inner.top, name, work.tips)
    head = commit_of("HEAD", inner.folder, inner.env)
    parents = [*filter(None, [head]), *(tip for tip in work.tips if tip != head)]
    command = ["write-tree"] if work.changes else ["rev-parse", f"{parents[0]}^{{tree}}"]
    tree = git(command, inner.folder, env=inner.env)
    return rescue.commit(inner.folder, tree, parents, f"kugetsu rescue {name}", env=inner.env), tree


def _slug(path: str) -> str:
    """A path as the last part of a branch's name."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", path).strip("-")[:_LONGEST] or "repository"
