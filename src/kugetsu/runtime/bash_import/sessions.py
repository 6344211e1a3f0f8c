"""The old `index.json` and `sessions/`: a session continues if the index, its file, git and its agent's id agree.

References come from the index and the files' `issue_ref` only: file and folder names had `-` for both `/` and `#`, so
two issues could share one.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any

from kugetsu.domain.state import State
from kugetsu.model.errors import BadInput
from kugetsu.runtime.bash_import import observed
from kugetsu.runtime.bash_import.model import Naming, PlanBuilder, Record, TakeSession
from kugetsu.runtime.bash_import.observed import OldAgents
from kugetsu.runtime.bash_import.reading import OldDirectory, shown

MESSAGE = ".kugetsu-msg.txt"
"""The file in which the bash tool left a message in a worktree."""

_INDEX = "index.json"
_AGENT_SESSION = re.compile(r"ses_[A-Za-z0-9]{1,64}")
_TYPES = {"base.json": "base", "pm-agent.json": "pm_agent"}
_WHOLE = {
    "base": "one base served all projects, so texts of one reached the others: here each repository gets its own",
    "pm_agent": "the PM agent gets its own session here (kugetsu init)",
}


@dataclass
class OldSessions:
    """What is known of all sessions together. `owners`: issues by agent session; `clones`: URLs by repository; `busy`:
    issues whose session's agent is still working, with its pid; `worktrees`: the paths in the files, `with_message`
    those of imported sessions with an old message.
    """

    naming: Naming
    agents: OldAgents
    locked: dict[str, int]
    clones: dict[str, set[str]]
    keys: dict[str, list[str]] = field(default_factory=dict)
    owners: dict[str, list[str]] = field(default_factory=dict)
    files_of: dict[str, set[str]] = field(default_factory=dict)
    busy: dict[str, int] = field(default_factory=dict)
    worktrees: set[str] = field(default_factory=set)
    with_message: list[str] = field(default_factory=list)


class _NotTakenError(Exception):
    """Why a session does not continue. ``becomes``: `unclear`, `kept` (understood, but gone) or `held` (in use)."""

    def __init__(self, becomes: str, reason: str) -> None:
        super().__init__(reason)
        self.becomes = becomes


def plan(old: OldDirectory, builder: PlanBuilder, sessions: OldSessions, state: State) -> None:
    """Plan what the index and every session file become."""
    index = _index(old, builder)
    files = {name: value for name, _, value in builder.files(old, "sessions", "session", ".json")}
    entries = index.get("issues", {})
    if not isinstance(entries, dict):
        builder.unclear(Record(_INDEX, "index entry", {"issues": entries}), "its `issues` is not an object")
        entries = {}
    _gather(sessions, index, entries, files)
    for name, value in files.items():
        _plan_file(builder, sessions, state, name, value)
    for key, name in entries.items():
        if not isinstance(name, str) or name not in files:
            _plan_entry(old, builder, sessions.naming, key, name)


def _index(old: OldDirectory, builder: PlanBuilder) -> dict[str, Any]:
    unsure = "; without it no session is sure"
    value: dict[str, Any] | None = builder.json(old, _INDEX, "index", dict, "it is not an object", unsure)
    if value is None:
        return {}
    builder.kept(Record(_INDEX, "index", value), "kept whole; its sessions are known by their files")
    return value


def _plan_entry(old: OldDirectory, builder: PlanBuilder, naming: Naming, key: str, name: object) -> None:
    """An index entry whose file is missing; an unreadable file is reported already."""
    if isinstance(name, str) and "/" not in name and "\0" not in name and old.has(f"sessions/{name}"):
        return
    record = Record(_INDEX, "index entry", {key: name}, naming.issue_or_none(key))
    builder.unclear(record, f"{key[:120]} has the file {str(name)[:120]!r}, which is not in sessions/")


def _gather(sessions: OldSessions, index: dict[str, Any], entries: dict[str, Any], files: dict[str, Any]) -> None:
    """Collect what several records share, before judging any."""
    for what in ("base", "pm_agent"):
        if isinstance(index.get(what), str):
            sessions.owners.setdefault(index[what], []).append(f"the {what.partition('_')[0]} session")
    for key, name in entries.items():
        if not isinstance(name, str) or name not in files:
            continue
        sessions.keys.setdefault(name, []).append(key)
        issue = sessions.naming.issue_or_none(key)
        if issue is not None:
            sessions.files_of.setdefault(issue, set()).add(name)
    for name, value in files.items():
        if not isinstance(value, dict):
            continue
        agent_session, worktree = value.get("opencode_session_id"), value.get("worktree_path")
        if isinstance(agent_session, str):
            owners = sessions.owners.setdefault(agent_session, [])
            owner = _owner(name, value)
            if owner not in owners:
                owners.append(owner)
        if isinstance(worktree, str):
            sessions.worktrees.add(worktree)


def _owner(name: str, value: dict[str, Any]) -> str:
    type = value.get("type", _TYPES.get(name))
    return f"the {type.partition('_')[0]} session" if type in _WHOLE else f"sessions/{shown(name)}"


def _plan_file(builder: PlanBuilder, sessions: OldSessions, state: State, name: str, value: Any) -> None:
    source = f"sessions/{shown(name)}"
    if not isinstance(value, dict):
        builder.unclear(Record(source, "session", value), "it is not an object")
        return
    type = value.get("type", _TYPES.get(name))
    if type in _WHOLE:
        builder.kept(Record(source, f"{type} session", value), _WHOLE[type])
        return
    keys = sessions.keys.get(name, [])
    issue = sessions.naming.issue_or_none(keys[0] if keys else value.get("issue_ref"))
    record = Record(source, "session", value, issue)
    notes: list[str] = []
    try:
        issue = _issue(sessions, name, value, type)
        notes += sessions.naming.note(keys[0])
        tree = _tree(sessions, state, issue, value, notes)
        found = {
            "agent_session": value["opencode_session_id"],
            "worktree": tree.path,
            "source": tree.source,
            "branch": _branch(tree, value, notes),
            "base_branch": tree.base_branch,
            "base_commit": tree.base_commit,
        }
        pr = _pull_request(builder, value, notes)
    except _NotTakenError as problem:
        getattr(builder, problem.becomes)(record, str(problem))
    else:
        builder.taken(record, TakeSession(issue, found, pr), f"session {issue}", notes)


def _issue(sessions: OldSessions, name: str, value: dict[str, Any], type: object) -> str:
    """The issue of a session's file, if the index and the file agree."""
    if type != "forked":
        raise _NotTakenError("unclear", f"its type {str(type)[:60]!r} is not known")
    keys = sessions.keys.get(name, [])
    if not keys:
        raise _NotTakenError("unclear", f"{_INDEX} does not name it")
    try:
        issues = {str(sessions.naming.issue(key)) for key in keys}
        own = {str(sessions.naming.issue(value["issue_ref"]))} if value.get("issue_ref") is not None else issues
    except BadInput as problem:
        raise _NotTakenError("unclear", problem.message) from problem
    if len(issues) > 1:
        raise _NotTakenError("unclear", f"{_INDEX} names it for {' and '.join(sorted(issues))}")
    if own != issues:
        raise _NotTakenError("unclear", f"{_INDEX} has it for {issues.pop()}, the file itself for {own.pop()}")
    issue = issues.pop()
    if len(sessions.files_of[issue]) > 1:
        too = ", ".join(f"sessions/{shown(other)}" for other in sorted(sessions.files_of[issue] - {name}))
        raise _NotTakenError("unclear", f"{issue} has another file too: {too}")
    agent_session = value.get("opencode_session_id")
    if not isinstance(agent_session, str) or not _AGENT_SESSION.fullmatch(agent_session):
        raise _NotTakenError("unclear", f"{repr(agent_session)[:80]} is not the id of an opencode session")
    others = [owner for owner in sessions.owners[agent_session] if owner != _owner(name, value)]
    if others:
        raise _NotTakenError("unclear", f"its opencode session {agent_session} is also that of {' and '.join(others)}")
    return issue


