"""`kugetsu report`: what came of the work since somebody last looked, and what to do next."""

from __future__ import annotations

from kugetsu.cli import written_file
from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain import report, timeline
from kugetsu.domain.decide import reviews
from kugetsu.domain.report import Report, Start
from kugetsu.domain.state import State
from kugetsu.domain.timeline import Timeline
from kugetsu.model.errors import BadInput
from kugetsu.redaction.funnel import redact
from kugetsu.runtime.query import forge_looks, no_pull, points
from kugetsu.views.report import markdown, page, rows, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.at()
    parser.source()
    parser.add_argument("--since", metavar="WHEN", completes="when", help="from this point on")
    parser.add_argument("--ack", action="store_true", help="the next report begins where this one ends")
    parser.add_argument("--all", action="store_true", help="list also what needs nobody, and what is open from before")
    parser.add_argument("--markdown", action="store_true", help="print Markdown, for a chat or an issue")
    parser.add_argument("--html", metavar="FILE", completes="file", help="write a page with the timeline; - prints it")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")


def _report(call: Call) -> int:
    args = call.args
    _check(call)
    then = points.point(call.workspace, args.at, call.screen.now)
    found = collected(call, then.state, then.now)
    ws = call.workspace

    refusal = no_pull.refusals(ws) if then.past is None and call.foreign is None else None
    data = rows.data(found, then.state, then.facts, ws.config.servers(), refusal, then.past)
    if then.past is None:
        data["forges"] = forge_looks.known(ws.paths, then.state, then.now)
    screen = call.screen.at(then.now)
    written: list[str] = []
    if args.html is not None:
        made = page.page(data, _timeline(call, found, then.state), screen)
        if args.html == "-":
            print(made, end="")
        else:
            written = [written_file.write(args.html, made)]
    if args.markdown:
        # Each text in it has been made harmless; the space without width that takes mentions away stays.
        print(redact("\n".join(markdown.lines(data, screen, everything=args.all))))
    elif args.html != "-":
        shown = [f"wrote {path}" for path in written] or text.lines(data, screen, everything=args.all)
        call.show({**data, "written": written}, shown)
    if args.ack:
        _acknowledge(call, then.state)
    elif not (call.json or args.since or args.markdown or args.html or then.past) and report.eventful(
        then.state, found.start
    ):
        call.note("seen all of it? let the next report begin here: kugetsu report --ack")
    return 0


def _check(call: Call) -> None:
    args = call.args
    forms = [name for name in ("json", "markdown") if getattr(args, name)] + ["html"] * (args.html == "-")
    if len(forms) > 1:
        raise BadInput(
            f"--{forms[0]} and --{forms[1]} both print: choose one", "kugetsu report --html FILE writes a file"
        )
    if args.ack and (args.at is not None or call.foreign is not None):
        raise BadInput("a report of the past cannot be acknowledged", "drop --ack, or --at and --from")
    written_file.require_new(args.html if args.html != "-" else None, args.force)


def collected(call: Call, state: State, now: str) -> Report:
    """The report of the period that the arguments name, up to ``state``."""
    log = call.workspace.log
    start = report.start_of(state) if call.args.since is None else _given(call, state, now)
    if not report.reads_the_log(state, start):
        return report.collect(state, start, now)
    gone = report.left(state, log.read(after=_seq(call, start), until=state.seq))
    return report.collect(state, start, now, gone)


def _given(call: Call, state: State, now: str) -> Start:
    log = call.workspace.log
    seq, at = points.moment(log, call.args.since, call.screen.now, "--since")
    if (seq or 0) > state.seq or (at or "") > now:
        raise BadInput("--since is later than --at", "swap them")
    if at is None:
        at = points.event_at(log, seq)["at"] if seq else ""
    return Start(seq, at, "given")


def _seq(call: Call, start: Start) -> int:
    """The event after which the period begins."""
    if start.seq is not None:
        return start.seq
    found: int = call.workspace.log.state_at(at=start.at).seq
    return found


