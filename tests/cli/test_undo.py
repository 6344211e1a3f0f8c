"""`kugetsu undo`: what can be taken back is, with the question before it; what cannot is told why."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from kugetsu.domain.decide import queue, sessions
from kugetsu.domain.events import CATALOGUE


def _last(kugetsu):
    return kugetsu("history", "--all", "--json").out.splitlines()[-1]


def _order(kugetsu):
    return [task["task"] for task in kugetsu("queue", "list", "--json").json["tasks"] if task["state"] == "pending"]


@pytest.fixture
def three(story):
    """Three tasks of three issues wait."""
    for number in (1, 2, 3):
        story.at(f"10:00:0{number}", "kugetsu queue enqueue").enqueue(f"do {number}", issue=f"github.com/a/b#{number}")
    return story


def test_a_move_a_cancel_and_an_enqueue_are_undone_and_done_again(kugetsu, three):
    kugetsu("queue", "move", "q3", "--first")
    assert _order(kugetsu) == ["q3", "q1", "q2"]
    assert kugetsu("undo", "@", "--yes").code == 0
    assert _order(kugetsu) == ["q1", "q2", "q3"]
    kugetsu("undo", "@", "--yes")
    assert _order(kugetsu) == ["q3", "q1", "q2"]
    kugetsu("queue", "cancel", "q1")
    undone = kugetsu("undo", "@", "--yes")
    assert "in its old place" in undone.out and _order(kugetsu) == ["q3", "q1", "q2"]
    assert "kugetsu queue-daemon start" in undone.err
    assert kugetsu("undo", "3", "--yes").code == 0
    assert _order(kugetsu) == ["q3", "q2"]
    assert kugetsu("log", "verify").code == 0
    assert kugetsu("log", "verify", "--json").json["violations"] == []
    assert kugetsu("replay", "--verify").code == 0


def test_what_the_daemon_did_since_does_not_count_as_the_last(kugetsu, three):
    kugetsu("queue", "move", "q3", "--first")
    three.at("10:00:10", "kugetsu queue-daemon").daemon()
    assert kugetsu("undo", "@", "--yes").code == 0
    assert _order(kugetsu) == ["q1", "q2", "q3"]


def test_what_was_undone_already_is_said_and_nothing_is_appended(kugetsu, three):
    kugetsu("queue", "cancel", "q2")
    kugetsu("undo", "@", "--yes")
    last = _last(kugetsu)
    shown = kugetsu("undo", "6", "--yes", "--json")
    assert shown.code == 0 and shown.json == {"undone": [], "already": 7, "events": []}
    assert "by event 7: nothing to do" in kugetsu("undo", "6").out
    assert _last(kugetsu) == last


def test_what_was_undone_and_done_again_is_undone_by_its_last_event(kugetsu, three):
    kugetsu("queue", "cancel", "q2")
    for _ in range(2):
        kugetsu("undo", "@", "--yes")
    refused = kugetsu("undo", "6", "--yes")
    assert refused.code == 5 and "event 6 was undone by event 7 and that by event 8" in refused.err
    assert "hint: kugetsu undo 8" in refused.err and kugetsu("undo", "8", "--yes").code == 0
    assert "by event 9: nothing to do" in kugetsu("undo", "6", "--yes").out


@pytest.mark.parametrize("words", [("queue", "retry", "q1"), ("queue", "lift", "command:default")])
def test_what_let_a_parked_task_go_on_is_undone_until_its_time_has_come(kugetsu, parked, words):
    assert kugetsu(*words, at="11:00:00").code == 0
    refused = kugetsu("undo", "12", "--yes", at="12:30:00")
    assert refused.code == 5 and "expired at 2026-11-23 12:01 UTC" in refused.err
    assert kugetsu("undo", "12", "--yes", at="11:10:00").code == 0
    (task,) = kugetsu("queue", "list", "--json", at="11:11:00").json["tasks"]
    assert task["state"] == "parked"
    assert "already undone" in kugetsu("undo", "12", "--yes", at="11:12:00").out
    assert kugetsu("replay", "--verify").code == 0


def test_of_two_who_undo_the_same_one_does(kugetsu, three):
    kugetsu("queue", "cancel", "q2")
    both = [kugetsu.popen("undo", "6", "--yes", "--json") for _ in range(4)]
    said = [one.communicate(timeout=60)[0] for one in both]
    assert [one.returncode for one in both] == [0] * 4
    assert sorted(len(_loads(text)["events"]) for text in said) == [0, 0, 0, 1]
    assert [_loads(line)["type"] for line in kugetsu("history", "q2", "--json").out.splitlines()].count(
        "task.requeued"
    ) == 1


def test_without_a_terminal_it_needs_a_yes_and_shows_what_it_would_do(kugetsu, three, snapshot, fits):
    three.at("10:30:00", "kugetsu queue cancel q2").do(lambda state: queue.cancel(state, "q2", "cancel"))
    last = _last(kugetsu)
    asked = kugetsu("undo", "6", at="11:00:00")
    assert asked.code == 5 and _last(kugetsu) == last
    snapshot("undo-asks", asked.err)
    done = kugetsu("undo", "6", "--yes", at="11:00:00")
    snapshot("undo-done", done.out + done.err)
    assert fits(asked.err, 100) and fits(done.out)


def test_on_a_terminal_it_asks(kugetsu, three):
    for answer, code, waits in ((b"n\n", 1, ["q1", "q2", "q3"]), (b"y\n", 0, ["q1", "q2"])):
        primary, secondary = pty.openpty()
        asking = subprocess.Popen(
            [sys.executable, "-m", "kugetsu", "undo", "5"],
            stdin=secondary,
            stdout=subprocess.DEVNULL,
            stderr=secondary,
            cwd=kugetsu.work,
            env=kugetsu.environment,
        )
        os.close(secondary)
        os.write(primary, answer)
        assert asking.wait(30) == code
        os.close(primary)
        assert _order(kugetsu) == waits


def test_a_transaction_is_undone_as_a_whole_or_one_event_of_it(kugetsu, three):
    kugetsu("queue", "clear", "--all", "--yes")
    assert _order(kugetsu) == []
    assert kugetsu("undo", "7", "--yes").code == 0
    assert _order(kugetsu) == ["q2"]
    shown = kugetsu("undo", "7", "--transaction", "--yes", "--json").json
    assert shown["undone"] == [8, 6] and [event["task"] for event in shown["events"]] == ["q3", "q1"]
    assert _order(kugetsu) == ["q1", "q2", "q3"]
    again = kugetsu("undo", "6", "--transaction", "--yes")
    assert again.code == 0 and "already undone" in again.out


def test_what_has_changed_since_is_never_overwritten(kugetsu, three):
    kugetsu("queue", "move", "q3", "--first")
    kugetsu("queue", "move", "q3", "--last", "--priority", "4")
    refused = kugetsu("undo", "6", "--yes")
    assert refused.code == 5 and "has been moved again since" in refused.err
    three.run("q1")
    refused = kugetsu("undo", "3", "--yes")
    assert refused.code == 5 and "hint: kugetsu queue cancel q1" in refused.err


def test_a_setting_goes_back_into_the_file_and_its_comments_stay(kugetsu):
    assert kugetsu("init").code == 0
    config = kugetsu.root / "config"
    before = config.read_text()
    kugetsu("config", "set", "MAX_CONCURRENT_AGENTS", "5")
    kugetsu("config", "set", "MAX_ATTEMPTS", "2")
    *_, first, second = (line["seq"] for line in map(_loads, kugetsu("history", "--all", "--json").out.splitlines()))
    assert kugetsu("undo", str(first), "--yes").code == 0
    assert kugetsu("config", "get", "MAX_CONCURRENT_AGENTS").out.strip() == "3"
    assert kugetsu("undo", str(second), "--yes").code == 0
    assert config.read_text() == before
    kugetsu("undo", "@", "--yes")
    assert kugetsu("config", "get", "MAX_ATTEMPTS").out.strip() == "2"


def test_a_setting_that_was_changed_since_is_not_undone(kugetsu):
    kugetsu("init")
    kugetsu("config", "set", "MAX_ATTEMPTS", "2")
    first = _loads(_last(kugetsu))["seq"]
    kugetsu("config", "set", "MAX_ATTEMPTS", "4")
    refused = kugetsu("undo", str(first), "--yes")
    assert refused.code == 5 and f"event {first + 1} has changed MAX_ATTEMPTS since" in refused.err
    config = kugetsu.root / "config"
    config.write_text(config.read_text().replace("MAX_ATTEMPTS=4", "MAX_ATTEMPTS=6"))
    refused = kugetsu("undo", "@", "--yes")
    assert refused.code == 5 and "MAX_ATTEMPTS is now 6 in the file" in refused.err


def test_a_setting_goes_back_as_many_steps_as_it_was_changed(kugetsu):
    kugetsu("init")
    for value in ("4", "5", "6"):
        kugetsu("config", "set", "MAX_ATTEMPTS", value)
    last = _loads(_last(kugetsu))["seq"]
    for step, value in ((0, "5"), (1, "4"), (2, "3")):
        assert kugetsu("undo", str(last - step), "--yes").code == 0
        assert kugetsu("config", "get", "MAX_ATTEMPTS").out.strip() == value
    assert "already undone" in kugetsu("undo", str(last), "--yes").out


def test_a_setting_that_was_put_back_is_undone_by_the_command_that_is_named(kugetsu):
    kugetsu("init")
    for value in ("4", "5"):
        kugetsu("config", "set", "MAX_ATTEMPTS", value)
    first = _loads(_last(kugetsu))["seq"] - 1
    for _ in range(2):  # back to 4, and to 5 again
        kugetsu("undo", "@", "--yes")
    refused = kugetsu("undo", str(first), "--yes")
    assert refused.code == 5 and f"event {first + 3} has changed MAX_ATTEMPTS since" in refused.err
    assert kugetsu("undo", str(first + 3), "--yes").code == kugetsu("undo", str(first), "--yes").code == 0
    assert kugetsu("config", "get", "MAX_ATTEMPTS").out.strip() == "3"


def test_servers_come_back(kugetsu):
    kugetsu("init")
    kugetsu("server", "add", "home", "http://192.168.1.5:3000")
    kugetsu("server", "remove", "home")
    assert kugetsu("undo", "@", "--yes").code == 0
    assert [server["name"] for server in kugetsu("server", "list", "--json").json["servers"] if server["named"]] == [
        "home"
    ]


def test_the_mark_of_what_was_read_goes_back(kugetsu, parked):
    unread = kugetsu("notify", "list", "--json").json["unread"]
    assert unread
    kugetsu("notify", "clear")
    assert kugetsu("notify", "list", "--json").json["unread"] == 0
    assert kugetsu("undo", "@", "--yes").code == 0
    assert kugetsu("notify", "list", "--json").json["unread"] == unread


def test_a_pull_request_and_a_repository_go_back_to_what_was_before(kugetsu, parked):
    issue = "github.com/shoko/kugetsu#14"
    parked.do(lambda state: sessions.set_pr(state, issue, "https://example.com/pulls/3", "set-pr"))
    assert kugetsu("undo", "@", "--yes").code == 0
    assert kugetsu("list", "--json").json["sessions"][0]["pr"] is None
    assert "session.pr" in kugetsu("history", issue).out and "no pull request" in kugetsu("history", issue).out
    parked.do(lambda state: sessions.register(state, "github.com/a/b", {"path": "/src"}))
    assert kugetsu("undo", "@", "--yes").code == 0
    assert kugetsu("replay", "--json").json["repositories"] == {}


def test_what_cannot_be_undone_says_why_and_what_to_do(kugetsu, parked, snapshot, fits):
    told = []
    for line in map(_loads, kugetsu("history", "--all", "--json").out.splitlines()):
        if CATALOGUE[line["type"]].irrevocable is not None:
            refused = kugetsu("undo", str(line["seq"]), "--yes")
            assert refused.code == 5, refused
            told.append(refused.err)
    snapshot("undo-refused", "".join(told))
    assert fits("".join(told), 140)
    assert kugetsu("undo", "2", "--json").json["error"]["code"] == "conflict"


def test_of_an_agent_that_works_it_is_told_what_stops_it_and_of_one_that_ended_what_came_of_it(kugetsu, story):
    story.enqueue()
    attempt = story.run("q1")
    starts = [one["seq"] for one in map(_loads, kugetsu("history", "q1.1", "--json").out.splitlines())]
    starts = [seq for seq in starts if "queue cancel q1" in kugetsu("undo", str(seq), "--yes").err]
    assert len(starts) == 3, "claimed, starting, running"
    assert kugetsu("queue", "cancel", "q1").code == 0
    story.finish(attempt, "kill", "cancelled", "cancel")
    for seq in starts:
        refused = kugetsu("undo", str(seq), "--yes")
        assert refused.code == 5 and "kugetsu history q1.1" in refused.err and "cancel" not in refused.err, refused
    assert kugetsu("history", "q1.1").code == 0


@pytest.mark.parametrize(
    ("seq", "code"), [("99", 4), ("0", 4), ("-1", 3), ("q1", 3), ("10m ago", 3), ("@-99", 4), ("", 3)]
)
def test_a_number_that_is_none_is_refused(kugetsu, story, seq, code):
    assert kugetsu("undo", seq, "--yes").code == code


def test_nothing_is_undone_where_kugetsu_is_not_set_up(kugetsu):
    refused = kugetsu("undo", "3")
    assert refused.code == 1 and "hint: kugetsu init" in refused.err


def test_what_is_documented_is_what_json_prints(kugetsu, three):
    from cli.test_json_shapes import compare, documented

    kugetsu("queue", "cancel", "q2")
    for _ in range(2):
        compare(kugetsu("undo", "6", "--yes", "--json").json, documented("undo"))


def test_the_help_fits(kugetsu, fits):
    shown = kugetsu("undo", "--help")
    assert shown.code == 0 and fits(shown.out)


def _loads(line):
    import json

    return json.loads(line)
