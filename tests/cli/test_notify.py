"""`kugetsu notify`: list, clear, watch, sinks, test."""

from __future__ import annotations

import json
import signal
import time

import pytest

from cli.test_json_shapes import compare, documented
from kugetsu.domain.decide import daemon, notifications, queue
from kugetsu.model.errors import LogDamaged

SECRET = "ghp_" + "a1B2" * 9


@pytest.fixture
def lived(parked):
    """q1 parked, q2 completed by itself, q3 failed, q4 lost its agent, then the daemon; q5 waits."""
    parked.agent = "command:another"  # the usage limit is not its
    parked.at("10:45:00", "kugetsu queue-daemon").daemon(alive=False)
    for number, (how, verdict, reason) in enumerate(
        [
            ("succeed", "done", "2 commits, pushed"),
            ("fail", "give_up", "the prompt is too long for its model"),
            ("lose", "retry", "its runner was killed"),
        ],
        start=2,
    ):
        parked.at(f"11:0{number}:00").enqueue(f"task {number}", issue=f"github.com/a/b#{number}")
        parked.finish(parked.run(f"q{number}"), how, verdict, reason)
    parked.at("12:00:00").do(daemon.lost)
    parked.enqueue("\x1b[2Jsee\tto it: " + SECRET, issue="git.example.org/with-a-long-owner/and-a-long-repository#5")
    return parked


@pytest.fixture
def told(kugetsu, lived):
    """The command on that story, at 12:30."""

    def run(*words, **more):
        return kugetsu("notify", *words, at="12:30:00", **more)

    return run


def seqs(shown):
    return [notice["seq"] for notice in shown.json["notices"]]


def test_what_is_unread_is_listed_the_oldest_first(told, snapshot, fits):
    shown = told("list")
    assert shown.code == 0 and fits(shown.out)
    snapshot("notify-list", shown.out)
    assert shown.err == "mark as read: kugetsu notify clear\n"
    assert SECRET not in shown.out and "\x1b" not in shown.out


def test_a_narrow_screen_cuts_texts_and_no_line_is_wider(told, snapshot, fits):
    shown = told("list", COLUMNS="60")
    assert fits(shown.out, 60)
    snapshot("notify-list-narrow", shown.out)


def test_the_json_of_a_list_is_as_documented(told):
    shown = told("list", "--json")
    compare(shown.json, documented("notify list"))
    assert shown.json["unread"] == len(shown.json["notices"]) and not shown.json["more"]
    lost = shown.json["notices"][-2]
    assert (lost["type"], lost["issue"], lost["url"]) == ("agent_lost", None, None)
    assert shown.json["notices"][0]["url"] == "https://github.com/shoko/kugetsu/issues/14"


def test_what_was_marked_is_listed_on_request_only(told, kugetsu):
    first = seqs(told("list", "--json"))
    cleared = told("clear", "--until", str(first[2]), "--json")
    compare(cleared.json, documented("notify clear"))
    assert cleared.json == {"marked": 3, "more": False, "read_until": first[2], "seq": 42}
    assert seqs(told("list", "--json")) == first[3:]
    every = told("list", "--all", "--json").json["notices"]
    assert [notice["read"] for notice in every] == [True] * 3 + [False] * (len(first) - 3)
    assert f"marked {len(first) - 3} notifications as read" in told("clear").out
    shown = told("list")
    assert shown.out == "nothing is unread\n" and "kugetsu notify list --all" in shown.err


def test_marking_twice_changes_nothing(told, lived):
    assert told("clear").code == 0
    head = lived.log.head()
    again = told("clear")
    assert (again.code, again.out) == (0, "nothing to mark: all of them are already read\n")
    assert lived.log.head() == head
    (event,) = [event for event in lived.log.read() if event["type"] == "notices.read"]
    assert event["by"]["cmd"] == "kugetsu notify clear"


def test_the_latest_are_shown_and_the_rest_is_named(told):
    every = seqs(told("list", "--json"))
    shown = told("list", "--limit", "2", "--json")
    assert seqs(shown) == every[-2:] and shown.json["more"] is True
    assert "--limit N shows the latest N" in told("list", "--limit", "2").err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["list", "--limit", "0"], 3, "must be between 1 and 1000"),
        (["list", "--limit", "many"], 3, "not a whole number"),
        (["clear", "--until", "99999"], 4, "no event 99999"),
        (["clear", "--until", "-1"], 4, "no event -1"),
        (["test", "pigeon"], 3, "unknown sink: 'pigeon'"),
        (["test"], 1, "no sink is set"),
    ],
)
def test_bad_input_names_the_remedy(told, words, code, says):
    shown = told(*words)
    assert (shown.code, shown.out) == (code, "") and says in shown.err and "hint: " in shown.err


