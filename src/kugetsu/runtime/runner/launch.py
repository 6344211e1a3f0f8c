"""Phase A of a runner: from the claim to a running agent. Phase B is `supervisor`, phase C is `finalize`.

The runner is forked from the claimer (the daemon or a command): it imports nothing and holds the claim's lease from the
start. It is forked twice, so that nobody has to reap it and it outlives everybody.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

from kugetsu.agents.protocol import Launch, Turn
from kugetsu.domain import task_options
from kugetsu.domain.decide import attempts as decide
from kugetsu.domain.decide.sessions import find_attempt
from kugetsu.domain.events import Identity
from kugetsu.domain.facts import Ending
from kugetsu.domain.state import Attempt, Session, Task
from kugetsu.host import run_files
from kugetsu.log.files.segments import is_shared
from kugetsu.model.errors import AgentFailed, AgentUnavailable, Conflict, KugetsuError, LogWriteFailed
from kugetsu.runtime import host_id, host_lease, issue_context
from kugetsu.runtime.env_files import values
from kugetsu.runtime.intake import permission
from kugetsu.runtime.issue_context import IssueContext
from kugetsu.runtime.process import identity, termination, tree
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.process.termination import MARK
from kugetsu.runtime.query import messages
from kugetsu.runtime.runner import failed_start, findings, prepare, spawn, surroundings, temp_folders, worktree_setup
from kugetsu.runtime.runner import prompt as prompting
from kugetsu.runtime.runner.ending import CUT_OFF
from kugetsu.runtime.runner.finalize import conclude
from kugetsu.runtime.runner.interruption import Interrupted, interruptible
from kugetsu.runtime.runner.orders import Orders
from kugetsu.runtime.workspace import Workspace, actor

#: Seconds without output before a health check, and between two of them.
CHECKUP_SECONDS = 20.0
SHORTEST_CHECKUP_SECONDS = 1.0

#: The preparation's time limit is the attempt's own (TASK_TIMEOUT_HOURS), but it gets at least this many seconds.
SHORTEST_PREPARATION_SECONDS = 10.0


def fork(ws: Workspace, attempt_id: str, lease: Lease) -> None:
    """Fork the runner of a claimed attempt. The caller's copy of the lease is closed."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        between = os.fork()
    except OSError:
        lease.close()  # nobody holds it now, so the attempt is found dead and its slot comes back
        raise
    if between == 0:
        code = 70
        try:
            os.setsid()
            if os.fork() == 0:
                run(ws, attempt_id, lease)
            code = 0
        finally:
            os._exit(code)
    os.waitpid(between, 0)
    lease.close()


def run(ws: Workspace, attempt_id: str, lease: Lease) -> NoReturn:
    """The runner's life until it becomes the supervisor; never returns."""
    try:
        unusable = _detach(ws, attempt_id, lease)
        os.chdir("/")
        _leave_the_caller(ws)
        ws.by = actor(f"runner {attempt_id}", ws.environment)
        ws.close()
        if unusable is None:
            _live(ws, attempt_id, lease, ws.paths.run(attempt_id))
        conclude(ws, attempt_id, _not_started(ws, unusable), lease.nonce)
    except BaseException:  # noqa: BLE001  the forked child must end here, and its log says why
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(70)


def _detach(ws: Workspace, attempt_id: str, lease: Lease) -> AgentFailed | None:
    """Create the run's folder and detach from the caller; returns what makes the folder unusable, if anything.

    That is not the task's fault, and the next attempt has another folder.
    """
    try:
        log = os.path.join(ws.paths.make(ws.paths.run(attempt_id)), "runner.log")
        spawn.detach(ws.paths.leases, lease, log)
    except (KugetsuError, OSError) as problem:
        spawn.detach(ws.paths.leases, lease, os.devnull)
        if isinstance(problem, KugetsuError):
            return AgentFailed(problem.message, problem.hint)
        text = f"cannot use the folder {ws.paths.run(attempt_id)}: {problem.strerror or problem}"
        return AgentFailed(text, "free space, or move away whatever is in its place")
    return None


def _leave_the_caller(ws: Workspace) -> None:
    """Make the workspace's environment that of this process, its children and the next phases.

    An agent may have typed the command: its variables must not reach this attempt.
    """
    for name in set(os.environ) - set(ws.environment) - {MARK}:
        del os.environ[name]
    # The next phases read it anew, and a relative one would mean another folder from here.
    os.environ["KUGETSU_DIR"] = ws.paths.root
    ws.environment = os.environ


