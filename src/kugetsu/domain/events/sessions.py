"""Events of sessions: their worktrees and branches, their pull requests, what the forge said of their issues."""

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
    """A session is wanted. ``carried`` are the counters of the issue's earlier life, read from its history."""

    kind: str
    repository: str | None
    carried: NotRequired[Carried | None]


class Follows(TypedDict):
    """A fresh branch comes after a merged one: its name (``branch``), its pull request (``url``, or None), and how many
    commits it has that came after the merge (``later``, None when nobody knows)."""

    branch: str
    url: str | None
    later: NotRequired[int | None]


@event("session.preparing", exempt="agent repository source branch", irrevocable="session_made")
class SessionPreparing(TypedDict):
    """Intent: the worktree and the agent's session are about to be made."""

    repository: str | None
    source: str | None
    branch: str | None
    agent: str
    follows: NotRequired[Follows | None]


@event(
    "session.prepared",
    exempt="agent agent_session worktree source branch base_branch base_commit base_session",
    irrevocable="session_made",
)
class SessionPrepared(TypedDict):
    """Outcome: worktree and agent session are there. ``notes`` are sentences on what is not as one would expect.

    ``follows``: that of the intent, or of an earlier one that got no outcome."""

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
    notes: NotRequired[list[str]]
    follows: NotRequired[Follows | None]


@event("session.broken", irrevocable="found_broken")
class SessionBroken(TypedDict):
    """The session cannot be used as it is; it is prepared anew before the next attempt."""

    reason: str


@event("session.rescued", irrevocable="work_saved")
class SessionRescued(TypedDict):
    """The work of an earlier attempt (``of``), which could not be saved when that ended, is on ``branch`` now; None:
    nothing of it was left."""

    branch: str | None
    of: str


@event("session.destroying", irrevocable="removal_begun")
class SessionDestroying(TypedDict):
    """Intent: worktree and agent session are about to be removed."""

    force: bool
    reason: str


@event(
    "session.destroyed",
    exempt="worktree branch rescue",
    irrevocable="worktree_gone",
)
class SessionDestroyed(TypedDict):
    """Outcome: what was removed, what was kept where. ``ignored``: files that git ignores or was told to overlook, and
    that a forced removal deleted; no branch has them."""

    worktree: str | None
    branch: str | None
    rescue: str | None
    kept: list[str]
    ignored: NotRequired[list[str]]


@event("session.pr", undoable=True, irrevocable="pr_unchanged")
class SessionPr(TypedDict):
    """A pull request belongs to the session (none, when ``url`` is None). ``source``: ``said`` with the request for
    work, ``set-pr``, found by the ``branch`` before or after a run, or ``undo``; absent where nobody recorded it."""

    url: str | None
    source: NotRequired[str]


@event(
    "issue.read",
    observed=True,
    irrevocable="forge_answered",
)
class IssueRead(TypedDict):
    """What the forge said of the issue before a run; ``problem`` is why it could not be read. The texts themselves are
    in the run's prompt: ``digest`` is the SHA-256 of what was read."""

    title: str | None
    state: str | None
    comments: int
    url: str | None
    digest: str | None
    problem: str | None
