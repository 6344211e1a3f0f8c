"""The guard at the log's entrance: no event is appended with a secret in it, whoever wrote the new_event.

Every text of an event's data passes the redaction funnel, but what `EXEMPT_FIELDS` names: names, paths and ids that
kugetsu needs again as they are, and the message of a task, which its agent must get whole; the title, which lists
show, is made again from the redacted message. A kind that is not listed
passes with all of its data. The guard works under the log's lock: foreign texts should be redacted before (the
outcome's are), then looking again costs microseconds. What it loads and reads at its first use (itself, the env files:
3 to 10 ms) it loads before: the log asks it once with no new_events, when nobody waits for the lock.
"""

from __future__ import annotations

from kugetsu.redaction.funnel import MARK, clean, redact, redact_head
from kugetsu.redaction.known_values import refresh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from kugetsu.domain.new_event import NewEvent

_INTENT = ("agent", "repository", "source", "branch")
_OUTCOME = ("agent", "agent_session", "worktree", "source", "branch", "base_branch", "base_commit", "base_session")
_ENDED = ("rescue", "exit", "signal", "tokens", "cost")

EXEMPT_FIELDS: dict[str, tuple[str, ...]] = {
    "repository.registered": ("repository", "path", "url"),  # a URL with a password was refused when it was given
    "task.queued": ("kind", "message", "after", "repository", "via"),
    "session.requested": ("kind", "repository", "carried"),
    "session.preparing": _INTENT,
    "session.prepared": _OUTCOME,
    "session.destroyed": ("worktree", "branch", "rescue"),
    "task.held": ("gate",),
    "task.parked": ("gate", "limit"),
    "hold.lifted": ("gate", "subject", "why", "by"),
    "hold.restored": ("gate", "subject"),
    "attempt.succeeded": _ENDED,
    "attempt.failed": _ENDED,
    "attempt.timed_out": _ENDED,
    "attempt.killed": _ENDED,
    "attempt.lost": _ENDED,
    "files.pruning": ("paths",),
    "files.pruned": ("paths",),
    "notice.sending": ("sink", "lane", "delivery"),
    "notice.sent": ("sink", "lane", "delivery"),
    "notice.failed": ("sink", "lane", "delivery"),
}
"""For a kind of event the fields of its data that are kept as they are."""

EXEMPT_KINDS = frozenset(
    (
        "log.created",
        "log.repaired",
        "kugetsu.initialised",
        "attempt.claimed",
        "attempt.starting",
        "attempt.running",
        "daemon.started",
        "sink.enabled",
        "sink.disabled",
        "notices.read",
        "notices.unread",
        "task.moved",
        "queue.cleared",
        "counters.corrected",
    )
)
"""Kinds that hold kugetsu's own values only."""

_TITLE_SOURCE = 2000
"""Characters of a message's first line that its title is made of: more would be redacted under the log's lock."""


def guard(new_events: Sequence[NewEvent], by: dict[str, Any]) -> Sequence[NewEvent]:
    """The events as they may be appended; those that change are new. The command in ``by`` is redacted in place.

    What kugetsu itself says needs no look at the env files. No new_events: only look, and redact the command.
    """
    if new_events and all(new_event.type in EXEMPT_KINDS for new_event in new_events):
        return new_events
    refresh()
    by["cmd"] = redact(by.get("cmd", ""))
    return [_guarded(new_event) for new_event in new_events]


def _guarded(new_event: NewEvent) -> NewEvent:
    if new_event.type in EXEMPT_KINDS:
        return new_event
    whole = EXEMPT_FIELDS.get(new_event.type, ())
    data = {key: value if key in whole else clean(value) for key, value in new_event.data.items()}
    if new_event.type == "task.queued":
        data["title"] = _title(new_event.data["message"])
    if data == new_event.data:
        return new_event
    from kugetsu.domain.new_event import NewEvent

    return NewEvent(
        new_event.type,
        data,
        issue=new_event.issue,
        task=new_event.task,
        attempt=new_event.attempt,
        session=new_event.session,
        cause=new_event.cause,
        facts=new_event.facts,
    )


def _title(message: str) -> str:
    """The title of a message without the secrets in it.

    They are taken out before the title is cut: half of a token or URL has no shape any more.
    """
    from kugetsu.domain.decide.queue import TITLE_LENGTH, title_of

    title = title_of(message)
    if not title.endswith("…"):
        return redact(title)
    first = next(line for line in message.splitlines() if line.strip())
    shown = " ".join(redact_head(first, _TITLE_SOURCE).split())
    most = TITLE_LENGTH - 1
    at = shown.rfind(MARK, 0, most + len(MARK))
    if len(shown) > TITLE_LENGTH and at < most < at + len(MARK):
        shown = shown[: most - len(MARK)] + MARK + shown[most:]  # a mark that is cut is no mark: replay looks for it
    return title_of(shown)
