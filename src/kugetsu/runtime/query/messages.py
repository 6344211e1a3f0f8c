"""The message of a task as it is in the log: the one that queued it, or the latest one that an edit gave it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.workspace import Workspace

#: Kinds of events that give a task its message.
KINDS = ("task.queued", "task.edited")


def latest(events: Iterable[dict[str, Any]], before: int | None = None) -> dict[str, Any] | None:
    """The event that gave a task its message, of the events of that task; ``before``: as it was at that event."""
    known = None
    for event in events:
        if before is not None and event["seq"] > before:
            break
        if event["type"] in KINDS:
            known = event
    return known


def of_task(ws: Workspace, task_id: str) -> str:
    """The message that the task has now. Raises KugetsuError if the log has none."""
    message: str = event_of_task(ws, task_id)["data"]["message"]
    return message


def event_of_task(ws: Workspace, task_id: str) -> dict[str, Any]:
    """The event that gave the task the message that it has now. Raises KugetsuError if the log has none."""
    known = latest(ws.log.read_key(task_id))
    if known is None:
        raise KugetsuError(f"the log has no message for {task_id}", hint="kugetsu log verify")
    return known


def labelled(ws: Workspace, event: dict[str, Any]) -> dict[str, Any] | None:
    """What the intake saw of the issue (`events.intake.IntakeSeen`) when it queued the task of the event; None if it
    did not."""
    cause = event.get("cause")
    if event["data"].get("via") != "intake" or cause is None:
        return None
    (seen,) = ws.log.read(after=cause - 1, until=cause)
    data: dict[str, Any] = seen["data"]
    return data
