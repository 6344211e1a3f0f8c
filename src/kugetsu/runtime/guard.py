"""The guard at the log's entrance: no event is appended with a secret in it, whoever wrote the draft.

Every text of an event's data passes the redaction funnel, but what `WHOLE` names: names, paths and ids that
kugetsu needs again as they are, and the message of a task, which its agent must get whole; the title, which lists
show, is made again from the redacted message. A kind that is not listed
passes with all of its data. The guard works under the log's lock: foreign texts should be redacted before (the
outcome's are), then looking again costs microseconds. What it loads and reads at its first use (itself, the env files:
3 to 10 ms) it loads before: the log asks it once with no drafts, when nobody waits for the lock.
"""

from __future__ import annotations

from kugetsu.redaction import MARK, clean, redact, redact_head
from kugetsu.secret_values import refresh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from kugetsu.domain.draft import Draft

_INTENT = ("agent", "repository", "source", "branch")
_OUTCOME = ("agent", "agent_session", "worktree", "source", "branch", "base_branch", "base_commit", "base_session")
_ENDED = ("rescue", "exit", "signal", "tokens", "cost")

WHOLE: dict[str, tuple[str, ...]] = {
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

UNTOUCHED = frozenset(
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


def guard(drafts: Sequence[Draft], by: dict[str, Any]) -> Sequence[Draft]:
    """The drafts as they may be appended; those that change are new ones. The command in ``by`` is redacted in place.

    What kugetsu itself says needs no look at the env files. No drafts: only look, and redact the command.
    """
    if drafts and all(draft.type in UNTOUCHED for draft in drafts):
        return drafts
    refresh()
    by["cmd"] = redact(by.get("cmd", ""))
    return [_guarded(draft) for draft in drafts]


def _guarded(draft: Draft) -> Draft:
    if draft.type in UNTOUCHED:
        return draft
    whole = WHOLE.get(draft.type, ())
    data = {key: value if key in whole else clean(value) for key, value in draft.data.items()}
    if draft.type == "task.queued":
        data["title"] = _title(draft.data["message"])
    if data == draft.data:
        return draft
    from kugetsu.domain.draft import Draft

    return Draft(
        draft.type,
        data,
        issue=draft.issue,
        task=draft.task,
        attempt=draft.attempt,
        session=draft.session,
        cause=draft.cause,
        facts=draft.facts,
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
