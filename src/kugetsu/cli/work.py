"""`kugetsu start` and `kugetsu continue`: an agent on an issue, now."""

from __future__ import annotations

import sys
from typing import Any

from kugetsu.cli import messages, progress, task_options
from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.cli.queue import admit, show_queued, warn_without_daemon
from kugetsu.domain.decide import sessions
from kugetsu.domain.events import Event
from kugetsu.model.errors import BadInput, CapReached, Conflict, KugetsuError, NotFound
from kugetsu.model.refs import IssueRef
from kugetsu.runtime import submit
from kugetsu.runtime.query import subjects
from kugetsu.runtime.submit import Started
from kugetsu.views.text import line

CONTINUE = "Continue the work on this issue."
#: Exit status of --wait by the event that ends the task.
OUTCOMES = {"task.completed": 0, "task.failed": 1, "task.parked": 1, "task.cancelled": 1, "task.retried": 1}


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.words("words", "the issue, then the message", completes="issue")
    parser.add_argument("--file", metavar="FILE", completes="file", help="read the message from a file")
    parser.add_argument("--wait", action="store_true", help="wait for the outcome, and exit with it")
    task_options.declare(parser)
    parser.add_argument(
        "--anyway", action="store_true", help="start although the queue is paused, or it looks doomed to fail"
    )


def _start_arguments(parser: Parser) -> None:
    _arguments(parser)
    parser.add_argument("--pr", metavar="URL", help="the pull request that the work belongs to")
    parser.add_argument(
        "--queue", action="store_true", help="queue the task when no slot is free, or the queue is paused"
    )


def _start(call: Call) -> int:
    pr = _url(call.args.pr)
    texts, words = messages.split_many(call.args.words, call.args.literal, "kugetsu start", anyway=call.args.anyway)
    refs = list(dict.fromkeys(subjects.issue(call.workspace, text) for text in texts))
    if len(refs) > 1:
        _require_alone(call, pr)
    call.ready()
    wanted = admit(call, refs, words, "kugetsu start")
    for place, (ref, message, from_issue) in enumerate(wanted):
        try:
            status = _work(call, "start", ref, message, pr=pr, queue=call.args.queue, from_issue=from_issue)
        except KugetsuError:
            if place:
                left = " ".join(str(other) for other, _, _ in wanted[place:])
                call.note(f"not started: {left}")
            raise
        if status:
            return status
    return 0


def _require_alone(call: Call, pr: str | None) -> None:
    """Raise BadInput for options that are about one issue."""
    if call.args.wait:
        raise BadInput("kugetsu start: --wait takes one issue", "start them, then: kugetsu wait")
    if pr is not None:
        raise BadInput("kugetsu start: --pr belongs to one issue", "kugetsu set-pr REF URL for each")
    if call.json:
        raise BadInput("kugetsu start: --json takes one issue", "start each alone, or: kugetsu queue enqueue --json")


def _continue(call: Call) -> int:
    ws = call.workspace
    text, words = messages.split(call.args.words, "kugetsu continue")
    ref = subjects.issue(ws, text)
    message = CONTINUE
    if words or call.args.file is not None:
        message = messages.read(words, call.args.file, "kugetsu continue", ws.paths)
    call.ready()
    return _work(call, "continue", ref, message)


def _url(pr: str | None) -> str | None:
    if pr is None:
        return None

    if not pr.startswith(("https://", "http://")) or not pr.isprintable() or " " in pr:
        raise BadInput(f"not the URL of a pull request: {pr[:80]!r}", "--pr https://host/owner/repo/pulls/15")
    return pr


def _work(
    call: Call,
    via: str,
    ref: IssueRef,
    message: str,
    *,
    pr: str | None = None,
    queue: bool = False,
    from_issue: bool = False,
) -> int:
    own = task_options.given(call.args)
    try:
        with progress.shown(call.environment, f"{via} {ref}: looking for a free slot") as waiting:
            started = submit.start(
                call.workspace,
                ref,
                message,
                via=via,
                pr=pr,
                despite_pause=call.args.anyway,
                options=own,
                from_issue=from_issue,
                step=waiting.step,
            )
    except (CapReached, Conflict) as closed:
        if not queue or not (isinstance(closed, CapReached) or closed.values.get("gate") == "paused"):
            raise
        if not call.json:
            from kugetsu.views import refusals

            call.note(refusals.words(closed)[0])
        events = submit.enqueue(call.workspace, ref, message, via=via, options=own, from_issue=from_issue)
        return _queued(call, ref, pr, events)
    return _follow(call, started)


def _queued(call: Call, ref: IssueRef, pr: str | None, events: list[Event]) -> int:
    show_queued(call, events)
    if pr is not None:
        _tie_or_warn(call, ref, pr)
    if not call.args.wait:
        return 0
    final = _awaited(call, events[0]["task"])
    return _outcome(call, final, {"task": events[0]["task"], "issue": str(ref)})


def _tie_or_warn(call: Call, ref: IssueRef, pr: str) -> None:
    """Tie the pull request to the issue's session; an issue that has none yet has nothing to tie it to."""
    try:
        call.workspace.log.transact(lambda state: sessions.set_pr(state, str(ref), pr, "said"))
    except NotFound:
        call.note(f"the pull request is not tied yet: there is no session; once it runs: kugetsu set-pr {ref} {pr}")


