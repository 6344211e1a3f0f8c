"""Histories of a daemon that is awake: it looks whenever something happens and at every time at which a gate opens, as
the real one does; attempts take their time, and end."""

from __future__ import annotations

import random
from typing import Any

from kugetsu.domain.decide import attempts, claims, daemon, queue
from kugetsu.domain.facts import ClaimFacts, Ending
from kugetsu.domain.waiting_line import WaitingLine
from kugetsu.model import clock
from property.simulation import ISSUES, PROCESS, Event, World

#: How attempts end, the likely more often.
ENDS = (*(("succeed", "done"),) * 6, ("fail", "retry"), ("fail", "limited"), ("lose", "retry"), ("fail", "give_up"))
#: The same where the provider or the machine breaks at times.
WITH_OUTAGES = (*ENDS, ("fail", "unavailable"), ("fail", "unavailable"))


class Night(World):
    """A queue that is worked through. ``latency``: seconds from a way that opens to its claim, at most. ``ends``: how
    attempts end, by chance."""

    def __init__(self, seed: int, *, latency: float = 0.0, ends: tuple[tuple[str, str], ...] = ENDS) -> None:
        super().__init__()
        self.ends = ends
        self.chance = random.Random(seed)
        self.latency = latency
        self.line = WaitingLine()
        self.seen = 0
        #: What is to happen: (time, number, what, attempt).
        self.agenda: list[tuple[str, int, str, str]] = []
        self.planned_steps = 0
        self.wake: str | None = None
        self.do(lambda state: daemon.started(state, PROCESS, "daemon-1"))

    def after(self, seconds: float, what: str, subject: str = "") -> None:
        """Plan something."""
        self.planned_steps += 1
        self.agenda.append((clock.add_seconds(self.now, seconds), self.planned_steps, what, subject))

    def arrive(self, seconds: float) -> None:
        """A task that comes after so many seconds."""
        self.after(seconds, "arrive")

    def live(self) -> list[Event]:
        """Until nothing happens any more; all events."""
        while self.agenda or self.wake is not None:
            if not self.agenda:
                # Nobody is left who would make room: a machine that stays full would be looked at for ever.
                self.cap, self.free_memory_mb, self.free_disk_mb = max(self.cap, 1), 4000, 5000
                self.agent_problems = {}
            self.agenda.sort()
            if self.wake is not None and (not self.agenda or self.wake <= self.agenda[0][0]):
                self.now, self.wake = max(self.now, self.wake), None
            else:
                at, _, what, subject = self.agenda.pop(0)
                self.now = max(self.now, at)
                getattr(self, f"do_{what}")(subject)
            self.dispatch_all()
        return self.memory.events

    def dispatch_all(self) -> None:
        """What the daemon does when it wakes."""
        while True:
            for event in self.memory.events[self.seen :]:
                if "task" in event:
                    self.line.update(self.state, event["task"])
            self.seen = len(self.memory.events)
            facts = self.claim_facts("daemon")
            plan = self.plan(facts)
            if plan.candidate is None:
                self.wake = plan.next_look if plan.next_look is not None and plan.next_look > self.now else None
                if plan.held:
                    self.do(lambda state: claims.hold(state, plan, facts))  # noqa: B023 - called at once
                return
            if self.latency:
                self.now = clock.add_seconds(self.now, round(self.chance.uniform(0.001, self.latency), 6))
            offer = self.offer()
            made = self.do(lambda state: claims.dispatch(state, plan, offer, facts))  # noqa: B023 - called at once
            self.after(self.chance.uniform(0.5, 3.0), "run", made[-1]["attempt"])

    def plan(self, facts: ClaimFacts) -> claims.Plan:
        """What the dispatcher would do."""
        return claims.plan(self.state, facts)

    def do_arrive(self, subject: str) -> None:
        number = self.chance.randrange(10_000)
        known = list(self.state.tasks)
        self.do(
            lambda state: queue.enqueue(
                state,
                kind="dev",
                issue=self.issue(number),
                message="go",
                via="enqueue",
                priority=5 if number % 11 == 0 else 0,
                after=[known[number % len(known)]] if known and number % 13 == 0 else [],
            )
        )

    def issue(self, number: int) -> str:
        return ISSUES[number % len(ISSUES)]

    def do_run(self, attempt: str) -> None:
        if attempt not in self.state.attempts:
            return
        self.run(list(self.state.attempts).index(attempt), 0)
        self.after(self.chance.uniform(20.0, 900.0), "end", attempt)

    def do_end(self, attempt: str) -> None:
        if attempt not in self.state.attempts:
            return
        how, verdict = self.chance.choice(self.ends)
        resets = clock.add_seconds(self.now, self.chance.uniform(300.0, 4000.0)) if self.chance.random() < 0.5 else None
        ending = Ending(
            how,
            verdict,
            f"ended by {how}",
            evidence={"head": f"c{self.chance.randrange(3)}", "comments": 0, "commits": 1, "dirty": 0, "pushed": True},
            tokens=self.chance.randrange(1000, 90_000),
            cost=0.25,
            resets_at=resets if verdict == "limited" else None,
        )
        facts = self.outcome_facts()
        self.do(lambda state: attempts.finish(state, attempt, ending, facts))

    def do_command(self, name: str) -> None:
        """Somebody types something; refusals change nothing."""
        from kugetsu.model.errors import KugetsuError

        try:
            getattr(self, name)(self.chance.randrange(60), self.chance.randrange(60))
        except KugetsuError:
            return


class Factory(Night):
    """Thousands of tasks, each on an issue of its own. Its dispatcher says nothing of those that it holds back."""

    def plan(self, facts: ClaimFacts) -> claims.Plan:
        plan = claims.plan_next(self.state, facts, self.line)
        return claims.Plan(plan.seq, plan.candidate, [], plan.next_look)

    def issue(self, number: int) -> str:
        return f"example.org/o/r#{self.state.tasks_made + 1}"


def night(seed: int, tasks: int, *, commands: int = 0, over: float = 20_000.0, **more: Any) -> Night:
    """A night with so many tasks and typed commands, not lived yet."""
    made = Night(seed, **more)
    chance = random.Random(seed + 1)
    for _ in range(tasks):
        made.arrive(chance.uniform(0.0, over))
    typed = (
        "cancel",
        "retry",
        "move",
        "lift",
        "dequeue",
        "start",
        "change_machine",
        "change_limits",
        "undo",
        "enqueue",
    )
    for _ in range(commands):
        made.after(chance.uniform(0.0, over), "command", chance.choice(typed))
    return made


def factory(seed: int, tasks: int, *, over: float, cap: int = 3) -> list[Event]:
    """The events of a factory whose tasks come within so many seconds."""
    made = Factory(seed)
    made.cap, made.cores = cap, 64
    chance = random.Random(seed + 1)
    for _ in range(tasks):
        made.arrive(chance.uniform(0.0, over))
    made.agenda.sort()
    return made.live()