@pytest.mark.parametrize("words", [["list"], ["clear"], ["watch"], ["sinks"], ["test"]])
def test_a_directory_that_is_not_set_up_is_said_to_be(kugetsu, words):
    shown = kugetsu("notify", *words)
    assert shown.code == 1 and "kugetsu is not set up here yet" in shown.err and "hint: kugetsu init" in shown.err
    assert kugetsu("notify", *words, "--json").json["error"]["exit_code"] == 1


def test_nothing_that_happened_yet_is_said_so(kugetsu, story):
    assert kugetsu("notify", "list").out == "nothing is unread\n"
    assert kugetsu("notify", "list", "--all").out == "no notifications yet\n"
    assert kugetsu("notify", "clear", "--json").json == {"marked": 0, "more": False, "read_until": 0, "seq": None}


def test_a_damaged_log_is_told_as_one(told, kugetsu):
    (segment,) = (kugetsu.root / "log").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"too long", b"too lang"))
    assert told("list").code == LogDamaged.exit_code == 6


# --- watch -----------------------------------------------------------------------------------------------------------


def lines_of(process, count):
    return [process.stdout.readline().decode().rstrip("\n") for _ in range(count)]


def test_watching_goes_on_with_what_comes_until_interrupted(kugetsu, story):
    story.enqueue("first")
    watch = kugetsu.popen("notify", "watch", "--json")
    (first,) = map(json.loads, lines_of(watch, 1))
    story.enqueue("second")
    (second,) = map(json.loads, lines_of(watch, 1))
    compare(second, documented("notify watch"))
    assert (first["text"], second["text"]) == ("first", "second")
    watch.send_signal(signal.SIGINT)
    assert watch.wait(30) == 130
    assert watch.communicate() == (b"", b"")


def test_watching_on_a_terminal_shows_rows(kugetsu, story):
    watch = kugetsu.popen("notify", "watch")
    assert b"nothing is unread; new ones appear here until Ctrl-C" in watch.stderr.readline()
    story.at("10:00:00").enqueue("first \x1b[2J" + "x" * 200)
    (row,) = lines_of(watch, 1)
    assert "task_queued     q1     shoko/kugetsu#14  first [2Jxxx" in row
    assert "\x1b" not in row and len(row) <= 80 and row.endswith("…")
    watch.send_signal(signal.SIGINT)
    assert watch.wait(30) == 130
    watch.communicate()


def test_watching_may_begin_with_what_was_read(kugetsu, story):
    story.enqueue("first")
    assert kugetsu("notify", "clear").code == 0
    watch = kugetsu.popen("notify", "watch", "--all", "--json")
    assert json.loads(lines_of(watch, 1)[0])["read"] is True
    watch.send_signal(signal.SIGINT)
    assert watch.wait(30) == 130
    watch.communicate()


# --- sinks and test --------------------------------------------------------------------------------------------------


@pytest.fixture
def served(kugetsu, lived):
    """Sinks in several conditions: a delivery sent, one that is to be tried again, one under way, a sink taken out."""
    kugetsu.environment |= {
        "NOTIFY_SINKS": "command webhook comment",
        "NOTIFY_COMMAND": f"notify-me --token={SECRET} --to shoko",
    }
    for name in ("command", "webhook", "comment", "desktop"):
        lived.do(lambda state, name=name: notifications.enable(state, name))
    lived.enqueue("one more")
    seq = lived.log.head().seq
    lanes = {"command": "all", "webhook": "all", "comment": "github.com/shoko/kugetsu#14"}

    def begin(name):
        after = lived.log.state().outbox[name]["upto"]
        batch = notifications.Batch(lanes[name], [seq])
        return lived.do(lambda state: notifications.sending(state, name, [batch], after, seq))[0]["data"]["delivery"]

    sent, failed = begin("command"), begin("webhook")
    begin("comment")
    lived.do(lambda state: notifications.sent(state, "command", sent, "exit 0"))
    lived.do(
        lambda state: notifications.failed(
            state, "webhook", failed, "answered 503", now="2026-11-23T12:20:00.000000Z", asked=1200.0
        )
    )
    return kugetsu


def test_the_sinks_and_how_their_deliveries_go(told, served, snapshot, fits):
    shown = told("sinks")
    assert shown.code == 0
    snapshot("notify-sinks", shown.out)
    assert SECRET not in shown.out and "no daemon is running: kugetsu queue-daemon start" in shown.err
    assert fits(told("sinks", COLUMNS="60").out, 60)
    compare(told("sinks", "--json").json, documented("notify sinks"))


