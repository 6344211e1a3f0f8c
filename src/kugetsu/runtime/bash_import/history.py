"""What is history by now: notifications and the conversations that were kept beside the sessions."""

from __future__ import annotations

from typing import Any

from kugetsu.runtime.bash_import.naming import Naming
from kugetsu.runtime.bash_import.plan import Draft
from kugetsu.runtime.bash_import.reading import OldDirectory, UnreadableError, shown
from kugetsu.runtime.bash_import.records import Record

_NOTIFICATIONS = "notifications.json"
_TOLD = 200  # characters of an unread notification that the report shows


def plan(old: OldDirectory, draft: Draft, naming: Naming) -> list[dict[str, Any]]:
    """Plan the records; returns the notifications that nobody has read."""
    unread = _notifications(old, draft, naming)
    for folder in ("context", "context-meta"):
        _context(old, draft, naming, folder)
    return unread


def _notifications(old: OldDirectory, draft: Draft, naming: Naming) -> list[dict[str, Any]]:
    if not old.has(_NOTIFICATIONS):
        return []
    try:
        value = old.json(_NOTIFICATIONS)
    except UnreadableError as problem:
        draft.left(_NOTIFICATIONS, "notification", str(problem))
        return []
    if not isinstance(value, list):
        draft.unclear(Record(_NOTIFICATIONS, "notification", value), "it is not a list")
        return []
    unread = []
    for entry in value:
        said = entry if isinstance(entry, dict) else {}
        issue = naming.issue_or_none(said.get("issue_ref"))
        draft.kept(Record(_NOTIFICATIONS, "notification", entry, issue), "history")
        if said.get("read") is False:
            named = {name: draft.funnel.clean(said.get(name)) for name in ("type", "issue_ref", "message")}
            unread.append({name: str(text)[:_TOLD] if text is not None else None for name, text in named.items()})
    return unread


def _context(old: OldDirectory, draft: Draft, naming: Naming, folder: str) -> None:
    try:
        names = old.names(folder)
    except UnreadableError as problem:
        draft.left(f"{folder}/", "conversation", str(problem))
        return
    for name in names:
        source = f"{folder}/{shown(name)}"
        try:
            value = old.json(f"{folder}/{name}")
        except UnreadableError as problem:
            draft.left(source, "conversation", str(problem))
            continue
        issue = naming.issue_or_none(value.get("issue_ref")) if isinstance(value, dict) else None
        draft.kept(Record(source, "conversation", value, issue), "history")
