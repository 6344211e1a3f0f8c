"""Which host something is of: its id (`host.host_file`) is made at the first claim.

Only its own host judges a process: a pid and a lease say nothing anywhere else, and loss of contact is not death. So
it is with folders: the path of another host's worktree may exist here, and is another thing.
"""

from __future__ import annotations

import os
import re

from kugetsu.host import host_file
from kugetsu.model.errors import Conflict, KugetsuError
from kugetsu.model.record import replace
from kugetsu.runtime.process import identity, lease, termination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Identity
    from kugetsu.domain.state import Attempt, Session, State
    from kugetsu.runtime.workspace import Workspace

_SSH_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def own(ws: Workspace) -> str:
    """This host's id; one that was deleted or emptied is taken from the log again, where that names just one host.

    Raises KugetsuError where it cannot be read or there is no place for it, OSError where it cannot be written.
    """
    known = host_file.read(ws.paths.root)
    if known:
        return known
    named = _named(ws.state())
    made = named.pop() if len(named) == 1 else os.urandom(16).hex()
    ws.paths.make(ws.paths.root)
    return host_file.write(ws.paths.root, made)


def own_name(ws: Workspace) -> str:
    """What this host calls itself to the others that share its log."""
    return ws.config.text("HOST_NAME") or os.uname().nodename


def is_own(ws: Workspace, host: str | None) -> bool:
    """True if a recorded host is this one; older versions recorded none, and knew one only. An exported log is of
    another place."""
    return host is None or (ws.foreign is None and host == own(ws))


def sharing(ws: Workspace, state: State) -> str | None:
    """This host's id in a log that hosts share; None while the log is its own."""
    return own(ws) if state.hosts else None


def owns(ws: Workspace, who: Identity | None) -> bool:
    """True if a recorded process is this host's."""
    return is_own(ws, who.get("host") if who is not None else None)


def as_seen_here(ws: Workspace, session: Session) -> Session:
    """The session as far as this host has it: without another host's folders, agent session and unsaved work."""
    if is_own(ws, session.host):
        return session
    return replace(session, worktree=None, source=None, agent_session=None, unsaved=None)


def session_here(ws: Workspace, key: str) -> Session | None:
    """The session of that key `as_seen_here`: while it is prepared on this host, the log has it on another one, whose
    folder may have the same name as one that is here."""
    session = ws.state().sessions.get(key)
    return as_seen_here(ws, session) if session is not None else None


def require_home(ws: Workspace, session: Session, what: str) -> None:
    """As `require_here`, except for a session that any host may prepare: the one that has it is lost, or has left."""
    known = ws.state().hosts.get(session.host or "")
    if known is None or known.takes_part:
        require_here(ws, session, what)


def require_here(ws: Workspace, session: Session, what: str) -> None:
    """Raise Conflict if another host has the session's worktree; ``what`` is the command to run there."""
    if is_own(ws, session.host):
        return
    state = ws.state()
    known, where = state.hosts.get(session.host or ""), name_of(state, session.host)
    line = line_there(state, session.host, what)
    if known is None or known.takes_part:
        raise Conflict(f"the worktree of {session.key} is on {where}", line)
    gone = "was lost" if known.state == "lost" else "has left"
    go_on = f"go on with it on another host: kugetsu continue {session.key} MESSAGE; or "
    raise Conflict(
        f"the worktree of {session.key} is on {where}, which {gone}",
        f"{go_on if session.kind == 'issue' else ''}once {where} is back, {line}",
    )


def name_of(state: State, host: str | None) -> str:
    """A host in a sentence, as people call it."""
    from kugetsu.domain import hosts  # only where several share the log

    return f"host {hosts.name_of(state, host)}"


def line_there(state: State, host: str | None, command: str) -> str:
    """The line that runs a command of kugetsu on a host: over ssh, where the host told a name that is one to ssh."""
    name = ssh_name(state, host)
    terminal = "-t " if command.startswith("kugetsu attach") else ""
    return f"ssh {terminal}{name} {command}" if name is not None else f"run there: {command}"


def ssh_name(state: State, host: str | None) -> str | None:
    """What ssh may call a host; None where it never told a name, or one that a shell or ssh would read otherwise, or
    that another host has."""
    from kugetsu.domain import hosts

    known = state.hosts.get(host or "")
    if known is None or not _SSH_NAME.fullmatch(known.name) or hosts.namesakes(state, known):
        return None
    return known.name


def repositories(ws: Workspace, state: State) -> dict[str, dict[str, str]]:
    """The registered repositories as this host has them: the folder of another one is none of its sources."""
    if not state.hosts:
        return state.repositories
    from kugetsu.domain import hosts

    here = own(ws)
    names = dict.fromkeys((*state.repositories, *(state.hosts[here].folders if here in state.hosts else ())))
    found = ((name, hosts.source_of(state, name, here)) for name in names)
    return {name: source for name, source in found if source is not None}


def may_judge(ws: Workspace, attempt: Attempt) -> bool:
    """True if an attempt that seems dead is this host's and this directory's to end.

    A copied KUGETSU_DIR names the attempts of the original, whose lease nobody holds in the copy: as long as one of
    their processes works for another directory, they are that directory's.
    """
    return may_judge_lease(ws, attempt.lease, attempt.claimer, attempt.runner)


def may_judge_lease(ws: Workspace, nonce: str, *holders: Identity | None) -> bool:
    """As `may_judge`, for a lease that these processes took."""
    if not all(owns(ws, holder) for holder in holders):
        return False
    return original_of(ws, nonce) is None


def original_of(ws: Workspace, nonce: str) -> str | None:
    """The KUGETSU_DIR for which the processes of a lease work, if that is another one: this is a copy of it. None also
    where the system does not show it."""
    folders = (folder for folder in termination.directories(nonce) if _knows(ws, folder, nonce))
    return next((folder for folder in folders if not os.path.samefile(folder, ws.paths.root)), None)


def _knows(ws: Workspace, folder: str, nonce: str) -> bool:
    """Whether a KUGETSU_DIR may be the one that a lease is of, and not one in which an agent's tool tries something."""
    if lease.exists(os.path.join(folder, "leases"), nonce):
        return True
    try:
        return host_file.read(folder) == own(ws)
    except KugetsuError:  # it cannot be read
        return os.path.isdir(folder)


def may_signal(ws: Workspace, nonce: str, *holders: Identity | None) -> bool:
    """True if a recorded process that took a lease is this host's and this directory's, to be asked to stop."""
    return lease.alive(ws.paths.leases, nonce) or may_judge_lease(ws, nonce, *holders)


def _named(state: State) -> set[str]:
    """The hosts in the log: those of processes since this machine started, where there are any, else all; but of a log
    that hosts share only the former, since the others may be of other machines."""
    known = [
        *(daemon.identity for daemon in state.daemons.values()),
        *(attempt.claimer for attempt in state.attempts.values()),
    ]
    known += [session.person["holder"] for session in state.sessions.values() if session.person is not None]
    hosts = [(who["host"], who["boot"]) for who in known if who is not None and "host" in who]
    of_folders = {session.host for session in state.sessions.values() if session.host is not None}
    all_known = {host for host, _ in hosts} | of_folders
    return {host for host, boot in hosts if boot == identity.boot_id()} or (set() if state.hosts else all_known)
