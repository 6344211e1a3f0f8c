"""Why a task is not running: the reason, what changes next, its place in line, every gate; or what led to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kugetsu.domain.events import Event
from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.scheduling import Forecast
from kugetsu.domain.state import Attempt, Task
from kugetsu.model.record import values
from kugetsu.views import gates, times
from kugetsu.views.causes import chain_lines
from kugetsu.views.queue import options_words, task_data
from kugetsu.views.results import result_words
from kugetsu.views.screen import Screen
from kugetsu.views.text import columns, cut, line, pad
from kugetsu.views.wording import reason_words, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypedDict

    from kugetsu.runtime.query.points import Asked
    from kugetsu.views.queue import TaskData

    class WhyTask(TypedDict):
        """`kugetsu why TASK --json`.

        ``answer`` is the headline; ``gates`` are in the dispatcher's order, the first closed one is the reason;
        ``hosts`` are those of a shared log, each with the first gate that is closed there;
        ``next`` is a `scheduling.NextChange`, ``line`` a `scheduling.QueuePosition`; ``because`` the chain of causes,
        oldest first. A task that has left the state has only answer and chain; ``then`` is a command that goes on from
        there. ``withdrawn`` says why the issue of a running task asks for no work any more."""

        task: TaskData | None
        answer: str
        gates: list[dict[str, Any]]
        hosts: list[dict[str, Any]]
        next: dict[str, Any] | None
        line: dict[str, Any] | None
        because: list[Event]
        then: str | None
        withdrawn: str | None


WAITS = ("pending", "parked")
#: Columns that the names of gates are given; `dependencies` is the longest.
_GATE = 12
#: Columns before a gate's reason: indent, mark, name.
_LEFT = 2 + 2 + _GATE + 2
#: Tasks before one in line that are named.
_NAMED = 6


def about_task(
    task: Task, attempt: Attempt | None, seen: Forecast, because: list[Event], withdrawn: str | None = None
) -> WhyTask:
    """The answer for a task that is in the state; its times are UTC, `task_lines` says them in local time."""
    over = task.state in FINISHED_TASK
    return {
        "task": task_data(task),
        "answer": _answer(task, attempt, seen),
        "gates": [gates.data(verdict) for verdict in seen.verdicts] if not over else [],
        "hosts": _on_hosts(seen) if not over else [],
        "next": gates.change_data(seen.change, seen.first),
        "line": values(seen.line) if seen.line is not None else None,
        "because": because,
        "then": None,
        "withdrawn": withdrawn,
    }


def _on_hosts(seen: Forecast) -> list[dict[str, Any]]:
    """Each host, with what keeps the task from starting there. Of one without a daemon, what may be done about it."""
    homes = {closed.values["host"] for _, closed in seen.hosts if closed and closed.code == "session_elsewhere"}
    rows = []
    for host, closed in seen.hosts:
        reason = gates.reason_of(closed) if closed is not None else "nothing holds it back there"
        if closed is not None and closed.code == "no_daemon":
            reason = "its daemon is not running: kugetsu queue-daemon start, on that host"
            if host.name in homes:
                reason += f"; or give its sessions to the others: {gates.of_host('lost', host.name)}"
        rows.append({"host": host.name, "gate": closed.gate if closed is not None else None, "reason": reason})
    return rows


def from_history(answer: str, because: list[Event], then: str | None) -> WhyTask:
    """The answer for what only the log knows; ``then`` is the next command."""
    return {
        "task": None,
        "answer": answer,
        "gates": [],
        "hosts": [],
        "next": None,
        "line": None,
        "because": because,
        "then": then,
        "withdrawn": None,
    }


#: state of an open review → what it waits for.
_REVIEWS = {
    "to_review": "its work waits for someone to look at it",
    "changes_requested": "its work waits for the changes that its review requests",
    "checks_failed": "its work waits for its checks to pass",
    "conflicting": "its work waits until it can be merged: it conflicts with the base branch",
    "approved": "its work is approved and waits to be merged",
}


def review_lines(key: str, review: str, screen: Screen) -> list[str]:
    """What an open review waits for."""
    return screen.side_by_side([_REVIEWS[review], f"look: {screen.command(f'kugetsu review {key}')}"])


def pull_lines(data: dict[str, Any], screen: Screen) -> list[str]:
    """Why pushed work has no pull request, and the command that comes next."""
    shown = _labelled("pull", data["answer"], screen)
    return shown + (screen.side_by_side([f"      next: {screen.command(data['next'])}"]) if data["next"] else [])


def _answer(task: Task, attempt: Attempt | None, seen: Forecast) -> str:
    if task.state == "notified":
        slot = f", slot {attempt.slot}" if attempt is not None and attempt.slot is not None else ""
        names = {host.id: host.name for host, _ in seen.hosts}
        if attempt is not None and attempt.host in names:
            slot += f" on {line(names[attempt.host])}"
        stopping = " and is being stopped" if attempt is not None and attempt.stop else ""
        return f"{task.id} runs: {task.attempt or 'an unknown attempt'}{slot} works on it{stopping}"
    if task.state in FINISHED_TASK:
        verb = {"completed": "is completed", "error": "ended in error", "cancelled": "was cancelled"}[task.state]
        said = "on request" if task.reason == "cancel" else reason_words(gates.of_task(task) or "")
        if task.state == "completed" and task.result is not None:
            said = result_words(task.result)
        return f"{task.id} {verb}{': ' + line(said) if said else ''}"
    if seen.first is not None:
        return f"{task.id} waits: {line(gates.reason_of(seen.first))}"
    if seen.line is not None and seen.line.place > 1:
        return f"{task.id} waits for its turn: only the queue holds it back"
    return f"{task.id} may start now: nothing holds it back"


# --- the text ---------------------------------------------------------------------------------------------------


def task_lines(data: WhyTask, screen: Screen, hosts: Mapping[str, str] | None = None) -> list[str]:
    """The text of `why` for a task; ``hosts``: the names of those that share the log."""
    task = data["task"]
    if task is None:
        shown = [screen.bold(part) for part in paragraph(f"{data['answer']}.", screen)]
        shown += [*chain_lines(data["because"], screen, hosts), *_rescued(data["because"], screen)]
        return [*shown, data["then"]] if data["then"] else shown
    shown = [screen.bold(part) for part in paragraph(_headline(data, task, screen), screen)]
    if task["issue"]:
        shown.append(cut(f"  {task['issue']}  {line(task['title'])}", screen.cuts_at))
    if task["options"]:
        shown += paragraph(f"given to it: {options_words(task['options'])}", screen, "  ")
    if task["state"] not in WAITS:
        if data["withdrawn"]:
            stays = "the run goes on, but kugetsu opens and posts nothing more for it"
            shown += paragraph(f"{data['withdrawn']}: {stays}", screen, "  ")
        if task["state"] == "notified":
            shown += _labelled("next", _next(data, screen), screen)
        on = screen.side_by_side(_on(task, screen))
        return [*shown, *chain_lines(data["because"], screen, hosts), *_rescued(data["because"], screen), *on]
    if task["reason"] and task["reason"] not in data["answer"]:
        shown += paragraph(f"the last attempt: {line(task['reason'])}", screen, "  ")
    shown += _rescued(data["because"], screen)
    for event in _answered(data["because"], task["task"]):
        shown += paragraph(f"it answers: {words(event)} (event {event['seq']})", screen, "  ")
    shown += _labelled("next", _next(data, screen), screen)
    if data["line"] is not None:
        shown += _labelled("line", _in_line(data["line"]), screen)
    shown += _gate_lines(data["gates"], screen)
    for host in data["hosts"]:
        held = f"{host['gate']}: {line(host['reason'])}" if host["gate"] else line(host["reason"])
        shown += paragraph(f"on {line(host['host'])}  {held}", screen, "  ")
    return [*shown, *screen.side_by_side(_evidence(data, task, screen))]


def _answered(because: list[Event], task: str) -> list[Event]:
    """The feedback that a task answers; what led to it includes that of earlier turns."""
    queued = [event["data"] for event in because if event["type"] == "task.queued" and event.get("task") == task]
    items = {name for data in queued for name in data.get("reaction", {}).get("items", ())}
    seen = [event for event in because if event["type"] == "feedback.seen"]
    return [event for event in seen if any(item["id"] in items for item in event["data"]["items"])]


def _headline(data: WhyTask, task: TaskData, screen: Screen) -> str:
    said, event = data["answer"], task["event"]
    if task["state"] in WAITS:
        closed = next((gate for gate in data["gates"] if not gate["open"]), None)
        event = closed["rests_on"] if closed is not None else 0
        if closed is not None and closed["until"]:
            said += f" until {times.ahead(closed['until'], screen.now)}"
    return f"{said}{f' (event {event})' if event else ''}."


def _labelled(label: str, text: str, screen: Screen) -> list[str]:
    """``next  …``, continued below the text."""
    first, *more = paragraph(text, screen, room=len(label) + 2)
    return [f"{screen.dim(label)}  {first}", *(" " * (len(label) + 2) + part for part in more)]


def _next(data: WhyTask, screen: Screen) -> str:
    """The next change, in words."""
    change = data["next"] or {}
    what, kind = line(str(change.get("what") or "")), change.get("kind")
    condition = ", if a daemon is running by then: kugetsu queue-daemon start" if change.get("needs_daemon") else ""
    if kind == "now":
        return "now: the daemon starts it in its turn"
    if kind == "time":
        return f"at {times.ahead(change['at'], screen.now)}: {what}{condition}"
    if kind == "look":
        # The look and the screen are some milliseconds apart.
        every = times.duration(round(times.since(screen.now, change["at"])))
        closed = next((gate["gate"] for gate in data["gates"] if not gate["open"]), None)
        when = "once that is fixed" if closed == "agent" else "when there is more"
        return f"by itself {when}: {what} every {every}{condition}"
    if kind == "event":
        return f"when {what}{_while(change, screen)}{condition}"
    return f"blocked until someone acts: {change.get('lift') or 'see below'}"


def _while(change: dict[str, Any], screen: Screen) -> str:
    """For how long that which is waited for runs, and when it is ended at the latest."""
    said = []
    if change["since"]:
        said.append(f"running {times.duration(times.since(change['since'], screen.now))}")
    if change["latest"]:
        said.append(f"TASK_TIMEOUT_HOURS ends it at {times.ahead(change['latest'], screen.now)}, at the latest")
    lift = change["lift"] or ""
    if lift.startswith("kugetsu why"):
        said.append(f"more: {screen.command(lift)}")
    return f" ({'; '.join(said)})" if said else ""


def _in_line(place: dict[str, Any]) -> str:
    before = place["before"]
    if not before:
        return f"first of {place['total']}"
    named = ", ".join(before[-_NAMED:])
    more = f"{len(before) - _NAMED} more and " if len(before) > _NAMED else ""
    return f"{len(before) + 1} of {place['total']}, behind {more}{named}"


def _rescued(because: Sequence[Event], screen: Screen) -> list[str]:
    """The branches that keep what failed attempts left: on a terminal their rows are cut before the name."""
    kept = [line(str(event["data"]["rescue"])) for event in because if event["data"].get("rescue")]
    return paragraph(f"its work is kept on {', '.join(kept)}", screen, "  ") if kept else []


def _on(task: TaskData, screen: Screen) -> list[str]:
    again = f"again: kugetsu queue retry {task['task']}"
    if task["state"] == "notified":
        works = task["attempt"] or task["task"]
        return [f"follow: kugetsu logs {works} -f", f"stop: kugetsu queue cancel {task['task']}"]
    if task["state"] == "completed" and task["issue"]:
        return [f"continue: kugetsu continue {task['issue']} MESSAGE", again]
    if task["state"] == "cancelled" and task["asked_by"] == "label" and (task["reason"] or "").startswith("intake_"):
        # Tried again it would be cancelled again: it still needs its label.
        again = f"again: set the label again, or kugetsu queue enqueue {task['issue']} MESSAGE"
    return [again, _all_of_it(task["task"], screen)]


def _all_of_it(key: str, screen: Screen) -> str:
    return "full history: " + screen.command(f"kugetsu history {key}")


def _evidence(data: WhyTask, task: TaskData, screen: Screen) -> list[str]:
    """Commands that continue from the event behind the reason."""
    closed = next((gate for gate in data["gates"] if not gate["open"]), None)
    more = _all_of_it(task["task"], screen)
    if closed is None or not closed["rests_on"]:
        return [more]
    return ["the event behind it: " + screen.command(f"kugetsu why {closed['rests_on']}"), more]


def _gate_lines(gates: list[dict[str, Any]], screen: Screen) -> list[str]:
    """Every gate in the dispatcher's order: ✓ open, ✗ the reason, · closed behind it; below it what opens it."""
    shown: list[str] = []
    reason_told = False
    left = 4 if screen.narrow else _LEFT
    for gate in gates:
        if gate["open"]:
            mark = screen.green("✓")
        else:
            mark = "·" if reason_told else screen.red("✗")
        name = pad(gate["gate"], _GATE)
        evidence = f"event {gate['rests_on']}" if gate["rests_on"] and not gate["open"] else ""
        if screen.narrow and not gate["open"]:
            first, *more = "", *_reason_lines(line(gate["reason"]), evidence, screen, left)
        else:
            first, *more = _reason_lines(line(gate["reason"]), evidence, screen, _LEFT)
            more = [" " * (_LEFT - left) + part for part in more]
        shown.append(f"  {mark} {screen.dim(name) if gate['open'] else name}  {first}".rstrip())
        shown += [" " * left + part for part in more]
        if not gate["open"]:
            shown += [" " * left + part for part in _unblocked(gate, reason_told, screen, left)]
            reason_told = True
    return shown


