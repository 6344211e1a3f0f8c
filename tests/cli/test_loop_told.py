"""What people are told of the loop: why a label or a check starts nothing, who said what, what it cost."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from cli.conftest import ISSUE
from kugetsu.domain import loops
from kugetsu.domain.decide import intake, reactions, reviews
from kugetsu.domain.new_event import NewEvent

NOW = "2026-11-23T11:00:00.000000Z"
URL = "https://github.com/shoko/kugetsu/pulls/9"
KINDS = ["checks", "reviews"]
CHECK = {"id": "check:1", "kind": "checks", "counts": True, "name": "build", "text": "2 of 14 tests failed"}
REMARK = {"id": "remark:1", "kind": "reviews", "counts": True, "author": "mary", "relation": "write"}
REMARK |= {"path": "login.py", "line": 7, "text": "Name it login_time.\nAnd test it."}
IDLE = {"id": "check:2", "kind": "checks", "counts": False, "why_not": "not_run", "name": "deploy", "text": "unpaid"}


def see(story: Any, *items: dict[str, Any], gone: tuple[str, ...] = ()) -> None:
    story.do(lambda state: reactions.observe(state, ISSUE, URL, "c1", list(items), list(gone)))


def react(story: Any, most: int = 1) -> list[Any]:
    facts: Any = {"now": story.time, "kinds": KINDS, "delay_seconds": 60.0, "max_reactions": most}

    def decide(state: Any) -> Any:
        turn = loops.next_turn(state, state.sessions[ISSUE], facts)
        return reactions.react(
            state,
            ISSUE,
            f"Turn {loops.loop_of(state, ISSUE)['turns'] + 1} of at most {most}: 1 failing check",
            turn.items,
            facts,
        )

    return list(story.do(decide))


def work(story: Any, task: str, head: str) -> None:
    seen = {"commits": 1, "pushed": True, "dirty": 0, "head": head}
    pull = {"number": 9, "url": URL, "state": "open", "draft": False, "head": head, "checks": "failure"}
    story.finish(story.run(task), "succeed", "done", "done", evidence={**seen, "pull": pull}, tokens=52_000, cost=0.4)


@pytest.fixture
def turned(story: Any) -> Any:
    """An issue whose pull request has had one turn, about a failing check."""
    story.at("10:00:00").enqueue()
    work(story, "q1", "c1")
    story.at("10:10:00", "observer")
    see(story, CHECK)
    story.at("10:12:00")
    react(story)
    story.at("10:20:00", "runner q2.1")
    work(story, "q2", "c1")
    return story.at("10:30:00", "observer")


def every(kugetsu: Any, fits: Any, *words: str) -> str:
    """What a command says, at 80 and at 40 columns; a command to type may be longer."""
    wide, narrow = (kugetsu(*words, at=NOW, COLUMNS=columns) for columns in ("80", "40"))
    assert (wide.code, narrow.code) == (0, 0), wide
    assert fits(wide.out, 80), wide.out
    assert fits("\n".join(line for line in narrow.out.splitlines() if "kugetsu " not in line), 40), narrow.out
    return " ".join(f"{wide.out} {narrow.out}".split())


def test_a_brake_is_told_everywhere(kugetsu, turned, fits):
    (held,) = react(turned, most=5)
    assert held["data"]["code"] == "no_change"
    words = "q2 changed nothing of it: over to you"
    assert f"1 of 5 turns; {words}" in (said := every(kugetsu, fits, "why", ISSUE)), said
    assert words in every(kugetsu, fits, "status") and words in every(kugetsu, fits, "report")
    assert words in every(kugetsu, fits, "history", ISSUE)
    assert words in every(kugetsu, fits, "notify", "list")
    audit = kugetsu("audit", "reactions", "--json", at=NOW).json["reactions"]
    assert {name: audit[name] for name in ("turns", "kinds", "tokens", "fruitless", "brakes")} == {
        "turns": 1,
        "kinds": {"checks": 1},
        "tokens": 52_000,
        "fruitless": 1,
        "brakes": 1,
    }
    assert "1 changed nothing" in every(kugetsu, fits, "audit", "reactions")
    refused = kugetsu("undo", str(held["seq"]), at=NOW)
    assert refused.code != 0 and "kugetsu continue" in refused.err


def test_turns_are_counted_on_the_issues_that_have_some(kugetsu, turned, fits):
    """An issue that only a brake holds is listed, and has no turn."""
    turned.enqueue(issue=f"{ISSUE}0")
    turned.finish(turned.run("q3"), "succeed", "done", "done", evidence={"commits": 0})
    turned.do(lambda state: reactions.hold(state, f"{ISSUE}0", "kept", {"why": "it has 1 uncommitted change"}))
    said = every(kugetsu, fits, "audit", "reactions")
    assert "1 turn on 1 issue (1 failing check)" in said, said
    audit = kugetsu("audit", "reactions", "--json", at=NOW).json["reactions"]
    assert (audit["issues"], audit["listed"], len(audit["most"])) == (1, 2, 2)


def test_what_others_wrote_before_a_turn_is_not_what_the_turn_brought(kugetsu, story):
    """The comment that a turn answers is there when it begins: with no other one at its end it changed nothing."""
    pull = {"number": 9, "url": URL, "state": "open", "draft": False, "head": "c1", "checks": None}
    seen = {"commits": 1, "pushed": True, "dirty": 0, "head": "c1", "pull": pull}
    story.at("10:00:00").enqueue()
    story.finish(story.run("q1"), "succeed", "done", "done", evidence={**seen, "comments": 2})
    story.at("10:10:00", "observer")
    see(story, REMARK)
    story.at("10:12:00")
    react(story)
    attempt = story.run("q2")
    read = {"title": "Slow", "state": "open", "comments": 3, "url": URL, "digest": None, "problem": None}
    story.do(lambda _: [NewEvent("issue.read", read, issue=ISSUE, task="q2", attempt=attempt, session=ISSUE)])
    story.finish(attempt, "succeed", "done", "done", evidence={**seen, "comments": 3})
    audit = kugetsu("audit", "reactions", "--json", at=NOW).json["reactions"]
    assert (audit["turns"], audit["fruitless"]) == (1, 1)


def test_a_brake_of_a_closed_pull_request_asks_nothing_of_anybody(kugetsu, turned, fits):
    react(turned, most=5)
    pull = {"number": 9, "url": URL, "state": "closed", "head": "c1", "checks": "failure", "review": None}
    turned.do(lambda state: reviews.observe(state, ISSUE, {**pull, "mergeable": None, "draft": False}))
    assert "over to you" not in every(kugetsu, fits, "status")
    said = every(kugetsu, fits, "why", ISSUE)
    assert "over to you" not in said and "its pull request is closed" in said


def test_who_said_what_started_a_turn(kugetsu, turned, fits):
    see(turned, REMARK, gone=("check:1",))
    turned.at("10:40:00")
    (queued,) = react(turned, most=5)
    assert (
        "remark by mary on login.py:7: Name it login_time." in kugetsu("why", queued["task"], at=NOW, COLUMNS="200").out
    )
    said = kugetsu("why", queued["task"], at=NOW, COLUMNS="200").out
    assert said.count("it answers: ") == 1, "not what an earlier turn answered"
    assert "remark by mary on login.py:7" in kugetsu("history", ISSUE, at=NOW, COLUMNS="200").out
    every(kugetsu, fits, "history", ISSUE)


@pytest.mark.parametrize(
    ("settings", "item", "said", "lift"),
    [
        ("", REMARK, "REACTIONS does not name reviews", "config set --repo github.com/shoko/kugetsu REACTIONS"),
        ("REACTIONS=reviews\nREACTION_DELAY_MINUTES=60\n", REMARK, "waits for further feedback, until 11:30", None),
        ("REACTIONS=reviews\nMAX_REACTIONS=1\n", REMARK, "(MAX_REACTIONS 1): over to you", "kugetsu continue"),
        ("REACTIONS=reviews\n", REMARK, "the next turn is queued when the daemon looks", None),
        ("REACTIONS=checks\n", IDLE, "it ran no step", None),
    ],
    ids=["not named", "later", "most reactions", "go", "not run"],
)
def test_why_feedback_starts_no_turn(kugetsu, turned, fits, settings, item, said, lift):
    see(turned, item, gone=("check:1",))
    (kugetsu.root / "config").write_text(settings)
    shown = every(kugetsu, fits, "why", ISSUE)
    assert said in shown and (lift is None or lift in shown), shown


def test_why_no_turn_follows_for_a_closed_issue(kugetsu, turned, fits):
    see(turned, REMARK, gone=("check:1",))
    turned.do(lambda state: reactions.withdrawn(state, ISSUE, "issue_closed"))
    (kugetsu.root / "config").write_text("REACTIONS=reviews\n")
    assert "its issue is closed: no further turn" in every(kugetsu, fits, "why", ISSUE)


def test_where_the_session_of_a_merged_pull_request_stays_its_end_is_the_remedy(kugetsu, turned, fits):
    see(turned, gone=("check:1",))
    turned.do(lambda state: reactions.hold(state, ISSUE, "kept", {"why": "it has 1 uncommitted change"}))
    assert f"kugetsu destroy {ISSUE}" in " ".join(every(kugetsu, fits, "why", ISSUE).split())
    assert "held: its session stays" in kugetsu("audit", "reactions", at=NOW, COLUMNS="120").out


def test_a_history_of_one_issue_does_not_name_it_in_each_row(kugetsu, turned):
    shown = kugetsu("history", ISSUE, at=NOW, COLUMNS="200").out
    row = next(row for row in shown.splitlines() if "Turn 1 of at most 1: 1 failing check" in row)
    assert "q2" in row and "by observer  Turn 1" in row


def test_a_history_tells_of_what_kind_the_feedback_is_that_is_over(kugetsu, turned, fits):
    see(turned, REMARK, gone=("check:1",))
    assert "; over: 1 failing check" in every(kugetsu, fits, "history", ISSUE)


def test_a_task_whose_agent_never_began_is_listed_as_not_started(kugetsu, story, fits):
    story.enqueue()
    story.finish(story.claim("q1"), "fail", "give_up", "not started: no such branch")
    assert "not started" in every(kugetsu, fits, "list")
    assert kugetsu("list", "--json", at=NOW).json["sessions"][0]["begun"] is False


def test_why_a_labelled_issue_is_not_queued(kugetsu, story, fits):
    facts: Any = {"label": "kugetsu", "labels": ["kugetsu"], "body": "h1", "blockers": [], "labellers": []}
    facts |= {"labelled_by": "mallory", "labelled_at": "2026-11-23T09:00:00Z", "right": "read"}
    facts |= {"edited_by": None, "edited_at": None}
    look = partial(intake.look, issue=ISSUE, title="Slow", author="alice", relation="none", facts=facts)
    story.do(lambda state: look(state))
    shown = every(kugetsu, fits, "why", ISSUE)
    assert "needs the label again: mallory set it and has no triage right" in shown
    assert "INTAKE_LABELLERS" in shown and "kugetsu continue" not in shown
    assert kugetsu("why", ISSUE, "--json", at=NOW).json["label"]["code"] == "needs_label"


@pytest.mark.parametrize(
    ("code", "words"),
    [("unlabelled", "its label was removed"), ("closed", "it was closed"), ("switched_off", None)],
)
def test_why_a_run_goes_on_whose_label_is_gone(kugetsu, story, fits, code, words):
    facts: Any = {"label": "kugetsu", "labels": ["kugetsu"], "body": "h1", "blockers": [], "labellers": []}
    facts |= {"labelled_by": "bob", "labelled_at": "2026-11-23T09:00:00Z", "right": "write"}
    facts |= {"edited_by": None, "edited_at": None}
    look = partial(intake.look, issue=ISSUE, title="Slow", author="alice", relation="none", facts=facts)
    story.do(lambda state: look(state))
    story.run("q1", alive=True)
    assert kugetsu("why", "q1", "--json", at=NOW).json["tasks"][0]["withdrawn"] is None
    story.do(lambda state: intake.gone(state, ISSUE, code))
    for subject in (ISSUE, "q1"):
        shown = every(kugetsu, fits, "why", subject)
        told = f"{words} (event 11): the run goes on, but kugetsu opens and posts nothing more for it"
        assert told in shown if words else "the run goes on" not in shown, shown


def test_what_changed_of_a_loop_is_told(kugetsu, turned, fits):
    before = turned.log.state().seq
    facts: Any = {"label": "kugetsu", "labels": ["kugetsu"], "body": "h1", "blockers": [], "labellers": []}
    facts |= {"labelled_by": "mallory", "labelled_at": "2026-11-23T09:00:00Z", "right": "read"}
    facts |= {"edited_by": None, "edited_at": None, "now": NOW}
    stranger = "github.com/shoko/kugetsu#15"
    about = {"title": "Slow", "author": "alice", "relation": "none", "facts": facts}
    turned.do(partial(intake.look, issue=stranger, **about))
    see(turned, REMARK)
    react(turned, most=1)
    turned.do(lambda _: [NewEvent("mark.setting", {"add": ["kugetsu: failed"], "remove": []}, issue=ISSUE)])
    (setting,) = (event for event in turned.log.read() if event["type"] == "mark.setting")
    shown = {"label": "kugetsu: failed"}
    turned.do(lambda _: [NewEvent("mark.set", shown, issue=ISSUE, cause=setting["seq"])])
    told = every(kugetsu, fits, "diff", str(before))
    assert "needs the label again: mallory set it and has no triage right" in told
    assert "held: MAX_REACTIONS" in told and "new: kugetsu: failed" in told
    found = {one["record"]: one for one in kugetsu("diff", str(before), "--json", at=NOW).json["changes"]}
    assert {name: found[name]["key"] for name in ("label", "loop", "mark")} == {
        "label": stranger,
        "loop": ISSUE,
        "mark": ISSUE,
    }
    fields = {field["field"]: (field["from"], field["to"]) for field in found["loop"]["fields"]}
    assert fields == {"brake": (None, "most_reactions"), "unanswered": (0, 1)}
    assert "label" not in {
        one["record"] for one in kugetsu("diff", str(before), ISSUE, "--json", at=NOW).json["changes"]
    }


def test_a_history_of_everything_names_the_issue_where_there_is_no_task(kugetsu, turned):
    see(turned, REMARK)
    rows = kugetsu("history", "--all", at=NOW, COLUMNS="200").out.splitlines()
    seen = [row for row in rows if "feedback.seen" in row]
    assert len(seen) == 2 and all("shoko/kugetsu#14: " in row for row in seen), seen


def test_the_figures_of_the_queue_tell_who_asked(kugetsu, turned, fits):
    told = every(kugetsu, fits, "queue", "stats")
    assert "asked for: 1 by people or agents, 1 by feedback on pull requests" in told
    data = kugetsu("queue", "stats", "--json", at=NOW).json
    assert (data["asked_by"], data["results"]) == ({"person": 1, "label": 0, "feedback": 1}, {"pull_request": 2})
    listed = kugetsu("queue", "list", "--all", "--json", at=NOW).json["tasks"]
    assert [task["asked_by"] for task in listed] == ["person", "feedback"]


def test_a_loop_of_the_past_is_asked_with_the_settings_of_then(kugetsu, turned, fits):
    (held,) = react(turned, most=5)
    first = next(event for event in turned.log.read() if event["type"] == "feedback.seen")
    (kugetsu.root / "config").write_text("MAX_REACTIONS=9\nREACTIONS=reviews\n")
    loop = kugetsu("why", ISSUE, "--at", str(held["seq"]), "--json", at=NOW).json["loop"]
    assert (loop["max"], loop["code"], loop["settings_from"]) == (5, "no_change", held["seq"])
    told = every(kugetsu, fits, "why", ISSUE, "--at", str(held["seq"]))
    assert "1 of 5 turns" in told and f"with the settings that event {held['seq']} recorded" in told
    told = every(kugetsu, fits, "why", ISSUE, "--at", str(first["seq"]))
    assert "0 of 9 turns" in told and "with today's settings: no turn had recorded its own" in told
    now = kugetsu("why", ISSUE, "--json", at=NOW).json["loop"]
    assert (now["max"], now["settings_from"]) == (9, None)
    assert "with " not in every(kugetsu, fits, "why", ISSUE).partition("loop")[2].partition("go on")[0]


def test_status_and_report_say_how_old_it_is_and_ask_no_forge(kugetsu, turned, fits):
    import os

    from kugetsu.forge.pauses import Pause
    from kugetsu.host.paths import Paths
    from kugetsu.model.clock import parse

    seen = {"url": URL, "number": 9, "state": "open", "draft": False, "head": "c1", "checks": "failure"}
    seen |= {"review": None, "mergeable": True}
    turned.do(lambda state: reviews.observe(state, ISSUE, seen))
    for command in ("status", "report"):
        assert "github.com answered" not in every(kugetsu, fits, command)
    pause, now = Pause(Paths(str(kugetsu.root)).pause("github.com")), parse(NOW) / 1_000_000
    pause.answered(now - 180)
    for command in ("status", "report"):
        told = every(kugetsu, fits, command)
        assert "github.com answered 3m00s ago" in told and "paused" not in told
    pause.begin(now + 600, "with a token")
    for command in ("status", "report"):
        assert "github.com answered 3m00s ago; paused until 11:10" in every(kugetsu, fits, command)
        (look,) = kugetsu(command, "--json", at=NOW).json["forges"]
        assert look["paused_until"] == "2026-11-23T11:10:00.000000Z", look
    assert os.stat(kugetsu.root / "forges" / "github.com.answered").st_mtime == now - 180, "nobody asked"
