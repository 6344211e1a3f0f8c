"""`kugetsu queue …` on single tasks and on all that wait: dequeue, cancel, retry, move, lift, clear."""

from __future__ import annotations

from collections.abc import Callable

from kugetsu.cli.call import Call, Command
from kugetsu.cli.confirmation import confirmed
from kugetsu.cli.parser import Parser
from kugetsu.cli.queue import require_priority, warn_of_stranded, warn_of_waiting_behind, warn_without_daemon
from kugetsu.domain.decide import queue
from kugetsu.domain.events import Event
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.model import clock
from kugetsu.model.errors import BadInput
from kugetsu.model.plural import counted
from kugetsu.runtime import stop_attempt, submit, undo
from kugetsu.runtime.query import messages, subjects
from kugetsu.runtime.query.subjects import task_id
from kugetsu.views.text import block


def _cancel_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("id", metavar="ID", completes="task-open", help="a task, as q7")


def _retry_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("id", metavar="ID", completes="task-retry", help="a task, as q7")


def _dequeue_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "id", metavar="ID", nargs="?", completes="task-waiting", help="a task, as q7 (default: the next one)"
    )


def _transact(call: Call, decide: Callable[[State], list[NewEvent]]) -> list[Event]:
    call.ready()
    return call.workspace.log.transact(decide)


def _dequeue(call: Call) -> int:
    wanted = task_id(call.args.id) if call.args.id else None
    events = _transact(call, lambda state: queue.dequeue(state, wanted))
    task = events[0]["task"]
    message = messages.of_task(call.workspace, task)
    issue = events[0].get("issue")

    lines = [f"dequeued {task} for {issue or 'the PM agent'}", *(f"  {part}" for part in block(message))]
    call.show({"task": task, "issue": issue, "message": message, "state": "cancelled", "seq": events[0]["seq"]}, lines)
    if not call.json:
        call.note(f"back into the queue: kugetsu queue retry {task}")
    call.note_undo(events)
    warn_of_waiting_behind(call, task)
    return 0


def _cancel(call: Call) -> int:
    wanted = task_id(call.args.id)
    call.ready()
    events = stop_attempt.cancel(call.workspace, wanted)
    stopped = not events or events[0]["type"] == "attempt.stop_requested"
    attempt = events[0].get("attempt") if events else call.state().tasks[wanted].attempt
    seq = events[0]["seq"] if events else None
    data = {"task": wanted, "state": "stopping" if stopped else "cancelled", "attempt": attempt, "seq": seq}
    if not stopped:
        call.show(data, [f"cancelled {wanted}"])
        call.note_undo(events)
        warn_of_waiting_behind(call, wanted)
        return 0
    there = stop_attempt.elsewhere(call.workspace, attempt)
    where = f" on {there.name}" if there is not None else ""
    said = f"{attempt} is being stopped{where}" if events else f"{attempt} is already being stopped{where}"
    call.show(data, [said])
    if there is not None and there.passes_on is not None:
        call.note(there.passes_on)
    if not call.json:
        call.note(f"follow: kugetsu history {wanted} -f")
    warn_of_waiting_behind(call, wanted)
    return 0


def _retry(call: Call) -> int:
    wanted = task_id(call.args.id)
    call.ready()
    events = submit.retry(call.workspace, wanted)
    said = {"task.requeued": "is queued again", "task.resumed": "no longer waits"}[events[0]["type"]]
    call.show({"task": wanted, "state": "pending", "seq": events[0]["seq"]}, [f"{wanted} {said}"])
    if undo.possible(call.workspace, events[0]):
        call.note_undo(events)
    warn_without_daemon(call)
    return 0


def _move_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("id", metavar="ID", completes="task-waiting", help="a waiting task, as q7")
    parser.add_argument("--first", action="store_true", help="before all waiting tasks")
    parser.add_argument("--last", action="store_true", help="after all tasks of its priority")
    parser.add_argument("--priority", type=int, metavar="N", help="higher goes first")
    parser.add_argument(
        "--after",
        action="append",
        default=[],
        metavar="ID",
        completes="task",
        help="wait until that task is completed ('': none)",
    )


def _move(call: Call) -> int:
    args = call.args
    wanted = task_id(args.id)
    if args.first and args.last:
        raise BadInput("--first and --last at once", "give one of them")
    if not (args.first or args.last) and args.priority is None and not args.after:
        raise BadInput("kugetsu queue move: no place given", f"kugetsu queue move {wanted} --first")
    if args.priority is not None:
        require_priority(args.priority)
    after = [task_id(one) for given in args.after for one in given.split(",") if one] if args.after else None
    events = _transact(
        call,
        lambda state: queue.move(state, wanted, first=args.first, last=args.last, priority=args.priority, after=after),
    )
    waiting = [task.id for task in call.state().waiting()]
    task = call.state().tasks[wanted]
    data = {
        "task": wanted,
        "place": waiting.index(wanted) + 1 if wanted in waiting else None,
        "waiting": len(waiting),
        "priority": task.priority,
        "after": task.after,
        "seq": events[0]["seq"] if events else None,
    }
    said = f"{wanted} is number {data['place']} of {len(waiting)} that wait" if data["place"] else f"{wanted} was moved"
    call.show(data, [said if events else f"{said} already: nothing changed"])
    if task.after and not call.json:
        call.note(f"it comes after {', '.join(task.after)}")
    call.note_undo(events)
    warn_of_stranded(call, wanted)
    return 0


def _lift_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("what", metavar="REF|AGENT:MODEL", completes="issue", help="an issue, or agent and model")


