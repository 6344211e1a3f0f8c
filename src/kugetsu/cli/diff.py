"""`kugetsu diff`: what changed between two points of the log, a line for each record."""

from __future__ import annotations

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain.changes import Comparison
from kugetsu.domain.state import State
from kugetsu.model.errors import BadInput
from kugetsu.runtime.query import subjects, timespec
from kugetsu.views import diff as view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.runtime.query.points import AsOf
    from kugetsu.views.diff import DiffData

ABOUT = """\
WHEN is a seq (214), @ (now), @-3, a time (2026-11-23T10:00; without a zone: this machine's) or 10m ago; a single
one is compared with now. The second may be before the first. With a name, only its changes. Each row: the record,
from → to (the most important first, counters as +N), and the event that changed it; changes by other events carry
their number. Tasks and attempts created and ended in between are counted below. Exits with 0 even if nothing
changed."""


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.source()
    parser.add_argument(
        "words",
        nargs="*",
        metavar="WHEN [WHEN] [REF|TASK]",
        completes=("when", "task", "issue"),
        help="one or two points, then optionally an issue or task",
    )


def _diff(call: Call) -> int:
    points, name = _split(call)
    first, second = (_at(call, word) for word in points)
    backwards = second[0].seq < first[0].seq
    (state, start), (other, end) = (second, first) if backwards else (first, second)
    subject = _subject(call, name)
    one: AsOf = {"seq": state.seq, "at": start}
    two: AsOf = {"seq": other.seq, "at": end}
    comparison, events = _compared(call, state, other.seq)
    changes = [change for change in comparison.changes() if subject is None or change.concerns(subject)]
    if backwards:
        changes = [change.reversed() for change in changes]
    found: DiffData = {
        "from": two if backwards else one,
        "to": one if backwards else two,
        "events": events,
        "reversed": backwards,
        "changes": view.data(changes),
        "passed": comparison.passed if subject is None else {},
        "left": comparison.left if subject is None else 0,
    }
    call.show(found, [] if call.json else view.lines(found, changes, call.screen.at(two["at"] or call.screen.now)))
    return 0


def _split(call: Call) -> tuple[list[str], str | None]:
    """The two points, and the name whose changes are wanted. Raises BadInput."""
    words = call.args.words
    points: list[str] = []
    for word in words:
        if len(points) == 2 or (points and not timespec.is_point(word)):
            break
        points.append(word)
    rest = words[len(points) :]
    if not points or len(rest) > 1:
        problem = "between which points?" if not points else f"unexpected argument {rest[1][:40]!r}"
        raise BadInput(f"kugetsu diff: {problem}", f"kugetsu diff WHEN [WHEN] [REF|TASK]; WHEN is {timespec.FORMS}")
    return ([*points, "@"] if len(points) == 1 else points), (rest[0] if rest else None)


def _at(call: Call, text: str) -> tuple[State, str]:
    """The state at a point, and the point's time: empty before the first event."""
    log, now = call.workspace.log, call.screen.now
    seq, at = timespec.state_of(log, timespec.parse(text, now))
    if at is not None and at > now:
        raise BadInput(f"{text[:60]!r} is in the future", "give a point in the past, or @ for now")
    state: State = log.state_at(seq=seq, at=at)
    return state, (at if at is not None and state.seq else state.at)


def _subject(call: Call, name: str | None) -> str | None:
    if name is None:
        return None

    return str(subjects.known(call.workspace, name))


def _compared(call: Call, state: State, until: int) -> tuple[Comparison, int]:
    """Compare a state with the one after event ``until``; also the number of events between."""
    comparison = Comparison(state)
    count = 0
    for event in call.workspace.log.read(after=state.seq, until=until):
        comparison.add(event)
        count += 1
    return comparison, count


COMMANDS = {
    "diff": Command(
        "WHEN [WHEN] [REF|TASK] [--from FILE] [--json]",
        ABOUT,
        _arguments,
        _diff,
        json="""\
from.seq                  the last event included for the first point; 0 before the first event
from.at                   the time of that point (UTC); empty before the first event
to.seq                    the same for the second point
to.at                     its time
events                    how many events are between them
reversed                  whether the second point is before the first
changes[].record          kugetsu, daemon, slot, task, attempt, session, label, loop, mark, limit, pause, repository, \
setting, notices, sink, log
changes[].key             its key; empty if there is only one such record
changes[].change          changed, came, went, or left (a task that changed and has left the list)
changes[].event           the event that changed it
changes[].issue           the issue or session that it belongs to, or null
changes[].fields[].field  a part of the record
changes[].fields[].from   its value at the first point; null if the record did not exist
changes[].fields[].to     its value at the second point
changes[].fields[].event  the event that changed it last
passed.*                  number of tasks, attempts and sessions created and ended in between; empty with a name
left                      number of finished tasks that left the list; 0 with a name""",
        examples="kugetsu diff 1h ago\nkugetsu diff 2026-11-23T22:00 2026-11-24T06:00  # what changed overnight\n"
        "kugetsu diff 214 261 q7",
        exits=(4,),
    )
}
