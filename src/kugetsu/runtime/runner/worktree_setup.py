"""Make an issue's worktree ready before its agent, if it is new or was made ready in another way: the outcome is an
event, so that what was interrupted is done again.

The attempt holds its slot meanwhile, and its time limit holds (`interruption`).
"""

from __future__ import annotations

import os
from typing import Any

from kugetsu.domain.decide import worktree_setup as decide
from kugetsu.domain.state import Attempt, Session
from kugetsu.domain.worktree_setup import CHANGED
from kugetsu.host import run_files
from kugetsu.model.errors import NotReady
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.runner import surroundings
from kugetsu.runtime.workspace import Workspace
from kugetsu.runtime.worktree_setup import making, recipe, supplied
from kugetsu.runtime.worktree_setup.making import Outcome, Place
from kugetsu.runtime.worktree_setup.recipe import Recipe
from kugetsu.runtime.worktree_setup.supplied import Supplied


def ensure(ws: Workspace, attempt: Attempt, session: Session, lease: Lease, deadline: float) -> None:
    """Make the session's worktree ready unless that was done; ``deadline`` is on the monotonic clock.

    Raises NotReady, LogWriteFailed, NotFound if the attempt was given away meanwhile.
    """
    wanted = recipe.of(ws.config_of(session.repository))
    if session.worktree is None or session.source is None:
        return
    source, worktree, base = session.source, session.worktree, session.base_commit or "HEAD"
    found = supplied.of(source, base, wanted)
    if _is_done(session, wanted, found) or not making.is_needed(wanted, found, worktree):
        return
    supplied.trust_first(ws, session.repository, found, attempt.id)
    place = Place(
        paths=ws.paths,
        source=source,
        worktree=worktree,
        base_commit=base,
        supplied=found,
        refused=supplied.refusal(ws, session.repository, source, found),
        output=os.path.join(ws.paths.run(attempt.id), making.OUTPUT),
        environment=surroundings.of_command(ws, worktree, attempt.id, secrets=wanted.secrets),
        nonce=lease.nonce,
        deadline=deadline,
        grace=ws.config.number("KILL_GRACE_SECONDS"),
        most_bytes=surroundings.most_output(ws),
        held=(lease.fd,),
    )
    run_files.replace(place.output, b"")  # it shows that the set-up has begun
    outcome = making.make_ready(wanted, place)
    data = outcome.data(wanted, found, worktree)
    ws.log.transact(lambda state: [decide.made(state, attempt.id, data)])
    if not outcome.done:
        hint = supplied.remedy(session.repository or "", found.sha or "") if outcome.code == CHANGED else None
        raise NotReady(outcome.problem or outcome.code, _evidence(outcome, wanted, found), hint)


def _evidence(outcome: Outcome, wanted: Recipe, found: Supplied) -> dict[str, Any]:
    """As `events.attempts.SetUp`."""
    return {
        "code": outcome.code,
        "command": wanted.command if outcome.code in ("failed", "timed_out") else None,
        "exit": outcome.exit,
        "seconds": round(outcome.seconds, 1),
        "problem": outcome.problem,
        "tail": outcome.tail,
        **({"supplied": found.sha} if outcome.code == CHANGED else {}),
    }


def _is_done(session: Session, wanted: Recipe, found: Supplied) -> bool:
    known = session.set_up
    return (
        known is not None
        and known["code"] == "done"
        and known["worktree"] == session.worktree
        and known["sha"] == wanted.sha
        and known["supplied"] == found.sha
    )
