"""Sinks and their outbox with real programs and a real server; then the courier beside a real daemon."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kugetsu import clock
from kugetsu.domain.decide import notices as decide
from kugetsu.domain.notices import Notice
from kugetsu.runtime.notices import keeping, message, presence, reading, sinks
from kugetsu.runtime.notices.outbox import INTERRUPTED, Outbox
from kugetsu.runtime.notices.sinks import command, comment, desktop, webhook
from kugetsu.runtime.process import identity
from runtime.stage import COMMIT, PATIENCE, UNTIL_GO, Stage, bare_stage
from runtime.supervised import ended, eventually

__all__ = ["bare_stage"]

AT = "2026-11-23T12:00:00.000000Z"
ISSUE = "git.example.org/o/r#1"
SECRET = "tok_" + "s3cr3t" * 5
#: Appends the id of each delivery to $STAGE/got, a line each.
NOTE = "sh -c 'echo $KUGETSU_NOTICE_DELIVERY >> \"$STAGE/got\"'"


@pytest.fixture
def stage(bare_stage: Stage) -> Iterator[Stage]:
    """A kugetsu that is set up; no courier is left when the test is over."""
    bare_stage.set_up()
    yield bare_stage
    bare_stage.check()
    if (daemon := bare_stage.state.daemon.identity) is not None:
        identity.signal(daemon, signal.SIGKILL)
    if (courier := presence.holder(bare_stage.ws.paths)) is not None:
        identity.signal(courier, signal.SIGKILL)
    assert eventually(lambda: not presence.alive(bare_stage.ws.paths), PATIENCE)


def notice(seq: int, type: str = "task_completed", text: str = "all done", issue: str | None = ISSUE) -> Notice:
    made = Notice({"seq": seq, "at": AT, "issue": issue, "task": f"q{seq}"}, type, text)
    made.url = f"https://git.example.org/o/r/issues/{seq}" if issue else None
    return made


def told(*notices: Notice, over: int = 5) -> message.Message:
    return message.compose("log-1-x-1-2", "all", notices, over)


def set_secret(stage: Stage, **values: str) -> None:
    folder = stage.directory / "env"
    folder.mkdir(exist_ok=True)
    path = folder / "notify.env"
    path.touch(mode=0o600)
    path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))


# --- what a message says ---------------------------------------------------------------------------------------------


def test_one_notification_is_told_with_its_page() -> None:
    said = told(notice(1))
    assert said.title == "kugetsu: q1 completed"
    assert said.text == f"{ISSUE} q1 completed: all done\nhttps://git.example.org/o/r/issues/1"
    assert (said.type, said.urgency) == ("task_completed", "normal")


def test_a_few_have_a_line_each_and_a_burst_is_counted() -> None:
    few = told(notice(1), notice(2, "task_error", "no"))
    assert few.title == "kugetsu: 1 completed, 1 failed" and len(few.text.splitlines()) == 4
    assert (few.type, few.urgency) == ("digest", "critical")
    burst = told(*(notice(seq) for seq in range(1, 9)), notice(9, "task_parked"), over=3)
    assert burst.text.splitlines() == [
        "9 notifications: 8 completed, 1 parked",
        f"{ISSUE} q7 completed: all done",
        f"{ISSUE} q8 completed: all done",
        f"{ISSUE} q9 parked: all done",
        "and 6 more: kugetsu notify list",
    ]
    assert len(burst.json()["notices"]) == 9 and burst.json()["more"] == 0


def test_a_flood_fits_a_message_and_a_variable() -> None:
    flood = told(*(notice(seq, text="ä" * 300) for seq in range(1, 1001)), over=1_000_000)
    assert len(flood.text.splitlines()) == message.MOST_LINES + 2
    variables = command.about(flood)
    assert len(variables["KUGETSU_NOTICE_JSON"].encode()) <= 100_000
    shown = json.loads(variables["KUGETSU_NOTICE_JSON"])
    assert shown["notices"][-1]["seq"] == 1000 and shown["more"] + len(shown["notices"]) == 1000


def test_what_has_no_task_or_no_issue_is_told_all_the_same() -> None:
    lost = Notice({"seq": 1, "at": AT}, "agent_lost", "the daemon ended without a word")
    assert message.line(lost) == "kugetsu: the daemon ended without a word"
    assert message.line(notice(2, issue=None)) == "the PM agent q2 completed: all done"
    assert told(notice(1, "task_started")).urgency == "low"


# --- the sink `command` ----------------------------------------------------------------------------------------------


def test_a_command_gets_the_message_as_its_input_and_what_it_is_about(stage: Stage) -> None:
    stage.configure(NOTIFY_COMMAND='sh -c \'cat > "$STAGE/in"; env > "$STAGE/env"; pwd > "$STAGE/pwd"\'')
    set_secret(stage, NTFY_TOKEN=SECRET, NOTIFY_WEBHOOK_URL="https://hooks.example.org/x")
    said = told(notice(1))
    outcome = sinks.make("command", stage.ws).deliver(said, again=False)
    assert (outcome.sent, outcome.text) == (True, "exit 0")
    assert stage.file("in") == said.text + "\n"
    variables = dict(line.partition("=")[::2] for line in stage.file("env").splitlines())
    assert variables["KUGETSU_NOTICE_TYPE"] == "task_completed"
    assert (variables["KUGETSU_NOTICE_ISSUE"], variables["KUGETSU_NOTICE_TASK"]) == (ISSUE, "q1")
    assert variables["KUGETSU_NOTICE_DELIVERY"] == said.delivery
    assert json.loads(variables["KUGETSU_NOTICE_JSON"])["notices"][0]["text"] == "all done"
    assert variables["NTFY_TOKEN"] == SECRET and "NOTIFY_WEBHOOK_URL" not in variables


def test_a_command_gets_nothing_that_is_for_agents(stage: Stage) -> None:
    (stage.directory / "env").mkdir(exist_ok=True)
    path = stage.directory / "env" / "default.env"
    path.touch(mode=0o600)
    path.write_text(f"GITEA_TOKEN={SECRET}\n")
    stage.configure(NOTIFY_COMMAND="sh -c 'env > \"$STAGE/env\"'")
    assert sinks.make("command", stage.ws).deliver(told(notice(1)), again=False).sent
    assert SECRET not in stage.file("env")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("sh -c 'echo oops; exit 3'", "exit 3: oops"),
        ("sh -c 'kill -9 $$'", "ended by signal 9"),
        ("/no/such/program", "NOTIFY_COMMAND cannot be started: /no/such/program: No such file or directory"),
        ("say it's over", "NOTIFY_COMMAND cannot be split into words: No closing quotation"),
        ("false | false", "exit 1"),
        ("", "NOTIFY_COMMAND is empty: kugetsu config set NOTIFY_COMMAND '…'"),
    ],
)
def test_a_command_that_fails_says_how_and_is_tried_again(stage: Stage, line: str, reason: str) -> None:
    stage.configure(NOTIFY_COMMAND=line)
    outcome = sinks.make("command", stage.ws).deliver(told(notice(1)), again=False)
    assert (outcome.sent, outcome.again, outcome.text) == (False, True, reason)


def test_a_command_that_does_not_read_its_input_is_not_waited_for(stage: Stage) -> None:
    stage.configure(NOTIFY_COMMAND="true")
    flood = told(*(notice(seq, text="x" * 300) for seq in range(1, 1001)), over=1000)
    assert sinks.make("command", stage.ws).deliver(flood, again=False).sent


def test_a_command_that_hangs_is_ended_with_all_that_it_started(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LIMIT_SECONDS", 0.5)
    stage.configure(
        NOTIFY_COMMAND='sh -c \'trap "" TERM; sleep 600 & echo $! > "$STAGE/child"; echo $$ > "$STAGE/me"; wait; wait\''
    )
    outcome = sinks.make("command", stage.ws).deliver(told(notice(1)), again=False)
    assert not outcome.sent and outcome.text == "it took over 0.5 s and was ended"
    for name in ("me", "child"):
        assert eventually(lambda name=name: ended(int(stage.file(name))), PATIENCE)  # type: ignore[misc]


def test_what_a_command_leaves_running_holds_nothing_up_and_is_ended(stage: Stage) -> None:
    stage.configure(NOTIFY_COMMAND="sh -c 'sleep 600 & echo $! > \"$STAGE/child\"'")
    assert sinks.make("command", stage.ws).deliver(told(notice(1)), again=False).sent
    assert eventually(lambda: ended(int(stage.file("child"))), PATIENCE)


def test_a_command_that_prints_without_end_is_read_and_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LIMIT_SECONDS", 0.5)
    stage.configure(NOTIFY_COMMAND="yes no")
    outcome = sinks.make("command", stage.ws).deliver(told(notice(1)), again=False)
    assert outcome.text == "it took over 0.5 s and was ended: no"


# --- the sink `desktop` ----------------------------------------------------------------------------------------------


@pytest.fixture
def screen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with a notify-send that writes its arguments down; the file with them."""
    folder = stage.root / "bin"
    folder.mkdir()
    program = folder / "notify-send"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$STAGE/shown"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    monkeypatch.setattr(desktop.sys, "platform", "linux")
    return stage.folder / "shown"


