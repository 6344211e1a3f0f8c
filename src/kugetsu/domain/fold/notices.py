"""How notifications are read and delivered: the read mark, and an outbox for each sink.

The notifications themselves are a projection of the log's other events; only what has become of them is kept here.
"""

from __future__ import annotations

from kugetsu.domain.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Event = dict[str, Any]


def notices_read(state: State, event: Event) -> None:
    """Fold of ``notices.read``: the mark never goes back."""
    state.notices_read = max(state.notices_read, event["data"]["until"])


def sink_enabled(state: State, event: Event) -> None:
    """Fold of ``sink.enabled``: what happened up to a point is not sent; what is open stays so."""
    sink, upto = event["data"]["sink"], event["data"]["upto"]
    box = state.outbox.setdefault(sink, {"upto": 0, "open": {}})
    box["upto"] = max(box["upto"], upto)


def notice_sending(state: State, event: Event) -> None:
    """Fold of ``notice.sending``."""
    data = event["data"]
    sink, lane, seqs, delivery, upto = data["sink"], data["lane"], data["seqs"], data["delivery"], data["upto"]
    box = state.outbox.get(sink)
    if box is None:
        state.violate(event["seq"], f"notice.sending names the sink {sink}, which is not enabled")
        return
    tries = box["open"][delivery]["tries"] if delivery in box["open"] else 0
    box["open"][delivery] = {"lane": lane, "seqs": seqs, "tries": tries, "not_before": None, "sending": event["seq"]}
    box["upto"] = max(box["upto"], upto)


def notice_sent(state: State, event: Event) -> None:
    """Fold of ``notice.sent``."""
    _close(state, event)


def notice_failed(state: State, event: Event) -> None:
    """Fold of ``notice.failed``: tried again later, or given up."""
    data = event["data"]
    tries, not_before = data["tries"], data["not_before"]
    entry = _close(state, event)
    if entry is not None and not_before is not None:
        entry.update(tries=tries, not_before=not_before, sending=0)
        state.outbox[data["sink"]]["open"][data["delivery"]] = entry


def _close(state: State, event: Event) -> dict[str, Any] | None:
    sink, delivery = event["data"]["sink"], event["data"]["delivery"]
    box = state.outbox.get(sink)
    entry: dict[str, Any] | None = box["open"].pop(delivery, None) if box is not None else None
    if entry is None:
        state.violate(event["seq"], f"{event['type']} names the delivery {delivery}, which is not open")
    return entry
