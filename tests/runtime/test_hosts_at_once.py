"""Two hosts that look at once: what is to be done once is done once, whoever does it.

The log of the second host is the first one's own folder, by a link: the two share it as they would share a database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from forge.scripted import ScriptedForge
from kugetsu.domain import hosts as domain_hosts
from kugetsu.domain.decide import claims, daemon, hosts, queue
from kugetsu.domain.decide import notifications as decide
from kugetsu.host import host_file
from kugetsu.log.shared.postgres import Beat
from kugetsu.runtime import dispatcher, host_id, silent_hosts
from kugetsu.runtime.facts import claim_facts
from kugetsu.runtime.intake.watching import Watching
from kugetsu.runtime.notifications.notifier import Notifier
from kugetsu.runtime.notifications.notifier_supervisor import NotifierSupervisor
from kugetsu.runtime.notifications.outbox import INTERRUPTED, Outbox, Taken
from kugetsu.runtime.observing import observe
from kugetsu.runtime.process.named_lease import OBSERVER
from kugetsu.runtime.reactions import turns as turning
from kugetsu.runtime.reviews.observer import Observer
from kugetsu.runtime.workspace import Workspace, open_workspace
from runtime.forged import REPOSITORY, forge, forged
from runtime.noticing import NOTE, bare_stage, receiver, screen, stage
from runtime.stage import Stage
from runtime.test_reactions import failing, key_of, reacting, turns

__all__ = ["bare_stage", "forge", "forged", "reacting", "receiver", "screen", "stage"]

TWO = "f" * 32


@pytest.fixture
def other(stage: Stage) -> Iterator[Workspace]:
    """The second host's workspace; both have joined."""
    folder = stage.root / "other"
    folder.mkdir(mode=0o700)
    (folder / host_file.NAME).write_text(TWO + "\n")
    for name in ("log", "config", "env"):
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


def planned(box: Outbox) -> Taken:
    found = box.take()
    assert found is not None
    return found


def begun(ws: Workspace, box: Outbox) -> str:
    """A delivery that a notifier of this host has begun, when the host is gone; its id."""
    found = planned(box)
    batch = decide.Batch("all", [notice.seq for notice in found.notices])
    begin = partial(decide.sending, sink="command", batches=[batch], after=found.after, upto=found.upto)
    [event] = ws.log.transact(lambda state: begin(state, host=host_id.own(ws)))
    return str(event["data"]["delivery"])


def test_what_two_hosts_take_at_once_is_delivered_by_one(stage: Stage, served: tuple[Outbox, Outbox]) -> None:
    stage.enqueue(1)
    plans = [(box, planned(box)) for box in served]
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


def test_a_host_that_was_lost_begins_no_delivery(stage: Stage, other: Workspace, served: tuple[Outbox, Outbox]) -> None:
    """Another takes up what it began as interrupted: both wrote the same comment."""
    stage.enqueue(1)
    found = planned(served[1])
    lose(stage, TWO)
    served[1].deliver(found)
    assert not served[1].enabled() and served[0].enabled()
    assert stage.events("notice.sending") == [] and not (stage.folder / "got").exists()
    served[0].deliver(planned(served[0]))
    assert [event["data"]["host"] for event in stage.events("notice.sending")] == [host_id.own(stage.ws)]


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


@pytest.mark.parametrize("again", [True, False])
def test_a_failure_that_comes_late_neither_postpones_nor_ends_what_another_host_delivers(
    stage: Stage, other: Workspace, served: tuple[Outbox, Outbox], *, again: bool
) -> None:
    stage.enqueue(1)
    delivery = begun(other, served[1])
    taken_up = stage.state.outbox["command"]["open"][delivery]["sending"]
    late = partial(decide.failed, sink="command", delivery=delivery, reason="late", now=stage.state.latest)
    lose(stage, TWO)
    repeat = partial(decide.sending_again, sink="command", delivery=delivery, was_sending=taken_up)
    [event] = stage.ws.log.transact(lambda state: repeat(state, host=host_id.own(stage.ws)))
    before = dict(stage.state.outbox["command"]["open"][delivery])
    assert before["sending"] == event["seq"]
    assert other.log.transact(lambda state: late(state, again=again, began=taken_up)) == []
    assert stage.state.outbox["command"]["open"][delivery] == before
    served[0].recover()
    [failed] = stage.events("notice.failed")
    assert failed["arguments"]["began"] == event["seq"], "its own counts"