def _follow(call: Call, started: Started) -> int:
    data = _data(call, started)
    if not call.json:
        call.print_lines(_lines(data))
        _show_how_to_follow(call, data)
    if started.state == "running" and not call.args.wait:
        if call.json:
            call.show(data, [])
        return 0

    sys.stdout.flush()
    return _outcome(call, _awaited(call, started.task), data)


def _awaited(call: Call, task_id: str) -> Event:
    with progress.shown(call.environment, f"{task_id}: waiting for the outcome"):
        return submit.wait_for(call.workspace, task_id)


def _data(call: Call, started: Started) -> dict[str, Any]:
    """`start --json`: the task, its attempt, its slot, and where it works."""
    claimed = next(event for event in started.events if event["type"] == "attempt.claimed")
    session = call.state().sessions.get(started.session)
    return {
        "task": started.task,
        "attempt": started.attempt,
        "issue": started.session,
        "state": started.state,
        "reason": started.reason,
        "slot": claimed["data"]["slot"],
        "cap": claimed["facts"]["cap"],
        "worktree": session.worktree if session is not None else None,
        "branch": session.branch if session is not None else None,
        "agent_session": session.agent_session if session is not None else None,
    }


def _lines(data: dict[str, Any]) -> list[str]:
    lines = [
        f"{data['task']}  {data['issue']}  {data['attempt']} {data['state']}, slot {data['slot']} of {data['cap']}"
    ]
    if data["worktree"]:
        lines.append(f"worktree  {data['worktree']}")
    if data["branch"]:
        lines.append(f"branch    {data['branch']}")
    return lines


def _show_how_to_follow(call: Call, data: dict[str, Any]) -> None:
    if data["state"] != "running":
        return

    call.note(
        f"follow    kugetsu logs {data['attempt']} -f",
        f"story     kugetsu history {data['issue']}",
        f"stop      kugetsu queue cancel {data['task']}",
    )
    warn_without_daemon(call)


def _outcome(call: Call, final: Event, data: dict[str, Any]) -> int:
    """Tell how the task ended; the exit status says it too."""
    from kugetsu.views.wording import words

    kind = final["type"]
    state = {
        "task.completed": "completed",
        "task.failed": "error",
        "task.cancelled": "cancelled",
        "task.parked": "parked",
        "task.retried": "pending",
    }[kind]
    status = OUTCOMES[kind]
    reason = final["data"]["reason"] if kind == "task.retried" else words(final)
    if call.json:
        call.show({**data, "state": state, "reason": reason, "event": final["seq"], "exit_code": status}, [])
        return status
    call.print_lines([f"{final['task']} {_verb(kind)}: {line(reason)}"])
    if status:
        call.note(f"why: kugetsu why {final['task']}        story: kugetsu history {final['task']}")
    if kind == "task.retried":
        call.note("no daemon is running, so nothing retries it: kugetsu queue-daemon start")
    return status


def _verb(kind: str) -> str:
    return {
        "task.completed": "completed",
        "task.failed": "ended in error",
        "task.cancelled": "was cancelled",
        "task.parked": "is parked",
        "task.retried": "failed and will be retried",
    }[kind]


JSON = """\
task           the task's id
attempt        the attempt's id
issue          host/owner/repo#N
state          running, or how it ended; with --wait the task's state
reason         why it ended, or null
slot           the slot it took
cap            how many slots there are
worktree       the folder that it works in, or null
branch         the branch that it works on, or null
agent_session  the agent's own id for the session, or null
event          with --wait: the event that ended the task
exit_code      with --wait: the exit status"""

COMMANDS = {
    "start": Command(
        f"[--wait] [--queue] [--anyway] [--pr URL] {task_options.USAGE} [--file FILE] [--json] {messages.USAGE}",
        f"{messages.ABOUT}\n\n{messages.OWN_TEXT}\n\n{task_options.ABOUT}\n\n"
        "It returns once the agent runs. At the cap it exits with 2 and changes nothing; --queue queues the task\n"
        "instead. While the queue is paused it exits with 5; --anyway starts all the same.\n"
        "With --wait the exit status is the outcome: 0 completed, 1 failed, cancelled or parked.",
        _start_arguments,
        _start,
        json=f"{JSON}\n\nWith --queue and no free slot, it first prints what kugetsu queue enqueue prints.",
        examples="kugetsu start owner/project#14 fix the parser\n"
        "kugetsu start --wait '#14' --file task.md  # exit with the outcome",
        exits=(2, 4, 5),
    ),
    "continue": Command(
        f"[--wait] [--anyway] {task_options.USAGE} [--file FILE] [--json] REF [MESSAGE…]",
        f"{messages.ABOUT}\n\n{task_options.ABOUT}\n\nWithout a message: {CONTINUE!r}",
        _arguments,
        _continue,
        json=JSON,
        examples="kugetsu continue owner/project#14 the review asks for shorter names",
        exits=(2, 5),
    ),
}
