"""The daily report: due once a day whatever the clock does, and delivered by the sinks like any notification."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.scripted import ScriptedForge
from kugetsu.domain.decide import notifications as decide
from kugetsu.domain.decide import reports, reviews
from kugetsu.model.settings import SETTINGS
from kugetsu.runtime.notifications import daily_report, message, sinks
from kugetsu.runtime.notifications.outbox import Outbox
from kugetsu.runtime.notifications.sinks import comment, desktop
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.named_lease import NOTIFIER
from runtime.noticing import SECRET, Receiver, bare_stage, notice, receiver, stage
from runtime.stage import COMMIT, Stage

__all__ = ["bare_stage", "receiver", "stage"]

#: Appends each message that the sink `command` gets to $STAGE/got, and a line that says of what kind it is.
WRITE = 'sh -c \'cat >> "$STAGE/got"; echo "== $KUGETSU_NOTICE_TYPE" >> "$STAGE/got"\''


# --- when it is due --------------------------------------------------------------------------------------------------


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("now", "at", "day"),
    [
        ("2026-11-23T05:59:59.000000Z", "07:00", None),
        ("2026-11-23T06:00:00.000000Z", "07:00", "2026-11-23"),
        ("2026-11-23T22:59:00.000000Z", "07:00", "2026-11-23"),
        ("2026-11-23T23:00:00.000000Z", "07:00", None),
        ("2026-07-23T05:00:00.000000Z", "07:00", "2026-07-23"),
        ("2026-03-29T01:00:00.000000Z", "02:30", "2026-03-29"),  # 03:00: the clock never showed 02:30
        ("2026-11-23T12:00:00.000000Z", "", None),
    ],
)
def test_it_is_due_when_the_machines_clock_is_past_the_time(berlin: None, now: str, at: str, day: str | None) -> None:
    assert daily_report.day_due(now, at) == day


@pytest.mark.parametrize(("text", "read"), [("7:00", "07:00"), ("23:59", "23:59"), ("", ""), (" 07:05 ", "07:05")])
def test_the_time_is_a_time_of_day(text: str, read: str) -> None:
    assert SETTINGS["NOTIFY_REPORT_AT"].read(text) == read


@pytest.mark.parametrize("text", ["7", "24:00", "07:60", "7:5", "007:00", "-1:00", "noon", "07:00:00", "٧:00"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="07:00"):
        SETTINGS["NOTIFY_REPORT_AT"].read(text)


def test_the_notifier_sleeps_until_it_is_due(berlin: None) -> None:
    assert daily_report.seconds_until("2026-11-23T05:59:50.000000Z", "07:00") == 10
    assert daily_report.seconds_until("2026-11-23T06:00:00.000000Z", "07:00") == 86_400


def due(stage: Stage, day: str) -> list[dict[str, object]]:
    return stage.ws.log.transact(lambda state: reports.due(state, day))


def test_a_day_has_one_report_also_when_the_clock_is_set_back_over_midnight(stage: Stage) -> None:
    for day in ("2026-11-23", "2026-11-24", "2026-11-23", "2027-11-23", "2026-11-24", "2026-11-25"):
        due(stage, day)
    days = [event["data"]["day"] for event in stage.events("report.due")]
    assert days == ["2026-11-23", "2026-11-24", "2027-11-23", "2026-11-25"]


def test_it_begins_where_the_last_one_ended_or_was_acknowledged(stage: Stage) -> None:
    stage.enqueue(1)
    (first,) = due(stage, "2026-11-23")
    assert first["data"]["eventful"]
    (second,) = due(stage, "2026-11-24")
    assert (second["data"]["after"], second["data"]["eventful"]) == (first["seq"], False)
    stage.enqueue(2)
    stage.ws.log.transact(lambda state: reviews.acknowledge(state, state.seq))
    (third,) = due(stage, "2026-11-25")
    assert third["data"]["after"] == third["seq"] - 2 and not third["data"]["eventful"]


# --- how it is delivered ---------------------------------------------------------------------------------------------


def serve(stage: Stage, name: str) -> None:
    """Serve a sink once, by an outbox of its own."""
    box = Outbox(stage.ws, name, stage.ws.log.transact, lambda: False)
    box.recover()
    while (taken := box.take()) is not None:
        box.deliver(taken)


def prepared(stage: Stage, name: str, **settings: str) -> None:
    """A sink that gets what happens from now on: one task is queued, and the report is due."""
    stage.configure(NOTIFY_EVENTS="task_error", MIN_FREE_MEMORY_MB="1000000", **settings)
    stage.ws.log.transact(lambda state: decide.enable(state, name))
    stage.enqueue(1, "mend the parser")
    due(stage, "2026-11-23")


def test_a_command_gets_the_report_as_its_input_once(stage: Stage) -> None:
    prepared(stage, "command", NOTIFY_COMMAND=WRITE)
    serve(stage, "command")
    serve(stage, "command")
    got = stage.file("got")
    assert "1 task: 1 waits" in got and "WAITING  " in got
    assert got.count("== report") == 1
    assert [event["type"] for event in stage.events("notice.sending", "notice.sent")] == [
        "notice.sending",
        "notice.sent",
    ]


def test_a_day_without_tasks_sends_nothing(stage: Stage) -> None:
    stage.configure(NOTIFY_COMMAND=WRITE)
    stage.ws.log.transact(lambda state: decide.enable(state, "command"))
    due(stage, "2026-11-23")
    serve(stage, "command")
    assert stage.events("report.due")[0]["data"]["eventful"] is False
    assert stage.events("notice.sending") == []


def test_a_webhook_that_fails_gets_the_same_delivery_again(stage: Stage, receiver: Receiver) -> None:
    prepared(stage, "webhook")
    receiver.status = 503
    serve(stage, "webhook")
    receiver.status = 204
    (delivery,) = stage.state.outbox["webhook"]["open"]
    Outbox(stage.ws, "webhook", stage.ws.log.transact, lambda: False).retry(delivery)
    ids = [headers["idempotency-key"] for headers, _ in receiver.requests]
    assert ids == [delivery, delivery]
    body = receiver.requests[-1][1]
    assert body["report"]["counts"]["waiting"] == 1 and body["report"]["tasks"] == 1
    assert body["text"].splitlines()[1].startswith("1 task: 1 waits")
    assert body["markdown"].startswith("**1 task: 1 waits")
    assert [one["type"] for one in body["notices"]] == ["report"]


def test_what_happened_beside_it_is_told_with_it(stage: Stage) -> None:
    prepared(stage, "command", NOTIFY_COMMAND=WRITE)
    stage.configure(NOTIFY_EVENTS="task_queued")
    stage.enqueue(2, "another")
    serve(stage, "command")
    got = stage.file("got")
    assert "== digest" in got and "2 tasks: 2 wait" in got and "queued: another" in got


def test_a_report_that_cannot_be_made_is_delivered_with_the_reason(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(stage, "command", NOTIFY_COMMAND=WRITE)
    monkeypatch.setattr(daily_report.sys, "executable", "/nowhere/python")
    serve(stage, "command")
    assert "the daily report cannot be made: " in stage.file("got")
    assert stage.events("notice.sent")


def test_a_bubble_shows_the_headline_only(stage: Stage) -> None:
    prepared(stage, "desktop")
    event = stage.events("report.due")[0]
    text = daily_report.read(stage.ws, event["seq"])
    said = message.compose("log-1-x-1-1", "all", [notice(event["seq"], "report", issue=None)], 5, text)
    words = desktop.command("/usr/bin/notify-send", said)
    assert words[-2] == "kugetsu: report"
    assert words[-1].startswith("1 task: 1 waits") and words[-1].endswith("\nkugetsu report")


@pytest.fixture
def forge(stage: Stage) -> Iterator[ScriptedForge]:
    with ScriptedForge(token=SECRET) as made:
        made.issue("acme/web", 7)
        env = stage.directory / "env"
        env.mkdir(exist_ok=True)
        (env / "forge.env").touch(mode=0o600)
        (env / "forge.env").write_text(f"GITEA_TOKEN={SECRET}\n")
        stage.configure(GIT_SERVERS=f"{made.host}={made.url}", DEFAULT_GIT_SERVER=made.host, KUGETSU_FORGE="auto")
        yield made


def test_comments_go_to_the_issue_that_is_named_for_it_and_are_posted_once(
    stage: Stage, forge: ScriptedForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(stage, "comment")
    serve(stage, "comment")
    assert stage.events("notice.sending") == [], "no issue is named for it"
    stage.configure(NOTIFY_REPORT_ISSUE="acme/web#7")
    stage.enqueue(2)
    due(stage, "2026-11-24")
    monkeypatch.setattr(comment, "_EARLIER", 10 * 366 * 86_400.0)  # the forge's clock shows another year
    forge.answer("POST", "/comments", carry_out=True, cut=True)
    serve(stage, "comment")
    (delivery,) = stage.state.outbox["comment"]["open"]
    Outbox(stage.ws, "comment", stage.ws.log.transact, lambda: False).retry(delivery)
    (body,) = forge.posted("acme/web", 7)
    assert body.startswith("**2 tasks: 2 wait") and body.rstrip().endswith(f"{delivery} -->")
    assert sinks.make("comment", stage.ws).lane(notice(1, "report", issue=None)) == f"{forge.host}/acme/web#7"


# --- beside a daemon -------------------------------------------------------------------------------------------------


def got(stage: Stage) -> str:
    path: Path = stage.folder / "got"
    return path.read_text() if path.exists() else ""


def test_a_notifier_that_is_killed_and_restarted_sends_one_report_a_day(stage: Stage) -> None:
    stage.agent(COMMIT)
    stage.configure(NOTIFY_SINKS="command", NOTIFY_COMMAND=WRITE, NOTIFY_EVENTS="task_error")
    stage.start_daemon()
    stage.until(lambda: "command" in stage.state.outbox)
    assert stage.finished(stage.enqueue(1)) == "completed"
    stage.configure(NOTIFY_REPORT_AT="00:00")
    stage.wait("notice.sent")
    identity.signal(NOTIFIER.holder(stage.ws.paths), 9)
    stage.until(lambda: not NOTIFIER.alive(stage.ws.paths))
    assert stage.finished(stage.enqueue(2)) == "completed"
    stage.until(lambda: NOTIFIER.alive(stage.ws.paths))
    stage.configure(NOTIFY_SINKS="")
    stage.until(lambda: stage.state.outbox == {})
    days = [event["data"]["day"] for event in stage.events("report.due")]
    assert len(days) == len(set(days)) == got(stage).count("== report") == len(stage.events("notice.sent"))