def test_a_sink_that_one_host_takes_out_of_its_settings_stays_for_the_other(
    stage: Stage, served: tuple[Outbox, Outbox]
) -> None:
    own = host_id.own(stage.ws)
    stage.enqueue(1)
    stage.ws.log.transact(lambda state: decide.disable(state, "command", own))
    assert served[1].enabled() and stage.state.outbox["command"]["hosts"] == [TWO]
    assert stage.ws.log.transact(lambda state: decide.disable(state, "command", own)) == []
    served[1].deliver(planned(served[1]))
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
    assert planned(served[0]).notices


def test_a_host_without_sinks_leaves_those_of_the_others(stage: Stage, other: Workspace, served: Any) -> None:
    notifier = Notifier(other, -1)
    assert notifier.step() == 0.0
    assert stage.state.outbox["command"]["hosts"] == [host_id.own(stage.ws)]
    assert not NotifierSupervisor(other).needed(other.state()) and NotifierSupervisor(stage.ws).needed(stage.state)


def test_each_host_shows_a_notification_on_its_own_screen(stage: Stage, screen: Any, other: Workspace) -> None:
    own = host_id.own(stage.ws)
    stage.ws.log.transact(lambda state: decide.enable(state, "desktop", own))  # of before it was each host's own
    stage.configure(NOTIFY_SINKS="desktop", NOTIFY_EVENTS="task_queued", MIN_FREE_MEMORY_MB="1000000")
    stage.enqueue(1)
    boxes = []
    for ws, host in ((stage.ws, own), (other, TWO)):
        ws.reload()
        name = decide.outbox_of("desktop", host)
        ws.log.transact(partial(decide.enable, sink=name, host=host))
        boxes.append(Outbox(ws, name, ws.log.transact, lambda: False))
    stage.enqueue(2)
    shown = []
    for box in boxes:
        box.deliver(planned(box))
        shown.append(screen.read_text())
        screen.unlink()
    assert "2 notifications" in shown[0] or "#1" in shown[0], "the first host's goes on where it was"
    assert shown[1], "the other one's screen, too"
    assert [event["data"]["sink"] for event in stage.events("notice.sent")] == [
        f"desktop@{own:.8}",
        f"desktop@{TWO:.8}",
    ]
    assert [box.take() for box in boxes] == [None, None]
    assert decide.outbox_of("command", TWO) == "command" and decide.outbox_of("desktop", None) == "desktop"


# --- the forge is asked once ----------------------------------------------------------------------------------------


def dispatch(stage: Stage, host: str) -> None:
    """The daemon of a host runs, by the log."""
    who: Any = {"boot": "b", "pid": 7, "start": 1, "host": host}
    stage.ws.log.transact(lambda state: daemon.started(state, who, f"lease-{host[:4]}"))


def labelled(forge: ScriptedForge, number: int = 14) -> None:
    forge.issue(REPOSITORY, number, title="Slow", body="as it is", author="bob")
    forge.label(REPOSITORY, number, "kugetsu", by="bob")


def observer(ws: Workspace) -> Observer:
    ws.paths.make(ws.paths.leases)
    held = OBSERVER.take(ws.paths)
    assert held is not None
    return Observer(ws, held)


def settle(*observers: Observer) -> None:
    """Let them do what there is to do, each a step in turn."""
    for one in observers:
        one.began = None
    while min([one.step() for one in observers if one.wanted], default=1.0) <= 0:
        pass


def queued(stage: Stage) -> list[str | None]:
    return [event.get("issue") for event in stage.events("task.queued")]


@pytest.fixture
def taken(forged: Stage, forge: ScriptedForge) -> Stage:
    """A stage with an intake; bob may set labels."""
    forged.configure(INTAKE_LABEL="kugetsu", INTAKE_INTERVAL_MINUTES="0.005")
    forge.intake(REPOSITORY).rights |= {"bob": "write"}
    return forged


@pytest.fixture
def both(taken: Stage, other: Workspace) -> tuple[str, str]:
    """The ids of two hosts whose daemons run."""
    other.reload()
    own = host_id.own(taken.ws)
    for host in (own, TWO):
        dispatch(taken, host)
    return own, TWO


