"""Hosts that share a log, played without processes: machines that stand still, are cut off, killed and copied, a
database that is restarted, people who are wrong about both; and what each machine's agents really do meanwhile.

A host decides on the newest state (its append is refused else), from what it believes: its term, its own clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kugetsu.domain.decide import attempts, claims, daemon, hosts, queue, sessions
from kugetsu.domain.facts import Ending
from kugetsu.domain.state import ENDS, State
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError
from property.simulation import ISSUES, PROCESS, START, Event, World

TTL, MARGIN, GRACE = 60.0, 15.0, 1.0
"""Seconds: to live, between an agent's end and that of the time to live (`host_lease`), and until SIGKILL."""


@dataclass
class Row:
    """A host as the database has it."""

    term: int
    expires: float
    fenced: bool = False


@dataclass
class Machine:
    """A host. ``behind``: seconds for which its clock stood still; ``stop_by``: when its agents end, by that clock;
    ``agents``: the issue of each attempt at work; ``unprepared``, ``untold``: attempts that its runners prepare,
    or whose end they have not told, whatever became of them; ``excused``: one may outlive its claim."""

    host: str
    number: int
    term: int = 0
    behind: float = 0.0
    skew: float = 0.0
    stop_by: float = 0.0
    agents: dict[str, str] = field(default_factory=dict)
    excused: bool = False
    stands: bool = False
    frozen: bool = False
    cut: bool = False
    daemon: bool = False
    unprepared: list[tuple[str, str]] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)

    @property
    def reaches(self) -> bool:
        """Whether it may append."""
        return not (self.stands or self.frozen or self.cut)


