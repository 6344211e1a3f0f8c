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
    known = latest(ws.log.read_key(task_id))
    if known is None:
        raise KugetsuError(f"the log has no message for {task_id}", hint="kugetsu log verify")
    message: str = known["data"]["message"]
    return message
