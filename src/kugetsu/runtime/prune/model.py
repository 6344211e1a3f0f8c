"""What `prune` finds: what can go, what stays, and the repositories that kugetsu knows."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from kugetsu.domain.state import Session, State
from kugetsu.model.refs import folder_name, parse_ref
from kugetsu.runtime import destroy, host_id
from kugetsu.runtime.git import checkouts
from kugetsu.runtime.git.repositories import Repository
from kugetsu.runtime.workspace import Workspace

KINDS = ("session", "worktree", "registration", "checkout", "lease", "run")
"""In order of removal. A ``worktree`` is a folder without a session, a ``checkout`` one of a verification."""

IN_USE = "in use"
PULL_OPEN = "its pull request is or may be open"
ISSUE_OPEN = "its issue is or may be open"
UNSAVED = "it holds unsaved work"
UNKNOWN = "it cannot be examined"
ELSEWHERE = "its worktree lies elsewhere"
FAILED = "its removal failed"
NO_WORKTREE = "not a worktree of a known repository"
"""The reasons that things which stay have in common."""


@dataclass(slots=True)
class Item:
    """One thing that can go. ``group`` is the reason that it shares with others. ``known`` is what was seen of a
    session's work, ``repository`` whose worktree it is, ``moved`` the session that it had, on another host by now."""

    kind: str
    subject: str
    paths: list[str]
    reason: str
    _: KW_ONLY
    group: str
    known: destroy.Known | None = None
    repository: Repository | None = None
    moved: Session | None = None

    def as_data(self) -> dict[str, Any]:
        """For --json."""
        named = {"kind": self.kind, "subject": self.subject, "group": self.group}
        return {**named, "paths": self.paths, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing that stays, with each reason. ``group`` is the reason that it shares with others. ``failed``: its
    removal was tried; ``unqueried``: nobody knows whether it can go, because its server may not be contacted."""

    kind: str
    subject: str
    reasons: list[str]
    _: KW_ONLY
    group: str
    failed: bool = False
    unqueried: bool = False

    def as_data(self) -> dict[str, Any]:
        """For --json."""
        return {"kind": self.kind, "subject": self.subject, "group": self.group, "reasons": self.reasons}


@dataclass(slots=True)
class Plan:
    """What can go and what stays."""

    items: list[Item] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)

    def keep(self, kind: str, subject: str, *reasons: str, group: str, unqueried: bool = False) -> None:
        """Note that it stays."""
        self.kept.append(Kept(kind, subject, list(reasons), group=group, unqueried=unqueried))


@dataclass(slots=True)
class Known:
    """A repository that kugetsu knows, and every `host/owner/repo` it goes by (such as a fork and its origin)."""

    repository: Repository
    names: list[str] = field(default_factory=list)


def known_repositories(ws: Workspace, state: State) -> dict[str, Known]:
    """The repositories of worktrees, by the real path of their git folder: registered clones, sources of sessions, and
    kugetsu's bare clones."""
    places = [(name, place["path"]) for name, place in host_id.repositories(ws, state).items() if "path" in place]
    own = [session for session in state.sessions.values() if host_id.is_own(ws, session.host)]
    places += [(session.repository or "", session.source) for session in own if session.source]
    places += _own_clones(ws.paths.repositories)
    found: dict[str, Known] = {}
    for name, path in places:
        checkout = checkouts.find(path) if name and os.path.isdir(path) else None
        if checkout is not None:
            common_dir = os.path.realpath(checkout.common_dir)
            known = found.setdefault(common_dir, Known(Repository(name, checkout.home, common_dir, None)))
            known.names += [name] if name not in known.names else []
    return found


def _own_clones(folder: str) -> list[tuple[str, str]]:
    """`host/owner/repo` and the path of the bare clones below `repositories/`."""
    found = []
    for host in _folders(folder):
        for owner in _folders(f"{folder}/{host}"):
            found += _clones_below(f"{folder}/{host}/{owner}", f"{host}/{owner}")
    return found


def _clones_below(folder: str, owner: str) -> list[tuple[str, str]]:
    """The bare clones of an owner and its groups: a folder `….git` is a clone, any other a group."""
    found = []
    for name in _folders(folder):
        if name.startswith("."):
            continue
        if name.endswith(".git"):
            found.append((f"{owner}/{name.removesuffix('.git')}", f"{folder}/{name}"))
        else:
            found += _clones_below(f"{folder}/{name}", f"{owner}/{name}")
    return found


def _folders(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def claimed_folders(ws: Workspace, state: State) -> set[str]:
    """The real paths of the worktrees that sessions have on this host, or that running and waiting tasks would
    create."""
    own = [session for session in state.sessions.values() if host_id.is_own(ws, session.host)]
    issues = {session.key for session in own if session.kind == "issue"}
    issues |= {task.issue for task in state.tasks.values() if task.issue and task.id not in state.finished}
    paths = [ws.paths.worktree(folder_name(parse_ref(issue))) for issue in issues]
    paths += [session.worktree for session in own if session.worktree]
    return {os.path.realpath(path) for path in paths}


def moved_folders(ws: Workspace, state: State) -> dict[str, Session]:
    """The real paths where sessions that are on another host by now had, or have, a worktree on this one."""
    moved = [one for one in state.sessions.values() if one.kind == "issue" and not host_id.is_own(ws, one.host)]
    return {os.path.realpath(ws.paths.worktree(folder_name(parse_ref(one.key)))): one for one in moved}
