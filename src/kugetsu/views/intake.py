"""The words of the intake: what follows from a labelled issue, and which labels show it."""

from __future__ import annotations

from kugetsu.domain import labelled
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from kugetsu.domain.state import State

#: code of `events.intake.IntakeSeen` → words, with its values.
_CODES: dict[str, Callable[[dict[str, Any]], str]] = {
    "queued": lambda v: f"queued as {v.get('task')}",
    "has_work": lambda v: f"already being worked on{_in_brackets(v.get('tasks'))}",
    "open_pull": lambda v: f"its pull request is open{_in_brackets([v.get('url')])}",
    "merged_pull": lambda v: f"its pull request was merged after the label was set{_in_brackets([v.get('url')])}",
    "done_before": lambda v: f"this label was answered by {v.get('task')}, which is completed",
    "failed_before": lambda v: f"this label was answered by {v.get('task')}, which failed",
    "cancelled_before": lambda v: f"this label was answered by {v.get('task')}, which was cancelled",
    "needs_label": lambda v: f"needs the label again: {_distrust(v)}",
    "blocked": lambda v: f"blocked by {', '.join(map(line, v.get('issues') or []))}",
    "blocker_unknown": lambda v: (
        f"cannot tell whether {', '.join(map(line, v.get('issues') or []))} is closed: {line(str(v.get('problem')))}"
    ),
}
#: Codes that a new label event ends.
_LABEL_AGAIN = ("merged_pull", "done_before", "failed_before", "cancelled_before", "needs_label")
#: code of `events.intake.IntakeGone` → words.
_GONE = {
    "unlabelled": "its label was removed",
    "closed": "it was closed",
    "switched_off": "its repository has no INTAKE_LABEL any more",
    "missing": "the forge has it no longer",
}


def words(code: str, values: dict[str, Any]) -> str:
    """What follows from a labelled issue, and why."""
    tell = _CODES.get(code)
    return tell(values) if tell is not None else code


def seen(title: str, code: str, values: dict[str, Any]) -> str:
    """The same with the issue's title, which the log knows from here before any agent has read it."""
    return f"{line(title)}: {words(code, values)}"


def _in_brackets(names: Sequence[str | None] | None) -> str:
    known = [line(name) for name in names or () if name]
    return f" ({', '.join(known)})" if known else ""


def _distrust(v: dict[str, Any]) -> str:
    """Why the label is no permission."""
    account, why = line(str(v.get("account"))), v.get("why")
    if why == "no_right":
        return f"{account} set it and has no triage right"
    if why == "right_unknown":
        return f"the forge does not say whether {account}, who set it, has triage right"
    if why == "edited":
        by = f"{account} edited" if v.get("account") else "somebody edited"
        return f"{by} the text after it was set"
    return "the forge does not say who set it"


def remedy(code: str, values: dict[str, Any], issue: str) -> str | None:
    """What a person can do about it; None if it passes by itself."""
    if code == "failed_before":
        return f"kugetsu queue retry {values.get('task')}, or remove the label and set it again"
    if code == "needs_label" and values.get("why") in ("no_right", "right_unknown"):
        return "have it set by somebody with triage right, or list the account in INTAKE_LABELLERS"
    if code == "needs_label" and values.get("why") == "unknown":
        return f"kugetsu queue enqueue {issue}"
    if code in ("done_before", "merged_pull"):
        return "for more work, remove the label and set it again"
    if code in _LABEL_AGAIN:
        return "read the issue, then remove the label and set it again"
    if code == "blocker_unknown":
        return f"kugetsu queue enqueue {issue}"
    return None


def attention(state: State) -> list[tuple[str, str, str, str]]:
    """The labelled issues that wait for a person: subject, state, why and the command that helps."""
    waiting = labelled.for_a_person(state).items()
    return [(issue, "needs you", what_is_needed(seen), f"kugetsu why {issue}") for issue, seen in waiting]


def what_is_needed(seen: dict[str, Any]) -> str:
    """Why an issue waits for a person (`labelled.for_a_person`)."""
    again = "" if seen["code"] in labelled.FOR_A_PERSON else "needs the label again: "
    return again + words(seen["code"], seen["values"])


def gone(code: str) -> str:
    """Why an issue no longer asks for work."""
    return _GONE.get(code, code)


def labels(add: Sequence[str], remove: Sequence[str]) -> str:
    """Labels that are added and removed."""
    return " ".join([*(f"+{name}" for name in add), *(f"-{name}" for name in remove)]) or "no label"
