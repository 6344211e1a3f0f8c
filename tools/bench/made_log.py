"""Makes a log of any length fast: the events of a plausible life, written by the log's own codec.

Issues come and go: each has a session that is prepared once, a few tasks that are queued, held, claimed and run, of
which some fail and are retried, some are parked at a usage limit, some are cancelled; then the session is destroyed.
A few issues live at a time, so that the state stays as small as it does in use.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from kugetsu import clock
from kugetsu.domain.draft import Draft
from kugetsu.log import open_log
from kugetsu.log.codec import GENESIS, encode
from kugetsu.log.segments import SEGMENT_BYTES, name

BY = {"cmd": "kugetsu queue enqueue github.com/shoko/kugetsu#14 …", "pid": 4121, "host": "bench", "user": "bench"}
REPOSITORY = "github.com/shoko/kugetsu"
FIRST_MICROS = 1_790_000_000_000_000
STEP_MICROS = 1_700_000

#: What becomes of the tasks, over and over: eight of ten succeed at once.
FATES = ("done", "done", "done", "retry", "done", "done", "park", "done", "cancel", "done")
TASKS_OF_AN_ISSUE = 3

Transaction = list[Draft]


def issue(number: int) -> str:
    """The reference of the log's issue ``number``, from 0 on; all of issue 0 stands at the start of every log."""
    return f"{REPOSITORY}#{number + 1}"


def make(directory: str, events: int) -> None:
    """Write a log of about ``events`` events (whole transactions) to ``directory``, and let the log accept it.

    Raises RuntimeError when folding it finds anything that the machines do not allow.
    """
    os.makedirs(directory, mode=0o700)
    _write(directory, events)
    log = open_log(directory, by=BY, now=clock.now)
    state = log.state()
    if state.violations_seen or state.seq < events:
        raise RuntimeError(f"the made log is not one: {state.seq} events, {state.violations[:3]}")
    for _ in log.read_key(issue(0)):
        pass  # builds the index, as the first `history` would
    log.close()


def _write(directory: str, events: int) -> None:
    sha, seq, size = GENESIS, 0, 0
    lines: list[bytes] = []
    file = open(os.path.join(directory, name(1)), "wb")  # noqa: SIM115 - one of many, closed below
    transactions = _start()
    more = _life()
    while seq < events:
        drafts = next(transactions, None) or next(more)
        at = clock.from_micros(FIRST_MICROS + seq * STEP_MICROS)
        encoded, sha = encode(drafts, seq + 1, sha, at, BY)
        if size >= SEGMENT_BYTES:
            file.write(b"".join(lines))
            file.close()
            file = open(os.path.join(directory, name(seq + 1)), "wb")  # noqa: SIM115
            lines, size = [], 0
        for line in encoded:
            lines += (line, b"\n")
            size += len(line) + 1
        seq += len(encoded)
    file.write(b"".join(lines))
    file.close()


def _start() -> Iterator[Transaction]:
    yield [
        Draft("log.created", {"log_id": "0" * 32, "kugetsu": "0.1.0"}),
        Draft("kugetsu.initialised", {"agent": "opencode", "kugetsu": "0.1.0"}),
    ]
    yield [Draft("repository.registered", {"repository": REPOSITORY, "url": f"https://{REPOSITORY}.git"})]
    for session, kind in (("pm", "pm"), (f"base:{REPOSITORY}", "base")):
        yield [Draft("session.requested", {"kind": kind, "repository": None}, session=session)]
        yield from _prepare(session, None, None)
    yield [Draft("daemon.started", {"identity": _identity(3760), "lease": "0" * 24})]


def _life() -> Iterator[Transaction]:
    """Issue after issue; each one's tasks follow each other."""
    task = 0
    number = 0
    while True:
        ref = issue(number)
        for turn in range(TASKS_OF_AN_ISSUE):
            task += 1
            yield from _task(ref, task, first=turn == 0)
        data: dict[str, Any] = {"worktree": _worktree(ref), "branch": None, "rescue": None, "kept": []}
        about: dict[str, Any] = {"issue": ref, "session": ref}
        yield [Draft("session.destroying", {"force": False, "reason": "kugetsu destroy"}, **about)]
        yield [Draft("session.destroyed", data, **about)]
        number += 1


def _task(ref: str, number: int, *, first: bool) -> Iterator[Transaction]:
    fate = FATES[number % len(FATES)]
    task = f"q{number}"
    about: dict[str, Any] = {"issue": ref, "task": task}
    message = f"implement feature {number}, with tests, as the issue asks; look at what was tried before"
    queued = {
        "kind": "dev",
        "message": message,
        "title": message[:100],
        "priority": 0,
        "after": [],
        "repository": None,
        "via": "enqueue",
    }
    yield [Draft("task.queued", queued, **about)]
    held = {"gate": "slots", "reason": "3 of 3 slots used (q1.1, q2.1, q3.1)", "rests_on": 2, "until": None}
    yield [Draft("task.held", held, facts=_facts(), cause=1, **about)]
    if fate == "cancel" and not first:
        yield [Draft("task.cancelled", {"reason": "cancel"}, cause=1, **about)]
        return
    yield from _attempt(ref, task, 1, first=first)
    if fate in ("retry", "park"):
        yield _end(ref, task, 1, fate)
        if fate == "park":
            yield [Draft("task.resumed", {"why": "time"}, cause=1, **about)]
        yield from _attempt(ref, task, 2, first=False)
        yield _end(ref, task, 2, "done")
    else:
        yield _end(ref, task, 1, "done")