def test_one_host_takes_the_labelled_issues_and_another_goes_on_when_it_stops(
    taken: Stage, forge: ScriptedForge, other: Workspace, both: tuple[str, str]
) -> None:
    labelled(forge)
    one, two = observer(taken.ws), observer(other)
    settle(one, two)
    assert taken.state.shared["OBSERVER_HOST"] == both[0] and queued(taken) == [str(taken.ref(14))]
    labelled(forge, 15)
    asked = len(forge.requests)
    settle(two)
    assert len(forge.requests) == asked and len(queued(taken)) == 1
    taken.ws.log.transact(lambda state: daemon.stopped(state, "stopped", both[0]))
    settle(two)
    assert taken.state.shared["OBSERVER_HOST"] == TWO
    assert queued(taken) == [str(taken.ref(14)), str(taken.ref(15))]
    dispatch(taken, both[0])
    settle(one, two)
    assert taken.state.shared["OBSERVER_HOST"] == TWO and len(queued(taken)) == 2


def test_two_hosts_that_look_at_once_queue_and_record_nothing_twice(
    taken: Stage, forge: ScriptedForge, other: Workspace, both: tuple[str, str]
) -> None:
    for number in (14, 15):
        labelled(forge, number)
    looking = [Watching(ws, lambda _: True, lambda *_: None, lambda *_: None) for ws in (taken.ws, other)]
    for _ in range(20):
        for one in looking:
            one.step(taken.state)
    assert sorted(map(str, queued(taken))) == [str(taken.ref(14)), str(taken.ref(15))]
    assert len(taken.events("intake.seen")) == 2


def test_a_host_without_an_intake_takes_nothing_up_and_switches_nothing_off(
    taken: Stage, forge: ScriptedForge, other: Workspace, both: tuple[str, str]
) -> None:
    labelled(forge)
    settle(observer(taken.ws))
    taken.ws.log.transact(lambda state: daemon.stopped(state, "stopped", both[0]))
    os.unlink(other.paths.config)
    taken.settings.pop("INTAKE_LABEL")
    text = "".join(f"{key}={value}\n" for key, value in taken.settings.items())
    with open(other.paths.config, "w") as file:
        file.write(text)
    other.reload()
    asked = len(forge.requests)
    settle(observer(other))
    assert taken.state.shared["OBSERVER_HOST"] == both[0] and len(forge.requests) == asked
    Watching(other, lambda _: True, lambda *_: None, lambda *_: None).step(other.state())
    assert not taken.events("intake.gone") and taken.state.tasks["q1"].state == "pending"


def beat(host: str, ago: float) -> Beat:
    """What the database knows of a host that it heard of so many seconds ago."""
    return Beat(host, 1, "-", "2026-11-23T09:00:00.000000Z", ago, False, False)


def test_another_host_asks_the_forges_when_the_one_that_does_falls_silent(
    taken: Stage, forge: ScriptedForge, other: Workspace, both: tuple[str, str]
) -> None:
    labelled(forge)
    one, two = observer(taken.ws), observer(other)
    settle(one)
    assert silent_hosts.observe_for_the_silent(other, [beat(both[0], 100), beat(TWO, 1)]) is None
    assert silent_hosts.observe_for_the_silent(taken.ws, [beat(both[0], 130), beat(TWO, 1)]) is None, "it is this host"
    assert silent_hosts.observe_for_the_silent(other, [beat(both[0], 130), beat(TWO, 1)]) == "one"
    assert taken.state.shared["OBSERVER_HOST"] == TWO
    labelled(forge, 15)
    settle(two, one)
    assert queued(taken) == [str(taken.ref(14)), str(taken.ref(15))]
    assert silent_hosts.observe_for_the_silent(taken.ws, [beat(both[0], 1), beat(TWO, 19)]) is None, "nor back"
    other.config = other.config.having("INTAKE_LABEL", "")
    taken.ws.log.transact(partial(hosts.observe_instead, host=both[0], silent=TWO))
    assert silent_hosts.observe_for_the_silent(other, [beat(both[0], 999)]) is None, "it has nothing to ask for"


