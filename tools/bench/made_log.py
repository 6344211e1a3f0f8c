"""Makes a log of any length: the events of a plausible life, decided by kugetsu's own decisions on a clock of its own
and written by the log's codec. So `kugetsu replay --verify` verifies it, and the fold finds nothing to complain of.

Issues come and go: each has a session that is prepared once, a few tasks that are queued, held, claimed and run, of
which some fail and are retried, some are parked at a usage limit, some are cancelled; then the session is destroyed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from kugetsu.domain.decide import attempts, claims, daemon, queue, sessions
from kugetsu.domain.events import Identity
from kugetsu.domain.facts import ClaimFacts, Ending, OutcomeFacts
from kugetsu.domain.fold import fold
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State, empty
from kugetsu.log import open_log
from kugetsu.log.codec import GENESIS, encode
from kugetsu.log.files.segments import SEGMENT_BYTES, name
from kugetsu.model import clock

BY = {"cmd": "kugetsu queue enqueue github.com/shoko/kugetsu#14 …", "pid": 4121, "host": "bench", "user": "bench"}
REPOSITORY = "github.com/shoko/kugetsu"
AGENT = "opencode:default"
FIRST_MICROS = 1_790_000_000_000_000
STEP_MICROS = 1_700_000

#: What becomes of the tasks, over and over: eight of ten succeed at once.
FATES = ("done", "done", "done", "retry", "done", "done", "park", "done", "cancel", "done")
TASKS_OF_AN_ISSUE = 3

#: What happens next: a decision, taken on the state that all before it led to.
Decide = Callable[[State], Sequence[NewEvent]]


def issue(number: int) -> str:
    """The reference of the log's issue ``number``, from 0 on; all of issue 0 stands at the start of every log."""
    return f"{REPOSITORY}#{number + 1}"


def make(directory: str, events: int) -> None:
    """Write a log of about ``events`` events (whole transactions) to ``directory``, and let the log accept it.

    Raises RuntimeError when folding it finds anything that the machines do not allow.
    """
    os.makedirs(directory, mode=0o700)
    _Writer(directory).write(events)
    log = open_log(directory, by=BY, now=clock.now)
    state = log.state()
    if state.violations_seen or state.seq < events:
        raise RuntimeError(f"the made log is not one: {state.seq} events, {state.violations[:3]}")
    for _ in log.read_key(issue(0)):
        pass  # builds the index, as the first `history` would
    log.close()


