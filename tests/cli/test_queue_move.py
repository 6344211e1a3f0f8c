"""`kugetsu queue move` and `queue lift`: another place in the queue, and what holds tasks back is lifted."""

from __future__ import annotations

import pytest

from kugetsu.domain.decide import claims

ISSUES = ("github.com/a/b#1", "github.com/a/b#2", "github.com/a/b#3")


@pytest.fixture
def three(story):
    for issue in ISSUES:
        story.enqueue(issue=issue)
    return story


def order(kugetsu):
    return [task["task"] for task in kugetsu("queue", "list", "--json").json["tasks"]]


def test_a_task_moves_to_the_front(kugetsu, three):
    shown = kugetsu("queue", "move", "q3", "--first")
    assert (shown.code, shown.out) == (0, "q3 is number 1 of 3 that wait\n")
    assert order(kugetsu) == ["q3", "q1", "q2"]
    again = kugetsu("queue", "move", "q3", "--first", "--json").json
    assert (again["place"], again["waiting"], again["seq"]) == (1, 3, None)
    assert "forward" in kugetsu("history", "q3").out


def test_a_task_moves_back_and_changes_its_priority(kugetsu, three):
    assert kugetsu("queue", "move", "q1", "--last").out == "q1 is number 3 of 3 that wait\n"
    assert kugetsu("queue", "move", "q1", "--priority", "7", "--json").json["priority"] == 7
    assert order(kugetsu) == ["q1", "q2", "q3"]


def test_what_a_task_comes_after_can_be_said_later_and_taken_back(kugetsu, three):
    shown = kugetsu("queue", "move", "q1", "--after", "q2,q3")
    assert shown.code == 0 and "it comes after q2, q3" in shown.err
    assert kugetsu("queue", "move", "q1", "--after", "", "--json").json["after"] == []


def test_to_come_after_one_that_is_over_and_not_completed_is_said_to_be_for_good(kugetsu, three):
    assert "go on" not in kugetsu("queue", "move", "q1", "--after", "q2").err
    kugetsu("queue", "cancel", "q3")
    shown = kugetsu("queue", "move", "q1", "--after", "q2,q3")
    assert shown.code == 0
    assert "q1 comes after q3, which was cancelled; to unblock it: kugetsu queue retry q3\n" in shown.err


def test_a_circle_is_refused_and_shown(kugetsu, three):
    kugetsu("queue", "move", "q2", "--after", "q1")
    shown = kugetsu("queue", "move", "q1", "--after", "q2")
    assert shown.code == 3
    assert "q1 would wait for itself: q1 after q2 after q1" in shown.err
    assert "hint: kugetsu why q2" in shown.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("q1",), 3, "no place given"),
        (("q1", "--first", "--last"), 3, "at once"),
        (("q1", "--priority", "5000"), 3, "out of range"),
        (("q9", "--first"), 4, "no task q9"),
        (("14", "--first"), 3, "not a task"),
        (("q1", "--after", "q9"), 4, "no task q9"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(kugetsu, three, words, code, said):
    before = three.log.head().seq
    shown = kugetsu("queue", "move", *words)
    assert shown.code == code and said in shown.err and "hint:" in shown.err
    assert three.log.head().seq == before


def test_a_task_that_runs_cannot_be_moved(kugetsu, three):
    three.claim("q1", alive=True)
    shown = kugetsu("queue", "move", "q1", "--first")
    assert shown.code == 5 and "q1 is not waiting" in shown.err


def fruitless(story, runs=5):
    """An issue whose runs all ended well and brought nothing."""
    for number in range(1, runs + 1):
        task = story.at(f"10:{number:02d}:00").enqueue()
        attempt = story.run(task)
        story.finish(attempt, "succeed", "done", "no commit", evidence={"commits": 0, "head": "eb42f7d97060"})
    return story


def test_a_loop_without_progress_is_parked_and_why_says_how_to_lift_it(kugetsu, story, snapshot):
    fruitless(story)
    story.daemon()
    task = story.at("10:30:00", "kugetsu queue-daemon").enqueue("once more")
    facts = {**story.facts(), "max_runs_without_progress": 5}
    story.do(lambda state: claims.hold(state, claims.plan(state, facts), facts))
    shown = kugetsu("why", task, at="10:31:00")
    assert shown.code == 0
    snapshot("why-no-progress", shown.out)
    snapshot("status-no-progress", kugetsu("status", at="10:31:00").out)
    assert kugetsu("queue", "list", "--json").json["tasks"][0]["state"] == "parked"
    lifted = kugetsu("queue", "lift", "github.com/shoko/kugetsu#14")
    assert lifted.code == 0 and f"{task} may continue" in lifted.out
    assert kugetsu("why", task, at="10:32:00").out.startswith(f"{task} ")
    assert kugetsu("queue", "lift", "github.com/shoko/kugetsu#14").code == 4


def test_a_loop_without_progress_is_not_started_by_hand_either(kugetsu, story):
    fruitless(story)
    shown = kugetsu("start", "github.com/shoko/kugetsu#14", "once more")
    assert shown.code == 5
    assert "5 runs in a row ended well and brought no new commit or comment" in shown.err
    assert "hint: kugetsu queue lift github.com/shoko/kugetsu#14" in shown.err


def test_a_usage_limit_is_lifted_by_agent_and_model(kugetsu, parked):
    shown = kugetsu("queue", "lift", "command:default")
    assert shown.code == 0 and "q1 may continue" in shown.out
    assert kugetsu("queue", "lift", "command:default").code == 4
    assert kugetsu("queue", "lift", "no issue").code == 3


def test_an_issue_over_its_budget_is_not_started_and_the_setting_is_named(kugetsu, parked):
    parked.do(lambda state: [])
    kugetsu("queue", "lift", "command:default")
    kugetsu("queue", "cancel", "q1")
    shown = kugetsu("start", "github.com/shoko/kugetsu#14", "more", ISSUE_MAX_TOKENS="400000")
    assert shown.code == 5
    assert "the issue has used 412000 of 400000 tokens" in shown.err
    assert "hint: kugetsu config set ISSUE_MAX_TOKENS" in shown.err


@pytest.mark.parametrize("setting", ["MIN_FREE_DISK_MB", "MIN_FREE_MEMORY_MB"])
def test_a_machine_that_is_full_refuses_with_exit_2(kugetsu, story, setting):
    shown = kugetsu("start", "github.com/shoko/kugetsu#14", "more", **{setting: "999999"})
    assert shown.code == 2 and "required" in shown.err
    remedy = "kugetsu prune" if "DISK" in setting else f"kugetsu config set {setting}"
    assert f"hint: {remedy}" in shown.err
    assert kugetsu("queue", "list", "--json").json["tasks"] == []
