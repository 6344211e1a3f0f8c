"""Worktrees that could not be made ready: no agent was started, so the task is parked and uses no attempt up.

A server may be down for a moment, so it is tried again twice; then it waits for a person, or for other settings of the
set-up: those of the facts have another hash than the recorded ones.

What the repository itself supplies to the set-up is trusted on first use: whoever may write to the base branch could
have ever more of the user's ignored files copied to agents. What is not accepted yet waits for a person at once.
"""

from __future__ import annotations

from kugetsu.domain.state import SETUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.facts import ClaimFacts, Ending
    from kugetsu.domain.state import Attempt, Session, State, Task

#: The step that fails where the repository supplies what nobody has accepted (`events.verification.WorktreeSetUp`).
CHANGED = "changed"
#: The verdict of an attempt whose worktree could not be made ready.
UNREADY = "unready"
#: Seconds after the first failures in a row; after the next one it waits for a person.
PAUSES = (60.0, 300.0)

#: The values of a park, and where the evidence has them.
_SAID = {"step": "code", "problem": "problem", "command": "command"}

#: Hexadecimal digits of a hash that screens show, and a person types to accept it.
SHOWN_DIGITS = 12


def park(session: Session | None, attempt: Attempt, ending: Ending, now: str) -> dict[str, Any]:
    """The data of ``task.parked``."""
    from kugetsu.model.clock import add_seconds

    tries = session.set_up["tries"] if session is not None and session.set_up is not None else 1
    until = add_seconds(now, PAUSES[tries - 1]) if 0 < tries <= len(PAUSES) else None
    seen = ending.evidence.get("set_up") or {}
    values = {"attempt": attempt.id, "tries": tries, **{name: seen.get(key) for name, key in _SAID.items()}}
    if seen.get("code") == CHANGED and session is not None:
        until, values = None, {**values, "repository": session.repository, "sha": seen["supplied"]}
    parked = {"until": until, "stated": False, "limit": None, "gate": SETUP}
    return {**parked, "reason": "parked_by_set_up", "values": values}


def is_other(state: State, task: Task, facts: ClaimFacts) -> bool:
    """Whether what made the task's worktree unready is to be done in another way now."""
    return what_changed(state, task, facts) is not None


def what_changed(state: State, task: Task, facts: ClaimFacts) -> str | None:
    """Why what made the task's worktree unready is to be done in another way now: ``accepted`` (what the repository
    supplies) or ``set_up`` (its settings); None if it is not."""
    session = state.sessions.get(task.session)
    if session is None or session.set_up is None or session.repository is None:
        return None
    if session.set_up["code"] == CHANGED and is_accepted(state, session.repository, session.set_up["supplied"]):
        return "accepted"
    changed = facts.get("set_ups", {}).get(session.repository) not in (None, session.set_up["sha"])
    return "set_up" if changed else None


def is_accepted(state: State, repository: str, sha: str) -> bool:
    """Whether what a repository supplies to the set-up, by its hash, may be used."""
    return sha in state.accepted.get(repository, {"shas": ()})["shas"]


def accepted_at(state: State, repository: str) -> int:
    """seq of the latest acceptance of what a repository supplies to the set-up; 0 without one."""
    return max(state.accepted.get(repository, {"shas": {}})["shas"].values(), default=0)


def asked(state: State, repository: str) -> dict[str, Session]:
    """What tasks wait for that a person accepts: by its hash, a session of them, whose ``set_up`` has it."""
    found = {}
    for session in waiting(state):
        known = session.set_up
        if known is not None and session.repository == repository and known["code"] == CHANGED:
            found[known["supplied"]] = session
    return {sha: session for sha, session in found.items() if not is_accepted(state, repository, sha)}


def tries(known: dict[str, Any] | None, found: dict[str, Any]) -> int:
    """How often in a row a set-up failed, with ``found`` as the latest (`events.verification.WorktreeSetUp`)."""
    if found["code"] in ("done", CHANGED):
        return 0
    again = known is not None and known["sha"] == found["sha"]
    return 1 + (known["tries"] if again and known is not None else 0)


def waiting(state: State) -> list[Session]:
    """The sessions whose set-up failed, of tasks that are parked for it."""
    parked = (task for task in state.waiting() if task.parked_for == SETUP)
    return [state.sessions[task.session] for task in parked if task.session in state.sessions]
