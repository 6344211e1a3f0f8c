"""A point of the log: the state there, its time, and what the gates and the screens read beside the log.

The present is probed. Of the past nobody can tell what a process did, and of an exported log only what its bundle
recorded when it was made.
"""

from __future__ import annotations

from kugetsu.model.errors import BadInput, NotFound
from kugetsu.model.record import record
from kugetsu.runtime import facts as present_facts
from kugetsu.runtime import liveness

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypedDict

    from kugetsu.agents.last_activity import Progress
    from kugetsu.domain.events import Event
    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.state import Attempt, State
    from kugetsu.log.protocol import EventLog
    from kugetsu.runtime.workspace import Workspace

    class AsOf(TypedDict):
        """The last event that counts, and the point's time (UTC)."""

        seq: int
        at: str

    class Asked(AsOf):
        """A point at which the gates were asked: the event whose recorded facts they were given, and its time; None
        when no event had recorded any."""

        facts_from: int | None
        facts_at: str | None


#: Events before a point that are searched for the facts of a decision, more each time none is found.
LOOKS = (1000, 20_000, 400_000)


@record
class Probes:
    """What the log cannot know: which processes live (None: unknown), what the agents do, what is odd about the
    settings; and whether the daemon, which does not live here, stopped or is another directory's: it is not lost."""

    alive: Callable[[Attempt], bool | None]
    daemon_alive: bool
    progress: Callable[[Attempt], Progress | None]
    warnings: list[str]
    daemon_stopped: bool = False


@record
class Point:
    """A point of the log: ``state`` there, ``now`` its time, ``facts`` what the gates read, ``probes`` what was seen of
    the processes. ``past`` is None for the present."""

    state: State
    now: str
    facts: ClaimFacts
    past: Asked | None
    probes: Probes


def as_of(state: State, now: str) -> AsOf:
    """The point at which ``state`` was, at the time ``now``."""
    return {"seq": state.seq, "at": now}


def ready(ws: Workspace) -> State:
    """The state of a directory that is set up; an exported log may lack its beginning.

    Raises KugetsuError with the remedy.
    """
    from kugetsu.domain.decide.queue import require_initialised

    state = ws.state()
    if ws.foreign is None:
        require_initialised(state)
    return state


# --- points ---------------------------------------------------------------------------------------------------------


def present(ws: Workspace, now: str) -> Point:
    """The present, set up or not: settings and machine as they are now; of an exported log, its end."""
    if ws.foreign is not None:
        return _end_of_export(ws, now)
    state = ws.state()
    facts = present_facts.facts_now(ws, state)
    probes = Probes(
        alive=lambda attempt: _lives(ws, state, attempt),
        daemon_alive=facts["dispatcher"] == "daemon",
        progress=lambda attempt: liveness.progress(ws, state, attempt),
        warnings=ws.config.warnings(),
        daemon_stopped=facts["dispatcher"] != "daemon" and liveness.is_not_lost(ws.paths, state),
    )
    return Point(state, now, facts, None, probes)


def _lives(ws: Workspace, state: State, attempt: Attempt) -> bool | None:
    """As `liveness.of`; None also for one of the directory of which this one is a copy."""
    known = liveness.of(ws.paths, attempt)
    return None if known is False and liveness.original(ws.paths, state) is not None else known


def point(ws: Workspace, when: str | None, now: str) -> Point:
    """The point that ``when`` names; the present without it. Raises BadInput, NotFound."""
    if when is None:
        ready(ws)
        return present(ws, now)
    return _recorded(ws, *state_at(ws.log, when, now), None)


def then(ws: Workspace, when: str | None, now: str) -> tuple[State, str, AsOf | None]:
    """State, time and point for screens that ask no gate; the point is None for the present."""
    if when is None:
        state = ready(ws)
        return state, now, as_of(state, now) if ws.foreign is not None else None
    state, at = state_at(ws.log, when, now)
    return state, at, as_of(state, at)


def moment(log: EventLog, when: str, now: str, option: str) -> tuple[int | None, str | None]:
    """The point that an option names: a seq after which there was a state, or a time.

    Raises BadInput for a text that is not a point and for a future time, NotFound for an event that is not there.
    """
    from kugetsu.runtime.query import timespec

    seq, at = timespec.state_of(log, timespec.parse(when, now))
    if at is not None and at > now:
        raise BadInput(f"{when[:60]!r} is in the future", f"drop {option} to see the present state")
    return seq, at


