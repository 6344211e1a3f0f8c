"""The daemon's part in notifications: keep the notifier alive while there are sinks."""

from __future__ import annotations

from kugetsu.domain.state import State
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
        return bool(self._ws.config.text("NOTIFY_SINKS") or state.outbox)
