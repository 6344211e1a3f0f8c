"""`kugetsu queue` list, stats, dequeue, cancel, retry, clear."""

from __future__ import annotations

import pytest

from kugetsu.domain.decide import queue


def test_the_list_shows_what_runs_waits_or_failed(kugetsu, parked, snapshot, fits):
    parked.at("10:42:00").enqueue("a page for the board", issue="github.com/shoko/jigaido#4", priority=2)
    parked.enqueue(
        "設計を直す 🛠 と、とても長い題名の仕事をここに書いておく、まだまだ続く", issue="git.example.com/a/b#7"
    )
    parked.agent = "another:model"
    failed = parked.run(parked.enqueue("hopeless", issue="github.com/a/b#9"))
    parked.finish(failed, "fail", "give_up", "tests do not pass")
    parked.enqueue("after that", issue="github.com/a/b#9", after=["q4"])
    shown = kugetsu("queue", "list", at="10:43:00")
    assert shown.code == 0
    snapshot("queue-list", shown.out)


def test_completed_ones_are_counted_and_shown_on_request(kugetsu, story):
    story.enqueue("done with")
    story.do(lambda state: queue.cancel(state, "q1", "cancel"))
    shown = kugetsu("queue", "list")
    assert shown.code == 0 and "done with" not in shown.out and "queue list --all" in shown.err
    assert "done with" in kugetsu("queue", "list", "--all").out
    assert "done with" in kugetsu("queue", "list", "--state", "cancelled").out
    assert [task["task"] for task in kugetsu("queue", "list", "--all", "--json").json["tasks"]] == ["q1"]


def test_an_empty_queue_says_so_and_what_to_do(kugetsu, story):
    shown = kugetsu("queue", "list")
    assert shown.code == 0 and "nothing" in shown.out and "queue enqueue" in shown.err
    assert kugetsu("queue", "list", "--json").json == {
        "tasks": [],
        "counts": dict.fromkeys(("pending", "notified", "parked", "completed", "error", "cancelled"), 0),
        "paused": [],
        "unacknowledged": 0,
        "as_of": None,
    }
    assert "queue enqueue" in kugetsu("queue", "stats").err


def test_an_unknown_state_names_the_known_ones(kugetsu, story):
    shown = kugetsu("queue", "list", "--state", "done")
    assert shown.code == 3 and "pending, running, parked" in shown.err


def test_a_task_that_is_worked_on_is_called_running(kugetsu, story):
    """The log calls it notified, as the bash tool did; both words are taken."""
    story.run(story.enqueue("first"), alive=True)
    tasks = [kugetsu("queue", "list", "--state", word, "--json").json for word in ("running", "notified")]
    assert tasks[0] == tasks[1] and tasks[0]["tasks"][0]["state"] == "notified", "scripts know that word"
    for words in ("queue list", "queue list --state notified", "queue stats", "status", "why q1"):
        shown = kugetsu(*words.split())
        assert "notified" not in shown.out and "run" in shown.out, words
    assert "notified" not in kugetsu("queue", "dequeue", "q1").err


def test_stats_count_the_whole_life(kugetsu, parked, snapshot):
    parked.enqueue("x", issue="github.com/a/b#1")
    parked.do(lambda state: queue.cancel(state, "q2", "cancel"))
    parked.do(lambda state: queue.clear(state, None))
    figures = kugetsu("queue", "stats", "--json").json
    assert figures["counts"]["cancelled"] == 1 and figures["listed"] == 1 and figures["tokens"] == 412_000
    snapshot("queue-stats", kugetsu("queue", "stats", at="10:43:00").out)


def test_dequeue_takes_the_next_one_and_gives_its_message(kugetsu, story):
    story.enqueue("first\nof two lines")
    story.enqueue("urgent", priority=9)
    shown = kugetsu("queue", "dequeue")
    assert shown.code == 0 and "dequeued q2" in shown.out and "urgent" in shown.out
    data = kugetsu("queue", "dequeue", "q1", "--json").json
    assert data["message"] == "first\nof two lines" and data["state"] == "cancelled"
    assert kugetsu("queue", "dequeue").code == 4


def test_cancel_takes_a_waiting_task_out(kugetsu, story):
    story.enqueue()
    assert kugetsu("queue", "cancel", "q1").out == "cancelled q1\n"
    again = kugetsu("queue", "cancel", "q1")
    assert again.code == 5 and "kugetsu history q1" in again.err


