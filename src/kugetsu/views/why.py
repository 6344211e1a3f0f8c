"""Why a task is not running, gate by gate; or what led to where it is; or what an event came from and led to."""

from __future__ import annotations

from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.views import times
from kugetsu.views.history import Rows
from kugetsu.views.queue import task_data
from kugetsu.views.text import Column, columns, cut, line, pad, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypedDict

    from kugetsu.domain.gates import Verdict
    from kugetsu.domain.state import Attempt, Task
    from kugetsu.views.queue import TaskData
    from kugetsu.views.screen import Screen

    Event = dict[str, Any]

    class WhyTask(TypedDict):
        """`kugetsu why TASK --json`. ``answer`` is the headline; ``gates`` as the dispatcher sees them now, the first
        closed one is the reason; ``because`` the chain of causes, oldest first."""

        task: TaskData | None
        answer: str
        gates: list[dict[str, Any]]
        because: list[Event]

    class WhyEvent(TypedDict):
        """`kugetsu why SEQ --json`: the event, its chain of causes oldest first, and its direct effects."""

        event: Event
        because: list[Event]
        led_to: list[Event]


def about_task(task: Task, attempt: Attempt | None, verdicts: Sequence[Verdict], because: list[Event]) -> WhyTask:
    """The answer for a task that is in the state; its times are UTC, `task_lines` says them in local time."""
    return {
        "task": task_data(task),
        "answer": _answer(task, attempt, verdicts),
        "gates": [verdict.as_data() for verdict in verdicts] if task.state not in FINISHED_TASK else [],
        "because": because,
    }


def _answer(task: Task, attempt: Attempt | None, verdicts: Sequence[Verdict]) -> str:
    if task.state == "notified":
        slot = f", slot {attempt.slot}" if attempt is not None and attempt.slot is not None else ""
        stopping = " and is being stopped" if attempt is not None and attempt.stop else ""
        return f"{task.id} runs: {task.attempt}{slot} works on it{stopping}"
    if task.state in FINISHED_TASK:
        verb = {"completed": "is completed", "error": "ended in error", "cancelled": "was cancelled"}[task.state]
        said = {"cancel": "on request"}.get(task.reason or "", task.reason or "")
        return f"{task.id} {verb}{': ' + line(said) if said else ''}"
    closed = next((verdict for verdict in verdicts if not verdict.open), None)
    if closed is None:
        return f"{task.id} may start now: nothing holds it back"
    return f"{task.id} waits: {line(closed.reason)}"


def task_lines(data: WhyTask, screen: Screen) -> list[str]:
    """The text of `why` for a task."""
    task = data["task"]
    if task is None:
        return [*_paragraph(f"{data['answer']}.", screen), *chain_lines(data["because"], screen)]
    closed = next((gate for gate in data["gates"] if not gate["open"]), None)
    said = data["answer"]
    event = task["event"]
    if task["state"] in ("pending", "parked") and closed is not None:
        if closed["until"]:
            said += f" until {times.ahead(closed['until'], screen.now)}"
        event = closed["rests_on"]
    said = f"{said}{f' (event {event})' if event else ''}."
    shown = [screen.bold(part) for part in _paragraph(said, screen)]
    if task["issue"]:
        shown.append(cut(f"  {task['issue']}  {line(task['title'])}", screen.width))
    if task["state"] in ("pending", "parked"):
        if task["reason"] and task["reason"] not in data["answer"]:
            shown += _paragraph(f"the last attempt: {line(task['reason'])}", screen, "  ")
        shown += _rescued(data["because"], screen)
        return shown + _gate_lines(data["gates"], screen)
    return [*shown, *chain_lines(data["because"], screen), *_rescued(data["because"], screen), _on(task)]


def _rescued(because: Sequence[Event], screen: Screen) -> list[str]:
    """The branches that keep what failed attempts left: on a terminal their rows are cut before the name."""
    kept = [line(str(event["data"]["rescue"])) for event in because if event["data"].get("rescue")]
    return _paragraph(f"its work is kept on {', '.join(kept)}", screen, "  ") if kept else []


def _on(task: TaskData) -> str:
    if task["state"] == "notified":
        return f"follow: kugetsu logs {task['attempt']} -f        stop: kugetsu queue cancel {task['task']}"
    if task["state"] == "completed" and task["issue"]:
        return f"go on: kugetsu continue {task['issue']} MESSAGE        again: kugetsu queue retry {task['task']}"
    return f"again: kugetsu queue retry {task['task']}        all of it: kugetsu history {task['task']}"


