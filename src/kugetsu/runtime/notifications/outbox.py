"""The outbox of one sink: take what happened, record the intent, deliver, record the outcome, retry later.

The log holds the intent before a delivery and the outcome after it. So it shows which deliveries a dead notifier may
have made; each sink decides whether such a one is repeated (`Sink.repeats`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kugetsu.domain.decide import notifications as decide
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.model import clock
from kugetsu.runtime import host_id
from kugetsu.runtime.notifications import daily_report, message, reading, sinks
from kugetsu.runtime.notifications.message import Message
from kugetsu.runtime.notifications.notice import REPORT, Notice, goes_on, located, notice_of, one_line
from kugetsu.runtime.notifications.sinks.sink import ALL, Outcome, Sink
from kugetsu.runtime.workspace import Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    Record = Callable[[Callable[[State], Sequence[NewEvent]]], list[dict[str, Any]]]

#: Notifications that one delivery holds at most.
MOST_IN_BATCH = 1000
INTERRUPTED = "interrupted; not repeated"


@dataclass(frozen=True, slots=True)
class Taken:
    """The notifications for a sink since it was last served, and the events that were read."""

    notices: list[Notice]
    after: int
    upto: int


class Outbox:
    """Serves one sink. ``record`` appends an outcome, however long that takes; ``stopping``: begin no more
    deliveries."""

    def __init__(self, ws: Workspace, name: str, record: Record, stopping: Callable[[], bool]) -> None:
        self._ws = ws
        self._name = name
        self._record = record
        self._stopping = stopping
        self._looked = 0

    def enabled(self) -> bool:
        """Whether the log knows the sink, and this host may deliver."""
        state = self._ws.state()
        return self._name in state.outbox and decide.may_send(state, host_id.sharing(self._ws, state))

    def recover(self) -> None:
        """Close or repeat the deliveries that a dead notifier began; one of another host of a shared log is dead only
        when that host is lost: until then it may be delivering."""
        state = self._ws.state()
        for delivery, seq in decide.interrupted(state, self._name, host_id.sharing(self._ws, state)).items():
            if self._stopping():
                return
            if delivery not in self._open():
                continue  # another host was first
            if self._sink().repeats and self._open()[delivery]["tries"] < decide.MOST_TRIES:
                self._repeat(delivery, seq)
            else:
                self._note_failure(delivery, seq, Outcome(False, INTERRUPTED, again=False))

    def take(self) -> Taken | None:
        """What is to be delivered now; None for nothing, or while too many deliveries are open."""
        if len(self._open()) >= decide.MOST_OPEN:
            return None
        state, servers = self._ws.state(), self._ws.config.servers()
        after = upto = max(state.outbox[self._name]["upto"], self._looked)
        wanted = (*self._ws.config.text("NOTIFY_EVENTS").split(), REPORT)
        sink = self._sink()
        found: list[Notice] = []
        for event in self._ws.log.read(after):
            upto = event["seq"]
            notice = notice_of(event)
            if notice is None or notice.type not in wanted or sink.lane(notice) is None:
                continue
            if not goes_on(notice, state):
                found.append(located(notice, state, servers))
                if len(found) == MOST_IN_BATCH:
                    break
        if found:
            return Taken(found, after, upto)
        self._looked = upto
        return None

    def deliver(self, taken: Taken) -> None:
        """Deliver what was taken, one message per lane."""
        lanes: dict[str, list[Notice]] = {}
        sink = self._sink()
        for notice in taken.notices:
            lanes.setdefault(sink.lane(notice) or ALL, []).append(notice)
        batches = [decide.Batch(lane, [notice.seq for notice in notices]) for lane, notices in lanes.items()]
        host = host_id.sharing(self._ws, self._ws.state())
        begun = self._ws.log.transact(
            partial(decide.sending, sink=self._name, batches=batches, after=taken.after, upto=taken.upto, host=host)
        )
        for event, (lane, notices) in zip(begun, lanes.items(), strict=False):
            if self._stopping():
                return  # begun, and not tried: only lanes of a sink that repeats can be several
            self._attempt(self._message(event["data"]["delivery"], lane, notices), event["seq"], again=False)

    def due(self) -> tuple[str | None, str | None]:
        """The delivery to retry now; without one, the time of the next."""
        sink = self._sink()
        waiting = [
            (entry["not_before"], delivery)
            for delivery, entry in self._open().items()
            if entry["not_before"] is not None and not sink.waits(entry["lane"])
        ]
        if not waiting:
            return None, None
        not_before, delivery = min(waiting)
        now = clock.now()
        # No pause is longer: one that seems so began before the clock was set back.
        due = not_before <= now or not_before > clock.add_seconds(now, decide.LONGEST_ASKED)
        return (delivery, None) if due else (None, not_before)

    def retry(self, delivery: str) -> None:
        """Try a delivery again."""
        self._repeat(delivery, 0)

    def _repeat(self, delivery: str, was_sending: int) -> None:
        entry = self._open().get(delivery)
        if entry is None:
            return  # another host was first
        told = self._message(delivery, entry["lane"], reading.of_seqs(self._ws, entry["seqs"]))
        host = host_id.sharing(self._ws, self._ws.state())
        begun = self._ws.log.transact(
            partial(decide.sending_again, sink=self._name, delivery=delivery, was_sending=was_sending, host=host)
        )
        if begun:
            self._attempt(told, begun[-1]["seq"], again=True)

    def _attempt(self, told: Message, began: int, *, again: bool) -> None:
        """Deliver, and record the outcome whatever goes wrong; ``began`` is the event of the intent."""
        try:
            outcome = self._sink().deliver(told, again=again)
        except Exception as problem:  # noqa: BLE001  a sink's fault must not stop the notifier or other sinks
            outcome = Outcome(False, one_line(f"the sink failed: {type(problem).__name__}"))
        if outcome.sent:
            self._record(partial(decide.sent, sink=self._name, delivery=told.delivery, detail=outcome.text))
        else:
            self._note_failure(told.delivery, began, outcome)

    def _note_failure(self, delivery: str, began: int, outcome: Outcome) -> None:
        self._record(
            partial(
                decide.failed,
                sink=self._name,
                delivery=delivery,
                reason=outcome.text,
                now=clock.now(),
                again=outcome.again,
                asked=outcome.asked,
                waits=outcome.waits,
                began=began,
            )
        )

    def _message(self, delivery: str, lane: str, notices: Sequence[Notice]) -> Message:
        report = next((notice for notice in reversed(notices) if notice.type == REPORT), None)
        text = daily_report.read(self._ws, report.seq) if report is not None else None
        return message.compose(delivery, lane, notices, self._ws.config.integer("NOTIFY_DIGEST_OVER"), text)

    def _open(self) -> dict[str, Any]:
        found: dict[str, Any] = self._ws.state().outbox.get(self._name, {"open": {}})["open"]
        return found

    def _sink(self) -> Sink:
        return sinks.make(decide.sink_of(self._name), self._ws)
