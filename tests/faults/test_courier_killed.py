"""Courier and daemon killed again and again while they deliver: nothing is told twice, nothing is lost."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator

import pytest

from kugetsu.runtime.notifications.outbox import INTERRUPTED
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.named_lease import NOTIFIER
from runtime.stage import PATIENCE, Stage, bare_stage
from runtime.supervised import eventually

__all__ = ["bare_stage"]

NOTICES = 120
ROUNDS = 15
#: A delivery that takes a while before and after it is made, so that kills hit all of its moments.
SLOW = "sh -c 'sleep 0.1; echo $KUGETSU_NOTICE_DELIVERY >> \"$STAGE/got\"; sleep 0.2'"


@pytest.fixture
def stage(bare_stage: Stage) -> Iterator[Stage]:
    """Tasks are queued and never started; each is one notification for a slow command."""
    bare_stage.set_up()
    bare_stage.configure(
        NOTIFY_SINKS="command",
        NOTIFY_COMMAND=SLOW,
        NOTIFY_EVENTS="task_queued",
        MIN_FREE_MEMORY_MB="1000000",
    )
    yield bare_stage
    bare_stage.check()
    for who in (bare_stage.state.daemon.identity, NOTIFIER.holder(bare_stage.ws.paths)):
        if who is not None:
            identity.signal(who, signal.SIGKILL)
    assert eventually(lambda: not NOTIFIER.alive(bare_stage.ws.paths), PATIENCE)


@pytest.mark.parametrize("seed", [1])
def test_each_notification_is_delivered_once_or_said_to_be_interrupted(stage: Stage, seed: int) -> None:
    chance = random.Random(seed)
    stage.start_daemon()
    stage.until(lambda: "command" in stage.state.outbox)
    for turn in range(ROUNDS):
        for number in range(NOTICES // ROUNDS):
            stage.enqueue(turn * NOTICES + number + 1)
            time.sleep(chance.uniform(0.0, 0.02))
        time.sleep(chance.uniform(0.2, 1.9))
        courier = NOTIFIER.holder(stage.ws.paths)
        if courier is not None and chance.random() < 0.5:
            identity.signal(courier, signal.SIGKILL)
        if chance.random() < 0.5:
            stage.kill_daemon()
            stage.start_daemon()
    queued = {event["seq"] for event in stage.events("task.queued")}
    assert len(queued) == NOTICES
    until_delivered(stage, queued)

    intents = [event["data"] for event in stage.events("notice.sending")]
    assert sorted(seq for intent in intents for seq in intent["seqs"]) == sorted(queued), "each is taken up once"
    sent = {event["data"]["delivery"] for event in stage.events("notice.sent")}
    failed = {event["data"]["delivery"]: event["data"]["reason"] for event in stage.events("notice.failed")}
    assert sent.isdisjoint(failed) and sent | failed.keys() == {intent["delivery"] for intent in intents}
    assert set(failed.values()) <= {INTERRUPTED}
    made = stage.file("got").split()
    assert len(made) == len(set(made)), "a delivery was made twice"
    assert sent <= set(made) <= sent | failed.keys()


def until_delivered(stage: Stage, queued: set[int]) -> None:
    """Wait until all have an outcome: as long as there are new ones, since they come one after the other."""

    def outcomes() -> int:
        return len(stage.events("notice.sent")) + len(stage.events("notice.failed"))

    def done() -> bool:
        return not stage.state.outbox["command"]["open"] and queued <= taken_up(stage)

    while not done():
        before = outcomes()
        stage.until(lambda before=before: done() or outcomes() > before)  # type: ignore[misc]


def taken_up(stage: Stage) -> set[int]:
    return {seq for event in stage.events("notice.sending") for seq in event["data"]["seqs"]}


def test_the_kills_hit_deliveries_that_were_under_way(stage: Stage) -> None:
    stage.configure(NOTIFY_COMMAND="sh -c 'echo $$ > \"$STAGE/under-way\"; exec sleep 600'")
    stage.start_daemon()
    stage.until(lambda: "command" in stage.state.outbox)
    stage.enqueue(1)
    hanging = stage.pid("under-way")
    stage.kill(NOTIFIER.holder(stage.ws.paths))
    failed = stage.wait("notice.failed")
    assert (failed["data"]["reason"], failed["data"]["not_before"]) == (INTERRUPTED, None)
    stage.kill(hanging)
