"""`kugetsu undo SEQ`: append the events that reverse an event."""

from __future__ import annotations

from typing import Any

from kugetsu.cli.call import Call, Command
from kugetsu.cli.confirmation import confirmed
from kugetsu.cli.parser import Parser
from kugetsu.cli.queue import warn_without_daemon
from kugetsu.cli.settings import warn_of_environment
from kugetsu.domain.events import Event
from kugetsu.model import clock
from kugetsu.model.errors import BadInput, Conflict
from kugetsu.model.plural import counted
from kugetsu.runtime.query import timespec
from kugetsu.runtime.undo import Undoing
from kugetsu.views import undo as view

ABOUT = """\
The log is never rewritten: undoing appends events whose cause is SEQ. A later change is never overwritten: the undo is
refused, and the error names an alternative. SEQ is the number that kugetsu history shows; commands that can be undone
print it. @-1 is the event before the last one, @ the last one; if it is not of a command that you typed in this
terminal, your latest one. Without SEQ the latest command that you typed in this terminal, can be undone, and was not
undone yet, with all its events; once more: the one before. These events can be undone:

task.queued            while no agent has worked on it: the task is cancelled
task.cancelled         the task waits again in its old position, with the attempts and the pause that it had
task.requeued          of a cancelled task: the task is cancelled again
task.acknowledged      ack: the failure is to be acknowledged again, as with queue.acknowledged
task.moved             priority, position and dependencies as before
task.edited            the previous message
queue.paused           the queue goes on, or has its previous pause
queue.resumed          the queue is paused again
hold.lifted            the hold applies again: a usage limit until its time, an issue's runs without progress
task.resumed           of a parked task, by queue retry: the task is parked again
notices.read           the read mark moves back
session.pr             the previously tied pull request, or none
repository.registered  the previous place of the repository's clone, or none
setting.changed        config set and server: the old value is written to the file

An undo is an event too, and can be undone. For any other event the error gives the reason and an alternative."""


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "seq", metavar="SEQ", nargs="?", completes="when", help="the event's number, @ or @-1 (default: your latest)"
    )
    parser.add_argument(
        "--transaction",
        action="store_true",
        help="also undo the other events of its transaction, as of queue clear --all",
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _undo(call: Call) -> int:
    from kugetsu.runtime import undo as undoing

    call.ready()
    if call.args.seq is None:
        events = undoing.latest(call.workspace)
    elif call.args.seq == "@" and not call.args.transaction:
        events = undoing.last(call.workspace)
    else:
        events = undoing.find(call.workspace, _seq(call), whole=call.args.transaction)
    already = {event["seq"]: undoing.done_by(call.workspace, event) for event in events}
    left = [event for event in events if already[event["seq"]] is None]
    if not left:
        return _nothing(call, events, already[events[0]["seq"]])
    try:
        made = _done(call, left)
    except Conflict:
        by = undoing.done_by(call.workspace, left[0])
        if by is None:
            raise
        return _nothing(call, left, by)  # undone in the meantime
    if made is None:
        return 1

    data = {"undone": [event["seq"] for event in left], "already": None, "events": view.data(made)}
    call.show(data, view.done(made))
    _show_next_steps(call, made)
    return 0


def _seq(call: Call) -> int:
    point = timespec.parse(call.args.seq, clock.now())
    if point.at is not None:
        raise BadInput(f"not an event: {call.args.seq[:60]!r}", "write its number, as kugetsu history --all shows it")
    seq, _ = timespec.resolve(call.workspace.log, point)
    return seq or 0


def _nothing(call: Call, events: list[Event], by: int | None) -> int:
    data: dict[str, Any] = {"undone": [], "already": by, "events": []}
    which = f"event {events[0]['seq']} was" if len(events) == 1 else "these events were"
    call.show(data, [f"{which} already undone by event {by}: nothing to do"])
    return 0


def _done(call: Call, events: list[Event]) -> list[Event] | None:
    """Show the plan, ask, and carry it out; None if the answer is no."""
    undoing = Undoing(call.workspace, events, clock.now())
    planned = undoing.planned()
    if not call.args.yes:
        told = [view.told(event, call.screen) for event in events]
        plan = view.plan(planned, call.screen)
        call.note(*told, "undoing it appends:" if len(events) == 1 else "undoing them appends:", *plan)
        which = f"event {events[0]['seq']}" if len(events) == 1 else counted(len(events), "event")
        whole = " --transaction" if call.args.transaction else ""
        if not confirmed(f"undo {which}?", f"kugetsu undo {events[0]['seq']}{whole} --yes"):
            call.note("nothing was undone")
            return None
    return undoing.carry_out()


def _show_next_steps(call: Call, made: list[Event]) -> None:
    if call.json:
        return
    kinds = {event["type"] for event in made}
    if "task.requeued" in kinds:
        warn_without_daemon(call)
    for event in made:
        if event["type"] == "setting.changed":
            warn_of_environment(call, event["data"]["key"])
    call.note(
        f"to reverse this: kugetsu undo {made[0]['seq']}{' --transaction' if len(made) > 1 and _alike(made) else ''}"
    )


def _alike(made: list[Event]) -> bool:
    """Whether each of the events undoes one of its own, so that each must be undone."""
    return all("facts" in event for event in made)


COMMANDS = {
    "undo": Command(
        "[SEQ] [--transaction] [--yes] [--json]",
        ABOUT,
        _arguments,
        _undo,
        json="""\
undone[]          the events that were undone
already           the event that already undid it, or null
events[].seq      an event that was appended
events[].type     its kind
events[].task     the task's id, or null
events[].session  the session's key, or null
events[].text     a description""",
        examples="kugetsu undo  # what you did last\nkugetsu undo 214\n"
        "kugetsu undo @ --yes  # the last event of yours, without asking\n"
        "kugetsu undo 214 --transaction  # everything that one queue clear --all cancelled",
        exits=(4, 5),
    )
}
