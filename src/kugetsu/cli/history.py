"""`kugetsu history`: the audit trail of an issue, a task, an attempt, a session, or of everything."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from kugetsu.cli.call import Call, Command, print_json
from kugetsu.cli.parser import Parser
from kugetsu.domain import gates
from kugetsu.domain.state import State, Task
from kugetsu.domain.verdict import Verdict
from kugetsu.model.errors import BadInput, NotFound
from kugetsu.runtime.query.subjects import Subject
from kugetsu.views import history

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.cli.declarations import Kind
    from kugetsu.domain.events import Event


#: The kinds of names that the shell completes.
SUBJECT: tuple[Kind, ...] = ("task", "issue", "attempt", "session")

ABOUT = """\
Each row: the event's number, time, kind and attempt, what happened, and the event that caused it (because N) or the
time since the claim (+2.1s). Times are in this machine's zone, which the first row names.
--json prints the events themselves, one JSON object per line, with times in UTC.
--at WHEN shows the history up to that point: a seq (214), @-3, a time (2026-11-23T10:00) or 10m ago."""


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "subject",
        nargs="?",
        metavar="REF|TASK|ATTEMPT|SESSION",
        completes=SUBJECT,
        help="an issue, task, attempt or session",
    )
    parser.add_argument("--all", action="store_true", help="every event of the log")
    parser.add_argument("-f", "--follow", action="store_true", help="follow new events until Ctrl-C")
    parser.at()
    parser.source()
    parser.add_argument("--json", action="store_true", help="print one event per line, as in the log; errors too")


def _history(call: Call) -> int:
    from kugetsu.runtime.query import subjects

    args = call.args
    if (args.subject is None) == (not args.all):
        problem = "which history?" if args.subject is None else "either a subject or --all"
        raise BadInput(f"kugetsu history: {problem}", f"write {subjects.FORMS}, or --all")
    if args.follow and (args.at or call.foreign is not None):
        raise BadInput("kugetsu history: cannot follow a past point", "drop -f, or --at and --from")
    past = _past(call)
    until = past[0] if past is not None else None
    if args.all:
        return _everything(call, until)
    subject = subjects.subject(call.workspace, args.subject)
    events = [event for event in subject.events(call.workspace) if until is None or event["seq"] <= until]
    if until is not None and not events and next(iter(subject.events(call.workspace)), None) is not None:
        raise NotFound(f"nothing had happened to {subject} by event {until}", f"kugetsu history {subject}")
    if not events and not (args.follow and subject.kind in ("issue", "session")):
        raise _unknown(call, subject)
    if call.json:
        _print_events(events)
        _follow_json(call, subject, events)
        return 0
    _show_subject(call, subject, events, past)
    return 0


def _past(call: Call) -> tuple[int, str] | None:
    """With --at: the last event to show, and the time of the point."""
    if call.args.at is None:
        return None
    from kugetsu.runtime.query import points

    state, now = points.state_at(call.workspace.log, call.args.at, call.screen.now)
    return state.seq, now


def _unknown(call: Call, subject: Subject) -> NotFound:
    call.ready()
    hint = "kugetsu queue list --all" if subject.kind in ("task", "attempt") else f"kugetsu start {subject} MESSAGE"
    return NotFound(f"nothing ever happened to {subject}", hint if subject.kind != "session" else "kugetsu list --all")


def _hosts(call: Call) -> dict[str, str]:
    """The names of the hosts that share the log, by their ids."""
    return {host.id: host.name for host in call.state().hosts.values()}


def _show_subject(call: Call, subject: Subject, events: list[Event], past: tuple[int, str] | None) -> None:
    screen = call.screen if past is None else call.screen.at(past[1])
    summary = history.Summary()
    for event in events:
        summary.add(event)
    subjects = len({event["task"] for event in events if event.get("task")}) > 1
    last = events[-1]["seq"] if events else 0
    issues = len({event["issue"] for event in events if event.get("issue")}) > 1
    rows = history.Rows(screen, seq_width=max(len(str(last)), 3), subjects=subjects, issues=issues, hosts=_hosts(call))
    call.print_lines(history.header(str(subject), summary, screen))
    for event in events:
        call.print_lines(rows.lines(event))
    if call.args.follow:
        for event in _coming(call, subject, last):
            call.print_lines(rows.lines(event), flush=True)
    if past is not None:
        call.print_lines(history.cut_off(str(subject), past[0], screen))
        return
    state = call.state()
    task = _task_of(state, subject, summary.task)
    closed = _closed(call, state, task)
    call.print_lines(history.footer(task, closed, str(subject), screen))


def _task_of(state: State, subject: Subject, latest: str | None) -> Task | None:
    if subject.kind == "issue":
        mine = [task for task in state.tasks.values() if task.issue == subject.key]
        open_ones = [task for task in mine if task.state in ("notified", "pending", "parked")]
        return next(iter(open_ones), mine[-1] if mine else None)
    return state.tasks.get(latest) if latest is not None else None


def _closed(call: Call, state: State, task: Task | None) -> list[Verdict]:
    if task is None:
        return []
    from kugetsu.runtime.query import points

    facts = points.point(call.workspace, None, call.screen.now).facts
    return [gate for gate in gates.verdicts(state, task, facts) if not gate.open]


def _coming(call: Call, subject: Subject | None, after: int) -> Iterator[Event]:
    """New events as they arrive, until the task or attempt ends."""
    from kugetsu.cli import tail_file

    sys.stdout.flush()
    for event in call.workspace.log.follow(after):
        if event is None:
            tail_file.require_reader()
            if subject is not None and _over(call, subject):
                return
        elif subject is None or subject.concerns(event):
            yield event


def _over(call: Call, subject: Subject) -> bool:
    state = call.state()
    if subject.kind == "attempt":
        return subject.attempt not in state.attempts
    if subject.kind == "task":
        task = state.tasks.get(subject.key)
        return task is None or task.state in ("completed", "error", "cancelled")
    return False


def _print_events(events: Iterator[Event] | list[Event]) -> None:
    for event in events:
        print_json(event, compact=True)


def _follow_json(call: Call, subject: Subject | None, events: list[Event]) -> None:
    if not call.args.follow:
        return
    for event in _coming(call, subject, events[-1]["seq"] if events else 0):
        _print_events([event])
        sys.stdout.flush()


def _everything(call: Call, until: int | None) -> int:
    log = call.workspace.log
    last: Event | None = None
    if call.json:
        for last, _ in call.lines(until=until):
            _print_events([last])
        _follow_json(call, None, [last] if last else [])
        return 0
    head = log.head().seq
    if not head:
        print("nothing has happened yet")
        call.note("next: kugetsu init")
        return 0
    rows = history.Rows(call.screen, seq_width=max(len(str(head)), 3), subjects=True, hosts=_hosts(call))
    for last, _ in call.lines(until=until):
        call.print_lines(rows.lines(last))
    if until is not None:
        call.print_lines(history.cut_off(None, until, call.screen))
    if call.args.follow:
        for event in _coming(call, None, last["seq"] if last else 0):
            call.print_lines(rows.lines(event), flush=True)
    return 0


COMMANDS = {
    "history": Command(
        "REF|TASK|ATTEMPT|SESSION|--all [-f] [--at WHEN] [--from FILE] [--json]",
        ABOUT,
        _arguments,
        _history,
        json="""\
One event per line, as in the log.
seq      its number
at       its time (UTC)
type     its kind, such as task.queued
v        the version of that kind
issue    host/owner/repo#N; this and the next seven only if they apply
task     the task's id
attempt  the attempt's id
session  the session's key
cause    the event that caused it
more     how many events of the same transaction follow
decision  the name of the decision that made this transaction; absent if it only records an observation
arguments.*  its arguments, except those that its events hold under their own names
data     its content
facts    the facts of its decision
by       who wrote it: cmd, pid, host, user
sha      the digest of the log up to here""",
        examples="kugetsu history owner/project#14\nkugetsu history q7 -f  # follow new events\n"
        "kugetsu history q7 --at 2h ago  # as it was then\n"
        "kugetsu history --all --json | jq -r .type",
        exits=(4,),
    )
}
