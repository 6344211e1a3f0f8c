"""The text of `kugetsu list`: sessions."""

from __future__ import annotations

from collections.abc import Callable

from kugetsu.domain.state import Attempt, Session, State
from kugetsu.model.plural import counted
from kugetsu.views import times
from kugetsu.views.screen import Screen
from kugetsu.views.tables import Column, table
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    class SessionData(TypedDict):
        """One session. ``agent_alive`` is null if no attempt works in it or if that is unknown; counters cover the
        issue's whole life."""

        session: str
        kind: str
        state: str
        agent: str | None
        agent_session: str | None
        attempt: str | None
        agent_alive: bool | None
        worktree: str | None
        branch: str | None
        base_branch: str | None
        base_commit: str | None
        pr: str | None
        pr_state: str | None
        reason: str | None
        created_at: str
        changed_at: str
        attempts: int
        parks: int
        tokens: int
        cost: float
        commits: int
        dirty: int
        pushed: bool | None
        event: int


def listed(state: State, alive: Callable[[Attempt], bool | None], everything: bool) -> list[SessionData]:
    """The issues' sessions (with ``everything`` also base and PM sessions), the latest change last."""
    found = [session for session in state.sessions.values() if everything or session.kind == "issue"]
    found.sort(key=lambda session: session.changed)
    return [_data(session, state, alive) for session in found]


def _data(session: Session, state: State, alive: Callable[[Attempt], bool | None]) -> SessionData:
    attempt = state.attempts.get(session.attempt) if session.attempt is not None else None
    return {
        "session": session.key,
        "kind": session.kind,
        "state": session.state,
        "agent": session.agent,
        "agent_session": session.agent_session,
        "attempt": session.attempt,
        "agent_alive": alive(attempt) if attempt is not None else None,
        "worktree": session.worktree,
        "branch": session.branch,
        "base_branch": session.base_branch,
        "base_commit": session.base_commit,
        "pr": session.pr,
        "pr_state": session.pr_state,
        "reason": session.reason,
        "created_at": session.created_at,
        "changed_at": session.changed_at,
        "attempts": session.usage.attempts,
        "parks": session.usage.parks,
        "tokens": session.usage.tokens,
        "cost": session.usage.cost,
        "commits": session.commits,
        "dirty": session.dirty,
        "pushed": session.pushed,
        "event": session.changed,
    }


def lines(sessions: list[SessionData], screen: Screen, now: str) -> list[str]:
    """The table of `list`; [] for no sessions."""
    if not sessions:
        return []
    heads = [
        Column("SESSION", names=True),
        Column("STATE"),
        Column("AGENT"),
        Column("BRANCH", gives=True),
        Column("WORK", gives=True),
        Column("LAST", right=True),
        Column("PR", gives=True),
        Column("WORKTREE", gives=True),
    ]
    rows = [_row(session, screen, now) for session in sessions]

    def paint(at: int, value: str, text: str) -> str:
        if at == 1:
            return screen.state(value, text)
        return screen.red(text) if at == 2 and value.endswith("dead") else text

    return table(screen, heads, rows, paint=paint)


def _row(session: SessionData, screen: Screen, now: str) -> list[str]:
    alive = session["agent_alive"]
    agent = (session["attempt"] or "-") + {True: " alive", False: " dead", None: ""}[alive]
    return [
        screen.issue(session["session"]),
        session["state"],
        agent,
        line(session["branch"] or "-"),
        _work(session),
        times.duration(times.since(session["changed_at"], now)),
        _pull(session),
        line(session["worktree"] or "-"),
    ]


def _pull(session: SessionData) -> str:
    """The state of the pull request, and its URL; a narrow screen cuts only the end of the URL."""
    if session["pr"] is None:
        return "-"
    url = line(session["pr"])
    number = url.rstrip("/").rpartition("/")[2]
    state = session["pr_state"] or ""
    return f"#{number} {state}".rstrip() + f"  {url}" if number.isdigit() else url


def _work(session: SessionData) -> str:
    """The work that git shows: commits, whether they are pushed, uncommitted files."""
    parts = []
    if session["commits"]:
        pushed = {True: " pushed", False: " unpushed", None: ""}[session["pushed"]]
        parts.append(counted(session["commits"], "commit") + pushed)
    if session["dirty"]:
        parts.append(f"{session['dirty']} dirty")
    return ", ".join(parts) or "-"
