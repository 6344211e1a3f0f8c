"""What this host knows of the others that share its log: what its relay heard last, and whether that is of now.

Small: `kugetsu status` loads it where hosts share a log.
"""

from __future__ import annotations

from kugetsu.host import host_file
from kugetsu.log.files.segments import is_shared
from kugetsu.log.shared.kept import is_kept
from kugetsu.model import clock
from kugetsu.model.record import record
from kugetsu.runtime import heard, liveness
from kugetsu.runtime.heard import Heard
from kugetsu.runtime.process import lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.state import State
    from kugetsu.host.paths import Paths

_RELAY = "relay"
"""The name of `named_lease.RELAY`, whose module `status` does not load."""
_STARTING_SECONDS = 10.0
"""Within which a daemon that was just started may not have its relay yet."""


@record
class Contact:
    """``silent``: for how many seconds each host had been silent when the database last answered; empty where nobody
    asks it. ``lack`` is None while this host's mirror is kept up to date, else "away" (the database, for ``trouble``),
    "relay" (the daemon's is not running), "daemon" (none is running) or "left" (nor can one be started); it is as of
    ``as_of`` then: the last look, or the mirror's last event. "refused": the mirror is kept up to date, and the
    database takes nothing from this host, for ``trouble``."""

    silent: dict[str, float]
    lack: str | None = None
    as_of: str | None = None
    trouble: str | None = None


def known(paths: Paths, state: State, now: str) -> Contact:
    """What there is to know without asking anybody."""
    if not is_shared(paths.log):
        return Contact({})
    last: Heard = heard.read(paths.leases)
    if lease.alive(paths.leases, _RELAY):
        silent = {host: _since_its_start(state, host, known, now) for host, known in last.silent.items()}
        if last.trouble is None:
            return Contact(silent, "refused", None, last.refused) if last.refused else Contact(silent)
        return Contact(silent, "away", last.mirrored or last.at or state.at or None, last.trouble)
    if is_kept(paths.log):
        return Contact({})
    if not liveness.daemon(paths, state):
        here = state.hosts.get(host_file.read(paths.root) or "")
        lack = "left" if here is not None and here.state == "left" else "daemon"
        return Contact({}, lack, last.mirrored or last.at or state.at or None)
    started = liveness.daemon_here(paths, state).changed_at
    if clock.seconds_between(started, now) < _STARTING_SECONDS:
        return Contact({})
    return Contact({}, "relay", last.mirrored or last.at or state.at or None)


def _since_its_start(state: State, host: str, silent: float, now: str) -> float:
    """For how many seconds a host has been silent, by the last look at the database or, if that is later, by the start
    of its daemon in the log: there it is known at once, the database is looked at only with each beat."""
    daemon = state.daemon_of(host)
    return max(min(silent, clock.seconds_between(daemon.changed_at, now)), 0.0) if daemon.runs else silent
