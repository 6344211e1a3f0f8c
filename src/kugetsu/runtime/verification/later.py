"""Verify the work of a session after its run: what that did not tell, because its runner was killed or its time was up.

The daemon's `verifier` does it, with an intent in the log, so that one that is killed counts; a person with
`kugetsu verify`. Where it passes the pull request is intended that the run would have got, where it fails the next turn
gets its output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kugetsu.domain import verification
from kugetsu.domain.decide import verification as decide
from kugetsu.domain.events import Event
from kugetsu.domain.intake import is_paused
from kugetsu.domain.results import NOT_ASKED, NOT_TO_OPEN, UNKNOWN, UNVERIFIED
from kugetsu.domain.state import Session, State
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id, pull_opening, scratch_lease
from kugetsu.runtime.verification import clean_run, of_attempt
from kugetsu.runtime.verification.clean_run import Order, Place
from kugetsu.runtime.workspace import Workspace


class StoppedError(Exception):
    """It is no longer wanted."""


def due(ws: Workspace, state: State, now: str) -> Iterator[tuple[Session, Order | None]]:
    """The sessions whose work is to be verified now, and what is run (`owed`)."""
    return ((session, order) for session, order, not_before in owed(ws, state, now) if not_before <= now)


def wait(ws: Workspace, state: State, now: str) -> float | None:
    """Seconds until work is to be verified that waits for its time; None where none does."""
    return min((clock.seconds_between(now, at) for _, _, at in owed(ws, state, now) if at > now), default=None)


def owed(ws: Workspace, state: State, now: str) -> Iterator[tuple[Session, Order | None, str]]:
    """The sessions whose work is to be verified, what is run, None where VERIFY_COMMAND was removed, and when: empty
    for now. Another host verifies its own."""
    for session in state.sessions.values():
        known = session.verified
        if known is None or known["code"] not in UNKNOWN or is_paused(state, session.key, now):
            continue
        if session.repository is None or session.source is None or not host_id.is_own(ws, session.host):
            continue
        order = clean_run.order_for(ws, session)
        sha, seconds = (order.sha, order.seconds) if order is not None else ("", 0.0)
        if verification.is_owed(state, session, sha, seconds):
            yield session, order, verification.not_before(state, session, sha)


def begun(ws: Workspace, state: State) -> list[Session]:
    """The sessions whose later verification has begun on this host and has no outcome."""
    known = [one for one in state.sessions.values() if one.verified is not None and one.verified["begun"] is not None]
    return [session for session in known if host_id.is_own(ws, session.host)]


def run(ws: Workspace, session: Session, order: Order | None, go_on: Callable[[], bool]) -> list[Event]:
    """Verify a session's work, while ``go_on``; the events of its outcome. Raises LogWriteFailed, LogDamaged."""
    known = session.verified
    assert known is not None
    if order is None:
        found = {"command": "", "sha": known["sha"], "commit": known["commit"], "code": NOT_ASKED}
        return record(ws, session.key, None, found, "", by_hand=False)
    head, about = known["commit"], {"command": redact(order.command), "sha": order.sha, "commit": known["commit"]}
    intent = ws.log.transact(
        lambda state: decide.begin(state, session.key, head, order.sha, about["command"], order.seconds)
    )
    if not intent:
        return []

    def step(_: str) -> None:
        if not go_on():
            raise StoppedError

    text = ""
    try:
        with scratch_lease.hold(ws) as lease:
            folder = ws.paths.make(f"{ws.paths.scratch}/{lease.nonce}")
            base = clean_run.base_commit(order, session, head)
            found, text = clean_run.of_work(ws, order, head, base, Place(lease.nonce, folder, step=step))
    except StoppedError:
        found = {**about, "code": "not_run", "why": "stopped"}
    except (KugetsuError, OSError) as problem:
        found = {**about, "code": "not_run", "why": redact(str(problem), limit=clean_run.WHY_LENGTH)}
    return record(ws, session.key, order, found, text, by_hand=False)


def close(ws: Workspace, session: Session) -> list[Event]:
    """Record the outcome of one whose process was killed."""
    known = session.verified or {}
    found = {**{name: known.get(name) for name in ("commit", "sha")}, "command": "", "code": "not_run"}
    said = decide.data_of({**found, "why": "verifier_killed"}, by_hand=False)
    now = clock.now()
    return ws.log.transact(lambda state: decide.verified(state, session.key, said, now=now))


def record(
    ws: Workspace, key: str, order: Order | None, found: dict[str, Any], text: str, *, by_hand: bool
) -> list[Event]:
    """Record what a verification ``found`` of the commits of the session ``key``, with its output ``text``, and what
    follows; [] if that says nothing new (`decide.verified`)."""
    state = ws.state()
    session = state.sessions.get(key)
    if session is None:
        return []
    item = of_attempt.feedback_of(order, found, text) if order is not None and found["code"] in UNVERIFIED else None
    opening = None
    known = session.verified or {}
    if found["code"] not in NOT_TO_OPEN and found["commit"] == session.head and not known.get("refused"):
        evidence = {name: getattr(session, name) for name in ("head", "commits", "pushed", "pull")}
        task = known.get("task")
        opening = pull_opening.intent_of(ws, state, session, {**evidence, "verification": found}, task)
    said = decide.data_of(found, by_hand=by_hand)
    now = clock.now()
    return ws.log.transact(lambda state: decide.verified(state, key, said, item, opening, now))
