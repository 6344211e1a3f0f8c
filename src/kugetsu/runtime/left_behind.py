"""Work that this host has in worktrees whose sessions live on other hosts by now: it was lost, and is there again."""

from __future__ import annotations

import os

from kugetsu.domain.decide import hosts as decide
from kugetsu.domain.events.hosts import LeftWork
from kugetsu.domain.state import Host, State
from kugetsu.model.errors import KugetsuError
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id
from kugetsu.runtime.git import command, rescue
from kugetsu.runtime.process import lease
from kugetsu.runtime.workspace import Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_REASON_LENGTH = 300


def keep(ws: Workspace, state: State, done: set[str]) -> list[LeftWork]:
    """Put what is only in such worktrees on rescue branches, and record it (`host.returned`); the worktrees stay.

    ``done``: those that were looked at before, by which each is looked at once.
    """
    host = state.hosts.get(host_id.own(ws)) if state.hosts else None
    if host is None or not host.takes_part:
        return []
    found = []
    for worktree, left in host.left_behind.items():
        if worktree not in done and not _is_at_work(ws, host, left["session"]):
            done.add(worktree)
            found.append(_kept(worktree, left, host.term))
    if found:
        known, term = host.id, host.term
        ws.log.transact(lambda _: [decide.returned(known, term, [dict(one) for one in found])])
    return found


def _is_at_work(ws: Workspace, host: Host, session: str) -> bool:
    """Whether an attempt that was given away still has processes in the session's worktree."""
    for attempt_id, gone in host.away.items():
        if gone["session"] == session:
            for event in ws.log.read_key(gone["task"]):
                claimed = event["type"] == "attempt.claimed" and event.get("attempt") == attempt_id
                if claimed and lease.alive(ws.paths.leases, event["data"]["lease"]):
                    return True
    return False


def _kept(worktree: str, left: dict[str, Any], term: int) -> LeftWork:
    found: LeftWork = {
        "session": left["session"],
        "worktree": worktree,
        "branch": left["branch"],
        "head": left["head"],
        "commits": 0,
        "rescue": None,
        "pushed": False,
    }
    if not os.path.isdir(worktree):
        found["problem"] = "the worktree is gone"
        return found
    try:
        name = f"issue-{left['session'].rpartition('#')[2]}-term-{term}"
        made = rescue.rescue(worktree, name, branch=left["branch"] or "")
        if made is not None:
            only_here = command.git(["rev-list", "--count", made.commit, "--not", "--remotes"], worktree)
            found |= {"rescue": made.branch, "head": made.commit, "commits": int(only_here)}
    except (KugetsuError, OSError) as problem:
        found |= {"commits": 1, "problem": redact(str(problem), limit=_REASON_LENGTH)}  # one at least may be there
    return found
