"""`kugetsu queue …`: list, stats, enqueue."""

from __future__ import annotations

from kugetsu.cli import messages, task_options
from kugetsu.cli.call import Command
from kugetsu.model.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.cli.call import Call
    from kugetsu.cli.parser import Parser
    from kugetsu.domain.events import Event
    from kugetsu.domain.state import State
    from kugetsu.model.refs import IssueRef
    from kugetsu.runtime.query.points import AsOf


NO_DAEMON = "no daemon is running: queued tasks and retries wait for kugetsu {}"


def warn_without_daemon(call: Call) -> None:
    """Say on stderr that nothing will take the task when no daemon runs: of a shared log, on any host."""
    from kugetsu.runtime import liveness

    state, paths = call.state(), call.workspace.paths
    if liveness.daemon(paths, state):
        return
    others = [host for host in state.hosts.values() if liveness.is_elsewhere(paths, host.id)]
    if not any(host.state == "joined" and state.daemon_of(host.id).state == "running" for host in others):
        left = any(host.state == "left" and host not in others for host in state.hosts.values())
        call.note(NO_DAEMON.format("host join" if left else "queue-daemon start"))


# --- reading ----------------------------------------------------------------------------------------------------


def _list_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("--all", action="store_true", help="all tasks, also those that left the list")
    parser.add_argument("--state", metavar="STATE", completes="task-state", help="only tasks in this state")
    parser.at()
    parser.source()


def _list(call: Call) -> int:
    from kugetsu.views import pauses, queue

    wanted = call.args.state
    if wanted is not None and wanted not in (*queue.STATES, *queue.SHOWN_STATES):
        raise BadInput(f"not a state of tasks: {wanted[:40]!r}", f"one of: {', '.join(queue.SHOWN_STATES)}")
    wanted = "notified" if wanted == "running" else wanted
    state, now, as_of = _as_asked(call)
    paused = pauses.data(state, now)
    heading = [*_heading(call, as_of), *map(call.screen.yellow, pauses.lines(paused, now))]
    figures: dict[str, Any] = {"counts": queue.counts(state), "unacknowledged": queue.unacknowledged(state)}
    figures |= {"paused": paused, "as_of": as_of}
    if call.args.all:
        from kugetsu.cli import queue_all

        return queue_all.show(call, state, now, wanted, figures, heading)
    tasks = queue.listed(state, (wanted,) if wanted else [name for name in queue.STATES if name not in queue.QUIET])
    call.show({"tasks": tasks, **figures}, [*heading, *queue.list_lines(tasks, call.screen, now)])
    if not call.json:
        _show_the_rest(call, state, len(tasks), wanted, then=as_of is not None)
    return 0


def _as_asked(call: Call) -> tuple[State, str, AsOf | None]:
    """The state to show, its time, and the point it is of when that is not now."""
    from kugetsu.runtime.query import points

    return points.then(call.workspace, call.args.at, call.screen.now)


def _heading(call: Call, as_of: AsOf | None) -> list[str]:
    if as_of is None:
        return []
    from kugetsu.views import point

    return point.heading(as_of, call.screen)


def _show_the_rest(call: Call, state: State, shown: int, wanted: str | None, *, then: bool) -> None:
    """Say what the list leaves out, and how to see it."""
    from kugetsu.views import gates, queue

    by_state = queue.counts(state)
    if not shown:
        verbs = ("was", "ran, waited or had failed") if then else ("is", "runs, waits or failed")
        what = f"no task {verbs[0]} {gates.task_state(wanted)}" if wanted else f"nothing {verbs[1]}"
        call.print_lines([f"{what} ({queue.count_line(by_state, queue.unacknowledged(state))})"])
    if not any(by_state.values()) and not then:
        if call.workspace.paths.hold_old_state():
            from kugetsu.cli.init import warn_of_old_state

            warn_of_old_state(call)
        call.note("next: kugetsu queue enqueue REF MESSAGE")
        return
    left_out = queue.left_out(state, wanted, shown, then=then)
    if left_out:
        call.note(f"{left_out}: kugetsu queue list{f' --state {gates.task_state(wanted)}' if wanted else ''} --all")
    if wanted in (None, "error") and state.failed() and not then:
        call.note("once you have seen what failed: kugetsu ack TASK, or kugetsu ack --all")


def _stats_arguments(parser: Parser) -> None:
    parser.json()
    parser.at()
    parser.source()


def _stats(call: Call) -> int:
    from kugetsu.views import queue

    state, now, as_of = _as_asked(call)
    figures = queue.stats(state)
    lines = queue.stats_lines(figures, call.screen, now)
    call.show({**figures, "as_of": as_of}, [*_heading(call, as_of), *lines])
    if not figures["total"] and not call.json and as_of is None:
        call.note("next: kugetsu queue enqueue REF MESSAGE")
    return 0


