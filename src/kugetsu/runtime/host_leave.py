"""A host leaves the log that it shares, for good or until it joins again; its sessions are prepared elsewhere then."""

from __future__ import annotations

import os

from kugetsu.domain.decide import hosts as decide
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Host, Session, State
from kugetsu.model.errors import Conflict, KugetsuError
from kugetsu.model.plural import counted
from kugetsu.runtime import daemon_control, host_lease, liveness, membership, session_branches
from kugetsu.runtime.git import inner, interrupted_checkout, repositories
from kugetsu.runtime.git.changes import changed_files
from kugetsu.runtime.git.only_here import OnlyHere
from kugetsu.runtime.git.published import commits_of_no_remote
from kugetsu.runtime.workspace import Workspace


def leave(ws: Workspace, *, force: bool) -> tuple[Host, bool]:
    """Let this host leave, and stop its daemon; the host, and whether it had not left before.

    From the append on nothing starts here, so that a command that is killed after it needs no second one: the daemon
    reads it and ends. Raises Conflict while an agent or a person works here and, without ``force``, while a session has
    work that no remote has; NotFound, LogUnreachable.
    """
    liveness.require_original(ws.paths, ws.state())
    host = membership.find(ws, None)
    now = host.takes_part
    if now:

        def left(state: State) -> list[NewEvent]:
            return decide.leave(state, host.id, state.hosts[host.id].term, "it left")

        if not force:
            left(ws.state())  # refused while somebody works here: only then it is time to push
            _require_pushed(ws, ws.state(), host)
        ws.log.transact(left)
    elif host.state == "lost":
        raise Conflict(f"host {host.name} was lost, and takes part no more", "to take part again: kugetsu host join")
    daemon_control.stop(ws, drain=False)
    host_lease.forget(ws.paths.leases)
    return host, now


def _require_pushed(ws: Workspace, state: State, host: Host) -> None:
    found: dict[str, str] = {}
    for session in state.sessions.values():
        if session.kind == "issue" and session.host == host.id:
            reasons = _only_here(ws, session)
            if reasons:
                found[session.key] = f"{session.key} has {' and '.join(reasons)}"
    if found:
        raise Conflict(
            f"work of {counted(len(found), 'session')} is only on this host: {'; '.join([*found.values()][:3])}"
            + (f"; and {len(found) - 3} more" if len(found) > 3 else ""),
            f"push it (kugetsu open --path {next(iter(found))} names the folder), or leave without it: "
            "kugetsu host leave --force   (the worktrees stay)",
        )


def _only_here(ws: Workspace, session: Session) -> list[str]:
    """What the session's worktree, and its other branches in the clone, have that no remote has."""
    path = session.worktree
    if path is None:
        return []
    try:
        bases, source = session_branches.prepared(ws, session.key, path)
        if not os.path.isdir(path) and source == path:
            return []
        clone = repositories.at_path(session.repository or "", source, ws.config.servers())
        changed, commits, within = 0, 0, list[str]()
        if os.path.isdir(path):
            changed = len(changed_files(path))
            if session.review != "merged":
                commits = commits_of_no_remote(path, session.branch or "", clone.path)
            within = inner.why_keep(inner.find(path, interrupted_checkout.admin_folder(clone.common_dir, path)))
        others = OnlyHere(clone, path, "").other_branches(session.branch or "", bases)
        if session.review == "merged":
            others = [(name, tip) for name, tip in others if name != session.branch]
    except KugetsuError as problem:
        return [f"a worktree that cannot be examined ({problem.message})"]
    found = [counted(changed, "uncommitted change")] * bool(changed) + [counted(commits, "commit")] * bool(commits)
    return [*found, *within, *(f"commits on its branch {name}" for name, _ in others)]
