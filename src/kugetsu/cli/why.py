"""`kugetsu why`: what holds a task back, gate by gate, and what changes next; or what an event came from and led to."""

from __future__ import annotations

from itertools import islice

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain import causes, gates
from kugetsu.domain.causes import Reader
from kugetsu.domain.machines import OPEN_REVIEW
from kugetsu.domain.scheduling import forecast
from kugetsu.domain.state import Attempt, State, Task
from kugetsu.domain.task_options import own_facts
from kugetsu.model.errors import BadInput, NotFound
from kugetsu.runtime.query import points, subjects
from kugetsu.runtime.query.points import Point
from kugetsu.runtime.query.subjects import Subject
from kugetsu.runtime.workspace import Workspace
from kugetsu.views import point
from kugetsu.views import why as view
from kugetsu.views.gates import task_state
from kugetsu.views.screen import Screen
from kugetsu.views.wording import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.facts import ReactionFacts
    from kugetsu.views.causes import WhyEvent
    from kugetsu.views.loop_why import WhyLabel, WhyLoop
    from kugetsu.views.why import WhyTask


#: Tasks of one issue or session that are answered at once.
MOST_TASKS = 3
#: Tasks that are asked whether an event holds them back.
MOST_ASKED = 200
#: Events behind one that are looked through for effects on other issues and tasks: 25 ms.
COMING = 5000

ABOUT = """\
For a waiting task: the reason, what will change without you and when, its position in line, and every gate in the
dispatcher's order: ✓ open, ✗ the reason, · also closed, each with the event it rests on and the command that unblocks
it. For a task that runs or has ended: what led there, and how to continue. For a number: that event, its causes back to
the command somebody typed, the facts it was decided from, and its effects.
--at WHEN answers for a point in the past, with the settings and machine that the nearest decision recorded:
a seq (214), @-3, a time (2026-11-23T10:00) or 10m ago."""


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "subject",
        metavar="TASK|REF|SEQ",
        completes=("task", "issue", "attempt", "session"),
        help="a task, an attempt, an issue, pm, or an event's number",
    )
    parser.at()
    parser.source()


def _why(call: Call) -> int:
    text = call.args.subject
    if text.isascii() and text.isdigit() and len(text) < 16:
        return _why_event(call, int(text))
    subject = subjects.subject(call.workspace, text)
    at = points.point(call.workspace, call.args.at, call.screen.now)
    answers, more = _answers(call, subject, at)
    waits, pull = _review(subject, at.state), _no_pull(call, subject, at)
    label, loop = _on_the_forge(call, subject, at)
    if call.json:
        told = {"tasks": answers, "more": more, "review": waits, "no_pull": pull, "label": label, "loop": loop}
        told["as_of"] = at.past
        call.show(told, [])
        return 0
    screen = call.screen.at(at.now)
    call.show(None, point.heading(at.past, screen))
    names = {host.id: host.name for host in at.state.hosts.values()}
    for number, answer in enumerate(answers):
        call.show(None, ([""] if number else []) + view.task_lines(answer, screen, names))
    if waits is not None:
        call.show(None, view.review_lines(subject.key, waits, screen))
    if pull is not None:
        call.show(None, view.pull_lines(pull, screen))
    if label is not None or loop is not None:
        from kugetsu.views import loop_why

        call.show(None, loop_why.label_lines(label, screen) if label is not None else [])
        call.show(None, loop_why.loop_lines(loop, screen) if loop is not None else [])
        if loop is not None and at.past is not None:
            in_file = call.args.at is None and call.foreign is not None and call.foreign.has_settings
            call.show(None, loop_why.source_lines(loop, screen, in_file=in_file))
    if more:
        call.show(None, ["", f"and {more} more that wait: {screen.command('kugetsu queue list')}"])
    if at.past is not None:
        settings = call.foreign is not None and call.foreign.has_settings and call.args.at is None
        call.show(None, view.source_lines(at.past, screen, settings=settings))
    return 0


def _review(subject: Subject, state: State) -> str | None:
    """The state of the issue's review, if nothing works or waits there and the review is open."""
    session = state.sessions.get(subject.key) if subject.kind == "issue" else None
    if session is None or session.review not in OPEN_REVIEW or state.of_issue.get(subject.key):
        return None
    return session.review


def _no_pull(call: Call, subject: Subject, at: Point) -> dict[str, Any] | None:
    """Why the work of an issue, or of a task of it, has no pull request, and what comes next."""
    task = at.state.tasks.get(subject.key) if subject.kind == "task" else None
    key = subject.key if subject.kind == "issue" else (task.issue if task is not None else None)
    session = at.state.sessions.get(key or "")
    if session is None or session.attempt is not None:
        return None
    from kugetsu.domain import missing_pull
    from kugetsu.runtime.query import no_pull
    from kugetsu.views import missing_pull as told

    refusal = no_pull.refusals(call.workspace) if at.past is None and call.foreign is None else None
    found = missing_pull.reason(at.state, session, at.now, refusal)
    if found is None:
        return None
    return {"code": found[0], "answer": told.words(*found), "next": told.next_command(session.key, *found)}


