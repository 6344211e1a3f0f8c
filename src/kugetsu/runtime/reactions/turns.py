"""Queue the turns that answer feedback, and record the brakes that hold (`domain.loops` says which)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kugetsu.domain import loops
from kugetsu.domain.decide import reactions as decide
from kugetsu.domain.events import Event
from kugetsu.domain.facts import ReactionFacts
from kugetsu.domain.fold.loops import used
from kugetsu.domain.state import Session, State
from kugetsu.forge.failures import ForgeFailure
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError
from kugetsu.model.refs import parse_ref
from kugetsu.runtime.forges import Forges
from kugetsu.runtime.intake import looking, permission
from kugetsu.runtime.reactions import message
from kugetsu.runtime.reviews import subjects
from kugetsu.runtime.workspace import Workspace

#: Seconds after which an issue that wanted no turn is asked for again; and the longest pause after a failure.
ASK_AGAIN = 300.0
#: Seconds of the first pause after a failure; each further one is twice as long, if the forge names no time.
FIRST_PAUSE = 5.0
#: The longest wait for a turn, in seconds.
LONGEST = 86_400.0


def facts_of(ws: Workspace, key: str, now: str) -> ReactionFacts:
    """What decides on the turns of an issue's loop, by the settings of its repository."""
    settings = ws.config_of(key)
    return {
        "now": now,
        "kinds": settings.text("REACTIONS").split(),
        "delay_seconds": settings.number("REACTION_DELAY_MINUTES") * 60,
        "max_reactions": settings.integer("MAX_REACTIONS"),
    }


@dataclass(slots=True)
class Turns:
    """The turns of all loops. What stays the same is not decided again: only a new event, another time or a changed
    setting makes a turn due."""

    ws: Workspace
    #: When an issue may be asked for again, in monotonic seconds, and how long the pause is until then.
    _pauses: dict[str, tuple[float, float]] = field(default_factory=dict)

    def due(self, state: State, now: str) -> list[str]:
        """The issues whose turn is to be queued, or whose brake to be recorded, now."""
        return [session.key for session, turn in self._turns(state, now) if self._is_due(state, session, turn)]

    def wait(self, state: State, now: str) -> float:
        """Seconds until the next turn may be due."""
        waits = [LONGEST]
        for session, turn in self._turns(state, now):
            if turn.code == "later" and turn.until is not None:
                waits.append(max(clock.seconds_between(now, turn.until), 0.0))
            elif turn.code == "go" and not _is_withdrawn(state, session, turn):
                waits.append(self._left(session.key))
        return min(waits)

    def _turns(self, state: State, now: str) -> Iterator[tuple[Session, loops.Turn]]:
        for key, loop in state.loops.items():
            session = state.sessions.get(key)
            if session is not None and loop["items"]:
                yield session, loops.next_turn(state, session, facts_of(self.ws, key, now))

    def _is_due(self, state: State, session: Session, turn: loops.Turn) -> bool:
        if turn.code in loops.BRAKES:
            held = loops.loop_of(state, session.key)["held"]
            return held is None or held["code"] != turn.code
        if turn.code != "go" or _is_withdrawn(state, session, turn):
            return False
        return self._left(session.key) <= 0

    def _left(self, key: str) -> float:
        """Seconds until an issue may be asked for again."""
        until, _ = self._pauses.get(key, (0.0, 0.0))
        return max(until - time.monotonic(), 0.0)

    def _pause(self, key: str, seconds: float) -> None:
        self._pauses[key] = time.monotonic() + seconds, seconds

    def _failed(self, key: str, problem: KugetsuError) -> None:
        """Ask again when the forge says, else after a growing pause."""
        asked = problem.retry_at if isinstance(problem, ForgeFailure) else None
        if asked is not None:
            self._pause(key, min(max(clock.seconds_between(clock.now(), asked), FIRST_PAUSE), LONGEST))
        else:
            _, before = self._pauses.get(key, (0.0, 0.0))
            self._pause(key, min(max(before * 2, FIRST_PAUSE), ASK_AGAIN))

    def take(self, key: str) -> list[Event]:
        """Queue the next turn of an issue's loop, or record what keeps it; [] if there is nothing to do by now.

        Asks the forge whether the issue still wants work. Raises KugetsuError, ForgeFailure: it is tried again later.
        """
        try:
            return self._taken(key)
        except KugetsuError as problem:
            self._failed(key, problem)
            raise

    def _taken(self, key: str) -> list[Event]:
        state, now = self.ws.state(), clock.now()
        session = state.sessions.get(key)
        if session is None:
            return []
        facts = facts_of(self.ws, key, now)
        turn = loops.next_turn(state, session, facts)
        text = ""
        if turn.code == "go":
            why_not, over_at = _withdrawn(self.ws, key)
            if why_not is not None:
                self._pause(key, ASK_AGAIN)
                return self.ws.log.transact(lambda state: decide.withdrawn(state, key, why_not, over_at))
            loop = loops.loop_of(state, key)
            items = items_of(self.ws, loop, turn.items)
            text = message.of(session.pr, items, used(loop) + 1, facts["max_reactions"])
        events = self.ws.log.transact(lambda state: decide.react(state, key, text, turn.items, facts))
        self._pauses.pop(key, None)
        return events

    def recheck(self, state: State, key: str) -> list[Event]:
        """Cancel what waits in the queue for an issue that wants no work by now (`decide.withdrawn`); [] if nothing
        does. Raises as `take`."""
        waiting = [task for task in map(state.tasks.__getitem__, state.of_issue.get(key, ())) if task.attempt is None]
        if not waiting or not subjects.is_looped(self.ws, key):
            return []
        why_not, over_at = _withdrawn(self.ws, key)
        if why_not is None or not any(decide.is_withdrawn(task, state.sessions.get(key), over_at) for task in waiting):
            return []
        return self.ws.log.transact(lambda state: decide.withdrawn(state, key, why_not, over_at))


