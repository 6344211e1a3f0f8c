"""`kugetsu audit`."""

from __future__ import annotations

import pytest

from cli import nights
from kugetsu.domain.new_event import NewEvent

MORNING = "2026-11-24T07:12:00.000000Z"


@pytest.fixture
def night(story):
    nights.stuck(story)
    return story


def test_a_night_in_short(kugetsu, night, snapshot, fits):
    shown = kugetsu("audit", at=MORNING)
    assert shown.code == 0 and fits(shown.out), shown
    snapshot("audit", shown.out)


@pytest.mark.parametrize("part", ["invariants", "races", "retries", "waits"])
def test_each_part_at_length(part, kugetsu, night, snapshot, fits):
    shown = kugetsu("audit", part, at=MORNING)
    assert shown.code == 0 and fits(shown.out), shown
    snapshot(f"audit-{part}", shown.out)


def test_of_one_subject_only_its_own_is_told(kugetsu, night):
    data = kugetsu("audit", "shoko/kugetsu#13", "--json", at=MORNING).json
    assert data["subject"] == "github.com/shoko/kugetsu#13"
    assert [one["issue"] for one in data["retries"]["worst"]] == ["github.com/shoko/kugetsu#13"]
    assert {gate["task"] for gate in data["waits"]["gates"]} == {"q3"}
    assert data["races"]["lost"] == 1, "its attempt was the one that was faster"
    assert kugetsu("audit", "races", "q1", "--json", at=MORNING).json["races"]["lost"] == 0
    assert kugetsu("audit", "retries", "pm", at=MORNING).code == 4


def test_since_and_until_cut_the_night(kugetsu, night):
    cut = ["--since", "2026-11-23T23:00", "--until", "2026-11-24T00:00", "--json"]
    data = kugetsu("audit", *cut, at=MORNING).json
    assert (data["begins"][:16], data["ends"][:16]) == ("2026-11-23T23:00", "2026-11-24T00:00")
    waits = {gate["gate"]: gate for gate in data["waits"]["gates"]}
    assert waits["dependencies"]["seconds"] == 3600.0
    slots = data["waits"]["slots"]
    assert slots["used_seconds"] + slots["empty_seconds"] == 3 * 3600.0
    assert data["races"]["lost"] == 0
    one = kugetsu("audit", "--since", "50", "--until", "50", "--json", at=MORNING).json
    assert (one["events"], one["retries"]["failed"]) == (2, 1), "its transaction as a whole"


def waited(shown) -> dict[str, float]:
    return {gate["gate"]: gate["seconds"] for gate in shown.json["waits"]["gates"]}


def test_a_daemon_that_died_is_told_before_and_after_somebody_recorded_it(kugetsu, story):
    story.at("22:00:00", "kugetsu queue-daemon").daemon(alive=False)
    story.at("22:10:00", "kugetsu queue enqueue").enqueue()
    assert waited(kugetsu("audit", "waits", "--json", at="22:12:00")) == {"daemon": 120.0}
    story.at("22:30:00", "kugetsu queue-daemon").daemon(alive=True)
    story.run("q1")
    assert waited(kugetsu("audit", "waits", "--json", at="22:40:00")) == {"daemon": 1200.0}
    part = ["--since", "2026-11-23T22:11", "--until", "2026-11-23T22:12"]
    assert waited(kugetsu("audit", "waits", *part, "--json", at="22:40:00")) == {"daemon": 60.0}


def test_a_daemon_that_lives_is_not_called_dead(kugetsu, story):
    story.at("22:00:00", "kugetsu queue-daemon").daemon(alive=True)
    story.at("22:10:00", "kugetsu queue enqueue").enqueue()
    assert waited(kugetsu("audit", "waits", "--json", at="22:12:00")) == {"turn": 120.0}
    story.at("22:30:00", "kugetsu queue-daemon").run("q1")
    part = ["--until", "2026-11-23T22:12"]
    assert waited(kugetsu("audit", "waits", *part, "--json", at="22:40:00")) == {"turn": 120.0}


