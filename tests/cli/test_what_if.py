"""`kugetsu replay --what-if`."""

from __future__ import annotations

from typing import Any

import pytest

from cli.test_json_shapes import compare, tree
from kugetsu.cli import catalogue

SECOND, THIRD = "github.com/a/b#2", "github.com/shoko/kugetsu#15"


def dispatched(story: Any, *, cap: int = 1) -> None:
    """The daemon looks, and claims what it finds."""
    from kugetsu.domain.decide import claims

    facts = {**story.facts(cap), "min_free_memory_mb": 700, "free_memory_mb": 4000}
    plan = claims.plan(story.log.state(), facts)
    offer = claims.ClaimRequest("lease-x", {"boot": "b", "pid": 1, "start": 1})
    story.do(lambda state: claims.dispatch(state, plan, offer if plan.candidate else None, facts))


def works(story: Any, task: str, begin: str, end: str, how: str = "succeed", verdict: str = "done") -> None:
    """Claimed and running at one time, ended at another."""
    from kugetsu.domain.decide import attempts

    story.at(begin, "kugetsu queue-daemon")
    dispatched(story)
    attempt = story.log.state().tasks[task].attempt
    assert attempt is not None, f"{task} was not the next one"
    one = {"boot": "b", "pid": 4120, "start": 1}
    story.do(lambda state: attempts.starting(state, attempt, one))
    session = story.log.state().attempts[attempt].session
    if story.log.state().sessions[session].state == "requested":
        story.prepare(session, attempt)
    story.do(lambda state: attempts.running(state, attempt, one, "ses_9f", "/w", "opencode"))
    story.at(end).finish(attempt, how, verdict, "it is done", tokens=40_000, cost=0.5)


@pytest.fixture
def night(story):
    """One slot; four tasks within ten minutes, of which one fails once; the last one waits half an hour."""
    story.at("09:59:00").daemon()
    for minute, (message, issue) in enumerate(
        [("one", None), ("two", SECOND), ("three", THIRD), ("four", "github.com/a/b#3")]
    ):
        story.at(f"10:0{minute}:00", "kugetsu queue enqueue")
        story.enqueue(message, **({"issue": issue} if issue else {}))
        if minute == 0:
            works(story, "q1", "10:00:00", "10:00:59")
    works(story, "q2", "10:03:00", "10:13:00", "fail", "retry")
    works(story, "q3", "10:13:00", "10:28:00")
    works(story, "q2", "10:28:00", "10:30:00")
    works(story, "q4", "10:30:00", "10:41:00")
    return story


def test_what_happened_stands_beside_what_would_have(kugetsu, night, snapshot, fits):
    shown = kugetsu("replay", "--what-if", "MAX_CONCURRENT_AGENTS=3")
    assert shown.code == 0 and shown.err == "" and fits(shown.out)
    snapshot("replay-what-if", shown.out)
    narrow = kugetsu("replay", "--what-if", "MAX_CONCURRENT_AGENTS=3", COLUMNS="44")
    assert narrow.code == 0 and fits(narrow.out, 44)
    snapshot("replay-what-if-narrow", narrow.out)


def test_several_settings_change_at_once(kugetsu, night, snapshot):
    shown = kugetsu("replay", "--what-if", "MAX_ATTEMPTS=1", "--what-if=priority:shoko/kugetsu#15=5", COLUMNS="120")
    assert shown.code == 0
    snapshot("replay-what-if-several", shown.out)
    data = kugetsu("replay", "--what-if", "MAX_ATTEMPTS=1", "--what-if", "priority:q3=5", "--json").json
    assert [change["key"] for change in data["changes"]] == ["MAX_ATTEMPTS", "priority:q3"]
    assert data["changes"][0]["recorded"] == "3" and data["changes"][1]["recorded"] is None
    assert (data["real"]["completed"], data["simulated"]["error"]) == (4, 1)


def test_json_has_the_documented_keys(kugetsu, night):
    data = kugetsu("replay", "--what-if", "MAX_CONCURRENT_AGENTS=3", "--json").json
    shape = next(part for part in catalogue.entry("replay").json.split("\n\n") if "moved_in_all" in part)
    compare(data, tree(shape))
    assert set(data["real"]) == set(data["simulated"])
    assert data["check"] == {"same_order": True, "off": 0.0}
    assert data["simulated"]["wait_max"] < data["real"]["wait_max"]


def test_only_tasks_of_a_window_are_measured(kugetsu, night):
    ask = ("replay", "--what-if", "MAX_CONCURRENT_AGENTS=3", "--json")
    data = kugetsu(*ask, "--since", "2026-11-23T10:01:30Z", "--until", "2026-11-23T10:02:30Z").json
    assert data["tasks"] == data["real"]["attempts"] == 1
    assert data["check"] == {"same_order": True, "off": 0.0}
    none = kugetsu(*ask, "--since", "2026-11-23T11:00:00Z")
    assert none.code == 4 and "no task was queued in that time" in none.out
    assert kugetsu(*ask, "--since", "2026-11-23T11:00:00Z", "--until", "2026-11-23T10:00:00Z").code == 3


