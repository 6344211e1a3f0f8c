"""Whether the daemon that the log calls running at some event lived then: by what came later, else by its lease."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.cli.call import Call


def found_dead(call: Call, seq: int) -> bool:
    """Whether the daemon of the event ``seq`` gave no sign of life after it, and was found dead later or is dead now.

    Of a file of another place only what is in it counts: no process is asked.
    """
    from kugetsu.domain.audit.waits import sign_of_life

    for event in call.workspace.log.read(after=seq):
        if event["type"] == "daemon.lost":
            return True
        if sign_of_life(event):
            return False
    if call.elsewhere is not None:
        return False
    from kugetsu.runtime import liveness

    state = call.state()
    return state.daemon.state in ("running", "draining") and not liveness.daemon(call.workspace.paths, state)
