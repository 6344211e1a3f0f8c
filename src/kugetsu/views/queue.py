"""The task queue as people read it: the list, its counts, and both as JSON."""

from __future__ import annotations

from kugetsu.model.clock import pause_lasts
from kugetsu.model.plural import counted
from kugetsu.views import gates, times
from kugetsu.views.tables import Column, table
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, TypedDict

    from kugetsu.domain.state import State, Task
    from kugetsu.views.screen import Screen

    class TaskData(TypedDict):
        """One task. Times are UTC; ``used`` of MAX_ATTEMPTS attempts are used up, ``attempts`` were made in all."""

        task: str
        kind: str
        issue: str | None
        state: str
        title: str
        priority: int
        after: list[str]
        queued_at: str
        changed_at: str
        not_before: str | None
        reason: str | None
        held: str | None
        result: dict[str, Any] | None
        attempt: str | None
        options: dict[str, Any]
        attempts: int
        used: int
        retries: int
        parks: int
        tokens: int
        cost: float
        acknowledged: bool
        asked_by: str
        event: int

    class QueueStats(TypedDict):
        """Tasks by state over the whole life of the log, and what those still listed took."""

        counts: dict[str, int]
        unacknowledged: int
        total: int
        listed: int
        oldest_waiting: str | None
        attempts: int
        tokens: int
        cost: float
        asked_by: dict[str, int]
        results: dict[str, int]


STATES = ("pending", "notified", "parked", "completed", "error", "cancelled")
#: The same as screens name them and `--state` takes them; the log's names are taken as well.
SHOWN_STATES = tuple(map(gates.task_state, STATES))
#: What `queue list` leaves out unless asked: nothing is to be done about them.
QUIET = ("completed", "cancelled")
#: Who asks for tasks, and the words for it.
ASKED_BY = {"person": "by people or agents", "label": "by labels", "feedback": "by feedback on pull requests"}
#: Rows of a table: a longer list is several tables, each laid out alone, so that it need not be kept in memory.
ROWS = 500


def task_data(task: Task) -> TaskData:
    """One task as JSON values; ``event`` is the seq of its latest change."""
    return {
        "task": task.id,
        "kind": task.kind,
        "issue": task.issue,
        "state": task.state,
        "title": task.title,
        "priority": task.priority,
        "after": task.after,
        "queued_at": task.queued_at,
        "changed_at": task.changed_at,
        "not_before": task.not_before,
        "reason": gates.of_task(task),
        "held": task.held,
        "result": task.result,
        "attempt": task.attempt,
        "options": task.options,
        "attempts": task.usage.attempts,
        "used": task.used,
        "retries": task.usage.retries,
        "parks": task.usage.parks,
        "tokens": task.usage.tokens,
        "cost": task.usage.cost,
        "acknowledged": bool(task.acknowledged),
        "asked_by": asked_by(task),
        "event": task.changed,
    }


def asked_by(task: Task) -> str:
    """Who asked for a task: a ``person`` or an agent, the ``label`` of its issue, ``feedback`` on its pull request."""
    return "feedback" if task.reaction is not None else "label" if task.by_intake else "person"


def listed(state: State, states: Iterable[str], *, acknowledged: bool = False) -> list[TaskData]:
    """The tasks of the state in one of ``states``; those whose failure is acknowledged only if asked for."""
    wanted = frozenset(states)
    tasks = (*open_tasks(state), *finished_tasks(state))
    return [task_data(task) for task in tasks if task.state in wanted and (acknowledged or not task.acknowledged)]


def open_tasks(state: State) -> list[Task]:
    """Those that are worked on, and those that wait, in their order."""
    return [task for task in state.tasks.values() if task.state == "notified"] + state.waiting()


def finished_tasks(state: State) -> list[Task]:
    """The finished ones that the state has, in the order in which they finished."""
    kept = [state.tasks[task_id] for task_id in (*state.unacknowledged, *state.finished)]
    return sorted(kept, key=lambda task: task.changed)


def counts(state: State) -> dict[str, int]:
    """How many tasks are in each state, those that left the list included."""
    found = {name: state.retired.get(name, 0) for name in STATES}
    for task in state.tasks.values():
        found[task.state] += 1
    return found


def unacknowledged(state: State) -> int:
    """How many tasks failed that nobody has acknowledged, those that left the list included."""
    return len(state.failed()) + state.unacknowledged_gone


def left_out(state: State, wanted: str | None, shown: int, *, then: bool) -> str:
    """What `queue list` of one state, or of all (None), does not show; empty if that is nothing. ``then``: of the
    past."""
    verbs = ("was", "were") if then else ("is", "are")
    by_state = counts(state)
    if wanted is None:
        quiet = sum(by_state[name] for name in QUIET)
        parts = [f"{quiet} more {verbs[quiet != 1]} completed or cancelled"] if quiet else []
    else:
        gone = state.unacknowledged_gone if wanted == "error" else by_state[wanted] - shown
        parts = [f"{gone} more left the list"] if gone > 0 else []
    acknowledged = by_state["error"] - unacknowledged(state)
    if acknowledged > 0 and wanted in (None, "error"):
        parts.append(f"{acknowledged} {verbs[acknowledged != 1]} acknowledged")
    return ", ".join(parts)


