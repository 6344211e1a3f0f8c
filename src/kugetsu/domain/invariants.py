"""What must hold after every transaction, whatever happened: checked by tests, by `replay` and by `log verify`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.state import State


def broken(state: State) -> list[str]:
    """One sentence for each invariant that ``state`` breaks; [] when all hold."""
    return [*_slots(state), *_attempts(state), *_tasks(state), *_sessions(state)]


def _slots(state: State) -> list[str]:
    found: list[str] = []
    held: dict[int, str] = {}
    for attempt in state.attempts.values():
        if attempt.kind != "dev":
            if attempt.slot is not None:
                found.append(f"{attempt.id} holds slot {attempt.slot}, but only dev attempts hold one")
            continue
        if attempt.slot is None or attempt.slot < 1:
            found.append(f"{attempt.id} is live and holds no slot")
        elif attempt.slot in held:
            found.append(f"slot {attempt.slot} is held by {held[attempt.slot]} and {attempt.id}")
        else:
            held[attempt.slot] = attempt.id
    if len(state.live("pm")) > 1:
        found.append("more than one pm attempt is live")
    return found


def _attempts(state: State) -> list[str]:
    found: list[str] = []
    by_session: dict[str, str] = {}
    for attempt in state.attempts.values():
        task = state.tasks.get(attempt.task)
        if task is None or task.attempt != attempt.id:
            found.append(f"{attempt.id} is live, but its task {attempt.task} does not know it")
        if attempt.session in by_session:
            found.append(f"{by_session[attempt.session]} and {attempt.id} work in one session, {attempt.session}")
        by_session[attempt.session] = attempt.id
    return found


def _tasks(state: State) -> list[str]:
    found: list[str] = []
    for task in state.tasks.values():
        if (task.state == "notified") != (task.attempt is not None):
            found.append(f"{task.id} is {task.state} with attempt {task.attempt}")
        if task.attempt is not None and task.attempt not in state.attempts:
            found.append(f"{task.id} is worked on by {task.attempt}, which is not live")
        if (task.state in ("completed", "error", "cancelled")) != (task.id in state.finished):
            found.append(f"{task.id} is {task.state}, but the list of finished tasks says otherwise")
        if task.used < 0 or task.used > task.made:
            found.append(f"{task.id} has used {task.used} of {task.made} attempts made")
    return found


def _sessions(state: State) -> list[str]:
    found: list[str] = []
    for session in state.sessions.values():
        live = state.attempts.get(session.attempt) if session.attempt is not None else None
        if session.attempt is not None and live is None:
            found.append(f"session {session.key} is used by {session.attempt}, which is not live")
        if session.state == "working" and (live is None or live.state != "running"):
            found.append(f"session {session.key} is working without a running attempt")
    return found


def cap_kept(claim: dict[str, object], facts: dict[str, object]) -> bool:
    """Whether a recorded claim was within the cap that it recorded."""
    live, cap, slot = claim["live"], facts["cap"], claim["slot"]
    if not isinstance(live, list) or not isinstance(cap, int):
        return False
    return slot is None or (isinstance(slot, int) and 1 <= slot <= cap and len(live) < cap)
