"""Submit work: queue a message for an issue, or start on it now. Both take one path."""

from __future__ import annotations

import os
from contextlib import suppress

from kugetsu.domain.decide import queue
from kugetsu.domain.fold import usage
from kugetsu.host.ownership import require_not_from_sudo
from kugetsu.log.files.segments import is_shared
from kugetsu.model.errors import Conflict, KugetsuError, LogDamaged, LogWriteFailed
from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from kugetsu.domain.new_event import NewEvent
    from kugetsu.domain.state import State
    from kugetsu.domain.verdict import Verdict
    from kugetsu.model.refs import IssueRef
    from kugetsu.runtime.workspace import Workspace

#: Seconds that `start` waits for the stagger gate.
STAGGER_PATIENCE = 60.0
FINAL = ("task.completed", "task.failed", "task.cancelled", "task.parked")


@record
class Started:
    """The result of a `start`: ``state`` is ``running``, or how the attempt ended before it ran."""

    task: str
    attempt: str
    session: str
    events: list[dict[str, Any]]
    state: str = "claimed"
    reason: str | None = None


@record
class Delegated:
    """The result of a `delegate`: ``ref`` is the issue of its `dev` task, None for a `pm` task; ``named`` are all
    issues in the message."""

    events: list[dict[str, Any]]
    ref: IssueRef | None
    named: list[IssueRef]


class _StaleError(Exception):
    """A session was destroyed between reading its issue's history and the decision."""


class _StaggeredError(Exception):
    """Only the stagger gate is closed: worth waiting for."""

    def __init__(self, closed: Verdict) -> None:
        super().__init__(closed.code)
        self.closed = closed


def clone_here(ws: Workspace, ref: IssueRef) -> dict[str, str] | None:
    """The clone in which the command is typed, if one of its remotes is the ref's repository."""
    from kugetsu.runtime.git import checkouts, remotes

    folder = remotes.typed_in(os.environ)
    checkout = checkouts.find(folder) if folder is not None else None
    if checkout is None:
        return None
    require_not_from_sudo(checkout.home)
    matches, _ = remotes.matching_remote(checkout, ref.repository, ws.config.servers(), own=ws.paths.repositories)
    if not matches:
        return None
    if not ws.state().hosts:
        return {"path": checkout.home}
    from kugetsu.runtime import host_id

    return {"path": checkout.home, "host": host_id.own(ws)}


def enqueue(
    ws: Workspace,
    ref: IssueRef,
    message: str,
    *,
    via: str,
    priority: int = 0,
    after: Sequence[str] = (),
    options: dict[str, Any] | None = None,
    from_issue: bool = False,
) -> list[dict[str, Any]]:
    """Append a message for an issue to the queue; ``options`` are its own (`events.tasks.Options`), ``from_issue``: the
    message is the issue's own text. Returns the events."""
    here = clone_here(ws, ref)
    issue = str(ref)
    while True:
        read_at, carried = prior_usage_of(ws, issue)

        def decide(state: State, read_at: int = read_at, carried: dict[str, Any] | None = carried) -> list[NewEvent]:
            _require_current(state, issue, read_at)
            return queue.enqueue(
                state,
                kind="dev",
                issue=issue,
                message=message,
                via=via,
                priority=priority,
                after=after,
                repository=here,
                carried=carried,
                options=options,
                from_issue=from_issue,
            )

        with suppress(_StaleError):
            return ws.log.transact(decide)


def prior_usage_of(ws: Workspace, issue: str) -> tuple[int, dict[str, Any] | None]:
    """The seq of the state read, and the usage of the issue's destroyed sessions (`usage.of_history`); None if it has a
    session, which holds the usage, or was never worked on."""
    state = ws.state()
    seq = state.seq
    if issue in state.sessions:
        return seq, None
    return seq, usage.of_history(issue, ws.log.read_key(issue))


def _require_current(state: State, issue: str, read_at: int) -> None:
    """Raise _StaleError if a session was destroyed since ``read_at``."""
    if issue not in state.sessions and state.last_destroyed > read_at:
        raise _StaleError


def retry(ws: Workspace, task_id: str) -> list[dict[str, Any]]:
    """Retry a task now; one that has left the state comes back as the log knows it. Returns the events.

    Raises NotFound, and Conflict for one that is working or waits for its turn.
    """
    while True:
        state = ws.state()
        if task_id in state.tasks or not queue.was_made(state, task_id):
            return ws.log.transact(lambda state: queue.retry(state, task_id))
        with suppress(_StaleError):
            return _bring_back(ws, task_id)


def _bring_back(ws: Workspace, task_id: str) -> list[dict[str, Any]]:
    from kugetsu.runtime.query import retired

    state = ws.state()
    read_at = state.seq
    record = retired.record(ws.log, state, task_id)
    if record is None:
        raise queue.unknown(state, task_id)
    issue = record["issue"]
    if issue is not None:
        carried: Any = prior_usage_of(ws, issue)[1]
        record["carried"] = carried
    awaited = [earlier for earlier in record["after"] if earlier in state.tasks]

    def decide(state: State) -> list[NewEvent]:
        if issue is not None:
            _require_current(state, issue, read_at)
        # It came back and left again, or one that it comes after has left since: what was read is no longer so.
        if state.last_returned > read_at or any(earlier not in state.tasks for earlier in awaited):
            raise _StaleError
        return queue.retry(state, task_id, record)

    return ws.log.transact(decide)