def stats(state: State) -> QueueStats:
    """The figures of `queue stats`."""
    by_state = counts(state)
    tasks = list(state.tasks.values())
    return {
        "counts": by_state,
        "unacknowledged": unacknowledged(state),
        "total": sum(by_state.values()),
        "listed": len(tasks),
        "oldest_waiting": min((task.queued_at for task in state.waiting()), default=None),
        "attempts": sum(task.usage.attempts for task in tasks),
        "tokens": sum(task.usage.tokens for task in tasks),
        "cost": round(sum(task.usage.cost for task in tasks), 6),
        "asked_by": {name: sum(asked_by(task) == name for task in tasks) for name in ASKED_BY},
        "results": _counted([task.result_kind for task in tasks if task.result_kind is not None]),
    }


def _counted(names: list[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names), key=lambda name: (-names.count(name), name))}


def list_lines(tasks: list[TaskData], screen: Screen, now: str) -> list[str]:
    """The table of `queue list`; [] for no tasks."""
    if not tasks:
        return []
    heads = [
        Column("ID"),
        Column("STATE"),
        Column("ISSUE", gives=True, names=True),
        Column("SINCE", right=True),
        Column("TRIES", right=True),
        Column("TASK", gives=True),
    ]
    rows = [_row(task, screen, now) for task in tasks]
    return table(screen, heads, rows, paint=lambda at, value, text: screen.state(value, text) if at == 1 else text)


def _row(task: TaskData, screen: Screen, now: str) -> list[str]:
    about = f"{task['title']}"
    note = _note(task, now)
    return [
        task["task"],
        gates.task_state(task["state"]),
        screen.issue(task["issue"]) or task["kind"],
        times.duration(times.since(task["changed_at"], now)),
        str(task["attempts"]) if task["attempts"] else "-",
        line(f"{note} · {about}" if note else about),
    ]


def _note(task: TaskData, now: str) -> str:
    """What is worth knowing before the title: until when it waits, who works, why it failed."""
    if task["state"] in ("pending", "parked"):
        if task["not_before"] is not None and pause_lasts(task["not_before"], task["changed_at"], now):
            return f"until {times.ahead(task['not_before'], now)}"
        if task["options"]:
            return options_words(task["options"])
        if task["after"]:
            return f"after {', '.join(task['after'])}"
        return f"priority {task['priority']}" if task["priority"] else ""
    if task["state"] == "error":
        return task["reason"] or ""
    if task["state"] == "completed" and task["result"] is not None:
        from kugetsu.views.results import result_words  # start-up: status does not need it

        return result_words(task["result"])
    return task["attempt"] or ""


def options_words(options: Mapping[str, Any]) -> str:
    """``by command:llama, 2 attempts of 1h each``; empty for a task that was given nothing for itself."""
    parts = []
    if options.get("agent") or options.get("model"):
        parts.append("by " + ":".join(part for part in (options.get("agent"), options.get("model")) if part))
    if options.get("max_attempts"):
        parts.append(f"at most {counted(options['max_attempts'], 'attempt')}")
    if options.get("timeout_hours"):
        parts.append(f"{times.duration(options['timeout_hours'] * 3600)} each")
    if options.get("labels"):
        parts.append(f"on a host that offers {' and '.join(options['labels'])}")
    return ", ".join(parts)


def count_line(by_state: dict[str, int], unacknowledged: int) -> str:
    """``4 pending, 1 parked, 12 completed, 3 error (2 acknowledged)``; ``empty`` for none."""
    said = {state: f"{number} {gates.task_state(state)}" for state, number in by_state.items() if number}
    acknowledged = by_state["error"] - unacknowledged
    if acknowledged > 0:
        said["error"] += f" ({acknowledged if unacknowledged else 'all'} acknowledged)"
    return ", ".join(said.values()) or "empty"


def stats_lines(figures: QueueStats, screen: Screen, now: str) -> list[str]:
    """The text of `queue stats`."""
    rows = [[gates.task_state(state), str(number)] for state, number in figures["counts"].items()]
    if figures["counts"]["error"]:
        rows.insert(1 + STATES.index("error"), ["  unacknowledged", str(figures["unacknowledged"])])
    rows.append(["total", str(figures["total"])])
    lines = table(screen, [Column("STATE"), Column("TASKS", right=True)], rows)
    oldest = figures["oldest_waiting"]
    if oldest is not None:
        lines.append(f"the oldest waiting task was queued {times.duration(times.since(oldest, now))} ago")
    spent = f"{counted(figures['attempts'], 'attempt')}, {times.tokens(figures['tokens'])}"
    cost = f", cost {figures['cost']:.2f}" if figures["cost"] else ""
    lines.append(f"the {counted(figures['listed'], 'task')} still listed took {spent}{cost}")
    asked = {name: number for name, number in figures["asked_by"].items() if number}
    if asked and asked.keys() != {"person"}:
        said = ", ".join(f"{number} {ASKED_BY[name]}" for name, number in asked.items())
        lines += screen.wrapped(f"asked for: {said}", 2)
    if figures["results"]:
        from kugetsu.model.result_words import NAMES  # start-up: status does not need it

        came = ", ".join(f"{NAMES.get(kind, kind)} {number}" for kind, number in figures["results"].items())
        lines += screen.wrapped(f"results: {came}", 2)
    return lines
