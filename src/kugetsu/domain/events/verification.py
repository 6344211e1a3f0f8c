"""Events of set-up and verification: what made a worktree ready, whether a base commit passes, and whether work passes
whose run did not tell."""

from __future__ import annotations

from kugetsu.domain.events.declaration import TypedDict, event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired

    from kugetsu.domain.events.declaration import Time


@event("worktree.set_up", exempt="sha worktree code supplied", observed=True, irrevocable="observed")
class WorktreeSetUp(TypedDict):
    """A worktree was made ready before the agent. ``sha`` is a hash of what was to be done (command line, patterns):
    another one does it again. ``code`` is ``done`` or why not: ``failed`` (the command's ``exit``), ``timed_out``,
    ``changed`` (what the repository supplies is not accepted, see `SetUpAccepted`), ``copy``, ``submodules``,
    ``large_files``; ``notes`` are for people. ``supplied`` is the hash of what the repository supplies, ``lines`` what
    that is if it is not accepted."""

    worktree: str
    sha: str
    code: str
    command: str | None
    exit: int | None
    seconds: float
    copied: int
    notes: list[str]
    problem: NotRequired[str]
    supplied: NotRequired[str]
    lines: NotRequired[list[str]]


@event("setup.accepted", exempt="repository sha", irrevocable="set_up_accepted")
class SetUpAccepted(TypedDict):
    """What a repository itself supplies to the set-up of its worktrees (`worktree_setup.supplied`: ``lines``, with the
    hash ``sha``) may be used from now on: it was the ``first`` seen, or a person accepts it."""

    repository: str
    sha: str
    lines: list[str]
    first: bool


@event("base.verified", exempt="repository commit sha code", irrevocable="observed")
class BaseVerified(TypedDict):
    """VERIFY_COMMAND ran on the base ``commit`` of a repository, once for each ``sha`` (a hash of command and set-up):
    ``code`` as `events.attempts.Verification`. One that fails runs again before it is believed: ``tries`` in a row
    failed."""

    repository: str
    commit: str
    sha: str
    code: str
    exit: int | None
    seconds: float
    tries: NotRequired[int]


@event("work.verifying", exempt="commit sha", irrevocable="observed")
class WorkVerifying(TypedDict):
    """Intent of the daemon: verify the last ``commit`` of a session, whose verification was not run, for the
    ``tries``-th time with this ``sha`` (a hash of command and set-up)."""

    commit: str
    sha: str
    command: str
    tries: int


@event("work.verified", exempt="commit sha code", irrevocable="observed")
class WorkVerified(TypedDict):
    """What a later verification says of a session's ``commit`` (`events.attempts.Verification`): the daemon's, or
    ``by_hand`` (`kugetsu verify`); ``not_asked``: VERIFY_COMMAND was removed before it was verified. ``given_up``: it
    says nothing of the work, and the daemon, which has tried so often, verifies it no more; else it tries again, not
    before ``not_before``."""

    commit: str
    sha: str
    code: str
    command: str
    exit: int | None
    seconds: float | None
    tree: str | None
    why: str | None
    tail: str | None
    by_hand: bool
    given_up: NotRequired[int]
    not_before: NotRequired[Time]