def test_cancel_of_a_running_task_asks_its_agent_to_stop(kugetsu, story):
    story.enqueue()
    story.run("q1", alive=True)
    data = kugetsu("queue", "cancel", "q1", "--json").json
    assert data["state"] == "stopping" and data["attempt"] == "q1.1"
    again = kugetsu("queue", "cancel", "q1", "--json")
    assert again.code == 0 and again.json["seq"] is None
    assert (kugetsu.root / "runs" / "q1.1" / "stop").read_text() == "cancel\n"


@pytest.mark.parametrize("verb", ["cancel", "dequeue"])
def test_tasks_that_wait_behind_a_cancelled_one_are_named(kugetsu, story, verb):
    story.enqueue(issue="github.com/a/b#1")
    assert "after it" not in kugetsu("queue", verb, "q1").err, "nothing comes after it"
    kugetsu("queue", "retry", "q1")
    story.enqueue(issue="github.com/a/b#2", after=["q1"])
    story.enqueue(issue="github.com/a/b#3", after=["q1"])
    story.enqueue(issue="github.com/a/b#4", after=["q3"])
    shown = kugetsu("queue", verb, "q1")
    ways = "kugetsu queue retry q1, or kugetsu queue move q2 --after ''"
    assert f"q2, q3 come after it and wait; to unblock them: {ways}\n" in shown.err
    assert "q4 comes after it and waits; to unblock it:" in kugetsu("queue", verb, "q3", "--json").err


def test_tasks_that_wait_behind_one_that_is_stopped_are_named(kugetsu, story):
    story.enqueue()
    story.run("q1", alive=True)
    story.enqueue(issue="github.com/a/b#2", after=["q1"])
    assert "q2 comes after it and waits" in kugetsu("queue", "cancel", "q1").err


def test_dequeue_of_a_running_task_is_a_conflict(kugetsu, story):
    story.enqueue()
    story.run("q1", alive=True)
    shown = kugetsu("queue", "dequeue", "q1")
    assert shown.code == 5 and "hint: kugetsu queue cancel q1" in shown.err


def test_retry_lets_a_parked_and_a_finished_task_go_on(kugetsu, parked):
    assert "no longer waits" in kugetsu("queue", "retry", "q1", at="10:43:00").out
    assert kugetsu("queue", "retry", "q1").code == 5
    parked.do(lambda state: queue.cancel(state, "q1", "cancel"))
    assert "queued again" in kugetsu("queue", "retry", "q1").out


@pytest.mark.parametrize("verb", ["cancel", "retry", "dequeue"])
def test_an_unknown_task_is_not_found_and_a_wrong_name_is_bad_input(kugetsu, story, verb):
    missing = kugetsu("queue", verb, "q7")
    assert missing.code == 4 and "hint: kugetsu queue list" in missing.err
    assert kugetsu("queue", verb, "seven").code == 3
    attempt = kugetsu("queue", verb, "q7.1")
    assert attempt.code == 3 and "its task is q7" in attempt.err
    assert kugetsu("queue", verb, "q1", "q2").code == 3


def test_clear_retires_what_is_old_enough(kugetsu, story):
    story.at("2026-11-01T00:00:00.000000Z").enqueue("old")
    story.do(lambda state: queue.cancel(state, "q1", "cancel"))
    story.at("10:00:00").enqueue("new")
    story.do(lambda state: queue.cancel(state, "q2", "cancel"))
    assert kugetsu("queue", "clear", "--json", at="11:00:00").json["retired"] == ["q1"]
    none = kugetsu("queue", "clear", at="11:00:00")
    assert none.code == 0 and "7 days" in none.out and "QUEUE_CLEANUP_AGE_DAYS" in none.err
    assert kugetsu("queue", "clear", "--json", at="11:00:00", QUEUE_CLEANUP_AGE_DAYS="0").json["retired"] == ["q2"]


def test_clear_all_wants_a_yes_where_nobody_can_be_asked(kugetsu, story):
    story.enqueue()
    story.enqueue()
    refused = kugetsu("queue", "clear", "--all")
    assert refused.code == 5 and "--yes" in refused.err
    assert kugetsu("queue", "list", "--json").json["counts"]["pending"] == 2
    assert kugetsu("queue", "clear", "--all", "--yes", "--json").json == {"cancelled": ["q1", "q2"], "seq": 5}
    assert "no task is waiting" in kugetsu("queue", "clear", "--all").out


def test_a_group_without_a_verb_names_its_verbs(kugetsu):
    shown = kugetsu("queue")
    assert shown.code == 3 and "enqueue" in shown.err
    wrong = kugetsu("queue", "lst")
    assert wrong.code == 3 and "did you mean queue list?" in wrong.err
