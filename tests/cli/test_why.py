"""`kugetsu why`."""

from __future__ import annotations

import re

from kugetsu.domain.decide import queue, sessions
from kugetsu.domain.gates import GATES


def test_a_parked_task_says_until_when_and_what_lifts_it(kugetsu, parked, snapshot, fits):
    parked.daemon()
    shown = kugetsu("why", "q1", at="10:43:00")
    assert shown.code == 0 and fits(shown.out)
    assert "until 12:01, in 1h18m" in shown.out and "kugetsu queue retry q1" in shown.out
    snapshot("why-parked", shown.out)


def test_without_a_daemon_the_command_that_starts_it_is_named(kugetsu, story, snapshot):
    story.at("10:00:00").enqueue()
    shown = kugetsu("why", "q1", at="10:01:00")
    assert "✗ daemon        no daemon is running" in shown.out and "lift: kugetsu queue-daemon start" in shown.out
    snapshot("why-no-daemon", shown.out)


def test_the_answer_is_that_of_the_gates(kugetsu, story):
    story.daemon()
    for number in (1, 2):
        story.enqueue(issue=f"github.com/a/b#{number}")
    story.run("q1", alive=True)
    data = kugetsu("why", "q2", "--json", MAX_CONCURRENT_AGENTS="1").json["tasks"][0]
    closed = [gate for gate in data["gates"] if not gate["open"]]
    assert [gate["gate"] for gate in closed] == ["slots"]
    assert "q1.1" in data["answer"]
    assert [gate["gate"] for gate in data["gates"]] == [gate.__name__ for gate in GATES]


def test_a_running_task_and_its_issue_say_who_works(kugetsu, story):
    story.daemon()
    story.enqueue()
    story.run("q1", alive=True)
    for subject in ("q1", "q1.1", "shoko/kugetsu#14"):
        shown = kugetsu("why", subject)
        assert "q1 runs: q1.1, slot 1 works on it" in shown.out and "kugetsu logs q1.1 -f" in shown.out, shown


def test_a_failed_task_shows_the_chain_that_led_there(kugetsu, story, snapshot, fits):
    story.at("10:00:00", "kugetsu queue enqueue shoko/kugetsu#14 x").enqueue()
    attempt = story.at("10:00:01").run("q1")
    story.at("10:10:00").finish(attempt, "fail", "give_up", "tests do not pass", exit=1)
    shown = kugetsu("why", "q1", at="10:11:00")
    assert shown.code == 0 and fits(shown.out)
    snapshot("why-error", shown.out)


def test_a_task_that_left_the_list_is_answered_from_its_history(kugetsu, story):
    story.enqueue()
    story.do(lambda state: queue.cancel(state, "q1", "cancel"))
    story.do(lambda state: queue.clear(state, None))
    shown = kugetsu("why", "q1")
    assert shown.code == 0 and "q1 was cancelled" in shown.out
    assert kugetsu("why", "q1", "--json").json["tasks"][0]["task"] is None


def test_an_event_shows_what_led_to_it_its_facts_and_what_it_led_to(kugetsu, parked, snapshot, fits):
    shown = kugetsu("why", "5", at="10:43:00")
    assert shown.code == 0 and fits(shown.out)
    snapshot("why-event", shown.out)
    data = kugetsu("why", "10", "--json").json
    assert [event["seq"] for event in data["because"]] == [3, 5, 9]
    assert [event["seq"] for event in data["led_to"]] == [11]


def test_what_is_not_there_is_not_found(kugetsu, story):
    for subject in ("q9", "999", "0", "a/b#1"):
        shown = kugetsu("why", subject)
        assert shown.code == 4 and "hint: " in shown.err, shown
    assert kugetsu("why", "what?").code == 3
    assert kugetsu("why").code == 3


def test_a_task_that_is_tried_again_says_what_ended_the_last_attempt(kugetsu, story):
    story.at("10:00:00").enqueue()
    story.finish(story.run("q1"), "fail", "retry", "tests do not pass", exit=1, rescue="kugetsu/rescue/q1.1")
    shown = kugetsu("why", "q1", at="10:00:01")
    assert "q1 waits: pauses after a failed attempt" in " ".join(shown.out.split())
    assert "the last attempt: tests do not pass" in shown.out
    assert "its work is kept on kugetsu/rescue/q1.1" in shown.out


def test_a_long_reason_and_its_remedy_are_never_cut(kugetsu, story, fits):
    reason = (
        "not started: the program is not there (hint: set it to a command line: kugetsu config set KUGETSU_X 'my-x')"
    )
    story.enqueue()
    story.finish(story.run("q1"), "fail", "give_up", reason, exit=1)
    shown = kugetsu("why", "q1")
    assert fits(shown.out)
    assert f"q1 ended in error: {reason}" in " ".join(shown.out.split())