def _on_the_forge(call: Call, subject: Subject, at: Point) -> tuple[WhyLabel | None, WhyLoop | None]:
    """What followed from the label of an issue, and what its pull request waits for."""
    state, key = at.state, subject.key
    if subject.kind != "issue" or (key not in state.intake and key not in state.loops):
        return None, None
    from kugetsu.domain import loops
    from kugetsu.runtime.reactions import turns
    from kugetsu.views import loop_why

    label, session = loop_why.label_data(state, key), state.sessions.get(key)
    if session is None or key not in state.loops:
        return label, None
    loop, recorded = state.loops[key], _turn_recorded(call, subject, at)
    facts = recorded[1] if recorded is not None else turns.facts_of(call.workspace, key, at.now)
    ended = session.review in ("merged", "closed")  # nothing of it is to be answered any more
    waiting = [name for name, item in loop["items"].items() if item["open"] and item["turn"] is None and not ended]
    items = [
        {**item, "event": loop["items"][item["id"]]["seq"]} for item in turns.items_of(call.workspace, loop, waiting)
    ]
    turn = loops.next_turn(state, session, facts)
    told = loop_why.loop_data(state, key, turn, facts["max_reactions"], items)
    if told is not None and recorded is not None:
        told["settings_from"] = recorded[0]
    return label, told


def _turn_recorded(call: Call, subject: Subject, at: Point) -> tuple[int, ReactionFacts] | None:
    """The settings of its loop at a point of the past, and the event that recorded them: the latest turn, or brake.
    None for the present, and where none was recorded by then."""
    if at.past is None or (call.args.at is None and call.foreign is not None and call.foreign.has_settings):
        return None
    from kugetsu.domain import recorded_facts  # start-up: only the past needs it

    found = None
    for event in subject.events(call.workspace):
        if event["seq"] > at.state.seq:
            break
        facts = recorded_facts.turn_then(event, at.now)
        found = (event["seq"], facts) if facts is not None else found
    return found


# --- tasks ------------------------------------------------------------------------------------------------------


def _answers(call: Call, subject: Subject, at: Point) -> tuple[list[WhyTask], int]:
    """The answers for a subject's tasks, and how many more of them wait."""
    ws, state = call.workspace, at.state
    tasks = _tasks(state, subject)
    if not tasks:
        return [_from_history(call, subject, at)], 0
    reader = _reader(ws, until=state.seq)

    def hours(attempt: Attempt) -> float:
        own: float | None = own_facts(attempt.issue, at.facts).get("timeout_hours")
        if at.past is not None and own is not None:
            return own
        return ws.config_of(attempt.issue).number("TASK_TIMEOUT_HOURS")

    answers = []
    for task in tasks[:MOST_TASKS]:
        attempt = state.attempts.get(task.attempt) if task.attempt is not None else None
        waits_first = task.state in view.WAITS and task.reason is None and task.reaction is None
        because = [] if waits_first else _led_there(reader, task, attempt is not None)
        seen = forecast(state, task, at.facts, hours)
        answers.append(view.about_task(task, attempt, seen, because, _withdrawn(state, task, reader)))
    return answers, max(len(tasks) - MOST_TASKS, 0)


def _tasks(state: State, subject: Subject) -> list[Task]:
    """Its tasks that work or wait, those that work first; the latest that is over when there are none."""
    if subject.kind == "attempt":
        live = state.attempts.get(str(subject))
        task = state.tasks.get(live.task) if live is not None else None
        return [task] if task is not None else []
    if subject.kind == "task":
        task = state.tasks.get(subject.key)
        return [task] if task is not None else []
    mine = [task for task in state.tasks.values() if task.session == subject.key]
    open_ones = [task for task in mine if task.state == "notified"]
    open_ones += [task for task in state.waiting() if task.session == subject.key]
    return open_ones or mine[-1:]


def _led_there(reader: Reader, task: Task, works: bool) -> list[Event]:
    """What led to where a task is, with what its preparations noted; of one that is worked on also the steps of its
    attempt."""
    changed = reader.event(task.changed)
    chain = causes.back(changed, reader) if changed is not None else []
    if not works:
        noted = [
            one for one in reader.of_key(task.id) if one["type"] == "session.prepared" and one["data"].get("notes")
        ]
        return sorted([*chain, *(one for one in noted if one not in chain)], key=lambda one: one["seq"])
    steps = [one for one in reader.of_key(task.id) if one["seq"] > task.changed and one.get("attempt") == task.attempt]
    return [*chain, *steps]


