"""The state that the log folds to: tasks, live attempts, sessions, repositories, the daemon.

Keeps only what may still change, plus the latest `FINISHED_KEPT` finished tasks (and uncompleted ones that an open task
depends on), and of the older ones those that failed and that nobody has acknowledged, at most `UNACKNOWLEDGED_KEPT`: a
command must cost the same after a million events as after a hundred. The rest is in the log, found by its key
(`EventLog.read_key`).
Times are UTC text of one width (they compare as text); seqs name the events that a value comes from.
"""

from __future__ import annotations

from kugetsu.domain.machines import OPEN_TASK
from kugetsu.model.record import field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.events import Identity
    from kugetsu.domain.recent_subjects import RecentSubjects

#: Finished tasks that stay in the state for `queue list` and the attention list, whatever became of them.
FINISHED_KEPT = 200
#: The key of the pause of all repositories in `State.paused`.
EVERYTHING = "*"
#: Older failed tasks that stay beside them until somebody acknowledges them; still older ones are only counted.
UNACKNOWLEDGED_KEPT = 200
#: Violations kept with their text; more are counted.
VIOLATIONS_KEPT = 100

#: What a task is parked for (`Task.parked_for`) besides a limit, and the gate of its event: its worktree could not be
#: made ready, its branch has parted from the remote one, its issue could not be read.
SETUP, BRANCH, FORGE = "setup", "branch", "forge"

#: The trigger of an attempt's machine → the kind of event that ends the attempt.
ENDED = {
    "succeed": "attempt.succeeded",
    "fail": "attempt.failed",
    "time_out": "attempt.timed_out",
    "kill": "attempt.killed",
    "lose": "attempt.lost",
}
#: The kind of the event that finishes a task → the task's state.
FINISHES = {"task.completed": "completed", "task.failed": "error", "task.cancelled": "cancelled"}
#: The kinds of events that end an attempt.
ENDS = frozenset(ENDED.values())


#: The lifetime counters of an issue: their names in the log → the fields of `Usage`.
ISSUE_COUNTERS = {
    "attempts": "attempts",
    "parks": "parks",
    "tokens": "tokens",
    "cost": "cost",
    "fruitless": "no_progress_runs",
}


