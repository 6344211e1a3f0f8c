"""Decisions on the labels that show the state of issues on the forge: what is to be set, and what came of it."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.decide.reviews import tried_again
from kugetsu.domain.decision import decision
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State


@decision("marks.show")
def show(state: State, issue: str, label: str | None) -> list[NewEvent]:
    """The issue is to show ``label`` (None: none of kugetsu's); [] if it does, if that is owed, or if the forge refused
    just that."""
    known = state.marks.get(issue)
    shown, owed = (known["label"], known["owed"]) if known is not None else (None, None)
    add = [label] if label is not None else []
    if owed is not None:
        if owed["add"] == add:
            return []
    elif shown == label or (known is not None and known["refused"] == {"add": add}):
        return []
    perhaps = [shown, *(owed["add"] if owed is not None else ()), *(owed["remove"] if owed is not None else ())]
    remove = [name for name in dict.fromkeys(perhaps) if name is not None and name != label]
    entry = state.intake.get(issue)
    cause = entry["seq"] if entry is not None else None
    return [NewEvent("mark.setting", {"add": add, "remove": remove}, issue=issue, cause=cause)]


def _owed_by(state: State, issue: str, intent: int) -> dict[str, Any] | None:
    """What is owed by an intent (its seq); None if that has an outcome or was replaced."""
    owed: dict[str, Any] | None = state.marks.get(issue, {}).get("owed")
    return owed if owed is not None and owed["seq"] == intent else None


@decision("marks.shown")
def shown(state: State, issue: str, intent: int) -> list[NewEvent]:
    """The labels of an intent (its seq) are set; [] if that is recorded, or the intent was replaced."""
    owed = _owed_by(state, issue, intent)
    if owed is None:
        return []
    return [NewEvent("mark.set", {"label": owed["add"][0] if owed["add"] else None}, issue=issue, cause=intent)]


@decision("marks.failed")
def failed(
    state: State,
    issue: str,
    intent: int,
    reason: str,
    remedy: str,
    now: str,
    first_pause: float,
    passes: bool,
    retry_at: str | None = None,
) -> list[NewEvent]:
    """The labels of an intent could not be set; [] as `shown`. If that ``passes`` it is tried again
    (`reviews.tried_again`)."""
    owed = _owed_by(state, issue, intent)
    if owed is None:
        return []
    tries = owed["tries"] + 1
    again = tried_again(tries, now, first_pause, retry_at) if passes else None
    data: dict[str, Any] = {"reason": reason, "tries": tries, "not_before": again}
    return [NewEvent("mark.failed", data | ({"remedy": remedy} if remedy else {}), issue=issue, cause=intent)]
