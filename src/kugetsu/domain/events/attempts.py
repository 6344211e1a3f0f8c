"""Events of attempts: from the claim of a slot to the outcome, and what it left behind."""

from __future__ import annotations

from kugetsu.domain.events.declaration import ALL, TypedDict, event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired

    from kugetsu.domain.events.declaration import Safe

#: Of an attempt that is live: `undo` says of one that has ended that it has.
LIVE = ("an agent was started for it", "to stop it: kugetsu queue cancel {task}")


class Identity(TypedDict):
    """A process: the boot it runs in, its pid, its start (clock ticks since boot; macOS: epoch seconds).

    ``host`` is the id of its host (`runtime.host_id`); older versions did not record it.
    """

    boot: str
    pid: Safe
    start: Safe
    host: NotRequired[str]


@event("attempt.claimed", exempt=ALL, irrevocable=LIVE)
class AttemptClaimed(TypedDict):
    """A slot is allocated: this append is the claim."""

    number: int
    kind: str
    slot: int | None
    lease: str
    claimer: Identity | None
    live: list[str]


@event("claim.lost", folded=False, irrevocable=("it changed nothing", None))
class ClaimLost(TypedDict):
    """A claimer that had seen every gate open found one closed under the lock. ``to`` is the attempt that was faster,
    when one was; ``behind_seq`` the event that closed the gate. The task is named when it is in the queue; a `start`
    that lost made none. The seq of the state that it had seen is ``planned`` in the facts."""

    gate: str
    reason: str
    to: str | None
    behind_seq: int


@event("attempt.starting", exempt=ALL, irrevocable=LIVE)
class AttemptStarting(TypedDict):
    """The runner is there and about to prepare and spawn."""

    runner: Identity


@event("attempt.running", exempt=ALL, irrevocable=LIVE)
class AttemptRunning(TypedDict):
    """The agent's process runs."""

    agent: Identity
    agent_session: str
    worktree: str
    program: str


@event(
    "attempt.stop_requested",
    irrevocable=("the agent was told to stop", "to run it again: kugetsu queue retry {task}"),
)
class AttemptStopRequested(TypedDict):
    """Intent: the agent is about to be ended; why."""

    reason: str


class Unfinished(TypedDict, total=False):
    """Model calls that were cut off, and the most tokens that they may have used, where that is known."""

    unfinished_calls: int | None
    unfinished_tokens: int | None


class Outcome(TypedDict, total=False):
    """What the agent said at the end of an attempt."""

    kind: str | None
    reason: str | None
    final_text: str | None
    error: str | None
    notes: list[str] | None
    details: Unfinished | None


class PullSeen(TypedDict, total=False):
    """A pull request as the forge described it after the attempt."""

    number: int | None
    state: str | None
    url: str | None


class Evidence(TypedDict, total=False):
    """What git, the forge and the process show of an attempt."""

    commits: int | None
    dirty: int | None
    untracked: int | None
    pushed: bool | None
    head: str | None
    comments: int | None
    pull: PullSeen | None


@event(
    "attempt.succeeded",
    "attempt.failed",
    "attempt.timed_out",
    "attempt.killed",
    "attempt.lost",
    exempt="rescue exit signal tokens cost",
    irrevocable=(
        "the work of an agent cannot be undone",
        "its commits are in git: kugetsu history {attempt}; to run it again: kugetsu queue retry {task}",
    ),
)
class AttemptEnded(TypedDict):
    """How an attempt ended: what the agent said (``outcome``), and what git and the process show (``evidence``).

    ``rescue`` is the branch that keeps its uncommitted or unpushed work, ``rescue_failed`` why there is none."""

    reason: str
    outcome: Outcome
    evidence: Evidence
    exit: int | None
    signal: int | None
    tokens: int
    cost: float
    rescue: str | None
    rescue_failed: NotRequired[str]


@event("attempt.unsettled", irrevocable=("it records what was seen", None))
class AttemptUnsettled(TypedDict):
    """The attempt is dead, and something keeps its end from being recorded; told when the reason changes."""

    reason: str


@event(
    "attempt.continued",
    observed=True,
    folded=False,
    irrevocable=("a process goes on", "to end it: kugetsu queue cancel {task}"),
)
class AttemptContinued(TypedDict):
    """The attempt's runner was stopped (SIGSTOP) past the attempt's time limit, and got SIGCONT."""

    runner: Identity
    overdue_seconds: float


@event("orphans.ended", observed=True, folded=False, irrevocable=("ended processes cannot be brought back", None))
class OrphansEnded(TypedDict):
    """Processes that outlived their agent were ended."""

    signalled: int
    killed: int


@event("lock.removed", observed=True, folded=False, irrevocable=("the git that held the lock is dead", None))
class LockRemoved(TypedDict):
    """A lock file that a dead git left in the worktree's record was removed; its age when it was."""

    path: str
    age_seconds: float
