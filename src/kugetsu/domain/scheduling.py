"""What comes next for a task: what opens its way by itself and when, or who must lift what; and who is before it.

Pure, and asked of the very gates that the dispatcher asks. Times are UTC text.
"""

from __future__ import annotations

from collections.abc import Sequence

from kugetsu.domain import gates, outages
from kugetsu.domain.gates import Verdict
from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.state import Attempt, State, Task
from kugetsu.model.clock import add_seconds
from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.facts import ClaimFacts

#: Gates that close for all that wait alike: who is held by nothing else stands in line.
LINE = ("daemon", *gates.FULL)


@record
class NextChange:
    """What will change by itself for a task. ``kind``:

    ``now`` nothing holds it; ``time`` at ``at``; ``event`` when ``what`` happens, which runs since ``since`` and is
    ended ``latest``; ``look`` something that only a look tells, looked at again at ``at``; ``person`` nothing changes
    until somebody acts. ``lift`` is the command that changes it now, ``needs_daemon`` says that one must run by then.
    """

    kind: str
    what: str
    at: str | None = None
    since: str | None = None
    latest: str | None = None
    lift: str | None = None
    needs_daemon: bool = False

    def as_data(self) -> dict[str, object]:
        """The change as JSON values."""
        return {name: getattr(self, name) for name in ("kind", "what", "at", "since", "latest", "lift", "needs_daemon")}


@record
class QueuePosition:
    """A task's place among those that only wait for their turn, from 1; ``before`` are the ids of those before it."""

    place: int
    total: int
    before: list[str]

    def as_data(self) -> dict[str, object]:
        """The place as JSON values."""
        return {"place": self.place, "total": self.total, "before": self.before}


@record
class Outlook:
    """Every gate's verdict in order, the first that is closed, what changes next, the place in line."""

    verdicts: list[Verdict]
    first: Verdict | None
    change: NextChange
    line: QueuePosition | None


def outlook(state: State, task: Task, facts: ClaimFacts, timeout_seconds: float) -> Outlook:
    """What holds ``task`` and what comes next; ``timeout_seconds`` after it runs an agent is stopped."""
    verdicts = gates.verdicts(state, task, facts)
    closed = [verdict for verdict in verdicts if not verdict.open]
    first = closed[0] if closed else None
    change = _change(state, task, facts, first, timeout_seconds)
    change.needs_daemon = change.kind in ("time", "event", "look") and any(one.gate == "daemon" for one in closed)
    return Outlook(verdicts, first, change, line(state, task, facts))


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


# --- what changes next ------------------------------------------------------------------------------------------


def _change(state: State, task: Task, facts: ClaimFacts, first: Verdict | None, timeout: float) -> NextChange:
    if first is None:
        return NextChange("now", "the dispatcher takes it")
    if task.state == "notified" and task.attempt is not None:
        return _end_of([state.attempts[task.attempt]], 1, timeout, first.lift)
    if task.state in FINISHED_TASK:
        return NextChange("person", "", lift=first.lift)
    if first.until is not None:
        return NextChange("time", _over(state, task, facts, first), at=first.until, lift=first.lift)
    tries = next((one for one in state.attempts.values() if one.claimed == first.rests_on), None)
    if tries is not None and first.gate in ("provider", "agent"):
        return _end_of([tries], 1, timeout, first.lift)
    if first.gate in gates.MACHINE:
        at = add_seconds(facts["now"], gates.MACHINE_LOOK_SECONDS)
        return NextChange("look", _LOOKED_AT[first.gate], at=at, lift=first.lift)
    if first.gate == "dependencies":
        return _of_earlier(state, task, first, timeout)
    waited_for, needed = _attempts_behind(state, task, facts, first)
    if waited_for:
        return _end_of(waited_for, needed, timeout, first.lift)
    if first.gate == "issue" and task.issue is not None:
        rivals = (state.tasks[other] for other in state.of_issue.get(task.issue, ()))
        ahead = next((other.id for other in rivals if other.changed == first.rests_on), None)
        if ahead is not None:
            return NextChange("event", f"{ahead} has had its turn", lift=first.lift)
    if first.gate == "stagger":
        return NextChange("event", "one of those that start runs")
    return NextChange("person", "", lift=first.lift)


#: What is looked at again behind a gate that only a look opens.
_LOOKED_AT = {
    "memory": "the free memory is looked at again",
    "disk": "the free disk is looked at again",
    "agent": "the agent is looked at again",
}

#: What is over at the time at which a gate opens by itself.
_OVER = {
    "parked": "the usage limit is over",
    "provider": "the usage limit is over",
    "backoff": "the pause is over",
    "stagger": "the first of those that start is warm",
}


def _over(state: State, task: Task, facts: ClaimFacts, first: Verdict) -> str:
    label = task.parked_for if first.gate == "parked" else facts["agent"]
    if first.gate in ("parked", "provider", "agent") and outages.of(state, label) is not None:
        return "it is tried again"
    return _OVER[first.gate]


def _of_earlier(state: State, task: Task, first: Verdict, timeout: float) -> NextChange:
    """A task that comes after others: the first of them that is not completed."""
    for earlier_id in task.after:
        earlier = state.tasks.get(earlier_id)
        if earlier is not None and earlier.state == "completed":
            continue
        if earlier is None or earlier.state in FINISHED_TASK:
            break
        what = f"{earlier_id} is completed"
        working = state.attempts.get(earlier.attempt or "")
        if working is None:
            return NextChange("event", what, lift=f"kugetsu why {earlier_id}")
        change = _end_of([working], 1, timeout, f"kugetsu why {earlier_id}")
        change.what = what
        return change
    return NextChange("person", "", lift=first.lift)


def _attempts_behind(state: State, task: Task, facts: ClaimFacts, first: Verdict) -> tuple[list[Attempt], int]:
    """The live attempts that close a gate, and how many of them must end for it to open."""
    if first.gate == "issue":
        return [one for one in state.attempts.values() if one.issue == task.issue and one.task != task.id], 1
    if first.gate == "pm":
        return state.live("pm"), 1
    if first.gate == "slots":
        live = state.live("dev")
        return (live, len(live) - facts["cap"] + 1) if facts["cap"] > 0 else ([], 0)
    if first.gate == "repository" and task.issue is not None:
        name = task.issue.rpartition("#")[0]
        live = state.live_in(name)
        return live, len(live) - gates.repository_cap(name, facts) + 1
    return [], 0


def _end_of(live: Sequence[Attempt], needed: int, timeout: float, lift: str | None) -> NextChange:
    """When so many of the live attempts have ended: ``latest`` by their time limit, known once they run."""
    names = ", ".join(attempt.id for attempt in live)
    if len(live) == 1:
        what = f"{names} ends"
    elif needed == 1:
        what = f"one of {names} ends"
    else:
        what = f"{needed} of {names} have ended"
    running = [attempt.running_at for attempt in live if attempt.running_at is not None]
    ends = sorted(add_seconds(since, timeout) for since in running)
    latest = ends[needed - 1] if timeout > 0 and len(ends) >= needed else None
    since = running[0] if len(live) == 1 and running else None
    return NextChange("event", what, since=since, latest=latest, lift=lift)
