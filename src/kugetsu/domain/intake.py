"""Which labelled issues are queued, and why the others are not: pure, from the state and what the forge shows.

The label is the permission: whoever may set it says that an agent may work on the text that the issue had then. Each
label event queues one task at most, whatever became of it.
"""

from __future__ import annotations

import re

from kugetsu.domain.fold.intake import label_event, label_event_seen
from kugetsu.domain.state import EVERYTHING, FINISHES
from kugetsu.model import markdown
from kugetsu.model.clock import seconds_between
from kugetsu.model.record import field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.facts import IntakeFacts
    from kugetsu.domain.state import State, Task

#: What an account may do that may set labels.
LABELLERS = ("admin", "write", "triage")
#: What an account may do → what that makes of its holder.
RELATIONS = {"admin": "owner", "write": "member", "triage": "member", "read": "none", "none": "none"}
#: The word of a label `priority:WORD` or `priority/WORD` → the priority of the task.
PRIORITIES = {"high": 10, "medium": 0, "low": -10}
#: Blockers that are read from an issue's text; more are ignored.
MOST_BLOCKERS = 20
#: How the task of a label event ended → why there is no other one.
_BEFORE = {"completed": "done_before", "error": "failed_before", "cancelled": "cancelled_before"}

#: Why a task is cancelled whose issue the forge has no longer.
_MISSING = "intake_missing"

_PRIORITY = re.compile(r"priority\s*[:/]\s*(\w+)", re.IGNORECASE)
_REFERENCE = r"(?:[\w.-]{1,100}/[\w.-]{1,100})?#\d{1,18}(?!\d)"
_DEPENDS = re.compile(
    rf"\b(?:depends[\s-]on|blocked[\s-]by):?\s+({_REFERENCE}(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+){_REFERENCE})*)",
    re.IGNORECASE,
)
#: Characters of a line that are looked at.
_LINE_LENGTH = 2000


@record
class Finding:
    """What follows from a labelled issue. ``code`` is ``queued`` or why not: ``needs_label`` (``values`` say ``why``),
    ``has_work``, ``open_pull``, ``merged_pull``, ``done_before``, ``failed_before``, ``cancelled_before``, ``blocked``
    or ``blocker_unknown``. ``fresh``: a task is to be queued now; ``withdrawn`` is one that has no agent yet and whose
    text is no longer the one that the label was set for."""

    code: str
    values: dict[str, Any] = field(factory=dict)
    fresh: bool = False
    withdrawn: str | None = None


def judge(state: State, issue: str, facts: IntakeFacts, history: dict[str, Any] | None = None) -> Finding:
    """What follows from an open issue that has the label; ``history`` is what the log knows of it (`history_of`), where
    the state does not."""
    before = known(state, issue, facts, history)
    distrust = _distrust(facts, before)
    if before is not None and before["task"] is not None and before["ended"] is None:
        task = state.tasks.get(before["task"])
        if distrust is not None and task is not None and _has_no_agent(state, task):
            return Finding("needs_label", distrust, withdrawn=task.id)
        return Finding("queued", {"task": before["task"]})
    if before is not None and before["task"] is not None and not (distrust and before["ended"] == "cancelled"):
        # First: whatever work follows on it, this label is answered.
        return Finding(_BEFORE[before["ended"]], {"task": before["task"]})
    if (busy := _work(state, issue, facts, history)) is not None:
        return busy
    if distrust is not None:
        return Finding("needs_label", distrust)
    for code, opened in (("blocker_unknown", None), ("blocked", True)):
        found = [one for one in facts["blockers"] if one["open"] is opened]
        if found:
            values: dict[str, Any] = {"issues": [one["issue"] for one in found]}
            return Finding(code, values | ({"problem": found[0].get("problem", "")} if opened is None else {}))
    return Finding("queued", {"task": f"q{state.tasks_made + 1}"}, fresh=True)


