"""The outbox of a sink, served a step at a time, and looking back for notifications."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kugetsu.domain.decide import notifications as decide
from kugetsu.model import clock
from kugetsu.runtime.notifications import reading
from kugetsu.runtime.notifications.outbox import INTERRUPTED, Outbox
from kugetsu.runtime.notifications.sinks import command
from runtime.noticing import (
    NOTE,
    SECRET,
    Receiver,
    bare_stage,
    receiver,
    screen,
    stage,
)
from runtime.stage import Stage

__all__ = ["bare_stage", "receiver", "screen", "stage"]


# --- the outbox ------------------------------------------------------------------------------------------------------


class Served:
    """An outbox that this test serves itself, a step at a time."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.name = name
        stage.configure(NOTIFY_EVENTS="task_queued", MIN_FREE_MEMORY_MB="1000000")
        stage.ws.log.transact(lambda state: decide.enable(state, name))
        self.box = self.anew()

    def anew(self) -> Outbox:
        return Outbox(self.stage.ws, self.name, self.stage.ws.log.transact, lambda: False)

    def serve(self) -> None:
        while (taken := self.box.take()) is not None:
            self.box.deliver(taken)

    @property
    def open(self) -> dict[str, Any]:
        found: dict[str, Any] = self.stage.state.outbox[self.name]["open"]
        return found

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.stage.events("notice.sending", "notice.sent", "notice.failed")]

    def begin_and_die(self) -> None:
        """As a courier that is killed between intent and outcome."""
        taken = self.box.take()
        assert taken is not None
        batch = decide.Batch("all", [notice.seq for notice in taken.notices])
        self.stage.ws.log.transact(lambda state: decide.sending(state, self.name, [batch], taken.after, taken.upto))
        self.box = self.anew()


@pytest.fixture
def noted(stage: Stage) -> Served:
    stage.configure(NOTIFY_COMMAND=NOTE)
    return Served(stage, "command")


def test_what_happened_together_is_delivered_together_and_once(stage: Stage, noted: Served) -> None:
    for number in (1, 2, 3):
        stage.enqueue(number)
    noted.serve()
    noted.serve()
    assert noted.kinds() == ["notice.sending", "notice.sent"]
    assert len(stage.file("got").split()) == 1
    sending = stage.events("notice.sending")[0]["data"]
    assert sending["seqs"] == [event["seq"] for event in stage.events("task.queued")]
    stage.enqueue(4)
    noted.serve()
    assert len(set(stage.file("got").split())) == 2


def test_kinds_that_are_not_wanted_are_not_sent(stage: Stage, noted: Served) -> None:
    stage.configure(NOTIFY_EVENTS="task_error")
    stage.enqueue(1)
    noted.serve()
    assert noted.kinds() == [] and not (stage.folder / "got").exists()


