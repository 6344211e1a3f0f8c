"""The text of `kugetsu list`: where each issue stands, what came of it, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kugetsu.domain.standing import last_tasks, standing, title
from kugetsu.domain.state import Attempt, Session, State, Task
from kugetsu.views import gates, results, times
from kugetsu.views.screen import Screen
from kugetsu.views.tables import Column, table
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypedDict

    class SessionData(TypedDict):
        """One session. ``standing`` is where its issue stands, ``state`` the machine's state of the session alone.
        ``agent_alive`` is null if no attempt works in it or if that is unknown; counters cover the issue's whole life;
        ``last_at`` and ``event`` are those of the latest change of the session, its tasks or its review."""

        session: str
        kind: str
        standing: str
        state: str
        title: str | None
        result: dict[str, Any] | None
        begun: bool
        review: str
        agent: str | None
        agent_session: str | None
        attempt: str | None
        attached: str | None
        agent_alive: bool | None
        host: str | None
        worktree: str | None
        branch: str | None
        base_branch: str | None
        base_commit: str | None
        pr: str | None
        pr_state: str | None
        reason: str | None
        created_at: str
        changed_at: str
        last_at: str
        attempts: int
        parks: int
        tokens: int
        cost: float
        commits: int
        dirty: int
        pushed: bool | None
        event: int


#: From so many columns on the table has agent, branch, pull request and worktree too.
WIDE = 120


def listed(state: State, alive: Callable[[Attempt], bool | None], everything: bool) -> list[SessionData]:
    """The issues' sessions (with ``everything`` also base and PM sessions), the latest change last."""
    found = [session for session in state.sessions.values() if everything or session.kind == "issue"]
    last = last_tasks(state)
    shown = [_data(session, state, last, alive) for session in found]
    shown.sort(key=lambda one: (one["last_at"], one["event"]))
    return shown


def _data(
    session: Session, state: State, last: Mapping[str, Task], alive: Callable[[Attempt], bool | None]
) -> SessionData:
    attempt = state.attempts.get(session.attempt) if session.attempt is not None else None
    tasks = [state.tasks[task_id] for task_id in state.of_issue.get(session.key, ())]
    tasks += [last[session.key]] if session.key in last else []
    return {
        "session": session.key,
        "kind": session.kind,
        "standing": standing(state, session, last),
        "state": session.state,
        "title": title(state, session, last),
        "result": session.result,
        "begun": not tasks or any(task.begun for task in tasks),
        "review": session.review,
        "agent": session.agent,
        "agent_session": session.agent_session,
        "attempt": session.attempt,
        "attached": session.person["user"] if session.person is not None else None,
        "agent_alive": alive(attempt) if attempt is not None else None,
        "host": host.name if (host := state.hosts.get(session.host or "")) is not None else None,
        "worktree": session.worktree,
        "branch": session.branch,
        "base_branch": session.base_branch,
        "base_commit": session.base_commit,
        "pr": session.pr,
        "pr_state": session.pr_state,
        "reason": session.reason,
        "created_at": session.created_at,
        "changed_at": session.changed_at,
        "last_at": max(session.changed_at, session.review_at, *(task.changed_at for task in tasks)),
        "attempts": session.usage.attempts,
        "parks": session.usage.parks,
        "tokens": session.usage.tokens,
        "cost": session.usage.cost,
        "commits": session.commits,
        "dirty": session.dirty,
        "pushed": session.pushed,
        "event": max(session.changed, *(task.changed for task in tasks), 0),
    }


def lines(sessions: Sequence[SessionData], screen: Screen, now: str) -> list[str]:
    """The table of `list`; [] for no sessions."""
    if not sessions:
        return []
    wide = screen.width is None or screen.width >= WIDE
    paid = any(session["cost"] for session in sessions)
    heads = [
        Column("ISSUE", names=True),
        Column("STATE"),
        Column("RESULT", whole=True),
        Column("COST" if paid else "", right=True),
        Column("LAST", right=True),
        Column("TITLE", gives=True),
    ]
    if wide:
        heads += [Column("AGENT"), *(Column(title, gives=True) for title in ("BRANCH", "PR", "WORKTREE"))]
    rows = [[*_row(session, screen, now, paid=paid), *(_place(session) if wide else ())] for session in sessions]
    found = {head.title: at for at, head in enumerate(heads)}

    def paint(at: int, value: str, text: str) -> str:
        if at == found["STATE"]:
            return screen.state(value, text)
        return screen.red(text) if at == found.get("AGENT") and value.endswith("dead") else text

    return table(screen, heads, rows, paint=paint)


def _named(session: SessionData) -> str:
    """Its key; of a host's own base session with the name of the host, which the key has the id of."""
    own, at, _ = session["session"].partition("@")
    return f"{own}@{session['host']}" if at and session["kind"] == "base" and session["host"] else session["session"]


def _row(session: SessionData, screen: Screen, now: str, *, paid: bool) -> list[str]:
    return [
        screen.issue(_named(session)),
        "lost" if session["agent_alive"] is False else results.standing_words(session["standing"]),
        _result(session),
        (gates.money(session["cost"]) if session["cost"] else "-") if paid else "",
        times.duration(times.since(session["last_at"], now)),
        line(session["title"] or "-"),
    ]


def _result(session: SessionData) -> str:
    """What came of its latest run, and the state of its review unless that is where the issue stands."""
    said, review = results.result_words(session["result"]), session["review"]
    if (session["result"] or {}).get("kind") == "failed" and not session["begun"]:
        said = "not started"
    said = "-" if said == session["standing"] else said
    shown = review not in ("none", "merged", session["standing"])
    return f"{said}, {results.review_words(review)}" if shown else said


def _place(session: SessionData) -> list[str]:
    agent = (session["attempt"] or "-") + {True: " alive", False: " dead", None: ""}[session["agent_alive"]]
    at = f"{line(session['host'])}:" if session["host"] and session["worktree"] else ""
    return [agent, line(session["branch"] or "-"), _pull(session), at + line(session["worktree"] or "-")]


def _pull(session: SessionData) -> str:
    """The state of the pull request, and its URL; a narrow screen cuts only the end of the URL."""
    if session["pr"] is None:
        return "-"
    url = line(session["pr"])
    number = url.rstrip("/").rpartition("/")[2]
    state = session["pr_state"] or ""
    return f"#{number} {state}".rstrip() + f"  {url}" if number.isdigit() else url
