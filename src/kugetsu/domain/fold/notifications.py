"""Folds the read mark of notifications and an outbox for each sink.

The notifications themselves are a projection of the log's other events; kept here is only their delivery: per sink
``upto``, the event up to which they were handled, the ``open`` deliveries by id, the outcome of the ``last`` one, and,
until one succeeds, what was ``given_up``; of a log that hosts share also the ``hosts`` that serve it.
"""

from __future__ import annotations

from kugetsu.domain.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.events import Event


def notices_read(state: State, event: Event) -> None:
    """Fold of ``notices.read``: reading never moves the mark back."""
    state.notices_read = max(state.notices_read, event["data"]["until"])


def notices_unread(state: State, event: Event) -> None:
    """Fold of ``notices.unread``: undoing moves it back, never forward."""
    state.notices_read = min(state.notices_read, event["data"]["until"])


def sink_enabled(state: State, event: Event) -> None:
    """Fold of ``sink.enabled``: events up to a point are not sent; open deliveries stay open."""
    sink, upto = event["data"]["sink"], event["data"]["upto"]
    box = state.outbox.setdefault(sink, {"upto": 0, "open": {}, "last": None})
    box["upto"] = max(box["upto"], upto)
    if (host := event["data"].get("host")) is not None:
        box["hosts"] = sorted({*box.get("hosts", ()), host})


def sink_disabled(state: State, event: Event) -> None:
    """Fold of ``sink.disabled``: drops its open deliveries, unless another host still serves it."""
    sink, host = event["data"]["sink"], event["data"].get("host")
    box = state.outbox.get(sink)
    if box is not None and host is not None:
        box["hosts"] = [one for one in box.get("hosts", ()) if one != host]
        if box["hosts"]:
            return
    if state.outbox.pop(sink, None) is None:
        state.violate(event["seq"], f"sink.disabled names the sink {sink}, which is not enabled")


def notice_sending(state: State, event: Event) -> None:
    """Fold of ``notice.sending``."""
    data = event["data"]
    sink, lane, seqs, delivery, upto = data["sink"], data["lane"], data["seqs"], data["delivery"], data["upto"]
    box = state.outbox.get(sink)
    if box is None:
        state.violate(event["seq"], f"notice.sending names the sink {sink}, which is not enabled")
        return
    before = box["open"].get(delivery)
    # An unrecorded outcome counts as a try: a notifier that a delivery crashes must not repeat it forever.
    tries = before["tries"] + (1 if before["sending"] else 0) if before is not None else 0
    box["open"][delivery] = {
        "lane": lane,
        "seqs": list(seqs),
        "tries": tries,
        "not_before": None,
        "sending": event["seq"],
    }
    if "host" in data:
        box["open"][delivery]["host"] = data["host"]
    box["upto"] = max(box["upto"], upto)


def notice_sent(state: State, event: Event) -> None:
    """Fold of ``notice.sent``."""
    _close(state, event, event["data"]["detail"], sent=True)
    state.outbox.get(event["data"]["sink"], {}).pop("given_up", None)


def notice_failed(state: State, event: Event) -> None:
    """Fold of ``notice.failed``: retried later, or given up."""
    data = event["data"]
    tries, not_before, reason = data["tries"], data["not_before"], data["reason"]
    entry = _close(state, event, reason, sent=False)
    if entry is None:
        return
    box = state.outbox[data["sink"]]
    if not_before is not None:
        entry.update(tries=tries, not_before=not_before, sending=0)
        box["open"][data["delivery"]] = entry
        return
    before = box.get("given_up", {"deliveries": 0, "notice": 0})
    box["given_up"] = {
        "deliveries": before["deliveries"] + 1,
        "notice": max(before["notice"], *entry["seqs"]),
        "text": reason,
    }


def _close(state: State, event: Event, text: str, *, sent: bool) -> dict[str, Any] | None:
    sink, delivery = event["data"]["sink"], event["data"]["delivery"]
    box = state.outbox.get(sink)
    entry: dict[str, Any] | None = box["open"].pop(delivery, None) if box is not None else None
    if box is None or entry is None:
        state.violate(event["seq"], f"{event['type']} names the delivery {delivery}, which is not open")
        return None
    box["last"] = {"seq": event["seq"], "at": event["at"], "sent": sent, "text": text}
    return entry
