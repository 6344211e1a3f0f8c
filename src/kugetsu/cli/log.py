"""`kugetsu log …`: verify, repair, stats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kugetsu.cli import log_seal
from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain import invariants
from kugetsu.domain.state import VIOLATIONS_KEPT, State
from kugetsu.log.files.segments import is_shared
from kugetsu.log.files.verify import Problem, Verification
from kugetsu.model.plural import counted
from kugetsu.views import times
from kugetsu.views.tables import Column, table
from kugetsu.views.text import line
from kugetsu.views.wording import words

#: Exit status if the log is damaged (errors.LogDamaged).
DAMAGED = 6


def _arguments(parser: Parser) -> None:
    parser.json()


def _reading_arguments(parser: Parser) -> None:
    parser.json()
    parser.source()


def _verify_arguments(parser: Parser) -> None:
    _reading_arguments(parser)
    parser.add_argument(
        "--head", metavar="SEAL", completes="file", help="SEQ:SHA, a line of log seal, or a file of them"
    )


def _problems(found: Sequence[Problem]) -> list[dict[str, Any]]:
    return [
        {
            "seq": problem.seq,
            "segment": problem.segment,
            "offset": problem.offset,
            "kind": problem.kind,
            "text": problem.text,
        }
        for problem in found
    ]


def _problem_lines(found: Sequence[Problem]) -> list[str]:
    return [
        line(f"  event {problem.seq or '?'}  {problem.segment} byte {problem.offset}  {problem.kind}: {problem.text}")
        for problem in found
    ]


def _verify(call: Call) -> int:
    seals = log_seal.wanted(call.args.head)
    latest = log_seal.latest(seals)
    found = call.workspace.log.verify(latest.head if latest is not None else None)
    damage = [problem for problem in found.problems if not log_seal.of_seal(problem)]
    place = call.foreign.log if call.foreign is not None else None
    copied = place is not None and place.contents.kind != "folder"
    compared = log_seal.compared(call.workspace.log, seals, found, copied=copied)
    unsealed = any(seal["ok"] is False for seal in compared)
    part = place is not None and place.part  # without its beginning it cannot be folded
    refused, more, broken = _refused(call.state(), found) if not damage and not part else ([], 0, [])
    torn = found.torn
    data = {
        "ok": not damage and not unsealed if found.note is None or damage or unsealed else None,
        "events": found.count,
        "segments": found.segments,
        "head": {"seq": found.head.seq, "sha": found.head.sha},
        "problems": _problems(found.problems if unsealed else damage),
        "torn": {"segment": torn.segment, "offset": torn.offset, "bytes": torn.bytes} if torn else None,
        "note": found.note,
        "seals": compared,
        "violations": refused,
        "invariants": broken,
    }
    lines = _integrity_lines(found, damage, part=part)
    lines += [f"  event {entry['seq']}  refused: {entry['text']}" for entry in refused]
    if more:
        lines.append(f"  and {counted(more, 'more event')} refused")
    lines += [f"  invariant broken: {text}" for text in broken]
    if not found.count and not damage:
        lines = ["the log is empty"]
    lines += log_seal.lines(compared, found.head.seq)
    call.show(data, lines)
    if not call.json and call.foreign is None:
        _show_remedy(call, bool(damage), torn is not None)
    if found.unreached is not None:
        call.note(line(f"only this host's mirror was checked: {found.unreached}"))
    ignored = log_seal.ignored(call.args.head)
    if ignored is not None:
        call.note(ignored)
    if not call.json and (refused or broken):
        call.note("for details and first occurrence: " + call.screen.command("kugetsu audit invariants"))
    if not call.json and unsealed and not damage:
        call.note(
            "hint: its digests are consistent, so it was cut off or rewritten, or the seal is another log's: check "
            "copies of the log folder against the seal, kugetsu log verify --head SEAL --from COPY"
        )
    return DAMAGED if damage or unsealed else 0


def _refused(state: State, found: Verification) -> tuple[list[dict[str, Any]], int, list[str]]:
    """The events that a state machine refused or that do not fit their kind, how many more, and broken invariants."""
    known = {entry["seq"] for entry in state.violations}
    odd = [{"seq": seq, "text": text} for seq, text in found.malformed.items() if seq not in known]
    refused = sorted([*state.violations, *odd[:VIOLATIONS_KEPT]], key=lambda entry: entry["seq"])
    return refused, state.violations_seen - len(state.violations), invariants.broken(state)


def _integrity_lines(found: Verification, damage: list[Problem], *, part: bool) -> list[str]:
    """The result of the digest check."""
    lines = [f"{counted(found.count, 'event')} in {counted(found.segments, 'segment')} verify, head {found.head}"]
    if found.note is not None:
        lines = [f"{counted(found.count, 'event')}; {found.note}"]
        lines += _problem_lines(damage)
    elif damage:
        lines = [f"the log is damaged in {counted(len(damage), 'place')}; {counted(found.count, 'event')} verify"]
        lines += _problem_lines(damage)
    if found.torn is not None:
        lines.append(f"an unfinished write of {found.torn.bytes} bytes is at its end: the next command repairs it")
    if part:
        lines.append("the meaning of its events was not checked: the beginning of the log is missing")
    return lines


def _show_remedy(call: Call, damaged: bool, torn: bool) -> None:
    if damaged and is_shared(call.workspace.paths.log):
        call.note("hint: kugetsu log repair reads this host's mirror again from the shared log")
    elif damaged:
        call.note(
            f"hint: copy a good copy of that segment to {call.workspace.paths.log}: the chain of digests shows "
            "whether it fits. Until then nothing is appended, and nothing starts. Without a copy: move that folder "
            "away, then run kugetsu init to start a new log"
        )
    elif torn:
        call.note("hint: kugetsu log repair")


def _repair(call: Call) -> int:
    done = call.workspace.log.repair()

    data = {
        "mended": done.repaired,
        "event": done.event["seq"] if done.event is not None else None,
        "problems": _problems(done.problems),
    }
    if done.problems:
        result = [
            "nothing was done: the log is damaged, and a repair would have to guess",
            *_problem_lines(done.problems),
        ]
    elif done.reread:
        result = ["repaired: this host's mirror was cut at its first bad line, and read again from the shared log"]
    elif done.event is not None:
        result = [f"repaired: {words(done.event)} (event {done.event['seq']})"]
    else:
        result = [
            "repaired: the last newline was missing"
            if done.repaired
            else "nothing to repair: the log ends with a complete event"
        ]
    call.show(data, result)
    if done.problems and not call.json:
        _show_remedy(call, True, False)
    return DAMAGED if done.problems else 0


def _stats(call: Call) -> int:
    found = call.workspace.log.stats()
    data = {
        "events": found.events,
        "bytes": found.bytes,
        "segments": found.segments,
        "first_at": found.first_at,
        "last_at": found.last_at,
        "types": dict(sorted(found.types.items(), key=lambda item: (-item[1], item[0]))),
    }
    call.show(data, [] if call.json else _stat_lines(call, data))
    return 0


def _stat_lines(call: Call, data: dict[str, Any]) -> list[str]:
    if not data["events"]:
        return ["the log is empty"]
    now = call.screen.now
    lines = [
        f"{counted(data['events'], 'event')}, {times.amount(data['bytes'])} bytes "
        f"in {counted(data['segments'], 'segment')}, "
        f"{times.moment(data['first_at'], now)} to {times.moment(data['last_at'], now)}"
    ]
    rows = [[name, str(number)] for name, number in data["types"].items()]
    return lines + table(call.screen, [Column("TYPE"), Column("EVENTS", right=True)], rows)


COMMANDS = {
    "log verify": Command(
        "[--head SEAL] [--from FILE] [--json]",
        "Exits with 6 if the log is damaged; an unfinished write at its end is not damage. Redacted lines of a\n"
        "bundle (--from) cannot be verified. With --head it also exits with 6 if the log differs from the sealed one\n"
        "(kugetsu log seal): its end was cut off, or it was rewritten.",
        _verify_arguments,
        _verify,
        json="""\
