"""A person works in an issue's session: claim it, open the agent's own program on the terminal, give it back.

The process of `kugetsu attach` is the runner: it claims and prepares, becomes the supervisor (`supervisor`, with
``--terminal``), and that becomes `kugetsu __left`, which records what came of it. Its lease is the claim's: however
these end, it is free, and reconciliation gives the session back.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import sys
import termios
from functools import partial
from typing import Any, NoReturn

import orjson

from kugetsu.agents.protocol import Agent, Launch, Turn
from kugetsu.domain.decide import persons, sessions
from kugetsu.domain.events import Identity
from kugetsu.domain.state import Session
from kugetsu.log.files.segments import is_shared
from kugetsu.model.errors import BadInput, Conflict, KugetsuError, LogWriteFailed
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id, host_lease, liveness
from kugetsu.runtime.git import integrity
from kugetsu.runtime.process import identity, own_mark, termination, tree
from kugetsu.runtime.process import lease as leases
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.runner import prepare, run_evidence, spawn, surroundings
from kugetsu.runtime.runner import prompt as prompting
from kugetsu.runtime.runner.orders import Orders
from kugetsu.runtime.runner.spawn import Ended
from kugetsu.runtime.runner.supervisor import HANGUP
from kugetsu.runtime.workspace import Workspace

#: The name of the attempt in the environment of the program.
ATTEMPT_NAME = "attach"
#: The command by which a person's claim ends (`cli.main`).
LEFT = "__left"
#: The variable with the terminal's settings before the program, from the claim to its end.
_TERMINAL = "KUGETSU_TERMINAL"
#: Undoes what a program for terminals may leave: the other screen, a hidden cursor, reports of the mouse and of pastes.
_RESET = "\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[<u\x1b[0m"
#: Signals by which a person, or the terminal's end, ends a program.
_BY_PERSON = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


def require_terminal() -> None:
    """Raise BadInput unless this process has a terminal to work on."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        text = "kugetsu attach needs a terminal: it opens the agent's own program there"
        raise BadInput(text, "over SSH: ssh -t HOST kugetsu attach REF")


def attach(ws: Workspace, key: str) -> NoReturn:
    """Open the agent's program in the session of an issue; returns never, because this process becomes the supervisor.

    Raises NotFound without a session, Conflict while it is used and on another host than its worktree's,
    AgentUnavailable, and what its preparation raises: then it was given back.
    """
    agent = ws.agent("dev", None, key)
    agent.require()
    agent.interactive(Turn("", "/", "", "", ""))  # refused before anything is claimed
    host_id.require_home(ws, sessions.find_session(ws.state(), key), f"kugetsu attach {key}")
    liveness.require_original(ws.paths, ws.state())
    holder: Identity = {**identity.own(), "host": host_id.own(ws)}
    lease = Lease.create(ws.paths.leases)
    user, host = str(ws.by["user"]), str(ws.by["host"])
    try:
        ws.log.transact(partial(persons.attach, key=key, lease=lease.nonce, holder=holder, user=user, host=host))
    except BaseException:
        lease.release()
        raise
    before = termination.below(os.getpid())
    try:
        leases.close_inherited(ws.paths.leases, keep=lease.fd)
        termination.become_subreaper()
        with own_mark.borne(lease.nonce):
            launch = _prepare(ws, agent, key, lease)
            orders = _start(ws, key, launch, lease)
            spawn.become_supervisor(orders, lease)
    except BaseException as problem:
        termination.end(lease.nonce, 0.0, root=os.getpid(), spare=before)
        why = problem.message if isinstance(problem, KugetsuError) else str(problem) or type(problem).__name__
        with contextlib.suppress(LogWriteFailed):  # then reconciliation records it
            leave(ws, key, lease.nonce, "failed", f"not opened: {why}", {})
        lease.release()
        raise


def _prepare(ws: Workspace, agent: Agent, key: str, lease: Lease) -> Launch:
    agent.prepare_home()
    session = host_id.as_seen_here(ws, _session(ws, key))
    whole = session.worktree is not None and integrity.fault(session.source, session.worktree) is None
    if not (whole and session.unsaved is None and prepare.ready(agent, session)):
        prepare.prepare_issue(ws, agent, _session(ws, key), None, (None, lease.nonce))
        session = _session(ws, key)
    sessions.require_claim(ws.state(), key, lease.nonce)
    if session.worktree is None or session.agent_session is None:
        raise Conflict(f"the session {key} is not ready", hint=f"kugetsu history {key}")
    marks = surroundings.of(ws, "dev", session.worktree, lease.nonce, ATTEMPT_NAME)
    marks |= prompting.of_issue(ws, key, session)
    return agent.interactive(Turn(session.agent_session, session.worktree, "", "", "", environment=marks))


def _session(ws: Workspace, key: str) -> Session:
    return sessions.find_session(ws.state(), key)


def _start(ws: Workspace, key: str, launch: Launch, lease: Lease) -> Orders:
    """Start the program on this terminal, and say how it is supervised."""
    folder = ws.paths.make(_folder(ws, lease.nonce))
    os.environ[_TERMINAL] = _settings_of_terminal()
    os.environ["KUGETSU_DIR"] = ws.paths.root
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD))
    sys.stdout.flush()
    environment = {name: value for name, value in launch.environment(ws.environment).items() if name != _TERMINAL}
    pid = spawn.spawn_agent(launch.argv, environment=environment, directory=launch.cwd, files=None, lease=lease)
    ws.close()
    return Orders(
        agent=pid,
        nonce=lease.nonce,
        then=[sys.executable, "-P", "-m", "kugetsu", LEFT, key, lease.nonce],
        stop_file=os.path.join(folder, "stop"),
        ended_file=os.path.join(folder, "ended"),
        output=os.path.join(folder, "output"),
        tree_file=tree.path(folder),
        grace=ws.config.number("KILL_GRACE_SECONDS"),
        terminal="yes",
        host_file=host_lease.path(ws.paths.leases) if is_shared(ws.paths.log) else os.devnull,
    )


