"""The usage and progress of an issue over its whole life: counted on its session, and carried over to its next one.

The same functions count during the fold and on reading the history of an issue without a session, so that destroying a
session loses nothing.
"""

from __future__ import annotations

from kugetsu.domain.state import ISSUE_COUNTERS, Session, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.state import State

#: The reason of a resumption by a user, which resets the runs without progress.
FORGIVING = ("retry", "lift")
#: What a new session takes over from the issue's earlier ones besides their usage.
_KEPT = ("pr", "head", "comments")


def note_end(session: Session, succeeded: bool, evidence: dict[str, Any]) -> None:
    """Record the work of an attempt (`events.attempts.AttemptEnded`), and whether it made progress.

    Progress is a new head, or a new comment on the issue or its pull request. A successful run with neither is one
    without progress; unknown evidence leaves the count unchanged.
    """
    if not evidence:
        return
    from kugetsu.domain.results import uncommitted  # start-up: `status` and `queue enqueue` seldom fold an end

    session.commits = evidence.get("commits", session.commits)
    loose = uncommitted(evidence)
    session.dirty = session.dirty if loose is None else loose
    session.pushed = evidence.get("pushed", session.pushed)
    session.pr_state = (evidence.get("pull") or {}).get("state", session.pr_state)
    head, comments = evidence.get("head"), evidence.get("comments")
    if head is None and comments is None:
        return
    known = session.comments
    progress = (head is not None and head != session.head) or (
        comments is not None and known is not None and comments > known
    )
    session.head = head or session.head
    session.comments = comments if comments is not None else known
    if progress:
        session.usage.no_progress_runs = 0
    elif succeeded:
        session.usage.no_progress_runs += 1


def take_over(session: Session, recorded: dict[str, Any]) -> None:
    """Give a new session the counters of the issue's earlier ones."""
    session.usage.take_over(recorded)
    for name in _KEPT:
        if recorded.get(name) is not None:
            setattr(session, name, recorded[name])


def prior_usage(session: Session) -> dict[str, Any] | None:
    """The recorded usage that the issue's next session takes over; None if no agent ever worked in this one."""
    if not session.usage.attempts:
        return None
    return {**session.usage.as_recorded(), **{name: getattr(session, name) for name in _KEPT}}


class IssueUsage:
    """Counts the usage of an issue's sessions from the events of its history, one by one."""

    def __init__(self, issue: str) -> None:
        self._session = Session(issue, "issue")
        self._parked_for: dict[str, str | None] = {}

    def add(self, event: Event) -> None:
        """Count the issue's next event."""
        session, kind, data = self._session, event["type"], event["data"]
        session.usage.count(kind, data)
        if kind == "task.parked":
            self._parked_for[event["task"]] = data.get("gate")  # version 1 has none: a usage limit's
        elif kind == "session.pr":
            session.pr = data["url"]
        elif kind == "session.prepared":
            if data.get("follows"):
                session.pr, session.head = None, None
            session.head = session.head or data["base_commit"]
        elif kind == "session.forwarded":
            session.head = data["head"]
        elif kind == "issue.read":
            session.comments = data["comments"] if data["problem"] is None else session.comments
        elif kind == "task.resumed":
            if self._parked_for.get(event["task"]) == "progress" and data["why"] in FORGIVING:
                session.usage.no_progress_runs = 0
        elif kind == "hold.lifted":
            session.usage.no_progress_runs = 0
        elif kind == "hold.restored" and data["gate"] == "progress":
            session.usage.no_progress_runs = data["fruitless"]
        elif kind == "person.left":
            note_end(session, False, data["evidence"])
        elif kind.startswith("attempt.") and "tokens" in data:
            note_end(session, kind == "attempt.succeeded", data["evidence"])

    def prior_usage(self) -> dict[str, Any] | None:
        """The usage that the issue's next session takes over; None if no agent worked on it."""
        return prior_usage(self._session)


def of_history(key: str, events: Iterable[Event]) -> dict[str, Any] | None:
    """The usage of an issue's sessions, from the events of its history; None if no agent worked on it."""
    counted = IssueUsage(key)
    for event in events:
        counted.add(event)
    return counted.prior_usage()


def of_issue(state: State, issue: str) -> dict[str, Any] | None:
    """The counters of an issue under their names in the log: its session's, else those of the open task that takes over
    most; None if there are none."""
    session = state.sessions.get(issue)
    if session is not None:
        return session.usage.as_recorded()
    tasks = [state.tasks[task_id] for task_id in state.of_issue.get(issue, ())]
    usages = [Usage().take_over(task.prior_usage) for task in tasks if task.prior_usage]
    return max(usages, key=lambda usage: usage.attempts).as_recorded() if usages else None


def correct(state: State, issue: str, new: dict[str, Any]) -> None:
    """Correct an issue's usage: in its session, and in what its tasks keep for the next one."""
    counters = {name: new[name] for name in ISSUE_COUNTERS}
    session = state.sessions.get(issue)
    if session is not None:
        session.usage.take_over(counters)
    for task in state.tasks.values():
        if task.issue == issue and task.prior_usage is not None:
            task.prior_usage = {**task.prior_usage, **counters}
