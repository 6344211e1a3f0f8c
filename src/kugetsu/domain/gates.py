"""The gates: may this task start now, and if not, why, since which event and until when.

One ordered list, called by the dispatcher, by `start` and by `kugetsu why`: an answer can never drift from what
decides. A gate is a pure function of the state, the task and the facts; the facts are recorded with the decision.
It answers with a code and values; the words, and the command that opens it, are in `views.gates`. The gates of which
a machine or a repository may be full are in `capacity_gates`.
"""

from __future__ import annotations

from kugetsu.domain import outages
from kugetsu.domain.capacity_gates import disk, memory, repository, slots, stagger
from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.state import BRANCH, EVERYTHING, FORGE, SETUP, Usage
from kugetsu.domain.task_options import facts_of, label, max_attempts, problem_key, set_for
from kugetsu.domain.verdict import Verdict
from kugetsu.domain.verdict import closed as _closed
from kugetsu.domain.verdict import opened as _open
from kugetsu.model.clock import MARGIN_SECONDS, add_seconds, pause_lasts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.state import State, Task

    Gate = Callable[[State, Task, ClaimFacts], "Verdict"]
    Values = dict[str, Any]

_UNUSED = Usage()


def daemon(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """Someone dispatches: the daemon runs and does not drain (a `start` dispatches for itself)."""
    known = state.daemon_of(facts.get("host"))
    if facts["dispatcher"] == "none":
        return _closed("daemon", "no_daemon", known.changed)
    if facts["dispatcher"] == "daemon" and known.state == "draining":
        return _closed("daemon", "daemon_draining", known.changed)
    return _open("daemon", "dispatcher_present")


def waiting(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """The task waits: it is neither finished nor cancelled, and no attempt of it is live."""
    if task.state in FINISHED_TASK:
        return _closed("waiting", "task_finished", task.changed, task=task.id, state=task.state)
    if task.state == "notified":
        return _closed("waiting", "task_running", task.changed, task=task.id, attempt=task.attempt)
    return _open("waiting", "task_waiting")


def parked(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """A usage limit parked it until a time, a set-up that failed until it is tried again or changed, a branch that has
    parted from its remote branch until one of them moves, a forge that did not answer until it is asked again, or runs
    that changed nothing until someone unblocks it."""
    if task.state != "parked":
        return _open("parked", "not_parked")
    from kugetsu.domain import divergence, worktree_setup  # few tasks are

    if task.parked_for == BRANCH and not divergence.has_moved(state, task, facts):
        values = {**(task.reason_values or {}), "task": task.id}
        return _closed("parked", "parked_by_divergence", task.changed, **values)
    if task.parked_for == SETUP:
        if (task.not_before is None or pauses(task, facts)) and not worktree_setup.is_other(state, task, facts):
            values = {**(task.reason_values or {}), "task": task.id}
            return _closed("parked", "parked_by_set_up", task.changed, task.not_before, **values)
        return _open("parked", "not_parked")
    if task.parked_for == FORGE and pauses(task, facts):
        values = {**(task.reason_values or {}), "task": task.id}
        return _closed("parked", "parked_by_forge", task.changed, task.not_before, **values)
    if task.not_before is None and task.parked_for != BRANCH:
        held = progress(state, task, facts)
        if not held.open:
            return _closed("parked", held.code, task.changed, **{**held.values, "task": task.id})
    if pauses(task, facts):
        outage = outages.of(state, task.parked_for)
        if outage is not None:
            why = outage["reason"]
            return _closed("parked", "parked_by_outage", task.changed, task.not_before, task=task.id, why=why)
        return _closed("parked", "parked_by_limit", task.changed, task.not_before, task=task.id)
    return _open("parked", "not_parked")


def provider(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """No usage limit that another task ran into holds for the same agent and model, and no outage of the provider."""
    agent = label(task, facts["agent"])
    if outages.of(state, agent) is not None:
        return _outage(state, task, facts, "provider") or _open("provider", "no_limit")
    limit = state.limits.get(agent)
    if limit is None or not _waits(limit["until"], limit["at"], facts):
        return _open("provider", "no_limit")
    if limit["task"] == task.id:
        return _open("provider", "own_limit")
    return _closed("provider", "usage_limit", limit["seq"], limit["until"], task=limit["task"], agent=agent)


def set_back(state: State, now: str) -> bool:
    """True if the clock was set back: the log has an event of a time that has not come yet."""
    return state.latest > add_seconds(now, MARGIN_SECONDS)


def pauses(task: Task, facts: ClaimFacts) -> bool:
    """True if the task waits until a time. What gave it that time is what changed it last."""
    return task.not_before is not None and _waits(task.not_before, task.changed_at, facts)


def _waits(until: str, since: str, facts: ClaimFacts) -> bool:
    """True if a pause goes on; facts that are only older than its beginning say nothing about the clock."""
    return pause_lasts(until, since, facts["now"]) if facts.get("set_back") else until > facts["now"]


def _outage(state: State, task: Task, facts: ClaimFacts, gate: str) -> Verdict | None:
    """The closed gate of an outage; None when the task may start: there is none, or this task probes it."""
    agent = label(task, facts["agent"])
    entry = outages.of(state, agent)
    if entry is None or entry["outage"]["gate"] != gate or not outages.holds(entry, facts.get("host")):
        return None
    values = {"agent": agent, "why": entry["reason"], "remedy": entry["outage"]["remedy"] or None}
    probe = outages.probe(state, agent, entry)
    if probe is not None:
        return _closed(gate, "outage_probed", probe.claimed, attempt=probe.id, **values)
    if not _waits(entry["until"], entry["at"], facts) or entry["task"] == task.id:
        return None
    return _closed(gate, "outage", entry["seq"], entry["until"], task=entry["task"], **values)


def _issue_usage(state: State, task: Task) -> Usage:
    """What the task's issue has used over its whole life."""
    session = state.sessions.get(task.session)
    if session is not None:
        return session.usage
    return Usage().take_over(task.prior_usage) if task.prior_usage else _UNUSED


def _usage_rests_on(state: State, task: Task) -> int:
    session = state.sessions.get(task.session)
    return session.changed if session is not None else task.queued


def budget(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """The issue has not used up its tokens or its money: counted over its whole life, whatever was restarted."""
    if task.issue is None:
        return _open("budget", "no_issue")
    max_tokens, max_cost = facts.get("issue_max_tokens", 0), facts.get("issue_max_cost", 0.0)
    used = _issue_usage(state, task)
    tokens, cost = used.tokens, used.cost
    if max_tokens and tokens >= max_tokens:
        values = {"tokens": tokens, "max": max_tokens, **set_for(task, facts, "issue_max_tokens")}
        return _closed("budget", "tokens_used_up", _usage_rests_on(state, task), **values)
    if max_cost and cost >= max_cost:
        values = {"cost": cost, "max": max_cost, **set_for(task, facts, "issue_max_cost")}
        return _closed("budget", "cost_used_up", _usage_rests_on(state, task), **values)
    return _open("budget", "within_budget" if max_tokens or max_cost else "no_budget")


def progress(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """The issue's latest successful runs brought something new: a loop of them would cost money all night."""
    most = facts.get("max_runs_without_progress", 0)
    runs = _issue_usage(state, task).no_progress_runs if task.issue is not None else 0
    if most and runs >= most:
        return _closed("progress", "no_progress", _usage_rests_on(state, task), runs=runs, issue=task.issue)
    return _open("progress", "some_runs_without_progress", runs=runs) if runs else _open("progress", "no_such_runs")


def backoff(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """The pause after a failed attempt is over."""
    if task.state == "pending" and pauses(task, facts):
        values = {"task": task.id, "used": task.used, "max_attempts": max_attempts(task, facts["max_attempts"])}
        return _closed("backoff", "pause_after_failure", task.changed, task.not_before, **values)
    return _open("backoff", "no_pause")


def dependencies(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """Every task that it comes after is completed. One that has left the state uncompleted never will be; one that
    left it completed is no longer in ``after``."""
    for earlier_id in task.after:
        closed = _closed_by(state, task, earlier_id)
        if closed is not None:
            return closed
    return _open("dependencies", "no_earlier_task")


def completed(state: State, task_id: str) -> bool:
    """True if a task is known and completed."""
    task = state.tasks.get(task_id)
    return task is not None and task.state == "completed"


def _closed_by(state: State, task: Task, earlier_id: str) -> Verdict | None:
    """The answer for one task that ``task`` comes after; None when that one does not hold it back."""
    earlier = state.tasks.get(earlier_id)
    if earlier is None:
        return _closed("dependencies", "earlier_task_gone", task.queued, task=task.id, earlier=earlier_id)
    if earlier.state == "completed":
        return None
    code = "earlier_task_finished" if earlier.state in FINISHED_TASK else "earlier_task_open"
    return _closed("dependencies", code, earlier.changed, task=task.id, earlier=earlier_id, state=earlier.state)


def stranded(state: State, task: Task) -> Verdict | None:
    """The answer of the gate of dependencies for an earlier task that is finished and not completed: only a person can
    unblock ``task``. None when it comes after no such task."""
    for earlier_id in task.after:
        earlier = state.tasks.get(earlier_id)
        if earlier is None or earlier.state in FINISHED_TASK:
            closed = _closed_by(state, task, earlier_id)
            if closed is not None:
                return closed
    return None


def issue(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """One live attempt an issue, and the tasks of one issue in their order: two agents would talk to each other.

    A task that waits for its branch holds back none of a person, which may be about just that.

    A task that still waits for one it comes after has no turn yet: it could be waiting for this very task.
    """
    if task.issue is None:
        return _open("issue", "no_issue")
    for attempt in state.attempts.values():
        if attempt.issue == task.issue and attempt.task != task.id:
            return _closed("issue", "issue_busy", attempt.claimed, attempt=attempt.id, task=attempt.task)
    if _destroying(state, task):
        return _being_destroyed(state, task, "issue")
    session = state.sessions.get(task.session)
    if session is not None and session.person is not None:
        held = session.person
        who = {"user": held["user"], "host": held["host"], "pid": held["holder"]["pid"], "since": held["at"]}
        return _closed("issue", "issue_attached", held["seq"], issue=task.issue, **who)
    for other_id in state.of_issue.get(task.issue, ()):
        other = state.tasks[other_id]
        if (
            other.id != task.id
            and other.state in ("pending", "parked")
            and not (_is_diverged(other) and task.reaction is None and not task.by_intake)
            and (other.priority, -other.order) > (task.priority, -task.order)
            and dependencies(state, other, facts).open
        ):
            # What `start` would queue is no task yet: there is nothing to move.
            queued = task.id if task.id in state.tasks else None
            return _closed("issue", "other_task_first", other.changed, other=other.id, task=queued)
    return _open("issue", "issue_free")


def _is_diverged(task: Task) -> bool:
    return task.state == "parked" and task.parked_for == BRANCH


def _destroying(state: State, task: Task) -> bool:
    session = state.sessions.get(task.session)
    return session is not None and session.destroying > 0


def _being_destroyed(state: State, task: Task, gate: str) -> Verdict:
    """The removal of the session has begun and not ended: nothing may start in it."""
    return _closed(gate, "session_destroying", state.sessions[task.session].destroying, issue=task.issue)


def pm(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """PM tasks run one at a time."""
    if task.kind != "pm":
        return _open("pm", "no_pm_session_needed")
    for attempt in state.live("pm"):
        return _closed("pm", "pm_session_busy", attempt.claimed, attempt=attempt.id, task=attempt.task)
    return _being_destroyed(state, task, "pm") if _destroying(state, task) else _open("pm", "pm_session_free")


def pause_of(state: State, key: str, facts: ClaimFacts) -> dict[str, Any] | None:
    """The pause of a repository (or `EVERYTHING`), if it lasts."""
    entry = state.paused.get(key)
    if entry is None or (entry["until"] is not None and not _waits(entry["until"], entry["at"], facts)):
        return None
    return entry


def paused(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """A user paused neither the queue nor the task's repository, or starts this task all the same.

    Of two pauses the one that lasts longer is the answer.
    """
    if not state.paused:
        return _open("paused", "not_paused")
    longest, of = None, ""
    for key in (EVERYTHING, task.issue.rpartition("#")[0]) if task.issue is not None else (EVERYTHING,):
        entry = pause_of(state, key, facts)
        if entry is not None and (longest is None or _ends_later(entry, longest)):
            longest, of = entry, key
    if longest is None:
        return _open("paused", "not_paused")
    if facts.get("despite_pause"):
        return _open("paused", "started_despite_pause")
    if of == EVERYTHING:
        return _closed("paused", "queue_paused", longest["seq"], longest["until"])
    return _closed("paused", "repository_paused", longest["seq"], longest["until"], repository=of)


def _ends_later(entry: dict[str, Any], other: dict[str, Any]) -> bool:
    if entry["until"] is None or other["until"] is None:
        return other["until"] is not None
    later: bool = entry["until"] > other["until"]
    return later


def agent(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """The agent can be started: its program is there, its env file and its instructions can be read.

    What is wrong there would end every task alike within seconds: they wait until it is fixed.
    """
    problem = facts.get("agent_problems", {}).get(problem_key(task, facts))
    if problem is not None:
        return _closed("agent", "agent_unavailable", why=problem["cause"], remedy=problem["remedy"])
    return _outage(state, task, facts, "agent") or _open("agent", "agent_available")


def host(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """The host that asks may start it (`hosts.host`)."""
    from kugetsu.domain import hosts  # only where several share the log

    return hosts.host(state, task, facts)


#: The order in which the gates are asked; the first closed one is the reason.
GATES: tuple[Gate, ...] = (
    waiting,
    parked,
    backoff,
    dependencies,
    issue,
    pm,
    budget,
    progress,
    provider,
    paused,
    daemon,
    agent,
    slots,
    repository,
    stagger,
    memory,
    disk,
)

#: As `GATES`, in a log that hosts share.
SHARED_GATES = (*GATES[: GATES.index(slots)], host, *GATES[GATES.index(slots) :])

#: Gates that close because the machine is full just now: `start` answers them with exit 2.
FULL = ("slots", "repository", "stagger", "memory", "disk")

#: Gates that park a pending task when they close: nothing but a person opens them.
PARKING = ("progress",)

#: Gates that answer the same for every task.
COMMON = ("daemon", "stagger", "memory", "disk")

#: The answer of the gate `paused` that holds for every task.
QUEUE_WIDE = "queue_paused"

#: Answers that hold for every task but the one that met the limit or the outage.
PROVIDER_WIDE = ("usage_limit", "outage", "outage_probed")

#: Gates that no event and no known time opens: probed again every so many seconds.
MACHINE = ("memory", "disk", "agent")
MACHINE_LOOK_SECONDS = 15.0


def verdicts(state: State, task: Task, facts: ClaimFacts) -> list[Verdict]:
    """What every gate says of ``task``, in order."""
    facts = facts_of(task, facts)
    return [gate(state, task, facts) for gate in asked(state)]


def asked(state: State) -> tuple[Gate, ...]:
    """The gates of a log, in order."""
    return SHARED_GATES if state.hosts else GATES


def first_closed(state: State, task: Task, facts: ClaimFacts) -> Verdict | None:
    """The first gate that keeps ``task`` back; None when it may start."""
    facts = facts_of(task, facts)
    for gate in asked(state):
        verdict = gate(state, task, facts)
        if not verdict.open:
            return verdict
    return None
