"""The campaign of hosts that share a log: each with a clock and a network of its own, over a real PostgreSQL that is
killed and stopped, with forges that fail, while people type and everything that works for them is killed, stopped and
cut off."""

from __future__ import annotations

import heapq
import signal
import time
from collections.abc import Callable

from fault_campaign import hosts_promises
from fault_campaign.campaign import Action
from fault_campaign.hosts_faults import HostsFaults
from fault_campaign.hosts_people import HostsPeople
from fault_campaign.people import People
from kugetsu.runtime.process import identity

LONGEST_COMMAND = 120.0
"""Seconds after the last fault in which a command must have ended, whatever became of it."""
FAULTS = 0.05
"""The share of a forge's requests that fail."""


class Hosts(HostsPeople, HostsFaults):
    """Hosts, and all that happens to them at random."""

    def run(self, seconds: float) -> None:
        """As every campaign, with forges that fail."""
        for forge in self.forges:
            forge.rate = FAULTS
        super().run(seconds)

    def actions(self) -> list[Action]:
        """What people type, and faults."""
        theirs: list[tuple[Callable[[People], bool], float]] = [
            (People.label, 1),
            (People.unlabel, 0.3),
            (People.merge, 0.15),
            (People.close_pull, 0.1),
            (People.reopen_issue, 2),
        ]
        return [
            (self.enqueue, 20),
            (self.start, 3),
            (self.cancel, 1),
            (self.retry, 1),
            (self.pause_queue, 0.3),
            (self.destroy, 0.7),
            (self.look, 1),
            (self.say_that_a_host_is_lost, 0.12),
            (self.drain, 0.4),
            (self.undrain, 0.5),
            (self.leave, 0.5),
            (self.join, 3),
            (self.attach, 1),
            (self.hang_up, 0.1),
            *((self.on_a_forge(act), weight) for act, weight in theirs),
            (self.kill_command, 0.5),
            (self.kill_runner, 0.6),
            (self.kill_agent, 0.6),
            (self.kill_daemon, 0.4),
            (self.kill_relay, 0.6),
            (self.kill_notifier, 0.2),
            (self.kill_observer, 0.2),
            (self.kill_host, 0.2),
            (self.stop_a_daemon, 0.2),
            (self.start_daemons, 5),
            (self.stop_and_continue, 1.2),
            (self.pause_host, 0.3),
            (self.freeze_host, 0.2),
            (self.set_clock, 0.3),
            (self.cut_off, 0.7),
            (self.stop_backends, 0.4),
            (self.kill_backend, 0.1),
            (self.kill_server, 0.15),
        ]

    # --- the end -----------------------------------------------------------------------------------------------

    def calm_down(self, patience: float) -> list[str]:
        """No more faults: what was stopped goes on, all hosts take part, and their daemons finish what is open."""
        while self._later:
            heapq.heappop(self._later)[2]()
        for host in self.hosts:
            host.network.state = "open"
        for forge in self.forges:
            forge.rate = 0.0
        if self.server.ended:
            self.server.start()
        left = self._await(lambda: [" ".join(one.words) for _, one in self.commands], LONGEST_COMMAND)
        broken = [f"a command that does not end: {text}" for text in left]
        self.type("queue", "resume", "--json", host=self.hosts[0])
        left = self._await(self._unrest, patience)
        broken += [f"not at rest after {patience:.0f} s: {text}" for text in left]
        for host, command in [(host, host.type("queue-daemon", "stop")) for host in self.hosts]:
            code, out, err = command.answer()
            if code != 0:
                broken.append(f"{host.name}: kugetsu queue-daemon stop: exit {code}: {out}{err}")
        return broken

    def _unrest(self) -> list[str]:
        """What is still to be done by itself."""
        state = self.ws.state()
        for host in self.hosts:
            if any(host is typed for typed, _ in self.commands):
                continue
            if state.hosts[host.id].state == "left":
                self.type("host", "join", host=host)
            elif state.hosts[host.id].state == "draining":
                self.type("host", "undrain", host=host)
            elif self.is_idle(host):
                self.type("queue-daemon", "start", host=host)
        return hosts_promises.unrest(self.hosts)

    def _await(self, left: Callable[[], list[str]], patience: float) -> list[str]:
        give_up = time.monotonic() + patience
        while (found := left()) and time.monotonic() < give_up:
            self.left = found
            self.turn()
            time.sleep(0.2)
        self.left = []
        return found

    def check(self) -> list[str]:
        """Beside the rest: what hosts promise, by the table, by each mirror, and by what agents did."""
        for host in self.hosts:
            host.ws.log.pull()  # type: ignore[attr-defined]
        return self.broken + super().check() + hosts_promises.broken(self)

    def clean_up(self) -> None:
        """End what is left."""
        self._over.set()
        for host in self.hosts:
            host.close()
        for forge in self.forges:
            forge.close()
        for backend in self.backends():
            identity.signal(backend, signal.SIGCONT)
        self.server.close()
