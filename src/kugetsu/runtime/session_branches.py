"""The branches that a session had in a worktree of this host, by the log: after a merged one it has a fresh one."""

from __future__ import annotations

from kugetsu.runtime import host_id
from kugetsu.runtime.git import integrity
from kugetsu.runtime.git.only_here import Base
from kugetsu.runtime.workspace import Workspace


def prepared(ws: Workspace, session: str, worktree: str) -> tuple[list[Base], str]:
    """Where each branch began that the session had in this worktree, and the clone that this is of."""
    bases: dict[str, Base] = {}
    source: str | None = None
    for event in ws.log.read_key(session):
        data = event["data"]
        if event["type"] != "session.prepared" or data["worktree"] != worktree:
            continue
        if host_id.is_own(ws, data.get("host")):
            source, branch = data["source"] or source, data["branch"]
            if branch:
                base = Base(branch, data["base_branch"] or "", data["base_commit"] or "")
                bases.setdefault(branch, base)
    if source is None or not integrity.is_repository(source):
        source = worktree  # git knows where a clone is that was moved
    return [*bases.values()], source
