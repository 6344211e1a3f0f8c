"""`kugetsu queue pause` and `queue resume`: what waits does not start, what runs is not touched, all of it is shown."""

from __future__ import annotations

import pytest

from kugetsu.model import clock
from kugetsu.runtime.query import timespec

ISSUES = ("github.com/a/b#1", "github.com/a/b#2", "github.com/c/d#3")


@pytest.fixture
def three(story):
    for issue in ISSUES:
        story.enqueue(issue=issue)
    return story


def test_a_paused_queue_starts_nothing_and_every_screen_says_so(kugetsu, three):
    paused = kugetsu("queue", "pause", "--until", "18:00", at="10:00:00")
    assert (paused.code, paused.out) == (0, "the queue is paused until 18:00, in 8h00m\n")
    assert "resume: kugetsu queue resume\n" in paused.err
    why = kugetsu("why", "q1", at="10:00:01")
    assert "q1 waits: the queue is paused until 18:00" in why.out
    assert "lift: kugetsu queue resume" in why.out
    assert "the pause of the queue is over" in why.out
    listed = kugetsu("queue", "list", at="10:00:01")
    assert listed.out.startswith("the queue is paused until 18:00, in 7h59m: kugetsu queue resume\n")
    assert kugetsu("queue", "list", "--json", at="10:00:01").json["paused"] == [
        {"repository": None, "until": "2026-11-23T18:00:00.000000Z", "since": clock_of("10:00:00"), "event": 6}
    ]
    status = kugetsu("status", at="10:00:01").out
    assert "kugetsu queue resume" in status
    assert "q1 at 18:00" in status


def test_what_names_no_repository_and_no_coming_time_is_told_apart(kugetsu):
    outside = kugetsu("queue", "pause", ".")
    assert outside.code == 3 and "the current folder is in no clone" in outside.err and "#1" not in outside.err
    late = kugetsu("queue", "pause", "--until", "25:00")
    assert (
        late.code == 3
        and "not a coming time: '25:00'" in late.err
        and "write 18:00" in late.err
        and "@" not in late.err
    )


def test_status_shows_until_when_whole(kugetsu, three):
    kugetsu("queue", "pause", "--until", "18:30", at="10:00:00")
    three.daemon()
    for width in ("80", "60", "40"):
        shown = kugetsu("status", at="10:00:01", COLUMNS=width).out
        assert "q1 at 18:30, in 8h29m" in shown.replace("\n        ", " "), shown


def clock_of(text: str) -> str:
    return f"2026-11-23T{text}.000000Z"


def test_a_pause_ends_by_itself_and_a_resume_ends_it_before(kugetsu, three):
    kugetsu("queue", "pause", "--until", "2h", at="10:00:00")
    asked = kugetsu("why", "q1", "--json", at="12:00:01").json["tasks"][0]
    gates = {gate["gate"]: gate["open"] for gate in asked["gates"]}
    assert gates["paused"]
    assert kugetsu("queue", "list", "--json", at="12:00:01").json["paused"] == []
    resumed = kugetsu("queue", "resume", at="11:00:00")
    assert (resumed.code, resumed.out) == (0, "the queue goes on\n")
    again = kugetsu("queue", "resume")
    assert again.code == 4 and "the queue is not paused" in again.err


def test_a_pause_of_one_repository_holds_only_its_tasks(kugetsu, three):
    assert kugetsu("queue", "pause", "a/b").out == "the queue is paused for github.com/a/b\n"
    first = {task: first_closed(kugetsu, task) for task in ("q1", "q2", "q3")}
    assert first == {"q1": "paused", "q2": "paused", "q3": "daemon"}
    whole = kugetsu("queue", "resume")
    assert whole.code == 4
    assert "the queue is not paused as a whole" in whole.err
    assert "hint: kugetsu queue resume github.com/a/b\n" in whole.err
    kugetsu("queue", "pause")
    left = kugetsu("queue", "resume")
    assert left.code == 0
    assert "the queue is paused for github.com/a/b: kugetsu queue resume github.com/a/b\n" in left.err
    assert kugetsu("queue", "resume", "github.com/a/b").code == 0
    assert first_closed(kugetsu, "q1") == "daemon"


def first_closed(kugetsu, task):
    gates = kugetsu("why", task, "--json").json["tasks"][0]["gates"]
    return next(gate["gate"] for gate in gates if not gate["open"])


def test_the_same_pause_twice_changes_nothing_and_a_pause_can_be_undone(kugetsu, three):
    first = kugetsu("queue", "pause", "--json").json
    assert first == {"repository": None, "until": None, "running": [], "seq": 6}
    again = kugetsu("queue", "pause")
    assert again.out == "the queue is paused already: nothing changed\n"
    kugetsu("queue", "pause", "--until", "3h")
    kugetsu("undo", "7", "--yes")
    assert kugetsu("queue", "list", "--json").json["paused"][0]["until"] is None
    kugetsu("queue", "resume")
    assert kugetsu("queue", "list", "--json").json["paused"] == []
    undone = kugetsu("undo", "9", "--yes")
    assert undone.code == 0, undone
    assert len(kugetsu("queue", "list", "--json").json["paused"]) == 1
    verified = kugetsu("replay", "--verify")
    assert verified.code == 0, verified


def test_a_running_agent_is_not_touched_and_named(kugetsu, story):
    task = story.enqueue(issue=ISSUES[0])
    story.run(task)
    shown = kugetsu("queue", "pause")
    assert f"1 agent runs on ({task}.1); to stop one: kugetsu queue cancel {task}\n" in shown.err


def test_a_start_is_refused_while_paused_and_goes_through_anyway(ready):
    ready("queue", "pause")
    refused = ready("start", "example.com/o/r#1", "do it")
    assert refused.code == 5
    assert "not started: the queue is paused" in refused.err
    assert "hint: kugetsu queue resume, or start it all the same: --anyway, or queue it: --queue" in refused.err
    queued = ready("start", "--queue", "example.com/o/r#1", "do it")
    assert queued.code == 0 and "queued q1" in queued.out
    started = ready("start", "--anyway", "--wait", "example.com/o/r#2", "do it")
    assert started.code == 0, started
    assert first_closed(ready, "q1") == "paused"
    assert ready("replay", "--verify").code == 0


@pytest.mark.parametrize("text", ["25:00", "yesterday", "0h", "2026-11-20", "18", "-2h"])
def test_what_is_no_coming_time_is_refused(kugetsu, three, text):
    shown = kugetsu("queue", "pause", f"--until={text}", at="10:00:00")
    assert shown.code == 3, shown
    assert kugetsu("queue", "list", "--json").json["paused"] == []


def test_an_issue_is_no_repository(kugetsu, three):
    shown = kugetsu("queue", "pause", "a/b#1")
    assert shown.code == 3 and "not a repository, but an issue" in shown.err


@pytest.mark.parametrize(
    ("now", "text", "until"),
    [
        ("2026-03-28T20:00:00.000000Z", "18:00", "2026-03-29T16:00:00.000000Z"),  # the clock goes forward that night
        ("2026-03-28T15:00:00.000000Z", "18:00", "2026-03-28T17:00:00.000000Z"),
        ("2026-10-24T20:00:00.000000Z", "7:30", "2026-10-25T06:30:00.000000Z"),
        ("2026-10-24T20:00:00.000000Z", "90m", "2026-10-24T21:30:00.000000Z"),
    ],
)
def test_a_time_of_day_is_the_next_one_of_this_machine(monkeypatch, now, text, until):
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert timespec.until(text, now) == until
        assert clock.is_time(until)
    finally:
        monkeypatch.undo()
        time.tzset()
