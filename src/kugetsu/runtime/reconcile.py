"""Bring the log and the world together: attempts whose processes are dead end as lost, and their slot is free.

Whoever notices first records it: the daemon at every wake-up, `start` before it claims. An attempt's end is recorded
only after nothing of it runs any more.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from kugetsu.domain import task_options
from kugetsu.domain.decide import attempts as decide_attempts
from kugetsu.domain.decide import daemon as decide_daemon
from kugetsu.domain.events import Identity
from kugetsu.domain.facts import Ending
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Attempt, Session, State
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError, LogDamaged, LogWriteFailed
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id, liveness, stderr_tail
from kugetsu.runtime.process import identity, lease, termination, tree
from kugetsu.runtime.process.termination import EndReport
from kugetsu.runtime.runner import agent_records, ending, interactive, run_evidence, spawn, worktree_end
from kugetsu.runtime.runner.finalize import conclude
from kugetsu.runtime.workspace import Workspace

#: Seconds between SIGTERM and SIGKILL for what a dead runner left; the slot is blocked meanwhile.
ORPHAN_GRACE_SECONDS = 2.0

#: How long settling a dead attempt is retried before it is recorded as lost anyway.
SETTLE_PATIENCE_SECONDS = 600.0

#: Why an attempt that could not be examined has no rescue branch: the next one saves its work first.
_NOT_TRIED = "it could not be examined"


def dead(ws: Workspace, state: State) -> list[Attempt]:
    """The attempts that the log calls live although their runner is gone; none of another host or directory."""
    gone = [attempt for attempt in state.attempts.values() if not supervised(ws, attempt)]
    return [attempt for attempt in gone if host_id.may_judge(ws, attempt)]


def left_by_the_dead(ws: Workspace, state: State) -> list[Session]:
    """The sessions that the log gives to a person although `kugetsu attach` was killed; none of another host."""
    found = []
    for session in state.sessions.values():
        person = session.person
        if person is None or _held(ws, person["lease"], person["holder"]):
            continue
        if host_id.may_judge_lease(ws, person["lease"], person["holder"]):
            found.append(session)
    return found


def _held(ws: Workspace, nonce: str, holder: Identity) -> bool:
    """Whether the process that took a lease lives; a deleted file says nothing about its lock."""
    known = lease.alive(ws.paths.leases, nonce) or not lease.exists(ws.paths.leases, nonce)
    return known and identity.alive(holder)


def supervised(ws: Workspace, attempt: Attempt) -> bool:
    """Whether somebody will record how it ends: its lease is held, and by its runner (not by the agent alone)."""
    if not liveness.of(ws.paths, attempt):
        # A deleted file says nothing about its lock: check the runner itself.
        deleted = not lease.exists(ws.paths.leases, attempt.lease)
        return deleted and attempt.runner is not None and identity.alive(attempt.runner)
    return attempt.runner is None or identity.alive(attempt.runner)


def stopped(ws: Workspace, state: State) -> list[tuple[Attempt, float]]:
    """The attempts past their time limit whose runner was stopped (SIGSTOP): it cannot act on the limit, and would hold
    its slot for ever. Each with the seconds that it is overdue."""
    now = clock.now()
    grace = ws.config.number("KILL_GRACE_SECONDS")
    found = []
    for attempt in state.attempts.values():
        since = attempt.running_at or attempt.claimed_at
        hours = ws.config_of(attempt.issue).number("TASK_TIMEOUT_HOURS")
        limit = 3600 * task_options.timeout_hours(state, attempt, hours) + grace
        overdue = clock.seconds_between(since, now) - limit
        if overdue > 0 and attempt.runner is not None and identity.stopped(attempt.runner):
            if not host_id.may_judge(ws, attempt):
                continue
            found.append((attempt, overdue))
    return found


def _continue(ws: Workspace, attempt: Attempt, overdue: float) -> None:
    """Let a stopped runner go on: it finds its limit passed, ends its agent and records that."""
    about: dict[str, Any] = {"issue": attempt.issue, "task": attempt.task, "attempt": attempt.id}
    assert attempt.runner is not None
    data = {"runner": attempt.runner, "overdue_seconds": round(overdue, 1)}
    ws.log.append([NewEvent("attempt.continued", data, cause=attempt.claimed, **about)])
    identity.signal(attempt.runner, signal.SIGCONT)


def reconcile(ws: Workspace) -> list[str]:
    """End and record every attempt whose runner is gone; returns their ids. Also a daemon that died is recorded, and a
    stopped runner past its attempt's time limit is continued.

    One that cannot be settled does not keep the others from it: its error is raised when all were tried.
    """
    state = ws.state()
    settled: list[str] = []
    failure: Exception | None = None
    for attempt, overdue in stopped(ws, state):
        _continue(ws, attempt, overdue)
    for attempt in dead(ws, state):
        try:
            if _settle(ws, attempt):
                settled.append(attempt.id)
        except (LogWriteFailed, LogDamaged):
            raise
        except Exception as problem:  # noqa: BLE001  one that cannot be settled must not keep the others from it
            if _give_up(ws, attempt, problem):
                settled.append(attempt.id)
            else:
                failure = failure or KugetsuError(f"{attempt.id} has ended, and cannot be recorded: {problem}")
    for session in left_by_the_dead(ws, state):
        try:
            if interactive.settle(ws, session, ORPHAN_GRACE_SECONDS):
                settled.append(session.key)
        except (LogWriteFailed, LogDamaged):
            raise
        except Exception as problem:  # noqa: BLE001  as above
            failure = failure or KugetsuError(f"{session.key} cannot be given back: {problem}")
    host = host_id.own(ws)
    daemon = state.daemon_of(host)
    lives = liveness.daemon(ws.paths, state) or liveness.original(ws.paths, state) is not None
    if daemon.runs and host_id.owns(ws, daemon.identity) and not lives:
        held, ended = daemon.lease, liveness.daemon_stopped(ws.paths, state)

        def over(now: State) -> list[NewEvent]:
            if now.daemon_of(host).lease != held:
                return []
            return decide_daemon.stopped(now, ended, host) if ended is not None else decide_daemon.lost(now, host)

        ws.log.transact(over)
    if failure is not None:
        raise failure
    return settled


def _settle(ws: Workspace, attempt: Attempt) -> bool:
    grace = min(ws.config.number("KILL_GRACE_SECONDS"), ORPHAN_GRACE_SECONDS)
    claimer = [attempt.claimer["pid"]] if attempt.claimer is not None and identity.alive(attempt.claimer) else []
    remembered = tree.read(tree.path(ws.paths.run(attempt.id)))
    report = termination.end_lost(ws.paths.leases, attempt.lease, grace, claimer, remembered)
    if report.left:
        pids = ", ".join(str(process["pid"]) for process in report.left)
        raise KugetsuError(f"these of its processes cannot be ended: {pids}")
    if liveness.of(ws.paths, attempt):
        return False
    record_orphans(ws, attempt, report)

    try:
        return bool(conclude(ws, attempt.id, _ending(ws, attempt), attempt.lease))
    except (KugetsuError, OSError):
        raise  # it may pass, or be fixed
    except Exception as problem:  # noqa: BLE001  what the agent left would fail again, and hold the slot for ever
        return bool(conclude(ws, attempt.id, _unreadable(attempt, problem), attempt.lease))


def _give_up(ws: Workspace, attempt: Attempt, problem: Exception) -> bool:
    """Note what keeps a dead attempt from being settled; end it as lost after SETTLE_PATIENCE_SECONDS of that, because
    a slot must come back whatever an agent left. True when it is ended."""
    reason = " ".join(redact(str(problem), limit=500).split())
    ws.log.transact(lambda state: decide_attempts.unsettled(state, attempt.id, reason))
    noted = ws.state().attempts.get(attempt.id)
    if noted is None or noted.unsettled_at is None:
        return noted is None  # recorded by another process
    waited = clock.seconds_between(noted.unsettled_at, clock.now())
    if 0 <= waited < SETTLE_PATIENCE_SECONDS:  # negative: the clock was set back
        return False
    text = f"it ended with an unknown outcome: {reason}"
    ending = Ending("lose", _verdict_of_lost(attempt), text, rescue_failed=_NOT_TRIED)
    return bool(conclude(ws, attempt.id, ending, attempt.lease))


def _unreadable(attempt: Attempt, problem: Exception) -> Ending:
    reason = redact(f"it ended, and what it left cannot be recorded: {problem!r}", limit=500)
    return Ending("lose", _verdict_of_lost(attempt), reason, rescue_failed=_NOT_TRIED)


def record_orphans(ws: Workspace, attempt: Attempt, report: EndReport) -> None:
    """Record which processes of a dead attempt had to be ended."""
    if not report.signalled:
        return
    data = {"signalled": report.signalled, "killed": report.killed}
    about: dict[str, Any] = {"issue": attempt.issue, "task": attempt.task, "attempt": attempt.id}
    ws.log.append([NewEvent("orphans.ended", data, cause=attempt.claimed, **about)])


def _ending(ws: Workspace, attempt: Attempt) -> Ending:
    """How a dead attempt ended: as the supervisor left it on disk, else lost."""
    if attempt.state == "running":
        ended = spawn.read_ended(os.path.join(ws.paths.run(attempt.id), "ended"))
        if ended is not None:
            return ending.ending_of(ws, attempt, ended)
    session = host_id.session_here(ws, attempt.session)
    left = agent_records.outcome_of(ws, attempt)
    agent_records.put_back(ws, attempt)
    unlocked = worktree_end.clear_locks(ws, attempt, session)
    evidence = run_evidence.of_worktree(session)
    evidence |= run_evidence.of_run(ws, attempt, session, agent_records.commands_of(ws, attempt))
    kept, not_kept = worktree_end.keep_work(session, attempt.id)
    return Ending(
        "lose",
        _verdict_of_lost(attempt),
        what_died(ws, attempt) + unlocked,
        outcome=agent_records.claims_of(left),
        tokens=left.tokens.total if left.tokens is not None else 0,
        cost=left.cost or 0.0,
        evidence=evidence,
        rescue=kept,
        rescue_failed=not_kept,
    )


def _verdict_of_lost(attempt: Attempt) -> str:
    return "cancelled" if attempt.stop == "cancel" else "retry"


def what_died(ws: Workspace, attempt: Attempt) -> str:
    """Why nobody recorded how a dead attempt ended."""
    if attempt.runner is not None and attempt.runner["boot"] != identity.boot_id():
        return "the machine was restarted while it worked"
    if attempt.state == "running":
        return "its runner was killed"

    text = stderr_tail.of(os.path.join(ws.paths.run(attempt.id), "runner.log"))
    if attempt.state == "starting":
        return f"its runner died while preparing the worktree and session{text}"
    return f"its runner ended before it was recorded{text}" if text else "its claimer died before the runner existed"