def _gate_lines(gates: list[dict[str, Any]], screen: Screen) -> list[str]:
    """Open gates two in a line, then the reason, then what is closed behind it."""
    closed = [gate for gate in gates if not gate["open"]]
    shown = _open_lines([line(gate["reason"]) for gate in gates if gate["open"]], screen)
    rows = []
    for number, gate in enumerate(closed):
        until = f"until {times.ahead(gate['until'], screen.now)}" if gate["until"] else ""
        event = f"event {gate['rests_on']}" if gate["rests_on"] else ""
        lift = f"lift: {gate['lift']}" if gate["lift"] else ""
        reason = line(gate["reason"])
        if number:
            lift = "(not the reason yet)"
        rows.append([f"{'·' if number else '✗'} {reason}", until, event, lift])
    heads = [Column("", gives=True), Column(""), Column(""), Column("")]

    def paint(at: int, value: str, text: str) -> str:
        return text.replace("✗", screen.red("✗"), 1) if at == 0 and value.startswith("✗") else text

    if _too_wide(rows, screen):  # the command must stay whole: it goes to a line of its own
        lifts = [row.pop() for row in rows]
        if _too_wide(rows, screen):  # and so must the reason
            for row, lift in zip(rows, lifts, strict=True):
                shown += _stacked(row, lift, screen)
            return shown
        lines = table(screen, heads[:-1], rows, paint=paint, indent="  ", titles=False)
        for text, lift in zip(lines, lifts, strict=True):
            shown += [text, f"      {lift}"] if lift else [text]
        return shown
    return shown + table(screen, heads, rows, paint=paint, indent="  ", titles=False)


def _too_wide(rows: list[list[str]], screen: Screen) -> bool:
    if screen.width is None:
        return False
    widths = [max(map(columns, cells)) for cells in zip(*rows, strict=True)]
    return 2 + sum(width + 2 for width in widths if width) - 2 > screen.width


def _stacked(row: list[str], lift: str, screen: Screen) -> list[str]:
    """A closed gate whose reason fills a line: when it opens, its event and its command stand below."""
    mark, _, reason = row[0].partition(" ")
    mark = screen.red(mark) if mark == "✗" else mark
    first, *more = _wrapped(reason, (screen.width or 80) - 4)
    below = "  ".join(part for part in row[1:] if part)
    return [
        f"  {mark} {first}",
        *(f"    {part}" for part in more),
        *(f"      {part}" for part in (below, lift) if part),
    ]


def _open_lines(reasons: list[str], screen: Screen) -> list[str]:
    """``✓ reason``, two in a line where they fit."""
    width = screen.width or 80
    half = (width - 4) // 2
    shown: list[str] = []
    waiting: str | None = None
    for reason in reasons:
        if columns(reason) + 2 > half - 1:
            shown.append(f"  {screen.green('✓')} {cut(reason, width - 4)}")
        elif waiting is None:
            waiting = reason
        else:
            shown.append(f"  {screen.green('✓')} {pad(waiting, half - 2)}{screen.green('✓')} {reason}")
            waiting = None
    if waiting is not None:
        shown.append(f"  {screen.green('✓')} {waiting}")
    return shown


def chain_lines(events: list[Event], screen: Screen) -> list[str]:
    """Events as rows of a history."""
    rows = Rows(screen, subjects=True)
    return [part for event in events for part in rows.lines(event)]


def event_lines(data: WhyEvent, screen: Screen) -> list[str]:
    """The text of `why` for an event."""
    event = data["event"]
    by = event["by"]
    shown = [
        cut(
            f"event {event['seq']} {event['type']}: by {line(str(by.get('user', '?')))} on "
            f"{line(str(by.get('host', '?')))}, pid {by.get('pid', '?')}: {line(str(by.get('cmd', '?')))}",
            screen.width,
        )
    ]
    rows = Rows(screen, subjects=True)  # one for all parts: the date comes once

    def part(title: str, events: list[Event]) -> list[str]:
        return [screen.bold(title), *(row for told in events for row in rows.lines(told))] if events else []

    shown += part("what led to it", data["because"])
    shown += part("the event", [event])
    if event.get("facts"):
        shown += [screen.bold("decided from"), *_fact_lines(event["facts"], screen)]
    shown += part("what it led to", data["led_to"])
    key = event.get("task") or event.get("session") or "--all"
    shown.append(f"all of it: kugetsu history {key}")
    return shown


def _fact_lines(facts: dict[str, Any], screen: Screen) -> list[str]:
    said = line(", ".join(f"{name} {_fact(value)}" for name, value in facts.items()))
    return [f"  {part}" for part in ([said] if screen.width is None else _wrapped(said, screen.width - 2))]


def _fact(value: Any) -> str:
    return str(value) if not isinstance(value, dict) else ", ".join(f"{name} {part}" for name, part in value.items())


def _paragraph(text: str, screen: Screen, indent: str = "") -> list[str]:
    """The whole text: on a terminal in as many lines as it takes, its remedy may stand at its end."""
    parts = [text] if screen.width is None else _wrapped(text, screen.width - len(indent))
    return [indent + part for part in parts]


def _wrapped(text: str, width: int) -> list[str]:
    parts: list[str] = []
    now = ""
    for word in text.split(" "):
        if now and columns(now) + 1 + columns(word) > width:
            parts.append(now)
            now = word
        else:
            now = f"{now} {word}" if now else word
    return [cut(part, width) for part in (*parts, now)]
