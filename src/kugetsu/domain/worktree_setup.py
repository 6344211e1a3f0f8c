"""Worktrees that could not be made ready: no agent was started, so the task is parked and uses no attempt up.

A server may be down for a moment, so it is tried again twice; then it waits for a person, or for other settings of the
set-up: those of the facts have another hash than the recorded ones.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.facts import ClaimFacts, Ending
    from kugetsu.domain.state import Attempt, Session, State, Task

#: What a task is parked for (`Task.parked_for`), and the gate of its event.
SETUP = "setup"
#: The verdict of an attempt whose worktree could not be made ready.
UNREADY = "unready"
#: Seconds after the first failures in a row; after the next one it waits for a person.
PAUSES = (60.0, 300.0)

#: The values of a park, and where the evidence has them.
_SAID = {"step": "code", "problem": "problem", "command": "command"}


def park(session: Session | None, attempt: Attempt, ending: Ending, now: str) -> dict[str, Any]:
    """The data of ``task.parked``."""
    from kugetsu.model.clock import add_seconds

    tries = session.set_up["tries"] if session is not None and session.set_up is not None else 1
    until = add_seconds(now, PAUSES[tries - 1]) if 0 < tries <= len(PAUSES) else None
    seen = ending.evidence.get("set_up") or {}
    values = {"attempt": attempt.id, "tries": tries, **{name: seen.get(key) for name, key in _SAID.items()}}
    parked = {"until": until, "stated": False, "limit": None, "gate": SETUP}
    return {**parked, "reason": "parked_by_set_up", "values": values}


def is_other(state: State, task: Task, facts: ClaimFacts) -> bool:
    """Whether what made the task's worktree unready is to be done in another way now."""
    session = state.sessions.get(task.session)
    if session is None or session.set_up is None or session.repository is None:
        return False
    return facts.get("set_ups", {}).get(session.repository) not in (None, session.set_up["sha"])


def tries(known: dict[str, Any] | None, found: dict[str, Any]) -> int:
    """How often in a row a set-up failed, with ``found`` as the latest (`events.verification.WorktreeSetUp`)."""
    if found["code"] == "done":
        return 0
    again = known is not None and known["sha"] == found["sha"]
    return 1 + (known["tries"] if again and known is not None else 0)


def waiting(state: State) -> list[Session]:
    """The sessions whose set-up failed, of tasks that are parked for it."""
    parked = (task for task in state.waiting() if task.parked_for == SETUP)
    return [state.sessions[task.session] for task in parked if task.session in state.sessions]
