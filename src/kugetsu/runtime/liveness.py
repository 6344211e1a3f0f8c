"""What lives: asked of the leases, never of the log alone; a few microseconds each, so `status` can ask for all."""

from __future__ import annotations

from kugetsu.runtime.process import lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.state import Attempt, State
    from kugetsu.paths import Paths


def of(paths: Paths, attempt: Attempt) -> bool:
    """Whether the attempt's runner or agent lives (somebody holds its lease)."""
    return lease.alive(paths.leases, attempt.lease)


def daemon(paths: Paths, state: State) -> bool:
    """Whether the daemon that the log names lives."""
    held = state.daemon.lease
    return held is not None and lease.alive(paths.leases, held)