def _tree(sessions: OldSessions, state: State, issue: str, value: dict[str, Any], notes: list[str]) -> observed.Tree:
    agent_session, worktree = value["opencode_session_id"], value.get("worktree_path")
    pid = sessions.locked.get(agent_session)
    if pid is None and isinstance(worktree, str):
        pid = sessions.agents.in_folder(worktree)
    if issue in state.sessions:
        raise _NotTakenError("kept", f"{issue} already has a session here: kugetsu history {issue}")
    if pid is not None:
        sessions.busy[issue] = pid
        raise _NotTakenError("held", f"its agent is still running (pid {pid}): wait or stop it, then import again")
    try:
        tree = observed.worktree_at(worktree, sessions.naming.servers)
    except observed.NoWorktreeError as problem:
        if problem.gone:
            raise _NotTakenError("kept", f"{problem}: kugetsu start {issue} … makes a new one") from problem
        raise _NotTakenError("unclear", str(problem)) from problem
    _check_repository(sessions, issue, tree, notes)
    if os.path.lexists(f"{tree.path}/{MESSAGE}"):
        sessions.with_message.append(tree.path)
    return tree


def _check_repository(sessions: OldSessions, issue: str, tree: observed.Tree, notes: list[str]) -> None:
    """The bash tool's agents sometimes worked in another project's clone. A mirror or fork has the same name; a
    folder's clone may have any."""
    repository = issue.rpartition("#")[0]
    known = sessions.clones.get(repository, set()) | {repository}
    if not tree.names or known.intersection(tree.names):
        return
    names = ", ".join(tree.names[:3])
    same = any(name.startswith("local/") or name.split("/")[-1] == repository.split("/")[-1] for name in tree.names)
    if not same:
        raise _NotTakenError("unclear", f"its worktree {tree.path} is one of {names}, not of {repository}")
    notes.append(f"its worktree is one of {names}: check that this is a mirror or a fork of {repository}")


def _branch(tree: observed.Tree, value: dict[str, Any], notes: list[str]) -> str | None:
    named = value.get("branch_name")
    if tree.branch is None:
        notes.append("git has no branch there now (its HEAD is detached)")
        return None
    if isinstance(named, str) and named and named != tree.branch:
        notes.append(f"the branch is {tree.branch} by git, {named} by the file: git is right")
    return tree.branch


def _pull_request(builder: PlanBuilder, value: dict[str, Any], notes: list[str]) -> str | None:
    url = value.get("pr_url")
    if url in (None, ""):
        return None
    if isinstance(url, str) and url.startswith(("https://", "http://")) and url.isprintable() and " " not in url:
        return builder.funnel.usable(url)
    notes.append(f"its pr_url {str(url)[:80]!r} is not a URL, and was not imported")
    return None