def _attempt(ref: str, task: str, number: int, *, first: bool) -> Iterator[Transaction]:
    attempt = f"{task}.{number}"
    about: dict[str, Any] = {"issue": ref, "task": task, "attempt": attempt, "session": ref, "cause": 1}
    claimed = {
        "number": number,
        "kind": "dev",
        "slot": 1,
        "lease": f"{task}-{number}-0123456789abcdef",
        "claimer": _identity(3760),
        "live": [],
    }
    wanted: dict[str, Any] = {"kind": "issue", "repository": REPOSITORY}
    request = [Draft("session.requested", wanted, issue=ref, task=task, session=ref, cause=1)] if first else []
    yield [*request, Draft("attempt.claimed", claimed, facts=_facts(), **about)]
    yield [Draft("attempt.starting", {"runner": _identity(4121)}, **about)]
    if first:
        yield from _prepare(ref, task, attempt)
    running = {
        "agent": _identity(4122),
        "agent_session": "ses_df6c0a1b2c3d4e5f6a7b8c9d0e",
        "worktree": _worktree(ref),
        "program": "/home/user/.local/bin/opencode",
    }
    yield [Draft("attempt.running", running, **about)]


def _prepare(session: str, task: str | None, attempt: str | None) -> Iterator[Transaction]:
    about: dict[str, Any] = {
        "issue": session if task else None,
        "task": task,
        "attempt": attempt,
        "session": session,
        "cause": 1,
    }
    branch = "fix/issue-14" if task else None
    wanted: dict[str, Any] = {
        "repository": REPOSITORY,
        "source": "/home/user/kugetsu",
        "branch": branch,
        "agent": "opencode",
    }
    yield [Draft("session.preparing", wanted, **about)]
    made = {
        **wanted,
        "agent_session": "ses_df6c0a1b2c3d4e5f6a7b8c9d0e",
        "worktree": _worktree(session),
        "base_branch": "main",
        "base_commit": "2c34af7f0f7b3002b7cda36d0ddcda8c53e5b3c1",
        "base_session": "ses_base",
        "created": True,
        "fetched": "yes",
    }
    yield [Draft("session.prepared", made, **about)]


def _end(ref: str, task: str, number: int, fate: str) -> Transaction:
    attempt = f"{task}.{number}"
    about: dict[str, Any] = {"issue": ref, "task": task, "attempt": attempt}
    done = fate == "done"
    reason = {"done": "2 commits, pushed", "retry": "exit 1", "park": "usage limit, resets 12:00"}[fate]
    evidence = {
        "ahead": 2,
        "branch": "fix/issue-14",
        "commits": 2,
        "dirty": 0,
        "exists": True,
        "head": task,
        "pushed": True,
    }
    ended = {
        "reason": reason,
        "outcome": {"state": "done", "text": "All tests pass."},
        "evidence": evidence if done else {},
        "exit": 0 if done else 1,
        "signal": None,
        "tokens": 41_200,
        "cost": 0.21,
        "rescue": None,
    }
    kind = "attempt.succeeded" if done else "attempt.failed"
    until = "2026-11-23T12:01:00.000000Z"
    parked = {"stated": True, "limit": "opencode", "gate": "provider"}
    consequence: dict[str, tuple[str, dict[str, Any]]] = {
        "done": ("task.completed", {"summary": reason}),
        "retry": ("task.retried", {"not_before": until, "used": 1, "max_attempts": 3, "reason": reason}),
        "park": ("task.parked", {**parked, "until": until, "reason": reason}),
    }
    follow, data = consequence[fate]
    return [
        Draft(kind, ended, session=ref, cause=1, facts={"now": until, "max_attempts": 3}, **about),
        Draft(follow, data, cause=-1, **about),
    ]


def _identity(pid: int) -> dict[str, Any]:
    return {"boot": "5f2c8e4a-1111-4222-8333-444455556666", "pid": pid, "start": 884_213}


def _worktree(session: str) -> str:
    return f"/home/user/.kugetsu/worktrees/{session.replace('/', '+').replace('#', '+')}"


def _facts() -> dict[str, Any]:
    return {
        "now": "2026-11-23T10:00:02.123456Z",
        "cap": 3,
        "cap_source": "default",
        "cores": 2,
        "warmup_seconds": 5.0,
        "free_memory_mb": 12_345,
        "max_attempts": 3,
        "agent": "opencode",
        "dispatcher": "daemon",
        "free_disk_mb": 54_321,
        "min_free_disk_mb": 200,
        "issue_max_tokens": 0,
        "issue_max_cost": 0.0,
        "max_runs_without_progress": 5,
        "repository_caps": {},
    }
