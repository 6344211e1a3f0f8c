"""What an issue has used and brought over its whole life: counted on its session, and carried into its next one.

The same functions count while the log is folded and when the history of an issue without a session is read, so that a
destroyed session takes nothing of it away.
"""

from __future__ import annotations

from kugetsu.domain.state import Session, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from kugetsu.domain.events.attempts import Evidence


#: Why a task goes on when someone wants it to, whatever its issue's runs brought until now.
FORGIVING = ("retry", "lift")
#: The counters of an issue's whole life: what budgets and the limit of runs without progress are held against.
COUNTED = ("attempts", "parks", "tokens", "cost", "fruitless")
#: What a new session takes over from the issue's earlier ones.
CARRIED = ("attempts", "parks", "tokens", "cost", "pr", "fruitless", "head", "comments")


def uncommitted(evidence: Evidence | dict[str, Any]) -> int | None:
    """How many files of a worktree are not committed, changed and new ones; None where the evidence does not say."""
    changed = evidence.get("dirty")
    return None if changed is None else int(changed) + int(evidence.get("untracked") or 0)


def ended(session: Session, succeeded: bool, tokens: int, cost: float, evidence: dict[str, Any]) -> None:
    """Count one attempt's end (`events.AttemptEnded`) and whether it brought anything new.

    New is a head that was not there before, or a comment more on the issue or its pull request. A run that ended well
    and brought neither is fruitless; of one whose evidence cannot be read nothing is said.
    """
    session.tokens += tokens
    session.cost += cost
    if not evidence:
        return
    session.commits = evidence.get("commits", session.commits)
    loose = uncommitted(evidence)
    session.dirty = session.dirty if loose is None else loose
    session.pushed = evidence.get("pushed", session.pushed)
    session.pr_state = (evidence.get("pull") or {}).get("state", session.pr_state)
    head, comments = evidence.get("head"), evidence.get("comments")
    if head is None and comments is None:
        return
    known = session.comments
    brought = (head is not None and head != session.head) or (
        comments is not None and known is not None and comments > known
    )
    session.head = head or session.head
    session.comments = comments if comments is not None else known
    if brought:
        session.fruitless = 0
    elif succeeded:
        session.fruitless += 1


def take_over(session: Session, carried: dict[str, Any]) -> None:
    """Give a new session what the issue's earlier ones had counted."""
    for name in CARRIED:
        value = carried.get(name)
        if value is not None:
            setattr(session, name, value)


def carried_by(session: Session) -> dict[str, Any] | None:
    """What the next session of the issue takes over from this one; None when no agent ever worked in it."""
    if not session.attempts:
        return None
    return {name: getattr(session, name) for name in CARRIED}


class Life:
    """What the sessions of an issue have counted, from the events of its history, one after the other."""

    def __init__(self, issue: str) -> None:
        self._counted = Session(issue, "issue")
        self._parked_for: dict[str, str | None] = {}

    def add(self, event: dict[str, Any]) -> None:
        """Count the issue's next event."""
        life, kind, data = self._counted, event["type"], event["data"]
        if kind == "attempt.claimed":
            life.attempts += 1
        elif kind == "task.parked":
            self._parked_for[event["task"]] = data.get("gate")  # version 1 has none: a usage limit's
            life.parks += 0 if data.get("again") else 1
        elif kind == "session.pr":
            life.pr = data["url"]
        elif kind == "session.prepared":
            if data.get("follows"):
                life.pr, life.head = None, None
            life.head = life.head or data["base_commit"]
        elif kind == "issue.read":
            life.comments = data["comments"] if data["problem"] is None else life.comments
        elif kind == "task.resumed":
            if self._parked_for.get(event["task"]) == "progress" and data["why"] in FORGIVING:
                life.fruitless = 0
        elif kind == "hold.lifted":
            life.fruitless = 0
        elif kind == "hold.restored" and data["gate"] == "progress":
            life.fruitless = data["fruitless"]
        elif kind.startswith("attempt.") and "tokens" in data:
            ended(life, kind == "attempt.succeeded", data["tokens"], data["cost"], data["evidence"])

    def carried(self) -> dict[str, Any] | None:
        """What the next session of the issue takes over; None when no agent worked on it."""
        return carried_by(self._counted)


def of_history(key: str, events: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """What the sessions of an issue had counted, from the events of its history; None when no agent worked on it."""
    life = Life(key)
    for event in events:
        life.add(event)
    return life.carried()


def counted(state: State, issue: str) -> dict[str, Any] | None:
    """What is counted of an issue's life now: by its session, else by the open task that carries most; None where
    nothing is."""
    session = state.sessions.get(issue)
    if session is not None:
        return {name: getattr(session, name) for name in COUNTED}
    carried = [carried for task_id in state.of_issue.get(issue, ()) if (carried := state.tasks[task_id].carried)]
    if not carried:
        return None
    most = max(carried, key=lambda life: life.get("attempts") or 0)
    return {name: most.get(name) or 0 for name in COUNTED}


def correct(state: State, issue: str, new: dict[str, Any]) -> None:
    """Count an issue's life from other values on: in its session, and in what its tasks carry for the next one."""
    values = {name: new[name] for name in COUNTED}
    session = state.sessions.get(issue)
    if session is not None:
        for name, value in values.items():
            setattr(session, name, value)
    for task in state.tasks.values():
        if task.issue == issue and task.carried is not None:
            task.carried = {**task.carried, **values}
