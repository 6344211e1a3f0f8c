"""Decisions on the daemon: start, another lease, drain, stop, lost."""

from __future__ import annotations

from kugetsu.domain.decide.queue import require_initialised
from kugetsu.domain.decision import decision
from kugetsu.domain.events import Identity
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.model.errors import Conflict


@decision("daemon.started")
def started(state: State, identity: Identity, lease: str) -> list[NewEvent]:
    """A dispatcher starts. The caller holds the daemon's lease, so one that the log still has as running is lost."""
    require_initialised(state)
    new_events: list[NewEvent] = []
    if state.daemon.runs:
        new_events += lost(state)
    return [*new_events, NewEvent("daemon.started", {"identity": identity, "lease": lease})]


@decision("daemon.lease_replaced")
def lease_replaced(state: State, replaced: str, lease: str) -> list[NewEvent]:
    """The dispatcher holds another lease, because the file of its lease was deleted.

    Raises Conflict if the log now names another dispatcher, or none.
    """
    if state.daemon.lease != replaced or not state.daemon.runs:
        raise Conflict.because("daemon_replaced")
    data = {"replaced": replaced, "lease": lease}
    return [NewEvent("daemon.lease_replaced", data, cause=state.daemon.changed)]


@decision("daemon.lost")
def lost(state: State) -> list[NewEvent]:
    """The daemon's lease is free although it did not stop in order; [] if it is not running in the log."""
    if not state.daemon.runs:
        return []
    return [NewEvent("daemon.lost", {"identity": state.daemon.identity}, cause=state.daemon.changed)]


@decision("daemon.drain")
def drain(state: State, reason: str) -> list[NewEvent]:
    """Start nothing new; stop after the last attempt."""
    if state.daemon.state == "draining":
        return []
    if state.daemon.state != "running":
        raise Conflict.because("daemon_not_running")
    return [NewEvent("daemon.draining", {"reason": reason}, cause=state.daemon.changed)]


@decision("daemon.stopped")
def stopped(state: State, reason: str) -> list[NewEvent]:
    """The dispatcher ends in order; [] if it is not running in the log."""
    if not state.daemon.runs:
        return []
    return [NewEvent("daemon.stopped", {"reason": reason}, cause=state.daemon.changed)]
