"""What comes next for a task: what lets it start by itself and when, or that someone must act; and who is before it.

Pure, and asked of the very gates that the dispatcher asks. Times are UTC text.
"""

from __future__ import annotations

from kugetsu.domain import capacity_gates, gates, outages, task_options
from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.state import Attempt, Host, State, Task
from kugetsu.domain.verdict import Verdict
from kugetsu.model.clock import add_seconds
from kugetsu.model.record import field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from typing import Any

    from kugetsu.domain.facts import ClaimFacts

    Hours = Callable[[Attempt], float]

#: Gates that close for all that wait alike: who is held by nothing else stands in line.
LINE = ("paused", "daemon", *gates.FULL)


@record
class NextChange:
    """What will change by itself for a task. ``kind``:

    ``now`` nothing holds it; ``time`` at ``at``; ``event`` when what ``code`` and ``values`` name happens, which runs
    since ``since`` and is ended ``latest``; ``look`` something that only a probe tells, probed again at ``at``;
    ``person`` nothing changes until somebody acts. ``needs_daemon``: a daemon must be running by then.
    """

    kind: str
    code: str = ""
    values: dict[str, Any] = field(factory=dict)
    at: str | None = None
    since: str | None = None
    latest: str | None = None
    needs_daemon: bool = False


@record
class QueuePosition:
    """A task's place among those that only wait for their turn, from 1; ``before`` are the ids of those before it."""

    place: int
    total: int
    before: list[str]


@record
class Forecast:
    """Every gate's verdict in order, the first that is closed, what changes next, the place in line; of a log that is
    shared, the first closed gate on each host (`placement.by_host`)."""

    verdicts: list[Verdict]
    first: Verdict | None
    change: NextChange
    line: QueuePosition | None
    hosts: list[tuple[Host, Verdict | None]]


def forecast(state: State, task: Task, facts: ClaimFacts, hours: Hours) -> Forecast:
    """What holds ``task`` and what comes next; ``hours`` are those after which the settings stop an attempt."""
    verdicts = gates.verdicts(state, task, facts)
    closed = [verdict for verdict in verdicts if not verdict.open]
    first = closed[0] if closed else None
    change = _change(state, task, facts, first, hours)
    anywhere = any(state.daemon_of(host.id).runs for host in state.hosts.values() if host.takes_part)
    waits = change.kind in ("time", "event", "look") and any(one.gate == "daemon" for one in closed)
    change.needs_daemon = waits and not anywhere
    return Forecast(verdicts, first, change, line(state, task, facts), _by_host(state, task, facts))


def _by_host(state: State, task: Task, facts: ClaimFacts) -> list[tuple[Host, Verdict | None]]:
    if not state.hosts:
        return []
    from kugetsu.domain import placement

    return placement.by_host(state, task, facts)


def line(state: State, task: Task, facts: ClaimFacts) -> QueuePosition | None:
    """The place of a task that waits for nothing but its turn; None for one that something else holds back."""
    if task.state not in ("pending", "parked"):
        return None
    standing = [other.id for other in state.waiting() if _stands_in_line(state, other, facts)]
    if task.id not in standing:
        return None
    place = standing.index(task.id)
    return QueuePosition(place + 1, len(standing), standing[:place])


def _stands_in_line(state: State, task: Task, facts: ClaimFacts) -> bool:
    closed = gates.first_closed(state, task, facts)
    return closed is None or closed.gate in LINE


def next_start(
    state: State, waiting: Sequence[Task], facts: ClaimFacts, for_all: Container[str]
) -> tuple[Task | None, Verdict | None]:
    """Which of ``waiting`` starts next, and the gate that it waits for; the first one that may start, else the one
    whose gate opens first, else the first. A closed gate (or its code) in ``for_all`` answers for all that come behind
    it."""
    soonest: tuple[str, Task, Verdict] | None = None
    first: tuple[Task, Verdict] | None = None
    for task in waiting:
        closed = gates.first_closed(state, task, facts)
        if closed is None or closed.gate in for_all or closed.code in for_all:
            return task, closed
        first = first or (task, closed)
        if closed.until is not None and (soonest is None or closed.until < soonest[0]):
            soonest = (closed.until, task, closed)
    return soonest[1:] if soonest is not None else first or (None, None)


# --- what changes next ------------------------------------------------------------------------------------------


