"""What a message says, and the sinks desktop, command and webhook with real programs and a real server."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kugetsu.runtime.notifications import message, sinks
from kugetsu.runtime.notifications.notice import Notice
from kugetsu.runtime.notifications.sinks import command, desktop, webhook
from kugetsu.runtime.notifications.sinks.sink import Outcome
from runtime.noticing import (
    AT,
    ISSUE,
    SECRET,
    Receiver,
    bare_stage,
    notice,
    receiver,
    screen,
    set_secret,
    stage,
    told,
)
from runtime.servers import Proxy, serving
from runtime.stage import PATIENCE, Stage
from runtime.supervised import ended, eventually

__all__ = ["bare_stage", "receiver", "screen", "stage"]


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
    lost = Notice(1, AT, "agent_lost", "the daemon was lost")
    assert message.line(lost) == "kugetsu: the daemon was lost"
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
    monkeypatch.setattr(command, "LIMIT_SECONDS", 1.5)
    stage.configure(
        NOTIFY_COMMAND='sh -c \'trap "" TERM; sleep 600 & echo $! > "$STAGE/child"; echo $$ > "$STAGE/me"; wait; wait\''
    )
    outcome = sinks.make("command", stage.ws).deliver(told(notice(1)), again=False)
    assert not outcome.sent and outcome.text == "timed out after 1.5 s"
    for name in ("me", "child"):
        assert eventually(lambda name=name: ended(int(stage.file(name))), PATIENCE)  # type: ignore[misc]


def test_what_a_command_leaves_running_holds_nothing_up_and_is_ended(stage: Stage) -> None:
    stage.configure(NOTIFY_COMMAND="sh -c 'sleep 600 & echo $! > \"$STAGE/child\"'")
    assert sinks.make("command", stage.ws).deliver(told(notice(1)), again=False).sent
    assert eventually(lambda: ended(int(stage.file("child"))), PATIENCE)


def test_a_command_that_prints_without_end_is_read_and_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LIMIT_SECONDS", 1.5)
    stage.configure(NOTIFY_COMMAND="yes no")
    outcome = sinks.make("command", stage.ws).deliver(told(notice(1)), again=False)
    assert outcome.text == "timed out after 1.5 s: no"


# --- the sink `desktop` ----------------------------------------------------------------------------------------------


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


def post(stage: Stage) -> Outcome:
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


def test_a_webhook_goes_by_the_proxy_of_the_environment(
    stage: Stage, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Proxy(urlsplit(receiver.url).port or 0, "me:hunter2-secret")) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:hunter2-secret@127.0.0.1:{proxy.port}")
        set_secret(stage, NOTIFY_WEBHOOK_URL="http://hooks.test/x")
        assert post(stage).sent
        assert proxy.asked == ["POST http://hooks.test/x"] and len(receiver.requests) == 1
        monkeypatch.setenv("http_proxy", f"http://me:wrong-secret@127.0.0.1:{proxy.port}")
        assert post(stage).text == "answered 407"
        monkeypatch.setenv("http_proxy", "socks5://me:hunter2-secret@127.0.0.1:1")
        refused = post(stage)
        assert not refused.sent and "http_proxy is not an http or https proxy" in refused.text
        assert "hunter2" not in refused.text


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


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://127.0.0.1:1/x", "the connection was refused, or its host is unreachable"),
        ("http://no-such-host.invalid/x", "its host is not known"),
        ("ftp://example.org/x", "NOTIFY_WEBHOOK_URL is not an http or https URL"),
    ],
)
def test_an_error_says_what_is_wrong(stage: Stage, url: str, text: str) -> None:
    set_secret(stage, NOTIFY_WEBHOOK_URL=url)
    assert post(stage).text == text


def test_without_a_url_it_is_said_where_to_put_it(stage: Stage) -> None:
    outcome = post(stage)
    assert outcome.text == "no URL: kugetsu env set --agent notify NOTIFY_WEBHOOK_URL" and outcome.again


def test_a_login_in_the_url_is_sent_as_one(stage: Stage, receiver: Receiver) -> None:
    set_secret(stage, NOTIFY_WEBHOOK_URL=receiver.url.replace("://", "://me:pw@"))
    assert post(stage).sent
    assert receiver.requests[0][0]["authorization"] == "Basic bWU6cHc="
