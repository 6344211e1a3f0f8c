"""Many hosts that take their tasks from one queue: conflicts for each claim, fairness by cap, events and time for each
task.

Simulated in one process, on a clock of its own: the hosts' dispatchers take kugetsu's own decisions on one state, but
each claims a moment after it has planned, so that another one may have been faster. What that takes (the wake-up, the
append) is as it was measured on loopback.
"""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson

from bench import made_log
from bench.report import Report, Sizes
from kugetsu.domain import hosts, placement
from kugetsu.domain.decide import attempts, claims, daemon, queue, sessions
from kugetsu.domain.decide import hosts as decide
from kugetsu.domain.events import Identity
from kugetsu.domain.facts import Ending
from kugetsu.domain.fold import fold
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import empty
from kugetsu.domain.waiting_groups import WaitingGroups
from kugetsu.domain.waiting_line import WaitingLine
from kugetsu.log.codec import GENESIS, encode
from kugetsu.log.files.block_reader import CollectionPaused
from kugetsu.model import clock

CAPS = (2, 2, 4, 4, 4, 8, 8, 16)
#: Seconds, each from-to: until another host's daemon is awake, from plan to claim, and that an agent works.
WAKE, CLAIM, WORK = (0.002, 0.006), (0.003, 0.010), (5.0, 15.0)
#: How much of the slots is used when tasks come one by one.
LOAD = 0.7
_WAIT = {True: "with the wait", False: "without the wait"}
#: Each task of a queue that is so many times as long may take as long, and not more than the noise beyond.
TIMES, LIMIT_A_TASK = 10, 1.3
#: A dispatcher's first plan groups the whole queue, which takes so many times as long as to order it; those after it,
#: each after another event, cost the same however long the queue is.
ORDER, LIMIT_FIRST = "the order alone", 20.0
AGAIN, LIMIT_AGAIN, EVENTS = "after an event", 2.0, 50


