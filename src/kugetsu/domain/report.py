"""The report: what came of the tasks of a period, one item an issue, grouped as a person acts on them.

Every task of the period counts in exactly one group, also one that produced nothing. A task belongs to the period if it
is unfinished, or finished within it. The state has all of them, but for those that left it for the log (`left`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kugetsu.domain import labelled
from kugetsu.domain.events import Event, upcast
from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.standing import DEALT_WITH, TO_LOOK_AT, dealt_with
from kugetsu.domain.state import ENDS, FINISHES, Session, State, Task, queue_order
from kugetsu.model.clock import add_seconds, seconds_between
from kugetsu.model.record import field, record

#: The groups in the order in which a person acts.
GROUPS = ("asks", "review", "label", "failed", "running", "waiting", "done")
#: The groups in which somebody has to act.
PERSONAL = ("asks", "review", "label", "failed")
#: Those of them that send it back to the agent.
SENT_BACK = TO_LOOK_AT[1:]
#: Results that leave nothing to look at: an earlier task of the issue may have left more.
_EMPTY = ("nothing", "failed")
#: Seconds that the first report covers, back from the latest change of a task.
FIRST_SECONDS = 24 * 3600.0


@record
class Start:
    """Where a period begins: after the event ``seq``, or at the time ``at`` if that is None. ``why`` is
    ``acknowledged``, ``given``, ``day`` (the latest day of work), ``listed`` (as far back as the state's list reaches)
    or ``beginning`` (of the log)."""

    seq: int | None
    at: str
    why: str

    def covers(self, seq: int, at: str) -> bool:
        """Whether what happened as event ``seq`` at ``at`` belongs to the period."""
        return seq > self.seq if self.seq is not None else at > self.at


@record
class Item:
    """What is to be told of an issue, or of a task without one: its ``task`` that counts, and how many ``others``
    of the issue it stands for. ``code`` says why it is done; ``old``: its task is from before the period. The task of a
    labelled issue that was never queued has no id and no state."""

    group: str
    task: Task
    session: Session | None = None
    others: int = 0
    code: str = ""
    old: bool = False

    @property
    def result(self) -> dict[str, Any]:
        """What came of the task: its own result, else its session's."""
        own = self.task.result
        if own is None and self.session is not None and self.task.state == "completed":
            own = self.session.result
        return own or {}


@record
class Report:
    """A period's report up to the event ``seq``. ``counts`` are tasks by group and add up to ``tasks``; ``done`` are
    those of the last group by code; ``items`` stand in the order of the groups, those of before the period apart, in
    ``older``. Amounts are those of the period's tasks, over their whole life; ``seconds`` of agents."""

    start: Start
    seq: int
    at: str
    counts: dict[str, int]
    done: dict[str, int]
    items: list[Item] = field(factory=list)
    older: list[Item] = field(factory=list)
    seconds: float = 0.0
    tokens: int = 0
    cost: float = 0.0

    @property
    def tasks(self) -> int:
        """How many tasks the period has."""
        return sum(self.counts.values())

    def of(self, group: str) -> list[Item]:
        """The period's items of a group."""
        return [item for item in self.items if item.group == group]


# --- the period -----------------------------------------------------------------------------------------------------


def start_of(state: State) -> Start:
    """Where the next report begins: at the last acknowledged one; without any, a day before the latest change of a
    task, but no further back than the state's list, so that a first report need not read an old log."""
    if state.reported is not None:
        return Start(state.reported["upto"], state.reported["at"], "acknowledged")
    latest = max((task.changed_at for task in state.tasks.values()), default="")
    if not latest:
        return Start(0, "", "beginning")
    day = add_seconds(latest, -FIRST_SECONDS)
    if not state.retired and all(task.queued_at > day for task in state.tasks.values()):
        return Start(0, "", "beginning")
    if state.retired_at > day:
        return Start(state.retired_upto, state.retired_at, "listed")
    return Start(None, day, "day")


def reads_the_log(state: State, start: Start) -> bool:
    """Whether tasks of the period may have left the state, so that `left` has to be given the period's events."""
    return start.covers(state.retired_upto, state.retired_at)


def eventful(state: State, start: Start) -> bool:
    """Whether an agent works, or anything became of a task, in the period."""
    changed = any(start.covers(task.changed, task.changed_at) for task in state.tasks.values())
    return bool(state.attempts) or changed or reads_the_log(state, start)


def left(state: State, events: Iterable[Event]) -> list[Task]:
    """The tasks that finished among the events of a period and are no longer in the state, as far as these events
    describe them."""
    found: dict[str, Task] = {}
    began: dict[str, str] = {}
    for event in events:
        task_id, kind = event.get("task"), event["type"]
        if kind == "queue.acknowledged":  # all that had left by then
            for one in found.values():
                one.acknowledged = event["seq"]
        if task_id is None or task_id in state.tasks:
            continue
        if kind in ("task.acknowledged", "task.unacknowledged") and task_id in found:
            found[task_id].acknowledged = event["seq"] if kind == "task.acknowledged" else 0
        if kind == "attempt.running":
            began[event["attempt"]] = event["at"]
        if kind != "task.queued" and kind not in ENDS and kind not in FINISHES:
            continue
        task = found.get(task_id)
        if task is None:
            task = found[task_id] = Task(task_id, "dev" if event.get("issue") else "pm", event.get("issue"), "")
        _count(task, event, began.pop(event.get("attempt") or "", None))
    return [task for task in found.values() if task.state in FINISHED_TASK]


def _count(task: Task, event: Event, began: str | None) -> None:
    kind, data = event["type"], event["data"]
    if kind == "task.queued":
        task.title = data["title"]
    elif kind in ENDS:
        task.usage.count(kind, data)
        task.usage.seconds += seconds_between(began, event["at"]) if began is not None else 0.0
        task.result = upcast(event)["data"]["result"]
    else:
        task.state = FINISHES[kind]
        task.changed, task.changed_at, task.acknowledged = event["seq"], event["at"], 0
        task.reason, task.reason_values = data.get("reason"), data.get("values")


# --- the items ------------------------------------------------------------------------------------------------------


def collect(state: State, start: Start, now: str, gone: Iterable[Task] = ()) -> Report:
    """The report of the period from ``start`` to the state, at the time ``now``; ``gone`` are the tasks that `left`."""
    found = Report(start, state.seq, now, dict.fromkeys(GROUPS, 0), {})
    for tasks in _by_issue(state, start, gone):
        item = _item(state, tasks)
        found.items.append(item)
        found.counts[item.group] += 1
        if item.group == "done":
            found.done[item.code] = found.done.get(item.code, 0) + 1
        for task in tasks:
            _add_usage(found, state, task, now)
            if task is not item.task:
                _count_other(found, task)
    found.items += _labelled(state, start, found.items)
    found.items.sort(key=lambda item: (GROUPS.index(item.group), -item.task.priority, item.task.changed))
    found.older = list(_older(state, found.items))
    return found


def _count_other(found: Report, task: Task) -> None:
    """Count a task that the item of its issue stands for: one that is not finished still runs or waits."""
    if task.state in FINISHED_TASK:
        found.counts["done"] += 1
        found.done["same_issue"] = found.done.get("same_issue", 0) + 1
    else:
        found.counts["running" if task.state == "notified" else "waiting"] += 1


def _by_issue(state: State, start: Start, gone: Iterable[Task]) -> Iterator[list[Task]]:
    """The period's tasks, those of one issue together; each task without an issue by itself."""
    issues: dict[str, list[Task]] = {}
    for task in (*gone, *state.tasks.values()):
        if task.state in FINISHED_TASK and not start.covers(task.changed, task.changed_at):
            continue
        issues.setdefault(task.issue or task.id, []).append(task)
    yield from issues.values()


def _item(state: State, tasks: list[Task]) -> Item:
    task = _chosen(tasks)
    session = state.sessions.get(task.issue) if task.issue is not None else None
    group, code = _group(task, session)
    if group == "done" and labelled.waits(state, task.issue or ""):
        group, code = "label", ""
    return Item(group, task, session, len(tasks) - 1, code)


def _chosen(tasks: list[Task]) -> Task:
    """The task that an issue's item tells of: one that runs, else one that waits, else the latest that was not
    cancelled; a completed one before it if the latest left nothing to look at."""
    for states in (("notified",), ("pending", "parked")):
        unfinished = [task for task in tasks if task.state in states]
        if unfinished:
            return min(unfinished, key=queue_order)
    finished = sorted(tasks, key=lambda task: (task.state != "cancelled", task.changed), reverse=True)
    for task in finished:
        if task.state != "completed":
            break
        if (task.result or {}).get("kind", "unknown") not in _EMPTY:
            return task
    return finished[0]


def _group(task: Task, session: Session | None) -> tuple[str, str]:
    """The group of a task, and for one that is done the code of why."""
    if task.state == "notified":
        return "running", ""
    if task.state in ("pending", "parked"):
        return "waiting", ""
    if task.state == "cancelled":
        return "done", "cancelled"
    if task.state == "error":
        return ("done", "acknowledged") if task.acknowledged else ("failed", "")
    return _of_completed(task, session)


def _of_completed(task: Task, session: Session | None) -> tuple[str, str]:
    kind = (task.result or {}).get("kind", "unknown")
    if task.issue is not None and session is None:
        return "done", "ended"
    review = session.review if session is not None else "none"
    if kind == "question" and not (session is not None and dealt_with(session, task)):
        return "asks", ""
    if review in TO_LOOK_AT:
        return "review", ""
    return "done", review if review in DEALT_WITH else kind


def _labelled(state: State, start: Start | None, items: Iterable[Item]) -> Iterator[Item]:
    """The labelled issues that wait for a person and that no item tells of: those seen since ``start``; None: all."""
    told = {item.task.issue for item in items}
    for issue, seen in labelled.for_a_person(state).items():
        if issue not in told and (start is None or start.covers(seen["seq"], seen["at"])):
            task = state.tasks.get(seen["task"] or "") or Task("", "dev", issue, "", "")
            if not task.id:
                task.changed, task.changed_at = seen["seq"], seen["at"]
            yield Item("label", task, state.sessions.get(issue))


def _older(state: State, items: list[Item]) -> Iterator[Item]:
    """What somebody still has to act on from before the period, unless an item of the period tells of its issue."""
    told = {item.task.issue or item.task.id for item in items if item.code != "cancelled"}
    latest: dict[str, Task] = {}
    for task_id in (*state.unacknowledged, *state.finished):
        task = state.tasks[task_id]
        key = task.issue or task.id
        if key not in told and task.state != "cancelled":
            latest[key] = _chosen([*filter(None, [latest.get(key)]), task])
    for key, session in state.sessions.items():
        if session.kind == "issue" and key not in told and key not in latest and session.result is not None:
            latest[key] = _stand_in(session)
    for task in sorted(latest.values(), key=lambda task: task.changed):
        item = _item(state, [task])
        if item.group in PERSONAL:
            item.old = True
            yield item
            items = [*items, item]
    for item in _labelled(state, None, items):
        item.old = True
        yield item


def _stand_in(session: Session) -> Task:
    """The latest task of a session whose tasks have all left the state."""
    task = Task("", "dev", session.key, "", "completed")
    task.changed, task.changed_at, task.result = session.changed, session.changed_at, session.result
    return task


def _add_usage(found: Report, state: State, task: Task, now: str) -> None:
    usage = task.usage
    found.tokens += usage.tokens
    found.cost += usage.cost
    found.seconds += usage.seconds
    live = state.attempts.get(task.attempt) if task.attempt is not None else None
    if live is not None and live.running_at is not None:
        found.seconds += max(seconds_between(live.running_at, now), 0.0)