def _live(ws: Workspace, attempt_id: str, lease: Lease, folder: str) -> NoReturn:
    me: Identity = {**identity.own(), "host": host_id.own(ws)}
    pid = 0
    try:
        ws.log.transact(lambda state: decide.starting(state, attempt_id, me))
        seconds = max(_timeout(ws, attempt_id), SHORTEST_PREPARATION_SECONDS)
        deadline = time.monotonic() + seconds
        with interruptible(seconds, _seconds_left(ws)):
            launch, agent_session, worktree = _prepare(ws, attempt_id, lease, folder, deadline)
        pid = _spawn(ws, attempt_id, launch, lease, agent_session, worktree)
    except Interrupted as stop:
        _conclude_interrupted(ws, attempt_id, lease, stop)
        os._exit(0)
    except (KugetsuError, OSError) as problem:
        traceback.print_exc()
        if pid:
            raise
        # Do not wait for a full disk: the lease is about to be free, and reconciliation records the end.
        with contextlib.suppress(LogWriteFailed):
            conclude(ws, attempt_id, _not_started(ws, problem), lease.nonce)
        os._exit(1)
    spawn.become_supervisor(_orders(ws, attempt_id, lease, folder, pid), lease)


def _not_started(ws: Workspace, problem: Exception) -> Ending:
    """How the attempt ends that a problem kept from starting."""
    return failed_start.ending_of(problem, host_id.own_name(ws) if is_shared(ws.paths.log) else None)


def _seconds_left(ws: Workspace) -> Callable[[], float] | None:
    """What tells when this attempt has to end, before another host may give its task away; None while the log is this
    host's own."""
    if not is_shared(ws.paths.log):
        return None
    limit = host_lease.Limit(host_lease.path(ws.paths.leases), ws.config.number("KILL_GRACE_SECONDS"))
    return limit.seconds_left


def _timeout(ws: Workspace, attempt_id: str) -> float:
    """Seconds after which the attempt is stopped: its task's own, else those of the setting."""
    state = ws.state()
    attempt = state.attempts.get(attempt_id)
    hours = ws.config_of(attempt.issue if attempt is not None else None).number("TASK_TIMEOUT_HOURS")
    return 3600 * (task_options.timeout_hours(state, attempt, hours) if attempt is not None else hours)


def _conclude_interrupted(ws: Workspace, attempt_id: str, lease: Lease, stop: Interrupted) -> None:
    """Record that the attempt was stopped before it had an agent, once its processes have ended."""
    termination.end(lease.nonce, ws.config.number("KILL_GRACE_SECONDS"), root=os.getpid())
    state = ws.state()
    attempt = state.attempts.get(attempt_id)
    before = "before the agent was started"
    if stop.timed_out:
        limit = task_options.timeout_name(state, attempt)
        ending = Ending("time_out", "retry", f"stopped at its time limit ({limit}) {before}")
    elif stop.cut_off:
        ending = Ending("kill", "retry", f"{CUT_OFF}, {before}")
    elif attempt is not None and attempt.stop == "cancel":
        ending = Ending("kill", "cancelled", f"cancelled {before}")
    else:
        ending = Ending("kill", "retry", f"stopped from outside {before}")
    with contextlib.suppress(LogWriteFailed):  # as for a failed start
        conclude(ws, attempt_id, ending, lease.nonce)


def _prepare(ws: Workspace, attempt_id: str, lease: Lease, folder: str, deadline: float) -> tuple[Launch, str, str]:
    """Prepare the session and the prompt: how to launch the agent, its session, its worktree."""
    attempt, task, session = _records(ws, attempt_id)
    _require_wanted(attempt)
    with _of_the_agent():
        agent = ws.agent(task.kind, task.options, task.issue)
        agent.require()
        agent.prepare_home()
    permission.require_start(ws, task)
    if task.kind == "pm":
        prepare.prepare_pm(ws, agent, lease.nonce)
    else:
        prepare.prepare_issue(ws, agent, session, task, (attempt_id, None))
        attempt, task, session = _records(ws, attempt_id)
        _require_wanted(attempt)
        worktree_setup.ensure(ws, attempt, session, lease, deadline)
    read = _read_issue(ws, attempt_id)
    attempt, task, session = _records(ws, attempt_id)
    _require_wanted(attempt)
    if read is not None and read.issue is not None:
        permission.require_start(ws, task, read.issue)
    issue_text = issue_context.text(read) if read is not None else None
    worktree, agent_session = session.worktree, session.agent_session
    if worktree is None or agent_session is None:
        raise Conflict(f"the session {session.key} is not ready", hint=f"kugetsu history {session.key}")
    prompt, message = os.path.join(folder, "prompt.md"), _message(ws, task)
    with _of_the_agent():
        text = prompting.compose(ws, task, session, message, issue_text)
        marks = _agent_environment(ws, attempt, task, session, worktree, lease)
    run_files.replace(prompt, text.encode("utf-8", "surrogateescape"))
    launch = agent.launch(
        Turn(
            session=agent_session,
            directory=worktree,
            prompt=prompt,
            output=os.path.join(folder, "output.jsonl"),
            errors=os.path.join(folder, "stderr.log"),
            model=ws.agent_settings(task.options, task.issue).get("KUGETSU_MODEL") or None,
            environment=marks,
        )
    )
    return launch, agent_session, worktree