def delegate(ws: Workspace, message: str) -> Delegated:
    """Queue a `dev` task for the one issue that the message names, else a `pm` task: the PM agent decides."""
    named = _named(ws, message)
    if len(named) == 1:
        return Delegated(enqueue(ws, named[0], message, via="delegate"), named[0], named)

    def decide(state: State) -> list[NewEvent]:
        return queue.enqueue(state, kind="pm", issue=None, message=message, via="delegate")

    return Delegated(ws.log.transact(decide), None, named)


def _named(ws: Workspace, message: str) -> list[IssueRef]:
    """The issues that a message names. Next to an issue, a pull request's URL is about that issue."""
    from kugetsu.model.refs import find_refs

    host, servers = ws.config.default_host(), ws.config.servers()
    named = find_refs(message, default_host=host, servers=servers)
    if len(named) < 2 or "/pull" not in message:
        return named
    import re

    without = re.sub(r"https?://\S+/pulls?/\S*", " ", message)
    return find_refs(without, default_host=host, servers=servers) or named


def start(
    ws: Workspace,
    ref: IssueRef,
    message: str,
    *,
    via: str = "start",
    pr: str | None = None,
    despite_pause: bool = False,
    options: dict[str, Any] | None = None,
    from_issue: bool = False,
    step: Callable[[str], None] | None = None,
) -> Started:
    """Queue and claim in one transaction, fork the runner, return when the agent runs (or could not be started).

    ``despite_pause``: also while the queue is paused. ``step`` is told what is waited for.

    Raises CapReached if the machine is full, AgentUnavailable if no agent can start, Conflict if another gate is
    closed; then nothing was changed.
    """
    import time

    from kugetsu.domain.decide import claims

    queue.require_initialised(ws.state())
    notice_death(ws, None, set())
    give_up = time.monotonic() + STAGGER_PATIENCE
    while True:
        try:
            own = {"options": options, "from_issue": from_issue}
            started = _start(ws, ref, message, via, pr, despite_pause, own)
        except _StaleError:
            continue
        except _StaggeredError as waiting:
            if time.monotonic() >= give_up:
                raise claims.refusal(waiting.closed) from None
            if step is not None:
                step("waiting until another agent has started")
            ws.log.wait(ws.state().seq, 0.5)
            continue
        _await_running(ws, started, step)
        return started


def _start(
    ws: Workspace,
    ref: IssueRef,
    message: str,
    via: str,
    pr: str | None,
    despite_pause: bool,
    own: dict[str, Any],
) -> Started:
    from kugetsu.domain.decide import claims
    from kugetsu.runtime import dispatcher, liveness
    from kugetsu.runtime.facts import claim_facts

    liveness.require_original(ws.paths, ws.state())
    if is_shared(ws.paths.log) and not liveness.daemon(ws.paths, ws.state()):
        raise _no_daemon()
    here = clone_here(ws, ref)
    issue = str(ref)
    facts = claim_facts(ws, "self", options=own["options"] or {})
    if despite_pause and ws.state().paused:
        facts["despite_pause"] = True
    read_at, carried = prior_usage_of(ws, issue)

    def wanted(state: State) -> NewEvent:
        return queue.enqueue(
            state, kind="dev", issue=issue, message=message, via=via, repository=here, carried=carried, **own
        )[0]

    looked = ws.state()
    planned = looked.seq
    was_open = claims.held_back(looked, wanted(looked), facts) is None
    closed: Verdict | None = None
    lease, request = dispatcher.make_claim_request(ws)

    def decide(state: State) -> list[NewEvent]:
        nonlocal closed
        _require_current(state, issue, read_at)
        if state.hosts and not liveness.daemon_here(ws.paths, state).runs:
            raise _no_daemon()  # it was stopped since: the host rests, and nothing limits what would run here
        queued = wanted(state)
        closed = claims.held_back(state, queued, facts)
        if closed is None:
            return claims.start(state, queued, request, facts, pr)
        if closed.gate == "stagger":
            raise _StaggeredError(closed)
        if not was_open:
            raise claims.refusal(closed)
        return claims.lost_start(state, issue, planned, facts, carried, own["options"])

    attempt, events = dispatcher.claim(ws, lease, decide)
    if closed is not None:
        raise claims.refusal(closed)
    if attempt is None:
        raise KugetsuError("the claim was not made, and no gate explains it", hint="kugetsu log verify")
    return Started(events[0]["task"], attempt, issue, events)


def _no_daemon() -> Conflict:
    return Conflict(
        "no daemon is running, and without one the other hosts do not hear of this one",
        "kugetsu queue-daemon start, or let another host do it: kugetsu queue enqueue",
    )


#: Kinds of an attempt's events → what is waited for then.
_STEPS = {
    "attempt.starting": "making branch and worktree",
    "session.preparing": "making branch, worktree and session",
    "session.prepared": "starting the agent",
    "worktree.set_up": "starting the agent",
    "issue.read": "starting the agent",
}


