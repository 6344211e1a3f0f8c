"""Folds the events of the intake, and of the labels that show the state of issues on the forge."""

from __future__ import annotations

from kugetsu.domain.fold import loops
from kugetsu.domain.machines import FINISHED_TASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.state import State, Task

_SEEN = ("label", "code", "body", "labelled_by", "labelled_at")


def intake_seen(state: State, event: Event) -> None:
    """Fold of ``intake.seen``; the task of one that is ``queued`` follows with the next event."""
    data, issue = event["data"], event["issue"]
    seen = {name: data[name] for name in _SEEN}
    of = label_event_seen(state.intake.get(issue), data)
    values = data.get("values") or {}
    state.intake[issue] = {**seen, "values": values, "seq": event["seq"], "at": event["at"], **of}
    if (host := (event.get("facts") or {}).get("host")) is not None:
        state.intake[issue]["host"] = host
    _withdraw(state, issue, data["code"] == "needs_label")


def _withdraw(state: State, issue: str, withdrawn: bool) -> None:
    """Note on the open tasks that the intake queued whether the label still asks for them; a runner that has not
    started its agent heeds it."""
    for task_id in state.of_issue.get(issue, ()):
        task = state.tasks[task_id]
        task.withdrawn = task.by_intake and withdrawn


def label_event(data: Mapping[str, Any]) -> list[str | None]:
    """What names a label event: the label, who set it, when."""
    return [data["label"], data["labelled_by"], data["labelled_at"]]


def label_event_seen(known: dict[str, Any] | None, data: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a label event (``of``): the hash of the text that the issue had when it was ``first`` seen, the
    ``task`` that the intake queued, how that ``ended``. ``known`` is the same before it was seen as ``data`` has it.

    While that task is open, it answers a new label event too. One that the forge does not tell is no new one.
    """
    of = label_event(data)
    fresh = {"of": of, "first": data["body"], "task": None, "ended": None}
    if known is None or known["of"][-1] is None:
        return {"of": of, **data["before"]} if "before" in data else fresh
    kept = {name: known[name] for name in fresh}
    if of[-1] is None or known["of"] == of:
        return kept
    return {**kept, "of": of, "first": data["body"]} if kept["task"] and kept["ended"] is None else fresh


def task_queued(state: State, event: Event) -> None:
    """Note the task that the intake queued: its cause is the `intake.seen` before it."""
    entry = state.intake.get(event.get("issue") or "")
    if entry is not None and event.get("cause") == entry["seq"]:
        entry["task"], entry["ended"] = event["task"], None


def task_moved(state: State, task: Task) -> None:
    """Note how the task that the intake queued has ended, or that it is open again."""
    entry = state.intake.get(task.issue or "")
    if entry is not None and entry["task"] == task.id:
        entry["ended"] = task.state if task.state in FINISHED_TASK else None


def intake_gone(state: State, event: Event) -> None:
    """Fold of ``intake.gone``."""
    if state.intake.pop(event["issue"], None) is None:
        state.violate(event["seq"], f"intake.gone: {event['issue']} did not ask for work")
    else:
        state.last_gone = event["seq"]
        loops.issue_closed(state, event)
        _withdraw(state, event["issue"], True)


def mark_setting(state: State, event: Event) -> None:
    """Fold of ``mark.setting``: from here on it is owed until its outcome."""
    add, remove = event["data"]["add"], event["data"]["remove"]
    shown = state.marks.get(event["issue"], {}).get("label")
    owed = {"add": add, "remove": remove, "seq": event["seq"], "tries": 0, "not_before": None}
    state.marks[event["issue"]] = {"label": shown, "owed": owed, "refused": None}


def mark_set(state: State, event: Event) -> None:
    """Fold of ``mark.set``."""
    label, issue = event["data"]["label"], event["issue"]
    if not _is_owed(state, event):
        return
    if label is None:
        del state.marks[issue]
    else:
        state.marks[issue] = {"label": label, "owed": None, "refused": None}


def mark_failed(state: State, event: Event) -> None:
    """Fold of ``mark.failed``."""
    tries, not_before = event["data"]["tries"], event["data"]["not_before"]
    if _is_owed(state, event):
        entry = state.marks[event["issue"]]
        owed = {**entry["owed"], "tries": tries, "not_before": not_before}
        if not_before is not None:
            state.marks[event["issue"]] = {**entry, "owed": owed}
        else:
            state.marks[event["issue"]] = {**entry, "owed": None, "refused": {"add": owed["add"]}}


def _is_owed(state: State, event: Event) -> bool:
    """Whether the outcome's intent is open; a violation if not."""
    owed = state.marks.get(event["issue"], {}).get("owed")
    if owed is None or owed["seq"] != event.get("cause"):
        state.violate(event["seq"], f"{event['type']}: no such labels of {event['issue']} were to be set")
        return False
    return True
