"""The text of `replay`: slots, queue, sessions at a past point, refused events and broken invariants."""

from __future__ import annotations

from typing import Any, TypedDict

from kugetsu.domain import invariants
from kugetsu.domain.state import State
from kugetsu.model.plural import counted
from kugetsu.views import queue, sessions, times
from kugetsu.views.screen import Screen
from kugetsu.views.tables import Column, table
from kugetsu.views.text import cut, line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.views.queue import TaskData
    from kugetsu.views.sessions import SessionData

    class LiveData(TypedDict):
        """An attempt that was live then."""

        slot: int | None
        attempt: str
        task: str
        issue: str | None
        state: str
        since: str

    class ReplayData(TypedDict):
        """`kugetsu replay --json`: everything as the log had it after event ``seq``; times are UTC."""

        seq: int
        at: str | None
        initialised: bool
        daemon: str
        agents: list[LiveData]
        queue: dict[str, int]
        unacknowledged: int
        tasks: list[TaskData]
        sessions: list[SessionData]
        repositories: dict[str, dict[str, str]]
        violations: list[dict[str, Any]]
        violations_seen: int
        invariants: list[str]


def collect(state: State) -> ReplayData:
    """Everything that `replay` shows, as JSON values. Whether a process was alive then is unknown."""
    live = sorted(state.attempts.values(), key=lambda attempt: (attempt.slot or 1 << 30, attempt.claimed))
    return {
        "seq": state.seq,
        "at": state.at or None,
        "initialised": bool(state.initialised),
        "daemon": state.daemon.state,
        "agents": [
            {
                "slot": attempt.slot,
                "attempt": attempt.id,
                "task": attempt.task,
                "issue": attempt.issue,
                "state": attempt.state,
                "since": attempt.claimed_at,
            }
            for attempt in live
        ],
        "queue": queue.counts(state),
        "unacknowledged": queue.unacknowledged(state),
        "tasks": queue.listed(state, queue.STATES, acknowledged=True),
        "sessions": sessions.listed(state, lambda _: True, everything=True),
        "repositories": state.repositories,
        "violations": state.violations,
        "violations_seen": state.violations_seen,
        "invariants": invariants.broken(state),
    }


def lines(data: ReplayData, screen: Screen) -> list[str]:
    """The text of `replay`."""
    then = data["at"]
    if then is None:
        return ["before the first event: the log was empty"]
    when = f"{times.day(then)} {times.time_of_day(then)} {times.zone(then)}"
    shown = [screen.bold(f"after event {data['seq']}, {when}")]
    shown.append(f"daemon  {data['daemon']}        agents  {len(data['agents'])} live")
    shown.append(cut(f"queue   {queue.count_line(data['queue'], data['unacknowledged'])}", screen.cuts_at))
    shown += _part("agents", _agents(data, screen, then), screen)
    shown += _part("tasks", queue.list_lines(data["tasks"], screen, then), screen)
    shown += _part("sessions", _sessions(data["sessions"], screen, then), screen)
    refused = [f"  event {entry['seq']}: {line(entry['text'])}" for entry in data["violations"]]
    if data["violations_seen"] > len(refused):
        refused.append(f"  and {counted(data['violations_seen'] - len(refused), 'more event')}")
    shown += _part("refused by a state machine", refused, screen)
    shown += _part("invariants that do not hold", [f"  {text}" for text in data["invariants"]], screen)
    if not refused and not data["invariants"]:
        shown += ["", "every event was accepted, every invariant holds"]
    return shown


def _part(title: str, rows: list[str], screen: Screen) -> list[str]:
    return ["", screen.bold(title), *rows] if rows else []


def _agents(data: ReplayData, screen: Screen, then: str) -> list[str]:
    rows = [
        [
            str(agent["slot"] or "pm"),
            agent["attempt"],
            screen.issue(agent["issue"]),
            agent["state"],
            times.duration(times.since(agent["since"], then)),
        ]
        for agent in data["agents"]
    ]
    heads = [Column("SLOT"), Column("ATTEMPT"), Column("ISSUE", gives=True, names=True)]
    heads += [Column("STATE"), Column("FOR", right=True)]
    return table(screen, heads, rows) if rows else []


def _sessions(found: list[SessionData], screen: Screen, then: str) -> list[str]:
    rows = [
        [
            screen.issue(session["session"]),
            session["state"],
            line(session["branch"] or "-"),
            counted(session["attempts"], "attempt"),
            times.duration(times.since(session["changed_at"], then)),
        ]
        for session in found
    ]
    heads = [
        Column("SESSION", gives=True, names=True),
        Column("STATE"),
        Column("BRANCH", gives=True),
        Column("ATTEMPTS"),
        Column("SINCE", right=True),
    ]
    return table(screen, heads, rows) if rows else []
