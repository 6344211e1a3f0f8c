"""The verification of an attempt's work, by its runner before the attempt's end is recorded.

The agent's processes have ended by then; those of the verification have the attempt's lease as its agent had, so that a
cancel, the attempt's time limit and the settling of a killed runner end them too. What is not recorded was not
verified: nothing that lies in the run's folder is taken for an outcome.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, replace
from typing import Any

from kugetsu.domain import task_options
from kugetsu.domain.results import COMMITTED, UNVERIFIED, result_of
from kugetsu.domain.state import Attempt, Session
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import error_window
from kugetsu.runtime.process import lease
from kugetsu.runtime.process import tree as trees
from kugetsu.runtime.runner import spawn
from kugetsu.runtime.runner.interruption import Interrupted, interruptible
from kugetsu.runtime.verification import clean_run
from kugetsu.runtime.verification.clean_run import Order, Place
from kugetsu.runtime.workspace import Workspace

SHORTEST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Checked:
    """What it said (`events.attempts.Verification`); a failure as ``feedback`` (`events.reactions.Feedback`), and
    whether the attempt was ``cancelled`` meanwhile."""

    found: dict[str, Any]
    feedback: dict[str, Any] | None = None
    cancelled: bool = False


def wanted(ws: Workspace, session: Session | None, claims: dict[str, Any], evidence: dict[str, Any]) -> Order | None:
    """What is to be verified of an attempt that ended well; None without VERIFY_COMMAND, or without such work."""
    order = asked(ws, session, evidence)
    if order is None:
        return None
    return order if result_of("attempt.succeeded", claims, evidence)["kind"] in COMMITTED else None


def asked(ws: Workspace, session: Session | None, evidence: dict[str, Any]) -> Order | None:
    """What VERIFY_COMMAND asks for, where a session has commits; however the attempt ended."""
    has_work = session is not None and evidence.get("head") and evidence.get("commits")
    return clean_run.order_for(ws, session) if session is not None and has_work else None


def not_run(order: Order, head: str, why: str) -> Checked:
    """It could not be verified, and why: a code (`views.verification`), or words."""
    found = {"command": order.command, "sha": order.sha, "commit": head}
    return Checked({**found, "code": "not_run", "why": why}, cancelled=why == "cancelled")


def verify(ws: Workspace, attempt: Attempt, session: Session, order: Order, head: str) -> Checked:
    """Verify the commit ``head``, in the runner."""
    began = clock.now()
    checked = _interruptible(ws, attempt, session, order, head)
    return replace(checked, found=checked.found | {"began": began, "ended": clock.now()})


def _interruptible(ws: Workspace, attempt: Attempt, session: Session, order: Order, head: str) -> Checked:
    held = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, held)  # a stop that comes now is pending until it can be taken
    try:
        stop = _stop_of(ws, attempt)
        if stop is not None:
            return not_run(order, head, stop)
        with interruptible(_seconds_left(ws, attempt)):
            return _verified(ws, attempt, session, order, head)
    except (KugetsuError, OSError) as problem:  # the work is there, whatever keeps it from being verified
        return not_run(order, head, redact(str(problem), limit=clean_run.WHY_LENGTH))
    except Interrupted as stopped:
        return not_run(order, head, "time_limit" if stopped.timed_out else _stop_of(ws, attempt) or "stopped")
    finally:
        spawn.begin_finalizing()


def _verified(ws: Workspace, attempt: Attempt, session: Session, order: Order, head: str) -> Checked:
    tree = trees.Tree(trees.path(ws.paths.run(attempt.id)), attempt.lease)
    place = Place(
        nonce=attempt.lease,
        folder=ws.paths.run(attempt.id),
        held=lease.inherited(ws.paths.leases, attempt.lease),
        attempt=attempt.id,
        step=lambda _: tree.step(time.monotonic()),
    )
    base = clean_run.base_commit(order, session, head)
    found, text = clean_run.of_work(ws, order, head, base, place)
    return Checked(found, feedback_of(order, found, text) if found["code"] in UNVERIFIED else None)


def feedback_of(order: Order, found: dict[str, Any], text: str) -> dict[str, Any]:
    """A verification that failed, for the next turn: its command, and the window of its output that ends at the last
    error line."""
    command = order.ready.command if found["code"] == "set_up_failed" else order.command
    return {
        "id": f"verification:{found['commit']}:{found['sha']}",
        "kind": "verification",
        "counts": True,
        "name": command or "set-up",
        "text": found.get("why") or "",
        "log": error_window.window(text).told(),
    }


def _stop_of(ws: Workspace, attempt: Attempt) -> str | None:
    """Why the attempt is to stop: the log has it, and before that the file."""
    known = ws.state().attempts.get(attempt.id)
    asked = known.stop if known is not None else None
    if asked is None and os.path.lexists(os.path.join(ws.paths.run(attempt.id), "stop")):
        return "stopped"
    return "cancelled" if asked == "cancel" else asked


def _seconds_left(ws: Workspace, attempt: Attempt) -> float:
    """How long the attempt may still take: its time limit counts the verification, too."""
    hours = ws.config_of(attempt.issue).number("TASK_TIMEOUT_HOURS")
    limit = 3600 * task_options.timeout_hours(ws.state(), attempt, hours)
    return max(limit - clock.seconds_between(attempt.running_at or attempt.claimed_at, clock.now()), SHORTEST_SECONDS)