@pytest.mark.parametrize(
    ("given", "says", "hint"),
    [
        ("MAX_CONCURENT_AGENTS=5", "did you mean MAX_CONCURRENT_AGENTS?", "--what-if takes"),
        ("COLOUR=5", "'COLOUR' is not a setting", "--what-if takes"),
        ("KUGETSU_MODEL=x/y", "KUGETSU_MODEL does not affect the queue", "MAX_CONCURRENT_AGENTS"),
        ("MAX_CONCURRENT_AGENTS=0", "it must be at least 1", "how many agents"),
        ("MAX_CONCURRENT_AGENTS=many", "it is not a whole number", "how many agents"),
        ("MAX_CONCURRENT_AGENTS", "not KEY=VALUE", "kugetsu replay --what-if MAX_CONCURRENT_AGENTS=5"),
        ("priority:q1=high", "not a valid priority", "-1000 to 1000"),
        ("priority:q1=9999", "not a valid priority", "-1000 to 1000"),
        ("priority:nonsense=1", "nonsense", "owner/repo#"),
        ("MAX_CONCURRENT_AGENTS@a/b=5", "cannot be simulated for one repository alone", "MAX_AGENTS_PER_REPOSITORY"),
        ("MAX_ATEMPTS@a/b=5", "did you mean MAX_ATTEMPTS?", "@REPO after a key"),
        ("MAX_ATTEMPTS@nonsense=5", "nonsense", "host/owner/repo"),
        ("MAX_ATTEMPTS@a/b=many", "MAX_ATTEMPTS@github.com/a/b='many': it is not a whole number", "attempts"),
    ],
)
def test_what_cannot_be_changed_is_refused(kugetsu, night, given, says, hint):
    shown = kugetsu("replay", "--what-if", given)
    assert shown.code == 3 and says in shown.err and "hint: " in shown.err and hint in shown.err, shown


def test_a_repository_alone_has_another_value(kugetsu, night):
    """q2 is of a/b and fails once, THIRD is of another repository."""
    ask = ("replay", "--json", "--what-if")
    there = kugetsu(*ask, "MAX_ATTEMPTS@a/b=1").json
    assert (there["real"]["completed"], there["simulated"]["error"]) == (4, 1)
    assert there["changes"] == [{"key": "MAX_ATTEMPTS@github.com/a/b", "value": "1", "recorded": "3"}]
    elsewhere = kugetsu(*ask, "MAX_ATTEMPTS@shoko/kugetsu=1").json
    assert elsewhere["simulated"] == elsewhere["real"]
    both = kugetsu(*ask, "MAX_ATTEMPTS=1", "--what-if", "MAX_ATTEMPTS@https://github.com/a/b=3").json
    assert both["simulated"] == both["real"], "its own value comes before the general one"
    assert kugetsu(*ask, "TASK_TIMEOUT_HOURS@a/b=0.05").json["simulated"]["retries"] > there["real"]["retries"]
    cap = kugetsu(*ask, "MAX_CONCURRENT_AGENTS=3", "--what-if", "MAX_AGENTS_PER_REPOSITORY@a/b=1").json
    free = kugetsu(*ask, "MAX_CONCURRENT_AGENTS=3").json
    assert cap["simulated"]["waiting_total"] > free["simulated"]["waiting_total"]
    nowhere = kugetsu(*ask, "MAX_ATTEMPTS@a/nowhere=1")
    assert nowhere.code == 4 and "no task of github.com/a/nowhere in the record" in nowhere.out


def test_a_key_is_given_once(kugetsu, night):
    same = kugetsu("replay", "--what-if", "MAX_ATTEMPTS@a/b=1", "--what-if", "MAX_ATTEMPTS@github.com/a/b=2")
    assert same.code == 3 and "given twice" in same.err
    shown = kugetsu("replay", "--what-if", "MAX_ATTEMPTS=1", "--what-if", "MAX_ATTEMPTS=2")
    assert shown.code == 3 and "given twice" in shown.err


def test_a_task_that_is_not_in_the_record_is_not_found(kugetsu, night):
    for subject in ("q77", "a/b#99"):
        shown = kugetsu("replay", "--what-if", f"priority:{subject}=1")
        assert shown.code == 4 and "in the record" in shown.err, shown


def test_where_nothing_ran_nothing_can_be_told(kugetsu, story):
    story.at("10:00:00").enqueue()
    shown = kugetsu("replay", "--what-if", "MAX_CONCURRENT_AGENTS=5")
    assert shown.code == 4 and "no agent was ever started" in shown.err
    story.run("q1")
    shown = kugetsu("replay", "--what-if", "MAX_CONCURRENT_AGENTS=5")
    assert shown.code == 4 and "no attempt has ended yet" in shown.err


def test_an_empty_log_is_said_to_be_empty(kugetsu):
    shown = kugetsu("replay", "--what-if", "MAX_CONCURRENT_AGENTS=5")
    assert shown.code == 4 and "the log is empty" in shown.err


def test_since_goes_with_what_if(kugetsu, night):
    shown = kugetsu("replay", "--since", "1")
    assert shown.code == 3 and "hint: kugetsu replay --what-if" in shown.err
    assert kugetsu("replay", "--verify", "--what-if", "MAX_ATTEMPTS=1").code == 3