def _folders(ws: Workspace) -> str:
    return os.path.join(ws.paths.root, "attached")


def _folder(ws: Workspace, nonce: str) -> str:
    """Where the supervisor of a person's program keeps what outlives it."""
    return os.path.join(_folders(ws), nonce)


# --- the end ----------------------------------------------------------------------------------------------------------


def conclude(ws: Workspace, key: str, nonce: str, ended: Ended) -> dict[str, Any] | None:
    """Record how the program ended, and what git and the forge show of the work; the event, or None if it is recorded.

    The terminal is put back first.
    """
    restore_terminal(ended.signal is not None)
    how, reason = _meaning(ended)
    session = host_id.session_here(ws, key)
    evidence: dict[str, Any] = {}
    if session is not None and session.person is not None:
        evidence = run_evidence.of_worktree(session, ask_remote=True)
        evidence |= run_evidence.of_forge(ws, session, session.person["at"])
    events = leave(ws, key, nonce, how, reason, evidence, ended.exit_code, ended.signal)
    _forget(ws, nonce)
    return events[0] if events else None


def _meaning(ended: Ended) -> tuple[str, str]:
    if ended.stopped == HANGUP or ended.signal == signal.SIGHUP:
        return "stopped", "its terminal was closed"
    if ended.stopped is not None:
        return "stopped", "ended on request"
    if ended.exit_code == 0 or ended.signal in _BY_PERSON:
        return "ended", "ended by its user"
    if ended.signal is not None:
        return "failed", f"its program was ended by signal {ended.signal}"
    return "failed", f"its program ended with exit code {ended.exit_code}"


def leave(
    ws: Workspace,
    key: str,
    nonce: str,
    how: str,
    reason: str,
    evidence: dict[str, Any],
    exit_code: int | None = None,
    signal_number: int | None = None,
) -> list[dict[str, Any]]:
    """Append that the person who holds the lease ``nonce`` has left; [] if that is recorded."""
    decide = partial(persons.leave, key=key, lease=nonce, how=how, reason=redact(reason), evidence=evidence)
    return ws.log.transact(partial(decide, exit=exit_code, signal=signal_number))


def settle(ws: Workspace, session: Session, grace: float) -> bool:
    """End what a killed `kugetsu attach` left, and give its session back. Raises KugetsuError if it cannot be ended."""
    person = session.person
    assert person is not None
    nonce = str(person["lease"])
    remembered = tree.read(tree.path(_folder(ws, nonce)))
    report = termination.end_lost(ws.paths.leases, nonce, grace, remembered=remembered)
    if report.left:
        pids = ", ".join(str(process["pid"]) for process in report.left)
        raise KugetsuError(f"these processes of {session.key} cannot be ended: {pids}")
    evidence = run_evidence.of_worktree(host_id.as_seen_here(ws, session))
    events = leave(ws, session.key, nonce, "lost", "its process was killed", evidence)
    _forget(ws, nonce)
    return bool(events)


def reclaim(ws: Workspace) -> list[str]:
    """Claim again for people whose claim was given away with this host, which is there again, and who still work in
    sessions that nobody else has taken: else an agent would start beside them. The keys of those sessions."""
    state, own = ws.state(), host_id.own(ws)
    known = {session.person["lease"] for session in state.sessions.values() if session.person is not None}
    with contextlib.suppress(FileNotFoundError):
        names = set(os.listdir(_folders(ws))) - known
        nonces = {name for name in names if leases.alive(ws.paths.leases, name)}
        return [key for key, session in state.sessions.items() if session.host == own and _reclaim(ws, key, nonces)]
    return []


def _reclaim(ws: Workspace, key: str, nonces: set[str]) -> bool:
    """Claim the session again for one of those leases that had it; False if none had, or somebody else works there."""
    for event in ws.log.read_key(key) if nonces else ():
        if event["type"] == "person.attached" and event["data"]["lease"] in nonces:
            given = {name: event["data"][name] for name in ("lease", "holder", "user", "host")}
            with contextlib.suppress(Conflict):
                return bool(ws.log.transact(partial(persons.attach, key=key, **given)))
    return False


def _forget(ws: Workspace, nonce: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(ws.paths.lease(nonce))
    shutil.rmtree(_folder(ws, nonce), ignore_errors=True)


# --- the terminal -----------------------------------------------------------------------------------------------------


def _settings_of_terminal() -> str:
    """The terminal's settings as one word."""
    *flags, characters = termios.tcgetattr(0)
    plain = [one if isinstance(one, int) else one[0] for one in characters]
    return base64.b64encode(orjson.dumps([*flags, plain])).decode()


def restore_terminal(killed: bool) -> None:
    """Put the terminal back as it was before the program; ``killed``: the program could not do that itself."""
    kept = os.environ.pop(_TERMINAL, "")
    if not kept or not os.isatty(0):
        return
    *flags, plain = orjson.loads(base64.b64decode(kept))
    canonical = bool(flags[3] & termios.ICANON)
    counts = (termios.VMIN, termios.VTIME)
    characters = [one if at in counts and not canonical else bytes([one]) for at, one in enumerate(plain)]
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        termios.tcsetattr(0, termios.TCSADRAIN, [*flags, characters])
        if killed:
            os.write(1, _RESET.encode())
    except (OSError, termios.error):
        return  # it is closed
    finally:
        signal.signal(signal.SIGTTOU, before)
