"""The gates: may this task start now, and if not, why, since which event, until when, and what lifts it.

One ordered list, called by the dispatcher, by `start` and by `kugetsu why`: an answer can never drift from what
decides. A gate is a pure function of the state, the task and the facts; the facts are recorded with the decision.
"""

from __future__ import annotations

from kugetsu.domain import outages
from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.pauses import waits
from kugetsu.model.clock import add_seconds, seconds_between
from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.state import Attempt, State, Task

    Gate = Callable[[State, Task, ClaimFacts], "Verdict"]


@record
class Verdict:
    """What one gate says. ``rests_on`` is the seq of the event behind it (0: no single event); ``until`` the time at
    which it opens by itself, when there is one; ``lift`` the command that opens it now; ``otherwise`` one that opens it
    when that has nothing to do."""

    gate: str
    open: bool
    reason: str
    rests_on: int = 0
    until: str | None = None
    lift: str | None = None
    otherwise: str | None = None

    def as_data(self) -> dict[str, object]:
        """The verdict as JSON values."""
        return {
            name: getattr(self, name) for name in ("gate", "open", "reason", "rests_on", "until", "lift", "otherwise")
        }


def daemon(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """Someone dispatches: the daemon runs and does not drain (a `start` dispatches for itself)."""
    if facts["dispatcher"] == "none":
        reason = "no daemon runs, so nothing takes tasks from the queue"
        return Verdict("daemon", False, reason, state.daemon.changed, lift="kugetsu queue-daemon start")
    if facts["dispatcher"] == "daemon" and state.daemon.state == "draining":
        reason = "the daemon drains: it starts nothing new"
        return Verdict("daemon", False, reason, state.daemon.changed, lift="kugetsu queue-daemon restart")
    return Verdict("daemon", True, "a dispatcher is there")


def waiting(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """The task waits: it is neither finished nor cancelled, and no attempt of it is live."""
    if task.state in FINISHED_TASK:
        verb = {"completed": "is completed", "error": "ended in error", "cancelled": "was cancelled"}[task.state]
        return Verdict("waiting", False, f"it {verb}", task.changed, lift=f"kugetsu queue retry {task.id}")
    if task.state == "notified":
        reason = f"attempt {task.attempt} works on it" if task.attempt is not None else "an attempt works on it"
        return Verdict("waiting", False, reason, task.changed, lift=f"kugetsu queue cancel {task.id}")
    return Verdict("waiting", True, "not cancelled, not finished")


def parked(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """A usage limit parked it until a time, or runs that changed nothing until someone lifts it."""
    if task.state == "parked" and task.not_before is None:
        held = progress(state, task, facts)
        if not held.open:
            return Verdict("parked", False, held.reason, task.changed, lift=f"kugetsu queue retry {task.id}")
    if task.state == "parked" and _pauses(task, facts):
        outage = outages.of(state, task.parked_for)
        reason = f"parked: {outage['reason']}" if outage is not None else "parked by the provider's usage limit"
        lift = f"kugetsu queue retry {task.id}"
        return Verdict("parked", False, reason, task.changed, task.not_before, lift)
    return Verdict("parked", True, "not parked")


def provider(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """No usage limit that another task ran into holds for the same agent and model, and no outage of the provider."""
    if outages.of(state, facts["agent"]) is not None:
        closed = _outage(state, task, facts, "provider")
        return closed or Verdict("provider", True, "no usage limit known")
    limit = state.limits.get(facts["agent"])
    holds = limit is not None and _waits(limit["until"], limit["at"], facts)
    if limit is not None and holds and limit["task"] != task.id:
        reason = f"the provider's usage limit stopped {limit['task']}, it would stop this one too"
        lift = f"kugetsu queue lift {facts['agent']}"
        return Verdict("provider", False, reason, limit["seq"], limit["until"], lift)
    return Verdict("provider", True, "no other task's usage limit" if holds else "no usage limit known")


def _pauses(task: Task, facts: ClaimFacts) -> bool:
    """Whether the task waits until a time. What gave it that time is what changed it last."""
    return task.not_before is not None and _waits(task.not_before, task.changed_at, facts)


def _waits(until: str, since: str, facts: ClaimFacts) -> bool:
    """Whether a pause goes on; facts that may only be older than its beginning say nothing of the clock."""
    return waits(until, since, facts["now"]) if facts.get("set_back") else until > facts["now"]


def _outage(state: State, task: Task, facts: ClaimFacts, gate: str) -> Verdict | None:
    """The closed gate of an outage; None when the task may start: there is none, or this task finds out."""
    entry = outages.of(state, facts["agent"])
    if entry is None or entry["outage"]["gate"] != gate:
        return None
    lift, remedy = f"kugetsu queue lift {facts['agent']}", entry["outage"]["remedy"] or None
    tries = outages.probe(state, facts["agent"], entry)
    if tries is not None:
        reason = f"{tries.id} finds out whether it works again: {entry['reason']}"
        return Verdict(gate, False, reason, tries.claimed, lift=lift, otherwise=remedy)
    if not _waits(entry["until"], entry["at"], facts) or entry["task"] == task.id:
        return None
    reason = f"{entry['task']} met what every task would meet: {entry['reason']}"
    return Verdict(gate, False, reason, entry["seq"], entry["until"], lift, remedy)


def _life(state: State, task: Task, name: str) -> float:
    """One of the counters of the life of the task's issue; 0 when nothing was counted yet."""
    session = state.sessions.get(task.session)
    if session is not None:
        value: float = getattr(session, name)
        return value
    return (task.carried or {}).get(name) or 0


def _life_rests_on(state: State, task: Task) -> int:
    session = state.sessions.get(task.session)
    return session.changed if session is not None else task.queued


def _cents(amount: float) -> str:
    return f"{amount:.2f}"


def _money(amount: float) -> str:
    """An amount with two decimals, a small one with as many as three of its digits need: 0.00 would mean any."""
    decimals = 2
    while 0 < amount < 10.0 ** (2 - decimals) and decimals < 15:
        decimals += 1
    whole, _, part = f"{amount:.{decimals}f}".partition(".")
    return f"{whole}.{part.rstrip('0'):0<2}"


def budget(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """The issue has not used up its tokens or its money: counted over its whole life, whatever was restarted."""
    if task.issue is None:
        return Verdict("budget", True, "belongs to no issue")
    most, dearest = facts.get("issue_max_tokens", 0), facts.get("issue_max_cost", 0.0)
    tokens, cost = int(_life(state, task, "tokens")), _life(state, task, "cost")
    if most and tokens >= most:
        reason = f"the issue has used {tokens} of {most} tokens"
        lift = f"kugetsu config set ISSUE_MAX_TOKENS {2 * tokens}"
        return Verdict("budget", False, reason, _life_rests_on(state, task), lift=lift)
    if dearest and cost >= dearest:
        # A reason is recorded and decided again: those who did not look at the agent yet told two decimals.
        told = _money if "agent_problems" in facts else _cents
        reason = f"the issue has cost {told(cost)} of {told(dearest)}"
        lift = f"kugetsu config set ISSUE_MAX_COST {_money(2 * cost)}"
        return Verdict("budget", False, reason, _life_rests_on(state, task), lift=lift)
    return Verdict("budget", True, "within the issue's budget" if most or dearest else "no budget set")


def progress(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """The issue's latest runs that ended well brought something: a loop of them would else cost money all night."""
    most = facts.get("max_runs_without_progress", 0)
    runs = int(_life(state, task, "fruitless")) if task.issue is not None else 0
    if most and runs >= most:
        reason = f"{runs} runs in a row ended well and brought no new commit or comment"
        lift = f"kugetsu queue lift {task.issue}"
        return Verdict("progress", False, reason, _life_rests_on(state, task), lift=lift)
    return Verdict(
        "progress", True, f"{runs} runs in a row brought nothing new" if runs else "no runs without progress"
    )


def backoff(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """The pause after a failed attempt is over."""
    if task.state == "pending" and _pauses(task, facts):
        reason = f"pauses after a failed attempt ({task.used} of {facts['max_attempts']} used)"
        lift = f"kugetsu queue retry {task.id}"
        return Verdict("backoff", False, reason, task.changed, task.not_before, lift)
    return Verdict("backoff", True, "no pause after a failure")


def dependencies(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """Every task that it comes after is completed. One that has left the state uncompleted never will be; one that
    left it completed is no longer in ``after``."""
    for earlier_id in task.after:
        closed = _closed_by(state, task, earlier_id)
        if closed is not None:
            return closed
    return Verdict("dependencies", True, "comes after nothing that is open")


def _closed_by(state: State, task: Task, earlier_id: str) -> Verdict | None:
    """What the gate says of one task that ``task`` comes after; None when that one does not hold it back."""
    earlier = state.tasks.get(earlier_id)
    if earlier is None:
        reason = f"comes after {earlier_id}, which left the queue without being completed"
        return Verdict("dependencies", False, reason, task.queued, lift=_forget_earlier(task))
    if earlier.state == "completed":
        return None
    reason = f"comes after {earlier_id}, which is {earlier.state}"
    over = earlier.state in FINISHED_TASK
    lift = f"kugetsu queue retry {earlier_id}" if over else _forget_earlier(task)
    return Verdict("dependencies", False, reason, earlier.changed, lift=lift)


def stranded(state: State, task: Task) -> Verdict | None:
    """What the gate of dependencies says of a task that is over and not completed: nothing but a person lets ``task``
    go on. None when there is no such one among those that it comes after."""
    for earlier_id in task.after:
        earlier = state.tasks.get(earlier_id)
        if earlier is None or earlier.state in FINISHED_TASK:
            closed = _closed_by(state, task, earlier_id)
            if closed is not None:
                return closed
    return None


def _forget_earlier(task: Task) -> str:
    """The command with which a task comes after nothing any more."""
    return f"kugetsu queue move {task.id} --after ''"


def issue(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """One live attempt an issue, and the tasks of one issue in their order: two agents would talk to each other.

    A task that still waits for one it comes after has no turn yet: it could be waiting for this very task.
    """
    if task.issue is None:
        return Verdict("issue", True, "belongs to no issue")
    for attempt in state.attempts.values():
        if attempt.issue == task.issue and attempt.task != task.id:
            reason = f"{attempt.id} works on the same issue"
            lift = f"kugetsu queue cancel {attempt.task}"
            return Verdict("issue", False, reason, attempt.claimed, lift=lift)
    if _destroying(state, task):
        return _being_destroyed(state, task, "issue")
    for other_id in state.of_issue.get(task.issue, ()):
        other = state.tasks[other_id]
        if (
            other.id != task.id
            and other.state in ("pending", "parked")
            and (other.priority, -other.order) > (task.priority, -task.order)
            and dependencies(state, other, facts).open
        ):
            reason = f"{other.id} of the same issue comes first"
            # What `start` would queue is no task yet: there is nothing to move.
            lift = f"kugetsu queue move {task.id} --first" if task.id in state.tasks else f"kugetsu why {other.id}"
            return Verdict("issue", False, reason, other.changed, lift=lift)
    return Verdict("issue", True, "issue has no other live attempt")


def _destroying(state: State, task: Task) -> bool:
    session = state.sessions.get(task.session)
    return session is not None and session.destroying > 0


def _being_destroyed(state: State, task: Task, gate: str) -> Verdict:
    """Someone said that the session goes and has not said yet that it is gone: nothing may start in it."""
    subject = task.issue or "--pm-agent"
    reason = "its session is being destroyed"
    return Verdict(gate, False, reason, state.sessions[task.session].destroying, lift=f"kugetsu destroy {subject}")


def pm(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """PM tasks run one at a time."""
    if task.kind == "pm":
        for attempt in state.live("pm"):
            lift = f"kugetsu queue cancel {attempt.task}"
            return Verdict("pm", False, f"{attempt.id} uses the PM session", attempt.claimed, lift=lift)
        if _destroying(state, task):
            return _being_destroyed(state, task, "pm")
    return Verdict("pm", True, "the PM session is free" if task.kind == "pm" else "needs no PM session")


def agent(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """The agent can be started: its program is there, its env file and its instructions can be read.

    What is wrong there would end every task alike within seconds: they wait until somebody has mended it.
    """
    problem = facts.get("agent_problems", {}).get(task.kind)
    if problem is not None:
        return Verdict("agent", False, problem["cause"], lift=problem["remedy"])
    closed = _outage(state, task, facts, "agent")
    return closed or Verdict("agent", True, "nothing known that keeps the agent from starting")


def slots(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """A slot is free; only dev attempts hold one."""
    if task.kind == "pm":
        return Verdict("slots", True, "PM tasks need no slot")
    live = state.live("dev")
    used = f"{len(live)} of {facts['cap']} slots used"
    if len(live) >= facts["cap"]:
        held_by = f" ({', '.join(attempt.id for attempt in live)})" if live else ""
        lift = f"kugetsu config set MAX_CONCURRENT_AGENTS {len(live) + 1}"
        return Verdict("slots", False, f"{used}{held_by}", live[0].claimed if live else 0, lift=lift)
    return Verdict("slots", True, used)


def repository_cap(name: str, facts: ClaimFacts) -> int:
    """How many agents may work in a repository at a time; 0 for any number."""
    caps = facts.get("repository_caps", {})
    return caps.get(name, caps.get("*", 0))


def repository(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """Fewer agents than allowed work in the task's repository."""
    caps = facts.get("repository_caps", {})
    if task.issue is None or not caps:
        return Verdict("repository", True, "no limit for its repository")
    name = task.issue.rpartition("#")[0]
    cap = repository_cap(name, facts)
    live = state.live_in(name)
    used = f"{len(live)} of {cap} agents allowed work in {name}" if cap else "no limit for its repository"
    if cap and len(live) >= cap:
        return Verdict("repository", False, used, live[0].claimed, lift=_raise_cap(name, len(live) + 1, caps))
    return Verdict("repository", True, used)


def _raise_cap(name: str, cap: int, caps: dict[str, int]) -> str:
    """The command that lets one more agent work in a repository, by the setting that keeps it back: as for slots, it
    ends nobody's work."""
    if name not in caps:
        return f"kugetsu config set MAX_AGENTS_PER_REPOSITORY {cap}"
    named = {**caps, name: cap}
    pairs = ",".join(f"{repository}={most}" for repository, most in named.items() if repository != "*")
    return f"kugetsu config set REPOSITORY_CAPS {pairs}"


def stagger(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """At most one agent a core starts at a time: starting costs seconds of CPU, and too many at once time out."""
    starting = [attempt for attempt in state.attempts.values() if _starts(attempt, facts)]
    if starting and len(starting) >= facts["cores"]:
        reason = f"{len(starting)} agents are starting on {facts['cores']} cores"
        return Verdict("stagger", False, reason, starting[0].claimed, until=_warm(starting, facts))
    return Verdict("stagger", True, f"{len(starting)} agents are starting on {facts['cores']} cores")


def _starts(attempt: Attempt, facts: ClaimFacts) -> bool:
    at = attempt.running_at
    if at is None:
        return True
    if at > facts["now"]:
        # Another claim's event came between, or the clock went back: then nothing says that it began just now.
        return seconds_between(facts["now"], at) <= facts["warmup_seconds"]
    return at > facts["warm_before"]


def _warm(starting: list[Attempt], facts: ClaimFacts) -> str | None:
    """When the first of those that run already is warm; None when none of them runs yet."""
    running = [attempt.running_at for attempt in starting if attempt.running_at is not None]
    return add_seconds(min(running), facts["warmup_seconds"]) if running else None


def memory(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """Enough memory is free for one more agent."""
    wanted, free = facts["min_free_memory_mb"], facts["free_memory_mb"]
    if wanted and free is not None and free < wanted:
        reason = f"{free} MB of memory free, {wanted} MB wanted"
        # A little below: what is free goes up and down all the time.
        return Verdict("memory", False, reason, lift=f"kugetsu config set MIN_FREE_MEMORY_MB {free * 9 // 10}")
    return Verdict("memory", True, "enough memory" if wanted else "no memory limit set")


def disk(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """Enough disk is free for one more worktree: a full one stops every agent and the log."""
    wanted, free = facts.get("min_free_disk_mb", 0), facts.get("free_disk_mb")
    if wanted and free is not None and free < wanted:
        reason = f"{free} MB of disk free, {wanted} MB wanted"
        lower = f"kugetsu config set MIN_FREE_DISK_MB {free * 9 // 10}"
        return Verdict("disk", False, reason, lift="kugetsu prune", otherwise=lower)
    return Verdict("disk", True, "enough disk" if wanted else "no disk limit set")


#: The order in which a task's way is looked at; the first closed gate is the reason.
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
    daemon,
    agent,
    slots,
    repository,
    stagger,
    memory,
    disk,
)

#: Gates that close because the machine is full just now: `start` answers them with exit 2.
FULL = ("slots", "repository", "stagger", "memory", "disk")

#: Gates that park a pending task when they close: nothing but a person opens them.
PARKING = ("progress",)

#: Gates that no event and no known time opens: looked at again every so many seconds.
MACHINE = ("memory", "disk", "agent")
MACHINE_LOOK_SECONDS = 15.0


def verdicts(state: State, task: Task, facts: ClaimFacts) -> list[Verdict]:
    """What every gate says of ``task``, in order."""
    return [gate(state, task, facts) for gate in GATES]


def first_closed(state: State, task: Task, facts: ClaimFacts) -> Verdict | None:
    """The first gate that keeps ``task`` back; None when it may start."""
    for gate in GATES:
        verdict = gate(state, task, facts)
        if not verdict.open:
            return verdict
    return None
