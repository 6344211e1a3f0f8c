"""`kugetsu replay`: the state at any point of the past; `--verify` decides every recorded decision again; `--what-if`
runs the queue's history under other settings."""

from __future__ import annotations

from kugetsu import __version__
from kugetsu.cli import what_if
from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.domain.replay.divergence import Divergence
from kugetsu.domain.state import State
from kugetsu.log.protocol import EventLog
from kugetsu.model.errors import BadInput, LogDamaged
from kugetsu.runtime.query import timespec
from kugetsu.views import replay, verify

#: Exit status if a recorded decision differs from the one made now.
DIFFERS = 6
#: Differences that `--all` lists.
MOST = 100


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("--until", metavar="WHEN", completes="when", default="@", help="the point (default: @, now)")
    parser.add_argument("--verify", action="store_true", help="decide every recorded decision again, up to the point")
    parser.add_argument("--all", action="store_true", help=f"with --verify: list every difference, {MOST} at most")
    parser.add_argument(
        "--what-if",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        completes="setting",
        help="rerun the queue's history with another value of a setting; repeatable",
    )
    parser.add_argument(
        "--since", metavar="WHEN", completes="when", help="with --what-if: only tasks queued since then"
    )
    parser.source()


def _replay(call: Call) -> int:
    if call.args.what_if:
        return _what_if(call)
    if call.args.since is not None:
        raise BadInput("kugetsu replay: --since requires --what-if", what_if.EXAMPLES.partition("  #")[0])
    log = call.workspace.log
    if call.args.all and not call.args.verify:
        raise BadInput("kugetsu replay: --all requires --verify", "kugetsu replay --verify --all")
    point = timespec.parse(call.args.until, call.screen.now)
    if call.args.verify:  # it counts the events of an unfinished transaction
        return _verify(call, log, *timespec.resolve(log, point))
    seq, at = timespec.state_of(log, point)
    state: State = log.state_at(seq=seq, at=at)
    data = replay.collect(state)
    call.show(data, [] if call.json else replay.lines(data, call.screen))
    if not state.seq and not call.json:
        call.note(
            f"the log has no event before that; to see the first ones: {call.screen.command('kugetsu history --all')}"
        )
    return 0


def _what_if(call: Call) -> int:
    if call.args.verify:
        raise BadInput("kugetsu replay: --verify and --what-if exclude each other", "drop one of them")
    return what_if.run(call, call.args.what_if)


def _verify(call: Call, log: EventLog, seq: int | None, at: str | None) -> int:
    everything = call.args.all
    verifier, found = verified(log, seq, at, most=MOST if everything else 1, copied=_is_part(call))
    data = verify.collect(verifier, found, __version__)
    call.show(data, [] if call.json else verify.lines(data, call.screen, everything=everything))
    if not verifier.state.seq and not call.json:
        call.note(
            f"the log has no event before that; to see the first ones: {call.screen.command('kugetsu history --all')}"
        )
    return 0 if data["ok"] else DIFFERS


def _is_part(call: Call) -> bool:
    """Whether the log may be an excerpt, made on purpose; a log folder is not."""
    return call.foreign is not None and call.foreign.log.contents.kind != "folder"


def verified(
    log: EventLog, seq: int | None, at: str | None, *, most: int, copied: bool = True
) -> tuple[ReplayChecker, list[Divergence]]:
    """Decide everything up to a point again; the verifier, and the first ``most`` differences.

    Raises LogDamaged if events are missing; BadInput for a part of a log that was ``copied``, or without its beginning.
    """
    verifier = ReplayChecker(lambda earlier: log.state_at(seq=earlier), __version__, explained=most)
    found: list[Divergence] = []
    for event in log.read(0, seq) if seq != 0 else ():
        if at is not None and event["at"] > at:
            break
        wanted = verifier.state.seq + verifier.unfinished + 1
        if event["seq"] != wanted:
            kind = BadInput if copied or wanted == 1 else LogDamaged
            raise kind(f"event {wanted} is missing, and later events depend on it", _before(wanted))
        difference = verifier.add(event)
        if difference is not None and len(found) < most:
            found.append(difference)
    return verifier, found


