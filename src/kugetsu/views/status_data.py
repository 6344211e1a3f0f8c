"""What `kugetsu status --json` prints."""

from __future__ import annotations

from typing import TypedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.runtime.query.forge_looks import ForgeLook
    from kugetsu.runtime.query.points import Asked
    from kugetsu.views.asking import Asking
    from kugetsu.views.attached import AttachedData


class AgentData(TypedDict):
    """One live attempt. ``slot`` is null for the PM agent; ``alive`` is false when its process is gone and
    nobody has recorded that yet, null when that cannot be known, as of another host's; ``host`` is the name of its
    host in a log that hosts share; ``since`` is the time of its claim."""

    slot: int | None
    attempt: str
    task: str
    issue: str | None
    state: str
    alive: bool | None
    host: str | None
    stopping: str | None
    since: str
    tokens: int
    cost: float
    last: str | None
    last_at: str | None


class DaemonData(TypedDict):
    """``state`` is running, draining, stopped or lost (the log calls it running, but its process is gone)."""

    state: str
    pid: int | None
    since: str | None


class HostData(TypedDict):
    """A host that shares the log; ``silent_seconds`` is for how long it was not heard of, null when nobody can tell."""

    host: str
    name: str
    state: str
    since: str
    here: bool
    live: int
    cap: int
    daemon: str
    silent_seconds: float | None


class NextData(TypedDict):
    """The next task that starts, and what it waits for; ``gate`` null: it may start now."""

    task: str | None
    gate: str | None
    reason: str
    until: str | None


class Attention(TypedDict):
    """Something that needs attention, and the command that helps."""

    subject: str
    state: str
    text: str
    command: str


class StatusData(TypedDict):
    """`kugetsu status --json`. All times are UTC."""

    initialised: bool
    directory: str
    now: str
    seq: int
    daemon: DaemonData
    cap: int
    live: int
    agents: list[AgentData]
    attached: list[AttachedData]
    queue: dict[str, int]
    unacknowledged: int
    next: NextData
    asks: Asking
    to_review: Asking
    attention: list[Attention]
    forges: list[ForgeLook]
    hosts: list[HostData]
    as_of: Asked | None
