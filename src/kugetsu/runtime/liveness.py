"""What lives, by its lease and not by the log alone, and what it does; a few microseconds each, so `status` can check
everything. Where nothing runs, nothing is imported."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from kugetsu.agents.last_activity import Progress
    from kugetsu.domain.state import Attempt, State
    from kugetsu.host.paths import Paths
    from kugetsu.runtime.workspace import Workspace


def of(paths: Paths, attempt: Attempt) -> bool:
    """Whether the attempt's runner or agent lives (somebody holds its lease)."""
    from kugetsu.runtime.process import lease

    return lease.alive(paths.leases, attempt.lease)


def daemon(paths: Paths, state: State) -> bool:
    """Whether the daemon that the log names is running or draining.

    If its lease file was deleted, the process itself is checked.
    """
    held, who = state.daemon.lease, state.daemon.identity
    if held is None or not state.daemon.runs:
        return False
    from kugetsu.runtime.process import identity, lease

    if lease.alive(paths.leases, held):
        return True
    return who is not None and not lease.exists(paths.leases, held) and identity.alive(who)


def daemon_environment(state: State) -> Mapping[str, str] | None:
    """The environment that the living daemon was started in; None if the system does not show it.

    Its agents start from there, so their PATH may differ from this command's.
    """
    from kugetsu.host import proc
    from kugetsu.runtime.process import identity

    who = state.daemon.identity
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