class ManyHosts:
    """Three hosts, their database, and people. ``broken`` has a sentence for each promise that was not kept."""

    def __init__(self) -> None:
        self.world = World()
        self.world.warmup = 0.0
        self.now = 0.0
        self.server_since = -2 * TTL
        self.rows: dict[str, Row] = {}
        self.machines = [Machine(f"{number}" * 32, number, skew=(number - 2) * 3600.0) for number in (1, 2, 3)]
        self.broken: list[str] = []
        self.live: dict[str, str] = {}
        self.ended: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        for machine in self.machines:
            self.start_daemon(machine, 0)

    @property
    def state(self) -> State:
        """The newest state."""
        return self.world.state

    @property
    def events(self) -> list[Event]:
        """The log."""
        return self.world.memory.events

    def play(self, commands: Sequence[tuple[str, int, int]]) -> Iterator[None]:
        """Do the commands, each on a machine with a number; what is refused changes nothing."""
        for name, which, number in commands:
            machine = self.machines[which % len(self.machines)]
            before = len(self.events)
            try:
                COMMANDS[name](self, machine, number)
            except KugetsuError:
                self.done["refused"] += 1
            self.done[name] += len(self.events) > before
            self._check(self.events[before:])
            yield

    def _do(self, machine: Machine | None, decide: Callable[[State], Sequence[Any]]) -> list[Event]:
        """Append, with the machine's own wall clock in the events."""
        skew = machine.skew if machine is not None else 0.0
        self.world.now = clock.add_seconds(START, 7200.0 + self.now + skew)
        return self.world.do(decide)

    def _own_now(self, machine: Machine) -> float:
        return self.now - machine.behind

    # --- time ----------------------------------------------------------------------------------------------------

    def time_passes(self, _: Machine, number: int) -> None:
        """Seconds pass: clocks go on unless they stand still, and supervisors that can look at them."""
        for _second in range(number // 3 + 1):
            self.now += 1.0
            for machine in self.machines:
                machine.behind += machine.frozen
                self._supervise(machine)

    def _supervise(self, machine: Machine) -> None:
        if not machine.stands and not machine.frozen and self._own_now(machine) >= machine.stop_by - GRACE:
            machine.agents.clear()

    def stand_still(self, machine: Machine, number: int) -> None:
        """All of it is stopped; of every second one the clocks as well."""
        machine.stands, machine.frozen = number % 2 == 0, number % 2 == 1

    def go_on(self, machine: Machine, _: int) -> None:
        """It wakes up: its supervisors look at the clock before an agent does anything."""
        machine.excused |= machine.frozen
        machine.stands = machine.frozen = False
        self._supervise(machine)

    def cut_off(self, machine: Machine, _: int) -> None:
        """The database cannot be reached from there."""
        machine.cut = True

    def mend(self, machine: Machine, _: int) -> None:
        """It can be again."""
        machine.cut = False

    def restart_server(self, _: Machine, __: int) -> None:
        """The database was away; its clock went on."""
        self.server_since = self.now

    # --- hosts ---------------------------------------------------------------------------------------------------

    def start_daemon(self, machine: Machine, _: int) -> None:
        """A daemon starts, or finds that its host takes part no more: a new term."""
        if not machine.reaches:
            return
        known = self.state.hosts.get(machine.host)
        self._turn(machine)
        if machine.daemon and known is not None and known.state == "joined" and known.term == machine.term:
            return
        row = self.rows.get(machine.host)
        term = max(row.term if row is not None else 0, known.term if known is not None else 0) + 1
        before = self._own_now(machine)
        self.rows[machine.host] = Row(term, self.now + TTL)
        machine.stop_by = before + TTL - MARGIN
        join = partial(hosts.join, host=machine.host, term=term, name=f"box{machine.number}", labels=[], cap=2)
        self._do(machine, join)
        machine.term, machine.daemon = term, True
        if not self.state.daemon_of(machine.host).runs:
            who: Any = {**PROCESS, "host": machine.host}
            self._do(machine, lambda state: daemon.started(state, who, f"d-{machine.number}-{term}"))

    def _turn(self, machine: Machine) -> None:
        """What a daemon does first: stop what was given away."""
        known = self.state.hosts.get(machine.host)
        for attempt in known.away if known is not None else ():
            machine.agents.pop(attempt, None)
        machine.excused = False

    def beat(self, machine: Machine, _: int) -> None:
        """Its relay tells that it lives, and those of the others do as well."""
        for other in self.machines:
            self._beat(other)

    def _beat(self, machine: Machine) -> None:
        row = self.rows[machine.host]
        if machine.reaches and machine.daemon and row.term == machine.term and not row.fenced:
            before = self._own_now(machine)
            row.expires = self.now + TTL
            machine.stop_by = before + TTL - MARGIN

    def fence(self, machine: Machine, number: int) -> None:
        """It gives a silent host's tasks away, if the database finds it silent."""
        other = self.machines[number % len(self.machines)]
        row = self.rows[other.host]
        if not machine.reaches or other is machine or row.expires > self.now or self.now - self.server_since < TTL:
            return
        self._lose(machine, other, row)

    def call_lost(self, machine: Machine, number: int) -> None:
        """Somebody there is sure that another host is gone."""
        other = self.machines[number % len(self.machines)]
        if machine.reaches and other is not machine:
            other.excused = True
            self._lose(machine, other, self.rows[other.host])

    def _lose(self, machine: Machine, other: Machine, row: Row) -> None:
        known = self.state.hosts[other.host]
        facts = self.world.outcome_facts()
        lost = partial(hosts.lost, host=other.host, term=known.term, silent_since=None, by=machine.host, reason="lost")
        if self._do(machine, lambda state: lost(state, facts=facts)):
            row.fenced = row.fenced or row.term == known.term

    def drain(self, machine: Machine, _: int) -> None:
        """Nothing new is to start there."""
        if machine.reaches:
            self._do(machine, lambda state: hosts.drain(state, machine.host, machine.term, "asked"))

    def undrain(self, machine: Machine, _: int) -> None:
        """It starts again; no restart does that."""
        if machine.reaches:
            self._do(machine, lambda state: hosts.undrain(state, machine.host, machine.term))

    def leave(self, machine: Machine, _: int) -> None:
        """It leaves, if it has no agents."""
        if machine.reaches:
            self._do(machine, lambda state: hosts.leave(state, machine.host, machine.term, "asked"))
            machine.daemon = False

    def kill(self, machine: Machine, _: int) -> None:
        """The machine is switched off and on again."""
        machine.agents.clear()
        machine.unprepared.clear()
        machine.untold.clear()
        machine.daemon = machine.stands = machine.frozen = False

    def reconcile(self, machine: Machine, _: int) -> None:
        """It settles its own dead attempts."""
        if not machine.reaches:
            return
        for attempt in self.state.live_on(machine.host):
            if attempt.id not in machine.agents and attempt.state == "running":
                self._end(machine, attempt.id, Ending("lose", "retry", "its runner was killed"))

    # --- work ----------------------------------------------------------------------------------------------------

    def enqueue(self, _: Machine, number: int) -> None:
        """Somebody wants something done."""
        issue = ISSUES[number % len(ISSUES)]
        self._do(None, lambda state: queue.enqueue(state, kind="dev", issue=issue, message="go", via="enqueue"))

    def cancel(self, machine: Machine, number: int) -> None:
        """Somebody does not want it any more."""
        tasks = [task.id for task in self.state.tasks.values() if task.state in ("pending", "notified")]
        if tasks:
            self._do(machine, lambda state: queue.cancel(state, tasks[number % len(tasks)], "asked"))

    def claim(self, machine: Machine, number: int) -> None:
        """Its daemon starts what may start; every fifth time a copy of its directory tries it, with an older term."""
        term = machine.term - (number % 5 == 0)
        if not machine.reaches:
            return
        facts: Any = {**self.world.claim_facts("daemon"), "host": machine.host, "term": term, "cap": 2}
        offer = claims.ClaimRequest(f"l{len(self.events)}", {**PROCESS, "host": machine.host})
        for task in [task.id for task in self.state.waiting()]:
            made = self._do(machine, partial(claims.claim, task_id=task, offer=offer, facts=facts))
            if made and term != machine.term:
                self.broken.append(f"{machine.host[0]} starts {task} in term {term}, its own is {machine.term}")

    def prepare(self, machine: Machine, _: int) -> None:
        """A runner makes what is to be made first, as `runtime.runner.prepare` does."""
        runner: Any = {**PROCESS, "host": machine.host}
        intent = {"repository": "example.org/o/a", "source": "/r", "branch": "fix", "agent": "opencode"}
        for attempt in self._in_phase(machine, "claimed"):
            self._do(machine, partial(attempts.starting, attempt_id=attempt.id, runner=runner))
            machine.unprepared.append((attempt.id, attempt.session))
            session = self.state.sessions[attempt.session]
            elsewhere = session.host not in (None, machine.host)
            if session.state == "idle" and not elsewhere:
                continue
            if session.state in ("idle", "preparing"):
                why = "it is elsewhere" if elsewhere else "it was interrupted"
                self._do(machine, partial(sessions.broken, key=session.key, reason=why))
            self._do(machine, partial(sessions.preparing, key=session.key, intent=intent, attempt=attempt.id))

    def run(self, machine: Machine, _: int) -> None:
        """Its runners have prepared, and start their agents; of attempts that were given away, too."""
        if not machine.reaches:
            return
        unprepared, machine.unprepared = machine.unprepared, []
        for attempt, key in unprepared:
            made = {"source": "/r", "branch": "fix", "agent": "opencode", "agent_session": "s", "base_branch": "main"}
            made |= {"worktree": f"/w{machine.number}/{key[-3:]}", "base_commit": "c0", "base_session": None}
            outcome: Any = {**made, "created": True, "fetched": "yes", "host": machine.host}
            try:
                if self.state.sessions[key].state == "preparing":
                    self._do(machine, lambda state, k=key, a=attempt, o=outcome: sessions.prepared(state, k, o, a))
                worktree = self.state.sessions[key].worktree or ""
                it: Any = {**PROCESS, "host": machine.host}
                self._do(machine, lambda state, a=attempt, w=worktree, p=it: attempts.running(state, a, p, "s", w, "x"))
            except KugetsuError:
                self.done["a runner gave up"] += 1
                self._end(machine, attempt, Ending("fail", "retry", "it cannot be prepared"))
                continue
            machine.agents[attempt] = key
            self._supervise(machine)

    def finish(self, machine: Machine, number: int) -> None:
        """An agent ends, in one way or another; its runner tells, now or when it can again."""
        told = machine.untold
        if machine.agents and not machine.stands and not machine.frozen:
            attempt = list(machine.agents)[number % len(machine.agents)]
            del machine.agents[attempt]
            told.append(attempt)
        while told and machine.reaches:
            how = ("succeed", "done") if number % 3 else ("fail", "retry")
            self._end(machine, told.pop(0), Ending(*how, "it ended"))

    def _in_phase(self, machine: Machine, phase: str) -> list[Any]:
        live = self.state.live_on(machine.host) if machine.reaches else []
        return [attempt for attempt in live if attempt.state == phase]

    def _end(self, machine: Machine, attempt: str, ending: Ending) -> None:
        facts = self.world.outcome_facts()
        self._do(machine, partial(attempts.finish, attempt_id=attempt, ending=ending, facts=facts))

    # --- promises ------------------------------------------------------------------------------------------------

    def _check(self, made: list[Event]) -> None:
        for event in made:
            if event["type"] == "attempt.claimed":
                if event["issue"] in self.live.values():
                    self.broken.append(f"{event['attempt']}: a second live attempt of {event['issue']}")
                host = self.state.hosts[event["facts"]["host"]]
                self.live[event["attempt"]] = event["issue"]
                if event["facts"]["term"] != host.term or not host.takes_part:
                    self.broken.append(f"{event['attempt']} is claimed by {host.name}, which takes no part")
            elif event["type"] in ENDS:
                self.ended[event["attempt"]] += 1
                if self.live.pop(event["attempt"], None) is None:
                    self.broken.append(f"{event['attempt']} ended, and was not live")
            elif event["type"] == "session.prepared" and event["attempt"] not in self.live:
                self.broken.append(f"{event['attempt']}, which is not live, has prepared {event['session']}")
        for attempt in self.state.attempts.values():
            if not self.state.hosts[attempt.host or ""].takes_part:
                self.broken.append(f"{attempt.id} is live on a host that takes no part")
        at_work = Counter(
            issue
            for machine in self.machines
            if not (machine.stands or machine.frozen or machine.excused)
            for issue in machine.agents.values()
        )
        self.broken += [f"{count} agents work on {issue}" for issue, count in at_work.items() if count > 1]


COMMANDS: dict[str, Callable[[ManyHosts, Machine, int], None]] = {
    name: getattr(ManyHosts, name)
    for name in (
        "time_passes",
        "stand_still",
        "go_on",
        "cut_off",
        "mend",
        "restart_server",
        "start_daemon",
        "beat",
        "fence",
        "call_lost",
        "drain",
        "undrain",
        "leave",
        "kill",
        "reconcile",
        "enqueue",
        "cancel",
        "claim",
        "prepare",
        "run",
        "finish",
    )
}
OFTEN = (
    "time_passes",
    "time_passes",
    "fence",
    "go_on",
    "mend",
    "start_daemon",
    "beat",
    "enqueue",
    "claim",
    "prepare",
    "run",
    "finish",
)
RARE = ("call_lost", "drain", "leave", "cancel", "kill")
