"""What is promised of what hosts do outside, all together: notifications, comments, pull requests, labelled issues."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fault_campaign import promises
from fault_campaign.misbehaving import MisbehavingForge
from kugetsu.domain.state import State
from kugetsu.domain.verification import is_withheld
from kugetsu.runtime.pull_requests import MARK

_MARK = re.compile(re.escape(MARK) + r"(\S+) -->")


def unrest(state: State) -> list[str]:
    """What is still to be told or opened."""
    found = [
        f"delivery {delivery} has no outcome"
        for box in state.outbox.values()
        for delivery, entry in box["open"].items()
        if entry["sending"]
    ]
    return found + [
        f"{session.key} owes a pull request: {session.owed}"
        for session in state.sessions.values()
        if session.owed is not None and not is_withheld(session)
    ]


def broken(folder: str, events: list[dict[str, Any]], forges: Sequence[MisbehavingForge]) -> Iterator[str]:
    """What was done twice, or was said and not done."""
    yield from _told(Path(folder, "seen", "told"), events)
    yield from _queued_by_labels(events)
    for forge in forges:
        yield from promises.pulls(events, forge)
        yield from _comments(forge)


def _told(path: Path, events: list[dict[str, Any]]) -> Iterator[str]:
    """The command got each notification once, but for what it was recorded to have failed at, and is tried again."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    told = Counter(lines)
    deliveries: dict[str, list[int]] = {}
    again: Counter[str] = Counter()
    for event in events:
        data = event["data"]
        if not event["type"].startswith("notice.") or data.get("sink") != "command":
            continue
        if event["type"] == "notice.sending":
            deliveries[data["delivery"]] = data["seqs"]
        elif event["type"] == "notice.failed":
            again[data["delivery"]] += data["not_before"] is not None
        elif event["type"] == "notice.sent" and not told[data["delivery"]]:
            yield f"event {event['seq']}: {data['delivery']} was sent, and nobody got it"
    seqs = Counter(seq for known in deliveries.values() for seq in known)
    yield from (f"event {seq} is in {count} notifications" for seq, count in seqs.items() if count > 1)
    for delivery, count in told.items():
        if delivery not in deliveries:
            yield f"the notification {delivery} is not in the log"
        elif count > 1 + again[delivery]:
            yield f"the notification {delivery} came {count} times, and failed {again[delivery]} times"


def _comments(forge: MisbehavingForge) -> Iterator[str]:
    """Each comment of kugetsu's is there once."""
    repository = forge.repository(forge.name)
    bodies = (comment.body for comments in repository.comments.values() for comment in comments)
    posted = Counter(mark for body in bodies for mark in _MARK.findall(body))
    yield from (f"{forge.host}: {count} comments of {mark}" for mark, count in posted.items() if count > 1)


def _queued_by_labels(events: list[dict[str, Any]]) -> Iterator[str]:
    """Of a label that was set once there is one task at most, unless the issue was closed and opened again."""
    closed: Counter[str] = Counter()
    queued: Counter[tuple[str, int, str]] = Counter()
    for event in events:
        if event["type"] == "intake.gone":
            closed[event["issue"]] += 1
        elif event["type"] == "task.queued" and event["data"].get("via") == "intake":
            seen = events[event["cause"] - 1]
            queued[event["issue"], closed[event["issue"]], seen["data"]["labelled_at"]] += 1
    for (issue, _, at), count in queued.items():
        if count > 1:
            yield f"{count} tasks of the label of {issue} of {at}"
