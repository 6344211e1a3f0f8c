"""Folds the events of the intake, and of the labels that show the state of issues on the forge."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Event
    from kugetsu.domain.state import State

_SEEN = ("label", "title", "code", "body", "labelled_by", "labelled_at")


def intake_seen(state: State, event: Event) -> None:
    """Fold of ``intake.seen``; the task of one that is ``queued`` follows with the next event."""
    data, issue = event["data"], event["issue"]
    seen = {name: data[name] for name in _SEEN}
    known = state.intake.get(issue)
    state.intake[issue] = {
        **seen,
        "values": data.get("values") or {},
        "seq": event["seq"],
        "at": event["at"],
        "task": known["task"] if known is not None else None,
    }


def task_queued(state: State, event: Event) -> None:
    """Note the task that the intake queued: its cause is the `intake.seen` before it."""
    entry = state.intake.get(event.get("issue") or "")
    if entry is not None and event.get("cause") == entry["seq"]:
        entry["task"] = event["task"]


def intake_gone(state: State, event: Event) -> None:
    """Fold of ``intake.gone``."""
    if state.intake.pop(event["issue"], None) is None:
        state.violate(event["seq"], f"intake.gone: {event['issue']} did not ask for work")


def mark_setting(state: State, event: Event) -> None:
    """Fold of ``mark.setting``: from here on it is owed until its outcome."""
    add, remove = event["data"]["add"], event["data"]["remove"]
    shown = state.marks.get(event["issue"], {}).get("label")
    owed = {"add": add, "remove": remove, "seq": event["seq"], "tries": 0, "not_before": None}
    state.marks[event["issue"]] = {"label": shown, "owed": owed}


def mark_set(state: State, event: Event) -> None:
    """Fold of ``mark.set``."""
    label, issue = event["data"]["label"], event["issue"]
    if not _is_owed(state, event):
        return
    if label is None:
        del state.marks[issue]
    else:
        state.marks[issue] = {"label": label, "owed": None}


def mark_failed(state: State, event: Event) -> None:
    """Fold of ``mark.failed``."""
    tries, not_before = event["data"]["tries"], event["data"]["not_before"]
    if _is_owed(state, event):
        entry = state.marks[event["issue"]]
        owed = {**entry["owed"], "tries": tries, "not_before": not_before} if not_before is not None else None
        state.marks[event["issue"]] = {**entry, "owed": owed}


def _is_owed(state: State, event: Event) -> bool:
    """Whether the outcome's intent is open; a violation if not."""
    owed = state.marks.get(event["issue"], {}).get("owed")
    if owed is None or owed["seq"] != event.get("cause"):
        state.violate(event["seq"], f"{event['type']}: no such labels of {event['issue']} were to be set")
        return False
    return True
