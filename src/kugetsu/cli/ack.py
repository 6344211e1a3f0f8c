"""`kugetsu ack`: somebody has seen that tasks failed."""

from __future__ import annotations

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain.decide import queue
from kugetsu.model.errors import BadInput
from kugetsu.model.plural import counted
from kugetsu.runtime.query import subjects

ABOUT = """\
A task that failed stays in the list, in the counts and in what needs attention until somebody acknowledges it: its
failure is seen, whatever is done about it. A task that is retried and fails again is to be acknowledged again; one that
was cancelled was seen by whoever cancelled it. The latest failed tasks are kept; of those before them only the number,
which --all acknowledges too. The history of every task stays in the log."""


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "what", nargs="*", metavar="TASK|REF", completes=("task-failed", "issue"), help="failed tasks, or issues"
    )
    parser.add_argument("--all", action="store_true", help="all tasks that failed")


def _ack(call: Call) -> int:
    what: list[str] = call.args.what
    if call.args.all and what:
        raise BadInput("kugetsu ack: --all and a task at once", "give one of them")
    if not call.args.all and not what:
        raise BadInput("kugetsu ack: which task? Give a task, an issue or --all", "kugetsu queue list --state error")
    call.ready()
    keys = [_key(call, text) for text in what]
    events = call.workspace.log.transact(lambda state: queue.acknowledge(state, keys))
    tasks = [event["task"] for event in events if event["type"] == "task.acknowledged"]
    gone = sum(event["data"]["gone"] for event in events if event["type"] == "queue.acknowledged")
    data = {"acknowledged": tasks, "gone": gone, "seq": events[0]["seq"] if events else None}
    call.show(data, [_said(tasks, gone, what)])
    call.note_undo(events)
    return 0


def _key(call: Call, text: str) -> str:
    subject = subjects.subject(call.workspace, text)
    return subject.key


def _said(tasks: list[str], gone: int, what: list[str]) -> str:
    if not tasks and not gone:
        return "already acknowledged: nothing to do" if what else "no failed task is to be acknowledged"
    parts = [", ".join(tasks)] if tasks else []
    if gone:
        parts.append(f"{counted(gone, 'failed task')} that left the list")
    return f"acknowledged {' and '.join(parts)}"


COMMANDS = {
    "ack": Command(
        "TASK|REF …|--all [--json]",
        ABOUT,
        _arguments,
        _ack,
        json="""\
acknowledged[]  the tasks that are acknowledged now and were not before
gone            how many failed tasks that left the list are acknowledged with them
seq             the first event that records it, or null if nothing changed""",
        examples="kugetsu ack q3\nkugetsu ack owner/project#14  # all failed tasks of the issue\nkugetsu ack --all",
        exits=(4, 5),
    )
}
