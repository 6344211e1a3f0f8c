"""Events of attempts: from the claim of a slot to the outcome, and the cleanup."""

from __future__ import annotations

from kugetsu.domain.events.declaration import ALL, Identity, TypedDict, event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NotRequired

    from kugetsu.domain.events.declaration import Event, Time


@event("attempt.claimed", exempt=ALL, irrevocable="agent_started")
class AttemptClaimed(TypedDict):
    """A slot is allocated: this append is the claim. ``agent`` are the task's own agent and model, if these are not
    those of the settings, which are in the facts."""

    number: int
    kind: str
    slot: int | None
    lease: str
    claimer: Identity | None
    live: list[str]
    agent: NotRequired[str]


@event("claim.lost", folded=False, irrevocable="nothing_changed")
class ClaimLost(TypedDict):
    """A claimer that saw every gate open found one closed under the lock. ``to`` is the attempt that was faster, if
    any; ``behind_seq`` the event that closed the gate. The task is named if it is in the queue; a `start` that lost
    made none. ``planned`` in the facts is the seq of the state that it saw. ``reason`` and ``values`` as in
    `tasks.TaskHeld`."""

    gate: str
    reason: str
    values: NotRequired[dict[str, Any]]
    to: str | None
    behind_seq: int


@event("attempt.starting", exempt=ALL, irrevocable="agent_started")
class AttemptStarting(TypedDict):
    """The runner is running, and about to prepare and spawn."""

    runner: Identity


@event("attempt.running", exempt=ALL, irrevocable="agent_started")
class AttemptRunning(TypedDict):
    """The agent's process is running."""

    agent: Identity
    agent_session: str
    worktree: str
    program: str


@event(
    "attempt.stop_requested",
    irrevocable="agent_stopped",
)
class AttemptStopRequested(TypedDict):
    """Intent: end the agent, and why."""

    reason: str


class Unfinished(TypedDict, total=False):
    """Interrupted model calls, and the most tokens that they may have used, if known."""

    unfinished_calls: int | None
    unfinished_tokens: int | None


class Outcome(TypedDict, total=False):
    """The agent's own outcome of an attempt."""

    kind: str | None
    reason: str | None
    final_text: str | None
    error: str | None
    notes: list[str] | None
    details: Unfinished | None


class PullSeen(TypedDict, total=False):
    """A pull request as the forge described it after the attempt; ``over_at`` is when it ended, where that ends what
    waits for it."""

    number: int | None
    state: str | None
    url: str | None
    checks: str | None
    draft: bool | None
    mergeable: bool | None
    later: int | None
    foreign: int | None
    over_at: Time | None


class RefusedPush(TypedDict):
    """Why the server refused a push: a code, and the server's own words."""

    code: str
    words: str


class SetUp(TypedDict, total=False):
    """Why the worktree could not be made ready (`events.verification.WorktreeSetUp`): no agent was started."""

    code: str
    command: str | None
    exit: int | None
    seconds: float | None
    problem: str | None
    tail: str | None
    supplied: str | None


class Verification(TypedDict, total=False):
    """VERIFY_COMMAND on the committed work, in a clean checkout of ``commit``. ``code`` is ``passed``, ``failed``,
    ``timed_out``, ``nothing_ran`` (it says that it executed nothing), ``base_failed`` (it fails on the base commit,
    too), ``set_up_failed`` or ``not_run``; ``tail`` the end of its output, ``output`` the file that has all of it.
    ``seconds`` is how long the command ran, ``began`` and ``ended`` when all of it did: the checkout, its set-up, and
    the base commit's verification."""

    code: str
    command: str | None
    sha: str | None
    commit: str | None
    tree: str | None
    exit: int | None
    seconds: float | None
    tail: str | None
    output: str | None
    why: str | None
    began: Time | None
    ended: Time | None


class ResultVerification(TypedDict, total=False):
    """What a result says of its verification, and of which commit."""

    code: str
    exit: int | None
    seconds: float | None
    commit: str | None


class WorkElsewhere(TypedDict, total=False):
    """Where the work of an attempt is whose host was lost: on ``host``, in ``worktree``; ``head`` is the last commit
    that the log knows, ``pushed`` whether all was on a remote then."""

    host: str
    worktree: str | None
    branch: str | None
    head: str | None
    pushed: bool | None


class Divergence(TypedDict):
    """Why a run did not begin: its ``branch`` in the ``worktree`` is at the commit ``here`` and on the ``remote`` at
    ``there``, to which others pushed. ``kind``: ``parted``, each has commits of its own; ``in_the_way``, files that are
    not committed are in the way of a fast-forward."""

    kind: str
    branch: str
    remote: str
    here: str
    there: str
    worktree: str


