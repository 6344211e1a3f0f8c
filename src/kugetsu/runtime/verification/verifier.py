"""The verifier: a process that verifies the work of sessions whose run did not, for as long as a daemon lives.

One lives per directory (`named_lease.VERIFIER`), and it verifies one commit at a time, so that the machine has at most
one such command beside its agents. It stops where an agent or a person begins to work in the session, the queue is
paused or the daemon ends; that uses no try up. Run as ``python -m kugetsu.runtime.verification.verifier``.
"""

from __future__ import annotations

import sys

from kugetsu.domain.intake import is_paused
from kugetsu.domain.state import Session
from kugetsu.model import clock
from kugetsu.runtime import daemon_child, scratch_lease
from kugetsu.runtime.daemon_child import DaemonChild
from kugetsu.runtime.process.named_lease import VERIFIER
from kugetsu.runtime.verification import later
from kugetsu.runtime.workspace import Workspace


class Verifier(DaemonChild):
    """Verifies what is owed, one after the other, and ends when nothing is."""

    lease = VERIFIER

    def __init__(self, ws: Workspace, held: int) -> None:
        super().__init__(ws, held)
        self._cleared = False

    def write(self, text: str) -> None:
        """Write a line into the daemon's log."""
        daemon_child.write_line(self._ws, "verifier", text)

    def step(self) -> float:
        """Record what a killed one left, then verify what is due first."""
        if not self._cleared:
            scratch_lease.forget_killed(self._ws)
            self._cleared = True
        for session in later.begun(self._ws, self._ws.state()):
            self.written(session.key, later.close(self._ws, session))
        for session, order in later.due(self._ws, self._ws.state(), clock.now()):
            self.written(session.key, later.run(self._ws, session, order, lambda key=session: self._wants(key)))  # type: ignore[misc]
            return 0.0
        self._stopping = "there is nothing to verify"
        return 0.0

    def _wants(self, session: Session) -> bool:
        """Whether to go on with the verification of a session's work."""
        self._mind_the_daemon()
        state = self._ws.state()
        now = state.sessions.get(session.key)
        if not self.wanted or now is None or now.attempt is not None or now.person is not None:
            return False
        return now.head == session.head and not is_paused(state, session.key, clock.now())


def main() -> int:
    """Run the verifier of the environment's KUGETSU_DIR unless one lives. Returns the exit status."""
    return daemon_child.run(Verifier, "verifier")


if __name__ == "__main__":
    sys.exit(main())