def known(state: State, issue: str, facts: IntakeFacts, history: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """What is known of this very label event: the hash of the text that the issue had when it was first seen, the task
    that was queued, how that ended. None for a new one; while the task of an earlier one is open, it answers this one
    too."""
    entry = state.intake.get(issue)
    entry = history if entry is None or entry["of"][-1] is None else entry
    if entry is None or facts["labelled_at"] is None:
        return None
    if entry["of"] == label_event(facts):
        return entry
    return {**entry, "first": facts["body"]} if entry["task"] is not None and entry["ended"] is None else None


def history_of(events: Iterable[Event]) -> dict[str, Any] | None:
    """What an issue's own events tell of its latest label event, as `known`, and of its latest ``merged`` pull request
    (when that was seen); None without either.

    A task that was cancelled because the forge had the issue no longer does not answer its label: a server also says so
    of all that a token may not see for a while."""
    entry: dict[str, Any] | None = None
    merged, seen = None, 0
    for event in events:
        kind, data = event["type"], event["data"]
        if kind == "intake.seen":
            entry, seen = label_event_seen(entry, data), event["seq"]
        elif kind == "branch.merged" or (kind == "pull.observed" and data["state"] == "merged"):
            merged = event["at"]
        elif entry is not None and kind == "task.queued" and event.get("cause") == seen:
            entry |= {"task": event["task"], "ended": None}
        elif entry is not None and event.get("task") == entry["task"] and (kind in FINISHES or kind == "task.requeued"):
            entry["ended"] = FINISHES.get(kind)
            if kind == "task.cancelled" and event["data"]["reason"] == _MISSING:
                entry["task"] = entry["ended"] = None
    if entry is None and merged is None:
        return None
    return {**(entry or {"of": [None] * 3, "first": None, "task": None, "ended": None}), "merged": merged}


def _has_no_agent(state: State, task: Task) -> bool:
    attempt = state.attempts.get(task.attempt or "")
    return attempt is None or attempt.state != "running"


def _distrust(facts: IntakeFacts, before: dict[str, Any] | None) -> dict[str, Any] | None:
    """Why the label is no permission; None if it is one."""
    account, at = facts["labelled_by"], facts["labelled_at"]
    if account is None or at is None:
        return {"why": "unknown"}
    listed = account.lower() in {name.lower() for name in facts["labellers"]}
    if not listed and facts["right"] not in LABELLERS:
        return {"why": "no_right" if facts["right"] is not None else "right_unknown", "account": account}
    editor, edited = facts["edited_by"], facts["edited_at"]
    edited_since = edited is not None and seconds_between(at, edited) >= 0
    if edited_since and (editor is None or editor.lower() != account.lower()):
        return {"why": "edited", "account": editor}
    if before is not None and before["first"] != facts["body"] and not edited_since:
        return {"why": "edited", "account": None}
    return None


def _work(state: State, issue: str, facts: IntakeFacts, history: dict[str, Any] | None) -> Finding | None:
    """The work on the issue that is there already."""
    session = state.sessions.get(issue)
    person = session.person if session is not None else None
    if tasks := state.of_issue.get(issue):
        return Finding("has_work", {"tasks": list(tasks)})
    if session is not None and (session.attempt is not None or person is not None or session.destroying):
        return Finding("has_work", {"tasks": [], "person": person is not None})
    merged = history["merged"] if history is not None and session is None else None
    if session is not None:
        pull = session.pull or {}
        state_of_pull = pull.get("state") or session.pr_state or ("open" if session.pr is not None else None)
        if session.owed is not None or state_of_pull == "open":
            return Finding("open_pull", {"url": session.pr})
        if session.review == "merged" or state_of_pull == "merged":
            merged = session.review_at or session.changed_at
    at = facts["labelled_at"]
    if merged is not None and (at is None or seconds_between(merged, at) <= 0):
        return Finding("merged_pull", {"url": session.pr if session is not None else None})
    return None


def priority_of(labels: Iterable[str]) -> int:
    """The priority that labels give a task: the highest that they name, else 0."""
    found = [_PRIORITY.fullmatch(label.strip()) for label in labels]
    named = [PRIORITIES[one[1].lower()] for one in found if one is not None and one[1].lower() in PRIORITIES]
    return max(named, default=0)


def blockers_in(text: str) -> list[tuple[str, int]]:
    """What an issue's text says that it depends on, outside of quotations and code: ``owner/repo`` (empty for its own
    repository) and number, in their order."""
    found: dict[tuple[str, int], None] = {}
    for line in markdown.prose(text):
        for said in _DEPENDS.finditer(line[:_LINE_LENGTH]):
            for reference in re.findall(_REFERENCE, said[1]):
                place, _, number = reference.rpartition("#")
                found[(place.lower(), int(number))] = None
    return list(found)[:MOST_BLOCKERS]


def is_asked_for(state: State, issue: str) -> bool:
    """Whether the issue's latest work was asked for by a label."""
    session = state.sessions.get(issue)
    return session is not None and session.by_intake


def is_unattended(state: State, issue: str) -> bool:
    """Whether no person asked for the issue's latest run: a label did, or feedback."""
    session = state.sessions.get(issue)
    return session is not None and session.unattended


def on_hold(state: State, issue: str, now: str) -> bool:
    """Whether a pause keeps kugetsu from acting at the forge for the issue: not for what a person asked for."""
    return is_unattended(state, issue) and is_paused(state, issue, now)


def is_paused(state: State, issue: str, now: str) -> bool:
    """Whether the queue is paused, as a whole or for the issue's repository."""
    return pause_of(state, issue, now) is not None


def pause_of(state: State, issue: str, now: str) -> str | None:
    """The key of the pause (`State.paused`) that holds an issue back, that of all repositories first; None without."""
    for key in (EVERYTHING, issue.rpartition("#")[0]):
        pause = state.paused.get(key)
        if pause is not None and (pause["until"] is None or pause["until"] > now):
            return key
    return None