def measure(report: Report, sizes: Sizes, _folder: str) -> None:
    """With and without the wait before a claim; the events and the time for each task in short and long queues."""
    shortest: dict[bool, _Run] = {}
    for tasks in (sizes.tasks // TIMES, 3 * sizes.tasks // TIMES, sizes.tasks):
        report.doing(f"{len(CAPS)} hosts, {tasks:,} tasks, simulated")
        for waits in (True, False):
            run = _Run(tasks, waits)
            run.tell(report, f"{tasks:,} tasks, {_WAIT[waits]}", shortest.setdefault(waits, run))
    for waits in (True, False):
        _Run(sizes.tasks // TIMES, waits, LOAD).tell(report, f"they come one by one, {_WAIT[waits]}")
    report.doing("plans of a host that is full")
    for part, caps in (("many hosts", CAPS), ("one host", CAPS[-1:])):
        few, many = (_plans(caps, tasks, sizes.slow_rounds + 2) for tasks in (sizes.tasks // TIMES, sizes.tasks))
        for name, samples in many.items():
            what, first = f"plan, {sizes.tasks:,} tasks, {name}", not name.endswith(AGAIN)
            beside = ("ordering them", many[ORDER]) if first else (f"{sizes.tasks // TIMES:,} tasks", few[name])
            limits: dict[str, Any] = {} if name == ORDER else {"limit": LIMIT_FIRST if first else LIMIT_AGAIN}
            report.add(part, what, samples, "ms", reference=beside[0], against=beside[1], **limits)


class _Run:
    """A simulation from its first task to its last, and what it came to."""

    def __init__(self, tasks: int, waits: bool, load: float = 0.0) -> None:
        began = time.process_time()
        self.world = World(CAPS, seed=1, waits=waits)
        self.world.run(tasks, load)
        self.tasks, self.waits = tasks, waits
        self.milliseconds = 1000 * (time.process_time() - began) / tasks
        self.events = self.world.state.seq / tasks

    def tell(self, report: Report, name: str, shortest: _Run | None = None) -> None:
        """Its rows; events and time beside those of the ``shortest`` queue."""
        world, than = self.world, shortest if shortest is not self else None
        unfair = sum(abs(world.share(host) - world.due(host)) for host in world.hosts) / 2
        limits: dict[str, Any] = {"limit": 1.5, "absolute": True} if self.waits else {}
        report.add("many hosts", f"{name}: conflicts", [world.conflicts / self.tasks], "a claim", **limits)
        limits = {"limit": 15.0, "absolute": True} if self.waits else {}
        report.add("many hosts", f"{name}: claims beyond a host's share of the slots", [100 * unfair], "%", **limits)
        for what, mine, unit in (("events", "events", "a task"), ("time", "milliseconds", "ms a task")):
            limits = {}
            if than is not None:
                limits = {"reference": f"{than.tasks:,} tasks", "against": [getattr(than, mine)], "limit": LIMIT_A_TASK}
            report.add("many hosts", f"{name}: {what}", [getattr(self, mine)], unit, **limits)


class World:
    """The hosts with their caps, the log's state, and what happens next. One host shares its log with nobody."""

    def __init__(self, caps: Sequence[int], *, seed: int, waits: bool) -> None:
        self.state = empty()
        self.hosts = {f"{number:032x}": cap for number, cap in enumerate(caps, 1)}
        self.claimed: Counter[str] = Counter()
        self._live: Counter[str] = Counter()
        self.conflicts = 0
        self._waits = waits
        self._shares = len(caps) > 1
        self._chance = random.Random(seed)
        self._sha = GENESIS
        self._now = 0.0
        self._line = WaitingLine()
        self._numbers = itertools.count()
        self._next: list[tuple[float, int, Callable[[], None]]] = []
        self._busy: set[str] = set()
        self._begin()

    def share(self, host: str) -> float:
        """The part of the claims that were the host's."""
        return self.claimed[host] / self.claimed.total()

    def due(self, host: str) -> float:
        """The part of all slots that are the host's."""
        return self.hosts[host] / sum(self.hosts.values())

    def run(self, tasks: int, load: float = 0.0) -> None:
        """Queue so many tasks, and let the hosts work until none is left. They are all there at the beginning, or come
        one by one, as many as keep that part of the slots at work."""
        if load:
            pause, at = sum(WORK) / 2 / sum(self.hosts.values()) / load, 0.0
            for number in range(tasks):
                at += self._chance.expovariate(1 / pause)
                self._at((at, at), partial(self._come, number))
        else:
            self.queue(tasks)
        for host in self.hosts:
            self._wake(host)
        while self._next:
            self._now, _, act = heapq.heappop(self._next)
            act()
        if self.claimed.total() != tasks or self.state.attempts or self.state.violations_seen:
            raise RuntimeError(f"of {tasks} tasks {self.claimed.total()} were claimed: {self.state.violations[:3]}")

    def queue(self, tasks: int) -> None:
        """Queue so many tasks, each for an issue of its own."""
        for number in range(tasks):
            self._queue(number)

    def _queue(self, number: int) -> None:
        issue = made_log.issue(number)
        self._append(queue.enqueue(self.state, kind="dev", issue=issue, message="implement X", via="enqueue"))

    def _come(self, number: int) -> None:
        self._queue(number)
        self._wake_all()

    def facts(self, host: str) -> Any:
        """What the dispatcher of a host sees."""
        now = clock.from_micros(made_log.FIRST_MICROS + round(self._now * 1_000_000))
        known = {
            **made_log.claim_facts(now, free_memory_mb=12_345),
            "warmup_seconds": 0.0,
            "warm_before": now,
            "cores": 99,
        }
        return {**known, "cap": self.hosts[host], **({"host": host, "term": 1} if self._shares else {})}

    def fill(self) -> None:
        """Use all slots of all hosts."""
        for host in self.hosts:
            while (plan := claims.plan_next(self.state, self.facts(host), self._line)).candidate is not None:
                self._append(claims.dispatch(self.state, plan, _offer(host), self.facts(host)))

    def touch(self, task: str) -> None:
        """An event of a waiting task that leaves it as it is."""
        message = f"implement Y, {self.state.seq}"
        self._append(queue.edit(self.state, task, message, "implement X", self.state.tasks[task].edited))

    def _begin(self) -> None:
        self._append(sessions.initialise(self.state, "0" * 32, "0.1.0", "opencode"))
        for host, cap in self.hosts.items():
            if self._shares:
                self._append(decide.join(self.state, host, 1, f"box{int(host, 16)}", [], cap))
            self._append(daemon.started(self.state, _identity(host), f"lease-{host}"))

    def _append(self, new_events: Sequence[NewEvent]) -> list[Any]:
        at = clock.from_micros(made_log.FIRST_MICROS + round(self._now * 1_000_000))
        lines, self._sha = encode(new_events, self.state.seq + 1, self._sha, at, made_log.BY)
        events = [orjson.loads(line) for line in lines]
        for event in events:
            fold(self.state, event)
            if "task" in event:
                self._line.update(self.state, event["task"])
        return events

    def _at(self, seconds: tuple[float, float], act: Callable[[], None]) -> None:
        heapq.heappush(self._next, (self._now + self._chance.uniform(*seconds), next(self._numbers), act))

    def _wake(self, host: str) -> None:
        """An append wakes a dispatcher, unless it is on its way to a claim; one that is full has nothing to claim."""
        if host not in self._busy and self._live[host] < self.hosts[host]:
            self._busy.add(host)
            self._at(WAKE, lambda: self._plan(host))

    def _plan(self, host: str, *, waited: bool = False) -> None:
        facts = self.facts(host)
        plan = claims.plan_next(self.state, facts, self._line)
        if plan.candidate is None:
            self._busy.discard(host)
            return
        task = self.state.tasks[plan.candidate]
        if self._waits and not waited and placement.Placement(self.state, facts).is_open_elsewhere(task):
            wait = hosts.wait_seconds(self.state, facts, self._chance.random())
            if wait:
                self._at((wait, wait), lambda: self._plan(host, waited=True))
                return
        self._at(CLAIM, lambda: self._claim(host, plan, facts))

    def _claim(self, host: str, plan: claims.Plan, facts: Any) -> None:
        events = self._append(claims.dispatch(self.state, plan, _offer(host), facts))
        attempt = next((event["attempt"] for event in events if event["type"] == "attempt.claimed"), None)
        if attempt is None:
            self.conflicts += 1
        else:
            self.claimed[host] += 1
            self._live[host] += 1
            self._start(host, attempt)
            self._at(WORK, lambda: self._end(host, attempt))
            self._wake_all()
        self._plan(host)

    def _start(self, host: str, attempt: str) -> None:
        who, session = _identity(host), self.state.attempts[attempt].session
        self._append(attempts.starting(self.state, attempt, who))
        for make in made_log.prepare(session, attempt):
            self._append(make(self.state))
        self._append(attempts.running(self.state, attempt, who, "ses_df6c0a1b2c3d", "/w/1", "/bin/opencode"))

    def _end(self, host: str, attempt: str) -> None:
        self._live[host] -= 1
        facts: Any = {name: self.facts(host)[name] for name in ("now", "max_attempts", "agent")}
        facts |= {"backoff_seconds": 10.0, "pause_seconds": 3600.0}
        ending = Ending("succeed", "done", "2 commits, pushed", outcome={"kind": "succeeded"}, exit=0)
        self._append(attempts.finish(self.state, attempt, ending, facts))
        self._wake_all()

    def _wake_all(self) -> None:
        for host in self.hosts:
            self._wake(host)


def _plans(caps: Sequence[int], tasks: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of processor time that a full host's plan takes while others are free, if there are others; while
    all are full, before that was recorded, and after."""
    found: dict[str, list[float]] = {}
    world = World(caps, seed=1, waits=True)
    world.queue(tasks + sum(caps))
    first = next(iter(world.hosts))
    facts: Any = {**world.facts(first), "cap": 0}
    if len(caps) > 1:
        _add_plans(found, "others are free", world, facts, rounds)
    world.fill()
    found["all are full"] = [_timed(partial(claims.plan, world.state, facts)) for _ in range(rounds)]
    for task in world.state.waiting():
        task.held = "slots"
    _add_plans(found, "all are full, as recorded", world, facts, rounds)
    return {ORDER: [_timed(world.state.waiting) for _ in range(rounds)], **found}


def _add_plans(found: dict[str, list[float]], name: str, world: World, facts: Any, rounds: int) -> None:
    """The first plan of a dispatcher, and those after it, each after another event."""
    found[name] = [_timed(partial(claims.plan, world.state, facts)) for _ in range(rounds)]
    kept = WaitingGroups()
    claims.plan(world.state, facts, kept)
    last = world.state.waiting()[-1].id
    found[f"{name}, {AGAIN}"] = samples = []
    for _ in range(rounds):
        spent = 0.0
        for _event in range(EVENTS):
            world.touch(last)
            spent += _timed(partial(claims.plan, world.state, facts, kept))
        samples.append(spent / EVENTS)


def _timed(act: Callable[[], object]) -> float:
    """Milliseconds of processor time, without those of Python's collections of cycles, which come when they come."""
    with CollectionPaused():
        began = time.process_time()
        act()
        return 1000 * (time.process_time() - began)


def _identity(host: str) -> Identity:
    return {"boot": "5f2c8e4a-1111-4222-8333-444455556666", "pid": 1000 + int(host, 16), "start": 884_213, "host": host}


def _offer(host: str) -> claims.ClaimRequest:
    return claims.ClaimRequest(f"0123456789abcdef-{host[-4:]}", _identity(host))
