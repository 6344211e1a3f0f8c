"""What can go, determined without changing anything."""

from __future__ import annotations

import os
import time

from kugetsu.domain.state import State
from kugetsu.runtime.folders import names
from kugetsu.runtime.forges import Forges
from kugetsu.runtime.git import scratch
from kugetsu.runtime.process import lease, named_lease
from kugetsu.runtime.prune import folders, sessions
from kugetsu.runtime.prune.model import Item, Plan
from kugetsu.runtime.runner import findings
from kugetsu.runtime.workspace import Workspace

LEASE_SECONDS = 3600.0
"""Age from which a lease's file can go: one that is being created must stay."""


def plan(ws: Workspace, *, runs: bool = False) -> Plan:
    """Everything that can go, and everything that stays with its reasons; ``runs``: transcripts of old runs too.

    Takes as long as git needs for each worktree, and at most FORGE_TIMEOUT_SECONDS per question to a forge; one that
    does not answer is asked once.
    """
    state = ws.state()
    found = Plan()
    forges = Forges(ws)
    sessions.add_sessions(ws, state, forges, found)
    folders.add_folders(ws, state, forges, found)
    folders.add_registrations(ws, state, found)
    _checkouts(ws, state, found)
    _leases(ws, state, found)
    if runs:
        _runs(ws, state, found)
    return found


def _checkouts(ws: Workspace, state: State, found: Plan) -> None:
    """Clean checkouts whose owner was killed; those of attempts go when these are settled."""
    left = [f"{ws.paths.scratch}/{nonce}" for nonce in scratch.left_over(ws.paths, state.leases())]
    if left:
        reason = "left by a verification that was killed"
        found.items.append(Item("checkout", f"{len(left)} in {ws.paths.scratch}", left, reason, group=reason))


def _leases(ws: Workspace, state: State, found: Plan) -> None:
    """Files that are not locked and belong to no live attempt. The daemon's and those with fixed names stay."""
    named = state.leases() | {*named_lease.FIXED}
    free = []
    for name in names(ws.paths.leases):
        path = ws.paths.lease(name)
        old = _age(path) > LEASE_SECONDS and os.path.isfile(path) and not os.path.islink(path)
        if name[0] != "." and name not in named and old and not lease.alive(ws.paths.leases, name):
            free.append(path)
    if free:
        found.items.append(Item("lease", f"{len(free)} in {ws.paths.leases}", free, "not in use", group="not in use"))


def _runs(ws: Workspace, state: State, found: Plan) -> None:
    """Folders of attempts whose task is retired, unchanged for QUEUE_CLEANUP_AGE_DAYS."""
    days = ws.config.number("QUEUE_CLEANUP_AGE_DAYS")
    old = []
    for name in names(ws.paths.runs):
        task, dot, number = name.partition(".")
        path = ws.paths.run(name)
        ours = dot and number.isdigit() and task[:1] == "q" and task[1:].isdigit() and not os.path.islink(path)
        if ours and task not in state.tasks and _latest_age(path) > days * 86_400:
            kept = findings.written(ws.paths, name)
            if kept is None:
                old.append(path)
            else:
                found.keep("run", path, f"it holds findings: {kept}", group="it holds findings")
    if old:
        reason = f"their tasks are retired, and they are older than {days:g} {'day' if days == 1 else 'days'}"
        found.items.append(Item("run", f"{len(old)} in {ws.paths.runs}", old, reason, group="old and retired"))


def _age(path: str) -> float:
    """Seconds since it was changed; 0 if it is gone."""
    try:
        return time.time() - os.lstat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _latest_age(folder: str) -> float:
    """Seconds since the folder, or anything directly in it, was changed."""
    return min((_age(path) for path in (folder, *(f"{folder}/{name}" for name in names(folder)))), default=0.0)