def _await_running(ws: Workspace, started: Started, step: Callable[[str], None] | None) -> None:
    """Follow the log until the attempt runs or has ended."""
    told: set[str] = set()
    set_up = os.path.join(ws.paths.run(started.attempt), "setup.log")  # there from its beginning
    for event in ws.log.follow(started.events[-1]["seq"]):
        if event is None:
            if step is not None and set_up and os.path.lexists(set_up):
                step(f"{started.attempt}: setting up the worktree")
            try:
                notice_death(ws, started.task, told)
            except LogWriteFailed as problem:
                raise _unrecorded(started.attempt, problem) from problem
            continue
        if event.get("attempt") != started.attempt:
            continue
        kind = event["type"]
        set_up = "" if kind == "worktree.set_up" else set_up
        if step is not None and kind in _STEPS:
            step(f"{started.attempt}: {_STEPS[kind]}")
        if kind == "attempt.running" or (kind.startswith("attempt.") and "outcome" in event["data"]):
            started.state = kind.removeprefix("attempt.")
            started.reason = event["data"].get("reason")
            return


def _unrecorded(attempt: str, problem: LogWriteFailed) -> LogWriteFailed:
    text = f"{attempt} has ended, which cannot be recorded yet: {problem.message}"
    return LogWriteFailed(text, f"{problem.hint}; the daemon, or the next kugetsu start, records it")


class Deaths:
    """Settles what dies while somebody waits for tasks; what cannot be settled is printed once."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._told: set[str] = set()

    def look(self, awaited: Iterable[str]) -> None:
        """Settle what has died by now. Raises LogDamaged."""
        try:
            notice_death(self._ws, None, self._told)
        except LogWriteFailed as problem:
            if str(problem) not in self._told:
                from kugetsu.runtime import log_lines

                log_lines.note(f"kugetsu: {problem}; {problem.hint}")
            self._told.add(str(problem))
        for task_id in awaited:
            _notice_full_disk(self._ws, task_id, self._told)


def _notice_full_disk(ws: Workspace, awaited: str, told: set[str]) -> None:
    """Tell once that the end of the awaited task's agent waits for room on the disk: its runner does, for an hour."""
    from kugetsu.runtime import disk, host_id
    from kugetsu.runtime.process import identity

    own = [attempt for attempt in ws.state().attempts.values() if host_id.is_own(ws, attempt.host)]
    agents = [attempt.agent for attempt in own if attempt.task == awaited]
    if "full" in told or not any(agent is not None and not identity.alive(agent) for agent in agents):
        return
    problem = disk.refusal(ws.paths)
    if problem is not None:
        told.add("full")
        text = f"{awaited}: its agent has ended, which cannot be recorded yet: {problem.message}"
        from kugetsu.runtime import log_lines

        log_lines.note(f"kugetsu: {text}; {problem.hint}")


def notice_death(ws: Workspace, awaited: str | None, told: set[str]) -> None:
    """Settle what died. Raises if the awaited task cannot be settled; for another one the problem is printed once."""
    from kugetsu.runtime import reconcile

    state = ws.state()
    if not (reconcile.dead(ws, state) or reconcile.stopped(ws, state) or reconcile.left_by_the_dead(ws, state)):
        return
    try:
        reconcile.reconcile(ws)
    except (LogWriteFailed, LogDamaged):
        raise
    except KugetsuError as problem:
        if any(attempt.task == awaited for attempt in reconcile.dead(ws, ws.state())):
            raise
        if str(problem) not in told:
            from kugetsu.runtime import log_lines

            log_lines.note(f"kugetsu: {problem}")
        told.add(str(problem))


def wait_for(ws: Workspace, task_id: str) -> dict[str, Any]:
    """The event that ends (or parks) a task; waits for it, and retries in between are waited through.

    With no daemon there is nobody to retry: then the task's `task.retried` is returned. Raises NotFound.
    """
    from kugetsu.runtime import liveness

    seen = ws.state().seq
    last: dict[str, Any] | None = None
    for event in ws.log.read_key(task_id):
        # `task.held` is not a step of its own: the last other event counts.
        if event["seq"] <= seen and event["type"].startswith("task.") and event["type"] != "task.held":
            last = event
    if last is None:
        raise queue.unknown(ws.state(), task_id)
    told: set[str] = set()
    for news in _and_then(last, ws.log.follow(seen)):
        if news is None:
            try:
                notice_death(ws, task_id, told)
            except LogWriteFailed as problem:
                raise _unrecorded(task_id, problem) from problem
            _notice_full_disk(ws, task_id, told)
        elif news.get("task") == task_id:
            if news["type"] in FINAL:
                return news
            if news["type"] == "task.retried" and not liveness.daemon(ws.paths, ws.state()):
                return news
    raise KugetsuError(f"the log ended before {task_id} did", hint="kugetsu log verify")


def _and_then(first: dict[str, Any], rest: Iterator[dict[str, Any] | None]) -> Iterator[dict[str, Any] | None]:
    yield first
    yield from rest
