"""`kugetsu ack`: errors stay until somebody has seen them, on every screen alike; any task is retried and listed."""

from __future__ import annotations

import json

import pytest

from kugetsu.domain.decide import queue


@pytest.fixture
def failed(kugetsu, story):
    """Two tasks of one issue and one of another failed; a daemon that was never there claims nothing."""
    for number in (1, 1, 2):
        task = story.enqueue(f"do {number}", issue=f"github.com/a/b#{number}")
        story.finish(story.run(task), "fail", "give_up", "tests do not pass")
    return story


def unacknowledged(kugetsu):
    """The failed tasks, as each screen has them."""
    status = kugetsu("status", "--json").json
    stats = kugetsu("queue", "stats", "--json").json
    listed = [task["task"] for task in kugetsu("queue", "list", "--state", "error", "--json").json["tasks"]]
    assert [entry["subject"] for entry in status["attention"] if entry["state"] == "error"] == listed
    assert status["unacknowledged"] == stats["unacknowledged"] == len(listed)
    return listed


def test_a_failed_task_is_shown_until_it_is_acknowledged(kugetsu, failed):
    assert unacknowledged(kugetsu) == ["q1", "q2", "q3"]
    shown = kugetsu("queue", "list")
    assert "q1" in shown.out and "kugetsu ack TASK" in shown.err
    done = kugetsu("ack", "q1")
    assert done.code == 0 and done.out == "acknowledged q1\n" and "undo: kugetsu undo" in done.err
    assert unacknowledged(kugetsu) == ["q2", "q3"]
    assert "error (1 acknowledged)" in kugetsu("status").out
    assert (
        "1 is acknowledged: kugetsu queue list --state error --all" in kugetsu("queue", "list", "--state", "error").err
    )
    assert "already acknowledged" in kugetsu("ack", "q1").out
    assert kugetsu("ack", "github.com/a/b#1", "--json").json["acknowledged"] == ["q2"]
    assert kugetsu("ack", "--all", "--json").json["acknowledged"] == ["q3"]
    assert unacknowledged(kugetsu) == []
    assert "error (all acknowledged)" in kugetsu("status").out
    assert kugetsu("replay", "--verify").code == 0


def test_what_cannot_be_acknowledged_names_the_remedy(kugetsu, failed):
    failed.enqueue("waits", issue="github.com/a/b#3")
    for words, code in ((["q4"], 5), (["q9"], 4), (["github.com/a/b#7"], 4), ([], 3), (["q1", "--all"], 3)):
        refused = kugetsu("ack", *words)
        assert refused.code == code and "hint: " in refused.err, refused
    assert unacknowledged(kugetsu) == ["q1", "q2", "q3"]


def test_an_acknowledgement_is_undone_as_what_was_done_last(kugetsu, failed):
    kugetsu("ack", "--all")
    undone = kugetsu("undo", "--yes", "--json")
    assert undone.code == 0 and [event["type"] for event in undone.json["events"]] == ["task.unacknowledged"] * 3
    assert unacknowledged(kugetsu) == ["q1", "q2", "q3"]


def test_clear_leaves_what_nobody_has_seen_and_says_so(kugetsu, failed):
    kugetsu("ack", "q1")
    cleared = kugetsu("queue", "clear", QUEUE_CLEANUP_AGE_DAYS="0")
    assert "1 finished task retired" in cleared.out and "2 failed tasks stay" in cleared.err
    assert unacknowledged(kugetsu) == ["q2", "q3"]


def test_a_task_that_left_the_list_is_listed_and_retried(kugetsu, failed):
    failed.do(lambda state: queue.clear(state, None))
    assert kugetsu("queue", "list", "--json").json["tasks"] == []
    every = kugetsu("queue", "list", "--all", "--json").json
    assert [task["task"] for task in every["tasks"]] == ["q1", "q2", "q3"] and every["counts"]["error"] == 3
    assert kugetsu("queue", "list", "--all", "--state", "completed", "--json").json["tasks"] == []
    assert "q3" in kugetsu("queue", "list", "--all", "--state", "error").out
    retried = kugetsu("queue", "retry", "q2")
    assert retried.code == 0 and "q2 is queued again" in retried.out
    assert "undo" not in retried.err, "what had failed is not undone"
    failed.facts()
    assert failed.run("q2") == "q2.2"
    every = kugetsu("queue", "list", "--all", "--json").json["tasks"]
    assert sorted(task["task"] for task in every) == ["q1", "q2", "q3"]
    assert kugetsu("replay", "--verify").code == 0
    assert json.loads(kugetsu("audit", "--json").out)["invariants"]["broken"] == 0


def test_undo_takes_the_latest_of_this_terminal_back_one_by_one(kugetsu, story):
    for number in (1, 2):
        kugetsu("queue", "enqueue", f"github.com/a/b#{number}", "do it")
    kugetsu("queue", "move", "q2", "--first")
    story.do(lambda state: queue.cancel(state, "q1", "of somebody else"))
    assert [event["type"] for event in kugetsu("undo", "--yes", "--json").json["events"]] == ["task.moved"]
    assert [event["task"] for event in kugetsu("undo", "--yes", "--json").json["events"]] == ["q2"]


def test_undo_names_what_was_done_in_another_terminal(kugetsu, story):
    nothing = kugetsu("undo", "--yes")
    assert nothing.code == 4 and "hint: " in nothing.err
