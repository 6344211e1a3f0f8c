"""The courier beside a real daemon: it delivers, it waits, it dies and comes back, and is in nobody's way."""

from __future__ import annotations

import time
from pathlib import Path

from kugetsu.runtime import daemon_control
from kugetsu.runtime.notifications import notifier_supervisor
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.named_lease import NOTIFIER
from runtime.noticing import (
    NOTE,
    SECRET,
    Receiver,
    bare_stage,
    set_secret,
    stage,
)
from runtime.stage import COMMIT, PATIENCE, UNTIL_GO, Stage
from runtime.supervised import eventually

__all__ = ["bare_stage", "stage"]


def got(stage: Stage) -> list[str]:
    path = stage.folder / "got"
    return path.read_text().split() if path.exists() else []


def enabled(stage: Stage, *names: str) -> None:
    stage.until(lambda: set(stage.state.outbox) == set(names))


def courier_log(stage: Stage) -> str:
    path = stage.directory / "logs" / "courier.log"
    return path.read_text() if path.exists() else ""


def test_a_task_is_told_when_it_is_done_and_nothing_of_before(stage: Stage) -> None:
    stage.agent(COMMIT)
    stage.start_daemon()
    assert stage.finished(stage.enqueue(1)) == "completed"
    assert not NOTIFIER.alive(stage.ws.paths), "without sinks there is no courier"
    stage.configure(NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_completed")
    enabled(stage, "command")
    second = stage.finished(stage.enqueue(2))
    assert second == "completed"
    stage.wait("notice.sent")
    assert stage.events("notice.sending")[0]["data"]["seqs"] == [stage.events("task.completed")[1]["seq"]]
    assert len(got(stage)) == 1


def test_a_sink_taken_out_and_put_back_is_not_told_of_what_was_between(stage: Stage) -> None:
    stage.configure(
        NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_queued", MIN_FREE_MEMORY_MB="1000000"
    )
    stage.start_daemon()
    enabled(stage, "command")
    stage.configure(NOTIFY_SINKS="")
    enabled(stage)
    stage.until(lambda: not NOTIFIER.alive(stage.ws.paths))
    stage.enqueue(1)
    stage.configure(NOTIFY_SINKS="command")
    enabled(stage, "command")
    stage.enqueue(2)
    stage.wait("notice.sent")
    queued = [event["seq"] for event in stage.events("task.queued")]
    assert [event["data"]["seqs"] for event in stage.events("notice.sending")] == [[queued[1]]]


def test_what_happens_while_no_daemon_runs_is_told_later_and_the_last_of_a_drain_at_once(stage: Stage) -> None:
    stage.configure(NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_completed")
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    enabled(stage, "command")
    task = stage.enqueue(1)
    stage.at_work(f"{task}.1")
    stage.go()
    assert daemon_control.stop(stage.ws, drain=True)
    stage.until(lambda: not NOTIFIER.alive(stage.ws.paths))
    assert len(got(stage)) == 1, courier_log(stage)
    stage.agent("exit 0\n")
    stage.start(2)
    assert stage.finished("q2") == "completed"
    time.sleep(0.2)
    assert len(got(stage)) == 1
    stage.start_daemon()
    stage.wait("notice.sent", count=2)
    assert len(set(got(stage))) == 2


def test_a_sink_that_hangs_holds_up_neither_tasks_nor_the_daemon_nor_another_sink(stage: Stage) -> None:
    receiver = Receiver()
    set_secret(stage, NOTIFY_WEBHOOK_URL=receiver.url)
    stage.configure(
        NOTIFY_SINKS="command webhook",
        NOTIFY_COMMAND="sh -c 'echo $$ > \"$STAGE/hangs\"; exec sleep 600'",
        NOTIFY_EVENTS="task_completed",
    )
    stage.agent(COMMIT)
    stage.start_daemon()
    enabled(stage, "command", "webhook")
    assert stage.finished(stage.enqueue(1)) == "completed"
    hanging = stage.pid("hangs")
    assert [stage.finished(stage.enqueue(number)) for number in (2, 3)] == ["completed", "completed"]
    stage.until(lambda: receiver.requests)
    assert daemon_control.stop(stage.ws, drain=False)
    assert daemon_control.status(stage.ws).state == "stopped" and identity.alive(hanging)
    receiver.close()
    courier = NOTIFIER.holder(stage.ws.paths)
    stage.kill(courier)
    stage.kill(hanging)


def test_a_courier_that_crashes_again_and_again_is_started_with_pauses_and_stops_nothing(stage: Stage) -> None:
    (stage.directory / "leases" / NOTIFIER.name).mkdir(parents=True)
    stage.configure(NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_completed")
    stage.start_daemon()
    log = stage.directory / "logs" / "daemon.log"
    stage.until(lambda: log.read_text().count("the notifier ended with status 1") >= 2)
    assert "restarting it in 4 s" in log.read_text()
    assert stage.finished(stage.enqueue(1)) == "completed"
    (stage.directory / "leases" / NOTIFIER.name).rmdir()
    enabled(stage, "command")
    stage.enqueue(2)
    stage.wait("notice.sent")


def test_a_courier_that_died_is_started_again_and_goes_on(stage: Stage) -> None:
    stage.configure(
        NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_queued", MIN_FREE_MEMORY_MB="1000000"
    )
    stage.start_daemon()
    enabled(stage, "command")
    stage.kill(NOTIFIER.holder(stage.ws.paths))
    stage.enqueue(1)
    stage.wait("notice.sent")
    assert "the notifier ended with signal 9" in (stage.directory / "logs" / "daemon.log").read_text()


def test_a_courier_whose_lease_was_deleted_makes_room_for_another_one(stage: Stage) -> None:
    stage.configure(
        NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_queued", MIN_FREE_MEMORY_MB="1000000"
    )
    stage.start_daemon()
    enabled(stage, "command")
    first = NOTIFIER.holder(stage.ws.paths)
    assert first is not None
    (stage.directory / "leases" / NOTIFIER.name).unlink()
    stage.enqueue(1)
    stage.until(lambda: NOTIFIER.holder(stage.ws.paths) not in (None, first))
    assert not identity.alive(first)
    stage.wait("notice.sent")
    assert len(got(stage)) == 1


def test_a_courier_has_a_mark_of_its_own_from_its_first_moment(stage: Stage) -> None:
    stage.configure(NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE)
    stage.start_daemon()
    enabled(stage, "command")
    courier, daemon = NOTIFIER.holder(stage.ws.paths), stage.state.daemon
    assert courier is not None and daemon.lease is not None and daemon.identity is not None
    started_with = Path(f"/proc/{courier['pid']}/environ").read_bytes().split(b"\0")
    marks = [one for one in started_with if one.startswith(b"KUGETSU_LEASE=")]
    assert marks == [f"KUGETSU_LEASE=courier-of-{daemon.identity['pid']}".encode()]


def test_there_is_one_courier_and_a_new_daemon_finds_the_old_ones(stage: Stage) -> None:
    stage.configure(NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_queued")
    stage.start_daemon()
    enabled(stage, "command")
    first = NOTIFIER.holder(stage.ws.paths)
    assert first is not None and NOTIFIER.take(stage.ws.paths) is None
    second = stage.python("import sys; from kugetsu.runtime.notifications import notifier; sys.exit(notifier.main())")
    assert second.wait(PATIENCE) == 0
    keeper = notifier_supervisor.NotifierSupervisor(stage.ws)
    assert keeper.step(stage.state) is None and keeper.fileno() is not None
    assert NOTIFIER.holder(stage.ws.paths) == first


def test_on_a_full_disk_the_courier_waits_and_says_so(stage: Stage) -> None:
    import resource

    stage.configure(
        NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_queued", MIN_FREE_MEMORY_MB="1000000"
    )
    stage.start_daemon()
    enabled(stage, "command")
    courier = NOTIFIER.holder(stage.ws.paths)
    assert courier is not None
    size = max(path.stat().st_size for path in (stage.directory / "log").glob("*.jsonl"))
    resource.prlimit(courier["pid"], resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    stage.enqueue(1)
    stage.until(lambda: "command: waiting: " in courier_log(stage))
    assert got(stage) == [] and stage.events("notice.sending") == []
    resource.prlimit(courier["pid"], resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    stage.wait("notice.sent")
    stage.until(lambda: "command: recovered" in courier_log(stage))
    assert len(got(stage)) == 1
    assert identity.alive(courier)


def test_on_a_damaged_log_the_courier_waits_says_so_and_ends_with_the_daemon(stage: Stage) -> None:
    stage.configure(NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_queued")
    stage.start_daemon()
    enabled(stage, "command")
    (segment,) = (stage.directory / "log").glob("*.jsonl")
    whole = segment.read_bytes()
    daemon = stage.state.daemon.identity
    stage.ws.close()
    with segment.open("ab") as file:
        file.write(b'{"seq":999,"nonsense":1}\n')
    stage.until(lambda: "waiting: " in courier_log(stage))
    stage.kill(daemon)
    assert eventually(lambda: not NOTIFIER.alive(stage.ws.paths), PATIENCE), courier_log(stage)
    assert "ending: " in courier_log(stage)
    segment.write_bytes(whole)


def test_nothing_that_the_daemon_or_the_courier_write_has_the_webhooks_url(stage: Stage) -> None:
    receiver = Receiver()
    receiver.status = 500
    set_secret(stage, NOTIFY_WEBHOOK_URL=receiver.url)
    stage.configure(NOTIFY_SINKS="webhook", NOTIFY_EVENTS="task_queued", MIN_FREE_MEMORY_MB="1000000")
    stage.start_daemon()
    enabled(stage, "webhook")
    stage.enqueue(1)
    stage.wait("notice.failed")
    receiver.close()
    for path in [*stage.directory.glob("log/*"), *stage.directory.glob("logs/*")]:
        if path.is_file():
            assert SECRET not in path.read_text(errors="replace"), path
