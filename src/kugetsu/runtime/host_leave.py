"""A host leaves the log that it shares, for good or until it joins again; its sessions are prepared elsewhere then."""

from __future__ import annotations

import os

from kugetsu.domain.decide import hosts as decide
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Host, Session, State
from kugetsu.model.errors import Conflict, KugetsuError
from kugetsu.model.plural import counted
from kugetsu.runtime import daemon_control, host_lease, liveness, membership
from kugetsu.runtime.git.changes import changed_files
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
            _require_pushed(ws.state(), host)
        ws.log.transact(left)
    elif host.state == "lost":
        raise Conflict(f"host {host.name} was lost, and takes part no more", "to take part again: kugetsu host join")
    daemon_control.stop(ws, drain=False)
    host_lease.forget(ws.paths.leases)
    return host, now


def _require_pushed(state: State, host: Host) -> None:
    found = []
    for session in state.sessions.values():
        if session.kind == "issue" and session.host == host.id:
            reasons = _only_here(session)
            if reasons:
                found.append(f"{session.key} has {' and '.join(reasons)}")
    if found:
        raise Conflict(
            f"work of {counted(len(found), 'session')} is only on this host: {'; '.join(found[:3])}"
            + (f"; and {len(found) - 3} more" if len(found) > 3 else ""),
            "push it, or leave without it: kugetsu host leave --force   (the worktrees stay)",
        )


def _only_here(session: Session) -> list[str]:
    """What the session's worktree has that no remote has."""
    path = session.worktree
    if path is None or not os.path.isdir(path):
        return []
    try:
        changed = len(changed_files(path))
        merged = session.review == "merged"
        commits = 0 if merged else commits_of_no_remote(path, session.branch or "", session.source or path)
    except KugetsuError as problem:
        return [f"a worktree that cannot be examined ({problem.message})"]
    return [counted(changed, "uncommitted change")] * bool(changed) + [counted(commits, "commit")] * bool(commits)
