"""Decisions on notifications: how far they were read, which sinks get them, deliveries and retries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kugetsu.domain.decision import decision
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.model.clock import add_seconds
from kugetsu.model.host_words import short
from kugetsu.model.record import value

#: The pause before the second try, in seconds; it doubles up to the longest. Eight tries take about an hour.
FIRST_PAUSE = 30.0
LONGEST_PAUSE = 30 * 60.0
#: The longest pause that a receiver may request.
LONGEST_ASKED = 24 * 3600.0
MOST_TRIES = 8
#: Open deliveries of a sink from which on new notifications are held: a receiver that is down must not fill the state.
MOST_OPEN = 20


#: Sinks that are of one host's own: each host that has one gets every notification.
PER_HOST = ("desktop",)


def outbox_of(sink: str, host: str | None) -> str:
    """What the outbox of a sink is called: of a shared log each host has its own of those in `PER_HOST`, with the first
    digits of its id behind an @."""
    return f"{sink}@{short(host)}" if host is not None and sink in PER_HOST else sink


def sink_of(outbox: str) -> str:
    """The sink of an outbox."""
    return outbox.partition("@")[0]


@value
class Batch:
    """Notifications delivered as one message: the seqs of their events, in order, in one lane of a sink."""

    lane: str
    seqs: list[int]


@decision("notifications.mark_read")
def mark_read(state: State, until: int) -> list[NewEvent]:
    """Everything up to the event ``until`` was read; [] if already so."""
    return [NewEvent("notices.read", {"until": until})] if until > state.notices_read else []


@decision("notifications.enable")
def enable(state: State, sink: str, host: str | None = None) -> list[NewEvent]:
    """A sink was added to the settings (of ``host``, in a shared log) and gets notifications from now on; [] if already
    enabled there."""
    box = state.outbox.get(sink)
    if box is not None and (host is None or host in box.get("hosts", ())):
        return []
    before = box if box is not None else state.outbox.get(sink_of(sink), {})
    goes_on = box is not None or host in before.get("hosts", ())
    data = {"sink": sink, "upto": before["upto"] if goes_on else state.seq, **_of(host)}
    return [NewEvent("sink.enabled", data)]


@decision("notifications.disable")
def disable(state: State, sink: str, host: str | None = None) -> list[NewEvent]:
    """A sink was removed from the settings (of ``host``); [] if not enabled there."""
    box = state.outbox.get(sink)
    if box is None or (host is not None and host not in box.get("hosts", ())):
        return []
    return [NewEvent("sink.disabled", {"sink": sink, **_of(host)})]


def is_of(box: dict[str, Any], host: str | None) -> bool:
    """Whether a sink's outbox is served by ``host``; by everyone (None) while the log is one host's own."""
    return host is None or host in box.get("hosts", ())


def may_send(state: State, host: str | None) -> bool:
    """Whether ``host`` may begin a delivery: one that was lost or has left may not, another may have taken it up."""
    known = state.hosts.get(host) if host is not None else None
    return known is None or known.takes_part


def interrupted(state: State, sink: str, host: str | None) -> dict[str, int]:
    """The deliveries whose intent has no outcome and never gets one from whoever began them, each with that intent:
    those of ``host`` itself, which is none that tries one now, and of hosts that take part no more."""
    found = {}
    for delivery, entry in state.outbox.get(sink, {"open": {}})["open"].items():
        began = state.hosts.get(entry.get("host", ""))
        if entry["sending"] and (began is None or began.id == host or not began.takes_part):
            found[delivery] = entry["sending"]
    return found


def _of(host: str | None) -> dict[str, str]:
    return {"host": host} if host is not None else {}


def delivery_id(state: State, sink: str, seqs: Sequence[int]) -> str:
    """The name of a delivery: the same for the same notifications, and unique among logs."""
    return f"{(state.log_id or '')[:8]}-{sink}-{seqs[0]}-{seqs[-1]}"


@decision("notifications.sending", batches=[Batch])
def sending(
    state: State, sink: str, batches: Sequence[Batch], after: int, upto: int, host: str | None = None
) -> list[NewEvent]:
    """Intent of ``host`` to deliver the notifications after the event ``after``, up to ``upto``, as these batches.

    [] if the sink was disabled, some are already being delivered, or the host takes part no more: then plan again.
    """
    box = state.outbox.get(sink)
    if box is None or box["upto"] > after or not may_send(state, host):
        return []
    return [_sending(state, sink, batch.lane, batch.seqs, upto, host) for batch in batches]


@decision("notifications.sending_again")
def sending_again(state: State, sink: str, delivery: str, was_sending: int, host: str | None = None) -> list[NewEvent]:
    """Intent to repeat an open delivery; ``was_sending`` is the intent without an outcome that it repeats, or 0.

    [] if another process has taken it up or closed it, or if the host takes part no more.
    """
    entry = _entry(state, sink, delivery)
    if entry is None or entry["sending"] != was_sending or not may_send(state, host):
        return []
    return [_sending(state, sink, entry["lane"], entry["seqs"], state.outbox[sink]["upto"], host)]


@decision("notifications.sent")
def sent(state: State, sink: str, delivery: str, detail: str) -> list[NewEvent]:
    """It was delivered; [] if it is not open (the sink was disabled in the meantime)."""
    entry = _entry(state, sink, delivery)
    if entry is None:
        return []
    data = {"sink": sink, "lane": entry["lane"], "delivery": delivery, "detail": detail}
    return [NewEvent("notice.sent", data, issue=_issue(sink, entry["lane"]), cause=entry["sending"] or None)]


@decision("notifications.failed")
def failed(
    state: State,
    sink: str,
    delivery: str,
    reason: str,
    *,
    now: str,
    again: bool = True,
    asked: float = 0.0,
    waits: bool = False,
    began: int | None = None,
) -> list[NewEvent]:
    """It was not delivered: retry after a pause (at least ``asked`` seconds), or give up if that is useless (``again``
    False) or after `MOST_TRIES` tries; one that only ``waits``, for a queue that is paused, used none. [] if it is not
    open, or if its intent is not the event ``began``: another process has taken it up, and its outcome counts."""
    entry = _entry(state, sink, delivery)
    if entry is None or began not in (None, entry["sending"]):
        return []
    tries = entry["tries"] + (not waits)
    pause = max(pause_after(tries), min(asked, LONGEST_ASKED))
    not_before = add_seconds(now, pause) if again and tries < MOST_TRIES else None
    data: dict[str, Any] = {
        "sink": sink,
        "lane": entry["lane"],
        "delivery": delivery,
        "tries": tries,
        "not_before": not_before,
        "reason": reason,
    }
    facts = {"now": now, "again": again, "asked": asked, **({"waits": True} if waits else {})}
    issue = _issue(sink, entry["lane"])
    return [NewEvent("notice.failed", data, issue=issue, cause=entry["sending"] or None, facts=facts)]


def pause_after(tries: int) -> float:
    """Seconds from the ``tries``-th failure to the next try."""
    return float(min(FIRST_PAUSE * 2 ** min(max(tries - 1, 0), 30), LONGEST_PAUSE))


def _entry(state: State, sink: str, delivery: str) -> dict[str, Any] | None:
    box = state.outbox.get(sink)
    entry: dict[str, Any] | None = box["open"].get(delivery) if box is not None else None
    return entry


def _sending(state: State, sink: str, lane: str, seqs: list[int], upto: int, host: str | None) -> NewEvent:
    delivery = delivery_id(state, sink, seqs)
    data = {"sink": sink, "lane": lane, "seqs": seqs, "delivery": delivery, "upto": upto, **_of(host)}
    return NewEvent("notice.sending", data, issue=_issue(sink, lane), cause=seqs[-1])


def _issue(sink: str, lane: str) -> str | None:
    """The issue of the event: comments are posted there."""
    return lane if sink == "comment" else None
