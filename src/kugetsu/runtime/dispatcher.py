"""The dispatcher: claim a slot for the first task whose gates are open, and fork its runner.

The plan is made without the log's lock, and costs what has changed since the one before; the claim is decided again
under the lock, which is held for a fraction of a millisecond however long the queue is.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from kugetsu.domain import hosts, placement
from kugetsu.domain.decide import claims
from kugetsu.domain.decide.claims import ClaimRequest
from kugetsu.domain.events import Identity
from kugetsu.domain.facts import ClaimFacts
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.domain.waiting_groups import WaitingGroups
from kugetsu.runtime import host_id
from kugetsu.runtime.facts import claim_facts
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.runner import launch
from kugetsu.runtime.workspace import Workspace


def dispatch(
    ws: Workspace, dispatcher: str = "daemon", waiting: WaitingGroups | None = None
) -> tuple[list[str], str | None]:
    """Start everything that may start now. Returns the attempts claimed, and when to look again (None: at events).
    ``waiting`` is kept from call to call by who calls this often."""
    waiting = waiting or WaitingGroups()
    started: list[str] = []
    waited = False
    while True:
        state = ws.state()
        facts = claim_facts(ws, dispatcher)
        plan = claims.plan(state, facts, waiting)
        if plan.candidate is None:
            if plan.held:
                ws.log.transact(partial(claims.hold, planned=plan, facts=facts))
            return started, plan.next_look
        if not waited and (wait := _wait_seconds(state, facts, plan.candidate)):
            time.sleep(wait)
            waited = True
            if ws.state().seq != plan.seq:
                continue  # an emptier host may have been faster: plan again, and wait no more
        waited = False
        lease, request = make_claim_request(ws)
        attempt, _ = claim(ws, lease, partial(claims.dispatch, planned=plan, offer=request, facts=facts))
        if attempt is not None:
            started.append(attempt)
        # Otherwise another claim came first: plan again.


def _wait_seconds(state: State, facts: ClaimFacts, candidate: str) -> float:
    """How long to wait before the claim of a task that another host may start as well."""
    wait = hosts.wait_seconds(state, facts, random.random())
    if not wait or not placement.Placement(state, facts).is_open_elsewhere(state.tasks[candidate]):
        return 0.0
    return wait


def make_claim_request(ws: Workspace) -> tuple[Lease, ClaimRequest]:
    """A held lease, and the claim request that names it."""
    me: Identity = {**identity.own(), "host": host_id.own(ws)}
    lease = Lease.create(ws.paths.leases)
    return lease, ClaimRequest(lease.nonce, me)


def claim(
    ws: Workspace, lease: Lease, decide: Callable[[State], list[NewEvent]]
) -> tuple[str | None, list[dict[str, Any]]]:
    """Append what ``decide`` gives, and fork the runner of the attempt that it claims under ``lease``.

    Returns the attempt (without a claim None, and the lease is dropped) and the events. Errors of ``decide`` and the
    log are raised, the lease dropped.
    """
    try:
        events = ws.log.transact(decide)
    except BaseException:
        lease.release()
        raise
    attempt = _claimed(events)
    if attempt is None:
        lease.release()
    else:
        launch.fork(ws, attempt, lease)
    return attempt, events


def _claimed(events: list[dict[str, Any]]) -> str | None:
    """The attempt that a transaction claimed."""
    for event in events:
        if event["type"] == "attempt.claimed":
            attempt = event["attempt"]
            assert isinstance(attempt, str)
            return attempt
    return None
