"""The daemon's part in a shared log: keep the relay alive, if this host's log is shared."""

from __future__ import annotations

from kugetsu.domain.state import State
from kugetsu.log.files.segments import is_shared
from kugetsu.runtime.child_supervisor import ChildSupervisor
from kugetsu.runtime.process.named_lease import RELAY


class RelaySupervisor(ChildSupervisor):
    """Keeps one relay alive while the log is shared."""

    module = "kugetsu.runtime.log_relay"
    lease = RELAY
    name = "relay"
    purpose = "takes the appends of this host"

    def needed(self, state: State) -> bool:  # noqa: ARG002 - whatever is in the log
        """Whether the log is shared."""
        return is_shared(self._ws.paths.log)
