"""`kugetsu audit`: what went wrong in a log: broken invariants, lost races, retries, time spent waiting."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain.audit.checks import Checks
from kugetsu.domain.audit.counters import Miscount, recount
from kugetsu.domain.audit.races import Races
from kugetsu.domain.audit.reactions import Reactions
from kugetsu.domain.audit.retries import Retries
from kugetsu.domain.audit.waits import Waits
from kugetsu.domain.events import Event
from kugetsu.domain.state import State, empty
from kugetsu.log import transactions
from kugetsu.log.protocol import EventLog
from kugetsu.model.errors import BadInput, LogDamaged
from kugetsu.model.record import record
from kugetsu.runtime.query import points, subjects
from kugetsu.views import audit as view
from kugetsu.views.audit import AuditData

PARTS = ("invariants", "races", "retries", "reactions", "waits")
#: Exit status when something that must hold did not (as for a damaged log).
BROKEN = 6
_FAULTS = ("broken", "refused", "miscounted")

ABOUT = """\
invariants: conditions that must hold after every transaction, events that the state machines refused, and counters
carried into a new session that differ from the issue's history, each with the first event that broke it; exits with 6
if there is any. races: every claim lost although all gates looked open, to whom and by how much. retries: the issues
that failed most, by time lost. reactions: the turns that answered checks, reviews and comments, what they cost, and
which changed nothing. waits: how long tasks waited, by what held them, and how long slots were empty in that
time; a daemon that exited without recording a reason counts as stopped from the moment it first failed to act. Without
a part: all of them, in short. A REF is an issue, a task, pm or base:host/owner/repo.
--since and --until: a seq (214), @-3, a time (2026-11-23T10:00) or 10m ago; transactions are included as a whole."""


@record
class Range:
    """The audited events: after ``after``, where ``state`` held, up to ``until``; with the times of both ends."""

    state: State
    after: int
    begins: str
    until: int
    ends: str


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.source()
    parser.add_argument(
        "what", nargs="?", metavar="|".join(PARTS), help="one part, in full (default: all of them, in short)"
    )
    parser.add_argument(
        "subject",
        nargs="?",
        metavar="REF",
        completes=("issue", "task", "session"),
        help="only this issue, task or session",
    )
    parser.add_argument("--since", metavar="WHEN", completes="when", help="from this point on (default: the beginning)")
    parser.add_argument("--until", metavar="WHEN", completes="when", help="up to this point (default: now)")


def _audit(call: Call) -> int:
    part, subject = _words(call)
    key = subjects.known(call.workspace, subject).key if subject is not None else None
    data = _collected(call, PARTS if part is None else (part,), key)
    call.show(data, [] if call.json else view.lines(data, call.screen, at_length=part is not None))
    checked = data["invariants"]
    if call.foreign is not None and call.foreign.log.damaged:
        return LogDamaged.exit_code
    return BROKEN if checked is not None and any(checked[kind] for kind in _FAULTS) else 0


def _words(call: Call) -> tuple[str | None, str | None]:
    """The requested part and the subject; a single word may be either. Raises BadInput."""
    what, subject = call.args.what, call.args.subject
    if what is None or what in PARTS:
        return what, subject
    if subject is not None:
        hint = f"kugetsu audit {subject} REF" if subject in PARTS else f"write one of {', '.join(PARTS)} before the REF"
        raise BadInput(f"no audit of {what[:60]!r}", hint)
    if what.isascii() and what.isalpha() and what != "pm":
        meant = difflib.get_close_matches(what, PARTS, 1, 0.6)
        hint = f"did you mean: kugetsu audit {meant[0]}" if meant else f"write {', '.join(PARTS)}, or a REF"
        raise BadInput(f"no audit of {what[:60]!r}", hint)
    return None, what


def _collected(call: Call, parts: tuple[str, ...], key: str | None) -> AuditData:
    """One pass over the log for all the parts."""
    log = call.workspace.log
    over = _range(call, log)
    races = Races(key) if "races" in parts else None
    retries = Retries(over.state, over.begins, key) if "retries" in parts else None
    reactions = Reactions(over.state, key) if "reactions" in parts else None
    waits = Waits(over.state, over.begins, points.slots_then(log, over.after), key) if "waits" in parts else None
    whole = next(iter(log.read()))["seq"] == 1  # a part of a log cannot be folded from nothing
    checks = Checks(over.state) if "invariants" in parts and whole else None
    adds: list[Callable[[Event], None]] = [
        part.add for part in (races, retries, reactions, waits, checks) if part is not None
    ]
    count, first = 0, None
    for event in log.read(after=over.after, until=over.until):
        count += 1
        first = first or event["seq"]
        for add in adds:
            add(event)
    if retries is not None:
        retries.end(over.ends)
    if waits is not None:
        waits.end(over.ends, dead=points.daemon_found_dead(call.workspace, over.until))
    return {
        "subject": key,
        "events": count,
        "first": first,
        "last": over.until,
        "begins": over.begins,
        "ends": over.ends,
        "whole": whole,
        "invariants": view.invariants_data(checks, _miscounts(log, over), key) if checks is not None else None,
        "races": view.races_data(races) if races is not None else None,
        "retries": view.retries_data(retries) if retries is not None else None,
        "reactions": view.reactions_data(reactions) if reactions is not None else None,
        "waits": view.waits_data(waits) if waits is not None else None,
    }


def _miscounts(log: EventLog, over: Range) -> list[Miscount]:
    """The miscounts that lasted into the range."""
    found = recount(lambda: log.read(until=over.until))
    return [one for one in found if one.seq > over.after or not one.mended or one.mended > over.after]


def _range(call: Call, log: EventLog) -> Range:
    """The range between --since and --until. Raises BadInput, NotFound."""
    args = call.args
    call.ready()
    state, begins = empty(), str(points.first_event(log)["at"])
    if args.until:
        last, ends = points.state_at(log, args.until, call.screen.now, "--until")
    else:
        last = log.state()
        ends = max(call.screen.now, last.latest)
    until = last.seq
    if args.since:
        seq, at = points.moment(log, args.since, call.screen.now, "--since")
        if seq is not None:
            # That event's transaction is included as a whole.
            state = log.state_at(seq=max(transactions.first_of(log, seq) - 1, 0))
            begins = state.at or begins
        else:
            state = log.state_at(at=at)
            begins = max(str(at), begins)
    if state.seq > until or begins > ends:
        raise BadInput("--since is later than --until", "kugetsu audit --since 2h ago --until 1h ago")
    return Range(state, state.seq, begins, until, ends)


COMMANDS = {
    "audit": Command(
        f"[{'|'.join(PARTS)}] [REF] [--since WHEN] [--until WHEN] [--from FILE] [--json]",
        ABOUT,
        _arguments,
        _audit,
        json="""\
