"""A point of the past (`--at WHEN`), or a file of another place (`--from FILE`): the state there, and what was known.

No process is probed for either: what one did then nobody can tell any more, and what one does there not from here. A
bundle tells what was seen of them when it was made.
"""

from __future__ import annotations

from typing import Any

from kugetsu.cli import timespec as points
from kugetsu.cli.call import Call
from kugetsu.domain.events import Event
from kugetsu.domain.facts import ClaimFacts
from kugetsu.domain.recorded_facts import decided, facts_then
from kugetsu.domain.state import State
from kugetsu.log.protocol import EventLog
from kugetsu.model.errors import BadInput, NotFound
from kugetsu.runtime.facts import claim_facts
from kugetsu.runtime.host_probe import facts_now
from kugetsu.views import times
from kugetsu.views.point import as_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.views.point import Asked, AsOf


#: Events behind a point that are looked through for the facts of a decision, more each time none is found.
LOOKS = (1000, 20_000, 400_000)


class Point:
    """A point of the log: ``state`` there, ``now`` its time, ``facts`` what gates read. ``past`` is None for the
    present; at any other point no process is asked whether it lives."""

    __slots__ = ("facts", "now", "past", "state")

    def __init__(self, state: State, now: str, facts: ClaimFacts, past: Asked | None) -> None:
        self.state = state
        self.now = now
        self.facts = facts
        self.past = past


def present(call: Call) -> Point:
    """Now: with what the machine and the settings say now, and the dispatcher that there is.

    In a file of another place it is the end of that file.
    """
    if call.elsewhere is not None:
        return _elsewhere(call)

    state = call.ready()
    return Point(state, call.screen.now, facts_now(call.workspace, state), None)


def point(call: Call, when: str | None) -> Point:
    """The point that `--at` names; the present, when it was not given. Raises BadInput, NotFound."""
    if when is None:
        return present(call)
    state, now = state_at(call, when)
    return _with_facts(call, state, now, None)


def moment(call: Call, when: str, option: str) -> tuple[int | None, str | None]:
    """The point that an option names: a seq after which there was a state, or a time.

    Raises BadInput for a text that is no point and for a time to come, NotFound for an event that is not there.
    """
    now = call.screen.now
    seq, at = points.state_of(call.workspace.log, points.parse(when, now))
    if at is not None and at > now:
        raise BadInput(f"{when[:60]!r} is yet to come", f"leave out {option} to see what is so now")
    return seq, at


def first_event(log: EventLog) -> Event:
    """The log's first event. Raises NotFound for an empty log."""
    first = next(iter(log.read()), None)
    if first is None:
        raise NotFound("the log is empty", "kugetsu init")
    return first


def state_at(call: Call, when: str, option: str = "--at") -> tuple[State, str]:
    """The state at the point that `--at` (or another option) names, and the point's time.

    Raises as `moment` does, and NotFound for a point before the first event.
    """
    log = call.workspace.log
    seq, at = moment(call, when, option)
    first = first_event(log)
    if (seq is not None and seq < first["seq"]) or (at is not None and at < first["at"]):
        since = f"{times.day(first['at'])} {times.time_of_day(first['at'])} {times.zone(first['at'])}"
        said = f"there was nothing yet: the log begins with event {first['seq']}, {since}"
        raise NotFound(said, "name a later point")
    state: State = log.state_at(seq=seq, at=at)
    return state, at if at is not None else state.at


def then(call: Call, when: str | None) -> tuple[State, str, AsOf | None]:
    """State, time and point for screens that ask no gate: of `--at`, of the end of `--from`, else of the present."""
    if when is None:
        state = call.ready()
        return state, call.screen.now, as_of(state, call.screen.now) if call.elsewhere is not None else None
    state, now = state_at(call, when)
    return state, now, as_of(state, now)


def _elsewhere(call: Call) -> Point:
    """The end of a file of another place, with the look at its machine or at least the settings that are in it."""
    assert call.elsewhere is not None
    look = call.elsewhere.look
    if look is not None:
        state, now = call.state(), call.screen.now
        seen: Asked = {**as_of(state, now), "facts_from": None, "facts_at": now}
        return Point(state, now, facts_then(look.facts, state, now, daemon=look.daemon), seen)
    settings: Any = None
    if call.elsewhere.settings:
        settings = claim_facts(call.workspace, "none")
    return _with_facts(call, call.state(), call.screen.now, settings)


def _with_facts(call: Call, state: State, now: str, settings: Any) -> Point:
    """A point with the facts that the nearest decision before it recorded; ``settings``: those of the point itself."""
    recorded = recorded_facts(call.workspace.log, state.seq)
    known: Any = settings
    if settings is None and recorded is None:
        known = claim_facts(call.workspace, "none")
    if recorded is None:
        known["free_memory_mb"] = known["free_disk_mb"] = None
        known["agent_problems"] = {}
    elif settings is None:
        known = recorded["facts"]
    else:
        machine = ("cores", "warmup_seconds", "free_memory_mb", "free_disk_mb")
        known.update({name: recorded["facts"].get(name, known[name]) for name in machine})
        # Which programs and files are there only the other place knew.
        known["agent_problems"] = recorded["facts"].get("agent_problems", {})
    past: Asked = {
        **as_of(state, now),
        "facts_from": recorded["seq"] if recorded is not None else None,
        "facts_at": recorded["at"] if recorded is not None else None,
    }
    return Point(state, now, facts_then(known, state, now), past)


def recorded_facts(log: EventLog, seq: int) -> Event | None:
    """The latest event up to ``seq`` that records what a dispatching decision was made from; None for none."""
    until = seq
    for look in (*LOOKS, seq):
        if until < 1:
            return None
        after = max(seq - look, 0)
        found = None
        for event in log.read(after=after, until=until):
            if decided(event):
                found = event
        if found is not None or after == 0:
            return found
        until = after
    return None