def _reason_lines(reason: str, evidence: str, screen: Screen, left: int) -> list[str]:
    """The reason, and the event behind it at the end of its last line, or below it where there is no room."""
    if screen.width is None:
        return [f"{reason}  {evidence}"]
    room = screen.width - left
    *before, last = screen.wrapped(reason, left)
    if not evidence:
        return [*before, last]
    if columns(last) + 2 + len(evidence) <= room:
        return [*before, f"{last}{evidence:>{room - columns(last)}}"]
    return [*before, last, evidence]


def _unblocked(gate: dict[str, Any], later: bool, screen: Screen, left: int) -> list[str]:
    """Until when the gate is closed, and what opens it; ``later``: once it is the reason."""
    until = f"until {times.ahead(gate['until'], screen.now)}" if gate["until"] else ""
    lift = f"{'then ' if later else ''}lift: {screen.command(gate['lift'])}" if gate["lift"] else ""
    other = f"or: {screen.command(gate['otherwise'])}" if gate["otherwise"] else ""
    parts = [part for part in (until, lift, other) if part]
    together = "    ".join(parts)
    if not together or screen.width is None or columns(together) <= screen.width - left:
        return [together] if together else []
    return parts


def source_lines(point: Asked, screen: Screen, *, settings: bool = False) -> list[str]:
    """What an answer for a point of the past was made from; ``settings``: those of the point itself are known."""
    made_from, at = point["facts_from"], point["facts_at"]
    if made_from is None and at is not None:
        known = "asked with settings and machine as they were when the file was made; type commands where it was made"
        return [screen.dim(part) for part in paragraph(known, screen)]
    if made_from is None:
        of = "in the file" if settings else "of another time"
        known = f"no decision had recorded its inputs: asked with settings {of}"
    elif settings:
        known = f"asked with the settings in the file, and the machine as event {made_from} recorded it"
    else:
        known = f"asked with settings and machine as event {made_from} recorded them"
    if made_from is not None and at is not None and at < point["at"]:
        known += f", {times.duration(times.since(at, point['at']))} earlier"
    return [screen.dim(part) for part in paragraph(f"{known}; no process was asked", screen)]


def paragraph(text: str, screen: Screen, indent: str = "", room: int = 0) -> list[str]:
    """The whole text: on a terminal in as many lines as it takes, its remedy may stand at its end."""
    return [indent + part for part in screen.wrapped(text, len(indent) + room)]
