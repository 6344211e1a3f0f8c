"""Decisions on what a directory of the bash tool becomes: a session, a task, a repository, or a record and no more."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.decide import queue, sessions
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.model.errors import Conflict

#: The agent of the bash tool's sessions; it knew no other.
AGENT = "opencode"


def record(drafts: list[NewEvent], imported: dict[str, Any], issue: str | None) -> list[NewEvent]:
    """``drafts`` and behind them, in the same transaction, the record that they were made from
    (`events.RecordImported`): who finds the record in the log knows that the rest is there too."""
    about: dict[str, Any] = {"issue": issue}
    if drafts:
        about = {"issue": issue, "task": drafts[0].task, "session": drafts[0].session, "cause": -1}
    return [*drafts, NewEvent("record.imported", imported, **about)]


def take_session(
    state: State, key: str, *, found: dict[str, Any], pr: str | None, carried: dict[str, Any] | None
) -> list[NewEvent]:
    """An issue's session whose worktree and agent session are there, as they were found.

    ``found`` has agent_session, worktree, source, branch, base_branch and base_commit; ``carried`` the counters of the
    issue's earlier life. There is no base session: the bash tool had one for all projects, and nothing is ever forked
    from that again. Raises Conflict when the issue has a session.
    """
    queue.require_initialised(state)
    if key in state.sessions:
        raise Conflict(f"{key} has a session here already", hint=f"kugetsu history {key}")
    repository = key.rsplit("#", 1)[0]
    wanted: dict[str, Any] = {"kind": "issue", "repository": repository}
    if carried:
        wanted["carried"] = carried
    intent = {"repository": repository, "source": found["source"], "branch": found["branch"], "agent": AGENT}
    outcome = {
        **found,
        "agent": AGENT,
        "base_session": None,
        "created": False,
        "fetched": "no: imported",
    }
    drafts = [
        NewEvent("session.requested", wanted, issue=key, session=key),
        NewEvent("session.preparing", intent, issue=key, session=key, cause=-1),
        NewEvent("session.prepared", outcome, issue=key, session=key, cause=-1),
    ]
    if pr is not None:
        drafts.append(NewEvent("session.pr", {"url": pr, "source": "said"}, issue=key, session=key, cause=-1))
    return drafts


def take_task(
    state: State, issue: str, *, message: str, priority: int, carried: dict[str, Any] | None = None
) -> list[NewEvent]:
    """A task that waited. Raises BadInput for a message that is no text."""
    return queue.enqueue(
        state, kind="dev", issue=issue, message=message, via="import", priority=priority, carried=carried
    )


def take_repository(state: State, repository: str, url: str) -> list[NewEvent]:
    """Where a repository is cloned from; [] when that is known. Raises Conflict when another place is registered."""
    known = state.repositories.get(repository)
    if known is not None and known != {"url": url}:
        raise Conflict(
            f"{repository} is registered with another place: {known.get('path') or known.get('url')}",
            hint="kugetsu init --repo PATH|URL",
        )
    return sessions.register(state, repository, {"url": url})
