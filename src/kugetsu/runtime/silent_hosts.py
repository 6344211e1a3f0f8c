"""Other hosts that share the log, and are not heard of: they are expected again, stood in for, and at last lost.

No host is lost by the times alone that the database tells: its clock may be set forward, a standby that was behind may
take its place, or all hosts may have been cut off from it alike. Then each of them seems to be silent for too long,
until it beats, and the first one that comes back would give away the tasks of all the others, which live. So whoever
gives them away has to have found the host silent itself (`Silence`).
"""

from __future__ import annotations

from contextlib import suppress

from kugetsu.domain import hosts
from kugetsu.domain.decide import hosts as decide
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Host, State
from kugetsu.model.errors import Conflict
from kugetsu.runtime import host_id, membership
from kugetsu.runtime.facts import outcome_facts
from kugetsu.runtime.intake import places
from kugetsu.runtime.workspace import Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from kugetsu.log.shared.postgres import Beat, Database

OBSERVER_SECONDS = 120.0
"""After so long without a beat, six of them, another host asks the forges: nobody waits half an hour for an issue."""

WATCHED_SECONDS = 60.0
"""For so long a beat has to stand still under the eyes of whoever fences its host: three of them. Of a short time to
live a half."""


class Silence:
    """What one relay has seen of the beats, from one look to the next."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, int, str], float] = {}
        self._looked: float | None = None

    def lasting(self, beats: Sequence[Beat], now: float, ttl: float) -> list[Beat]:
        """Those that stood still for `WATCHED_SECONDS`, while this host looked; ``now`` of `host_lease.now`, ``ttl`` is
        the time to live in seconds. What was seen before this host was itself away counts for nothing."""
        watched = min(WATCHED_SECONDS, ttl / 2)
        before = self._since if self._looked is not None and now - self._looked <= watched else {}
        self._since = {_key(beat): before.get(_key(beat), now) for beat in beats}
        self._looked = now
        return [beat for beat in beats if now - self._since[_key(beat)] >= watched]


def _key(beat: Beat) -> tuple[str, int, str]:
    return beat.host, beat.term, beat.at


def expect_the_missing(ws: Workspace, database: Database, beats: Sequence[Beat]) -> list[str]:
    """Let the database know of each other host of the log of which it has no row, or that of an earlier term, since an
    older backup was restored: as if it had been heard of just now, so that it is lost once it was silent for its time
    to live; the names. One that lives renews that row with its next beat. Raises LogUnreachable.

    A database whose schema is older knows no such thing: there `kugetsu host lost` has to say that a host is gone.
    """
    state, own = ws.state(), host_id.own(ws)
    terms = {beat.host: beat.term for beat in beats}
    missing = [
        host
        for host in state.hosts.values()
        if host.takes_part and host.id != own and terms.get(host.id, 0) < host.term and not hosts.rests(state, host)
    ]
    if not missing or not database.can_expect_hosts():
        return []
    for host in missing:
        database.expect_host(host.id, host.term, host.name)
    return [host.name for host in missing]


def fence(
    ws: Workspace, host: str, term: int, silent_since: str | None, *, sure: bool, row_term: int | None = None
) -> list[dict[str, Any]]:
    """Give a lost host's tasks away, and let its term renew nothing, in one transaction; the events.

    [] if that term takes no part any more, or has nothing to do (`hosts.rests`). ``sure``: a person says that it is
    gone. ``row_term``: the database knows a later one, which the host began and did not get to record. Raises Conflict
    while it is heard of, LogUnreachable.
    """
    from kugetsu.log.shared.engine import SharedLog

    assert isinstance(ws.log, SharedLog)
    facts, by = outcome_facts(ws.config), None if sure else host_id.own(ws)

    def lost(state: State) -> list[NewEvent]:
        known = state.hosts.get(host)
        if not sure and known is not None and hosts.rests(state, known):
            return []
        reason = f"{host_id.name_of(state, host)} was lost"
        return decide.lost(state, host, term, silent_since, by, reason, facts)

    return ws.log.transact_fencing(lost, host, row_term or term, sure=sure)


def fence_the_silent(ws: Workspace, beats: Sequence[Beat]) -> list[str]:
    """Fence each other host that was not heard of for its time to live, of those that this one has watched
    (`Silence`); the names. Raises LogUnreachable."""
    own, known = host_id.own(ws), ws.state().hosts
    gone = []
    for beat in beats:
        host = known.get(beat.host)
        if host is None or beat.host == own or not beat.expired or not host.takes_part or beat.term < host.term:
            continue
        if hosts.rests(ws.state(), host):
            continue
        with suppress(Conflict):  # heard of meanwhile, or the server was restarted a short while ago
            if fence(ws, beat.host, host.term, beat.at, sure=False, row_term=beat.term):
                gone.append(host.name)
    return gone


def observe_for_the_silent(ws: Workspace, beats: Sequence[Beat]) -> str | None:
    """Ask the forges in place of the host that does so for all, if that was not heard of for `OBSERVER_SECONDS` and
    this one's settings have something to ask for; its name then. Raises LogUnreachable.

    It need not be lost for that: what two of them do at once is recorded once.
    """
    state, own = ws.state(), host_id.own(ws)
    does = hosts.observer(state)
    silent = {beat.host for beat in beats if beat.ago > OBSERVER_SECONDS}
    if does is None or does.id == own or does.id not in silent or not places.runs_loop(ws, state):
        return None
    return does.name if ws.log.transact(lambda state: decide.observe_instead(state, own, does.id)) else None


def lose(ws: Workspace, text: str) -> tuple[Host, list[dict[str, Any]]]:
    """A person knows that a host is gone (its name, or the beginning of its id): as `fence`. Raises NotFound, Conflict
    for this host and one that takes no part."""
    host = membership.find(ws, text)
    if host_id.is_own(ws, host.id):
        raise Conflict(f"{host.name} is this host", "run it on another one")
    events = fence(ws, host.id, host.term, None, sure=True)
    if not events:
        raise Conflict(f"host {host.name} has {'left' if host.state == 'left' else 'been lost'} already")
    return host, events
