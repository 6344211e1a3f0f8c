"""The state that the log folds to: tasks, live attempts, sessions, repositories, the daemon.

Only what may still change is kept, plus the latest `FINISHED_KEPT` finished tasks (and those not completed that an
open task comes after): a command must cost the same after a million events as after a hundred. What left is in the
log, found by its key (`EventLog.read_key`).
Times are UTC text of one width (they compare as text); seqs are the events that a value rests on.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.events import Identity

#: Finished tasks that stay in the state for `queue list` and the attention list; older ones are in the log only.
FINISHED_KEPT = 200
#: Violations kept with their text; more are counted.
VIOLATIONS_KEPT = 100


class Task:
    """One request for work. ``used`` counts the attempts that count against MAX_ATTEMPTS since it was last requeued;
    ``made`` counts all of its life and numbers the next attempt."""

    __slots__ = (
        "after",
        "attempt",
        "carried",
        "changed",
        "changed_at",
        "cost",
        "held",
        "held_seq",
        "id",
        "issue",
        "kind",
        "made",
        "not_before",
        "order",
        "outage",
        "parked_for",
        "parks",
        "priority",
        "queued",
        "queued_at",
        "reason",
        "repository",
        "retries",
        "state",
        "title",
        "tokens",
        "used",
    )

    def __init__(self, id: str, kind: str, issue: str | None, title: str) -> None:
        self.id = id
        self.kind = kind
        self.issue = issue
        self.title = title
        self.state = "pending"
        self.priority = 0
        self.after: list[str] = []
        self.order = 0
        self.queued = 0
        self.queued_at = ""
        self.changed = 0
        self.changed_at = ""
        self.not_before: str | None = None
        self.reason: str | None = None
        self.held: str | None = None
        self.held_seq = 0
        self.attempt: str | None = None
        self.made = 0
        self.used = 0
        self.retries = 0
        self.parks = 0
        self.tokens = 0
        self.cost = 0.0
        self.repository: dict[str, str] | None = None
        #: The usage limit that parked it, or `progress`: runs that changed nothing.
        self.parked_for: str | None = None
        #: `outages.MET` when it met an outage, `outages.OWN` when another task did not meet it; else empty.
        self.outage = ""
        #: Counters of its issue's life, while the issue has no session that has them.
        self.carried: dict[str, Any] | None = None

    @property
    def session(self) -> str:
        """Key of the session it works in: its issue's, or the PM agent's."""
        return self.issue or "pm"


class Attempt:
    """One live agent process (from claim to outcome) and the slot it holds; ``pm`` attempts hold none."""

    __slots__ = (
        "agent",
        "agent_session",
        "claimed",
        "claimed_at",
        "claimer",
        "id",
        "issue",
        "kind",
        "label",
        "lease",
        "runner",
        "running_at",
        "session",
        "slot",
        "state",
        "stop",
        "stop_seq",
        "task",
        "unsettled",
        "unsettled_at",
    )

    def __init__(self, id: str, task: str, kind: str, issue: str | None, session: str) -> None:
        self.id = id
        self.task = task
        self.kind = kind
        self.issue = issue
        self.session = session
        self.state = "claimed"
        self.slot: int | None = None
        #: Agent and model that it was claimed for, by which a usage limit is known.
        self.label: str | None = None
        self.lease = ""
        self.claimed = 0
        self.claimed_at = ""
        self.claimer: Identity | None = None
        self.runner: Identity | None = None
        self.agent: Identity | None = None
        self.agent_session: str | None = None
        self.running_at: str | None = None
        self.stop: str | None = None
        self.stop_seq = 0
        #: It is dead, and this keeps its end from being recorded, since then.
        self.unsettled: str | None = None
        self.unsettled_at: str | None = None


class Session:
    """One agent conversation with its worktree and branch. Its counters run over the issue's whole life."""

    __slots__ = (
        "agent",
        "agent_session",
        "attempt",
        "attempts",
        "base_branch",
        "base_commit",
        "branch",
        "changed",
        "changed_at",
        "comments",
        "commits",
        "cost",
        "created_at",
        "destroying",
        "dirty",
        "follows",
        "fruitless",
        "head",
        "key",
        "kind",
        "notes",
        "parks",
        "pr",
        "pr_state",
        "pushed",
        "reason",
        "repository",
        "source",
        "state",
        "title",
        "tokens",
        "unsaved",
        "worktree",
    )

    def __init__(self, key: str, kind: str) -> None:
        self.key = key
        self.kind = kind
        self.state = "requested"
        self.repository: str | None = None
        self.source: str | None = None
        self.agent: str | None = None
        self.agent_session: str | None = None
        self.worktree: str | None = None
        self.branch: str | None = None
        self.base_branch: str | None = None
        self.base_commit: str | None = None
        self.pr: str | None = None
        #: open, closed or merged: how it stood after the latest attempt, when the forge said so.
        self.pr_state: str | None = None
        self.attempt: str | None = None
        self.created_at = ""
        #: seq of the intent to destroy it that has no outcome yet; 0 when there is none.
        self.destroying = 0
        self.changed = 0
        self.changed_at = ""
        self.reason: str | None = None
        #: What its branch follows (`events.SessionPreparing`), while that is intended and not yet done.
        self.follows: dict[str, Any] | None = None
        #: The attempt whose work could not be put on a rescue branch, and why: the next one saves it first.
        self.unsaved: dict[str, str] | None = None
        #: What is not as one would expect of its latest attempt: found by its preparation, or told of a run that
        #: succeeded (tool calls that were refused).
        self.notes: list[str] = []
        self.attempts = 0
        self.parks = 0
        self.tokens = 0
        self.cost = 0.0
        self.commits = 0
        self.dirty = 0
        self.pushed: bool | None = None
        #: The issue's title as the forge said it before the latest run.
        self.title: str | None = None
        #: Last commit and number of comments known, and how many good runs in a row brought neither a new one.
        self.head: str | None = None
        self.comments: int | None = None
        self.fruitless = 0


