"""What fails in the campaign of several hosts: processes, whole hosts and their clocks, networks, the database."""

from __future__ import annotations

import signal
from pathlib import Path

from fault_campaign.host import Host, send
from fault_campaign.hosts_set_up import HostsSetUp
from fault_campaign.journal import uptime
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.named_lease import NOTIFIER, OBSERVER, RELAY


class HostsFaults(HostsSetUp):
    """Everything that is killed, stopped, set or cut off."""

    def kill_runner(self) -> bool:
        """kill -9 of a runner, in whatever phase it is."""
        return self._to_an_attempt("runner", "runner killed", signal.SIGKILL)

    def kill_agent(self) -> bool:
        """kill -9 of an agent."""
        return self._to_an_attempt("agent", "agent killed", signal.SIGKILL)

    def _to_an_attempt(self, what: str, word: str, number: signal.Signals) -> bool:
        known = [one for one in self.ws.state().attempts.values() if getattr(one, what) is not None]
        if not known:
            return False
        attempt = self.chance.choice(known)
        self.faults.note(word, attempt.id)
        return identity.signal(getattr(attempt, what), number)

    def _daemon_of(self, host: Host) -> identity.Identity | None:
        daemon = host.ws.state().daemon_of(host.id)
        return daemon.identity if daemon.runs else None

    def kill_daemon(self) -> bool:
        """kill -9 of a host's daemon."""
        return self.kill([self._daemon_of(self.host())])

    def kill_relay(self) -> bool:
        """kill -9 of a host's relay."""
        return self.kill([RELAY.holder(self.host().ws.paths)])

    def kill_notifier(self) -> bool:
        """kill -9 of what delivers notifications."""
        return self.kill([NOTIFIER.holder(self.host().ws.paths)])

    def kill_observer(self) -> bool:
        """kill -9 of what asks the forges."""
        return self.kill([OBSERVER.holder(self.host().ws.paths)])

    def kill_host(self) -> bool:
        """kill -9 of all that runs on a host, as a machine that is switched off; its daemon starts later."""
        host = self.host()
        processes = host.freeze()
        typed = {command.process.pid for _, command in self.commands}
        for _, command in self.commands:
            command.killed |= command.process.pid in {who["pid"] for who in processes}
        self.faults.note("killed", host.name)
        send([who for who in processes if who["pid"] in typed], signal.SIGKILL)
        send(processes, signal.SIGKILL)
        self.after(self._outage(), lambda: self.type("queue-daemon", "start", host=host))
        return bool(processes)

    def stop_a_daemon(self) -> bool:
        """An orderly stop."""
        return self.type("queue-daemon", "stop")

    def start_daemons(self) -> bool:
        """Start a daemon that does not run."""
        idle = [host for host in self.hosts if self.is_idle(host)]
        return bool(idle) and self.type("queue-daemon", "start", host=self.chance.choice(idle))

    def is_idle(self, host: Host) -> bool:
        """Whether no daemon of a host runs."""
        who = self._daemon_of(host)
        return who is None or not identity.alive(who)

    def stop_and_continue(self) -> bool:
        """SIGSTOP of a daemon, a relay, a runner or an agent, and SIGCONT some seconds later."""
        host = self.host()
        who: list[identity.Identity | None] = [self._daemon_of(host), RELAY.holder(host.ws.paths)]
        for attempt in self.ws.state().live_on(host.id):
            who += [attempt.runner, attempt.agent]
        chosen = self.chance.choice([one for one in who if one is not None] or [None])
        if chosen is None or not identity.signal(chosen, signal.SIGSTOP):
            return False
        for attempt in self.ws.state().live_on(host.id):
            if chosen in (attempt.runner, attempt.agent):
                self.faults.note("runner stopped" if chosen == attempt.runner else "agent stopped", attempt.id)
        self.after(self._outage(), lambda: identity.signal(chosen, signal.SIGCONT))
        return True

    def pause_host(self) -> bool:
        """All of a host stands still but for its clocks, as a machine that sleeps."""
        return self._stand_still(clocks=False)

    def freeze_host(self) -> bool:
        """All of a host stands still, and its clocks as well, as a virtual machine that is frozen."""
        return self._stand_still(clocks=True)

    def _stand_still(self, *, clocks: bool) -> bool:
        host = self.host()
        since = uptime()
        stopped = host.freeze()

        def go_on() -> None:
            if clocks:
                host.clock.stood_still(uptime() - since)
            self.faults.note("frozen" if clocks else "paused", host.name, since)
            send(stopped, signal.SIGCONT)

        self.after(self._outage(), go_on)
        return bool(stopped)

    def set_clock(self) -> bool:
        """Somebody sets the wall clock of a host."""
        self.host().clock.set(self.chance.uniform(-self.skew, self.skew))
        return self.skew > 0

    # --- the database ------------------------------------------------------------------------------------------

    def cut_off(self) -> bool:
        """The network between a host and the database fails in one of its ways."""
        network = self.host().network
        if network.state != "open":
            return False
        network.state = self.chance.choice(("cut", "silent", "slow"))

        def mend() -> None:
            network.state = "cut" if self.chance.random() < 0.5 and network.state == "silent" else "open"
            if network.state == "cut":  # what was in flight is lost
                self.after(0.3, lambda: setattr(network, "state", "open"))

        self.after(self._outage(), mend)
        return True

    def backends(self) -> list[identity.Identity]:
        """The processes of the server that serve."""
        pid = self.server.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        except OSError:
            return []
        return [who for child in children if (who := identity.of(int(child))) is not None]

    def stop_backends(self) -> bool:
        """SIGSTOP of some processes of the server."""
        backends = self.backends()
        if not backends:
            return False
        chosen = self.chance.sample(backends, min(len(backends), self.chance.randint(1, 4)))
        send(chosen, signal.SIGSTOP)
        self.after(self.chance.uniform(0.3, 5.0), lambda: send(chosen, signal.SIGCONT))
        return True

    def kill_backend(self) -> bool:
        """kill -9 of one: the server then restarts them all."""
        return self.kill([*self.backends()])

    def kill_server(self) -> bool:
        """kill -9 of the whole server, started again some seconds later."""
        if self.server.ended:
            return False
        self.server.stop(signal.SIGKILL)
        self.after(self._outage(), self.server.start)
        return True