def test_a_label_that_was_taken_out_before_a_restart_is_noticed_by_the_host_that_saw_it(
    taken: Stage, forge: ScriptedForge, other: Workspace, both: tuple[str, str]
) -> None:
    labelled(forge)
    settle(observer(taken.ws))
    os.unlink(other.paths.config)
    taken.configure(INTAKE_LABEL="", REACTIONS="checks")
    with open(other.paths.config, "w") as file:
        file.write("".join(f"{key}={value}\n" for key, value in taken.settings.items()))
    other.reload()
    Watching(other, lambda _: True, lambda *_: None, lambda *_: None).step(other.state())
    assert not taken.events("intake.gone"), "another host has seen it, and takes part"
    Watching(taken.ws, lambda _: True, lambda *_: None, lambda *_: None).step(taken.state)
    assert [event["data"]["code"] for event in taken.events("intake.gone")] == ["switched_off"]
    assert taken.state.tasks["q1"].state == "cancelled"


def test_what_a_lost_host_has_seen_is_switched_off_by_another(
    taken: Stage, forge: ScriptedForge, other: Workspace, both: tuple[str, str]
) -> None:
    labelled(forge)
    taken.ws.log.transact(partial(hosts.observe, host=TWO))
    settle(observer(other))
    taken.configure(INTAKE_LABEL="")
    Watching(taken.ws, lambda _: True, lambda *_: None, lambda *_: None).step(taken.state)
    assert not taken.events("intake.gone")
    lose(taken, TWO)
    Watching(taken.ws, lambda _: True, lambda *_: None, lambda *_: None).step(taken.state)
    assert [event["data"]["code"] for event in taken.events("intake.gone")] == ["switched_off"]


def test_feedback_that_two_hosts_answer_at_once_starts_one_turn(
    reacting: Stage, forge: ScriptedForge, other: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(forge)
    other.reload()
    assert observe(reacting.ws, key_of(reacting).rpartition("#")[0], "pulls")
    key, (one, two) = key_of(reacting), (turning.Turns(ws) for ws in (reacting.ws, other))
    made, write = [], turning.message.of

    def written(*words: Any) -> str:
        monkeypatch.setattr(turning.message, "of", write)
        made.append(two.take(key))  # while the first is about to
        return write(*words)

    monkeypatch.setattr(turning.message, "of", written)
    made.append(one.take(key))
    assert [len(events) > 0 for events in made] == [True, False]
    assert len(turns(reacting)) == 1


def test_a_host_whose_settings_run_the_loop_no_more_gives_it_up(
    taken: Stage, forge: ScriptedForge, both: tuple[str, str]
) -> None:
    labelled(forge)
    one = observer(taken.ws)
    settle(one)
    taken.configure(INTAKE_LABEL="")
    settle(one)
    assert "OBSERVER_HOST" not in taken.state.shared
    assert [event["data"]["code"] for event in taken.events("intake.gone")] == ["switched_off"]


def test_a_folder_of_another_host_is_no_source_here(stage: Stage, other: Workspace) -> None:
    [(name, source)] = stage.state.repositories.items()
    assert source["host"] == host_id.own(stage.ws) and host_id.repositories(stage.ws, stage.state) == {name: source}
    assert host_id.repositories(other, other.state()) == {}


# --- who claims first -----------------------------------------------------------------------------------------------


def test_a_host_that_works_lets_one_that_does_not_claim_first(
    stage: Stage, other: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, waits = host_id.own(stage.ws), []
    stage.configure(MAX_CONCURRENT_AGENTS="2")
    for host in (own, TWO):
        dispatch(stage, host)
    tasks = [
        stage.ws.log.transact(
            partial(queue.enqueue, kind="dev", issue=f"example.org/o/r#{number}", message="x", via="e")
        )
        for number in (1, 2)
    ]

    def claim(ws: Workspace, task: str) -> None:
        facts = claim_facts(ws, "daemon")
        who: Any = {"boot": "b", "pid": 7, "start": 1, "host": host_id.own(ws)}
        offer = claims.ClaimRequest(f"lease-{task}", who)
        assert ws.log.transact(partial(claims.claim, task_id=task, offer=offer, facts=facts))

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        claim(other, tasks[1][0]["task"])

    claim(stage.ws, tasks[0][0]["task"])
    monkeypatch.setattr(dispatcher.time, "sleep", sleep)
    assert dispatcher.dispatch(stage.ws)[0] == []
    assert [event["data"]["claimer"]["host"] for event in stage.events("attempt.claimed")] == [own, TWO]
    [wait] = waits
    assert 0.5 <= wait / domain_hosts.FIRST_WAIT_SECONDS <= 0.5 * (1 + domain_hosts.JITTER)
