"""What dispatched at a point of the log: with how many slots, and whether the daemon that it calls running lived."""

from __future__ import annotations

from kugetsu.cli.at import recorded_facts
from kugetsu.cli.call import Call
from kugetsu.domain.audit.waits import heartbeat
from kugetsu.log.protocol import EventLog
from kugetsu.runtime import liveness


def found_dead(call: Call, seq: int) -> bool:
    """Whether the daemon of the event ``seq`` gave no sign of life after it, and was found dead later or is dead now.

    Of a file of another place only what is in it counts, with the look at its machine: no process is asked.
    """
    for event in call.workspace.log.read(after=seq):
        if event["type"] == "daemon.lost":
            return True
        if heartbeat(event):
            return False
    state = call.state()
    if call.elsewhere is not None:
        look = call.elsewhere.look
        return look is not None and state.daemon.runs and not look.daemon

    return state.daemon.runs and not liveness.daemon(call.workspace.paths, state)


def slots_then(log: EventLog, seq: int) -> int | None:
    """How many slots there were at the event ``seq`` by the nearest decision; None when none had been made."""
    if not seq:
        return None

    recorded = recorded_facts(log, seq)
    return int(recorded["facts"]["cap"]) if recorded is not None else None