# --- enqueue ----------------------------------------------------------------------------------------------------


def _enqueue_arguments(parser: Parser) -> None:
    parser.json()
    parser.words("words", "the issue, then the message", completes="issue")
    parser.add_argument("--file", metavar="FILE", completes="file", help="read the message from a file")
    parser.add_argument("--priority", type=int, default=0, metavar="N", help="higher goes first (default 0)")
    parser.add_argument(
        "--after", action="append", default=[], metavar="ID", completes="task", help="wait until that task is completed"
    )
    task_options.declare(parser)
    parser.add_argument(
        "--label", action="append", default=[], metavar="LABEL", help="only on a host of a shared log that offers it"
    )
    parser.add_argument("--anyway", action="store_true", help="queue it although it would fail")


def _enqueue(call: Call) -> int:
    from kugetsu.runtime import submit
    from kugetsu.runtime.query import subjects

    args = call.args
    command = "kugetsu queue enqueue"
    texts, words = messages.split_many(args.words, args.literal, command, anyway=args.anyway)
    refs = list(dict.fromkeys(subjects.issue(call.workspace, text) for text in texts))
    after = [subjects.task_id(task) for given in args.after for task in given.split(",") if task]
    require_priority(args.priority)
    own = task_options.given(args)
    if labels := task_options.labels(args.label):
        own["labels"] = labels
    wanted = admit(call, refs, words, command)
    queued = []
    for ref, message, from_issue in wanted:
        queued += submit.enqueue(
            call.workspace,
            ref,
            message,
            via="enqueue",
            priority=args.priority,
            after=after,
            options=own,
            from_issue=from_issue,
        )
    show_queued(call, queued)
    for event in queued:  # each issue's is a transaction of its own
        if event["type"] == "task.queued":
            call.note_undo_of(event["seq"])
    if labels and queued:
        _warn_of_labels(call, labels)
    if after:
        for event in queued:
            if event["type"] == "task.queued":
                warn_of_stranded(call, event["task"])
    return 0


def _warn_of_labels(call: Call, labels: list[str]) -> None:
    """Warn that labels say nothing yet, or that no host offers them all."""
    hosts = [host for host in call.state().hosts.values() if host.takes_part]
    if not hosts:
        call.note("no hosts share this log, so --label keeps nothing back: kugetsu guide many-hosts")
    elif not any({*labels} <= {*host.labels} for host in hosts):
        call.note(f"no host offers {' and '.join(labels)} now: it waits until one does (HOST_LABELS)")


def admit(call: Call, refs: list[IssueRef], words: list[str], command: str) -> list[tuple[IssueRef, str, bool]]:
    """The issues with their messages, once all were looked at: the one that was given, or each issue's own text (True).

    Raises NotFound for an issue or a repository that is not there (not with --anyway), BadInput without a message where
    no forge gives the issue's.
    """
    from kugetsu.runtime import admission, submit

    forge = admission.Forge(call.workspace, call.note)
    message: str | None = None
    if words or call.args.file is not None:
        message = messages.read(words, call.args.file, command, call.workspace.paths)
    found = []
    for ref in refs:
        if not call.args.anyway:
            admission.require_source(call.workspace, ref, submit.clone_here(call.workspace, ref))
        if message is None:
            found.append((ref, messages.of_issue(forge, ref, command, call.workspace.paths), True))
            continue
        if not call.args.anyway:
            forge.require_issue(ref)
        found.append((ref, message, False))
    return found


def warn_of_stranded(call: Call, task_id: str) -> None:
    """Warn that a task comes after one that ended without being completed, and name the remedy."""
    from kugetsu.domain import gates
    from kugetsu.views import gates as words

    state = call.state()
    closed = gates.stranded(state, state.tasks[task_id])
    if closed is not None:
        call.note(f"{task_id} {words.reason_of(closed)}; to unblock it: {words.commands_of(closed)[0]}")


def warn_of_waiting_behind(call: Call, task_id: str) -> None:
    """Name the tasks that come after one that will not be completed, and the remedy."""
    state = call.state()
    behind = [one.id for one in state.waiting() if task_id in one.after]
    if behind:
        verb = "comes after it and waits" if len(behind) == 1 else "come after it and wait"
        way_out = f"kugetsu queue retry {task_id}, or kugetsu queue move {behind[0]} --after ''"
        call.note(f"{', '.join(behind)} {verb}; to unblock {'it' if len(behind) == 1 else 'them'}: {way_out}")


def require_priority(priority: int) -> None:
    """Raise BadInput for a priority beyond what is taken."""
    if not -1000 <= priority <= 1000:
        raise BadInput(f"--priority {priority} is out of range", "a number from -1000 to 1000")


