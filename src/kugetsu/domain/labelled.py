"""Labelled issues that wait for a person: their label is no permission, or was withdrawn, or nobody can tell."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.state import State

#: Codes of `events.intake.IntakeSeen` of an issue that waits for a person.
FOR_A_PERSON = ("needs_label", "blocker_unknown")


def for_a_person(state: State) -> dict[str, dict[str, Any]]:
    """What was seen last of each (an entry of `State.intake`), by issue. Not those with open work, nor those whose task
    failed, which is among the errors, nor those whose task a person cancelled."""
    return {issue: seen for issue, seen in state.intake.items() if waits(state, issue)}


def waits(state: State, issue: str) -> bool:
    """Whether an issue is one of them."""
    seen = state.intake.get(issue)
    if seen is None or state.of_issue.get(issue):
        return False
    if seen["code"] in FOR_A_PERSON:
        return True
    task = state.tasks.get(seen["task"] or "")
    return seen["code"] == "cancelled_before" and (task is None or (task.reason or "").startswith("intake_"))