def test_a_task_behind_others_says_its_place_and_what_must_end(kugetsu, story, snapshot, fits):
    story.at("10:00:00").daemon()
    for number in range(1, 6):
        story.enqueue(issue=f"github.com/a/b#{number}", message=f"number {number}")
    story.run("q1", alive=True)
    shown = kugetsu("why", "q4", at="10:12:00", MAX_CONCURRENT_AGENTS="1", TASK_TIMEOUT_HOURS="2")
    assert shown.code == 0 and fits(shown.out)
    assert "line  3 of 4, behind q2, q3" in shown.out
    assert "when q1.1 ends (running 12m00s; TASK_TIMEOUT_HOURS ends it at 12:00" in shown.out
    snapshot("why-slots", shown.out)
    turn = kugetsu("why", "q3", at="10:12:00", MAX_CONCURRENT_AGENTS="9").out
    assert turn.startswith("q3 waits for its turn: only the queue holds it back.")


def test_an_attempt_that_ended_is_answered_with_its_end(kugetsu, story):
    story.at("10:00:00").enqueue()
    story.finish(story.run("q1"), "fail", "retry", "tests do not pass", exit=1, rescue="kugetsu/rescue/q1.1")
    shown = kugetsu("why", "q1.1", at="10:00:01")
    assert shown.out.startswith("q1.1 failed: tests do not pass"), shown
    assert "its work is kept on kugetsu/rescue/q1.1" in shown.out
    assert "its task q1 is pending now: kugetsu why q1" in shown.out
    assert kugetsu("why", "q1.2").code == 4


def test_a_session_without_tasks_is_answered_from_its_history(kugetsu, story):
    story.do(lambda state: sessions.request(state, "base:github.com/a/b", "base", "github.com/a/b"))
    story.prepare("base:github.com/a/b")
    shown = kugetsu("why", "base:github.com/a/b")
    assert shown.out.startswith("base:github.com/a/b is ready"), shown
    story.do(lambda state: sessions.broken(state, "base:github.com/a/b", "its clone is gone"))
    shown = kugetsu("why", "base:github.com/a/b")
    assert "is broken: its clone is gone" in shown.out and "prepared again" in shown.out


def test_of_many_tasks_of_one_issue_the_first_are_answered(kugetsu, story):
    story.daemon()
    for _ in range(6):
        story.enqueue()
    story.run("q1", alive=True)
    shown = kugetsu("why", "shoko/kugetsu#14")
    assert shown.out.startswith("q1 runs") and "q2 waits" in shown.out and "q4 waits" not in shown.out
    assert "and 3 more that wait: kugetsu queue list" in shown.out
    assert kugetsu("why", "shoko/kugetsu#14", "--json").json["more"] == 3


def test_the_same_question_is_answered_for_a_point_of_the_past(kugetsu, parked, snapshot, fits):
    parked.at("10:50:00", "kugetsu queue retry q1").do(lambda state: queue.retry(state, "q1"))
    parked.do(lambda state: queue.cancel(state, "q1", "cancel"))
    assert kugetsu("why", "q1", at="11:00:00").out.startswith("q1 was cancelled")
    then = kugetsu("why", "q1", "--at", "11", at="11:00:00")
    assert then.code == 0 and fits(then.out)
    snapshot("why-at", then.out)
    for words in (["--at", "15m", "ago"], ["--at", "2026-11-23T10:45"], ["--at", "@-2"]):
        shown = kugetsu("why", "q1", *words, at="11:00:00")
        assert "q1 waits: parked by the provider's usage limit until 12:01" in shown.out, shown
    data = kugetsu("why", "q1", "--at", "11", "--json", at="11:00:00").json
    assert data["as_of"] == {
        "seq": 11,
        "at": "2026-11-23T10:41:10.000000Z",
        "facts_from": 5,
        "facts_at": "2026-11-23T10:00:03.000000Z",
    }


def test_the_past_before_anything_was_decided_says_so(kugetsu, story):
    story.at("10:00:00").enqueue()
    shown = kugetsu("why", "q1", "--at", "3", at="10:01:00")
    assert shown.code == 0 and "no decision had recorded its inputs" in shown.out
    early = kugetsu("why", "q1", "--at", "2", at="10:01:00")
    assert early.code == 4 and "nothing had happened to q1 by event 2" in early.err
    assert kugetsu("why", "3", "--at", "3").code == 3, "an event is the same at any time"
    assert kugetsu("why", "q1", "--at", "some day").code == 3


def test_facts_are_told_in_words_and_not_as_values_of_python(kugetsu, story):
    story.enqueue("first", issue="github.com/a/b#1")
    assert kugetsu("queue", "cancel", "q1").code == 0
    assert kugetsu("undo", "@", "--yes").code == 0
    shown = kugetsu("why", "5", COLUMNS="")
    assert "kept (used 0, order 3, not_before none)" in shown.out


def test_no_event_of_a_real_run_shows_a_value_of_python():
    from kugetsu.views import causes
    from kugetsu.views.screen import Screen
    from log.test_fixtures import NAMES, opened

    screen = Screen(width=None, colour=False, now="2026-11-24T12:00:00.000000Z", default_host="")
    for name in NAMES:
        for event in opened(name).read():
            data = {"event": event, "because": [], "led_to": [], "depths": [], "more": 0, "holds": []}
            shown = "\n".join(causes.event_lines(data, screen))
            assert not re.search(r"\b(None|True|False)\b|\{'|\['", shown), shown
