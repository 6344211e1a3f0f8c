"""Decisions on the daemon: start, another lease, drain, stop, lost."""

from __future__ import annotations

from kugetsu.domain.decide.queue import require_initialised
from kugetsu.domain.decision import decision
from kugetsu.domain.events import Identity
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.model.errors import Conflict


@decision("daemon.started")
def started(state: State, identity: Identity, lease: str, ended: str | None = None) -> list[NewEvent]:
    """A dispatcher starts. The caller holds its host's lease, so one that the log still has as running there is
    lost; but with ``ended`` it stopped in order, for that reason, when it could not be recorded."""
    require_initialised(state)
    host = identity.get("host")
    new_events = stopped(state, ended, host) if ended is not None else lost(state, host)
    return [*new_events, NewEvent("daemon.started", {"identity": identity, "lease": lease})]


@decision("daemon.lease_replaced")
def lease_replaced(state: State, replaced: str, lease: str, host: str | None = None) -> list[NewEvent]:
    """The dispatcher of ``host`` holds another lease, because the file of its lease was deleted.

    Raises Conflict if the log now names another dispatcher, or none.
    """
    daemon = state.daemon_of(host)
    if daemon.lease != replaced or not daemon.runs:
        raise Conflict.because("daemon_replaced")
    data = {"replaced": replaced, "lease": lease, **_of(host)}
    return [NewEvent("daemon.lease_replaced", data, cause=daemon.changed)]


@decision("daemon.lost")
def lost(state: State, host: str | None = None) -> list[NewEvent]:
    """The daemon's lease is free although it did not stop in order; [] if it is not running in the log."""
    daemon = state.daemon_of(host)
    if not daemon.runs:
        return []
    return [NewEvent("daemon.lost", {"identity": daemon.identity, **_of(host)}, cause=daemon.changed)]


@decision("daemon.drain")
def drain(state: State, reason: str, host: str | None = None) -> list[NewEvent]:
    """Start nothing new on ``host``; stop after its last attempt."""
    daemon = state.daemon_of(host)
    if daemon.state == "draining":
        return []
    if daemon.state != "running":
        raise Conflict.because("daemon_not_running")
    return [NewEvent("daemon.draining", {"reason": reason, **_of(host)}, cause=daemon.changed)]


@decision("daemon.stopped")
def stopped(state: State, reason: str, host: str | None = None) -> list[NewEvent]:
    """The dispatcher of ``host`` ends in order; [] if it is not running in the log."""
    daemon = state.daemon_of(host)
    if not daemon.runs:
        return []
    return [NewEvent("daemon.stopped", {"reason": reason, **_of(host)}, cause=daemon.changed)]


def _of(host: str | None) -> dict[str, str]:
    return {"host": host} if host is not None else {}
