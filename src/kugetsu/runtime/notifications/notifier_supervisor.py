"""The daemon's part in notifications: keep the notifier alive while there are sinks."""

from __future__ import annotations

from kugetsu.domain.decide.notifications import is_of
from kugetsu.domain.state import State
from kugetsu.runtime import host_id
from kugetsu.runtime.child_supervisor import ChildSupervisor
from kugetsu.runtime.process.named_lease import NOTIFIER


class NotifierSupervisor(ChildSupervisor):
    """Keeps one notifier alive while there are sinks, or deliveries of one to settle."""

    module = "kugetsu.runtime.notifications.notifier"
    lease = NOTIFIER
    name = "notifier"
    purpose = "delivers notifications"

    def needed(self, state: State) -> bool:
        """Whether a sink is set, or was until now."""
        if self._ws.config.text("NOTIFY_SINKS"):
            return True
        host = host_id.sharing(self._ws, state) if state.outbox else None
        return any(is_of(box, host) for box in state.outbox.values())
