"""Events of sessions: their worktrees and branches, their pull requests, and their issues on the forge."""

from __future__ import annotations

from kugetsu.domain.events.declaration import Carried, TypedDict, event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired


@event(
    "session.requested",
    exempt="kind repository carried",
    irrevocable="name_reserved",
)
class SessionRequested(TypedDict):
    """A session is requested. ``carried`` are the counters of the issue's earlier sessions, from its history."""

    kind: str
    repository: str | None
    carried: NotRequired[Carried | None]


class Follows(TypedDict):
    """The merged branch that a fresh one follows: its name (``branch``), its pull request (``url``, or None), and the
    number of its commits after the merge (``later``, None if unknown)."""

    branch: str
    url: str | None
    later: NotRequired[int | None]


@event("session.preparing", exempt="agent repository source branch", irrevocable="session_made")
class SessionPreparing(TypedDict):
    """Intent: make the worktree and the agent's session."""

    repository: str | None
    source: str | None
    branch: str | None
    agent: str
    follows: NotRequired[Follows | None]


@event(
    "session.prepared",
    exempt="agent agent_session worktree source branch base_branch base_commit base_session host",
    irrevocable="session_made",
)
class SessionPrepared(TypedDict):
    """Outcome: worktree and agent session exist, on ``host`` (`runtime.host_id`). ``notes`` are sentences on anything
    unexpected.

    ``follows``: that of the intent, or of an earlier one without an outcome."""

    agent: str
    agent_session: str
    worktree: str
    source: str | None
    branch: str | None
    base_branch: str | None
    base_commit: str | None
    base_session: str | None
    created: bool
    fetched: str
    host: NotRequired[str]
    notes: NotRequired[list[str]]
    follows: NotRequired[Follows | None]


@event("session.broken", irrevocable="found_broken")
class SessionBroken(TypedDict):
    """The session cannot be used as it is; it is prepared again before the next attempt."""

    reason: str


@event("session.rescued", irrevocable="work_saved")
class SessionRescued(TypedDict):
    """The work of an earlier attempt (``of``), which could not be saved when that ended, is now on ``branch``; None if
    none of it was left."""

    branch: str | None
    of: str


@event("session.forwarded", exempt="branch was head", irrevocable="observed")
class SessionForwarded(TypedDict):
    """Before a run, the worktree was fast-forwarded from the commit ``was`` to ``head``, to which others had pushed its
    ``branch``: ``commits`` of them."""

    branch: str
    was: str
    head: str
    commits: int


@event("session.destroying", irrevocable="removal_begun")
class SessionDestroying(TypedDict):
    """Intent: remove the worktree and the agent session."""

    force: bool
    reason: str


@event(
    "session.destroyed",
    exempt="worktree branch rescue",
    irrevocable="worktree_gone",
)
class SessionDestroyed(TypedDict):
    """Outcome: what was removed, and what was kept where. ``ignored``: files ignored or overlooked by git that a forced
    removal deleted; no branch has them."""

    worktree: str | None
    branch: str | None
    rescue: str | None
    kept: list[str]
    ignored: NotRequired[list[str]]


@event("session.pr", undoable=True, irrevocable="pr_unchanged")
class SessionPr(TypedDict):
    """A pull request was tied to the session (``url`` None: untied). ``source``: ``said`` (given with the request for
    work), ``set-pr``, ``branch`` (found by the branch before or after a run) or ``undo``; absent in older events."""

    url: str | None
    source: NotRequired[str]


@event(
    "issue.read",
    observed=True,
    irrevocable="forge_answered",
)
class IssueRead(TypedDict):
    """The issue on the forge before a run; ``problem`` is why it could not be read. The texts themselves are in the
    run's prompt: ``digest`` is the SHA-256 of them."""

    title: str | None
    state: str | None
    comments: int
    url: str | None
    digest: str | None
    problem: str | None