def _unblock(call: Call) -> int:
    call.ready()
    what = call.args.what.strip()
    known = call.state().limits
    outage = "outage" in known.get(what, ())
    limited = what in known or what.startswith(("opencode:", "command:"))
    gate, subject = ("provider", what) if limited else ("progress", str(subjects.issue(call.workspace, what)))
    events = _transact(call, lambda state: queue.unblock(state, gate, subject))
    resumed = [event["task"] for event in events if event["type"] == "task.resumed"]
    forgotten = "runs without progress are"
    if limited:
        forgotten = f"{'outage' if outage else 'usage limit'} is"
    lines = [
        f"unblocked {subject}: its {forgotten} forgotten",
        *([f"{', '.join(resumed)} may continue"] if resumed else []),
    ]
    call.show({"gate": gate, "subject": subject, "resumed": resumed, "seq": events[0]["seq"]}, lines)
    call.note_undo(events)
    warn_without_daemon(call)
    return 0


def _clear_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("--all", action="store_true", help="cancel all waiting tasks (asks first)")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _clear(call: Call) -> int:
    if call.args.all:
        return _clear_all(call)

    days = call.workspace.config.number("QUEUE_CLEANUP_AGE_DAYS")
    before = clock.add_seconds(clock.now(), -days * 86_400)
    events = _transact(call, lambda state: queue.clear(state, before, failed=False))
    retired = events[0]["data"]["tasks"] if events else []
    kept = sum(task.changed_at < before for task in call.state().failed())
    said = f"{counted(len(retired), 'finished task')} retired" if retired else ""
    said = said or f"no finished task is older than {days:g} days{', but for failed ones' if kept else ''}"
    call.show({"retired": retired, "older_than": before, "kept": kept}, [said])
    if kept and not call.json:
        verb = "stays until it is" if kept == 1 else "stay until they are"
        call.note(f"{counted(kept, 'failed task')} {verb} acknowledged: kugetsu ack --all")
    elif not call.json and not retired:
        call.note("their age is the setting QUEUE_CLEANUP_AGE_DAYS; to cancel what waits: kugetsu queue clear --all")
    return 0


def _clear_all(call: Call) -> int:
    waiting = call.ready().waiting()
    if not waiting:
        call.show({"cancelled": [], "seq": None}, ["no task is waiting"])
        return 0
    question = f"cancel {counted(len(waiting), 'waiting task')}?"
    if not call.args.yes and not confirmed(question, "kugetsu queue clear --all --yes"):
        call.note("nothing was cancelled")
        return 1
    events = _transact(call, lambda state: queue.cancel_waiting(state, "queue clear --all"))
    cancelled = [event["task"] for event in events]
    data = {"cancelled": cancelled, "seq": events[0]["seq"] if events else None}
    call.show(data, [f"cancelled {', '.join(cancelled)}" if cancelled else "no task is waiting"])
    call.note_undo(events)
    return 0


CHANGED = """\
task   the task's id
state  its state now
seq    the event that records it"""

COMMANDS = {
    "queue dequeue": Command(
        "[ID] [--json]",
        "",
        _dequeue_arguments,
        _dequeue,
        json="task     the task's id\nissue    host/owner/repo#N, or null for the PM agent\n"
        "message  its message\nstate    cancelled\nseq      the event that records it",
        examples="kugetsu queue dequeue q7",
        exits=(4, 5),
    ),
    "queue cancel": Command(
        "ID [--json]",
        "",
        _cancel_arguments,
        _cancel,
        json="task     the task's id\nstate    cancelled, or stopping while its agent is ended\n"
        "attempt  the attempt that is stopped, or null\nseq      the event that records it, or null",
        examples="kugetsu queue cancel q7",
        exits=(4, 5),
    ),
    "queue retry": Command(
        "ID [--json]", "", _retry_arguments, _retry, json=CHANGED, examples="kugetsu queue retry q7", exits=(4, 5)
    ),
    "queue move": Command(
        "ID [--first|--last] [--priority N] [--after ID] [--json]",
        "Dependencies that form a circle are refused.",
        _move_arguments,
        _move,
        json="task      the task's id\nplace     its position among the waiting tasks, from 1\n"
        "waiting   number of waiting tasks\npriority  higher goes first\n"
        "after     tasks that must be completed before it\n"
        "seq       the event that records it, or null if nothing changed",
        examples="kugetsu queue move q7 --first\nkugetsu queue move q7 --after q5  # not before q5 is completed",
        exits=(4, 5),
    ),
    "queue lift": Command(
        "REF|AGENT:MODEL [--json]",
        "For an issue: its successful runs without progress are counted from 0 again, and the tasks parked for them\n"
        "continue. For an agent and model: the usage limit or outage is forgotten.",
        _lift_arguments,
        _unblock,
        json="gate       progress or provider\nsubject    the issue, or agent and model\n"
        "resumed[]  tasks that were parked for it and continue\nseq        the event that records it",
        examples="kugetsu queue lift owner/project#14\nkugetsu queue lift opencode:default  # retry now",
        exits=(4,),
    ),
    "queue clear": Command(
        "[--all] [--yes] [--json]",
        "Failed tasks stay, however old, until somebody acknowledges them: kugetsu ack.",
        _clear_arguments,
        _clear,
        json="retired[]    without --all: the tasks that left the list\n"
        "older_than   without --all: they finished before this (UTC)\n"
        "kept         without --all: how many failed tasks stay until they are acknowledged\n"
        "cancelled[]  with --all: the tasks that were cancelled\n"
        "seq          with --all: the first event that records it, or null",
        examples="kugetsu queue clear\nkugetsu queue clear --all --yes  # cancel all waiting tasks",
        exits=(5,),
    ),
}