ok                  whether every line is as it was written; null if that cannot be verified
events              the number of verified events
segments            the number of files
head.seq            the last event's number
head.sha            its digest, which covers the whole log
problems[].seq      the damaged event, or null if unknown
problems[].segment  the file
problems[].offset   the byte offset in it
problems[].kind     the kind of problem
problems[].text     a description
torn.segment        an unfinished write at the end, or torn is null
torn.offset         its byte offset
torn.bytes          its length
note                why it cannot be verified, or null
seals[].seq         with --head: the event that was sealed
seals[].sha         its digest then
seals[].at          its time (UTC), or null if it was not recorded
seals[].log         the id of the log that was sealed, or null
seals[].ok          whether everything up to it is unchanged; null: cannot be verified
seals[].text        what differs, or null
violations[]        events that a state machine refused; [] for a part of a log, as is invariants
invariants[]        a broken invariant""",
        examples="kugetsu log verify\nkugetsu log verify --head 214:9b2c6a1e0f4d4c55a3e1c0a7d2b84f10",
    ),
    "log repair": Command(
        "[--json]",
        "The bytes cut off are kept in log/torn/. Damage elsewhere is reported, never repaired by guessing. The\n"
        "mirror of a shared log is read again from the database, whatever is damaged in it.",
        _arguments,
        _repair,
        json="mended      whether something was repaired\n"
        "event       the event that records it, or null\n"
        "problems[]  as problems[] of kugetsu log verify",
        examples="kugetsu log repair",
    ),
    "log stats": Command(
        "[--from FILE] [--json]",
        "",
        _reading_arguments,
        _stats,
        json="events    number of events\nbytes     size of all segments\nsegments  number of files\n"
        "first_at  the first event's time (UTC), or null\nlast_at   the last event's time (UTC), or null\n"
        "types.*   number of events by kind",
        examples="kugetsu log stats",
    ),
}