def _require_wanted(attempt: Attempt) -> None:
    """Raise Interrupted if a stop was requested: before the attempt had a runner, no signal was sent."""
    if attempt.stop is not None:
        raise Interrupted


@contextlib.contextmanager
def _of_the_agent() -> Iterator[None]:
    """Failures in this block affect every task's agent."""
    try:
        yield
    except AgentUnavailable:
        raise
    except KugetsuError as problem:
        raise AgentUnavailable(problem.message, problem.hint) from problem


def _spawn(ws: Workspace, attempt_id: str, launch: Launch, lease: Lease, agent_session: str, worktree: str) -> int:
    pid = spawn.spawn_agent(
        launch.argv,
        environment=launch.environment(ws.environment),
        directory=launch.cwd,
        files=(launch.stdin, launch.stdout, launch.stderr),
        lease=lease,
    )
    try:
        who = identity.of(pid) or {"boot": identity.boot_id(), "pid": pid, "start": 0}
        ws.log.transact(lambda state: decide.running(state, attempt_id, who, agent_session, worktree, launch.argv[0]))
    except BaseException:
        # What is not recorded must not run: the agent is ended, and the attempt's lease with it.
        termination.end(lease.nonce, 0.0, root=os.getpid())
        raise
    return pid


def _records(ws: Workspace, attempt_id: str) -> tuple[Attempt, Task, Session]:
    state = ws.state()
    attempt = find_attempt(state, attempt_id)
    return attempt, state.tasks[attempt.task], state.sessions[attempt.session]


def _read_issue(ws: Workspace, attempt_id: str) -> IssueContext | None:
    """The issue as the forge shows it; None where it is not contacted. Takes FORGE_TIMEOUT_SECONDS at most."""
    attempt, _, session = _records(ws, attempt_id)
    if session.kind != "issue" or session.key.startswith("local/") or ws.config.text("KUGETSU_FORGE") == "off":
        return None  # and nothing of what asks is loaded

    return issue_context.before_run(ws, session, attempt)


def _message(ws: Workspace, task: Task) -> str:
    """The task's whole message, from its event; an issue's own text quoted, as it is somebody else's."""
    event = messages.event_of_task(ws, task.id)
    message: str = event["data"]["message"]
    if not event["data"].get("from_issue"):
        return message
    seen = messages.labelled(ws, event) or {}
    return prompting.of_issue_text(message, seen.get("author"), seen.get("relation"))


def _agent_environment(
    ws: Workspace, attempt: Attempt, task: Task, session: Session, worktree: str, lease: Lease
) -> dict[str, str]:
    """The environment of `surroundings`, with a temporary folder of its own and what the agent must know."""
    if task.kind != "pm":
        findings.make_folder(ws.paths, attempt.id)
    made = surroundings.of(ws, task.kind, worktree, lease.nonce, attempt.id)
    own = None
    if "TMPDIR" not in values(ws.paths, task.kind):
        own = temp_folders.make(ws.paths, ws.environment, attempt.id, lease.nonce)
    made |= {temp_folders.VARIABLE: own} if own is not None else {}
    return made | prompting.variables(ws, task, session)


def _orders(ws: Workspace, attempt_id: str, lease: Lease, folder: str, pid: int) -> Orders:
    # -P: a folder named kugetsu where the daemon was started must not be taken for this package.
    python = [sys.executable, "-P", "-m"]
    return Orders(
        agent=pid,
        nonce=lease.nonce,
        then=[*python, "kugetsu.runtime.runner.finalize", attempt_id],
        stop_file=os.path.join(folder, "stop"),
        ended_file=os.path.join(folder, "ended"),
        output=os.path.join(folder, "output.jsonl"),
        errors=os.path.join(folder, "stderr.log"),
        tree_file=tree.path(folder),
        output_cap=surroundings.most_output(ws),
        grace=ws.config.number("KILL_GRACE_SECONDS"),
        deadline=time.monotonic() + _timeout(ws, attempt_id),
        checkup=[*python, "kugetsu.runtime.runner.health_check", attempt_id],
        checkup_every=_between_checkups(ws, attempt_id),
        checkup_output=os.path.join(folder, "checkup.json"),
        host_file=host_lease.path(ws.paths.leases) if is_shared(ws.paths.log) else os.devnull,
    )


def _between_checkups(ws: Workspace, attempt_id: str) -> float:
    """Seconds between two health checks: even a short stall must be noticed in time."""
    attempt = ws.state().attempts.get(attempt_id)
    stall = ws.config_of(attempt.issue if attempt is not None else None).number("TASK_STALL_MINUTES") * 60
    return min(CHECKUP_SECONDS, max(stall, SHORTEST_CHECKUP_SECONDS)) if stall else CHECKUP_SECONDS