subject                        the key of the REF, or null
events                         how many were examined
first                          the first of them, or null: a transaction is included as a whole
last                           the last of them
begins                         the start of the period (UTC)
ends                           the end of the period (UTC)
whole                          false if the log lacks its beginning: then invariants cannot be checked
invariants.transactions        how many were checked; null if this part was not requested, like the next five
invariants.broken              how many invariants were broken
invariants.refused             events that the state machines refused, and claims beyond their cap
invariants.miscounted          how often an issue's counters differed from its history
invariants.found[].kind        broken, refused or miscounted
invariants.found[].seq         the event that broke it first
invariants.found[].at          its time (UTC)
invariants.found[].text        an invariant that did not hold
invariants.found[].mended      the event after which it held again, or null
races.lost                     how many races were lost
races.found[].seq              the event that records it
races.found[].at               its time (UTC)
races.found[].kind             claim, or daemon (another took over)
races.found[].subject          the task, issue or daemon that lost
races.found[].by               the command that lost
races.found[].gate             the gate that closed first, or null
races.found[].reason           its reason
races.found[].to               the attempt that won, or null
races.found[].behind           the event that closed the gate; 0 if unknown
races.found[].events           how many events later the loser decided, or null
races.found[].seconds          how much later, or null
races.found[].looked           the last event that the loser had seen, or null
retries.issues                 issues that agents worked on
retries.wrong                  issues with a failure, retry or park
retries.attempts               number of attempts
retries.failed                 attempts that did not succeed
retries.retries                number of retries
retries.parks                  how often tasks were parked
retries.tokens                 tokens of all attempts
retries.cost                   their cost, as reported by the agents
retries.seconds                time in attempts
retries.lost_seconds           time in attempts that did not succeed
retries.worst[].issue          host/owner/repo#N, or pm; most time lost first
retries.worst[].attempts       number of attempts on that issue
retries.worst[].ends.*         number of attempts by outcome
retries.worst[].reasons.*      number of failures by reason (its beginning)
retries.worst[].retries        number of retries
retries.worst[].parks.*        number of parks by gate
retries.worst[].tokens         tokens of its attempts
retries.worst[].cost           their cost
retries.worst[].seconds        time in attempts
retries.worst[].lost_seconds   time in attempts that did not succeed
reactions.issues               issues with turns that answered feedback
reactions.listed               issues listed: these, and those with a brake or a run of an earlier turn only
reactions.turns                number of these turns
reactions.kinds.*              how many of them were about checks, reviews, comments, conflicts, verification
reactions.tokens               tokens of their attempts
reactions.cost                 their cost
reactions.seconds              time in which their agents ran
reactions.failed               their attempts that did not succeed
reactions.fruitless            those that succeeded without a new commit or comment
reactions.brakes               how often a brake left the rest to a person
reactions.most[].issue         host/owner/repo#N, those with the most turns first
reactions.most[].turns         number of its turns
reactions.most[].kinds.*       as above, and so are tokens, cost, seconds, failed and fruitless
reactions.most[].tokens        tokens of its turns
reactions.most[].cost          their cost
reactions.most[].seconds       their time
reactions.most[].failed        their attempts that did not succeed
reactions.most[].fruitless     those without a new commit or comment
reactions.most[].held          why it is held: most_reactions, no_change, issue_closed, unlabelled, kept; or null
waits.gates[].gate             what held tasks: a gate, daemon (none was running), or turn (only their turn)
waits.gates[].waits            number of waits
waits.gates[].seconds          their sum, in seconds
waits.gates[].median           their median, in seconds
waits.gates[].longest          the longest, in seconds
waits.gates[].task             the task with the longest wait
waits.gates[].event            the event that began it
waits.gates[].idle_seconds     slot-seconds empty during these waits
waits.slots.used_seconds       slot-seconds used
waits.slots.empty_seconds      slot-seconds empty
waits.slots.empty_while_waiting_seconds  slot-seconds empty while a task waited
waits.hosts[].host             a host that shares the log; [] for one host's own
waits.hosts[].used_seconds     slot-seconds used there
waits.hosts[].empty_seconds    slot-seconds empty there""",
        examples="kugetsu audit\nkugetsu audit waits --since 12h ago  # what the night was spent on\n"
        "kugetsu audit retries owner/project#14\nkugetsu audit invariants --from kugetsu.tar.gz",
        exits=(4,),
    )
}