def test_a_failed_delivery_is_due_later_and_holds_up_no_other(
    stage: Stage, noted: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.configure(NOTIFY_COMMAND="false")
    stage.enqueue(1)
    noted.serve()
    (delivery,) = noted.open
    due, later = noted.box.due()
    assert due is None and later == noted.open[delivery]["not_before"] > clock.now()
    stage.configure(NOTIFY_COMMAND=NOTE)
    stage.enqueue(2)
    noted.serve()
    assert len(stage.file("got").split()) == 1 and list(noted.open) == [delivery]
    monkeypatch.setattr(clock, "now", lambda: later)
    assert noted.box.due() == (delivery, None)
    noted.box.retry(delivery)
    assert noted.open == {} and stage.file("got").split()[1] == delivery


def test_a_receiver_that_is_down_does_not_fill_the_state(stage: Stage, noted: Served) -> None:
    stage.configure(NOTIFY_COMMAND="false")
    for number in range(decide.MOST_OPEN + 5):
        stage.enqueue(number + 1)
        noted.serve()
    assert len(noted.open) == decide.MOST_OPEN
    given_up = next(iter(noted.open))
    now = clock.now()
    stage.ws.log.transact(lambda state: decide.failed(state, "command", given_up, "no", now=now, again=False))
    stage.configure(NOTIFY_COMMAND=NOTE)
    noted.serve()
    assert len(stage.events("notice.sending")[-1]["data"]["seqs"]) == 5


@pytest.mark.parametrize("name", ["command", "desktop"])
def test_an_interrupted_delivery_that_nobody_could_know_again_is_not_repeated(
    stage: Stage, name: str, screen: Path
) -> None:
    stage.configure(NOTIFY_COMMAND=NOTE)
    served = Served(stage, name)
    stage.enqueue(1)
    served.begin_and_die()
    served.box.recover()
    served.serve()
    assert served.open == {} and not (stage.folder / "got").exists() and not screen.exists()
    failed = stage.events("notice.failed")[0]["data"]
    assert (failed["reason"], failed["not_before"]) == (INTERRUPTED, None)


def test_an_interrupted_webhook_is_repeated_with_the_same_id(stage: Stage, receiver: Receiver) -> None:
    served = Served(stage, "webhook")
    stage.enqueue(1)
    served.begin_and_die()
    (delivery,) = served.open
    served.box.recover()
    assert [headers["idempotency-key"] for headers, _ in receiver.requests] == [delivery]
    assert served.open == {} and served.kinds() == ["notice.sending", "notice.sending", "notice.sent"]


def test_a_delivery_that_kills_its_courier_is_not_repeated_for_ever(stage: Stage, receiver: Receiver) -> None:
    served = Served(stage, "webhook")
    stage.enqueue(1)
    served.begin_and_die()
    (delivery,) = served.open
    for _ in range(decide.MOST_TRIES):
        intent = served.open[delivery]["sending"]
        stage.ws.log.transact(lambda state, intent=intent: decide.sending_again(state, "webhook", delivery, intent))  # type: ignore[misc]
    served.anew().recover()
    assert served.open == {} and receiver.requests == []
    assert stage.events("notice.failed")[0]["data"]["reason"] == INTERRUPTED


def test_a_sink_that_breaks_is_a_failed_delivery(stage: Stage, noted: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(line: str) -> list[str]:
        raise RuntimeError(f"{line} {SECRET}")

    monkeypatch.setattr(command, "_words", broken)
    stage.enqueue(1)
    noted.serve()
    assert stage.events("notice.failed")[0]["data"]["reason"] == "the sink failed: RuntimeError"


def test_what_was_sent_says_nothing_secret(stage: Stage, receiver: Receiver) -> None:
    planted = "ghp_" + "a1B2" * 9
    served = Served(stage, "webhook")
    stage.enqueue(1, f"use {planted} for it")
    for status in (500, 404, "cut", 204):
        receiver.status = status
        stage.enqueue(2, f"GITEA_TOKEN={planted}")
        served.serve()
    assert planted not in json.dumps([body for _, body in receiver.requests])
    said = json.dumps(stage.events("notice.sending", "notice.sent", "notice.failed", "sink.enabled"))
    assert planted not in said and SECRET not in said and "127.0.0.1" not in said


# --- looking back ----------------------------------------------------------------------------------------------------


def test_the_latest_are_found_without_reading_the_whole_log(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.configure(MIN_FREE_MEMORY_MB="1000000")
    for number in range(1, 31):
        stage.enqueue(number)
    head = stage.state.seq
    seqs = [event["seq"] for event in stage.events("task.queued")]
    found = reading.latest(stage.ws, after=0, until=head, limit=1000)
    assert [one.seq for one in found.notices] == seqs and (found.more, found.looked_from) == (False, 0)
    monkeypatch.setattr(reading, "FIRST_LOOK", 3)
    assert [one.seq for one in reading.latest(stage.ws, after=0, until=head, limit=1000).notices] == seqs
    some = reading.latest(stage.ws, after=0, until=head, limit=4)
    assert [one.seq for one in some.notices] == seqs[-4:] and some.more
    exact = reading.latest(stage.ws, after=seqs[-5], until=head, limit=4)
    assert [one.seq for one in exact.notices] == seqs[-4:] and not exact.more
    monkeypatch.setattr(reading, "LOOK_BACK", 10)
    bounded = reading.latest(stage.ws, after=0, until=head, limit=1000)
    assert (len(bounded.notices), bounded.more, bounded.looked_from) == (10, True, head - 10)
    assert [one.seq for one in reading.of_seqs(stage.ws, seqs[3:9:2])] == seqs[3:9:2]
