"""What lives, by its lease and not by the log alone; a few microseconds each, so `status` can check everything."""

from __future__ import annotations

import os

from kugetsu.host import proc
from kugetsu.runtime.process import identity, lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from kugetsu.domain.state import Attempt, State
    from kugetsu.host.paths import Paths


def of(paths: Paths, attempt: Attempt) -> bool:
    """Whether the attempt's runner or agent lives (somebody holds its lease)."""
    return lease.alive(paths.leases, attempt.lease)


def daemon(paths: Paths, state: State) -> bool:
    """Whether the daemon that the log names is running or draining.

    If its lease file was deleted, the process itself is checked.
    """
    held, who = state.daemon.lease, state.daemon.identity
    if held is None or not state.daemon.runs:
        return False
    if lease.alive(paths.leases, held):
        return True
    return who is not None and not lease.exists(paths.leases, held) and identity.alive(who)


def daemon_environment(state: State) -> Mapping[str, str] | None:
    """The environment that the living daemon was started in; None if the system does not show it.

    Its agents start from there, so their PATH may differ from this command's.
    """
    who = state.daemon.identity
    if who is None or not identity.alive(who):
        return None
    environ = proc.environ(who["pid"])
    if not environ:
        return None
    pairs = os.fsdecode(environ).split("\0")
    from kugetsu.runtime.workspace import outside

    return outside(dict(pair.split("=", 1) for pair in pairs if "=" in pair))
