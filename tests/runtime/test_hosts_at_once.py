"""Two hosts that look at once: what is to be done once is done once, whoever does it.

The log of the second host is the first one's own folder, by a link: the two share it as they would share a database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from kugetsu.domain.decide import hosts
from kugetsu.domain.decide import notifications as decide
from kugetsu.host import host_file
from kugetsu.runtime import host_id
from kugetsu.runtime.notifications.notifier import Notifier
from kugetsu.runtime.notifications.notifier_supervisor import NotifierSupervisor
from kugetsu.runtime.notifications.outbox import INTERRUPTED, Outbox, Taken
from kugetsu.runtime.workspace import Workspace, open_workspace
from runtime.noticing import NOTE, SECRET, Receiver, bare_stage, receiver, screen, stage
from runtime.stage import Stage

__all__ = ["SECRET", "Receiver", "bare_stage", "receiver", "screen", "stage"]

TWO = "f" * 32


@pytest.fixture
def other(stage: Stage) -> Iterator[Workspace]:
    """The second host's workspace; both have joined."""
    folder = stage.root / "other"
    folder.mkdir(mode=0o700)
    (folder / host_file.NAME).write_text(TWO + "\n")
    for name in ("log", "config"):
        (folder / name).symlink_to(stage.directory / name)
    ws = open_workspace({**os.environ, "KUGETSU_DIR": str(folder)}, "other")
    for host, name in ((host_id.own(stage.ws), "one"), (TWO, "two")):
        join(stage, host, name)
    yield ws
    ws.close()


def join(stage: Stage, host: str, name: str, term: int = 1) -> None:
    stage.ws.log.transact(partial(hosts.join, host=host, term=term, name=name, labels=[], cap=2))


def lose(stage: Stage, host: str) -> None:
    """That host is not heard of any more."""
    facts: Any = {
        "now": stage.state.latest,
        "max_attempts": 3,
        "backoff_seconds": 1.0,
        "pause_seconds": 1.0,
        "agent": "-",
    }
    lost = partial(hosts.lost, host=host, term=1, silent_since=None, by=None, reason="lost", facts=facts)
    assert stage.ws.log.transact(lost)


def outbox(ws: Workspace, name: str) -> Outbox:
    ws.log.transact(lambda state: decide.enable(state, name, host_id.own(ws)))
    return Outbox(ws, name, ws.log.transact, lambda: False)


@pytest.fixture
def served(stage: Stage, other: Workspace) -> tuple[Outbox, Outbox]:
    stage.configure(NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_queued", MIN_FREE_MEMORY_MB="1000000")
    other.reload()
    return outbox(stage.ws, "command"), outbox(other, "command")


def taken(box: Outbox) -> Taken:
    found = box.take()
    assert found is not None
    return found


def begun(ws: Workspace, box: Outbox) -> str:
    """A delivery that a notifier of this host has begun, when the host is gone; its id."""
    found = taken(box)
    batch = decide.Batch("all", [notice.seq for notice in found.notices])
    begin = partial(decide.sending, sink="command", batches=[batch], after=found.after, upto=found.upto)
    [event] = ws.log.transact(lambda state: begin(state, host=host_id.own(ws)))
    return str(event["data"]["delivery"])


def test_what_two_hosts_take_at_once_is_delivered_by_one(stage: Stage, served: tuple[Outbox, Outbox]) -> None:
    stage.enqueue(1)
    plans = [(box, taken(box)) for box in served]
    for box, plan in plans:
        box.deliver(plan)
    assert [event["type"] for event in stage.events("notice.sending", "notice.sent")] == [
        "notice.sending",
        "notice.sent",
    ]
    assert len(stage.file("got").split()) == 1
    assert [box.take() for box in served] == [None, None]


def test_a_delivery_that_another_host_began_is_left_alone_until_that_host_is_lost(
    stage: Stage, other: Workspace, served: tuple[Outbox, Outbox]
) -> None:
    stage.enqueue(1)
    delivery = begun(other, served[1])
    served[0].recover()
    assert list(stage.state.outbox["command"]["open"]) == [delivery]
    assert stage.state.outbox["command"]["open"][delivery]["host"] == TWO
    lose(stage, TWO)
    served[0].recover()
    assert stage.state.outbox["command"]["open"] == {}
    assert [event["data"]["reason"] for event in stage.events("notice.failed")] == [INTERRUPTED]


def test_a_host_that_comes_back_does_not_repeat_what_another_settled(
    stage: Stage, other: Workspace, served: tuple[Outbox, Outbox]
) -> None:
    stage.enqueue(1)
    delivery = begun(other, served[1])
    lose(stage, TWO)
    served[0].recover()
    join(stage, TWO, "two", term=2)
    served[1].recover()
    served[1].retry(delivery)
    assert other.log.transact(lambda state: decide.sent(state, "command", delivery, "late")) == []
    assert not (stage.folder / "got").exists()


def test_a_sink_that_one_host_takes_out_of_its_settings_stays_for_the_other(
    stage: Stage, served: tuple[Outbox, Outbox]
) -> None:
    own = host_id.own(stage.ws)
    stage.enqueue(1)
    stage.ws.log.transact(lambda state: decide.disable(state, "command", own))
    assert served[1].enabled() and stage.state.outbox["command"]["hosts"] == [TWO]
    assert stage.ws.log.transact(lambda state: decide.disable(state, "command", own)) == []
    served[1].deliver(taken(served[1]))
    assert len(stage.file("got").split()) == 1
    stage.ws.log.transact(lambda state: decide.disable(state, "command", TWO))
    assert not served[1].enabled()


def test_a_host_that_gets_a_sink_later_skips_nothing_of_it(stage: Stage, other: Workspace, served: Any) -> None:
    stage.enqueue(1)
    upto = stage.state.outbox["command"]["upto"]
    third = "e" * 32
    stage.ws.log.transact(lambda state: decide.enable(state, "command", third))
    assert stage.state.outbox["command"]["upto"] == upto
    assert stage.state.outbox["command"]["hosts"] == sorted([host_id.own(stage.ws), TWO, third])
    assert taken(served[0]).notices


def test_a_host_without_sinks_leaves_those_of_the_others(stage: Stage, other: Workspace, served: Any) -> None:
    notifier = Notifier(other, -1)
    assert notifier.step() == 0.0
    assert stage.state.outbox["command"]["hosts"] == [host_id.own(stage.ws)]
    assert not NotifierSupervisor(other).needed(other.state()) and NotifierSupervisor(stage.ws).needed(stage.state)
