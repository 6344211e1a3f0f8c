"""`kugetsu list`."""

from __future__ import annotations


def test_sessions_with_their_agent_branch_and_work(kugetsu, story, snapshot):
    story.at("10:00:00").enqueue()
    story.run("q1", alive=True)
    story.enqueue(issue="github.com/a/b#1")
    story.run("q2", alive=False)
    done = story.run(story.enqueue(issue="github.com/c/d#2"))
    story.finish(done, "succeed", "done", "2 commits", evidence={"commits": 2, "dirty": 1, "pushed": False})
    shown = kugetsu("list", at="10:05:00", COLUMNS="130")
    assert shown.code == 0
    assert "q1.1 alive" in shown.out and "q2.1 dead" in shown.out and "2 commits unpushed, 1 dirty" in shown.out
    snapshot("list", shown.out)


def test_new_files_count_as_uncommitted(kugetsu, story):
    done = story.run(story.enqueue())
    story.finish(done, "succeed", "done", "no commit", evidence={"commits": 0, "dirty": 1, "untracked": 2})
    assert "3 dirty" in kugetsu("list").out
    assert kugetsu("list", "--json").json["sessions"][0]["dirty"] == 3
    assert "3 uncommitted files" in kugetsu("history", "q1", COLUMNS="160").out


def test_an_amount_of_uncommitted_files_is_told_once(kugetsu, story):
    done = story.run(story.enqueue())
    evidence = {"commits": 0, "dirty": 1, "untracked": 0}
    story.finish(done, "succeed", "done", "no commit, 1 uncommitted file", evidence=evidence)
    shown = kugetsu("history", "q1", COLUMNS="160").out
    ended = next(line for line in shown.splitlines() if "attempt.succeeded" in line)
    assert ended.count("1 uncommitted file") == 1 and "not committed" not in ended


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
