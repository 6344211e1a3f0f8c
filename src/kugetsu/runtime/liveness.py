"""What lives, by its lease and not by the log alone, and what it does; a few microseconds each, so `status` can check
everything. Where nothing runs, nothing is imported."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from kugetsu.agents.last_activity import Progress
    from kugetsu.domain.state import Attempt, Daemon, State
    from kugetsu.host.paths import Paths
    from kugetsu.runtime.workspace import Workspace


def of(paths: Paths, attempt: Attempt) -> bool | None:
    """Whether the attempt's runner or agent lives (somebody holds its lease); None for one of another host.

    What has no id here, because the file was deleted, cannot tell whose attempt it is.
    """
    from kugetsu.runtime.process import lease

    if lease.alive(paths.leases, attempt.lease):
        return True
    return None if is_elsewhere(paths, attempt.host) else False


def is_elsewhere(paths: Paths, host: str | None) -> bool:
    """True if what ``host`` recorded is not known to be of this host: only its own host judges it."""
    from kugetsu.host import host_file

    return host is not None and host_file.read(paths.root) != host


def daemon_here(paths: Paths, state: State) -> Daemon:
    """This host's daemon as the log has it."""
    if not state.hosts:
        return state.daemon
    from kugetsu.host import host_file

    return state.daemon_of(host_file.read(paths.root) or "")


def daemon(paths: Paths, state: State) -> bool:
    """Whether the daemon that the log names for this host lives: running or draining, or counted as lost with its host,
    which is to take part again.

    If its lease file was deleted, the process itself is checked: that of a directory of which this one is a copy, or
    that is another one of the same host's id, has it in its own folder (`original`).
    """
    here = daemon_here(paths, state)
    held, who = here.lease, here.identity
    if held is None or here.state == "stopped":
        return False
    from kugetsu.runtime.process import identity, lease

    if lease.alive(paths.leases, held):
        return True
    deleted = here.runs and who is not None and not lease.exists(paths.leases, held)
    return deleted and who is not None and identity.alive(who) and original(paths, state) is None


def original(paths: Paths, state: State) -> str | None:
    """The KUGETSU_DIR whose living daemon the log names for this host, if that is another one: this is a copy of it.
    None also where the system does not show it."""
    here = daemon_here(paths, state)
    held, who = here.lease, here.identity
    if held is None or who is None or here.state == "stopped":
        return None
    from kugetsu.runtime.process import identity, lease

    if lease.alive(paths.leases, held) or not identity.alive(who):
        return None
    folder = lease.folder_of(who["pid"], held)
    if folder is None or _is_same(folder, paths.leases):
        return None
    return os.path.dirname(folder)


def _is_same(folder: str, other: str) -> bool:
    """Whether two paths are of one folder: by links, or mounted at both. One that is gone is known by its path."""
    try:
        return os.path.samefile(folder, other)
    except OSError:
        return os.path.realpath(folder) == os.path.realpath(other)


def is_not_lost(paths: Paths, state: State) -> bool:
    """Whether a daemon that the log has as running, and that does not live here, is not lost all the same: it stopped,
    which is not recorded yet, or it is that of the directory of which this one is a copy."""
    return daemon_stopped(paths, state) is not None or original(paths, state) is not None


def require_original(paths: Paths, state: State) -> None:
    """Raise Conflict if this directory is a copy of one whose daemon lives: both would work on the same tasks, in the
    same worktrees, and one would end what the other one runs."""
    other = original(paths, state)
    if other is None:
        return
    from kugetsu.log.files.segments import is_shared
    from kugetsu.model.errors import Conflict

    who = daemon_here(paths, state).identity
    instead = "or stop its daemon before you use the copy"
    if is_shared(paths.log):
        instead = "begin one more host with an empty folder: kugetsu help many-hosts"
    raise Conflict(
        f"{paths.root} is a copy of {other}, whose daemon is running (pid {who['pid'] if who is not None else '?'})",
        f"use that one: KUGETSU_DIR={other}; {instead}",
    )


def daemon_stopped(paths: Paths, state: State) -> str | None:
    """Why this host's daemon stopped, if the log does not have that yet: the shared log's database was away. None for
    one that runs, is recorded as stopped, or was killed."""
    here = daemon_here(paths, state)
    if here.lease is None or not here.runs:
        return None
    from kugetsu.runtime.process import lease

    return lease.note_in(paths.leases, here.lease)


def daemon_environment(paths: Paths, state: State) -> Mapping[str, str] | None:
    """The environment that this host's living daemon was started in; None if the system does not show it.

    Its agents start from there, so their PATH may differ from this command's.
    """
    from kugetsu.host import proc
    from kugetsu.runtime.process import identity

    who = daemon_here(paths, state).identity
    if who is None or not identity.alive(who):
        return None
    environ = proc.environ(who["pid"])
    if not environ:
        return None
    pairs = os.fsdecode(environ).split("\0")
    from kugetsu.runtime.workspace import outside

    return outside(dict(pair.split("=", 1) for pair in pairs if "=" in pair))


def progress(ws: Workspace, state: State, attempt: Attempt) -> Progress | None:
    """What an attempt's agent did last, or the verification of its work, from the output; None before there is one."""
    from kugetsu.agents import last_activity

    session = state.sessions.get(attempt.session)
    folder = ws.paths.run(attempt.id)
    if os.path.exists(output := f"{folder}/verify.log"):  # after the agent (`verification.of_attempt`)
        verifying = last_activity.of_text(output)
        said = f": {verifying.last}" if verifying.last is not None else ""
        return last_activity.Progress(last=f"verifying{said}", at=verifying.at)
    if session is not None and session.agent == "command":
        return last_activity.of_text(f"{folder}/output.jsonl")
    return last_activity.of_opencode(f"{folder}/output.jsonl", f"{folder}/stderr.log")
