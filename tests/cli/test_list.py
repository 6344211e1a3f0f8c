"""`kugetsu list`."""

from __future__ import annotations

import pytest


def test_sessions_with_their_agent_branch_and_work(kugetsu, story, snapshot):
    story.at("10:00:00").enqueue()
    story.run("q1", alive=True)
    story.enqueue(issue="github.com/a/b#1")
    story.run("q2", alive=False)
    done = story.run(story.enqueue(issue="github.com/c/d#2"))
    story.finish(done, "succeed", "done", "2 commits", evidence={"commits": 2, "dirty": 1, "pushed": False})
    shown = kugetsu("list", at="10:05:00", COLUMNS="130")
    assert shown.code == 0
    assert "q1.1 alive" in shown.out and "q2.1 dead" in shown.out and "2 commits not pushed" in shown.out
    snapshot("list", shown.out)


def test_new_files_count_as_uncommitted(kugetsu, story):
    done = story.run(story.enqueue())
    story.finish(done, "succeed", "done", "no commit", evidence={"commits": 0, "dirty": 1, "untracked": 2})
    assert "3 uncommitted files" in kugetsu("list").out
    assert kugetsu("list", "--json").json["sessions"][0]["dirty"] == 3
    assert "3 uncommitted files" in kugetsu("history", "q1", COLUMNS="160").out


def test_an_amount_of_uncommitted_files_is_told_once(kugetsu, story):
    done = story.run(story.enqueue())
    evidence = {"commits": 0, "dirty": 1, "untracked": 0}
    story.finish(done, "succeed", "done", "no commit, 1 uncommitted file", evidence=evidence)
    shown = kugetsu("history", "q1", COLUMNS="160").out
    ended = next(line for line in shown.splitlines() if "attempt.succeeded" in line)
    assert ended.count("1 uncommitted file") == 1 and "not committed" not in ended


@pytest.fixture
def morning(kugetsu, story):
    """Issues of two repositories after a night: each stands somewhere else."""
    night = [
        ("shoko/kugetsu#1", "succeed", "done", {"commits": 2, "pushed": True}, "Done.", 0.41),
        ("shoko/kugetsu#2", "succeed", "done", {"commits": 0, "dirty": 0}, "In memory or on disk?", 0.05),
        ("shoko/kugetsu#3", "fail", "give_up", {"commits": 0}, "", 1.5),
        ("shoko/jigaido#4", "succeed", "done", {"commits": 0, "dirty": 1, "untracked": 1}, "Done.", 0.0),
        ("shoko/jigaido#5", "fail", "limited", {"commits": 0}, "", 0.0),
        ("shoko/jigaido#6", "succeed", "done", {"commits": 0, "dirty": 0}, "Nothing to do.", 0.0),
    ]
    for minute, (issue, how, verdict, evidence, said, cost) in enumerate(night, 1):
        story.agent = f"command:{minute}"  # the usage limit is not the others'
        task = story.at(f"10:{minute:02}:00").enqueue(f"the message of {issue}", issue=f"github.com/{issue}")
        more = {"resets_at": "2026-11-23T14:00:00.000000Z"} if verdict == "limited" else {}
        ending = {"evidence": evidence, "outcome": {"final_text": said}, "cost": cost, **more}
        story.finish(story.run(task), how, verdict, "it ended", **ending)
    story.at("10:30:00").run(story.enqueue("another turn", issue="github.com/shoko/kugetsu#1"), alive=True)
    return story


STANDS = {1: "running", 2: "asks", 3: "failed", 4: "to_review", 5: "parked", 6: "idle"}


def test_the_morning_after(kugetsu, morning, snapshot, fits):
    shown = {width: kugetsu("list", at="11:00:00", COLUMNS=width).out for width in ("80", "60", "40", "160")}
    assert all(fits(text, int(width)) for width, text in shown.items())
    snapshot("list-morning", "".join(f"--- {width}\n{text}" for width, text in shown.items()))


def test_where_an_issue_stands_is_told_beside_the_state_of_its_session(kugetsu, morning):
    found = {one["session"].rpartition("#")[2]: one for one in kugetsu("list", "--json").json["sessions"]}
    assert {int(number): one["standing"] for number, one in found.items()} == STANDS
    assert {one["state"] for number, one in found.items() if number != "1"} == {"idle"}
    assert found["1"]["review"] == "to_review" and found["1"]["title"] == "another turn"
    assert found["4"]["result"]["uncommitted"] == 2 and found["2"]["result"]["said"] == "In memory or on disk?"


def listed(kugetsu, *words):
    shown = kugetsu("list", *words, "--json", at="11:00:00")
    assert shown.code == 0, shown
    return {int(one["session"].rpartition("#")[2]) for one in shown.json["sessions"]}


def test_only_some_of_them(kugetsu, morning):
    for number, stands in STANDS.items():
        assert listed(kugetsu, "--state", stands) == {number}
    assert listed(kugetsu, "--state", "asks you") == {2} and listed(kugetsu, "--state", "to-review") == {4}
    assert listed(kugetsu, "--repo", "shoko/jigaido") == {4, 5, 6}
    assert listed(kugetsu, "--repo", "github.com/shoko/kugetsu", "--state", "failed") == {3}
    assert listed(kugetsu, "--since", "2026-11-23T10:05:30Z") == {1, 6}
    assert listed(kugetsu, "--since", "2026-11-23T10:02:30Z", "--at", "2026-11-23T10:04:30Z") == {3, 4}


def test_none_of_them_says_how_many_there_are(kugetsu, morning):
    shown = kugetsu("list", "--state", "merged")
    assert shown.code == 0 and shown.out == "none of 6 sessions\n" and "kugetsu list" in shown.err


@pytest.mark.parametrize("words", [["--state", "dirty"], ["--repo", "shoko/kugetsu#1"], ["--since", "yesterday"]])
def test_what_cannot_be_asked_is_refused(kugetsu, morning, words):
    shown = kugetsu("list", *words)
    assert shown.code == 3 and "hint" in shown.err


def test_no_sessions_say_what_to_do(kugetsu, story):
    shown = kugetsu("list")
    assert shown.code == 0 and "no sessions" in shown.out and "kugetsu start" in shown.err
    assert kugetsu("list", "--json").json == {"sessions": [], "as_of": None}


def test_base_and_pm_sessions_only_on_request(kugetsu, story):
    from kugetsu.domain.decide import sessions

    story.do(lambda state: sessions.request(state, "pm", "pm", None))
    assert kugetsu("list", "--json").json["sessions"] == []
    assert kugetsu("list", "--all", "--json").json["sessions"][0]["session"] == "pm"


def test_before_init_it_says_so(kugetsu):
    assert kugetsu("list").code == 1


def test_it_fits_80_columns(kugetsu, story, fits):
    story.enqueue(issue="git.example.com/a-long-owner/a-long-repository#123456")
    story.run("q1", alive=True)
    assert fits(kugetsu("list").out)


def test_on_a_narrow_terminal_the_issue_stays_whole(kugetsu, story, fits):
    story.enqueue(issue="github.com/an-owner/some-repository#1234")
    story.finish(story.run("q1"), "succeed", "complete", "1 commit")
    shown = kugetsu("list")
    assert fits(shown.out) and "an-owner/some-repository#1234" in shown.out
