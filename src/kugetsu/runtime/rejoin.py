"""A host joins the shared log again: at each start of its daemon, after a loss, or when a person asks for it.

What was given away meanwhile is stopped first, and what came of it recorded.
"""

from __future__ import annotations

from loguru import logger

from kugetsu.domain.decide import daemon as decide
from kugetsu.domain.events import Identity
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Attempt, State
from kugetsu.model.errors import Conflict
from kugetsu.runtime import host_id, late_outcomes, left_behind, liveness, membership, stop_attempt
from kugetsu.runtime.process import identity
from kugetsu.runtime.runner import interactive
from kugetsu.runtime.workspace import Workspace


def on_request(ws: Workspace) -> int | None:
    """Take part again because a person asks for it, where no daemon does; the new term, None if this host takes part.
    Raises Conflict while something that was given away still works here, LogUnreachable."""
    ws.log.transact(lambda _: [])  # nobody keeps the mirror: it may lack that this host was lost
    state = ws.state()
    liveness.require_original(ws.paths, state)
    require_ended(ws, state)
    term = membership.join_again(ws, state)
    interactive.reclaim(ws)
    return term


def require_ended(ws: Workspace, state: State) -> None:
    """Raise Conflict while something that was given away with this host still works here: what starts next in its
    session would find it in its worktree."""
    if state.hosts and (ids := late_outcomes.at_work(ws, state, {})):
        text = f"{', '.join(ids)} was given away, and still works here"
        raise Conflict(text, "kugetsu queue-daemon start: it ends that first, and takes part again then")


class Rejoin:
    """What one daemon knows of its host's return, from one turn to the next."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._host = host_id.own(ws)
        self._took_part = False
        #: Whether `_resume` is to be done, and whether the daemon is to stop once its last agent has ended.
        self._returns, self._drains = True, False
        self._looked_at: set[str] = set()
        self._given_away: dict[str, Attempt] = {}
        self._awaited: list[str] = []

    def step(self, lease: str) -> bool:
        """Begin a term of this host: at the start, and when another host has fenced the last one; ``lease`` is the
        daemon's. True if it cannot yet, or may start nothing, because of what still works here."""
        self._settle()
        if self._awaits():
            return True
        ws, state = self._ws, self._ws.state()
        term = membership.join_again(ws, state) if self._took_part else membership.join(ws)
        self._took_part = True
        if term is not None:
            logger.info("takes part in the shared log, term {}", term)
            if taken := membership.name_taken(ws, ws.state()):
                logger.warning("{}; {}", *taken)
        if self._returns:
            self._resume(lease)
            self._returns = False
        return self._awaits()  # it may have been lost since, and its agents given away, before it joined

    def _resume(self, lease: str) -> None:
        """Record what the log counts as lost with the host, and is not: this daemon, and the people who are attached.
        Tried again if the database goes away in the middle."""
        ws, host = self._ws, self._host
        me: Identity = {**identity.own(), "host": host}

        def started(state: State) -> list[NewEvent]:
            known = state.daemon_of(host)
            return [] if known.runs or known.lease != lease else decide.started(state, me, lease)

        def drains(state: State) -> list[NewEvent]:
            return decide.drain(state, "stop --drain", host) if state.daemon_of(host).lease == lease else []

        ws.log.transact(started)
        if self._drains:
            ws.log.transact(drains)
        for key in interactive.reclaim(ws):
            logger.info("{}: the person who was attached is still at work there, and has the session again", key)

    def _settle(self) -> None:
        """Stop and record what was given away."""
        for attempt_id in stop_attempt.stop_given_away(self._ws, self._ws.state()):
            logger.warning("{} was given away while this host was not heard of: its agent is stopped", attempt_id)
        for attempt_id in late_outcomes.settle(self._ws, self._ws.state(), self._given_away):
            logger.warning("{} was given away, and its runner is gone: what came of it is recorded", attempt_id)
        for one in left_behind.keep(self._ws, self._ws.state(), self._looked_at):
            kept = f"{one['rescue'] or 'nothing'}{', pushed' if one['pushed'] else ''}"
            logger.warning("{} moved to another host; what is only here: {}", one["session"], kept)

    def _awaits(self) -> bool:
        """Whether something that was given away has to end before this host takes part again, and starts anything."""
        state = self._ws.state()
        here, daemon = state.hosts.get(self._host), state.daemon_of(self._host)
        # A person may have let it join again before this daemon saw that it was lost.
        self._returns = self._returns or daemon.state == "lost"
        self._drains = daemon.state == "draining" or (self._drains and self._returns)
        if here is None or not here.away:
            return False
        working = late_outcomes.at_work(self._ws, state, self._given_away)
        if working and working != self._awaited:
            logger.warning("{} was given away and still works here: its end is awaited", ", ".join(working))
        self._awaited = working
        return bool(working)