def _before(missing: int) -> str:
    if missing == 1:
        return "use a bundle or an export of the whole log: kugetsu doctor --bundle FILE"
    return f"to verify the events before it: kugetsu replay --verify --until {missing - 1}"


VERIFY_JSON = """\
With --verify:

ok                          whether every decision is the same, no event was refused, and every invariant holds
seq                         the last event that was checked
at                          its time (UTC), or null
version                     the kugetsu version that decided again
redecided                   transactions that were decided again
observed                    transactions that only record observations
folded                      transactions that name no decision: folded, not decided again
last_folded                 the last event of the last of them, or null
unfinished                  events of a transaction that continues after the point
violations_seen             events that a state machine refused
invariants[]                a broken invariant
differences_seen            how many transactions differ
differences[].seq           the event, or the number that a missing one would have
differences[].first         the first event of its transaction
differences[].last          the last event of its transaction
differences[].at            when it was written (UTC)
differences[].category      missing, unexpected, different, config or code version
differences[].found         missing, unexpected or different, whatever the cause
differences[].says          a one-sentence description
differences[].recorded.*    the event as recorded, or null
differences[].decided.*     the event as decided now, or null
differences[].places[]      path, recorded and decided: where the two differ
differences[].refusal       why the decision refuses now, or null
differences[].setting.*     key, fact, recorded and would: the value that explains it; or null
differences[].missing_fact  what the transaction does not record, or null
differences[].written_by    the version that wrote it, or null
differences[].by.*          who wrote it
differences[].look[]        commands that show more"""

COMMANDS = {
    "replay": Command(
        "[--since WHEN] [--until WHEN] [--verify [--all]] [--what-if KEY=VALUE …] [--from FILE] [--json]",
        "WHEN is a seq (214), @ (now), @-3, a time (2026-11-23T10:00:02Z; without a zone: this machine's) or 10m ago.\n"
        "A seq within a transaction means the state after all of its events.\n"
        "Lists events that a state machine refused, and invariants broken at that point.\n\n"
        "--verify makes every recorded decision again: by the rules of this version, from the state before it and the\n"
        "arguments and facts that it recorded. Transactions of older versions do not name their decision: they are\n"
        "folded and counted. The first difference is shown with the recorded and the new result, where they differ,\n"
        "and a category:\n\n"
        "  missing       decided now, but not recorded\n"
        "  unexpected    recorded, but not decided now\n"
        "  different     recorded with other content than decided now\n"
        "  config        it fits another value of a setting than the\n"
        "                one that it recorded\n"
        "  code version  another version wrote it, or it recorded less than this\n"
        "                version reads\n\n" + what_if.about,
        _arguments,
        _replay,
        json="""\
seq               the last event included
at                its time (UTC), or null
initialised       whether kugetsu was set up then
daemon            running, draining, stopped or lost
agents[].slot     the slot it held, or null for the PM agent
agents[].attempt  the attempt's id
agents[].task     the task's id
agents[].issue    host/owner/repo#N, or null
agents[].state    claimed, starting or running
agents[].since    when it was claimed (UTC)
queue.*           number of tasks by state
unacknowledged    number of failed tasks that nobody has acknowledged
tasks[]           as tasks[] of kugetsu queue list
sessions[]        as sessions[] of kugetsu list; ignore agent_alive here
repositories.*    host/owner/repo, and where its clone was
violations[]      events that a state machine refused
violations_seen   how many there were in total
invariants[]      a broken invariant

"""
        + what_if.JSON
        + "\n\n"
        + VERIFY_JSON,
        examples="kugetsu replay --until 10m ago\nkugetsu replay --until 214\n"
        "kugetsu replay --verify  # is every decision what the rules give?\n" + what_if.EXAMPLES,
        exits=(4,),
    )
}
