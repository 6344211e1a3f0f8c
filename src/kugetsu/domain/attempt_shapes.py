"""What the data of events about attempts hold: from the claim of a slot to the outcome, and what it left behind.

Annotations are evaluated here, as in `events`.
"""

from typing import Any, NotRequired, TypedDict


class Identity(TypedDict):
    """A process: the boot it runs in, its pid, its start (clock ticks since boot; macOS: epoch seconds)."""

    boot: str
    pid: int
    start: int


class AttemptClaimed(TypedDict):
    """A slot is allocated: this append is the claim."""

    number: int
    kind: str
    slot: int | None
    lease: str
    claimer: Identity
    live: list[str]


class ClaimLost(TypedDict):
    """Who wanted a slot and saw every gate open found one closed under the lock: somebody was faster. ``to`` is the
    attempt that was, when one was; ``behind_seq`` the event that closed the gate. The task is named when it is in the
    queue; a `start` that lost made none. The seq of the look is ``planned`` in the facts."""

    gate: str
    reason: str
    to: str | None
    behind_seq: int


class AttemptStarting(TypedDict):
    """The runner is there and about to prepare and spawn."""

    runner: Identity


class AttemptRunning(TypedDict):
    """The agent's process runs."""

    agent: Identity
    agent_session: str
    worktree: str
    program: str


class AttemptStopRequested(TypedDict):
    """Intent: the agent is about to be ended; why."""

    reason: str


class AttemptEnded(TypedDict):
    """How an attempt ended: what the agent said (``outcome``), and what git and the process show (``evidence``).

    ``rescue`` is the branch that keeps its uncommitted or unpushed work, ``rescue_failed`` why there is none."""

    reason: str
    outcome: dict[str, Any]
    evidence: dict[str, Any]
    exit: int | None
    signal: int | None
    tokens: int
    cost: float
    rescue: str | None
    rescue_failed: NotRequired[str]


class AttemptUnsettled(TypedDict):
    """The attempt is dead, and something keeps its end from being recorded; told when the reason changes."""

    reason: str


class AttemptContinued(TypedDict):
    """The attempt's runner was stopped (SIGSTOP) past the attempt's time limit, and got SIGCONT."""

    runner: Identity
    overdue_seconds: float


class OrphansEnded(TypedDict):
    """Processes that outlived their agent were ended."""

    signalled: int
    killed: int


class LockRemoved(TypedDict):
    """A lock file that a dead git left in the worktree's record was removed; its age when it was."""

    path: str
    age_seconds: float
