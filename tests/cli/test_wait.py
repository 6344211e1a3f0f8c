"""`kugetsu wait`: a line for each end, and an exit status that a script can go on with."""

from __future__ import annotations

import json
import os
import select
import signal

from cli.test_json_shapes import compare, documented

A, B, C = "github.com/a/b#1", "github.com/a/b#2", "github.com/a/b#3"


def done(story, issue, *, evidence=None, said="all done"):
    task = story.enqueue(issue=issue)
    story.finish(story.run(task), "succeed", "done", said, evidence=evidence or {}, outcome={"final_text": said})
    return task


def test_what_has_ended_is_told_at_once_with_its_result(kugetsu, story):
    done(story, A, evidence={"commits": 1, "dirty": 0, "untracked": 0, "pushed": True, "head": "c1"})
    shown = kugetsu("wait", "q1", "a/b#1")
    assert (shown.code, shown.out) == (0, "q1  a/b#1  completed: pushed, no PR\n")


def test_an_error_a_cancellation_and_a_question_are_exit_1(kugetsu, story):
    story.enqueue(issue=A)
    story.finish(story.run("q1"), "fail", "give_up", "no such branch")
    shown = kugetsu("wait", "q1")
    assert (shown.code, shown.out) == (1, "q1  a/b#1  ended in error: no such branch\n")
    story.enqueue(issue=B)
    kugetsu("queue", "cancel", "q2")
    assert kugetsu("wait", "q2").code == 1
    asking = {"commits": 0, "dirty": 0, "untracked": 0, "pushed": False, "head": "c0"}
    done(story, C, evidence=asking, said="Which of the two parsers do you mean?")
    shown = kugetsu("wait", "q3", "--json")
    assert (shown.code, shown.json["state"], shown.json["result"]) == (1, "completed", "question")
    compare(shown.json, documented("wait"))


def test_an_acknowledged_error_still_is_one(kugetsu, story):
    story.enqueue(issue=A)
    story.finish(story.run("q1"), "fail", "give_up", "no such branch")
    assert kugetsu("ack", "q1").code == 0
    shown = kugetsu("wait", "q1", "--json")
    assert (shown.code, shown.json["state"], shown.json["reason"]) == (1, "error", "no such branch")


def test_what_only_a_person_lets_go_on_is_blocked_and_not_waited_for(kugetsu, story):
    story.enqueue(issue=A)
    story.enqueue(issue=B, after=["q1"])
    kugetsu("queue", "cancel", "q1")
    shown = kugetsu("wait")
    assert shown.code == 1
    assert shown.out == "q2  a/b#2  is blocked: comes after q1, which was cancelled\n"


def test_nothing_open_is_no_error_and_an_unknown_task_is(kugetsu, story):
    assert kugetsu("wait").out == "no task is waiting or running\n"
    assert kugetsu("wait", "q9").code == 4
    assert kugetsu("wait", "a/b#9").code == 4
    assert kugetsu("wait", "rubbish").code == 3


def test_a_task_that_left_the_list_is_known_from_the_log(kugetsu, story):
    done(story, A, evidence={"commits": 1, "dirty": 0, "untracked": 0, "pushed": False, "head": "c1"})
    assert kugetsu("queue", "clear", QUEUE_CLEANUP_AGE_DAYS="0").code == 0
    shown = kugetsu("wait", "q1")
    assert (shown.code, shown.out) == (0, "q1  a/b#1  completed: 1 commit not pushed\n")


def waiting(kugetsu, *words):
    """The command, once it has begun to wait: it has told of q1, which has ended."""
    process = kugetsu.popen("wait", "q1", *words)
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 60)[0], "nothing was told"
    first = process.stdout.readline().decode()
    assert "q1" in first, first
    return process


def test_ends_are_told_as_they_come(kugetsu, story):
    done(story, A)
    story.enqueue(issue=B)
    story.enqueue(issue=C, after=["q2"])
    process = waiting(kugetsu, "q2", "q3", "--json")
    story.finish(story.run("q2", alive=True), "fail", "give_up", "broken")
    out, err = process.communicate(timeout=60)
    ends = [json.loads(line) for line in out.decode().splitlines()]
    assert [(end["task"], end["state"], end["exit_code"]) for end in ends] == [("q2", "error", 1), ("q3", "blocked", 1)]
    assert process.returncode == 1
    assert b"no daemon is running" in err


def test_any_ends_with_the_first(kugetsu, story):
    done(story, A)
    story.enqueue(issue=B)
    shown = kugetsu("wait", "--any", "q2", "q1")
    assert shown.code == 0 and shown.out.startswith("q1 ")


def test_a_task_that_is_retried_before_it_was_seen_has_ended(kugetsu, story):
    done(story, A)
    story.enqueue(issue=B)
    process = waiting(kugetsu, "q2")
    os.kill(process.pid, signal.SIGSTOP)
    story.finish(story.run("q2", alive=True), "fail", "give_up", "broken")
    assert kugetsu("queue", "retry", "q2").code == 0
    os.kill(process.pid, signal.SIGCONT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1 and b"q2  a/b#2  ended in error: broken" in out


def test_ctrl_c_leaves_everything_as_it_is(kugetsu, story):
    done(story, A)
    story.enqueue(issue=B)
    before = kugetsu("log", "stats", "--json").json["events"]
    process = waiting(kugetsu, "q2")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert kugetsu("log", "stats", "--json").json["events"] == before
    assert kugetsu("queue", "list", "--json").json["tasks"][0]["state"] == "pending"


def test_it_waits_for_real_agents(ready):
    ready("queue", "enqueue", "example.com/o/r#1", "go")
    ready("queue", "enqueue", "example.com/o/r#2", "go")
    process = ready.popen("wait")
    ready("queue-daemon", "start")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert sorted(line.split()[0] for line in out.decode().splitlines()) == ["q1", "q2"]


def test_a_parked_task_waits_for_a_daemon_too_and_that_is_said_at_once(kugetsu, parked):
    process = kugetsu.popen("wait", "q1")
    assert process.stderr is not None
    assert select.select([process.stderr], [], [], 60)[0], "nothing was told"
    assert b"no daemon is running" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
