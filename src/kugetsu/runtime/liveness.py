"""What lives: asked of the leases, never of the log alone; a few microseconds each, so `status` can ask for all."""

from __future__ import annotations

import os

from kugetsu.runtime.process import identity, lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.state import Attempt, State
    from kugetsu.paths import Paths


def of(paths: Paths, attempt: Attempt) -> bool:
    """Whether the attempt's runner or agent lives (somebody holds its lease)."""
    return lease.alive(paths.leases, attempt.lease)


def daemon(paths: Paths, state: State) -> bool:
    """Whether a daemon runs or drains: one that the log names, and that lives.

    A file that somebody deleted says nothing of its lock: then the process itself is asked for.
    """
    held, who = state.daemon.lease, state.daemon.identity
    if held is None or not state.daemon.runs:
        return False
    if lease.alive(paths.leases, held):
        return True
    return who is not None and not os.path.lexists(paths.lease(held)) and identity.alive(who)
