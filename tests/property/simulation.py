"""A kugetsu in memory: every command as a decision folded into a state, with a clock of its own.

The runner, the daemon and the user are played by methods; each picks its subject by a number, so that a list of
numbers is a history. Everything goes through JSON, as it does in the log.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import orjson
import pytest

from kugetsu.domain import intake as judging
from kugetsu.domain import loops, state_codec
from kugetsu.domain.decide import (
    attempts,
    claims,
    daemon,
    intake,
    marks,
    notifications,
    pauses,
    persons,
    queue,
    reactions,
    reports,
    reviews,
    sessions,
    undo,
    verification,
    worktree_setup,
)
from kugetsu.domain.events import CATALOGUE, Event, Identity
from kugetsu.domain.facts import (
    AgentProblem,
    ClaimFacts,
    Ending,
    IntakeFacts,
    OutcomeFacts,
    ReactionFacts,
    RepositoryFacts,
)
from kugetsu.domain.fold import fold, usage
from kugetsu.domain.fold import tasks as folding
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State, empty
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError

Transact = Callable[[Callable[[State], Sequence[NewEvent]]], list[Event]]

START = "2026-11-23T10:00:00.000000Z"
ISSUES = tuple(f"example.org/o/{name}#{number}" for name in ("a", "b") for number in (1, 2))
AGENT = "opencode:default"
PROCESS: Identity = {"boot": "b", "pid": 7, "start": 11}

#: What tasks are given for themselves, seldom: another agent, another model, other limits.
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {},
    {"agent": "command"},
    {"model": "other"},
    {"max_attempts": 1, "timeout_hours": 0.5},
)

#: The kinds of feedback.
FEEDBACK = ("checks", "reviews", "comments", "conflicts", "verification")

ENDINGS = (
    *(("succeed", "done"),) * 3,
    ("fail", "retry"),
    ("fail", "limited"),
    ("fail", "give_up"),
    ("time_out", "retry"),
    ("kill", "cancelled"),
    ("lose", "retry"),
)


def envelope(new_event: NewEvent, seq: int, at: str, more: int) -> Event:
    """The event that the log makes of a new_event."""
    event: Event = {"seq": seq, "at": at, "type": new_event.type, "v": CATALOGUE[new_event.type].version}
    for name in ("issue", "task", "attempt", "session"):
        if getattr(new_event, name) is not None:
            event[name] = getattr(new_event, name)
    if new_event.cause is not None:
        cause = new_event.cause + seq if new_event.cause < 0 else new_event.cause
        assert 0 < cause < seq, f"{new_event} is caused by {cause}, not by an earlier event than {seq}"
        event["cause"] = cause
    if more:
        event["more"] = more
    if new_event.decision is not None:
        event["decision"] = new_event.decision
    if new_event.arguments is not None:
        event["arguments"] = new_event.arguments
    event["data"] = new_event.data
    if new_event.facts is not None:
        event["facts"] = new_event.facts
    return event


class Memory:
    """The log's promise without the log: decide on the newest state, append all or nothing, fold."""

    def __init__(self) -> None:
        self.state = empty()
        self.events: list[Event] = []
        self.at = START

    def transact(self, decide: Callable[[State], Sequence[NewEvent]]) -> list[Event]:
        new_events = decide(self.state)
        first = self.state.seq + 1
        made = [
            orjson.loads(orjson.dumps(envelope(new_event, first + place, self.at, len(new_events) - 1 - place)))
            for place, new_event in enumerate(new_events)
        ]
        for event in made:
            fold(self.state, event)
        self.events += made
        return made


