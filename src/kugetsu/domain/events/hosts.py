"""Events of the hosts that share a log. That a host is heard of is no event: heartbeats are rows beside the log."""

from __future__ import annotations

from kugetsu.domain.events.declaration import TypedDict, event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired

    from kugetsu.domain.events.declaration import Time


@event("host.joined", exempt="host", irrevocable="host_joined")
class HostJoined(TypedDict):
    """A host shares the log. ``host`` is its id (`host.host_file`), ``term`` counts its joins: of two directories with
    one id the newer term counts. ``name`` is for people, ``labels`` are what tasks may need, ``cap`` is its
    MAX_CONCURRENT_AGENTS."""

    host: str
    term: int
    name: str
    labels: list[str]
    cap: int


@event("host.draining", exempt="host", irrevocable="host_draining")
class HostDraining(TypedDict):
    """The host starts no new attempts until ``host.undrained``; those that run go on. It holds for later terms, too."""

    host: str
    term: int
    reason: str


@event("host.undrained", exempt="host", irrevocable="host_draining")
class HostUndrained(TypedDict):
    """The host may start attempts again."""

    host: str
    term: int


@event("host.left", exempt="host", irrevocable="host_gone")
class HostLeft(TypedDict):
    """The host no longer shares the log; its sessions are prepared elsewhere when they are needed."""

    host: str
    term: int
    reason: str


@event("host.lost", exempt="host", irrevocable="host_gone")
class HostLost(TypedDict):
    """The host was not heard of for too long: this append fences its ``term``, with the end of each of its attempts.
    ``silent_since``: when it was last heard of; ``by`` is the host that noticed, or None for a person who knows."""

    host: str
    term: int
    silent_since: Time | None
    by: str | None


class LeftWork(TypedDict):
    """Work of a session that is on another host by now, in its former ``worktree`` or in the ``clone`` of one that is
    gone: a ``branch`` (None: a repository in the worktree) at ``head``, the ``commits`` that no remote had (at least),
    and the branch that keeps them (``rescue``), ``pushed`` to the ``remote`` of its clone, or only here and why
    (``not_pushed``). ``problem``: what kept it from being examined, or moved. There is one for each branch."""

    session: str
    worktree: str
    branch: str | None
    head: str | None
    commits: int
    rescue: str | None
    pushed: bool
    clone: NotRequired[str]
    remote: NotRequired[str]
    not_pushed: NotRequired[str]
    problem: NotRequired[str]


@event("host.returned", exempt="host", observed=True, irrevocable="observed")
class HostReturned(TypedDict):
    """A host that was lost, or had left, is there again, and tells what its moved sessions had left there."""

    host: str
    term: int
    worktrees: list[LeftWork]
