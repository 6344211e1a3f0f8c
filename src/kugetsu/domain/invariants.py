"""The invariants that hold after every transaction: checked by tests, `replay` and `log verify`."""

from __future__ import annotations

from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.state import Session, State, Task


def broken(state: State) -> list[str]:
    """One sentence for each broken invariant; [] if all hold."""
    found = [*of_slots(state), *of_attempts(state)]
    for task in state.tasks.values():
        found += of_task(state, task)
    for session in state.sessions.values():
        found += of_session(state, session)
    for issue in {**state.loops, **state.marks, **state.intake}:
        found += of_issue(state, issue)
    return found


def of_slots(state: State) -> list[str]:
    """The broken invariants of the slots of all live attempts."""
    found: list[str] = []
    held: dict[tuple[str | None, int], str] = {}
    for attempt in state.attempts.values():
        if attempt.kind != "dev":
            if attempt.slot is not None:
                found.append(f"{attempt.id} holds slot {attempt.slot}, but only dev attempts hold one")
            continue
        if not isinstance(attempt.slot, int) or attempt.slot < 1:  # whatever the log contains
            found.append(f"{attempt.id} is live and holds no slot")
            continue
        place = attempt.host if state.hosts else None, attempt.slot
        if place in held:
            found.append(f"slot {_slot_name(state, *place)} is held by {held[place]} and {attempt.id}")
        else:
            held[place] = attempt.id
    if len(state.live("pm")) > 1:
        found.append("more than one pm attempt is live")
    return found


def _slot_name(state: State, host_id: str | None, slot: int) -> str:
    """Of a log that hosts share, slots are named with their host: ``box2:1``."""
    host = state.hosts.get(host_id or "")
    return f"{host.name}:{slot}" if host is not None else str(slot)


def of_attempts(state: State) -> list[str]:
    """The broken invariants of live attempts, against their tasks and each other."""
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


def of_task(state: State, task: Task) -> list[str]:
    """The broken invariants of one task."""
    found: list[str] = []
    if (task.state == "notified") != (task.attempt is not None):
        found.append(
            f"{task.id} is {task.state} with {f'attempt {task.attempt}' if task.attempt is not None else 'no attempt'}"
        )
    if task.attempt is not None and task.attempt not in state.attempts:
        found.append(f"{task.id} is worked on by {task.attempt}, which is not live")
    if (task.state in FINISHED_TASK) != (task.id in state.finished or task.id in state.unacknowledged):
        found.append(f"{task.id} is {task.state}, but the list of finished tasks says otherwise")
    if task.used < 0 or task.used > task.usage.attempts:
        found.append(f"{task.id} has used {task.used} of {task.usage.attempts} attempts made")
    return found


def of_session(state: State, session: Session) -> list[str]:
    """The broken invariants of one session."""
    found: list[str] = []
    live = state.attempts.get(session.attempt) if session.attempt is not None else None
    if session.attempt is not None and live is None:
        found.append(f"session {session.key} is used by {session.attempt}, which is not live")
    if session.attempt is not None and session.person is not None:
        found.append(f"session {session.key} is used by {session.attempt} and by a person")
    if session.state == "working" and (live is None or live.state != "running"):
        found.append(f"session {session.key} is working without a running attempt")
    return found


def of_issue(state: State, issue: str) -> list[str]:
    """The broken invariants of what is known of an issue on its forge: its label, its marks, the loop of its pull
    request."""
    found: list[str] = []
    asked, marks, loop = state.intake.get(issue), state.marks.get(issue), state.loops.get(issue)
    queued = state.tasks.get(asked["task"] or "") if asked is not None else None
    if queued is not None and queued.issue != issue:
        found.append(f"{queued.id} is queued for the label of {issue}, but works on {queued.issue}")
    if marks is not None and marks["owed"] is not None and not marks["owed"]["add"] and not marks["owed"]["remove"]:
        found.append(f"labels of {issue} are owed, but none is named")
    for name, item in loop["items"].items() if loop is not None else ():
        turn = state.tasks.get(item["turn"] or "")
        if turn is not None and (turn.issue != issue or name not in (turn.reaction or {"items": ()})["items"]):
            found.append(f"{name} of {issue} counts as answered by {turn.id}, which is not about it")
    return found


def cap_kept(claim: dict[str, object], facts: dict[str, object]) -> bool:
    """Whether a claim was within the cap that it recorded."""
    live, cap, slot = claim["live"], facts["cap"], claim["slot"]
    if not isinstance(live, list) or not isinstance(cap, int):
        return False
    return slot is None or (isinstance(slot, int) and 1 <= slot <= cap and len(live) < cap)
