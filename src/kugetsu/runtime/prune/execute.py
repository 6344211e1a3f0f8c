"""Remove what a plan lists: each item is decided again, and one that fails does not stop the others."""

from __future__ import annotations

import os
import shutil
from typing import Any

from kugetsu.domain.new_event import NewEvent
from kugetsu.model.errors import Conflict, KugetsuError, LogDamaged, LogWriteFailed, NotFound
from kugetsu.runtime import destroy, scratch_lease
from kugetsu.runtime.git import interrupted_checkout, removal, repositories
from kugetsu.runtime.git.command import git
from kugetsu.runtime.process import lease
from kugetsu.runtime.prune import folders
from kugetsu.runtime.prune.model import FAILED, IN_USE, KINDS, Item, Kept, Plan, claimed_folders
from kugetsu.runtime.runner import temp_folders
from kugetsu.runtime.workspace import Workspace


class Outcome:
    """What was removed, with the seq of the event that records it, and what stayed."""

    def __init__(self) -> None:
        self.removed: list[tuple[Item, int]] = []
        self.kept: list[Kept] = []


def carry_out(ws: Workspace, plan: Plan) -> Outcome:
    """Remove the plan's items. Raises LogWriteFailed and LogDamaged: what cannot be recorded is not done."""
    outcome = Outcome()
    # One after the other: two at once would both claim to have removed the same thing.
    with repositories.locked(ws.paths, "prune"):
        for item in sorted(plan.items, key=lambda item: KINDS.index(item.kind)):
            try:
                outcome.removed.append((item, _remove(ws, item)))
            except (LogWriteFailed, LogDamaged):
                raise
            except NotFound:
                continue  # already removed
            except (KugetsuError, OSError) as problem:
                changed = isinstance(problem, Conflict)
                refused = isinstance(problem, KugetsuError) and problem.refusal is not None
                reason = "it has come into use since" if refused else str(problem)
                group = IN_USE if changed else FAILED
                outcome.kept.append(Kept(item.kind, item.subject, [reason], group=group, failed=not changed))
    return outcome


def _remove(ws: Workspace, item: Item) -> int:
    """The seq of the event that records the removal.

    Raises Conflict if the item must stay after all, NotFound if it is gone: then nothing is recorded.
    """
    if item.kind == "session":
        reason = f"prune: {item.reason}"
        event = destroy.destroy(ws, item.subject, force=False, reason=reason, strict=True, known=item.known)
        return int(event["seq"])
    if item.kind == "worktree":
        return _remove_worktree(ws, item)
    if item.kind == "registration":
        return _remove_registration(ws, item)
    item.paths = [path for path in item.paths if os.path.lexists(path)]
    _require_there(item)
    return _recorded(ws, item, lambda: _remove_files(ws, item))


def _require_there(item: Item) -> None:
    if not any(os.path.lexists(path) for path in item.paths):
        raise NotFound(f"{item.subject} is already gone")


def _remove_worktree(ws: Workspace, item: Item) -> int:
    repository, path = item.repository, item.paths[0]
    assert repository is not None
    with repositories.locked(ws.paths, repository.common_dir):
        _require_unclaimed(ws, path)
        _require_there(item)
        branch = folders.branch_of(path, repository)
        care = folders.care_of(ws)
        reasons = folders.why_keep(ws, path, branch, repository, item.moved)
        if reasons:
            raise Conflict(f"it has {'; '.join(reasons)}")

        def remove() -> None:
            removal.remove_locked(repository, path, branch, care=care)

        return _recorded(ws, item, remove)


def _remove_registration(ws: Workspace, item: Item) -> int:
    repository, path = item.repository, item.paths[0]
    assert repository is not None
    with repositories.locked(ws.paths, repository.common_dir):
        _require_unclaimed(ws, path)
        if os.path.lexists(path):
            raise Conflict("it exists again")
        if interrupted_checkout.admin_folder(repository.common_dir, path) is None:
            raise NotFound(f"git no longer has a record of {path}")
        return _recorded(ws, item, lambda: _forget(repository.path, path))


def _forget(repository: str, path: str) -> None:
    # Not `git worktree prune`: that forgets every worktree that is away, also the user's on a disk that is not mounted.
    git(["worktree", "remove", path], repository)


def _require_unclaimed(ws: Workspace, path: str) -> None:
    """Raise Conflict if a session has taken the folder since the plan was made."""
    if os.path.realpath(path) in claimed_folders(ws, ws.state()):
        raise Conflict("a session uses it now")


def _remove_files(ws: Workspace, item: Item) -> None:
    for path in item.paths:
        if item.kind == "lease":
            lease.forget(ws.paths.leases, os.path.basename(path))  # it stays if it was taken since the plan
        elif item.kind == "checkout":
            _remove_checkout(ws, path)
        elif os.path.isdir(path) and not os.path.islink(path):
            if item.kind == "run" and not temp_folders.remove(ws.paths, os.path.basename(path)):
                raise Conflict(f"its temporary folder {temp_folders.left(ws.paths, os.path.basename(path))} stays")
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)


def _remove_checkout(ws: Workspace, path: str) -> None:
    if lease.alive(ws.paths.leases, os.path.basename(path)):
        raise Conflict("it is in use")
    if not scratch_lease.forget(ws, os.path.basename(path)):
        raise KugetsuError(f"{path} cannot be removed", f"find what is mounted there: findmnt | grep {path}")


def _recorded(ws: Workspace, item: Item, effect: Any) -> int:
    """Record intent, do it, record the outcome; returns the outcome's seq."""
    data = {"what": item.kind, "paths": item.paths, "reason": item.reason}
    intent = ws.log.append([NewEvent("files.pruning", data)])[0]["seq"]
    effect()
    return int(ws.log.append([NewEvent("files.pruned", data, cause=intent)])[0]["seq"])