class World:
    """Everybody who writes events, on one log (by default one in memory)."""

    def __init__(self, transact: Transact | None = None, read: Callable[[], State] | None = None) -> None:
        self.memory = Memory()
        self._transact = transact or self.memory.transact
        self._read = read or (lambda: self.memory.state)
        self.now = START
        self.cap = 2
        self.cores = 2
        self.free_memory_mb: int | None = 4000
        self.free_disk_mb: int | None = 5000
        self.agent_problems: dict[str, AgentProblem] = {}
        self.max_tokens = 0
        self.max_cost = 0.0
        self.max_fruitless = 0
        self.repository_caps: dict[str, int] = {}
        self.repositories: dict[str, RepositoryFacts] = {}
        self.warmup = 3.0
        self.claims = 0
        self.planned: tuple[claims.Plan, ClaimFacts] | None = None
        self.looked: tuple[int, int, ClaimFacts] | None = None
        self.marks: list[tuple[int, Any]] = []
        self.do(lambda state: sessions.initialise(state, "log-1", "0", "opencode"))

    @property
    def state(self) -> State:
        return self._read()

    def do(self, decide: Callable[[State], Sequence[NewEvent]]) -> list[Event]:
        """Append what ``decide`` says; a refusal is raised and changes nothing."""
        self.memory.at = self.now
        return self._transact(decide)

    # --- what decisions are made from ---

    def claim_facts(self, dispatcher: str = "self") -> ClaimFacts:
        return {
            "now": self.now,
            "cap": self.cap,
            "cap_source": "config",
            "cores": self.cores,
            "warmup_seconds": self.warmup,
            "warm_before": clock.add_seconds(self.now, -self.warmup),
            "free_memory_mb": self.free_memory_mb,
            "min_free_memory_mb": 500,
            "max_attempts": 3,
            "agent": AGENT,
            "dispatcher": dispatcher,
            "free_disk_mb": self.free_disk_mb,
            "min_free_disk_mb": 200,
            "issue_max_tokens": self.max_tokens,
            "issue_max_cost": self.max_cost,
            "max_runs_without_progress": self.max_fruitless,
            "repository_caps": self.repository_caps,
            "agent_problems": self.agent_problems,
            "repositories": self.repositories,
        }

    def outcome_facts(self) -> OutcomeFacts:
        return {
            "now": self.now,
            "max_attempts": 3,
            "backoff_seconds": 10.0,
            "pause_seconds": 1800.0,
            "agent": AGENT,
        }

    def offer(self) -> claims.ClaimRequest:
        self.claims += 1
        return claims.ClaimRequest(f"lease-{self.claims}", PROCESS)

    def _task(self, pick: int) -> str:
        known = list(self.state.tasks)
        return known[pick % len(known)] if known else "q1"

    def _session(self, pick: int) -> str:
        known = list(self.state.sessions)
        return known[pick % len(known)] if known else ISSUES[0]

    def _attempt(self, pick: int) -> str | None:
        live = list(self.state.attempts)
        return live[pick % len(live)] if live else None

    # --- the user ---

    def _request(self, state: State, a: int, b: int) -> list[NewEvent]:
        pm = a % 7 == 6
        known = list(state.tasks)
        issue = None if pm else ISSUES[a % len(ISSUES)]
        earlier = (event for event in self.memory.events if event.get("issue") == issue)
        prior = usage.of_history(issue, earlier) if issue is not None and issue not in state.sessions else None
        after = [known[b % len(known)], known[b // 2 % len(known)]] if known and b % 3 == 0 else []
        return queue.enqueue(
            state,
            kind="pm" if pm else "dev",
            issue=issue,
            message=f"message {a}\nand more",
            via="queue enqueue",
            priority=5 if b % 5 == 4 else 0,
            after=after,
            carried=prior,
            options=OPTIONS[b % 11 % len(OPTIONS)] if b % 2 else None,
        )

    def enqueue(self, a: int, b: int) -> list[Event]:
        return self.do(lambda state: self._request(state, a, b))

    def start(self, a: int, b: int) -> list[Event]:
        """Look and claim; every fourth that sees its way open takes its time, and claims at the next call."""
        if self.looked is not None:
            return self._late_start()
        offer, facts = self.offer(), self.claim_facts()
        if b % 3 == 0 and self.state.paused:
            facts["despite_pause"] = True
        wanted = self._request(self.state, a, 1)[0]
        if b % 4 == 0 and wanted.issue is not None and claims.held_back(self.state, wanted, facts) is None:
            self.looked = self.state.seq, a, facts
            return []
        return self.do(lambda state: claims.start(state, self._request(state, a, 1)[0], offer, facts))

    def _late_start(self) -> list[Event]:
        assert self.looked is not None
        (seen, a, facts), self.looked = self.looked, None
        offer = self.offer()

        def decide(state: State) -> list[NewEvent]:
            wanted = self._request(state, a, 1)[0]
            if state.last_destroyed > seen:
                return []
            carried = wanted.data.get("carried")
            lost = claims.lost_start(state, wanted.issue or "", seen, facts, carried, wanted.data.get("options"))
            return lost or claims.start(state, wanted, offer, facts)

        return self.do(decide)

    def cancel(self, a: int, b: int) -> list[Event]:
        return self.do(lambda state: queue.cancel(state, self._task(a), "cancelled by the user"))

    def retry(self, a: int, b: int) -> list[Event]:
        """Retry a task; every fifth time one that has left the state, if there is one."""
        gone = sorted(self.queued() - self.state.tasks.keys()) if b % 5 == 0 else []
        if not gone:
            return self.do(lambda state: queue.retry(state, self._task(a)))
        from kugetsu.runtime.query import retired  # what is pure is tried without it

        record = retired.record(self, self.state, gone[a % len(gone)])  # type: ignore[arg-type]
        assert record is not None
        earlier = (event for event in self.memory.events if event.get("issue") == record["issue"])
        if record["issue"] is not None and record["issue"] not in self.state.sessions:
            record["carried"] = usage.of_history(record["issue"], earlier)  # type: ignore[typeddict-item]
        return self.do(lambda state: queue.retry(state, gone[a % len(gone)], record))

    def queued(self) -> set[str]:
        """The tasks that were ever queued."""
        return {event["task"] for event in self.memory.events if event["type"] == "task.queued"}

    def read_key(self, key: str) -> Iterator[Event]:
        """As of the log."""
        return (event for event in self.memory.events if key in (event.get("issue"), event.get("task")))

    def state_at(self, seq: int) -> State:
        """As of the log."""
        return self.state_after(seq)

    def acknowledge_failed(self, a: int, b: int) -> list[Event]:
        """A task, an issue, or all that failed."""
        subjects = [[self._task(a)], [ISSUES[a % len(ISSUES)]], []][b % 3]
        return self.do(lambda state: queue.acknowledge(state, subjects))

    def dequeue(self, a: int, b: int) -> list[Event]:
        return self.do(lambda state: queue.dequeue(state, self._task(a) if b % 2 else None))

    def clear(self, a: int, b: int) -> list[Event]:
        before = None if a % 2 else clock.add_seconds(self.now, -60.0)
        return self.do(lambda state: queue.clear(state, before, failed=b % 2 == 0))

    def move(self, a: int, b: int) -> list[Event]:
        after = [self._task(b), self._task(b // 3)] if b % 5 == 0 else None
        priority = b % 7 if b % 4 == 1 else None
        return self.do(
            lambda state: queue.move(
                state, self._task(a), first=b % 4 == 0, last=b % 4 == 2, priority=priority, after=after
            )
        )

    def lift(self, a: int, b: int) -> list[Event]:
        gate, subject = ("provider", AGENT) if b % 2 else ("progress", ISSUES[a % len(ISSUES)])
        return self.do(lambda state: queue.unblock(state, gate, subject))

    def pause(self, a: int, b: int) -> list[Event]:
        repository = (None, *(f"example.org/o/{name}" for name in "ab"))[a % 3]
        until = (None, clock.add_seconds(self.now, 30.0), clock.add_seconds(self.now, 900.0))[b % 3]
        return self.do(lambda state: pauses.pause(state, repository, until, self.now))

    def resume(self, a: int, b: int) -> list[Event]:
        known = list(self.state.paused) or ["*"]
        key = known[a % len(known)]
        return self.do(lambda state: pauses.resume(state, None if key == "*" else key))

    def edit(self, a: int, b: int) -> list[Event]:
        """Change a message; every fifth time on what it was before another edit."""
        task_id = self._task(a)
        told = [
            event
            for event in self.memory.events
            if event.get("task") == task_id and event["type"] in ("task.queued", "task.edited")
        ]
        if not told:
            return []
        known = told[0] if b % 5 == 0 else told[-1]
        edited = known["seq"] if known["type"] == "task.edited" else 0
        was = known["data"]["message"]
        return self.do(lambda state: queue.edit(state, task_id, f"message {b % 7}", was, edited))

    def cancel_waiting(self, a: int, b: int) -> list[Event]:
        return self.do(lambda state: queue.cancel_waiting(state, "clear --all")) if a == b else []

    def destroy(self, a: int, b: int) -> list[Event]:
        """The intent, and, unless the command dies in between, its outcome or that it did not come off."""
        key = self._session(a)
        made = self.do(lambda state: sessions.destroying(state, key, b % 2 == 0, "destroy"))
        if b % 4 == 0:
            return made
        if b % 4 == 1:
            return made + self.do(lambda state: sessions.broken(state, key, "the worktree would not go"))
        outcome: dict[str, Any] = {"worktree": "/w", "branch": "fix/issue-1", "rescue": None, "kept": []}
        return made + self.do(lambda state: sessions.destroyed(state, key, outcome))

    def read_notices(self, a: int, b: int) -> list[Event]:
        return self.do(lambda state: notifications.mark_read(state, state.seq - a % 10))

    def register(self, a: int, b: int) -> list[Event]:
        source = {"path": f"/clones/{b % 3}"} if b % 2 else {"url": f"https://example.org/{b % 3}"}
        return self.do(lambda state: sessions.register(state, f"example.org/o/{'ab'[a % 2]}", source))

    def tie(self, a: int, b: int) -> list[Event]:
        url = f"https://example.org/o/a/pulls/{b % 7}"
        return self.do(lambda state: sessions.set_pr(state, self._session(a), url, "set-pr"))

    def observe(self, a: int, b: int) -> list[Event]:
        """Look at a pull request, or at the base branch."""
        key = self._session(a)
        if b % 11 == 10:
            return self.do(lambda state: reviews.merged(state, key, "fix/issue-1", "main", "c0ffee"))
        seen: dict[str, Any] = {"number": b % 5, "url": f"https://example.org/o/a/pulls/{b % 5}", "draft": b % 13 == 0}
        seen |= {"state": ("open", "open", "open", "open", "merged", "closed")[b % 6], "head": f"c{a % 2}"}
        seen |= {
            "checks": ("success", "failure", "pending", None)[a % 4],
            "mergeable": (True, True, None, False)[b % 4],
        }
        seen["review"] = ("approved", "changes_requested", "outdated", None)[(a + b) % 4]
        return self.do(lambda state: reviews.observe(state, key, seen))

    def label(self, a: int, b: int) -> list[Event]:
        """Look at a labelled issue: set by whom, when, its text, what it depends on."""
        issue = ISSUES[a % len(ISSUES)]
        facts: IntakeFacts = {
            "label": "kugetsu",
            "labels": ["kugetsu", *(["priority:high"] if b % 3 == 0 else [])],
            "body": f"h{b % 2}",
            "labelled_by": "bob" if b % 7 else None,
            "labelled_at": f"2026-11-23T0{b % 10}:00:00Z" if b % 7 else None,
            "right": ("triage", "write", None)[b % 3],
            "labellers": ["bob"] if b % 4 == 0 else [],
            "edited_by": "mary" if b % 11 == 10 else None,
            "edited_at": "2026-11-23T09:30:00Z" if b % 11 == 10 else None,
            "blockers": [{"issue": ISSUES[b % 4], "open": (True, False, None)[b % 3]}] if b % 5 == 0 else [],
        }
        earlier = [event for event in self.memory.events if event.get("issue") == issue]
        look = partial(intake.look, issue=issue, title="Slow", author="alice", relation="none", facts=facts)
        prior = usage.of_history(issue, earlier) if issue not in self.state.sessions else None
        known = judging.history_of(earlier)
        return self.do(lambda state: look(state, message=f"Slow {b}", history=known, carried=prior))

    def unlabel(self, a: int, b: int) -> list[Event]:
        why = ("unlabelled", "closed", "switched_off")[b % 3]
        over_at = self.now if why == "closed" and b % 2 else None
        return self.do(lambda state: intake.gone(state, ISSUES[a % len(ISSUES)], why, over_at))

    def mark(self, a: int, b: int) -> list[Event]:
        """Show the state of an issue on the forge: the intent, and an outcome of one that is owed."""
        issue = ISSUES[a % len(ISSUES)]
        owed = (self.state.marks.get(issue) or {"owed": None})["owed"]
        if owed is None or b % 5 == 0:
            label = (None, "in-progress", "to-review", "failed")[b % 4]
            return self.do(lambda state: marks.show(state, issue, label))
        if b % 2:
            return self.do(lambda state: marks.shown(state, issue, owed["seq"]))
        fails = partial(marks.failed, reason="in trouble (502)", remedy="", first_pause=10.0, passes=b % 4 == 0)
        return self.do(lambda state: fails(state, issue, owed["seq"], now=self.now))

    def verify_base(self, a: int, b: int) -> list[Event]:
        """VERIFY_COMMAND on a base commit, for an attempt or by hand."""
        found = partial(verification.base, repository="example.org/o/a", sha="s1", exit=b % 2, seconds=2.5)
        code = ("passed", "failed")[b % 2]
        return self.do(lambda state: found(state, commit=f"c{b}", code=code, attempt_id=self._attempt(a)))

    def verify_work(self, a: int, b: int) -> list[Event]:
        """Verify the work of a session whose run did not: an intent, or an outcome; or a person does."""
        owing = [one for one in self.state.sessions.values() if (one.verified or {}).get("code") == "not_run"]
        session = owing[a % len(owing)] if owing else self.state.sessions.get(self._session(a))
        known = (session.verified if session is not None else None) or {"commit": f"c{b // 30}", "begun": None}
        key, sha = session.key if session is not None else ISSUES[0], ("s1", "s1", "s2")[b % 3]
        if known["begun"] is None and b % 4:
            return self.do(lambda state: verification.begin(state, key, known["commit"], sha, "make test"))
        code = ("passed", "failed", "not_run")[b % 3]
        found = {
            "commit": known["commit"],
            "sha": sha,
            "code": code,
            "command": "make test",
            "exit": b % 3,
            "seconds": 1.0,
        }
        said = verification.data_of(found, by_hand=known["begun"] is None)
        item, opening = (_item(4, b) if code == "failed" else None), (_opening(b) if b % 2 else None)
        return self.do(lambda state: verification.verified(state, key, said, item, opening, self.now))

    def supply(self, a: int, b: int) -> list[Event]:
        """What a repository supplies to set-ups: an attempt meets it, or a person accepts it."""
        given = {"repository": "example.org/o/a", "sha": f"{b % 3}" * 64, "lines": [f"copy .env.{b % 3}"]}
        if b % 2:
            return self.do(lambda state: worktree_setup.accept(state, **given))
        return self.do(lambda state: worktree_setup.first(state, **given, attempt_id=self._attempt(a)))

    def feedback(self, a: int, b: int) -> list[Event]:
        """Look at what is said on a pull request: some of it is new, some is gone."""
        key = self._session(a)
        loop = self.state.loops.get(key)
        pull = f"https://example.org/o/a/pulls/{b // 20}"
        url = (loop["url"] if loop is not None else None) if a % 7 else pull
        items = [_item(number, b) for number in range(4) if (b >> number) % 2]
        there = {item["id"] for item in items}

        def decide(state: State) -> list[NewEvent]:
            known = reactions.known_items(state, key, url)
            return reactions.observe(state, key, url, f"c{a % 2}", items, [name for name in known if name not in there])

        return self.do(decide)

    def react(self, a: int, b: int) -> list[Event]:
        """Answer what is new, or find that a brake holds; every seventh time as one saw it before, and mostly after the
        waiting tasks of the issue were cancelled."""
        known = [key for key in self.state.loops if key in self.state.sessions]
        if not known:
            return []
        key = known[a % len(known)]
        for task in self.state.of_issue.get(key, [])[:] if b % 4 == 0 else []:
            if self.state.tasks[task].attempt is None:
                self.do(lambda state, task=task: queue.cancel(state, task, "cancelled by the user"))
        facts: ReactionFacts = {
            "now": self.now,
            "kinds": [*FEEDBACK][: a % 4 + 1],
            "delay_seconds": (0.0, 0.0, 30.0)[b % 3],
            "max_reactions": (0, 1, 2, 9)[b % 4],
        }

        def decide(state: State) -> list[NewEvent]:
            items = loops.next_turn(state, state.sessions[key], facts).items
            return reactions.react(state, key, f"answer {b}", items[1:] if b % 7 == 6 else items, facts)

        return self.do(decide)

    def withdraw(self, a: int, b: int) -> list[Event]:
        """The issue of a session is closed, or something keeps a merged session."""
        key = self._session(a)
        if b % 2:
            return self.do(lambda state: reactions.hold(state, key, "kept", {"why": "a file would be lost"}))
        over_at = self.now if b % 4 else None
        return self.do(lambda state: reactions.withdrawn(state, key, "issue_closed", over_at))

    def open_owed(self, a: int, b: int) -> list[Event]:
        """Try to open a pull request that is owed."""
        owing = [session for session in self.state.sessions.values() if session.owed is not None]
        if not owing:
            return []
        session = owing[a % len(owing)]
        assert session.owed is not None
        intent = session.owed["seq"] - (b % 13 == 12)
        if b % 3 == 0:
            url = f"https://example.org/o/a/pulls/{b % 5}"
            return self.do(lambda state: reviews.opened(state, session.key, intent, url, b % 5, b % 2 == 0))
        retry_at = clock.add_seconds(self.now, 90.0) if b % 5 == 0 else None
        fails = partial(reviews.failed, reason="in trouble (502)", remedy="try again later" if b % 2 else "")
        return self.do(
            lambda state: fails(
                state,
                session.key,
                intent,
                now=self.now,
                first_pause=10.0,
                passes=a % 4 > 0,
                retry_at=retry_at,
            )
        )

    def attach(self, a: int, b: int) -> list[Event]:
        """A person takes a session, or leaves one."""
        taken = [session for session in self.state.sessions.values() if session.person is not None]
        if not taken or b % 9 == 0:
            issue = self._session(a) if b % 5 else ISSUES[a % len(ISSUES)]
            lease = f"person-{self.state.seq}"
            return self.do(lambda state: persons.attach(state, issue, lease, PROCESS, "shoko", "desk"))
        return self.leave(a, b)

    def leave(self, a: int, b: int) -> list[Event]:
        """A person leaves, or is found dead; a session that was being prepared is broken."""
        taken = [session for session in self.state.sessions.values() if session.person is not None]
        if not taken:
            return []
        session = taken[a % len(taken)]
        assert session.person is not None
        lease = session.person["lease"] if b % 7 else "of-an-earlier-one"
        evidence = self._evidence(b) if b % 4 else {}
        how = ("ended", "stopped", "failed", "lost")[b % 4]
        leave = partial(persons.leave, key=session.key, lease=lease, how=how, reason="left", evidence=evidence)
        return self.do(lambda state: leave(state, exit=b % 2))

    def review(self, a: int, b: int) -> list[Event]:
        return self.do(lambda state: reviews.done(state, self._session(a)))

    def report_due(self, a: int, b: int) -> list[Event]:
        day = clock.add_seconds(self.now, -86_400.0 * (a % 3))[:10]
        return self.do(lambda state: reports.due(state, day))

    def acknowledge(self, a: int, b: int) -> list[Event]:
        return self.do(lambda state: reviews.acknowledge(state, state.seq - a % 10))

    def undo(self, a: int, b: int) -> list[Event]:
        """Undo one of the latest events: mostly of a kind that can be undone, and often of one that seldom happens."""
        latest = self.memory.events[-150:]
        seldom = {"hold.lifted", "hold.restored", "task.resumed", "notices.unread", "review.done", "review.reopened"}
        seldom |= {"task.edited", "queue.paused", "queue.resumed"}
        seen = {f"{what}.{done}" for what in ("task", "queue") for done in ("acknowledged", "unacknowledged")}
        kinds = seen if b % 8 == 7 else seldom if b % 2 else undo.KINDS - {"task.queued"}
        likely = [event for event in latest if event["type"] in kinds or b % 6 == 0]
        if not likely:
            return []
        event = likely[-1 - a % len(likely[-8:])]
        undone = undo.described(event, self.state_after(event["seq"] - 1), self.now)
        return self.do(lambda state: undo.compensate(state, [undone]))

    def state_after(self, seq: int) -> State:
        """The state after an event of the past, a state of its own."""
        known = next(((at, kept) for at, kept in reversed(self.marks) if at <= seq), (0, None))
        state = empty() if known[1] is None else state_codec.load(orjson.loads(known[1]))
        for event in self.memory.events[known[0] : seq]:
            fold(state, event)
        if seq - known[0] > 200:
            self.marks.append((seq, orjson.dumps(state_codec.dump(state))))
            self.marks.sort(key=lambda mark: mark[0])
        return state

    # --- the daemon ---

    def dispatch(self, a: int, b: int) -> list[Event]:
        """Plan and claim; every fourth time on the plan of an earlier look."""
        if self.planned is None or a % 4:
            facts = self.claim_facts("daemon" if self.state.daemon.state != "stopped" else "none")
            self.planned = claims.plan(self.state, facts), facts
        if b % 4 == 0:
            return []
        (planned, facts), self.planned = self.planned, None
        offer = self.offer() if planned.candidate is not None else None
        return self.do(lambda state: claims.dispatch(state, planned, offer, facts))

    def daemon_start(self, a: int, b: int) -> list[Event]:
        return self.do(lambda state: daemon.started(state, PROCESS, f"daemon-{a}"))

    def daemon_end(self, a: int, b: int) -> list[Event]:
        lease = self.state.daemon.lease
        if b % 4 == 3 and lease is not None and self.state.daemon.state in ("running", "draining"):
            return self.do(lambda state: daemon.lease_replaced(state, lease, f"daemon-{a}-{self.state.seq}"))
        if a % 3 == 0:
            return self.do(lambda state: daemon.drain(state, "asked"))
        if a % 3 == 1:
            return self.do(lambda state: daemon.stopped(state, "asked"))
        return self.do(daemon.lost)

    # --- runners ---

    def step(self, a: int, b: int) -> list[Event]:
        """The next thing that the runner of a live attempt does."""
        attempt_id = self._attempt(a)
        if attempt_id is None:
            return []
        attempt = self.state.attempts[attempt_id]
        if attempt.state == "claimed":
            return self.do(lambda state: attempts.starting(state, attempt_id, PROCESS))
        session = self.state.sessions[attempt.session]
        if attempt.state == "starting" and session.unsaved is not None:
            saved = ("kugetsu/rescue/q1.1", None)[b % 2]
            return self.do(lambda state: sessions.rescued(state, session.key, saved, attempt_id))
        if attempt.state == "starting" and session.state in ("requested", "broken"):
            intent = {"repository": session.repository, "source": "/r", "branch": "fix/issue-1", "agent": "opencode"}
            return self.do(lambda state: sessions.preparing(state, session.key, intent, attempt_id))
        if attempt.state == "starting" and session.state == "preparing":
            return self.do(lambda state: sessions.prepared(state, session.key, _prepared(), attempt_id))
        if attempt.state == "starting" and attempt.kind == "dev" and b % 5 == 4 and session.head != f"c{b // 30}":
            others = partial(sessions.forwarded, branch="fix/issue-1", was="c9", head=f"c{b // 30}", commits=2)
            return self.do(lambda state: others(state, session.key, attempt=attempt_id))
        if attempt.state == "starting":
            return self.do(lambda state: attempts.running(state, attempt_id, PROCESS, "ses_1", "/w", "opencode"))
        return []

    def run(self, a: int, b: int) -> list[Event]:
        """All the steps until the agent runs."""
        return [event for _ in range(5) for event in self.step(a, b)]

    def finish(self, a: int, b: int) -> list[Event]:
        attempt_id = self._attempt(a)
        if attempt_id is None:
            return []
        ending, facts = self.ending(b), self.outcome_facts()
        made = self.do(lambda state: attempts.finish(state, attempt_id, ending, facts))
        late = self.do(lambda state: attempts.finish(state, attempt_id, Ending("lose", "retry", "?"), facts))
        assert late == [], "an attempt ended twice"
        return made

    def ending(self, b: int) -> Ending:
        # An outage holds everything back: more of them, and little else would ever be tried.
        how, verdict = ("fail", "unavailable") if b % 13 == 12 else ENDINGS[b % len(ENDINGS)]
        resets = (None, clock.add_seconds(self.now, 90.0), clock.add_seconds(self.now, -90.0), "at noon")[b % 4]
        return Ending(
            how,
            verdict,
            f"ended by {how}",
            evidence=self._evidence(b) if b % 2 else {},
            opening=_opening(b) if b % 4 == 1 else None,
            failed_check=_item(4, b) if b % 2 and b % 5 == 1 else None,
            tokens=b,
            cost=b / 4,
            resets_at=resets if verdict == "limited" else None,
            session_lost=b % 11 == 10,
            rescue_failed="git add ended with 128" if verdict != "done" and b % 7 == 6 else None,
        )

    def _evidence(self, b: int) -> dict[str, Any]:
        seen: dict[str, Any] = {"commits": b, "dirty": 0, "pushed": bool(b % 4 == 1), "head": f"c{b // 30}"}
        if b % 5 < 3:
            code = ("passed", "failed", "not_run")[b % 5]
            seen["verification"] = {"code": code, "exit": b % 5, "seconds": 2.5, "sha": "s1", "commit": seen["head"]}
        if b % 7 == 3:
            seen["set_up"] = {"code": "failed", "exit": 1, "seconds": 2.5}
        if b % 3 == 0:
            seen["comments"] = b % 4
            seen["pull"] = {"url": f"https://example.org/o/a/pulls/{b % 5}", "number": b % 5, "state": "open"}
        return seen

    def stop(self, a: int, b: int) -> list[Event]:
        attempt_id = self._attempt(a)
        if attempt_id is None:
            return []
        if b % 9 == 8:
            return self.do(lambda state: attempts.unsettled(state, attempt_id, f"a folder of {a % 2} is in the way"))
        return self.do(lambda state: attempts.stop(state, attempt_id, "timeout"))

    def break_session(self, a: int, b: int) -> list[Event]:
        return self.do(lambda state: sessions.broken(state, self._session(a), "its worktree is gone"))

    # --- the world ---

    def pass_time(self, a: int, b: int) -> list[Event]:
        self.now = clock.add_seconds(self.now, (0.5, 4.0, 20.0, 400.0, 2000.0)[a % 5])
        self.looked = None  # from the look of a `start` to its claim it is milliseconds
        return []

    def change_machine(self, a: int, b: int) -> list[Event]:
        self.cap = a % 4
        self.free_memory_mb = (None, 100, 4000)[b % 3]
        self.free_disk_mb = (None, 100, 5000, 5000)[b % 4]
        broken: AgentProblem = {"cause": "opencode is not installed", "remedy": "npm install -g opencode-ai"}
        kinds = {3: ("dev",), 7: ("pm",)}.get((a + b) % 11, ())
        self.agent_problems = dict.fromkeys(kinds, broken)
        return []

    def change_limits(self, a: int, b: int) -> list[Event]:
        self.max_tokens = (0, 150, 900)[a % 3] if b % 3 == 0 else 0
        self.max_cost = (60.0, 250.0)[a % 2] if b % 3 == 1 else 0.0
        self.max_fruitless = (0, 1, 1, 2)[a % 4]
        self.repository_caps = ({"*": 1}, {"example.org/o/a": 1, "*": 3})[a % 2] if b % 3 == 2 else {}
        own: RepositoryFacts = {"agent": "command:default", "max_agents": a % 3, "issue_max_tokens": 150 * (a % 2)}
        self.repositories = {"example.org/o/b": own} if (a + b) % 4 == 3 else {}
        return []

    def lift_limits(self) -> None:
        """As if nobody had ever set one."""
        self.max_tokens, self.max_cost, self.max_fruitless, self.repository_caps = 0, 0.0, 0, {}
        self.repositories = {}

    def play(self, commands: Iterable[tuple[str, int, int]]) -> Iterator[list[Event]]:
        """Do what a list of commands says, refused or not; the events of each one that was done."""
        for name, a, b in commands:
            # Users, daemon and runners meet refusals all the time: they must leave everything as it was.
            before = self.state.seq
            try:
                yield getattr(self, name)(a, b)
            except KugetsuError:
                if name != "destroy":
                    assert self.state.seq == before, f"{name} was refused and yet changed something"


def _item(number: int, b: int) -> dict[str, Any]:
    """An item of feedback; of some one hears again after it was gone."""
    kind = FEEDBACK[number % len(FEEDBACK)]
    name = f"verification:c{b // 30}:s1" if kind == "verification" else f"{kind}-{number}-{b // 30}"
    item = {"id": name, "kind": kind, "counts": b % 9 > 0, "text": f"say {b}", "author": "mary"}
    return item if item["counts"] else {**item, "why_not": "no_write_access"}


def _opening(b: int) -> dict[str, Any]:
    intent = {"head": f"c{b // 30}", "branch": "fix/issue-1", "base": "main", "title": "Slow", "draft": b % 3 == 0}
    return {**intent, "fork": "bob"} if b % 5 == 0 else intent


def _prepared() -> dict[str, Any]:
    return {
        "agent": "opencode",
        "agent_session": "ses_1",
        "worktree": "/w",
        "source": "/r",
        "branch": "fix/issue-1",
        "base_branch": "main",
        "base_commit": "c0ffee",
        "base_session": "ses_0",
        "created": True,
        "fetched": "yes",
    }


#: What may happen, the likely more often.
COMMANDS = (
    *("enqueue",) * 4,
    *("start",) * 2,
    *("dispatch",) * 5,
    *("step",) * 3,
    *("run",) * 4,
    *("finish",) * 5,
    *("pass_time",) * 4,
    "cancel",
    "retry",
    "retry",
    "move",
    *("lift",) * 2,
    "pause",
    *("resume",) * 3,
    "edit",
    "dequeue",
    "clear",
    "acknowledge_failed",
    "cancel_waiting",
    "destroy",
    "daemon_start",
    "daemon_start",
    "daemon_end",
    *("stop",) * 2,
    "break_session",
    "change_machine",
    "change_limits",
    *("undo",) * 3,
    "read_notices",
    "register",
    "tie",
    *("observe",) * 2,
    *("open_owed",) * 2,
    "attach",
    *("leave",) * 2,
    "review",
    "acknowledge",
    "report_due",
    "verify_base",
    *("verify_work",) * 2,
    "supply",
    *("label",) * 2,
    "unlabel",
    *("mark",) * 2,
    *("feedback",) * 2,
    *("react",) * 3,
    "withdraw",
)


def random_commands(seed: int, count: int) -> list[tuple[str, int, int]]:
    """A long history that is the same for the same seed."""
    chance = random.Random(seed)
    return [(chance.choice(COMMANDS), chance.randrange(60), chance.randrange(60)) for _ in range(count)]


@contextlib.contextmanager
def short_listing(kept: int) -> Iterator[None]:
    """Let only so many finished tasks stay in the state, and as many failed ones, so that retiring happens all the
    time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "FINISHED_KEPT", kept)
        patch.setattr(folding, "UNACKNOWLEDGED_KEPT", kept)
        yield


def folded(events: Iterable[Event]) -> State:
    """The state of a list of events."""
    state = empty()
    for event in events:
        fold(state, event)
    return state


def transactions(events: Iterable[Event]) -> Iterator[list[Event]]:
    """The events, grouped as they were appended."""
    group: list[Event] = []
    for event in events:
        group.append(event)
        if not event.get("more"):
            yield group
            group = []
