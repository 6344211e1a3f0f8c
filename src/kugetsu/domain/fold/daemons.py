"""Folds the events of daemons: one runs on each host that shares the log."""

from __future__ import annotations

from kugetsu.domain.machines import step
from kugetsu.domain.state import Daemon, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kugetsu.domain.events import Event

    Handler = Callable[[State, Event], None]


def daemon_started(state: State, event: Event) -> None:
    """Fold of ``daemon.started``."""
    identity, lease = event["data"]["identity"], event["data"]["lease"]
    daemon = state.daemon_of(identity.get("host"))
    if _step(state, event, daemon, "start"):
        if not state.hosts:
            state.daemons.clear()  # the only one, whatever its host was called
        daemon.host = identity.get("host", "")
        daemon.identity = identity
        daemon.lease = lease
        state.daemons[daemon.host] = daemon


def daemon_moved(trigger: str) -> Handler:
    """Fold of ``daemon.draining``, ``daemon.stopped`` and ``daemon.lost``; ``trigger`` is the machine's."""

    def handler(state: State, event: Event) -> None:
        _step(state, event, state.daemon_of(event["data"].get("host")), trigger)

    return handler


def daemon_lease_replaced(state: State, event: Event) -> None:
    """The same daemon with a new lease: its start and the event of its state stay."""
    replaced, lease = event["data"]["replaced"], event["data"]["lease"]
    daemon = state.daemon_of(event["data"].get("host"))
    if step("daemon", daemon.state, "renew") is None:
        state.violate(event["seq"], f"{event['type']}: a daemon that is {daemon.state} cannot renew")
    elif daemon.lease != replaced:
        state.violate(event["seq"], f"{event['type']}: the daemon holds another lease than that one")
    else:
        daemon.lease = lease


def _step(state: State, event: Event, daemon: Daemon, trigger: str) -> bool:
    dest = step("daemon", daemon.state, trigger)
    if dest is None:
        state.violate(event["seq"], f"{event['type']}: a daemon that is {daemon.state} cannot {trigger}")
        return False
    daemon.state = dest
    daemon.changed = event["seq"]
    daemon.changed_at = event["at"]
    return True
