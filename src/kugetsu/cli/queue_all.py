"""`kugetsu queue list --all`: every task, also those that have left the state for the log, streamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from kugetsu.cli import paging
from kugetsu.cli.call import Call
from kugetsu.domain.state import State, Task
from kugetsu.runtime.query import retired
from kugetsu.views import gates, queue
from kugetsu.views.text import json_text


def show(
    call: Call, state: State, now: str, wanted: str | None, figures: dict[str, Any], heading: Sequence[str]
) -> int:
    """Show the tasks in a state (None: in any) as of ``state``: those that run and wait, then the finished ones. With
    ``heading``, as JSON with ``figures``."""
    found = (queue.task_data(task) for task in _tasks(call, state) if wanted in (None, task.state))
    if call.json:
        _print_json(found, figures)
        return 0
    first = list(islice(found, 1))
    if not first:
        verb = "was" if figures["as_of"] else "is"
        call.print_lines([*heading, f"no task {verb} {gates.task_state(wanted)}" if wanted else "there is no task"])
        return 0
    paging.page(call, _lines(call, first, found, now, heading))
    return 0


def _tasks(call: Call, state: State) -> Iterator[Task]:
    yield from queue.open_tasks(state)
    if any(state.retired.values()):
        yield from retired.tasks(call.workspace.log, state.seq)
    yield from queue.finished_tasks(state)


def _lines(
    call: Call, first: list[queue.TaskData], found: Iterator[queue.TaskData], now: str, heading: Sequence[str]
) -> Iterator[str]:
    yield from heading
    rows = [*first, *islice(found, queue.ROWS - 1)]
    while rows:
        yield from queue.list_lines(rows, call.screen, now)
        rows = list(islice(found, queue.ROWS))


def _print_json(found: Iterator[queue.TaskData], figures: dict[str, Any]) -> None:
    """One document, a task a line, written as it is read."""
    print('{"tasks": [', end="")
    for place, task in enumerate(found):
        print(",\n" if place else "\n", json_text(task, compact=True), sep="", end="")
    rest = json_text(figures, compact=True)
    print(f"\n], {rest[1:]}")