class Evidence(TypedDict, total=False):
    """The evidence of git, the forge and the process on an attempt. ``to_verify``: VERIFY_COMMAND was set, and the work
    was not verified because of how the run ended."""

    commits: int | None
    dirty: int | None
    untracked: int | None
    pushed: bool | None
    ahead: int | None
    head: str | None
    head_before: str | None
    comments: int | None
    pull: PullSeen | None
    forge_problem: str | None
    branch: str | None
    files: int | None
    added: int | None
    removed: int | None
    comments_before: int | None
    answer_url: str | None
    findings: str | None
    refused_push: RefusedPush | None
    elsewhere: str | None
    set_up: SetUp | None
    diverged: Divergence | None
    verification: Verification | None
    to_verify: bool
    work: WorkElsewhere | None


class ResultPull(TypedDict, total=False):
    """The pull request of a result."""

    number: int | None
    url: str | None
    state: str | None
    checks: str | None
    draft: bool | None


class Result(TypedDict):
    """What came of an attempt, decided from its evidence (`domain.results`).

    ``commits``, ``files``, ``added`` and ``removed`` are the work against its base commit; ``ahead`` counts commits
    that no remote has; ``uncommitted`` counts files; ``branch`` has the work. ``foreign``: commits in the pull request
    that no run of the session made; ``later``: commits after its merge, in no pull request; ``elsewhere``: another
    checkout that has the run's commits. ``answer`` is a comment's URL or a file's path; ``unseen`` why the forge could
    not be asked; ``said`` the agent's last sentence, of a question the one that asks; ``verification`` what
    VERIFY_COMMAND said of the committed work.
    """

    kind: str
    commits: NotRequired[int]
    ahead: NotRequired[int]
    files: NotRequired[int]
    added: NotRequired[int]
    removed: NotRequired[int]
    uncommitted: NotRequired[int]
    branch: NotRequired[str]
    pull: NotRequired[ResultPull]
    foreign: NotRequired[int]
    later: NotRequired[int]
    elsewhere: NotRequired[str]
    refused: NotRequired[RefusedPush]
    answer: NotRequired[str]
    unseen: NotRequired[str]
    said: NotRequired[str]
    verification: NotRequired[ResultVerification]


def _with_result(event: Event) -> Event:
    from kugetsu.domain.results import result_of  # old logs only

    data = event["data"]
    result = result_of(event["type"], data["outcome"], data["evidence"])
    return {**event, "v": 2, "data": {**data, "result": result}}


@event(
    "attempt.succeeded",
    "attempt.failed",
    "attempt.timed_out",
    "attempt.killed",
    "attempt.lost",
    version=2,
    upcasters={1: _with_result},
    since={"result": 2},
    exempt="rescue exit signal tokens cost",
    irrevocable="agent_worked",
)
class AttemptEnded(TypedDict):
    """How an attempt ended: by the agent's output (``outcome``), and by git and the process (``evidence``); ``result``
    is what came of it.

    ``rescue`` is the branch that keeps its uncommitted or unpushed work, ``rescue_failed`` why there is none."""

    reason: str
    outcome: Outcome
    evidence: Evidence
    result: Result
    exit: int | None
    signal: int | None
    tokens: int
    cost: float
    rescue: str | None
    rescue_failed: NotRequired[str]


@event("attempt.late", exempt="rescue", irrevocable="agent_worked")
class AttemptLate(TypedDict):
    """What came of an attempt after its host was lost and its task given away: it counts for the issue, and changes
    nothing else."""

    reason: str
    evidence: Evidence
    tokens: int
    cost: float
    rescue: str | None


@event("attempt.unsettled", irrevocable="observed")
class AttemptUnsettled(TypedDict):
    """The attempt is dead, but its end cannot be recorded yet; recorded again if the reason changes."""

    reason: str


@event(
    "attempt.continued",
    observed=True,
    folded=False,
    irrevocable="process_continued",
)
class AttemptContinued(TypedDict):
    """The attempt's runner was stopped (SIGSTOP) past the attempt's time limit, and was sent SIGCONT."""

    runner: Identity
    overdue_seconds: float


@event("orphans.ended", observed=True, folded=False, irrevocable="processes_ended")
class OrphansEnded(TypedDict):
    """Processes that outlived their agent were ended."""

    signalled: int
    killed: int


@event("lock.removed", observed=True, folded=False, irrevocable="lock_removed")
class LockRemoved(TypedDict):
    """A lock file left by a dead git in the worktree's record was removed; its age then."""

    path: str
    age_seconds: float
