"""Who held which slot when, what held the others back meanwhile, and when a daemon was there."""

from __future__ import annotations

from collections.abc import Iterable

from kugetsu.domain.events import Event
from kugetsu.domain.interval_fold import Intervals
from kugetsu.domain.intervals import OF_DAEMON, TURN, Hold, Interval, Run, Shift
from kugetsu.domain.state import State
from kugetsu.model.clock import parse
from kugetsu.model.record import field, record

#: Kinds of events that name what ran, or what came of it later.
_NAMING = ("task.queued", "issue.read", "pull.opened")


@record
class HostSlots:
    """A host that shares the log: its name, and the highest number of its slots that was allowed or held."""

    name: str
    slots: int = 0


@record
class Timeline:
    """Everything between two times (microseconds); what goes on at the end has no ``until``. ``slots`` is the highest
    number of slots that was allowed or held, in a log that hosts share the sum of ``hosts``; ``unheld`` are the tasks
    that wait at the end although nothing is known to hold them."""

    since: int
    until: int
    seq: int
    slots: int = 0
    #: The id of each host that took part → its name, and its slots.
    hosts: dict[str, HostSlots] = field(factory=dict)
    runs: list[Run] = field(factory=list)
    holds: list[Hold] = field(factory=list)
    shifts: list[Shift] = field(factory=list)
    unheld: list[str] = field(factory=list)
    #: Task → its issue's title, else the first line of its message.
    titles: dict[str, str] = field(factory=dict)
    #: Task that answers feedback → which turn of its pull request it is.
    turns: dict[str, int] = field(factory=dict)

    def begin_with_the_first(self) -> None:
        """Skip the empty time at the beginning."""
        begun = [run.since for run in self.runs] + [hold.since for hold in self.holds]
        self.since = max(self.since, min(begun, default=0))


def collect(
    state: State,
    events: Iterable[Event],
    since: str,
    until: str,
    key: str | None = None,
    *,
    cap: int | None = None,
    dead: bool = False,
) -> Timeline:
    """The timeline from ``state`` (the fold at ``since``) and the events after it, to ``until``.

    ``key`` leaves only what is an issue's, a task's, an attempt's or the PM session's (``pm``). ``cap``: how many slots
    there were at ``since``, when known. ``dead``: the daemon that the log calls running at ``until`` was found dead,
    then or later.
    """
    found = Timeline(parse(since), parse(until), state.seq)
    intervals = Intervals(state, since, cap)
    if intervals.hosts.shared:
        _note_caps(found, intervals)
    closed: list[Interval] = []
    naming: list[Event] = []
    for event in events:
        closed += intervals.add(event)
        found.seq = event["seq"]
        if intervals.hosts.shared:
            _note_caps(found, intervals)
        elif event["type"] == "attempt.claimed":
            found.slots = max(found.slots, event.get("facts", {}).get("cap", 0))
        if event["type"] in _NAMING:
            naming.append(event)
    closed += intervals.settle(until, dead=dead)
    found.runs = [one for one in closed if isinstance(one, Run)] + list(intervals.runs.values())
    found.runs.sort(key=lambda run: run.seq)
    _name(found, state, naming)
    found.slots = max([found.slots, *(run.slot or 0 for run in found.runs)])
    if found.hosts:
        _by_host(found, intervals)
    found.shifts = [one for one in closed if isinstance(one, Shift)]
    found.shifts += [intervals.shift] if intervals.shift is not None else []
    last = [wait.hold for wait in intervals.waits.values()]
    holds = [one for one in closed if isinstance(one, Hold)] + last
    found.holds = sorted((one for one in holds if one.gate != TURN), key=lambda hold: (hold.since, hold.seq))
    if key is not None:  # what belongs to no issue is the PM session's
        found.runs = [one for one in found.runs if key in (one.issue or "pm", one.task, one.attempt)]
        found.holds = [one for one in found.holds if key in (one.issue or "pm", one.task)]
        last = [one for one in last if key in (one.issue or "pm", one.task)]
    found.unheld = [one.task for one in last if one.gate == TURN and one.since < found.until]
    return found


def _note_caps(found: Timeline, intervals: Intervals) -> None:
    for host, cap in intervals.hosts.caps.items():
        known = found.hosts.setdefault(host, HostSlots(intervals.hosts.names[host]))
        known.name = intervals.hosts.names[host]  # it may have joined anew under another one
        known.slots = max(known.slots, cap)


def _by_host(found: Timeline, intervals: Intervals) -> None:
    """Each run to a host that is known: one of before the log was shared to the first that shared it."""
    first = next(iter(found.hosts))
    for run in found.runs:
        if run.host not in found.hosts and run.host in intervals.hosts.names:
            found.hosts[run.host] = HostSlots(intervals.hosts.names[run.host])
        elif run.host not in found.hosts:
            run.host = first
        known = found.hosts[run.host]
        known.slots = max(known.slots, run.slot or 0)
    found.slots = sum(host.slots for host in found.hosts.values())


def _name(found: Timeline, state: State, events: Iterable[Event]) -> None:
    """Note the titles of the tasks, which turns they are, and the pull requests that kugetsu opened after a run."""
    titles = {task.id: task.title for task in state.tasks.values()}
    reactions = {task.id: task.reaction for task in state.tasks.values()}
    of_issue = {session.key: session.title for session in state.sessions.values() if session.title}
    last: dict[str, Run] = {run.task: run for run in found.runs}
    for event in events:
        data = event["data"]
        if event["type"] == "task.queued":
            titles[event["task"]] = data["title"]
            reactions[event["task"]] = data.get("reaction")
        elif event["type"] == "issue.read" and data.get("title"):
            of_issue[event["issue"]] = data["title"]
        elif event["type"] == "pull.opened" and (run := last.get(event.get("task") or "")) is not None:
            pull = {"number": data["number"], "url": data["url"], "state": "open"}
            run.result = {**(run.result or {}), "kind": "pull_request", "pull": pull}
    found.turns = {task: reaction["turn"] for task, reaction in reactions.items() if reaction is not None}
    found.titles = {run.task: of_issue.get(run.issue or "") or titles.get(run.task, "") for run in found.runs}


def gate_of(hold: Hold) -> str:
    """The gate of a hold as the timeline names it: it does not tell apart what tasks are parked for."""
    return "parked" if hold.parked and hold.gate not in OF_DAEMON else hold.gate
