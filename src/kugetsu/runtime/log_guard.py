"""The guard at the log's entrance: no event is appended with a secret in it, whoever wrote it.

Every text of an event's data passes the redaction funnel, but the fields that its kind declares `exempt`: names, paths
and ids that kugetsu needs again as they are, and the message of a task, which its agent must get whole; the title,
which lists show, is made again from the redacted message. The guard works under the log's lock: foreign texts should be
redacted before (the outcome's are), then looking again costs microseconds. What it loads and reads at its first use
(itself, the env files: 3 to 10 ms) it loads before: the log asks it once with no new events, when nobody waits for the
lock.
"""

from __future__ import annotations

from kugetsu.domain.events import CATALOGUE
from kugetsu.domain.events.declaration import ALL
from kugetsu.model.record import replace
from kugetsu.redaction.funnel import MARK, clean, redact, redact_head
from kugetsu.redaction.known_values import refresh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from kugetsu.domain.new_event import NewEvent

_TITLE_SOURCE = 2000
"""Characters of a message's first line that its title is made of: more would be redacted under the log's lock."""


def guard(new_events: Sequence[NewEvent], by: dict[str, Any]) -> Sequence[NewEvent]:
    """The events as they may be appended; those that change are new. The command in ``by`` is redacted in place.

    What kugetsu itself writes needs no look at the env files. No new_events: only look, and redact the command.
    """
    if new_events and all(_exempt(new_event) == ALL for new_event in new_events):
        return new_events
    refresh()
    by["cmd"] = redact(by.get("cmd", ""))
    return [_guarded(new_event) for new_event in new_events]


def _exempt(new_event: NewEvent) -> str:
    kind = CATALOGUE.get(new_event.type)
    return kind.exempt if kind is not None else ""


def _guarded(new_event: NewEvent) -> NewEvent:
    exempt = _exempt(new_event)
    if exempt == ALL:
        return new_event
    kept = exempt.split()
    data = {key: value if key in kept else clean(value) for key, value in new_event.data.items()}
    if new_event.type in ("task.queued", "task.edited"):
        data["title"] = _title(new_event.data["message"])
    arguments = clean(new_event.arguments)
    if data == new_event.data and arguments == new_event.arguments:
        return new_event
    return replace(new_event, data=data, arguments=arguments)


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
