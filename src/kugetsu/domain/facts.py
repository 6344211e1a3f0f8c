"""The facts that decisions are made from: gathered outside, passed in, and recorded with the decision.

Annotations are evaluated here: `__required_keys__` does not see NotRequired in postponed ones.
"""

from typing import Any, NotRequired, TypedDict

from kugetsu.model.record import field, record


class AgentProblem(TypedDict):
    """Why the agent cannot be started, in one line, and the command that helps."""

    cause: str
    remedy: str


class RepositoryFacts(TypedDict, total=False):
    """What a repository has settings of its own for, in place of the facts of that name; ``max_agents``: live agents
    allowed in it (0: any number), ``timeout_hours``: after which an attempt is stopped, which no gate reads."""

    max_attempts: int
    agent: str
    issue_max_tokens: int
    issue_max_cost: float
    max_runs_without_progress: int
    max_agents: int
    timeout_hours: float


class ClaimFacts(TypedDict):
    """What the gates read beside the state.

    ``dispatcher``: ``daemon`` (the daemon asks), ``self`` (`start` dispatches its own task) or ``none`` (nobody
    does; only `why` asks so). ``agent`` is the agent and model that usage limits are known by. ``warm_before``: an
    agent that runs since before that time has done the costly part of its start. Memory and disk in MB, None when
    unknown. ``issue_max_tokens``, ``issue_max_cost`` and ``max_runs_without_progress`` are limits of an issue's whole
    life, 0 for none. ``repository_caps``: live agents allowed in a repository, ``*`` for all others.
    ``repositories``: those that have settings of their own (`task_options.facts_of`).
    ``agent_problems``: by kind of task (``dev``, ``pm``: each reads an env file of its own; `task_options.problem_key`)
    what keeps its agent from being started, as far as a look tells. ``set_back``: the log
    had an event of a time that had not come yet. ``despite_pause``: a user starts the task although the queue is
    paused. ``set_ups``: by
    repository the hash of its set-up (`events.verification.WorktreeSetUp`), if a task is parked for that;
    ``names_set_up``: a task that resumes for another set-up is recorded so, which earlier versions called ``time``.
    ``branch_heads``: by session the commit of its worktree, if a task is parked for its branch. ``host`` and ``term``,
    in a log that hosts share: who claims, with ``cap`` slots of its own; there ``repository_caps`` are of its own
    agents, and ``shared`` records the caps of all hosts that the log had, if any. What is not required was not recorded
    by the first version.
    """

    now: str
    cap: int
    cap_source: str
    cores: int
    warmup_seconds: float
    warm_before: str
    free_memory_mb: int | None
    min_free_memory_mb: int
    max_attempts: int
    agent: str
    dispatcher: str
    free_disk_mb: NotRequired[int | None]
    min_free_disk_mb: NotRequired[int]
    issue_max_tokens: NotRequired[int]
    issue_max_cost: NotRequired[float]
    max_runs_without_progress: NotRequired[int]
    repository_caps: NotRequired[dict[str, int]]
    repositories: NotRequired[dict[str, RepositoryFacts]]
    agent_problems: NotRequired[dict[str, AgentProblem]]
    set_back: NotRequired[bool]
    set_ups: NotRequired[dict[str, str]]
    names_set_up: NotRequired[bool]
    branch_heads: NotRequired[dict[str, str | None]]
    despite_pause: NotRequired[bool]
    host: NotRequired[str]
    term: NotRequired[int]
    shared: NotRequired[dict[str, str]]


class ReactionFacts(TypedDict):
    """What decides whether a turn answers feedback: the settings of the repository, ``delay_seconds`` without further
    feedback before it, and which ``kinds`` of it are answered (`verification` always is)."""

    now: str
    kinds: list[str]
    delay_seconds: float
    max_reactions: int


class Blocking(TypedDict):
    """An issue that another one depends on; ``open`` is None if it could not be read, with the ``problem``."""

    issue: str
    open: bool | None
    problem: NotRequired[str]


class IntakeFacts(TypedDict):
    """What decides whether a labelled issue is queued, as the forge shows it: its ``labels``, a hash of its title and
    text, who set the ``label`` last and when (None: the forge does not tell), what that account may do (None: the token
    may not ask), who edited the text last; and the ``labellers`` of the settings. ``blockers`` are the issues that it
    depends on, ``host`` is the host that looked, where several share the log."""

    label: str
    labels: list[str]
    body: str
    labelled_by: str | None
    labelled_at: str | None
    right: str | None
    labellers: list[str]
    edited_by: str | None
    edited_at: str | None
    blockers: list[Blocking]
    host: NotRequired[str]


class OutcomeFacts(TypedDict):
    """What decides on the consequence of an attempt's end: times in seconds, ``pause_seconds`` for a usage limit
    that states no reset time."""

    now: str
    max_attempts: int
    backoff_seconds: float
    pause_seconds: float
    agent: str


@record
class Ending:
    """How an attempt ended, as its runner (or whoever found it dead) saw it.

    ``how`` is the trigger of the attempt's machine: succeed, fail, time_out, kill or lose. ``verdict`` is what that
    means for the task: done, retry, limited, unavailable, unready, diverged, unread, give_up, cancelled or withdrawn,
    with the reason ``withdrawn`` (it is also recorded if the issue of an intake's task asked for no work any more when
    the run ended). ``resets_at`` belongs to limited and unread; ``gate`` and ``remedy`` to unavailable: what every task
    would meet (`outages`), and what ends it. ``opening`` is the pull request to open if the result is pushed work
    (`events.reviews.PullOpening`), None for none.
    ``failed_check`` is a verification that failed, as feedback for the next turn (`events.reactions.Feedback`).
    """

    how: str
    verdict: str
    reason: str
    outcome: dict[str, Any] = field(factory=dict)
    evidence: dict[str, Any] = field(factory=dict)
    exit: int | None = None
    signal: int | None = None
    tokens: int = 0
    cost: float = 0.0
    rescue: str | None = None
    rescue_failed: str | None = None
    resets_at: str | None = None
    session_lost: bool = False
    gate: str = ""
    remedy: str = ""
    opening: dict[str, Any] | None = None
    failed_check: dict[str, Any] | None = None
    withdrawn: str | None = None
