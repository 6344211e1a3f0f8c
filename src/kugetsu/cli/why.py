"""`kugetsu why`: what holds a task back, gate by gate; or what an event came from."""

from __future__ import annotations

from kugetsu.cli.declarations import Command
from kugetsu.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.cli.call import Call
    from kugetsu.cli.parser import Parser
    from kugetsu.cli.subjects import Subject
    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.state import State, Task
    from kugetsu.runtime.workspace import Workspace
    from kugetsu.views.why import WhyEvent, WhyTask

    Event = dict[str, Any]

#: Events that a chain of causes shows at most.
LONGEST_CHAIN = 30
#: Direct effects of an event that are shown at most.
MOST_EFFECTS = 20

ABOUT = """\
A task that waits: every gate that the dispatcher asks, ✓ open, ✗ the reason, · closed behind it, each with the event it
rests on, until when, and the command that lifts it. A task that runs or has ended: what led there. A number: that
event, what led to it, what it was decided from, and what it led to."""


def facts_now(ws: Workspace, state: State) -> ClaimFacts:
    """What the gates read now, with the dispatcher that there is."""
    from kugetsu.runtime import liveness
    from kugetsu.runtime.facts import claim_facts

    alive = state.daemon.state in ("running", "draining") and liveness.daemon(ws.paths, state)
    return claim_facts(ws.config, "daemon" if alive else "none", ws.paths.root)


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "subject", metavar="TASK|REF|SEQ", completes=("task", "issue"), help="a task, an issue, or an event's number"
    )


def _why(call: Call) -> int:
    from kugetsu.cli import subjects
    from kugetsu.views import why as view

    text = call.args.subject
    if text.isascii() and text.isdigit() and len(text) < 16:
        event = _event(call.workspace, int(text))
        call.show(event, [] if call.json else view.event_lines(event, call.screen))
        return 0
    subject = subjects.subject(call.workspace, text)
    answers = _answers(call, subject)
    if call.json:
        call.show({"tasks": answers}, [])
        return 0
    for number, answer in enumerate(answers):
        call.show(None, ([""] if number else []) + view.task_lines(answer, call.screen))
    return 0


def _answers(call: Call, subject: Subject) -> list[WhyTask]:
    from kugetsu.domain import gates
    from kugetsu.views import why as view

    state = call.ready()
    tasks = _tasks(state, subject)
    if not tasks:
        return [_from_history(call, subject)]
    facts = facts_now(call.workspace, state)
    answers = []
    for task in tasks:
        attempt = state.attempts.get(task.attempt) if task.attempt is not None else None
        verdicts = gates.verdicts(state, task, facts)
        waits_first = task.state in ("pending", "parked") and task.reason is None
        chain = [] if waits_first else _chain(call.workspace, task.changed)
        answers.append(view.about_task(task, attempt, verdicts, chain))
    return answers


def _tasks(state: State, subject: Subject) -> list[Task]:
    """Its tasks that are not over; the latest that is over when there are none."""
    if subject.kind in ("task", "attempt"):
        task = state.tasks.get(subject.key)
        return [task] if task is not None else []
    mine = [task for task in state.tasks.values() if task.session == subject.key]
    open_ones = [task for task in mine if task.state in ("notified", "pending", "parked")]
    return open_ones or mine[-1:]


def _from_history(call: Call, subject: Subject) -> WhyTask:
    """The answer for a task that has left the state, or for a session without tasks."""
    events = list(subject.events(call.workspace))
    if not events:
        hint = "kugetsu queue list --all" if subject.kind in ("task", "attempt") else f"kugetsu start {subject} MESSAGE"
        raise NotFound(f"nothing ever happened to {subject}", hint)
    last = events[-1]
    ends = [event for event in events if event["type"].startswith("task.")]
    final = ends[-1] if ends else last
    from kugetsu.views.wording import words

    said = {"task.completed": "is completed", "task.failed": "ended in error", "task.cancelled": "was cancelled"}
    name = final.get("task") or str(subject)
    verb = said.get(final["type"], f"is where {final['type']} left it")
    answer = f"{name} {verb}: {words(final)} (event {final['seq']}; it has left the list)"
    return {"task": None, "answer": answer, "gates": [], "because": _chain(call.workspace, final["seq"])}


def _event(ws: Workspace, seq: int) -> WhyEvent:
    from kugetsu.cli.subjects import event_at

    event = event_at(ws, seq)
    return {"event": event, "because": _chain(ws, seq)[:-1], "led_to": _effects(ws, event)}


def _chain(ws: Workspace, seq: int) -> list[Event]:
    """An event and its causes, oldest first."""
    from kugetsu.cli.subjects import event_at

    chain: list[Event] = []
    at: int | None = seq
    while at and len(chain) < LONGEST_CHAIN:
        event = event_at(ws, at)
        chain.append(event)
        cause = event.get("cause")
        at = cause if isinstance(cause, int) and cause < at else None
    return chain[::-1]


def _effects(ws: Workspace, event: Event) -> list[Event]:
    """The events that name this one as their cause: among those of the same task, session or issue."""
    found: dict[int, Event] = {}
    keys = dict.fromkeys(event.get(name) for name in ("task", "session", "issue"))
    for key in filter(None, keys):
        for other in ws.log.read_key(key):
            if other.get("cause") == event["seq"]:
                found[other["seq"]] = other
    if not any(keys):
        for other in ws.log.read(after=event["seq"]):
            if other.get("cause") == event["seq"]:
                found[other["seq"]] = other
            if len(found) >= MOST_EFFECTS:
                break
    return [found[seq] for seq in sorted(found)][:MOST_EFFECTS]


COMMANDS = {
    "why": Command(
        "TASK|REF|SEQ [--json]",
        ABOUT,
        _arguments,
        _why,
        json="""\
tasks[].task       as tasks[] of kugetsu queue list, or null when it has left the list
tasks[].answer     the answer in one line
tasks[].gates[]    each gate, in order: the first that is closed is the reason
tasks[].because[]  the events that led there, the oldest first

With a number: event, because[] and led_to[], events as kugetsu history prints them.""",
        examples="kugetsu why q7\nkugetsu why 214  # what led to that event, and what it led to",
        exits=(4,),
    )
}