def _timeline(call: Call, found: Report, state: State) -> Timeline:
    """The timeline of the period."""
    log = call.workspace.log
    before = log.state_at(seq=_seq(call, found.start))
    since = max(found.start.at, before.at) or points.first_event(log)["at"]
    cap = points.slots_then(log, before.seq)
    dead = points.daemon_found_dead(call.workspace, state.seq)
    events = log.read(after=before.seq, until=state.seq)
    until = found.at if state.attempts else max(state.at, since)
    made = timeline.collect(before, events, since, until, cap=cap, dead=dead)
    made.begin_with_the_first()
    return made


def _acknowledge(call: Call, shown: State) -> None:
    """Record that the report of the state ``shown`` was seen, if anything happened since the one before."""
    made = []
    if report.eventful(shown, report.start_of(shown)):
        made = call.workspace.log.transact(lambda state: reviews.acknowledge(state, shown.seq))
    call.note(f"acknowledged; undo: kugetsu undo {made[0]['seq']}" if made else "nothing new to acknowledge")


ABOUT = """\
What came of the tasks since the last acknowledged report (--ack), or since WHEN: what asks you something, what you can
review, what failed, what still runs or waits, and how much is done. Listed is what needs you, each with the command
that comes next; the rest is counted. Every task of that time counts in one group.
Without an acknowledged report it begins a day before the latest change of a task.
WHEN is a seq (214), @ (now), @-3, a time (2026-11-23T10:00) or 10m ago."""

JSON = """\
since.seq              the report begins after this event; null: at the time since.at
since.at               the time of its beginning
since.why              acknowledged, given, day (the latest day of work), listed (what the queue's list has), beginning
seq                    the last event
now                    the time of the report; times are UTC
headline               the counts in a sentence
tasks                  how many tasks the time has
counts.*               how many of them in each group (asks, review, label, failed, running, waiting, done): they add up
done.*                 the tasks of the group done, by cause
agent_seconds          how long their agents ran
tokens                 their tokens
cost                   what they cost in dollars, as the agents count
items[].group          a key of counts
items[].older          whether it is from before that time
items[].issue          the issue, or null
items[].task           the task that it tells of; null if only its session or its label is known
items[].title          the issue's title, else the first line of the message
items[].state          the task's state; null for a labelled issue that was not queued
items[].result         the result as recorded, null without one
items[].words          the result in words, empty where the rest says it
items[].remarks[]      what else one must know of the work, a sentence each
items[].review         the state of the session's review; null without a session
items[].reason         why it failed or waits, else null
items[].until          until when it waits, or null
items[].for_a_person   whether it waits for a person
items[].said           the agent's last sentence, or null
items[].branch         the branch, or null
items[].host           the other host that has its worktree, or null
items[].url            the page of the pull request or the answer, or null
items[].issue_url      the page of the issue, or null
items[].tokens         the task's tokens
items[].cost           the task's cost in dollars
items[].agent_seconds  how long the task's agents ran
items[].others         how many more tasks of the issue the time has
items[].changed_at     when the task last changed
items[].next           the command that comes next
older[].*              the same of what is open from before
forges[].host          a forge with labelled issues or open pull requests; empty with --at or --from
forges[].answered_at   when it answered last, whoever asked, or null
forges[].paused_until  until when it is not asked, by its rate limit, or null
as_of.*                the point of --at or --from: seq, at, facts_from, facts_at; null for the present
written[]              the files that were written"""

COMMANDS = {
    "report": Command(
        "[--since WHEN] [--ack] [--all] [--markdown] [--html FILE] [--force] [--at WHEN] [--from FILE] [--json]",
        ABOUT,
        _arguments,
        _report,
        json=JSON,
        examples="kugetsu report\nkugetsu report --ack\nkugetsu report --since 2d ago --html night.html",
        exits=(4, 5),
    ),
}