@record
class Usage:
    """The usage of all attempts at a task, or at an issue over its whole life. ``seconds`` is the time in which their
    agents ran; ``no_progress_runs`` counts the latest consecutive ones that succeeded without a new commit or
    comment."""

    attempts: int = 0
    retries: int = 0
    parks: int = 0
    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    no_progress_runs: int = 0

    def count(self, kind: str, data: dict[str, Any]) -> None:
        """Count an event of the task or the issue, except its progress (`fold.usage`)."""
        if kind == "attempt.claimed":
            self.attempts += 1
        elif kind == "task.retried":
            self.retries += 1
        elif kind == "task.parked":
            self.parks += 0 if data.get("again") else 1
        elif kind.startswith("attempt.") and "tokens" in data:
            self.tokens += data["tokens"]
            self.cost += data["cost"]

    def as_recorded(self) -> dict[str, Any]:
        """The issue's counters under their names in the log."""
        return {name: getattr(self, counter) for name, counter in ISSUE_COUNTERS.items()}

    def take_over(self, recorded: dict[str, Any]) -> Usage:
        """Set the counters that an event has; keep those that it lacks."""
        for name, counter in ISSUE_COUNTERS.items():
            if recorded.get(name) is not None:
                setattr(self, counter, recorded[name])
        return self

    def add(self, other: Usage) -> None:
        """Add the counters of another usage."""
        for name in ("attempts", "retries", "parks", "tokens", "cost", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@record
class Task:
    """One request for work. ``used`` is the number of attempts that count against MAX_ATTEMPTS since it was last
    requeued; ``usage.attempts`` is the number of all, from which the next attempt gets its number."""

    id: str
    kind: str
    issue: str | None
    title: str
    state: str = "pending"
    priority: int = 0
    after: list[str] = field(factory=list)
    order: int = 0
    queued: int = 0
    #: seq of the latest event that changed its message; 0 while it has the one that it was queued with.
    edited: int = 0
    queued_at: str = ""
    #: When it was last asked for, and the seq of that: queued, or retried by a person.
    asked_at: str = ""
    asked: int = 0
    changed: int = 0
    changed_at: str = ""
    not_before: str | None = None
    #: Words, or (with values) the code of a gate or of a failure of several attempts (`events.tasks.TaskFailed`).
    reason: str | None = None
    reason_values: dict[str, Any] | None = None
    held: str | None = None
    held_seq: int = 0
    attempt: str | None = None
    used: int = 0
    usage: Usage = field(factory=Usage)
    repository: dict[str, str] | None = None
    #: Whether the intake queued it.
    by_intake: bool = False
    #: Whether its issue asked for no work any more (`intake.gone`, or a label that is no permission) while it was open.
    withdrawn: bool = False
    #: Whether an agent has begun on it.
    begun: bool = False
    #: The hosts that share the log and could not prepare its latest attempts: the others come before them.
    unprepared: list[str] = field(factory=list)
    #: The feedback that it answers (`events.tasks.Reaction`); None if a person, or the intake, asked for it.
    reaction: dict[str, Any] | None = None
    #: What it was given for itself (`events.tasks.Options`); {} for what the settings say.
    options: dict[str, Any] = field(factory=dict)
    #: The usage limit that parked it, `progress` for runs without progress, `setup` for a worktree that is not ready,
    #: `branch` for one that has parted from its remote branch.
    parked_for: str | None = None
    #: The commits whose divergence a person has accepted for it (`divergence.COMMITS`).
    accepted: dict[str, Any] | None = None
    #: `outages.MET` if it met an outage, `outages.OWN` if another task did not meet it, else empty.
    outage: str = ""
    #: Recorded usage of its issue's earlier sessions (`fold.usage`), while the issue has no session.
    prior_usage: dict[str, Any] | None = None
    #: What came of its latest attempt that ended (`events.attempts.Result`).
    result: dict[str, Any] | None = None
    #: seq of the event that acknowledged its failure, or 0.
    acknowledged: int = 0

    @property
    def session(self) -> str:
        """Key of its session: its issue's, or the PM agent's."""
        return self.issue or "pm"

    @property
    def result_kind(self) -> str | None:
        """The kind of its result; None before an attempt has ended."""
        return self.result["kind"] if self.result is not None else None

    @property
    def why(self) -> str | dict[str, Any] | None:
        """The reason as one value: words, or a code and values."""
        return self.reason if self.reason_values is None else {"code": self.reason, "values": self.reason_values}


@record
class Attempt:
    """One live agent process (from claim to outcome) and the slot it holds; ``pm`` attempts hold none."""

    id: str
    task: str
    kind: str
    issue: str | None
    session: str
    state: str = "claimed"
    slot: int | None = None
    #: Its agent and model, which identify a usage limit.
    label: str | None = None
    lease: str = ""
    claimed: int = 0
    claimed_at: str = ""
    claimer: Identity | None = None
    #: The term of its host (`events.hosts.HostJoined`); 0 in a log that is not shared.
    term: int = 0
    runner: Identity | None = None
    agent: Identity | None = None
    agent_session: str | None = None
    running_at: str | None = None
    stop: str | None = None
    stop_seq: int = 0
    #: Why its end cannot be recorded although it is dead, and since when.
    unsettled: str | None = None
    unsettled_at: str | None = None

    @property
    def host(self) -> str | None:
        """The id of the host that claimed it (`runtime.host_id`); None in logs of older versions, which knew one."""
        return self.claimer.get("host") if self.claimer is not None else None


@record
class Session:
    """One agent conversation with its worktree and branch. Its counters cover the issue's whole life."""

    key: str
    kind: str
    state: str = "requested"
    repository: str | None = None
    source: str | None = None
    agent: str | None = None
    agent_session: str | None = None
    #: The host that has its worktree and the agent's session; None where older versions prepared it, on the only one.
    host: str | None = None
    worktree: str | None = None
    branch: str | None = None
    base_branch: str | None = None
    base_commit: str | None = None
    pr: str | None = None
    #: open, closed or merged: the pull request's state after the latest attempt, if known.
    pr_state: str | None = None
    attempt: str | None = None
    #: Whether its latest work, but for answers to feedback, was asked for by a label (`domain.intake`).
    by_intake: bool = False
    #: Whether no person asked for its latest run: a label did, or feedback.
    unattended: bool = False
    #: The person who works in it (`events.persons.PersonAttached`), with "seq" and "at" of the claim.
    person: dict[str, Any] | None = None
    created_at: str = ""
    #: seq of the intent to destroy it that has no outcome yet, or 0.
    destroying: int = 0
    changed: int = 0
    changed_at: str = ""
    reason: str | None = None
    #: What its branch follows (`events.sessions.SessionPreparing`), while preparing.
    follows: dict[str, Any] | None = None
    #: The attempt whose work could not be saved on a rescue branch, and why: the next one saves it first.
    unsaved: dict[str, str] | None = None
    #: What is not as one would expect of its latest attempt: found by its preparation, or told of a run that
    #: succeeded (tool calls that were refused).
    notes: list[str] = field(factory=list)
    #: Over the issue's whole life, except retries, which belong to a task.
    usage: Usage = field(factory=Usage)
    commits: int = 0
    dirty: int = 0
    pushed: bool | None = None
    #: The issue's title before the latest run.
    title: str | None = None
    #: The last known commit and number of comments, to detect progress.
    head: str | None = None
    comments: int | None = None
    #: What came of its latest attempt that ended (`events.attempts.Result`), and the state of its review.
    result: dict[str, Any] | None = None
    review: str = "none"
    review_at: str = ""
    #: The commit that a user has reviewed.
    reviewed: str | None = None
    #: Its pull request as last observed (`events.reviews.PullObserved`), with "at" and "seq" of that, and the seq
    #: "since" which it is known to be in that state.
    pull: dict[str, Any] | None = None
    #: The latest known close of its issue: when ("at", the forge's time), and the "seq" since which it is known.
    closed: dict[str, Any] | None = None
    #: The latest set-up of its worktree: "worktree", "sha", "code" and "supplied" (None for nothing), with the "lines"
    #: that nobody has accepted (`events.verification.WorktreeSetUp`), "seq", and how many "tries" in a row failed; None
    #: for a worktree that has yet to be made ready.
    set_up: dict[str, Any] | None = None
    #: A pull request that has yet to be opened (`events.reviews.PullOpening`), with ``seq`` (its intent's), ``task``,
    #: ``attempt``, ``tries`` and ``not_before``; ``to_verify`` if the latest run should have been verified and was not.
    owed: dict[str, Any] | None = None
    #: Why the pull request of ``head`` could not be opened yet, or never will be: "reason" and "remedy".
    unopened: dict[str, Any] | None = None
    #: The latest verification of its work (`events.attempts.Verification`: "commit", "sha", "code", "exit", "seconds",
    #: "why"), with the "task" and "attempt" of the work, whether its pull request was "refused" (closed meanwhile), how
    #: many "tries" the daemon has begun, the seq of one without an outcome as "begun", or None, when the next one may
    #: begin ("not_before"), the seq of what is known of it as "latest", and "seq", that of the work's end.
    verified: dict[str, Any] | None = None

    @property
    def result_kind(self) -> str | None:
        """The kind of its result; None before an attempt has ended."""
        return self.result["kind"] if self.result is not None else None

    @property
    def set_up_code(self) -> str | None:
        """What came of the latest set-up of its worktree; None for one that has yet to be made ready."""
        return self.set_up["code"] if self.set_up is not None else None


@record
class Daemon:
    """The dispatcher of a host as recorded in the log; its lease shows whether the process is alive. ``host`` is empty
    in logs of older versions, which knew one."""

    host: str = ""
    state: str = "stopped"
    identity: Identity | None = None
    lease: str | None = None
    changed: int = 0
    changed_at: str = ""

    @property
    def runs(self) -> bool:
        """Whether it runs or drains according to the log."""
        return self.state in ("running", "draining")


@record
class Host:
    """A host that shares the log (`events.hosts.HostJoined`). ``cap`` is that of its latest claim."""

    id: str
    name: str
    state: str = "left"
    term: int = 0
    labels: list[str] = field(factory=list)
    cap: int = 0
    changed: int = 0
    changed_at: str = ""
    #: When the latest attempt there ended.
    ended_at: str = ""
    #: Whether it is to start nothing new: for as long as it takes part, whatever restarts and losses come in between.
    drained: bool = False
    #: Attempts that were given away when it was lost, until it tells what came of them: "task", "issue", "session".
    away: dict[str, dict[str, Any]] = field(factory=dict)
    #: Worktree → the session that has moved to another host since, with its "branch" and "head" then. "removal": the
    #: host had begun to remove it, after that change of the session.
    left_behind: dict[str, dict[str, Any]] = field(factory=dict)
    #: Repository → the clone that is registered for it there.
    folders: dict[str, str] = field(factory=dict)

    @property
    def takes_part(self) -> bool:
        """Whether it has joined and neither left nor been lost."""
        return self.state in ("joined", "draining")


@record
class State:
    """The fold of the log up to ``seq``."""

    seq: int = 0
    at: str = ""
    #: The latest time of all events; clocks go back, so it may be later than `at`, the time of the last one.
    latest: str = ""
    log_id: str | None = None
    initialised: int = 0
    tasks: dict[str, Task] = field(factory=dict)
    #: ids of the latest finished tasks, oldest first (a dict, for its order).
    finished: dict[str, None] = field(factory=dict)
    #: ids of the failed tasks that are older than those and not acknowledged, oldest first; and how many more of them
    #: have left the state.
    unacknowledged: dict[str, None] = field(factory=dict)
    unacknowledged_gone: int = 0
    #: issue → its unfinished tasks; task id → the tasks in the state that come after it.
    of_issue: dict[str, list[str]] = field(factory=dict)
    successors: dict[str, list[str]] = field(factory=dict)
    attempts: dict[str, Attempt] = field(factory=dict)
    sessions: dict[str, Session] = field(factory=dict)
    repositories: dict[str, dict[str, str]] = field(factory=dict)
    #: The dispatchers by their hosts; one at most while the log is not shared.
    daemons: dict[str, Daemon] = field(factory=dict)
    #: The hosts that share the log, or did; none while it is one host's own.
    hosts: dict[str, Host] = field(factory=dict)
    #: The settings of all hosts: key → value (`events.system.SettingShared`).
    shared: dict[str, str] = field(factory=dict)
    #: agent and model → {"until": time, "at": since when, "seq": event, "task": who met it}: the usage limit that a
    #: provider stated; with "outage" and "reason" what every task would meet (`outages`), tried again at that time.
    limits: dict[str, dict[str, Any]] = field(factory=dict)
    #: issue → its open labelled issue on the forge (`events.intake.IntakeSeen`), with "seq" and "at", and what is kept
    #: of its label event (`fold.intake.label_event_seen`).
    intake: dict[str, dict[str, Any]] = field(factory=dict)
    #: issue → {"label": which one the forge shows, "owed": the intent without an outcome, with its "seq", "tries" and
    #: "not_before", or None, "refused": the latest one that the forge will not carry out, or None}.
    marks: dict[str, dict[str, Any]] = field(factory=dict)
    #: issue → the loop of its pull request: turns, items of feedback, brakes (`fold.loops.new_loop`).
    loops: dict[str, dict[str, Any]] = field(factory=dict)
    #: repository, commit and hash (`fold.sessions.base_key`) → the "code" and "seconds" of a base commit's verification
    #: (`events.verification.BaseVerified`), how many "tries" in a row said so, and its "seq".
    bases: dict[str, dict[str, Any]] = field(factory=dict)
    #: repository → what it supplies to the set-up of its worktrees (`events.verification.SetUpAccepted`): the latest
    #: "lines" that were accepted, and "shas", the accepted hashes, each with the seq of its event.
    accepted: dict[str, dict[str, Any]] = field(factory=dict)
    #: repository, or `EVERYTHING` → {"until": time or None, "at": since when, "seq": event}: pauses of the queue, also
    #: those whose time is over and that nobody has resumed.
    paused: dict[str, dict[str, Any]] = field(factory=dict)
    tasks_made: int = 0
    #: seq of the latest `session.destroyed`: counters of an issue's earlier sessions read before it may be stale.
    last_destroyed: int = 0
    #: seq of the latest `intake.gone`: the history of an issue's label events read before it may be stale.
    last_gone: int = 0
    #: The latest acknowledged report: {"upto": seq, "at": its time}.
    reported: dict[str, Any] | None = None
    #: The latest daily report: {"days": the latest days with one, "upto": seq, "at": its time}.
    daily: dict[str, Any] | None = None
    #: seq of the latest `task.requeued` of a task that had left the state: its record read before it is stale.
    last_returned: int = 0
    #: seq up to which notifications were read; sink → {"upto": seq handled, "open": {delivery: entry}}.
    notices_read: int = 0
    outbox: dict[str, dict[str, Any]] = field(factory=dict)
    #: state → how many finished tasks have left the state for the log.
    retired: dict[str, int] = field(factory=dict)
    #: seq and time of the latest event that finished a task that has left the state.
    retired_upto: int = 0
    retired_at: str = ""
    violations: list[dict[str, Any]] = field(factory=list)
    violations_seen: int = 0
    #: What the latest events are about, once somebody follows the state (`waiting_groups`). No snapshot keeps it.
    recent: RecentSubjects | None = None

    def violate(self, seq: int, text: str) -> None:
        """Record that a state machine or an invariant does not allow the event ``seq``."""
        self.violations_seen += 1
        if len(self.violations) < VIOLATIONS_KEPT:
            self.violations.append({"seq": seq, "text": text})

    @property
    def daemon(self) -> Daemon:
        """The dispatcher; of several the one that runs, else the one that changed last."""
        known = sorted(self.daemons.values(), key=lambda daemon: (daemon.runs, daemon.changed))
        return known[-1] if known else Daemon()

    def daemon_of(self, host: str | None) -> Daemon:
        """The dispatcher of a host; the only one while the log is not shared, or if the host is not known."""
        if not self.hosts or host is None:
            return self.daemon
        return self.daemons.get(host) or Daemon(host)

    def live_on(self, host: str, kind: str | None = None) -> list[Attempt]:
        """The live attempts of a host, of one ``kind`` if given, in the order of their claims."""
        return [one for one in self.attempts.values() if one.host == host and kind in (None, one.kind)]

    def wanted(self, task_id: str) -> bool:
        """Whether a finished task must stay: it was not completed, and an unfinished one comes after it."""
        if self.tasks[task_id].state == "completed":
            return False
        return any(self.tasks[later].state in OPEN_TASK for later in self.successors.get(task_id, ()))

    def failed(self) -> list[Task]:
        """The failed tasks that nobody has acknowledged, in the order in which they failed."""
        kept = [self.tasks[task_id] for task_id in (*self.unacknowledged, *self.finished)]
        return [task for task in kept if task.state == "error" and not task.acknowledged]

    def waiting(self) -> list[Task]:
        """The waiting tasks (pending or parked), in the order of consideration."""
        found = [task for task in self.tasks.values() if task.state in ("pending", "parked")]
        found.sort(key=queue_order)
        return found

    def live(self, kind: str) -> list[Attempt]:
        """The live attempts of a kind, in the order of their claims."""
        return [attempt for attempt in self.attempts.values() if attempt.kind == kind]

    def leases(self) -> set[str]:
        """The leases of live attempts, of people who are attached, and of the daemons."""
        held = {attempt.lease for attempt in self.attempts.values()}
        held |= {session.person["lease"] for session in self.sessions.values() if session.person is not None}
        return held | {daemon.lease for daemon in self.daemons.values() if daemon.lease is not None}

    def live_in(self, repository: str) -> list[Attempt]:
        """The live attempts at issues of a repository (`host/owner/repo`), in the order of their claims."""
        return [one for one in self.live("dev") if one.issue is not None and one.issue.rpartition("#")[0] == repository]


def queue_order(task: Task) -> tuple[int, int, int]:
    """The sort key of the queue: tasks are considered by priority, then in their order, the one that was queued first
    before another that was moved to the same place."""
    return -task.priority, task.order, task.queued


def empty() -> State:
    """The state before the first event."""
    return State()
