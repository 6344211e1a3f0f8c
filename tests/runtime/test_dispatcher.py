"""The dispatcher: order, gates, holds that are logged once, the cap whatever happens beside it."""

from __future__ import annotations

from kugetsu.domain import invariants
from kugetsu.runtime import stop_attempt
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

STARTER = """
import os, sys
from kugetsu.model.errors import KugetsuError
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import submit as requests
from kugetsu.runtime.workspace import open_workspace
ws = open_workspace(os.environ, "starter")
for issue in sys.argv[1:]:
    try:
        requests.start(ws, parse_ref(issue), "now")
    except KugetsuError as problem:
        assert problem.exit_code == 2, problem
"""


def test_six_tasks_under_a_cap_of_three_are_all_completed_and_never_more_than_three_live(stage: Stage) -> None:
    stage.agent("sleep 0.2\n" + COMMIT)
    stage.start_daemon()
    tasks = [stage.enqueue(number) for number in range(1, 7)]
    assert [stage.finished(task) for task in tasks] == ["completed"] * 6
    assert max(len(event["data"]["live"]) for event in stage.events("attempt.claimed")) <= 2
    assert {event["data"]["slot"] for event in stage.events("attempt.claimed")} <= {1, 2, 3}


def test_daemon_and_start_at_once_never_exceed_the_cap(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="2")
    stage.agent("sleep 0.1\n")
    stage.start_daemon()
    starters = [
        stage.python(STARTER, *[str(stage.ref(number)) for number in range(first, first + 6)])
        for first in (100, 200, 300)
    ]
    tasks = [stage.enqueue(number) for number in range(1, 9)]
    assert [starter.wait() for starter in starters] == [0, 0, 0]
    assert [stage.finished(task) for task in tasks] == ["completed"] * 8
    for claim in stage.events("attempt.claimed"):
        assert invariants.cap_kept(claim["data"], claim["facts"])
        assert claim["facts"]["cap"] == 2
    stage.until(lambda: not stage.state.attempts)


def test_tasks_are_taken_in_order_and_by_priority(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1")
    low, later, urgent = stage.enqueue(1), stage.enqueue(2), stage.enqueue(3, priority=5)
    stage.start_daemon()
    for task in (low, later, urgent):
        assert stage.finished(task) == "completed"
    assert [event["task"] for event in stage.events("attempt.claimed")] == [urgent, low, later]


def test_a_task_that_comes_after_another_waits_for_it(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    first = stage.enqueue(1)
    second = stage.enqueue(2, after=[first])
    held = stage.wait("task.held", task=second)
    assert held["data"]["gate"] == "dependencies"
    stage.go()
    assert stage.finished(second) == "completed"
    assert stage.wait("task.completed", task=first)["seq"] < stage.wait("attempt.claimed", task=second)["seq"]


def test_two_tasks_of_one_issue_run_one_after_the_other_in_one_worktree(stage: Stage) -> None:
    stage.agent('pwd >> "$STAGE/where"\n' + UNTIL_GO + COMMIT)
    stage.start_daemon()
    first, second = stage.enqueue(1), stage.enqueue(1)
    stage.at_work(f"{first}.1")
    assert stage.wait("task.held", task=second)["data"]["gate"] == "issue"
    stage.go()
    assert [stage.finished(task) for task in (first, second)] == ["completed", "completed"]
    assert len(set(stage.file("where").split())) == 1
    assert stage.wait("attempt.succeeded", task=second)["data"]["evidence"]["commits"] == 2


def test_a_task_that_is_held_says_so_once_for_each_reason(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1", QUEUE_DAEMON_INTERVAL_MINUTES="0.001")
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    stage.at_work(f"{stage.enqueue(1)}.1")
    tasks = [stage.enqueue(number) for number in (2, 3)]
    for task in tasks:
        stage.wait("task.held", task=task)
    head = stage.ws.log.head()
    # Some fifty ticks of the daemon.
    assert not stage.ws.log.wait(head.seq, 3.0), "nothing is appended while nothing changes"
    assert [len(stage.events("task.held", task=task)) for task in tasks] == [1, 1]
    held = stage.wait("task.held", task=tasks[0])
    assert held["data"]["gate"] == "slots" and held["facts"]["cap"] == 1


def test_a_task_whose_repository_is_not_there_never_stops_the_others(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1")
    from kugetsu.model.refs import parse_ref
    from kugetsu.runtime import submit

    poisoned = submit.enqueue(stage.ws, parse_ref("local/no/where#1"), "x", via="enqueue", priority=9)[0]["task"]
    fine = [stage.enqueue(number) for number in (1, 2)]
    stage.start_daemon()
    assert stage.finished(poisoned) == "error"
    assert [stage.finished(task) for task in fine] == ["completed", "completed"]
    assert "local/no/where" in (stage.state.tasks[poisoned].reason or "")


def test_a_cancelled_task_leaves_its_turn_to_the_next(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1")
    stage.agent('case "$NUMBER" in 1) sleep 60;; esac')
    stage.start_daemon()
    first, second = stage.enqueue(1), stage.enqueue(2)
    stage.wait("attempt.running", task=first)
    stage.wait("task.held", task=second)
    stop_attempt.cancel(stage.ws, first)
    assert stage.finished(second) == "completed"
    assert stage.finished(first) == "cancelled"
