"""`kugetsu replay --until WHEN`: the state at any point, folded from the log's first event."""

from __future__ import annotations

from kugetsu.cli.declarations import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.cli.call import Call
    from kugetsu.cli.parser import Parser
    from kugetsu.domain.state import State
    from kugetsu.log.protocol import EventLog


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "--until", nargs="+", metavar="WHEN", completes="when", default=["@"], help="the point (default: @, now)"
    )


def _replay(call: Call) -> int:
    from kugetsu.cli import when
    from kugetsu.views import replay

    log = call.workspace.log
    point = when.parse(" ".join(call.args.until), call.screen.now)
    seq, at = when.resolve(log, point)
    state = fold_until(log, seq, at)
    data = replay.collect(state)
    call.show(data, [] if call.json else replay.lines(data, call.screen))
    if not state.seq and not call.json:
        call.say("the log has no event before that: kugetsu history --all shows what there is")
    return 0


def fold_until(log: EventLog, seq: int | None, at: str | None) -> State:
    """The state after the event ``seq``, or after the last event that is not later than ``at``.

    Order is seq: reading ends at the first event that is later, also when a clock went back behind it.
    """
    from kugetsu.domain.fold import fold
    from kugetsu.domain.state import empty

    state = empty()
    if seq == 0:
        return state
    for event in log.read(0, seq):
        if at is not None and event["at"] > at:
            break
        fold(state, event)
    return state


COMMANDS = {
    "replay": Command(
        "[--until WHEN] [--json]",
        "WHEN is a seq (214), @ (now), @-3, a time (2026-11-23T10:00:02Z; without a zone: this machine's) or 10m ago.\n"
        "Events that a state machine refused, and invariants that do not hold at that point, are listed.",
        _arguments,
        _replay,
        json="""\
seq               the last event that counts
at                its time (UTC), or null
initialised       whether kugetsu was set up then
daemon            running, draining, stopped or lost
agents[].slot     the slot it held, or null for the PM agent
agents[].attempt  the attempt's id
agents[].task     the task's id
agents[].issue    host/owner/repo#N, or null
agents[].state    claimed, starting or running
agents[].since    when it was claimed (UTC)
queue.*           how many tasks were in each state
tasks[]           as tasks[] of kugetsu queue list
sessions[]        as sessions[] of kugetsu list; agent_alive means nothing here
repositories.*    host/owner/repo, and where its clone was
violations[]      events that a state machine refused
violations_seen   how many there were in all
invariants[]      what should hold and did not""",
        examples="kugetsu replay --until 10m ago\nkugetsu replay --until 214",
        exits=(4,),
    )
}
