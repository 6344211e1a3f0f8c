"""`kugetsu wait`: until tasks have ended, a line for each; the exit status says whether all went well."""

from __future__ import annotations

import sys
from typing import Any

from kugetsu.cli.call import Call, Command, print_json
from kugetsu.cli.parser import Parser
from kugetsu.cli.queue import warn_without_daemon
from kugetsu.domain import gates
from kugetsu.runtime import task_ends
from kugetsu.runtime.query import subjects
from kugetsu.runtime.task_ends import End
from kugetsu.views import gates as gate_words
from kugetsu.views.results import result_words
from kugetsu.views.text import line
from kugetsu.views.wording import words

_VERBS = {"completed": "completed", "error": "ended in error", "cancelled": "was cancelled", "blocked": "is blocked"}


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.words(
        "tasks",
        "tasks, or issues: their open tasks, else the latest (default: all open tasks)",
        metavar="TASK|REF",
        completes=("task-open", "issue"),
    )
    parser.add_argument("--any", action="store_true", help="wait for the first end only")


def _wait(call: Call) -> int:
    state = call.ready()
    named = [subjects.subject(call.workspace, text) for text in call.args.tasks]
    wanted = [task for subject in named for task in task_ends.tasks_of(call.workspace, subject)]
    if not named:
        wanted = task_ends.open_tasks(state)
        if not wanted:
            call.print_lines([] if call.json else ["no task is waiting or running"])
            return 0
    if any(
        (task := state.tasks.get(task_id)) is not None and task.state in ("pending", "parked") for task_id in wanted
    ):
        warn_without_daemon(call)
    status = 0
    for end in task_ends.ends(call.workspace, wanted):
        _show(call, end)
        status = max(status, 0 if end.good else 1)
        if call.args.any:
            return status
    return status


def _show(call: Call, end: End) -> None:
    said = _said(call, end)
    if call.json:
        data: dict[str, Any] = {
            "task": end.task,
            "issue": end.issue,
            "state": end.state,
            "result": end.result["kind"] if end.result is not None else None,
            "reason": said,
            "event": end.event["seq"],
            "exit_code": 0 if end.good else 1,
        }
        print_json(data, compact=True)
        sys.stdout.flush()
        return
    about = f"{end.task}  {call.screen.issue(end.issue) or 'pm'}  {_VERBS[end.state]}"
    call.print_lines([f"{about}: {said}" if said else about], flush=True)


def _said(call: Call, end: End) -> str:
    """What came of it, or why nothing did."""
    if end.state == "completed":
        return result_words(end.result) if end.result is not None else line(words(end.event))
    if end.state != task_ends.BLOCKED:
        return line(words(end.event))
    state = call.state()
    task = state.tasks.get(end.task)
    stranded = gates.stranded(state, task) if task is not None else None
    if stranded is not None:
        return line(gate_words.reason_of(stranded))
    return line((gate_words.of_task(task) if task is not None else None) or words(end.event))


COMMANDS = {
    "wait": Command(
        "[--any] [--json] [TASK|REF …]",
        "A line is printed as each task ends. The exit status is 0 when every task is completed, and 1 when one\n"
        "ended in error, was cancelled, is blocked until someone acts (parked without a time, or behind a task that\n"
        "was not completed), or is completed with a question or a refused push, so that nothing was delivered.\n"
        "A task that is parked until a time, pauses or is held by a paused queue is waited for. Tasks that are queued\n"
        "later are not. Ctrl-C ends the waiting alone.",
        _arguments,
        _wait,
        json="One object a line, for each task as it ends.\n"
        "task       the task's id\n"
        "issue      host/owner/repo#N, or null for the PM agent\n"
        "state      completed, error, cancelled or blocked\n"
        "result     the kind of its result, as pull_request, pushed or question; null without an attempt\n"
        "reason     the same in words\n"
        "event      the event that ended it, or after which it was blocked\n"
        "exit_code  0 or 1, what it adds to the exit status",
        examples="kugetsu wait && kugetsu report\nkugetsu wait --any q7 '#14'  # the first of them",
        exits=(4,),
    ),
}