def test_a_desktop_is_given_text_and_never_markup_or_options(stage: Stage, screen: Path) -> None:
    outcome = sinks.make("desktop", stage.ws).deliver(told(notice(1, "task_error", "<b>-i icon & co")), again=False)
    assert outcome.sent, outcome.text
    assert screen.read_text().splitlines()[:6] == [
        "--app-name=kugetsu",
        "--urgency=critical",
        "--",
        "kugetsu: q1 failed",
        f"{ISSUE} q1 failed: &lt;b&gt;-i icon &amp; co",
        "https://git.example.org/o/r/issues/1",
    ]


def test_without_a_desktop_it_is_said_and_not_tried_again(
    stage: Stage, screen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    outcome = sinks.make("desktop", stage.ws).deliver(told(notice(1)), again=False)
    assert (outcome.sent, outcome.again) == (False, False) and "no desktop session" in outcome.text
    monkeypatch.setenv("PATH", str(stage.folder))
    outcome = sinks.make("desktop", stage.ws).deliver(told(notice(1)), again=False)
    assert (outcome.again, outcome.text) == (False, "notify-send is not installed")


def test_on_a_mac_texts_are_arguments_of_the_script() -> None:
    said = told(notice(1, text='" & do shell script "touch /tmp/x'))
    words = desktop.command("/usr/bin/osascript", said)
    assert words[-2:] == [said.title, said.text]
    assert not any("touch" in word for word in words[:-2])


# --- the sink `webhook` ----------------------------------------------------------------------------------------------


class Receiver:
    """A server that answers as it is told to: a status, headers, ``hang`` or ``cut``."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.status: int | str = 204
        self.headers: dict[str, str] = {}
        self.over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append(({k.lower(): v for k, v in self.headers.items()}, json.loads(body)))
                if receiver.status == "hang":
                    receiver.over.wait(60)
                if isinstance(receiver.status, str):
                    self.close_connection = True
                    return
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks/{SECRET}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver(stage: Stage) -> Iterator[Receiver]:
    made = Receiver()
    set_secret(stage, NOTIFY_WEBHOOK_URL=made.url)
    yield made
    made.close()


def post(stage: Stage) -> sinks.Outcome:
    return sinks.make("webhook", stage.ws).deliver(told(notice(1)), again=False)


def test_a_webhook_gets_json_and_an_id_by_which_it_knows_a_repetition(stage: Stage, receiver: Receiver) -> None:
    assert post(stage).sent and post(stage).sent
    (headers, body), (again, _) = receiver.requests
    assert body["delivery"] == headers["idempotency-key"] == headers["x-kugetsu-delivery"] == "log-1-x-1-2"
    assert again["idempotency-key"] == headers["idempotency-key"]
    assert headers["content-type"] == "application/json"
    assert "q1 completed: all done" in body["text"] and body["notices"][0]["type"] == "task_completed"


@pytest.mark.parametrize(
    ("status", "headers", "again", "asked", "text"),
    [
        (500, {}, True, 0.0, "answered 500"),
        (503, {"Retry-After": "120"}, True, 120.0, "answered 503"),
        (429, {"Retry-After": "7"}, True, 7.0, "answered 429"),
        (429, {"Retry-After": "soon"}, True, 0.0, "answered 429"),
        (408, {}, True, 0.0, "answered 408"),
        (404, {"Retry-After": "7"}, False, 0.0, "answered 404"),
        (401, {}, False, 0.0, "answered 401"),
        (302, {"Location": "/x"}, False, 0.0, "answered 302: redirects are not followed, give the final URL"),
        ("cut", {}, True, 0.0, "the connection was cut"),
    ],
)
def test_what_a_webhook_answers_decides_on_another_try(
    stage: Stage,
    receiver: Receiver,
    status: int | str,
    headers: dict[str, str],
    again: bool,
    asked: float,
    text: str,
) -> None:
    receiver.status, receiver.headers = status, headers
    outcome = post(stage)
    assert (outcome.sent, outcome.again, outcome.asked, outcome.text) == (False, again, asked, text)
    assert len(receiver.requests) == 1


def test_a_retry_date_is_understood(stage: Stage, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 429, {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}
    assert post(stage).asked > 365 * 86_400
    receiver.headers = {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}
    assert post(stage).asked == 0


def test_a_webhook_that_never_answers_is_given_up_for_now(
    stage: Stage, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "ANSWER_SECONDS", 0.3)
    receiver.status = "hang"
    outcome = post(stage)
    assert (outcome.again, outcome.text) == (True, "no answer within 0.3 s")


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:1/{SECRET}",
        f"http://{SECRET}.invalid/x",
        f"ftp://example.org/{SECRET}",
        f"http://[{SECRET}/x",
        SECRET,
        f"https://127.0.0.1:1/{SECRET}",
    ],
)
def test_no_error_tells_the_url(stage: Stage, url: str) -> None:
    set_secret(stage, NOTIFY_WEBHOOK_URL=url)
    outcome = post(stage)
    _, setup = sinks.make("webhook", stage.ws).describe()
    assert not outcome.sent and outcome.again
    for text in (outcome.text, setup):
        assert SECRET not in text and "127.0.0.1" not in text and "invalid" not in text


def test_without_a_url_it_is_said_where_to_put_it(stage: Stage) -> None:
    outcome = post(stage)
    assert outcome.text == "NOTIFY_WEBHOOK_URL is not set: put it into env/notify.env" and outcome.again


def test_a_login_in_the_url_is_sent_as_one(stage: Stage, receiver: Receiver) -> None:
    set_secret(stage, NOTIFY_WEBHOOK_URL=receiver.url.replace("://", "://me:pw@"))
    assert post(stage).sent
    assert receiver.requests[0][0]["authorization"] == "Basic bWU6cHc="


# --- the sink `comment` ----------------------------------------------------------------------------------------------


def test_a_comment_shows_foreign_text_as_text_and_ends_with_its_marker() -> None:
    said = told(notice(1, text="see @all `rm` <!-- kugetsu:log-1-x-9-9 -->"), notice(2))
    body = comment.body(said)
    assert body.splitlines() == [
        "kugetsu: `q1` completed: `see @all 'rm' <! -- kugetsu:log-1-x-9-9 -->`",
        "",
        "kugetsu: `q2` completed: `all done`",
        "",
        "<!-- kugetsu:log-1-x-1-2 -->",
    ]


def test_comments_take_what_ends_a_task_of_an_issue_on_a_server(stage: Stage) -> None:
    sink = sinks.make("comment", stage.ws)
    assert sink.lane(notice(1, "task_error")) == ISSUE
    assert sink.lane(notice(1, "task_started")) is None
    assert sink.lane(notice(1, issue=None)) is None
    assert sink.lane(notice(1, issue="local/o/r#1")) is None


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
    stage.ws.log.transact(lambda state: decide.failed(state, "command", given_up, "no", now=clock.now(), again=False))
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


# --- the courier beside the daemon -----------------------------------------------------------------------------------


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
    assert not presence.alive(stage.ws.paths), "without sinks there is no courier"
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
    stage.until(lambda: not presence.alive(stage.ws.paths))
    stage.enqueue(1)
    stage.configure(NOTIFY_SINKS="command")
    enabled(stage, "command")
    stage.enqueue(2)
    stage.wait("notice.sent")
    queued = [event["seq"] for event in stage.events("task.queued")]
    assert [event["data"]["seqs"] for event in stage.events("notice.sending")] == [[queued[1]]]


def test_what_happens_while_no_daemon_runs_is_told_later_and_the_last_of_a_drain_at_once(stage: Stage) -> None:
    from kugetsu.runtime import daemon_control

    stage.configure(NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_completed")
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    enabled(stage, "command")
    task = stage.enqueue(1)
    stage.at_work(f"{task}.1")
    stage.go()
    assert daemon_control.stop(stage.ws, drain=True)
    stage.until(lambda: not presence.alive(stage.ws.paths))
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
    from kugetsu.runtime import daemon_control

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
    courier = presence.holder(stage.ws.paths)
    stage.kill(courier)
    stage.kill(hanging)


def test_a_courier_that_crashes_again_and_again_is_started_with_pauses_and_stops_nothing(stage: Stage) -> None:
    (stage.directory / "leases" / presence.NAME).mkdir(parents=True)
    stage.configure(NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_completed")
    stage.start_daemon()
    log = stage.directory / "logs" / "daemon.log"
    stage.until(lambda: log.read_text().count("the courier ended with status 1") >= 2)
    assert "it is started again in 4 s" in log.read_text()
    assert stage.finished(stage.enqueue(1)) == "completed"
    (stage.directory / "leases" / presence.NAME).rmdir()
    enabled(stage, "command")
    stage.enqueue(2)
    stage.wait("notice.sent")


def test_a_courier_that_died_is_started_again_and_goes_on(stage: Stage) -> None:
    stage.configure(
        NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_queued", MIN_FREE_MEMORY_MB="1000000"
    )
    stage.start_daemon()
    enabled(stage, "command")
    stage.kill(presence.holder(stage.ws.paths))
    stage.enqueue(1)
    stage.wait("notice.sent")
    assert "the courier ended with signal 9" in (stage.directory / "logs" / "daemon.log").read_text()


def test_there_is_one_courier_and_a_new_daemon_finds_the_old_ones(stage: Stage) -> None:
    stage.configure(NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_queued")
    stage.start_daemon()
    enabled(stage, "command")
    first = presence.holder(stage.ws.paths)
    assert first is not None and presence.take(stage.ws.paths) is None
    second = stage.python("import sys; from kugetsu.runtime.notices import courier; sys.exit(courier.main())")
    assert second.wait(PATIENCE) == 0
    keeper = keeping.Keeper(stage.ws)
    assert keeper.look(stage.state) is None and keeper.fileno() is not None
    assert presence.holder(stage.ws.paths) == first


def test_on_a_full_disk_the_courier_waits_and_says_so(stage: Stage) -> None:
    import resource

    stage.configure(
        NOTIFY_SINKS="command", NOTIFY_COMMAND=NOTE, NOTIFY_EVENTS="task_queued", MIN_FREE_MEMORY_MB="1000000"
    )
    stage.start_daemon()
    enabled(stage, "command")
    courier = presence.holder(stage.ws.paths)
    assert courier is not None
    size = max(path.stat().st_size for path in (stage.directory / "log").glob("*.jsonl"))
    resource.prlimit(courier["pid"], resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    stage.enqueue(1)
    stage.until(lambda: "command: waits: " in courier_log(stage))
    assert got(stage) == [] and stage.events("notice.sending") == []
    resource.prlimit(courier["pid"], resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    stage.wait("notice.sent")
    assert len(got(stage)) == 1 and "command: goes on" in courier_log(stage)
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
    stage.until(lambda: "waits: " in courier_log(stage))
    stage.kill(daemon)
    assert eventually(lambda: not presence.alive(stage.ws.paths), PATIENCE), courier_log(stage)
    assert "ends: " in courier_log(stage)
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
