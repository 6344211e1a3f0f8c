"""What came of attempts that were given away with their host, and whose runners cannot tell it any more.

A runner that lives records its own end (`runner.finalize`). Of one that was killed, or of a machine that was restarted,
the daemon reads the attempt's files once the host is there again, ends what is left of its processes, and records
`attempt.late`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from kugetsu.domain.facts import Ending
from kugetsu.domain.state import Attempt, State
from kugetsu.model.errors import KugetsuError, LogDamaged, LogWriteFailed
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id, liveness, log_lines, reconcile
from kugetsu.runtime.process import identity, lease, termination, tree
from kugetsu.runtime.runner import agent_records, finalize, spawn
from kugetsu.runtime.runner.ending import late_ending_of
from kugetsu.runtime.workspace import Workspace


def settle(ws: Workspace, state: State, known: dict[str, Attempt]) -> list[str]:
    """Record what came of this host's attempts that were given away and whose runner is gone; their ids.

    ``known`` keeps them as they were before, from one call to the next: that is read from history. One without its
    folder here is left alone: nothing is known of it. Raises LogWriteFailed, LogDamaged; what cannot be settled
    otherwise is tried again.
    """
    settled = []
    for attempt in _given_away(ws, state, known):
        try:
            if not reconcile.supervised(ws, attempt) and host_id.may_judge(ws, attempt) and _settle(ws, attempt):
                settled.append(attempt.id)
        except (LogWriteFailed, LogDamaged):
            raise
        except (KugetsuError, OSError) as problem:
            log_lines.note(f"what came of {attempt.id} cannot be recorded yet: {problem}")
    return settled


def at_work(ws: Workspace, state: State, known: dict[str, Attempt]) -> list[str]:
    """This host's attempts that were given away and still work here, by their ids; ``known`` as in `settle`.

    Before they have ended the host does not take part again: the next attempt in their session would find them in its
    worktree. A runner that was stopped (SIGSTOP) is continued: it reacts to nothing else.
    """
    found = []
    for attempt in _given_away(ws, state, known):
        if lease.alive(ws.paths.leases, attempt.lease):
            found.append(attempt.id)
            if attempt.runner is not None and identity.stopped(attempt.runner):
                identity.signal(attempt.runner, signal.SIGCONT)
    return found


def _given_away(ws: Workspace, state: State, known: dict[str, Attempt]) -> Iterator[Attempt]:
    """This host's attempts that were given away, as they were before; ``known`` as in `settle`."""
    host = state.hosts.get(host_id.own(ws)) if state.hosts else None
    for attempt_id in [*host.away] if host is not None else ():
        if not os.path.isdir(ws.paths.run(attempt_id)):
            continue
        attempt = known.get(attempt_id) or finalize.before_it_was_lost(ws, attempt_id)
        if attempt is not None:
            known[attempt_id] = attempt
            yield attempt


def _settle(ws: Workspace, attempt: Attempt) -> bool:
    remembered = tree.read(tree.path(ws.paths.run(attempt.id)))
    grace = min(ws.config.number("KILL_GRACE_SECONDS"), reconcile.ORPHAN_GRACE_SECONDS)
    report = termination.end_lost(ws.paths.leases, attempt.lease, grace, (), remembered)
    if report.left or liveness.of(ws.paths, attempt):
        return False
    reconcile.record_orphans(ws, attempt, report)
    return bool(finalize.conclude(ws, attempt.id, _ending(ws, attempt), attempt.lease))


def _ending(ws: Workspace, attempt: Attempt) -> Ending:
    """How it ended, as its supervisor left it on disk, else lost; with what its agent used."""
    try:
        ended = spawn.read_ended(os.path.join(ws.paths.run(attempt.id), "ended"))
        if ended is not None:
            return late_ending_of(ws, attempt, ended)
        left = agent_records.outcome_of(ws, attempt)
    except (KugetsuError, OSError):
        raise  # it may pass, or be fixed
    except Exception as problem:  # noqa: BLE001  what an agent left must not be tried for ever
        return Ending("lose", "retry", redact(f"it ended, and what it left cannot be read: {problem!r}", limit=500))
    tokens = left.tokens.total if left.tokens is not None else 0
    return Ending("lose", "retry", reconcile.what_died(ws, attempt), tokens=tokens, cost=left.cost or 0.0)
