"""Plan an import: inspect the old directory, git and the processes, and change nothing."""

from __future__ import annotations

import os
from typing import Any

from kugetsu.runtime.bash_import import queue, repositories, sessions, settings
from kugetsu.runtime.bash_import.model import Funnel, Known, Naming, Plan, PlanBuilder, Record
from kugetsu.runtime.bash_import.observed import OldAgents
from kugetsu.runtime.bash_import.reading import OldDirectory, UnreadableError, shown
from kugetsu.runtime.workspace import Workspace

_LOOKED_AT = frozenset({"config", "env", "index.json", "sessions", "repos.json", "notifications.json", "queue"})
_LOOKED_AT |= {"queue.json", "context", "context-meta", "pm-agent.md", "locks", "worktrees"}
_UNTOUCHED = {
    "logs": "logs of its agents",
    "repositories": "its clones: the worktrees of imported sessions belong to them",
    "scripts": "scripts of its old queue",
}

_NOTIFICATIONS = "notifications.json"

_TOLD = 200  # characters of an unread notification that the report shows


def plan(ws: Workspace, directory: str) -> Plan:
    """What an import of the directory would do now. Raises NotFound or BadInput if it is not the bash tool's.

    Works before KUGETSU_DIR is set up, and changes nothing.
    """
    old = OldDirectory(directory)
    old.require_signs()
    in_place = os.path.realpath(old.path) == os.path.realpath(ws.paths.root)
    state = ws.state()
    found = Plan(shown(old.path), shown(ws.paths.root), in_place, not state.initialised)
    found.funnel = Funnel(settings.secrets(old))
    builder = PlanBuilder(Known.read(ws.log), found.funnel)
    naming = settings.plan(ws, old, builder, in_place)
    if in_place:
        settings.check_in_place(ws, old, found.warnings)
    else:
        settings.plan_files(ws, old, builder)
    agents = OldAgents()
    clones = repositories.plan(old, builder, naming, state)
    known = sessions.OldSessions(naming, agents, _locks(old, agents, found), clones)
    sessions.plan(old, builder, known, state)
    if known.with_message:
        which = known.with_message[0] if len(known.with_message) == 1 else f"{len(known.with_message)} worktrees"
        found.warnings.append(f"{which}: {sessions.MESSAGE} is the bash tool's; delete it, or an agent may commit it")
    queue.plan(old, builder, known, _daemon(old, agents, found))
    found.unread = _notifications(old, builder, naming)
    for folder in ("context", "context-meta"):
        _conversations(old, builder, naming, folder)
    found.items = builder.items
    here = {session.worktree for session in state.sessions.values() if session.worktree is not None}
    _list_worktrees(old, found, {os.path.realpath(path) for path in known.worktrees | here})
    _list_untouched(old, found)
    return found


def _locks(old: OldDirectory, agents: OldAgents, found: Plan) -> dict[str, int]:
    """The living agents that hold a lock: pid by agent session, from the lock (PID:session_id:timestamp)."""
    held: dict[str, int] = {}
    for name in _names(old, "locks", found):
        source = f"locks/{shown(name)}"
        try:
            words = old.text(f"locks/{name}").strip().split(":")
        except UnreadableError as problem:
            found.warnings.append(f"{source} {problem}")
            continue
        pid = int(words[0]) if words[0].isascii() and words[0].isdigit() and len(words[0]) < 10 else None
        if pid is None or not agents.alive(pid):
            continue
        if agents.works(pid):
            found.warnings.append(f"{source} is held by process {pid}, which is running")
            if len(words) > 1 and words[1]:
                held[words[1]] = pid
        else:
            found.warnings.append(f"{source} names process {pid}, which is another program: treated as stale")
    return held


def _daemon(old: OldDirectory, agents: OldAgents, found: Plan) -> int | None:
    """The pid of the bash tool's daemon if it is running: it would work on the same tasks."""
    if not old.has("queue/daemon.pid"):
        return None
    try:
        text = old.text("queue/daemon.pid").strip()
    except UnreadableError as problem:
        found.warnings.append(f"queue/daemon.pid {problem}")
        return None
    pid = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    if pid is None or not agents.works(pid):
        return None
    found.warnings.append(f"the bash tool's daemon is running (pid {pid}): stop it before importing tasks")
    return pid


def _names(old: OldDirectory, folder: str, found: Plan) -> list[str]:
    try:
        return old.names(folder)
    except UnreadableError as problem:
        found.warnings.append(f"{folder}/ {problem}")
        return []


def _list_worktrees(old: OldDirectory, found: Plan, known: set[str]) -> None:
    """Worktrees without a session; their names do not tell the issue."""
    for name in _names(old, "worktrees", found):
        path = f"{old.path}/worktrees/{name}"
        if os.path.isdir(path) and os.path.realpath(path) not in known:
            found.untouched.append((f"worktrees/{shown(name)}", "a worktree without a session"))


def _list_untouched(old: OldDirectory, found: Plan) -> None:
    for name, what in _UNTOUCHED.items():
        if name not in old.entries or (found.in_place and name != "scripts" and not _names(old, name, found)):
            continue
        found.untouched.append((name, what))
    if found.in_place:
        return  # what else is in there is this kugetsu's own
    for name in old.entries:
        if name not in _LOOKED_AT and name not in _UNTOUCHED:
            found.untouched.append((shown(name), "not known"))


def _notifications(old: OldDirectory, builder: PlanBuilder, naming: Naming) -> list[dict[str, Any]]:
    """Keep the notifications; returns those that nobody has read."""
    unread = []
    for entry in builder.json(old, _NOTIFICATIONS, "notification", list, "it is not a list") or []:
        fields = entry if isinstance(entry, dict) else {}
        issue = naming.issue_or_none(fields.get("issue_ref"))
        builder.kept(Record(_NOTIFICATIONS, "notification", entry, issue), "history")
        if fields.get("read") is False:
            named = {name: builder.funnel.clean(fields.get(name)) for name in ("type", "issue_ref", "message")}
            unread.append({name: str(text)[:_TOLD] if text is not None else None for name, text in named.items()})
    return unread


def _conversations(old: OldDirectory, builder: PlanBuilder, naming: Naming, folder: str) -> None:
    """Keep the conversations that lie beside the sessions."""
    for _, source, value in builder.files(old, folder, "conversation"):
        issue = naming.issue_or_none(value.get("issue_ref")) if isinstance(value, dict) else None
        builder.kept(Record(source, "conversation", value, issue), "history")
