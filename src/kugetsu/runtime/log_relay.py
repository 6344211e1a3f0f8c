"""The relay of a shared log: a process beside the daemon that has the database's driver, so that no other needs it.

It appends for all others of this host (`log.shared.relay`) and keeps the mirror up to date (`log.shared.keeper`). The
daemon starts and restarts it (`named_lease.RELAY`); while it is away, the others connect to the database themselves.
"""

from __future__ import annotations

import sys

from kugetsu.log.files.segments import SEGMENT_BYTES
from kugetsu.log.shared.keeper import Keeper
from kugetsu.log.shared.opening import database_of
from kugetsu.log.shared.relay import Relay
from kugetsu.runtime import daemon_child
from kugetsu.runtime.daemon_child import DaemonChild, Trouble
from kugetsu.runtime.process.named_lease import RELAY
from kugetsu.runtime.workspace import Workspace

_LOOK_SECONDS = 20.0


class LogRelay(DaemonChild):
    """One relay and one keeper, each with a thread and a connection of its own."""

    lease = RELAY

    def __init__(self, ws: Workspace, held: int) -> None:
        folder = ws.paths.log
        self._keeper = Keeper(folder, lambda: database_of(folder), SEGMENT_BYTES)
        self._relay = Relay(folder, lambda: database_of(folder))
        super().__init__(ws, held)
        self._unsynced = Trouble(self.write)

    def write(self, text: str) -> None:
        """Write a line into the daemon's log."""
        daemon_child.write_line(self._ws, "relay", text)

    def step(self) -> float:
        """Say what keeps the mirror from being up to date; the threads do the rest."""
        trouble = self._keeper.trouble
        if trouble is None:
            self._unsynced.over("the mirror of the shared log is up to date again")
        else:
            self._unsynced.report(f"the mirror of the shared log is not up to date: {trouble}", trouble.code)
        return _LOOK_SECONDS if trouble is None else 1.0

    def finish(self) -> None:
        """Take no more requests."""
        self._relay.stop()
        self._keeper.stop()


def main() -> int:
    """Run the relay of the environment's KUGETSU_DIR unless one lives. Returns the exit status."""
    return daemon_child.run(LogRelay, "relay")


if __name__ == "__main__":
    sys.exit(main())
