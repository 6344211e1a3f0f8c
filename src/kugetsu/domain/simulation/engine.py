"""Simulates the queue: user actions and attempts as recorded, every decision made again by the production functions on
the production fold."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from kugetsu.domain import gates
from kugetsu.domain.decide import attempts, claims
from kugetsu.domain.decide.claims import NOBODY
from kugetsu.domain.events import PRESENT, Event
from kugetsu.domain.facts import ClaimFacts, Ending, OutcomeFacts
from kugetsu.domain.fold import fold
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.recorded_facts import facts_then
from kugetsu.domain.simulation.attempts import EVER, Run, Work, World
from kugetsu.domain.simulation.micros import SECOND, micros_of, text_of
from kugetsu.domain.simulation.overrides import Changes
from kugetsu.domain.simulation.scenario import Past, Scenario, state_of
from kugetsu.domain.state import ENDS, State, Task
from kugetsu.domain.task_options import own_facts, repository_of
from kugetsu.domain.waiting_line import WaitingLine

if TYPE_CHECKING:
    from kugetsu.domain.simulation.scenario import Moment


#: Attempts after which a simulation stops: this many, plus so many for each recorded one.
MOST_ATTEMPTS, MOST_OF_ONE = 20_000, 20

_PREPARED: Event = {
    "agent": "",
    "agent_session": "",
    "worktree": "",
    "source": None,
    "branch": None,
    "base_branch": None,
    "base_commit": None,
}


class Noted:
    """The assumptions made, by name: the tasks that each concerns, once per use."""

    def __init__(self) -> None:
        self.tasks: dict[str, list[str]] = {}

    def add(self, name: str, task: str) -> None:
        """Note one use of an assumption."""
        self.tasks.setdefault(name, []).append(task)


class Simulation:
    """A scenario under changed settings. ``acts`` repeat the user actions (`user_actions.ACTS`)."""

    def __init__(
        self, scenario: Scenario, changes: Changes, acts: dict[str, tuple[slice, Callable[[Simulation, Event], None]]]
    ) -> None:
        self.scenario = scenario
        self.changes = changes
        self.state: State = state_of(scenario.base)
        self.noted = Noted()
        self.now = scenario.begins
        self.line = WaitingLine()
        self.runs: dict[str, Run] = {}
        self.stopped_early = False
        unfinished = frozenset(task for task, counts in scenario.tally.tasks.items() if counts.state is None)
        self.tally = deepcopy(scenario.counted)
        self.tally.frozen, self.tally.horizon = unfinished, scenario.horizon
        timeout = changes.timeout_seconds
        world = partial(World, scenario.limits, typical=scenario.typical(), horizon=scenario.horizon)
        self._as_recorded = world(timeout=None)
        self._world = world(timeout=round(timeout * SECOND)) if timeout is not None else self._as_recorded
        limits = {name: own["timeout_hours"] for name, own in changes.own.items() if "timeout_hours" in own}
        self._worlds = {name: world(timeout=round(hours * 3600 * SECOND)) for name, hours in limits.items()}
        self._known = scenario.known
        self._work: dict[str, Work] = {}
        self._cancels: dict[str, list[int]] = {}
        self._stuck: set[str] = set()
        self._usual = scenario.usual_latency()
        self._seq = scenario.last_seq
        self._hint: float = 0
        self._entries: list[tuple[int, float, int, Callable[[], None]]] = []
        self._pushed = 0
        self._made = 0
        self._candidate: str | None = None
        self._chosen = 0
        self._wake: int | None = None
        self._acts = acts
        self._begin()

    # --- time -------------------------------------------------------------------------------------------------------

    def at(self, micros: int, seq: float, act: Callable[[], None]) -> None:
        """Schedule ``act``; at the same time the lower seq comes first, as recorded."""
        self._pushed += 1
        heapq.heappush(self._entries, (micros, seq, self._pushed, act))

    def run(self) -> None:
        """Run until nothing is scheduled."""
        most = MOST_ATTEMPTS + MOST_OF_ONE * sum(map(len, self.scenario.pasts.values()))
        while self._entries:
            if self._made > most:
                self.stopped_early = True
                return
            micros, self._hint, _, act = heapq.heappop(self._entries)
            self.now = max(self.now, micros)
            act()
            self._choose()

    def _begin(self) -> None:
        scenario = self.scenario
        for micros, seq, facts in scenario.steps:
            self.at(micros, seq, self._step(facts))
        for micros, seq, name, events in scenario.deeds:
            self.at(micros, seq, partial(self._act, name, events))
            for event in events:
                if event["type"] in ("task.cancelled", "attempt.stop_requested"):
                    self._cancels.setdefault(event["task"], []).append(micros)
        for task in self.state.tasks.values():
            wanted = self.changes.priority(task.id, task.issue)
            if wanted is not None:
                task.priority = wanted
        self.line.refill(self.state)
        for past in scenario.live:
            attempt = self.state.attempts.get(f"{past.task}.{past.number}")
            if attempt is not None:
                self._set_out(attempt.id, past.claimed, attempt.label, begun=attempt.state == "running")
        if scenario.open is not None:
            self._candidate, since = scenario.open
            self._offer(self.state.tasks[self._candidate], self._chosen, since)
        self.at(self.now, -1, lambda: None)  # the first step

    def _step(self, facts: dict[str, Any]) -> Callable[[], None]:
        def act() -> None:
            if any(facts.get(name) != self._known.get(name) for name in ("max_runs_without_progress", "repositories")):
                self._stuck.update(task.issue for task in self.state.waiting() if task.issue is not None)
            self._known = facts

        return act

    def _act(self, name: str, events: Sequence[Event]) -> None:
        for event in events:
            self._acts[name][1](self, event)

    # --- events -----------------------------------------------------------------------------------------------------

    def apply(self, new_events: Iterable[NewEvent], seq: int | None = None) -> None:
        """Fold a decision's events. ``seq`` is that of the recorded event, so that tasks keep their order."""
        now = text_of(self.now)
        for new_event in new_events:
            self._seq += 1
            event: Event = {
                "seq": seq if seq is not None else self._seq,
                "at": now,
                "type": new_event.type,
                "v": PRESENT[new_event.type],
                "data": new_event.data,
            }
            for name in ("issue", "task", "attempt", "session", "facts"):
                value = getattr(new_event, name)
                if value is not None:
                    event[name] = value
            self.take(event)

    def take(self, event: Event) -> None:
        """Fold an event."""
        fold(self.state, event)
        self.tally.see(event, self.now)
        task = event.get("task")
        if task is None:
            return
        self.line.update(self.state, task)
        kind = event["type"]
        issue = event.get("issue")
        if issue is not None and (kind in ENDS or kind in ("task.queued", "task.requeued", "task.completed")):
            self._stuck.add(issue)
        if kind == "task.completed":
            for successor in self.state.successors.get(task, ()):
                then = self.state.tasks[successor].issue
                if then is not None:
                    self._stuck.add(then)

    def settle(self) -> None:
        """Record how full the slots are."""
        cap = self.changes.of_claim(self._known)["cap"]
        self.tally.settle(self.now, len(self.state.live("dev")), len(self.line), cap)

    # --- the dispatcher ---------------------------------------------------------------------------------------------

    def facts(self, dispatcher: str | None = None) -> ClaimFacts:
        """The facts that gates read now."""
        facts = facts_then(self.changes.of_claim(self._known), self.state, text_of(self.now))
        if dispatcher is not None:
            facts["dispatcher"] = dispatcher
        return facts

    def _choose(self) -> None:
        if not len(self.line):
            self._candidate = None
            self.settle()
            return
        facts, moment = self.facts(), (self.now, self._hint)
        if facts["dispatcher"] == "daemon" and self.scenario.pauses.over(moment) == moment:
            self._park(self._stuck_tasks(), facts)
        plan = claims.plan_next(self.state, facts, self.line)
        self._park([task for task, closed in plan.held if closed.gate in gates.PARKING], facts)
        self.settle()
        self._wake_at(plan.next_look)
        if plan.candidate == self._candidate:
            return
        self._candidate = plan.candidate
        self._chosen += 1
        if plan.candidate is not None:
            self._offer(self.state.tasks[plan.candidate], self._chosen, moment)

    def _offer(self, task: Task, chosen: int, since: Moment) -> None:
        """Claim the task after the recorded delay, unless a gate closes first."""
        latency = self.scenario.latencies.get((task.id, task.usage.attempts + 1))
        micros, seq = (latency.micros, latency.seq) if latency is not None else (self._usual, self.scenario.last_seq)

        def act() -> None:
            if chosen == self._chosen and self._candidate is not None:
                self.claim(self._candidate, "daemon")
                self._candidate = None

        self.at(self.scenario.pauses.over(since)[0] + micros, seq, act)

    def _wake_at(self, wake: str | None) -> None:
        at = micros_of(wake) if wake is not None else None
        if at is not None and at > self.now and (self._wake is None or not self.now < self._wake <= at):
            self._wake = at
            self.at(at, -1, lambda: None)

    def _stuck_tasks(self) -> list[str]:
        found = [task for issue in self._stuck for task in self.state.of_issue.get(issue, ())]
        self._stuck.clear()
        return found

    def _park(self, tasks: Sequence[str], facts: ClaimFacts) -> None:
        for task_id in tasks:
            task = self.state.tasks[task_id]
            closed = gates.first_closed(self.state, task, facts) if task.state == "pending" else None
            if closed is not None and closed.gate in gates.PARKING:
                plan = claims.Plan(self.state.seq, None, [(task_id, closed)], None)
                self.apply(claims.hold(self.state, plan, facts))

    def claim(self, task_id: str, dispatcher: str, *, despite_pause: bool = False) -> bool:
        """Give a task a slot; False when a gate is closed."""
        task = self.state.tasks[task_id]
        facts = self.facts(dispatcher)
        if despite_pause:
            facts["despite_pause"] = True
        new_events = claims.claim(self.state, task_id, claims.ClaimRequest(), facts)
        self.apply(new_events)
        if not new_events or task.attempt is None:
            return False
        self._made += 1
        self._set_out(task.attempt, self.now, self.state.attempts[task.attempt].label)
        return True

    # --- attempts ---------------------------------------------------------------------------------------------------

    def _set_out(self, attempt_id: str, claimed: int, label: str | None, *, begun: bool = False) -> None:
        """Schedule the run and end of a claimed attempt."""
        task = self.state.tasks[self.state.attempts[attempt_id].task]
        pasts = self.scenario.pasts.get(task.id, [])
        work = self._work.get(task.id)
        if work is None:
            work = self._work[task.id] = Work(pasts, task.usage.attempts - 1)
        comes = any(at >= self.now for at in self._cancels.get(task.id, ()))
        world = self._world_of(task)
        run = self.runs[attempt_id] = work.begin(claimed, label, world, cancel_comes=comes)
        for name in run.assumed:
            self.noted.add(name, task.id)
        recorded = pasts[task.usage.attempts - 1] if task.usage.attempts <= len(pasts) else None
        if run.running is not None and not begun:
            seq = recorded.seqs[1] if recorded is not None else self.scenario.last_seq
            self.at(run.running, seq, lambda: self._runs(attempt_id))
        if run.ends < EVER:
            seq = recorded.seqs[2] if recorded is not None else self.scenario.last_seq
            self.at(run.ends, seq or self.scenario.last_seq, lambda: self._ends(attempt_id, run))

    def _world_of(self, task: Task) -> World:
        """The time limit that an attempt meets: the task's own, what is changed for its repository, what that has of
        its own, the general one."""
        changed = self._worlds.get(repository_of(task))
        if changed is not None and "timeout_hours" not in task.options:
            return changed
        own = "timeout_hours" in task.options or "timeout_hours" in own_facts(task.issue, self._facts_known())
        return self._as_recorded if own else self._world

    def _runs(self, attempt_id: str) -> None:
        attempt = self.state.attempts.get(attempt_id)
        if attempt is None:
            return
        about: dict[str, Any] = {
            "issue": attempt.issue,
            "task": attempt.task,
            "attempt": attempt_id,
            "session": attempt.session,
        }
        new_events = [NewEvent("attempt.starting", {"runner": NOBODY}, **about)] if attempt.state == "claimed" else []
        session = self.state.sessions.get(attempt.session)
        if session is not None and session.state in ("requested", "broken", "preparing"):
            if session.state != "preparing":
                intent = {"repository": session.repository, "source": None, "branch": None, "agent": ""}
                new_events.append(NewEvent("session.preparing", intent, **about))
            recorded = self.scenario.prepared.get(attempt.session)
            new_events.append(NewEvent("session.prepared", recorded["data"] if recorded else _PREPARED, **about))
        self.apply(new_events)
        self.apply(attempts.running(self.state, attempt_id, NOBODY, "", "", ""))

    def stop(self, attempt_id: str) -> None:
        """Its task was cancelled: end it after the recorded delay, unless the recorded one was done all the same."""
        run = self.runs[attempt_id]
        past = run.past
        if past.stopped is not None and not past.cancelled:
            return
        over = past.ended if past.ended is not None else self.scenario.horizon + 1
        took = over - past.stopped if past.stopped is not None else 0
        seq = past.seqs[2] if past.cancelled else self.scenario.last_seq
        stopped = Run(past, run.running, self.now + took)
        stopped.how, stopped.verdict, stopped.reason = "kill", "cancelled", "cancelled"
        share = 1.0 if past.cancelled or run.ends >= EVER else self._share(run)
        stopped.tokens, stopped.cost = run.tokens * share, run.cost * share
        self.runs[attempt_id] = stopped
        self.at(stopped.ends, seq, lambda: self._ends(attempt_id, stopped))

    def _share(self, run: Run) -> float:
        if run.running is None or run.ends <= run.running:
            return 1.0
        return min(max(self.now - run.running, 0) / (run.ends - run.running), 1.0)

    def _ends(self, attempt_id: str, run: Run) -> None:
        if self.runs.get(attempt_id) is not run or attempt_id not in self.state.attempts:
            return
        del self.runs[attempt_id]
        past = run.past
        recorded = past.facts or self._last_outcome()
        issue = self.state.attempts[attempt_id].issue
        facts = self.changes.of_outcome(recorded, own_facts(issue, self._facts_known()), issue)
        facts["now"] = text_of(self.now + past.lag)
        ending = Ending(
            run.how,
            run.verdict,
            run.reason,
            evidence=self._evidence(attempt_id, past, run),
            tokens=round(run.tokens),
            cost=run.cost,
            resets_at=run.resets_at if run.verdict == "limited" else None,
        )
        self.apply(attempts.finish(self.state, attempt_id, ending, cast("OutcomeFacts", facts)))

    def _facts_known(self) -> ClaimFacts:
        return cast("ClaimFacts", self._known)

    def _last_outcome(self) -> dict[str, Any]:
        """The facts of an outcome that was never recorded: of the first that was."""
        for past in self.scenario.attempts():
            if past.facts:
                return past.facts
        agent, most = self._known["agent"], self._known["max_attempts"]
        return {"max_attempts": most, "backoff_seconds": 10.0, "pause_seconds": 3600.0, "agent": agent}

    def _evidence(self, attempt_id: str, past: Past, run: Run) -> dict[str, Any]:
        """Evidence that says of this session what the recorded evidence said of its own."""
        if past.brought is None or run.verdict != past.verdict:
            return {}
        if past.brought:
            return {"head": attempt_id}
        session = self.state.sessions.get(self.state.attempts[attempt_id].session)
        return {"comments": (session.comments if session is not None else 0) or 0}