class Daemon:
    """The dispatcher as the log knows it; whether the process lives is asked of its lease."""

    __slots__ = ("changed", "changed_at", "identity", "lease", "state")

    def __init__(self) -> None:
        self.state = "stopped"
        self.identity: Identity | None = None
        self.lease: str | None = None
        self.changed = 0
        self.changed_at = ""

    @property
    def runs(self) -> bool:
        """Whether it runs or drains, as far as the log knows."""
        return self.state in ("running", "draining")


class State:
    """The fold of the log up to ``seq``."""

    __slots__ = (
        "at",
        "attempts",
        "daemon",
        "finished",
        "initialised",
        "last_destroyed",
        "latest",
        "limits",
        "log_id",
        "notices_read",
        "of_issue",
        "outbox",
        "repositories",
        "retired",
        "seq",
        "sessions",
        "successors",
        "tasks",
        "tasks_made",
        "violations",
        "violations_seen",
    )

    def __init__(self) -> None:
        self.seq = 0
        self.at = ""
        #: The latest time of all events: clocks go back, so that it may be later than `at`, the last one's.
        self.latest = ""
        self.log_id: str | None = None
        self.initialised = 0
        self.tasks: dict[str, Task] = {}
        #: ids of the finished tasks that are kept, oldest first (a dict, for its order).
        self.finished: dict[str, None] = {}
        #: issue → its tasks that are not finished; task id → those kept here that come after it.
        self.of_issue: dict[str, list[str]] = {}
        self.successors: dict[str, list[str]] = {}
        self.attempts: dict[str, Attempt] = {}
        self.sessions: dict[str, Session] = {}
        self.repositories: dict[str, dict[str, str]] = {}
        self.daemon = Daemon()
        #: agent and model → {"until": time, "at": since when, "seq": event, "task": who met it}: the usage limit that a
        #: provider stated; with "outage" and "reason" what every task would meet (`outages`), tried again at that time.
        self.limits: dict[str, dict[str, Any]] = {}
        self.tasks_made = 0
        #: seq of the latest `session.destroyed`: what was read of an issue's earlier life before it may be stale.
        self.last_destroyed = 0
        #: seq up to which notifications were read; sink → {"upto": seq handled, "open": {delivery: entry}}.
        self.notices_read = 0
        self.outbox: dict[str, dict[str, Any]] = {}
        #: state → how many finished tasks have left the state for the log.
        self.retired: dict[str, int] = {}
        self.violations: list[dict[str, Any]] = []
        self.violations_seen = 0

    def violate(self, seq: int, text: str) -> None:
        """Note that the event ``seq`` was not what a machine or an invariant allows."""
        self.violations_seen += 1
        if len(self.violations) < VIOLATIONS_KEPT:
            self.violations.append({"seq": seq, "text": text})

    def wanted(self, task_id: str) -> bool:
        """Whether a finished task must stay: it is not completed, and one that is not finished comes after it."""
        if self.tasks[task_id].state == "completed":
            return False
        return any(later not in self.finished for later in self.successors.get(task_id, ()))

    def waiting(self) -> list[Task]:
        """The tasks that wait (pending or parked), in the order in which they are considered."""
        found = [task for task in self.tasks.values() if task.state in ("pending", "parked")]
        found.sort(key=lambda task: (-task.priority, task.order))
        return found

    def live(self, kind: str) -> list[Attempt]:
        """The live attempts of a kind, in the order in which they were claimed."""
        return [attempt for attempt in self.attempts.values() if attempt.kind == kind]

    def live_in(self, repository: str) -> list[Attempt]:
        """The live attempts that work on issues of a repository (`host/owner/repo`), in the order of their claims."""
        return [one for one in self.live("dev") if one.issue is not None and one.issue.rpartition("#")[0] == repository]


def empty() -> State:
    """The state before the first event."""
    return State()