def _withdrawn(state: State, task: Task, reader: Reader) -> str | None:
    """Why the issue of a running task asks for no work any more; None if it does, or no label asked for it."""
    session = state.sessions.get(task.session)
    asked = session is not None and session.by_intake and task.issue not in state.intake
    if task.state != "notified" or task.issue is None or not (task.withdrawn or asked):
        return None
    from kugetsu.views import intake

    for event in reversed(reader.of_key(task.issue)):
        if event["type"] in ("intake.gone", "intake.seen"):
            code = event["data"]["code"]
            gone = event["type"] == "intake.gone" and code != "switched_off"  # that says nothing of what runs
            return f"{intake.gone(code)} (event {event['seq']})" if gone else None
    return None


def _from_history(call: Call, subject: Subject, at: Point) -> WhyTask:
    """The answer for what has left the state: an attempt that ended, a task, a session without tasks."""
    ws = call.workspace
    events = [event for event in subject.events(ws) if event["seq"] <= at.state.seq]
    if not events:
        if at.past is not None and next(iter(subject.events(ws)), None) is not None:
            raise NotFound(f"nothing had happened to {subject} by event {at.state.seq}", f"kugetsu why {subject}")
        hint = "kugetsu queue list --all" if subject.kind in ("task", "attempt") else f"kugetsu start {subject} MESSAGE"
        if subject.kind == "issue" and ws.config_of(subject.key).text("INTAKE_LABEL"):
            hint = "kugetsu intake --dry-run"
        raise NotFound(f"nothing ever happened to {subject}", hint)
    final = _last_word(subject, events)
    reader = _reader(ws, until=at.state.seq)
    chain = causes.back(final, reader)
    name = str(subject) if subject.kind == "attempt" else final.get("task") or str(subject)
    verb = _SAID.get(final["type"], f"was last changed by {final['type']}")
    left = "; it has left the list" if subject.kind == "task" else ""
    if left and call.foreign is not None and events[0]["type"] != "task.queued":
        left = "; how it was queued is not in the file, so its state is unknown"
    answer = f"{name} {verb}: {words(final)} (event {final['seq']}{left})"
    return view.from_history(answer, chain, _way_on(subject, final, at.state, call.screen))


_SAID = {
    "task.completed": "is completed",
    "task.failed": "ended in error",
    "task.cancelled": "was cancelled",
    "attempt.succeeded": "succeeded",
    "attempt.failed": "failed",
    "attempt.timed_out": "was stopped",
    "attempt.killed": "was stopped",
    "attempt.lost": "was lost",
    "intake.seen": "has the label",
    "intake.gone": "asks for work no longer",
    "session.broken": "is broken",
    "session.prepared": "is ready",
    "session.destroyed": "was destroyed",
}


def _last_word(subject: Subject, events: list[Event]) -> Event:
    """The event that says best where the subject stands."""
    wanted = {"attempt": "attempt.", "task": "task.", "session": "session."}.get(subject.kind, "task.")
    told = [event for event in events if event["type"].startswith(wanted)]
    return told[-1] if told else events[-1]


def _way_on(subject: Subject, final: Event, state: State, screen: Screen) -> str:
    """The command to continue with."""
    history = "full history: " + screen.command(f"kugetsu history {subject}")
    if subject.kind == "attempt":
        task = state.tasks.get(subject.key)
        now = f"its task {subject.key} is {task_state(task.state)} now: " if task is not None else ""
        return f"{now}{screen.command(f'kugetsu why {subject.key}')}        {history}"
    if final["type"] == "session.broken":
        return f"it is prepared again before the next attempt        {history}"
    if final["type"] == "intake.seen":
        return history
    if final.get("issue"):
        return f"continue: kugetsu continue {final['issue']} MESSAGE        {history}"
    return history


# --- events -----------------------------------------------------------------------------------------------------


def _why_event(call: Call, seq: int) -> int:
    from kugetsu.views import causes as view

    if call.args.at is not None:
        raise BadInput("--at does not apply to an event", f"kugetsu why {seq}")
    event = _event(call.workspace, seq)
    event["holds"] = _held_by(call, seq)
    names = {host.id: host.name for host in call.state().hosts.values()}
    call.show(event, [] if call.json else view.event_lines(event, call.screen, names))
    return 0


def _event(ws: Workspace, seq: int) -> WhyEvent:
    event = points.event_at(ws.log, seq)
    reader = _reader(ws)
    because = causes.back(event, reader)[:-1]
    effects = causes.forward(event, reader, islice(ws.log.read(after=seq), COMING))
    return {
        "event": event,
        "because": because,
        "led_to": [effect for _, effect in effects.found],
        "depths": [depth for depth, _ in effects.found],
        "more": effects.more,
        "holds": [],
    }