class _Writer:
    """Decides, encodes, folds and writes, segment by segment, without a lock and without syncs."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._state = empty()
        self._sha = GENESIS
        self._micros = FIRST_MICROS
        self._lines: list[bytes] = []
        self._size = 0
        self._first = 1

    def write(self, events: int) -> None:
        """So many events, and the rest of the last transaction."""
        life = _Life(self)
        steps = life.begin()
        while self._state.seq < events:
            decide = next(steps, None)
            if decide is None:
                steps = life.issue()
                continue
            self._append(decide(self._state))
        self._close()

    @property
    def now(self) -> str:
        """The time of the next event."""
        return clock.from_micros(self._micros)

    def skip(self, seconds: float) -> None:
        """Let time pass."""
        self._micros += round(seconds * 1_000_000)

    def _append(self, new_events: Sequence[NewEvent]) -> None:
        if self._size >= SEGMENT_BYTES:
            self._close()
        encoded, self._sha = encode(new_events, self._state.seq + 1, self._sha, self.now, BY)
        for line in encoded:
            self._lines += (line, b"\n")
            self._size += len(line) + 1
            fold(self._state, orjson.loads(line))
        self._micros += STEP_MICROS * len(encoded)

    def _close(self) -> None:
        with open(os.path.join(self._directory, name(self._first)), "wb") as file:
            file.write(b"".join(self._lines))
        self._lines, self._size, self._first = [], 0, self._state.seq + 1


class _Life:
    """Issue after issue; each one's tasks follow each other."""

    def __init__(self, writer: _Writer) -> None:
        self._writer = writer
        self._tasks = 0
        self._issues = 0

    def begin(self) -> Iterator[Decide]:
        """`init` and a daemon."""
        yield lambda state: sessions.initialise(state, "0" * 32, "0.1.0", "opencode")
        yield lambda state: sessions.register(state, REPOSITORY, {"url": f"https://{REPOSITORY}.git"})
        for key, kind in (("pm", "pm"), (f"base:{REPOSITORY}", "base")):
            yield lambda state, key=key, kind=kind: sessions.request(state, key, kind, None)  # type: ignore[misc]
            yield from prepare(key, None)
        yield lambda state: daemon.started(state, _identity(3760), "0" * 24)

    def issue(self) -> Iterator[Decide]:
        """An issue's whole life."""
        ref = issue(self._issues)
        self._issues += 1
        for turn in range(TASKS_OF_AN_ISSUE):
            self._tasks += 1
            yield from self._task(ref, self._tasks, first=turn == 0)
        gone: dict[str, Any] = {"worktree": _worktree(ref), "branch": None, "rescue": None, "kept": []}
        yield lambda state: sessions.destroying(state, ref, False, "destroy")
        yield lambda state: sessions.destroyed(state, ref, gone)

    def _task(self, ref: str, number: int, *, first: bool) -> Iterator[Decide]:
        fate = FATES[number % len(FATES)]
        task = f"q{number}"
        message = f"implement feature {number}, with tests, as the issue asks; look at what was tried before"
        yield lambda state: queue.enqueue(state, kind="dev", issue=ref, message=message, via="enqueue")
        yield self._hold
        if fate == "cancel" and not first:
            yield lambda state: queue.cancel(state, task, "cancel")
            return
        yield from self._attempt(ref, f"{task}.1", first=first)
        if fate in ("retry", "park"):
            yield self._end(f"{task}.1", fate)
            self._writer.skip(400.0)
            yield from self._attempt(ref, f"{task}.2", first=False)
            yield self._end(f"{task}.2", "done")
        else:
            yield self._end(f"{task}.1", "done")

    def _hold(self, state: State) -> list[NewEvent]:
        facts = claim_facts(self._writer.now, free_memory_mb=123)
        return claims.hold(state, claims.plan(state, facts), facts)

    def _attempt(self, ref: str, attempt: str, *, first: bool) -> Iterator[Decide]:
        yield lambda state: self._claim(state, attempt)
        yield lambda state: attempts.starting(state, attempt, _identity(4121))
        if first:
            yield from prepare(ref, attempt)
        program = "/home/user/.local/bin/opencode"
        session = "ses_df6c0a1b2c3d4e5f6a7b8c9d0e"
        yield lambda state: attempts.running(state, attempt, _identity(4122), session, _worktree(ref), program)

    def _claim(self, state: State, attempt: str) -> list[NewEvent]:
        facts = claim_facts(self._writer.now, free_memory_mb=12_345)
        offer = claims.ClaimRequest(f"{attempt}-0123456789abcdef", _identity(3760))
        return claims.dispatch(state, claims.plan(state, facts), offer, facts)

    def _end(self, attempt: str, fate: str) -> Decide:
        how, verdict, reason = {
            "done": ("succeed", "done", "2 commits, pushed"),
            "retry": ("fail", "retry", "exit 1"),
            "park": ("fail", "limited", "usage limit"),
        }[fate]
        evidence = {
            "ahead": 2,
            "branch": "fix/issue-14",
            "commits": 2,
            "dirty": 0,
            "exists": True,
            "head": attempt,
            "pushed": True,
        }
        now = self._writer.now
        ending = Ending(
            how,
            verdict,
            reason,
            outcome={"kind": "succeeded" if fate == "done" else "retryable", "final_text": "All tests pass."},
            evidence=evidence if fate == "done" else {},
            exit=0 if fate == "done" else 1,
            tokens=41_200,
            cost=0.21,
            resets_at=clock.add_seconds(now, 120.0) if fate == "park" else None,
        )
        facts: OutcomeFacts = {
            "now": now,
            "max_attempts": 3,
            "backoff_seconds": 10.0,
            "pause_seconds": 3600.0,
            "agent": AGENT,
        }
        return lambda state: attempts.finish(state, attempt, ending, facts)


def prepare(session: str, attempt: str | None) -> Iterator[Decide]:
    """The session of an issue, or a base, is made."""
    wanted: dict[str, Any] = {
        "repository": REPOSITORY,
        "source": "/home/user/kugetsu",
        "branch": "fix/issue-14" if attempt else None,
        "agent": "opencode",
    }
    made = {
        **{name: wanted[name] for name in ("source", "branch", "agent")},
        "agent_session": "ses_df6c0a1b2c3d4e5f6a7b8c9d0e",
        "worktree": _worktree(session),
        "base_branch": "main",
        "base_commit": "2c34af7f0f7b3002b7cda36d0ddcda8c53e5b3c1",
        "base_session": "ses_base",
        "created": True,
        "fetched": "yes",
    }
    yield lambda state: sessions.preparing(state, session, wanted, attempt)
    yield lambda state: sessions.prepared(state, session, made, attempt)


def _identity(pid: int) -> Identity:
    return {"boot": "5f2c8e4a-1111-4222-8333-444455556666", "pid": pid, "start": 884_213}


def _worktree(session: str) -> str:
    return f"/home/user/.kugetsu/worktrees/{session.replace('/', '+').replace('#', '+')}"


def claim_facts(now: str, *, free_memory_mb: int) -> ClaimFacts:
    """What the gates read beside the state, with three slots."""
    return {
        "now": now,
        "cap": 3,
        "cap_source": "default",
        "cores": 2,
        "warmup_seconds": 3.0,
        "warm_before": clock.add_seconds(now, -3.0),
        "free_memory_mb": free_memory_mb,
        "min_free_memory_mb": 700,
        "max_attempts": 3,
        "agent": AGENT,
        "dispatcher": "daemon",
        "free_disk_mb": 54_321,
        "min_free_disk_mb": 200,
        "issue_max_tokens": 0,
        "issue_max_cost": 0.0,
        "max_runs_without_progress": 5,
        "repository_caps": {},
    }
