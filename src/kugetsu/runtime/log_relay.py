"""The relay of a shared log: a process beside the daemon that has the database's driver, so that no other needs it.

It appends for all others of this host (`log.shared.relay`), keeps the mirror up to date (`log.shared.keeper`), and
tells the other hosts that this one lives. The daemon starts and restarts it (`named_lease.RELAY`); while it is away,
the others connect to the database themselves.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from kugetsu.log.files.segments import SEGMENT_BYTES
from kugetsu.log.shared.keeper import Keeper
from kugetsu.log.shared.opening import database_of
from kugetsu.log.shared.relay import Relay
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError, LogUnreachable
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import daemon_child, heard, host_lease, membership, silent_hosts
from kugetsu.runtime.daemon_child import DaemonChild, Trouble
from kugetsu.runtime.heard import Heard
from kugetsu.runtime.process.named_lease import RELAY
from kugetsu.runtime.workspace import Workspace

BEAT_SECONDS = 20.0
"""Seconds between two beats: 90 of them fit into the usual time to live, so that no short outage costs a host its
tasks. Of a short time to live a quarter."""


class LogRelay(DaemonChild):
    """One relay and one keeper, each with a thread and a connection of its own."""

    lease = RELAY

    def __init__(self, ws: Workspace, held: int) -> None:
        folder = ws.paths.log
        super().__init__(ws, held)
        # These two try again by themselves, and say at once that the database is away.
        self._keeper = Keeper(folder, lambda: database_of(folder, patience=0.0), SEGMENT_BYTES, self._wake)
        self._database = database_of(folder, patience=0.0)
        self._relay = Relay(folder, lambda: database_of(folder), self._wake)
        self._unsynced = Trouble(self.write)
        self._unheard = Trouble(self.write)
        self._next_beat = 0.0
        self._beat_trouble: LogUnreachable | None = None
        self._refusal: KugetsuError | None = None
        self._heard = heard.read(ws.paths.leases)
        self._silence = silent_hosts.Silence()

    def write(self, text: str) -> None:
        """Write a line into the daemon's log."""
        daemon_child.write_line(self._ws, "relay", text)

    def step(self) -> float:
        """Tell the others that this host lives, and a person what keeps the mirror from being up to date; the threads
        do the rest."""
        pause = self._beat()
        trouble = self._keeper.trouble
        self._tell(self._heard.at, self._heard.silent)
        if trouble is None:
            self._unsynced.over("the mirror of the shared log is up to date again")
        else:
            self._unsynced.report(
                f"the mirror of the shared log is not up to date: {_with_remedy(trouble)}", str(trouble)
            )
        return pause if trouble is None else min(pause, 1.0)

    def _beat(self) -> float:
        """Renew this host's term, and with it the time for which its agents may work; seconds until the next beat."""
        now = host_lease.now()
        if now < self._next_beat:
            return self._next_beat - now
        try:
            ttl = membership.beat(self._ws, self._database)
            beats = self._database.beats()
            self._refusal = self._database.refusal()
            self._beat_trouble = None
            self._tell(clock.now(), {beat.host: beat.ago for beat in beats})
            for name in silent_hosts.expect_the_missing(self._ws, self._database, beats):
                self.write(f"the database does not know host {name}, which the log does: it is waited for from now on")
            silent_here = self._silence.lasting(beats, host_lease.now(), ttl)
            for name in silent_hosts.fence_the_silent(self._ws, silent_here):
                self.write(f"host {name} was not heard of for too long: its tasks were given away")
            if (silent := silent_hosts.observe_for_the_silent(self._ws, beats)) is not None:
                self.write(f"host {silent} was not heard of lately: this one asks the forges now")
            membership.keep_time_to_live(self._ws, self._database, ttl)
        except LogUnreachable as problem:
            self._beat_trouble = problem
            self._unheard.report(f"the other hosts do not hear of this one: {_with_remedy(problem)}", str(problem))
            self._next_beat = now + 1.0
        else:
            self._unheard.over("the other hosts hear of this one again")
            self._next_beat = now + min(BEAT_SECONDS, ttl / 4)
        return max(self._next_beat - host_lease.now(), 0.0)

    def _tell(self, at: str | None, silent: dict[str, float]) -> None:
        """Keep what is known for the commands that only read; on a full disk they show what was known before."""
        trouble = self._keeper.trouble or self._beat_trouble
        synced = self._keeper.synced
        refusal = self._refusal or self._relay.refused()
        known = Heard(
            at,
            synced or self._heard.mirrored,
            silent,
            redact(trouble.message) if trouble is not None else None,
            trouble.hint if trouble is not None else refusal.hint if refusal is not None else None,
            redact(refusal.message) if refusal is not None else None,
        )
        if all(getattr(known, name) == getattr(self._heard, name) for name in ("at", "trouble", "refused")):
            return
        with suppress(OSError):
            heard.write(self._ws.paths.leases, known)
            self._heard = known

    def _wake(self) -> None:
        """From a thread: there is something to tell."""
        with suppress(OSError):
            os.write(self._wake_write, b"!")

    def finish(self) -> None:
        """Take no more requests."""
        self._database.close()
        self._relay.stop()
        self._keeper.stop()
        membership.rest(self._ws)


def _with_remedy(problem: KugetsuError) -> str:
    return f"{problem} (hint: {problem.hint})" if problem.hint else str(problem)


def main() -> int:
    """Run the relay of the environment's KUGETSU_DIR unless one lives. Returns the exit status."""
    return daemon_child.run(LogRelay, "relay")


if __name__ == "__main__":
    sys.exit(main())