def _change(state: State, task: Task, facts: ClaimFacts, first: Verdict | None, hours: Hours) -> NextChange:
    if first is None:
        return NextChange("now", "dispatched")
    if task.state == "notified" and task.attempt is not None:
        return _end_of(state, [state.attempts[task.attempt]], 1, hours)
    if task.state in FINISHED_TASK:
        return NextChange("person")
    if first.until is not None:
        return NextChange("time", _over(state, task, facts, first), at=first.until)
    if first.code == "outage_probed":
        return _end_of(state, [state.attempts[first.values["attempt"]]], 1, hours)
    if first.gate in gates.MACHINE:
        at = add_seconds(facts["now"], gates.MACHINE_LOOK_SECONDS)
        return NextChange("look", f"{first.gate}_probed", at=at)
    if first.gate == "dependencies":
        return _of_earlier(state, task, hours)
    waited_for, needed = _attempts_behind(state, task, facts, first)
    if waited_for:
        return _end_of(state, waited_for, needed, hours)
    if first.code == "other_task_first":
        return NextChange("event", "turn_over", {"task": first.values["other"]})
    return NextChange("event", "agent_running") if first.gate == "stagger" else NextChange("person")


#: What is over at the time at which a gate opens by itself.
_OVER = {
    "parked": "limit_over",
    "provider": "limit_over",
    "backoff": "pause_over",
    "paused": "queue_goes_on",
    "stagger": "agent_warm",
}


def _over(state: State, task: Task, facts: ClaimFacts, first: Verdict) -> str:
    if first.code in ("parked_by_set_up", "parked_by_forge"):
        return "tried_again"
    own = task_options.facts_of(task, facts)["agent"]
    label = task.parked_for if first.gate == "parked" else task_options.label(task, own)
    if first.gate in ("parked", "provider", "agent") and outages.of(state, label) is not None:
        return "tried_again"
    return _OVER[first.gate]


def _of_earlier(state: State, task: Task, hours: Hours) -> NextChange:
    """A task that comes after others: the first of them that is not completed."""
    for earlier_id in task.after:
        earlier = state.tasks.get(earlier_id)
        if earlier is not None and earlier.state == "completed":
            continue
        if earlier is None or earlier.state in FINISHED_TASK:
            break
        change = NextChange("event", "task_completed", {"task": earlier_id})
        working = state.attempts.get(earlier.attempt or "")
        if working is not None:
            ends = _end_of(state, [working], 1, hours)
            change.since, change.latest = ends.since, ends.latest
        return change
    return NextChange("person")


def _attempts_behind(state: State, task: Task, facts: ClaimFacts, first: Verdict) -> tuple[list[Attempt], int]:
    """The live attempts that close a gate, and how many of them must end for it to open."""
    if first.gate == "issue":
        return [one for one in state.attempts.values() if one.issue == task.issue and one.task != task.id], 1
    if first.gate == "pm":
        return state.live("pm"), 1
    if first.gate == "slots":
        live, cap = capacity_gates.live_here(state, facts), facts["cap"]
        if first.code == "all_slots_full":
            live, cap = state.live("dev"), first.values["cap"]
        return (live, len(live) - cap + 1) if cap > 0 else ([], 0)
    if first.gate == "repository" and task.issue is not None:
        name = task.issue.rpartition("#")[0]
        if first.code == "repository_full_everywhere":
            live = state.live_in(name)
        else:
            live = capacity_gates.live_here(state, facts, name)
        return live, len(live) - first.values["cap"] + 1
    return [], 0


def _end_of(state: State, live: Sequence[Attempt], needed: int, hours: Hours) -> NextChange:
    """When so many of the live attempts have ended: ``latest`` by their time limit, known once they run."""
    running = [attempt.running_at for attempt in live if attempt.running_at is not None]
    ends = sorted(add_seconds(one.running_at, _limit(state, one, hours)) for one in live if one.running_at is not None)
    latest = ends[needed - 1] if len(ends) >= needed else None
    since = running[0] if len(live) == 1 and running else None
    values = {"attempts": [attempt.id for attempt in live], "needed": needed}
    return NextChange("event", "attempts_end", values, since=since, latest=latest)


def _limit(state: State, attempt: Attempt, hours: Hours) -> float:
    return 3600 * task_options.timeout_hours(state, attempt, hours(attempt))
