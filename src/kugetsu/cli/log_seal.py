"""`kugetsu log seal`, and the comparison of its seals by `kugetsu log verify --head`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.log.files.verify import Problem, Verification
from kugetsu.log.protocol import EventLog
from kugetsu.log.seals import Seal, left_out, parse
from kugetsu.model.errors import BadInput, KugetsuError, LogDamaged, reason_of
from kugetsu.model.plural import counted

#: Bytes read of a file of seals: a line has about a hundred.
MOST = 1 << 20

ABOUT = """\
Checks the whole log and prints its head on one line: the last event's number and its digest, which covers every event
up to it. Keep it where no one who can change the log can change it: in a mail, on paper, in a tag of another repository
(git tag -m "$(kugetsu log seal)" night-42). Later it proves what the log alone cannot: that its end was cut off, or
that it was rewritten."""


# --- seal -----------------------------------------------------------------------------------------------------------


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("--to", metavar="FILE", completes="file", help="append the line to this file too")


def _seal(call: Call) -> int:
    found = call.workspace.log.verify()
    if not found.ok:
        raise LogDamaged("not sealed: the log does not verify", "kugetsu log verify")
    if not found.head.seq:
        raise KugetsuError("the log is empty: nothing to seal", "kugetsu init")
    log = call.workspace.log
    (last,) = log.read(found.head.seq - 1, found.head.seq)
    seal = Seal(found.head, last["at"], log.state().log_id or "unknown")
    check = f"kugetsu log verify --head {seal.head}"
    if call.args.to is not None:
        _append(call.args.to, str(seal))
    data = {"seq": seal.head.seq, "sha": seal.head.sha, "at": seal.at, "log": seal.log, "line": str(seal)}
    call.show({**data, "check": check, "file": call.args.to}, [str(seal)], value=True)
    if not call.json:
        _show_where(call, check)
    return 0


def _show_where(call: Call, check: str) -> None:
    path = call.args.to
    if path is None:
        call.note(f"keep it elsewhere, and check later: {check}")
        return
    call.note(f"check later: kugetsu log verify --head {path}")
    root = os.path.realpath(call.workspace.paths.root)
    if os.path.realpath(path).startswith(root + os.sep):
        call.note(f"{path} is next to the log: whoever can change one can change the other; keep a copy elsewhere")


def _append(path: str, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            data = text.encode() + b"\n"
            if os.write(descriptor, data) != len(data):
                raise OSError("only a part was written")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = reason_of(error)
        raise KugetsuError(f"cannot write {path}: {reason}", "name another file, or leave out --to") from error


# --- verify --head --------------------------------------------------------------------------------------------------


def wanted(text: str | None) -> list[Seal]:
    """The seals that `--head` names: a seal, a head, or a file that has some; [] for None. Raises BadInput."""
    if text is None:
        return []

    found = parse(text) or parse(_content(text))
    if not found:
        hint = "write SEQ:SHA or the line that kugetsu log seal printed, or name the file that has it"
        raise BadInput(f"not a seal: {text[:60]!r}", hint)
    return found


def ignored(text: str | None) -> str | None:
    """A warning about lines of the `--head` file that are not seals: one of them may be a damaged seal."""
    if text is None or parse(text):
        return None
    lines = left_out(_content(text))
    if not lines:
        return None
    verb = "is not a seal and was" if len(lines) == 1 else "are not seals and were"
    first = f"line {lines[0]}" if len(lines) == 1 else f"the first is line {lines[0]}"
    return f"{os.path.basename(text)}: {counted(len(lines), 'line')} {verb} skipped: {first}"


def _content(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(MOST).decode("utf-8", "replace")
    except (OSError, ValueError):  # not a file: meant as a seal, and refused as such
        return ""


def latest(seals: Sequence[Seal]) -> Seal | None:
    """The seal that the check of the whole log looks for: its digest covers all the others."""
    return max(seals, key=lambda seal: seal.head.seq, default=None)


def of_seal(problem: Problem) -> bool:
    """Whether the problem is a difference from the seal; the log itself may still verify."""
    return problem.kind == "head" or (problem.kind == "missing" and not problem.segment)


def compared(log: EventLog, seals: Sequence[Seal], found: Verification, *, copied: bool) -> list[dict[str, Any]]:
    """Each seal, with whether the log matches it (None: unknown) and a description of the difference.

    ``copied``: the log is an excerpt, which may legitimately lack the sealed event.
    """
    return [_compared(log, seal, found, seal is latest(seals), copied) for seal in seals]


def _compared(log: EventLog, seal: Seal, found: Verification, checked: bool, copied: bool) -> dict[str, Any]:
    text: str | None = None
    lacks = copied and next(iter(log.read(seal.head.seq - 1, seal.head.seq)), None) is None
    own = log.state().log_id if found.note is not None or all(of_seal(one) for one in found.problems) else None
    if own is not None and seal.log is not None and seal.log != own:
        text = f"the seal belongs to another log: {seal.log}, this one is {own}"
    elif lacks:
        text = None
    elif checked:
        text = next((problem.text for problem in found.problems if of_seal(problem)), None)
    elif own is not None:
        text = _unlike(log, seal)
    damaged = not all(of_seal(problem) for problem in found.problems)
    ok = False if text is not None else (None if damaged or lacks or found.note is not None else True)
    return {"seq": seal.head.seq, "sha": seal.head.sha, "at": seal.at, "log": seal.log, "ok": ok, "text": text}


def _unlike(log: EventLog, seal: Seal) -> str | None:
    event = next(iter(log.read(seal.head.seq - 1, seal.head.seq)), None)
    if event is None:
        return f"event {seal.head.seq} was sealed, the log ends at {log.head().seq}: the log's end was lost"
    if event["sha"] != seal.head.sha:
        return f"event {seal.head.seq} is not the sealed one: its digest is {event['sha']}, not {seal.head.sha}"
    return None


def lines(seals: Sequence[dict[str, Any]], head: int) -> list[str]:
    """The text on each seal."""
    shown = []
    for seal in seals:
        if seal["ok"]:
            since = head - seal["seq"]
            after = f"; {since} {'event was' if since == 1 else 'events were'} appended since" if since else ""
            shown.append(f"sealed: events 1 to {seal['seq']} are unchanged{after}")
        elif seal["ok"] is None:
            why = f": it ends with event {head}" if seal["seq"] > head else ""
            shown.append(f"whether it matches the seal at event {seal['seq']} cannot be verified{why}")
        else:
            shown.append(f"DIFFERS from the seal: {seal['text']}")
    return shown


COMMANDS = {
    "log seal": Command(
        "[--to FILE] [--json]",
        ABOUT,
        _arguments,
        _seal,
        json="""\
seq    the last event's number
sha    its digest
at     its time (UTC)
log    the log's id
line   all of this on one line, to keep
check  the command that checks it later
file   the file that it was appended to, or null""",
        examples="kugetsu log seal\nkugetsu log seal --to /mnt/usb/seals  # one more line each night",
    ),
}
