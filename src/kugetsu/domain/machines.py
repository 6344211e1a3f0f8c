"""The six state machines: task, attempt, session, review, daemon, host. Only this file defines their transitions.

`transitions` executes them: one machine a kind, no guards, no side effects, triggered on a light record. `step`
answers from a memo of the machine's results by (state, trigger), because replaying a million events through the
library costs 5 µs each and there are only a few dozen pairs; the latest snapshot of the log carries the memo, so that
a command that finds one need not import the library. A test runs the machine on every pair and compares.
"""

from __future__ import annotations

from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from transitions import Machine

LIVE_ATTEMPT = ("claimed", "starting", "running")
OPEN_TASK = ("pending", "notified", "parked")
FINISHED_TASK = ("completed", "error", "cancelled")
#: States of a review that is not at rest: what there is to look at may still change.
OPEN_REVIEW = ("to_review", "changes_requested", "checks_failed", "conflicting", "approved")

#: kind → (states, (trigger, sources, destination) …); the first state is the initial one.
DEFINITIONS: dict[str, tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...], str], ...]]] = {
    "task": (
        ("pending", "notified", "parked", "completed", "error", "cancelled"),
        (
            ("claim", ("pending",), "notified"),
            ("succeed", ("notified",), "completed"),
            ("fail", ("notified",), "error"),
            ("retry", ("notified",), "pending"),
            ("park", ("notified", "pending"), "parked"),
            ("resume", ("parked", "pending"), "pending"),
            ("cancel", ("pending", "parked", "notified"), "cancelled"),
            ("requeue", FINISHED_TASK, "pending"),
        ),
    ),
    "attempt": (
        (*LIVE_ATTEMPT, "succeeded", "failed", "timed_out", "killed", "lost"),
        (
            ("spawn", ("claimed",), "starting"),
            ("run", ("starting",), "running"),
            ("succeed", ("running",), "succeeded"),
            ("fail", LIVE_ATTEMPT, "failed"),
            ("time_out", LIVE_ATTEMPT, "timed_out"),
            ("kill", LIVE_ATTEMPT, "killed"),
            ("lose", LIVE_ATTEMPT, "lost"),
        ),
    ),
    "session": (
        ("requested", "preparing", "idle", "working", "broken", "destroyed"),
        (
            ("prepare", ("requested", "preparing", "broken"), "preparing"),
            ("ready", ("preparing",), "idle"),
            ("work", ("idle",), "working"),
            ("rest", ("working",), "idle"),
            ("break", ("requested", "preparing", "idle", "working", "broken"), "broken"),
            ("destroy", ("requested", "preparing", "idle", "broken"), "destroyed"),
        ),
    ),
    "review": (
        ("none", *OPEN_REVIEW, "merged", "closed"),
        (
            ("deliver", ("none", *OPEN_REVIEW, "merged", "closed"), "to_review"),
            ("await", OPEN_REVIEW, "to_review"),
            ("request_changes", OPEN_REVIEW, "changes_requested"),
            ("fail_checks", OPEN_REVIEW, "checks_failed"),
            ("conflict", OPEN_REVIEW, "conflicting"),
            ("approve", ("none", *OPEN_REVIEW), "approved"),
            ("forget", ("approved",), "none"),
            ("merge", ("none", *OPEN_REVIEW, "closed"), "merged"),
            ("close", ("none", *OPEN_REVIEW), "closed"),
        ),
    ),
    "daemon": (
        ("stopped", "running", "draining", "lost"),
        (
            ("start", ("stopped", "lost"), "running"),
            ("renew", ("running", "draining"), "="),  # reflexive: the state stays the same
            ("drain", ("running",), "draining"),
            ("stop", ("running", "draining"), "stopped"),
            ("lose", ("running", "draining"), "lost"),
        ),
    ),
    "host": (
        ("left", "joined", "draining", "lost"),
        (
            ("join", ("left", "joined", "draining", "lost"), "joined"),
            ("drain", ("joined",), "draining"),
            ("undrain", ("draining",), "joined"),
            ("leave", ("joined", "draining"), "left"),
            ("lose", ("joined", "draining"), "lost"),
        ),
    ),
}

_machines: dict[str, Machine] = {}
_memo: dict[str, dict[tuple[str, str], str | None]] = {kind: {} for kind in DEFINITIONS}


@record
class Record:
    """The light model that a machine is triggered on: only a state."""

    state: str


def machine(kind: str) -> Machine:
    """The `transitions` machine of a kind, built once per process."""
    if kind not in _machines:
        from transitions import Machine

        states, rules = DEFINITIONS[kind]
        _machines[kind] = Machine(
            model=None,
            states=list(states),
            initial=states[0],
            transitions=[
                {"trigger": trigger, "source": list(sources), "dest": dest} for trigger, sources, dest in rules
            ],
            auto_transitions=False,
        )
    return _machines[kind]


def run(kind: str, state: str, trigger: str) -> str | None:
    """Trigger the machine itself on a record in ``state``: the new state, or None if it refuses."""
    from transitions import MachineError

    record = Record(state)
    event = machine(kind).events.get(trigger)
    if event is None:
        return None
    try:
        event.trigger(record)
    except MachineError:
        return None
    return record.state


def step(kind: str, state: str, trigger: str) -> str | None:
    """The next state for ``trigger`` in ``state``, or None if the machine refuses."""
    known = _memo[kind]
    pair = (state, trigger)
    if pair not in known:
        known[pair] = run(kind, state, trigger)
    return known[pair]


def pairs(kind: str) -> list[tuple[str, str]]:
    """Every (state, trigger) of a kind, allowed or not."""
    states, rules = DEFINITIONS[kind]
    return [(state, trigger) for state in states for trigger, _, _ in rules]


def table() -> dict[str, Any]:
    """The memo of every pair, with the definitions it was made from, to keep in a snapshot."""
    return {
        "made_from": repr(DEFINITIONS),
        "steps": {
            kind: [[state, trigger, step(kind, state, trigger)] for state, trigger in pairs(kind)]
            for kind in DEFINITIONS
        },
    }


def adopt(kept: Any) -> None:
    """Load a memo made by `table()`; ignore it if the definitions changed."""
    if not isinstance(kept, dict) or kept.get("made_from") != repr(DEFINITIONS):
        return
    for kind, rows in kept["steps"].items():
        known = _memo[kind]
        for state, trigger, dest in rows:
            known.setdefault((state, trigger), dest)
