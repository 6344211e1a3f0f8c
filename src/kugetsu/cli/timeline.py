"""`kugetsu timeline`: which attempt held which slot when, as text, a picture, or a zoomable page."""

from __future__ import annotations

import os

from kugetsu.cli import written_file
from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain import timeline
from kugetsu.domain.state import State
from kugetsu.domain.timeline import Timeline
from kugetsu.model import clock
from kugetsu.model.errors import BadInput
from kugetsu.model.plural import counted
from kugetsu.runtime.query import points, subjects
from kugetsu.views.timeline import picture, shape, text

#: Seconds shown without --since: a night.
SPAN = 12 * 3600.0


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.source()
    parser.add_argument(
        "subject", nargs="?", metavar="REF|TASK", completes=("issue", "task"), help="only this issue or task"
    )
    parser.add_argument("--since", metavar="WHEN", completes="when", help="from this point on (default: 12h ago)")
    parser.add_argument("--until", metavar="WHEN", completes="when", help="up to this point (default: now)")
    parser.add_argument("--svg", metavar="FILE", completes="file", help="write a picture to a file")
    parser.add_argument("--html", metavar="FILE", completes="file", help="write a zoomable page to a file")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")


def _timeline(call: Call) -> int:
    args = call.args
    if args.svg is not None and args.html is not None and os.path.realpath(args.svg) == os.path.realpath(args.html):
        raise BadInput("--svg and --html name the same file", "kugetsu timeline --svg night.svg --html night.html")
    for path in (args.svg, args.html):
        written_file.require_new(path, args.force)
    found = _collected(call)
    written = [written_file.write(args.svg, picture.svg(found) + "\n")] if args.svg else []
    written += [written_file.write(args.html, picture.page(found))] if args.html else []
    lines = [] if call.json or written else text.lines(found, call.screen)
    if written or call.json:
        lines = [f"wrote {path}" for path in written]
    elif not lines:
        lines = ["no agent ran and nothing waited in that time"]
        if found.unheld:
            waited = f"{counted(len(found.unheld), 'task')} waited, the reason is not recorded"
            lines = [f"no agent ran in that time; {waited}: kugetsu why {found.unheld[0]}"]
    call.show({**shape.data(found), "written": written}, lines)
    if not found.runs and not call.json:
        call.note("another time: kugetsu timeline --since 2d ago")
    return 0


def _collected(call: Call) -> Timeline:
    log = call.workspace.log
    end = call.ready()
    args = call.args
    key = str(subjects.known(call.workspace, args.subject)) if args.subject else None
    if args.until:
        last, until = points.state_at(log, args.until, call.screen.now, "--until")
    else:
        last, until = end, _ending(end, call.screen.now)
    if args.since:
        first_seq, first_at = points.moment(log, args.since, call.screen.now, "--since")
        state = log.state_at(seq=first_seq, at=first_at)
        since = first_at or state.at or points.first_event(log)["at"]
    else:
        state = log.state_at(at=clock.add_seconds(until, -SPAN))
        since = clock.add_seconds(until, -SPAN)
    if since > until:
        raise BadInput(f"--since ({since[:19]}Z) is later than --until ({until[:19]}Z)", "swap them")
    events = log.read(after=state.seq, until=last.seq)
    cap, dead = points.slots_then(log, state.seq), points.daemon_found_dead(call.workspace, last.seq)
    found = timeline.collect(state, events, since, until, key, cap=cap, dead=dead)
    if not args.since:
        found.begin_with_the_first()
    return found


def _ending(end: State, now: str) -> str:
    """The default of --until: now while anything runs or waits, else the last event. For an exported log, now is the
    time of its export."""
    return now if end.attempts or end.waiting() or not end.at else end.at


COMMANDS = {
    "timeline": Command(
        "[REF|TASK] [--since WHEN] [--until WHEN] [--svg FILE] [--html FILE] [--force] [--from FILE] [--json]",
        "A lane per slot: which attempt prepared or worked, and how it ended. Below, a row per gate, and one for a\n"
        "missing daemon: how many tasks it held at a time. The page zooms with the mouse wheel.\n"
        "A slot of several hosts that share the log is named with its host: box2:1.\n"
        "WHEN is a seq (214), @ (now), @-3, a time (2026-11-23T10:00) or 10m ago.",
        _arguments,
        _timeline,
        json="""\
since       the start of the period (UTC)
until       its end (UTC)
seq         the last event included
slots       how many slots there were, of all hosts together
hosts[].host         a host that shares the log; [] for one host's own
hosts[].slots        how many slots it had
holdings[].attempt   the attempt that held a slot
holdings[].task      its task
holdings[].issue     host/owner/repo#N; null for the PM agent
holdings[].title     the title of the issue, or null
holdings[].host      the host of that slot, in a log that hosts share, or null
holdings[].slot      its slot there; null for the PM agent
holdings[].since     when it was claimed (UTC)
holdings[].ran       when its agent began to work, or null
holdings[].until     when it ended, or null
holdings[].end       succeeded, failed, timed_out, killed or lost; null while it runs
holdings[].reason    how it ended, in words
holdings[].result    what came of it (as result of kugetsu report --json), or null
holdings[].turn      which turn of its pull request it was; null if it answered no feedback
holdings[].set_up    since, until and code: when its worktree was made ready, or null
holdings[].verified  since, until and code: when its work was verified, or null
holdings[].seq       the event of its claim
holdings[].end_seq   that of its end, 0 while it runs
holds[]     task, issue, gate, reason, since, until, seq: a time in which a gate held a task
daemon[]    state, since, until, end, seq: when a daemon was running
written[]   the files that were written""",
        examples="kugetsu timeline\nkugetsu timeline --since 2d ago --html night.html\nkugetsu timeline q7 --json",
        exits=(4, 5),
    )
}
