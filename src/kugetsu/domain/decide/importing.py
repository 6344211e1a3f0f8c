"""Decisions on imports from the bash tool's directory: a session, a task, a repository, or only a record."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.decide import queue, sessions
from kugetsu.domain.decision import decision
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.model.errors import Conflict

#: The agent of the bash tool's sessions, its only one.
AGENT = "opencode"


def _record(new_events: list[NewEvent], imported: dict[str, Any], issue: str | None) -> list[NewEvent]:
    """Some events and then, in the same transaction, the record they were made from (`events.system.RecordImported`):
    the record in the log proves that the rest is there too."""
    about: dict[str, Any] = {"issue": issue}
    if new_events:
        about = {"issue": issue, "task": new_events[0].task, "session": new_events[0].session, "cause": -1}
    return [*new_events, NewEvent("record.imported", imported, **about)]


@decision("importing.keep_record")
def keep_record(_: State, issue: str | None, imported: dict[str, Any]) -> list[NewEvent]:
    """Only a record."""
    return _record([], imported, issue)


@decision("importing.take_setting")
def take_setting(
    _: State, setting: str, old: str | None, new: str, issue: str | None, imported: dict[str, Any]
) -> list[NewEvent]:
    """A written setting, and its record."""
    return _record(sessions.setting_changed(setting, old, new), imported, issue)


@decision("importing.take_session")
def take_session(
    state: State,
    key: str,
    *,
    agent_session: str,
    worktree: str,
    source: str | None,
    branch: str | None,
    base_branch: str | None,
    base_commit: str | None,
    pr: str | None,
    carried: dict[str, Any] | None,
    imported: dict[str, Any],
) -> list[NewEvent]:
    """An issue's session with its existing worktree and agent session, and its record.

    ``carried`` are the counters of the issue's earlier sessions. There is no base session: the bash tool had one for
    all projects, which is never forked again. Raises Conflict if the issue has a session.
    """
    queue.require_initialised(state)
    if key in state.sessions:
        raise Conflict.because("session_exists", session=key)
    repository = key.rsplit("#", 1)[0]
    wanted: dict[str, Any] = {"kind": "issue", "repository": repository}
    if carried:
        wanted["carried"] = carried
    intent = {"repository": repository, "source": source, "branch": branch, "agent": AGENT}
    outcome = {
        "agent_session": agent_session,
        "worktree": worktree,
        "source": source,
        "branch": branch,
        "base_branch": base_branch,
        "base_commit": base_commit,
        "agent": AGENT,
        "base_session": None,
        "created": False,
        "fetched": "no: imported",
    }
    new_events = [
        NewEvent("session.requested", wanted, issue=key, session=key),
        NewEvent("session.preparing", intent, issue=key, session=key, cause=-1),
        NewEvent("session.prepared", outcome, issue=key, session=key, cause=-1),
    ]
    if pr is not None:
        new_events.append(NewEvent("session.pr", {"url": pr, "source": "said"}, issue=key, session=key, cause=-1))
    return _record(new_events, imported, key)


@decision("importing.take_task")
def take_task(
    state: State,
    issue: str,
    *,
    message: str,
    priority: int,
    carried: dict[str, Any] | None = None,
    imported: dict[str, Any],
) -> list[NewEvent]:
    """A waiting task, and its record, which names it. Raises BadInput if the message is not text."""
    queued = queue.enqueue(
        state, kind="dev", issue=issue, message=message, via="import", priority=priority, carried=carried
    )
    return _record(queued, {**imported, "became": f"{queued[0].task} for {issue}"}, issue)


@decision("importing.take_repository")
def take_repository(
    state: State, repository: str, url: str, issue: str | None, imported: dict[str, Any]
) -> list[NewEvent]:
    """Where a repository is cloned from, and its record. Raises Conflict if another place is registered."""
    known = state.repositories.get(repository)
    if known is not None and known != {"url": url}:
        source = known.get("path") or known.get("url")
        raise Conflict.because("repository_registered", repository=repository, source=source)
    return _record(sessions.register(state, repository, {"url": url}), imported, issue)
