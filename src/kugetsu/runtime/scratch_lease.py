"""The lease of a command that works in a clean checkout without an attempt (`git.scratch`), and what killed ones left.

Whatever the command starts carries the mark of the lease, and does not hold it: so the lease is free when the command
is killed, and whoever comes next ends what still runs (`forget_killed`).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from kugetsu.runtime.git import scratch
from kugetsu.runtime.process import own_mark, termination
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.workspace import Workspace


@contextlib.contextmanager
def hold(ws: Workspace) -> Iterator[Lease]:
    """A lease of this process. At the end, what it started is ended and its checkouts are removed; orphans that have
    cleared their environment too, because this process adopts them from now on."""
    termination.become_subreaper()
    before = termination.below(os.getpid())
    held = Lease.create(ws.paths.make(ws.paths.leases))
    with own_mark.borne(held.nonce):
        try:
            yield held
        finally:
            termination.end(held.nonce, ws.config.number("KILL_GRACE_SECONDS"), root=os.getpid(), spare=before)
            scratch.remove(ws.paths, held.nonce)
            held.release()


@contextlib.contextmanager
def typed(ws: Workspace) -> Iterator[Lease]:
    """As `hold`, for a command of a person: SIGTERM and SIGHUP raise KeyboardInterrupt meanwhile."""
    before = [(number, signal.signal(number, signal.default_int_handler)) for number in (signal.SIGTERM, signal.SIGHUP)]
    try:
        with hold(ws) as held:
            yield held
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def forget_killed(ws: Workspace) -> None:
    """Remove the checkouts whose users were killed, once what still runs there has ended."""
    for nonce in scratch.left_over(ws.paths, ws.state().leases()):
        forget(ws, nonce)


def forget(ws: Workspace, nonce: str) -> bool:
    """End what still runs in the checkout of a killed user, and remove it; whether it is gone."""
    termination.end(nonce, ws.config.number("KILL_GRACE_SECONDS"))
    return scratch.remove(ws.paths, nonce)