def show_queued(call: Call, events: list[Event], **more: object) -> None:
    """Say which tasks were queued, and how to follow them; ``more`` is shown with --json."""
    queued = [event for event in events if event["type"] == "task.queued"]
    every = [
        {"task": event["task"], "issue": event.get("issue"), "seq": event["seq"], "state": "pending", **more}
        for event in queued
    ]
    lines = [f"queued {data['task']} for {data['issue'] or 'the PM agent'}" for data in every]
    call.show(every[0] if len(every) == 1 else every, lines)
    if not call.json:
        task = queued[0]["task"]
        call.note(f"follow: kugetsu history {task} -f        why it waits: kugetsu why {task}")
    warn_without_daemon(call)


COMMANDS = {
    "queue list": Command(
        "[--all] [--state STATE] [--at WHEN] [--from FILE] [--json]",
        "Shows the tasks that run and wait, and those that failed until somebody acknowledges them (kugetsu ack).\n"
        "With --all also the finished ones, the oldest first; those that left the list are read from the log. On a\n"
        "terminal a long list goes through the pager (PAGER).",
        _list_arguments,
        _list,
        json="""\
tasks[].task        its id
tasks[].kind        dev (an issue) or pm (the PM agent)
tasks[].issue       host/owner/repo#N, or null
tasks[].state       pending, notified (it is running), parked, completed, error or cancelled
tasks[].title       the first line of its message
tasks[].priority    higher goes first
tasks[].after       tasks that must be completed before it
tasks[].queued_at   when it was queued (UTC)
tasks[].changed_at  when it last changed (UTC)
tasks[].not_before  when it may start at the earliest (UTC), or null
tasks[].reason      why it ended or waits, or null
tasks[].held        the gate that held it at the last check, or null
tasks[].result      what came of its latest attempt (as result of kugetsu report --json), or null
tasks[].attempt     the attempt that works on it, or null
tasks[].options     its own agent, model, max_attempts, timeout_hours and labels, as far as given
tasks[].attempts    number of attempts
tasks[].used        attempts used up, of MAX_ATTEMPTS
tasks[].retries     how often it was retried
tasks[].parks       how often it was parked
tasks[].tokens      over all its attempts
tasks[].cost        over all its attempts
tasks[].acknowledged  whether somebody has seen that it failed
tasks[].asked_by    person, label (of its issue) or feedback (on its pull request)
tasks[].event       the event of its latest change
counts.*            number of tasks by state (notified: running), including those that left the list
paused[].repository  what is paused, or null for all repositories
paused[].until      when it ends by itself (UTC), or null
paused[].since      when it was paused (UTC)
paused[].event      the event that paused it
unacknowledged      number of failed tasks that nobody has acknowledged
as_of.seq           with --at or --from: the last event included; else as_of is null
as_of.at            the time of that point (UTC)""",
        examples="kugetsu queue list\nkugetsu queue list --state error\n"
        "kugetsu queue list --all --state completed\n"
        "kugetsu queue list --at 2026-11-23T22:00  # what was waiting then",
        exits=(4,),
    ),
    "queue stats": Command(
        "[--at WHEN] [--from FILE] [--json]",
        "",
        _stats_arguments,
        _stats,
        json="""\
counts.*        number of tasks by state (notified: running), including those that left the list
unacknowledged  number of failed tasks that nobody has acknowledged
total           number of tasks ever queued
listed          number of tasks still in the list
oldest_waiting  when the longest-waiting task was queued (UTC), or null
attempts        attempts of the tasks in the list, as are tokens and cost
tokens          tokens used
cost            cost, as reported by the agent
asked_by.*      tasks in the list by who asked for them: person, label or feedback
results.*       tasks in the list by what came of their latest attempt (kind of result of kugetsu report --json)
as_of.seq       with --at or --from: the last event included; else as_of is null
as_of.at        the time of that point (UTC)""",
        examples="kugetsu queue stats",
        exits=(4,),
    ),
    "queue enqueue": Command(
        f"[--priority N] [--after ID] [--label LABEL] {task_options.USAGE} [--anyway] [--file FILE] [--json]"
        f" {messages.USAGE}",
        f"{messages.ABOUT}\n\n{messages.OWN_TEXT}\n\n{task_options.ABOUT}",
        _enqueue_arguments,
        _enqueue,
        json="Of several issues, a list of such objects.\n"
        "task   the task's id\nissue  host/owner/repo#N\nseq    the event that queued it\nstate  pending",
        examples="kugetsu queue enqueue owner/project#15 add a test for empty input\n"
        "kugetsu queue enqueue --after q7 '#16' then document it\n"
        "kugetsu queue enqueue '#17' '#18' '#19'  # what each issue asks for",
        exits=(4,),
    ),
}
