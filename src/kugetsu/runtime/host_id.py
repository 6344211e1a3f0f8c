"""Which host a process is of: 128 random bits in KUGETSU_DIR/host, made at the first claim.

Only its own host judges a process: a pid and a lease say nothing anywhere else, and loss of contact is not death.
"""

from __future__ import annotations

import os
from contextlib import suppress

from kugetsu.host import atomic
from kugetsu.host.paths import ownership_remedy
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.process import identity, termination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Identity
    from kugetsu.domain.state import Attempt, State
    from kugetsu.runtime.workspace import Workspace

NAME = "host"


def own(ws: Workspace) -> str:
    """This host's id; one that was deleted or emptied is taken from the log again, where that names just one host.

    Raises KugetsuError where it cannot be read or there is no place for it, OSError where it cannot be written.
    """
    path = os.path.join(ws.paths.root, NAME)
    if not (known := _read(path)):
        named = _named(ws.state())
        made = named.pop() if len(named) == 1 else os.urandom(16).hex()
        ws.paths.make(ws.paths.root)
        with suppress(FileExistsError), atomic.NewFile(path, sync=True) as new:
            new.file.write(f"{made}\n".encode())
            new.commit(overwrite=known is not None)
        known = _read(path) or made
    return known


def owns(ws: Workspace, who: Identity | None) -> bool:
    """True if a recorded process is this host's; older versions recorded no host, and knew one only."""
    host = who.get("host") if who is not None else None
    return host is None or host == own(ws)


def may_judge(ws: Workspace, attempt: Attempt) -> bool:
    """True if an attempt that seems dead is this host's and this directory's to end.

    A copied KUGETSU_DIR names the attempts of the original, whose lease nobody holds in the copy: as long as one of
    their processes works for another directory, they are that directory's.
    """
    return may_judge_lease(ws, attempt.lease, attempt.claimer, attempt.runner)


def may_judge_lease(ws: Workspace, lease: str, *holders: Identity | None) -> bool:
    """As `may_judge`, for a lease that these processes took."""
    if not all(owns(ws, holder) for holder in holders):
        return False
    others = (folder for folder in termination.directories(lease) if os.path.isdir(folder))
    return all(os.path.samefile(folder, ws.paths.root) for folder in others)


def _named(state: State) -> set[str]:
    """The hosts in the log: those of processes since this machine started, where there are any, else all."""
    known = [state.daemon.identity, *(attempt.claimer for attempt in state.attempts.values())]
    known += [session.person["holder"] for session in state.sessions.values() if session.person is not None]
    hosts = [(who["host"], who["boot"]) for who in known if who is not None and "host" in who]
    return {host for host, boot in hosts if boot == identity.boot_id()} or {host for host, _ in hosts}


def _read(path: str) -> str | None:
    """What the file holds; None if there is none."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(100).strip()
    except FileNotFoundError:
        return None
    except OSError as problem:
        remedy = ownership_remedy(path) or "make it readable, or move it away: it is made again"
        raise KugetsuError(f"cannot read {path}: {problem.strerror}", remedy) from problem