def _held_by(call: Call, seq: int) -> list[dict[str, str]]:
    """The tasks that wait now because of that event, and by which gate."""
    waiting = call.state().waiting()[:MOST_ASKED]
    if not waiting:
        return []
    at = points.point(call.workspace, None, call.screen.now)
    asked = [(task.id, gates.first_closed(at.state, task, at.facts)) for task in waiting]
    return [{"task": task, "gate": closed.gate} for task, closed in asked if closed and closed.rests_on == seq]


def _reader(ws: Workspace, until: int | None = None) -> Reader:
    """Finds the events of chains; none after ``until``."""

    def find(seq: int) -> Event | None:
        if until is not None and seq > until:
            return None
        return next(iter(ws.log.read(after=seq - 1, until=seq)), None)

    def keyed(key: str) -> list[Event]:
        return [event for event in ws.log.read_key(key) if until is None or event["seq"] <= until]

    return Reader(find, keyed)


COMMANDS = {
    "why": Command(
        "TASK|REF|SEQ [--at WHEN] [--from FILE] [--json]",
        ABOUT,
        _arguments,
        _why,
        json="""\
tasks[].task               as tasks[] of kugetsu queue list, or null if it has left the list
tasks[].answer             the answer in one line
tasks[].gates[].gate       each gate, in order: the first that is closed is the reason
tasks[].gates[].open       whether it is open for the task
tasks[].gates[].reason     its reason
tasks[].gates[].rests_on   the event that the reason rests on; 0 if there is no single one
tasks[].gates[].until      when it opens without you (UTC), or null
tasks[].gates[].lift       the command that opens it, or null
tasks[].gates[].otherwise  the command to use if the first one has no effect, or null
tasks[].hosts[].host       each host that shares the log, as far as the log tells
tasks[].hosts[].gate       the first gate that is closed there, or null
tasks[].hosts[].reason     its reason
tasks[].next.kind          now, time, event, look (checked again and again) or person (blocked until someone acts)
tasks[].next.what          what happens then
tasks[].next.at            when (UTC), or null
tasks[].next.since         when the attempt that it waits for started (UTC), or null
tasks[].next.latest        when that attempt ends at the latest (UTC), or null
tasks[].next.lift          the command that changes it now, or null
tasks[].next.needs_daemon  whether a daemon must be started by then
tasks[].line.place         its position among tasks that only wait for their turn; null if something else holds it
tasks[].line.total         the number of these tasks
tasks[].line.before[]      the tasks before it
tasks[].because[]          the events that led there, the oldest first
tasks[].withdrawn          of a running task: why its issue asks for no work any more (its label, closed), or null
tasks[].then               how to continue, for a task that has left the list, or null
more                       how many more of its tasks wait
label                      of an issue with INTAKE_LABEL that is not queued: what follows from it, or null
label.code                 queued, or why not
label.answer               the same in words
label.event                the event that it was seen by
label.labelled_by          the account that set it last, or null
label.labelled_at          when, by the forge's clock, or null
label.remedy               what can be done about it, or null
loop                       of an issue whose pull request has feedback: what the next turn waits for, or null
loop.url                   the pull request; null before there is one
loop.turns                 how many turns have answered feedback, over its whole life
loop.max                   MAX_REACTIONS
loop.code                  go, later, busy, not_named (by REACTIONS), nothing_new, over, most_reactions or no_change
loop.answer                the same in words
loop.until                 when the next turn starts, if nothing comes in between (UTC), or null
loop.items[].id            each open item that no turn has answered
loop.items[].kind          checks, reviews, comments, conflicts or verification
loop.items[].counts        whether it may start a turn
loop.items[].why_not       why not, or null
loop.items[].words         the item in words
loop.items[].event         the event that it was seen by
loop.lift                  the command that goes on, or null
loop.settings_from         with --at: the event that recorded the settings used; null for those of now
no_pull                    why pushed work has no pull request, or null
no_pull.code               not_verified, later_work, paused, failed, owed, given_up, no_forge or never
no_pull.answer             the same in words
no_pull.next               the command that comes next, or null
review                     of an issue on which nothing works or waits: its open review (kugetsu review), or null
as_of.seq                  with --at or --from: the last event included, or as_of is null
as_of.at                   the time of that point (UTC)
as_of.facts_from           the event whose recorded facts the gates used, or null
as_of.facts_at             its time (UTC); without one, when the bundle that has them was made; null: those of now

With a number: event, because[] and led_to[], events as kugetsu history prints them; depths[], the distance of each of
led_to[] from the event; more, the number of further effects; and holds[], each task that waits now because of that
event, and the gate.""",
        examples="kugetsu why q7\nkugetsu why 214  # the causes and effects of that event\n"
        "kugetsu why q7 --at 2h ago  # the same, two hours earlier\n"
        "kugetsu why q7 --from kugetsu.tar.gz  # the same, in a bundle",
        exits=(4,),
    )
}