def test_what_was_given_up_wants_a_look_until_it_was_read_or_the_next_arrives(told, served, lived):
    """Nobody hears by a sink that this sink is broken."""
    lived.do(lambda state: notifications.sending_again(state, "webhook", opened(state), 0))
    lived.do(
        lambda state: notifications.failed(state, "webhook", opened(state), "answered 404", now=lived.time, again=False)
    )
    one = next(one for one in served("status", "--json").json["attention"] if one["subject"] == "webhook")
    assert one["command"] == "kugetsu notify test webhook" and "answered 404" in one["text"]
    assert "1 given up since" in told("sinks").out
    compare(told("sinks", "--json").json, documented("notify sinks"))
    told("clear")
    assert "webhook" not in served("status").out


def opened(state):
    return next(iter(state.outbox["webhook"]["open"]))


def test_without_sinks_it_is_said_how_to_have_one(kugetsu, story):
    shown = kugetsu("notify", "sinks")
    assert shown.out == "no sink is set: notifications are only listed\n"
    assert "kugetsu config set NOTIFY_SINKS desktop" in shown.err


def test_a_test_shows_each_sinks_result_and_fails_with_one(kugetsu, story):
    out = kugetsu.folder / "said"
    kugetsu.environment["NOTIFY_COMMAND"] = f"sh -c 'cat > {out}; echo $KUGETSU_NOTICE_TYPE >> {out}'"
    kugetsu.environment["NOTIFY_SINKS"] = "command"
    shown = kugetsu("notify", "test")
    assert (shown.code, shown.out) == (0, "command  ok: exit 0\n")
    assert out.read_text() == "kugetsu: this is a test, sent by kugetsu notify test\ntest\n"
    shown = kugetsu("notify", "test", "command", "webhook", "comment", KUGETSU_FORGE="off")
    assert shown.code == 1
    assert shown.out.splitlines() == [
        "command  ok: exit 0",
        "webhook  failed: no URL: kugetsu env set --agent notify NOTIFY_WEBHOOK_URL",
        "comment  failed: KUGETSU_FORGE is off",
    ]
    shown = kugetsu("notify", "test", "webhook", "--json")
    assert shown.code == 1 and shown.json["results"][0]["sent"] is False
    compare(shown.json, documented("notify test"))
    assert [event for event in story.log.read() if event["type"].startswith("notice")] == []


def test_what_a_sink_did_is_told_in_words(served, lived, snapshot, monkeypatch):
    from kugetsu.views.wording import words

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    kinds = ("sink.", "notice.")
    told = [f"{event['type']:<16}{words(event)}" for event in lived.log.read() if event["type"].startswith(kinds)]
    snapshot("notify-words", "\n".join(told) + "\n")
    assert "notice.failed" in served("history", "--all").out


@pytest.mark.parametrize("terminal", [False, True])
def test_colours_are_for_terminals_only(told, terminal):
    from kugetsu.runtime.notifications.notice import notice_of
    from kugetsu.views import notifications as view
    from kugetsu.views.screen import Screen

    event = {
        "seq": 1,
        "at": "2026-11-23T12:00:00.000000Z",
        "type": "task.failed",
        "task": "q1",
        "data": {"reason": "x"},
    }
    notice = notice_of(event)
    screen = Screen(width=80, colour=terminal, now=event["at"])
    for shown in (*view.lines([notice], screen)[1:], view.coming(notice, screen)):
        assert ("\x1b[31m" in shown) is terminal


def test_a_notification_tells_the_title_and_what_came_of_the_task(kugetsu, story):
    task = story.at("10:00:00").enqueue("Parse empty input\nand more")
    evidence = {"commits": 2, "pushed": True}
    story.finish(story.run(task), "succeed", "done", "2 commits, pushed", evidence=evidence)
    told = {one["type"]: one for one in kugetsu("notify", "list", "--json").json["notices"]}
    done = told["task_completed"]
    assert (done["title"], done["result"], done["words"]) == ("Parse empty input", "pushed", "pushed, no PR")
    assert done["text"] == "2 commits, pushed", "scripts know it"
    assert told["task_queued"]["result"] is None and told["task_queued"]["title"] == "Parse empty input"
    assert "pushed, no PR · 2 commits, pushed · Parse empty input" in kugetsu("notify", "list", COLUMNS="160").out
    story.do(lambda state: queue.retry(state, task))
    again = kugetsu("notify", "list", "--json").json["notices"]
    assert next(one for one in again if one["type"] == "task_completed")["result"] is None, "it goes on"