def state_at(log: EventLog, when: str, now: str, option: str = "--at") -> tuple[State, str]:
    """The state at the point that an option names, and the point's time.

    Raises as `moment` does, and NotFound for a point before the first event.
    """
    seq, at = moment(log, when, now, option)
    first = first_event(log)
    if (seq is not None and seq < first["seq"]) or (at is not None and at < first["at"]):
        raise NotFound(
            f"nothing was recorded yet: the log begins with event {first['seq']}, {first['at'][:19]}Z",
            "name a later point",
        )
    state: State = log.state_at(seq=seq, at=at)
    return state, at if at is not None else state.at


def first_event(log: EventLog) -> Event:
    """The log's first event. Raises NotFound for an empty log."""
    first = next(iter(log.read()), None)
    if first is None:
        raise NotFound("the log is empty", "kugetsu init")
    return first


def event_at(log: EventLog, seq: int) -> Event:
    """The event of that seq. Raises NotFound."""
    found = next(iter(log.read(after=seq - 1, until=seq)), None) if seq > 0 else None
    if found is None:
        raise NotFound(f"no event {seq}: the log ends at {log.head().seq}", "kugetsu history --all")
    return found


def _end_of_export(ws: Workspace, now: str) -> Point:
    """The end of an exported log, with its bundle's host probe or at least its settings."""
    from kugetsu.domain.recorded_facts import facts_then
    from kugetsu.runtime import host_probe

    foreign = ws.foreign
    assert foreign is not None
    state, probe = ws.state(), host_probe.of_export(foreign)
    if probe is None:
        return _recorded(ws, state, now, present_facts.claim_facts(ws, "none") if foreign.has_settings else None)
    seen: Asked = {**as_of(state, now), "facts_from": None, "facts_at": now}
    probes = Probes(probe.alive, probe.daemon, probe.progress, ws.config.warnings())
    return Point(state, now, facts_then(probe.facts, state, now, daemon=probe.daemon), seen, probes)


def _recorded(ws: Workspace, state: State, now: str, settings: Any) -> Point:
    """A point with the facts that the nearest decision before it recorded; ``settings``: those of the point itself."""
    from kugetsu.domain.recorded_facts import facts_then

    recorded = recorded_facts(ws.log, state.seq)
    known: Any = settings
    if recorded is None:
        known = settings or present_facts.claim_facts(ws, "none")
        known["free_memory_mb"] = known["free_disk_mb"] = None
        known["agent_problems"] = {}
    elif settings is None:
        known = recorded["facts"]
    else:
        machine = ("cores", "warmup_seconds", "free_memory_mb", "free_disk_mb")
        known.update({name: recorded["facts"].get(name, known[name]) for name in machine})
        # Which programs and files are there only the other machine knew.
        known["agent_problems"] = recorded["facts"].get("agent_problems", {})
    past: Asked = {
        **as_of(state, now),
        "facts_from": recorded["seq"] if recorded is not None else None,
        "facts_at": recorded["at"] if recorded is not None else None,
    }
    unseen = Probes(alive=lambda _: None, daemon_alive=state.daemon.runs, progress=lambda _: None, warnings=[])
    return Point(state, now, facts_then(known, state, now), past, unseen)


def recorded_facts(log: EventLog, seq: int) -> Event | None:
    """The latest event up to ``seq`` that records what a dispatching decision was made from; None for none."""
    from kugetsu.domain.recorded_facts import decided

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


# --- the dispatcher of a point --------------------------------------------------------------------------------------


def slots_then(log: EventLog, seq: int) -> int | None:
    """How many slots there were at the event ``seq`` by the nearest decision; None when none had been made."""
    recorded = recorded_facts(log, seq) if seq else None
    return int(recorded["facts"]["cap"]) if recorded is not None else None


def daemon_found_dead(ws: Workspace, seq: int) -> bool:
    """Whether the daemon of the event ``seq`` gave no sign of life after it, and was found dead later or is dead now.

    Of an exported log only its events and its host probe count.
    """
    from kugetsu.domain.interval_fold import heartbeat

    for event in ws.log.read(after=seq):
        if event["type"] == "daemon.lost":
            return True
        if heartbeat(event):
            return False
    state = ws.state()
    if ws.foreign is not None:
        from kugetsu.runtime import host_probe

        probe = host_probe.of_export(ws.foreign)
        return probe is not None and state.daemon.runs and not probe.daemon
    return state.daemon.runs and not liveness.daemon(ws.paths, state)
