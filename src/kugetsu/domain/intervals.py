"""When tasks waited and for what, when attempts ran, when a daemon was there: the intervals of a log, which
`interval_fold` makes of its events. All times are microseconds since 1970 UTC, and never go back.

A task waits from the event that queues it (again) to its claim or its end. Every moment of that has one reason, its
*hold*: the gate that closed its way, `TURN` when no gate is recorded (until a dispatcher takes the task), or `DAEMON`
while none runs and only a dispatcher could have gone on.
"""

from __future__ import annotations

from typing import Any

from kugetsu.domain import gates
from kugetsu.domain.phases import Phase
from kugetsu.model.record import record

MICRO = 1_000_000
#: The gate of a hold when nothing is recorded that holds the task, and when no daemon ran.
TURN = "turn"
DAEMON = "daemon"
#: Recorded gates that only a daemon opens: while none runs, it is the daemon that is waited for.
OF_DAEMON = frozenset((TURN, DAEMON, "agent", *gates.FULL))


@record
class Hold:
    """A part of a task's wait with one reason. ``recorded`` is the gate as recorded, ``gate`` the one that counts.

    ``seq`` is the event it began with, ``due`` when its gate opens by itself. ``owed``: nothing holds the task, and a
    daemon that lives answers at once. ``reason`` is a gate's code with ``values``, words without (`events.tasks`).
    """

    task: str
    issue: str | None
    recorded: str
    since: int
    seq: int
    reason: str = ""
    due: int | None = None
    parked: bool = False
    owed: bool = False
    gate: str = ""
    until: int | None = None
    values: dict[str, Any] | None = None


@record
class Wait:
    """A task's time in the queue. ``begun`` is the kind of the event ``seq`` that it began with."""

    task: str
    since: int
    seq: int
    begun: str
    hold: Hold
    until: int | None = None


@record
class Run:
    """An attempt, from its claim (``seq``) to its end (``end_seq``); ``ran`` is when its agent began to work. ``slot``
    is None for the PM agent, ``wait`` is the wait that the claim ended, ``host`` the id of the host that claimed it, if
    recorded."""

    attempt: str
    task: str
    issue: str | None
    slot: int | None
    since: int
    seq: int
    wait: Wait | None = None
    ran: int | None = None
    until: int | None = None
    end: str | None = None
    end_seq: int = 0
    reason: str = ""
    #: What came of it (`events.attempts.Result`).
    result: dict[str, Any] | None = None
    #: When its worktree was made ready, and its work verified, if they were.
    set_up: Phase | None = None
    verified: Phase | None = None
    host: str = ""


@record
class Shift:
    """A time in which a daemon was there: ``running`` or ``draining``; ``end`` is what ended it."""

    state: str
    since: int
    seq: int
    until: int | None = None
    end: str | None = None


Interval = Hold | Wait | Run | Shift