def test_a_broken_invariant_is_found_with_the_event_that_broke_it(kugetsu, night, snapshot, fits):
    """No decision makes such an event: somebody who writes past them does."""
    data = {
        "number": 9,
        "kind": "dev",
        "slot": 2,
        "lease": "x",
        "claimer": {"boot": "b", "pid": 1, "start": 1},
        "live": [],
    }
    about = {"issue": "github.com/shoko/kugetsu#17", "task": "q7", "session": "github.com/shoko/kugetsu#17"}
    night.at("2026-11-24T07:00:00.000000Z", "a bad program")
    facts = {"agent": "x", "cap": 1}
    for attempt in ("q7.9", "q7.10"):
        night.do(lambda _, attempt=attempt: [NewEvent("attempt.claimed", data, attempt=attempt, facts=facts, **about)])
    head = night.log.head().seq
    night.do(lambda _: [NewEvent("task.cancelled", {"reason": "cancel"}, task="q7", issue=about["issue"])])
    shown = kugetsu("audit", "invariants", at=MORNING)
    assert shown.code == 6 and fits(shown.out), shown
    snapshot("audit-broken", shown.out)
    found = kugetsu("audit", "--json", at=MORNING)
    assert found.code == 6
    assert {(one["seq"], one["kind"]) for one in found.json["invariants"]["found"]} >= {
        (head - 1, "refused"),
        (head, "refused"),
        (head + 1, "broken"),
    }
    assert kugetsu("audit", "waits", at=MORNING).code == 0, "it was not asked about"


def test_what_cannot_be_understood_is_refused_with_the_forms(kugetsu, night):
    for words, hint in (
        (["wait"], "did you mean: kugetsu audit waits"),
        (["nonsense"], "invariants, races, retries, reactions, waits"),
        (["q1", "waits"], "kugetsu audit waits REF"),
        (["waits", "no such thing"], "write a task"),
        (["--since", "yesterdayish"], "write a seq"),
        (["--since", "60", "--until", "20"], "--until"),
    ):
        shown = kugetsu("audit", *words, at=MORNING)
        assert shown.code == 3 and hint in shown.err, shown
    assert kugetsu("audit", "q99", at=MORNING).code == 4
    assert kugetsu("audit", "--since", "999", at=MORNING).code == 4


def test_a_directory_that_is_not_set_up_says_what_to_do(kugetsu):
    shown = kugetsu("audit")
    assert shown.code != 0 and "kugetsu init" in shown.err


def test_the_log_of_another_place_is_audited_too(kugetsu, night):
    assert kugetsu("doctor", "--bundle", "night.tar.gz", at=MORNING).code in (0, 1)
    here, there = kugetsu("audit", "--json", at=MORNING).json, kugetsu("audit", "--from", "night.tar.gz", "--json").json
    assert there["retries"] == here["retries"]
    assert there["invariants"] == here["invariants"]


@pytest.mark.parametrize(
    ("how", "ended", "told"),
    [
        ("succeed", {"exit": 3}, "q1.1 succeeded, but its process exited with 3"),
        ("succeed", {"signal": 9}, "q1.1 succeeded, but its process was ended by signal 9"),
        ("fail", {"exit": 0}, "q1.1 failed, but its process exited with 0, and nothing records a failure"),
        ("fail", {"exit": 0, "outcome": {"kind": "failed", "reason": "all its tools were refused"}}, None),
        ("fail", {"exit": 1}, None),
        ("fail", {"signal": 9}, None),
        ("succeed", {"exit": 0}, None),
        ("kill", {"exit": 0}, None),
        ("time_out", {"exit": 0}, None),
    ],
    ids=str,
)
def test_an_end_that_its_process_contradicts_is_told(kugetsu, story, how, ended, told):
    story.enqueue()
    attempt = story.run("q1")
    outcome = {"kind": "succeeded" if how == "succeed" else "retryable", "reason": "it ended"}
    outcome = {"outcome": {} if how == "fail" and ended == {"exit": 0} else outcome, **ended}
    story.finish(attempt, how, "done" if how == "succeed" else "retry", "it ended", **outcome)
    shown = kugetsu("audit", "invariants", "--json")
    found = [one["text"] for one in shown.json["invariants"]["found"]]
    assert (shown.code, found) == ((6, [told]) if told else (0, [])), shown


def test_an_agent_that_was_told_to_stop_may_exit_with_0_and_has_failed(kugetsu, story):
    story.enqueue()
    attempt = story.run("q1")
    outcome = {"kind": "succeeded", "reason": "the command ended with exit code 0"}
    story.finish(attempt, "fail", "retry", "stalled: no output for 30 min", exit=0, outcome=outcome)
    assert kugetsu("audit", "invariants").code == 0