def _is_withdrawn(state: State, session: Session, turn: loops.Turn) -> bool:
    """Whether the issue is known to want no turn, and nothing has happened since that could have changed that: no new
    feedback, and no new sight of its label. Then the forge is not asked."""
    held = loops.loop_of(state, session.key)["held"]
    if held is None or held["code"] not in permission.NO_TURN.values():
        return False
    items = loops.loop_of(state, session.key)["items"]
    seen = state.intake.get(session.key)
    news = [*(items[name]["seq"] for name in turn.items), *([seen["seq"]] if seen is not None else [])]
    return bool(held["seq"] > max(news, default=0))


def items_of(ws: Workspace, loop: dict[str, Any], names: list[str]) -> list[dict[str, Any]]:
    """Items of feedback, whole, from the events that recorded them. Raises KugetsuError for one that is not there."""
    found: dict[str, dict[str, Any]] = {}
    for seq in sorted({loop["items"][name]["seq"] for name in names}):
        for event in ws.log.read(after=seq - 1, until=seq):
            found |= {item["id"]: item for item in event["data"]["items"]}
    if missing := [name for name in names if name not in found]:
        raise KugetsuError(f"the log has no feedback {missing[0]}", "kugetsu log verify")
    return [found[name] for name in names]


def _withdrawn(ws: Workspace, key: str) -> tuple[str | None, str | None]:
    """Why the issue wants no work any more, read afresh (`events.reactions.ReactionHeld`), and when it was closed; None
    if it does, or where no forge is contacted. Raises ForgeFailure, BadInput."""
    forges = Forges(ws)
    if forges.of(parse_ref(key).host) is None:
        return None, None
    issue = looking.read_issue(forges, key)
    return permission.why_no_turn(ws, key, looking.why_gone_of(ws, key, issue)), looking.closed_at(issue)
