"""The host beside the log: which processes are alive, what the agents do, what the gates read.

A bundle holds one probe: elsewhere it is shown as it was where the bundle was made, and no process is asked.
"""

from __future__ import annotations

from kugetsu.model import clock
from kugetsu.runtime import facts, liveness

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.agents.last_activity import Progress
    from kugetsu.domain.state import Attempt, State
    from kugetsu.runtime.foreign import Foreign
    from kugetsu.runtime.workspace import Workspace

_AGENT: dict[str, Any] = {"alive": bool, "last": str | None, "at": str | None}
_AGENT |= {"tokens": int | None, "cost": int | float | None}


class HostProbe:
    """What was found when the log's last event was ``seq``; the time in ``facts`` cannot be relied on."""

    __slots__ = ("_agents", "daemon", "facts", "seq")

    def __init__(self, seq: int, daemon: bool, facts: dict[str, Any], agents: dict[str, dict[str, Any]]) -> None:
        self.seq = seq
        self.daemon = daemon
        self.facts = facts
        self._agents = agents

    def alive(self, attempt: Attempt) -> bool | None:
        """True if its process was alive; None when the probe does not tell."""
        return self._agents.get(attempt.id, {}).get("alive")

    def progress(self, attempt: Attempt) -> Progress | None:
        """What its agent had done last."""
        from kugetsu.agents.last_activity import Progress

        seen = self._agents.get(attempt.id)
        return Progress(seen["last"], seen["at"], seen["tokens"], seen["cost"]) if seen is not None else None


def taken(ws: Workspace, state: State, *, texts: bool) -> dict[str, Any]:
    """A probe as JSON values, for `kept`; without ``texts`` it leaves out what the agents did last."""
    known = facts.facts_now(ws, state)
    agents = {}
    for attempt in state.attempts.values():
        seen = liveness.progress(ws, state, attempt)
        agents[attempt.id] = {
            "alive": liveness.of(ws.paths, attempt),
            "last": seen.last if seen is not None and texts else None,
            "at": seen.at if seen is not None and texts else None,
            "tokens": seen.tokens if seen is not None else None,
            "cost": seen.cost if seen is not None else None,
        }
    return {"seq": state.seq, "daemon": known["dispatcher"] == "daemon", "facts": known, "agents": agents}


def of_export(foreign: Foreign) -> HostProbe | None:
    """The probe at the end of an exported log; None without one."""
    probe = kept(foreign.probe)
    return probe if probe is not None and probe.seq == foreign.log.found.seq else None


def kept(value: Any) -> HostProbe | None:
    """The host probe that an exported log holds; None without one, or when it is not as `taken` makes it."""
    from kugetsu.domain.recorded_facts import complete

    if not _fits(value, {"seq": int, "daemon": bool, "facts": dict, "agents": dict}) or not complete(value["facts"]):
        return None
    if not all(_fits(agent, _AGENT) and _is_time(agent["at"]) for agent in value["agents"].values()):
        return None
    return HostProbe(value["seq"], value["daemon"], value["facts"], value["agents"])


def _fits(value: Any, kinds: dict[str, Any]) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in kinds.items())


def _is_time(text: str | None) -> bool:
    return text is None or clock.is_time(text)
