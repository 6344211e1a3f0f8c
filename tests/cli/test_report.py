"""`kugetsu report`: the night of `nights.morning`, in each of its forms."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from cli import nights
from kugetsu.domain.decide import queue, reviews

MORNING = "2026-11-24T07:00:00.000000Z"
LATER = "2026-11-25T07:00:00.000000Z"


@pytest.fixture
def morning(story):
    nights.morning(story)
    return story


def report(kugetsu, *words: str, at: str = MORNING, **more: str) -> Any:
    shown = kugetsu("report", *words, at=at, **more)
    assert shown.code == 0, shown
    return shown


# --- the screen ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", ["80", "40"])
def test_the_morning_after(kugetsu, morning, snapshot, fits, width):
    shown = report(kugetsu, COLUMNS=width).out
    assert fits(shown, int(width))
    snapshot(f"report-{width}", shown)


def test_a_night_of_twelve_tasks_fits_a_screen_of_fifty_lines(kugetsu, morning):
    assert len(report(kugetsu).out.splitlines()) <= 50


def test_each_group_counts_and_the_counts_add_up(kugetsu, morning):
    found = report(kugetsu, "--json").json
    assert found["tasks"] == sum(found["counts"].values()) == 12
    assert found["counts"] == {"asks": 1, "review": 4, "label": 0, "failed": 2, "running": 0, "waiting": 2, "done": 3}
    assert found["done"] == {"same_issue": 1, "nothing": 1, "cancelled": 1}
    assert found["headline"] == (
        "12 tasks: 4 to review, 1 asks you, 2 failed, 2 wait, 3 done; 3h50m of agents, 906k tokens, $1.14"
    )


def test_every_result_is_the_one_of_the_evidence(kugetsu, morning):
    kinds = {row["issue"]: (row["result"] or {}).get("kind") for row in report(kugetsu, "--json").json["items"]}
    expected = {
        "kugetsu#14": "pull_request",
        "jigaido#4": "pushed",
        "jigaido#6": "uncommitted",
        "kugetsu#21": "question",
        "jigaido#9": "answered",
        "jigaido#10": "nothing",
        "kugetsu#17": "failed",
        "jigaido#5": "failed",
        "kugetsu#22": "failed",
        "kugetsu#18": None,
        "jigaido#11": None,
    }
    assert kinds == {f"github.com/shoko/{name}": kind for name, kind in expected.items()}


def test_what_runs_is_named_and_who_waits_for_a_time_says_until_when(kugetsu, story):
    story.at("10:00:00").enqueue("go", issue="github.com/a/b#1")
    story.run("q1", alive=True)
    shown = report(kugetsu, at="10:10:00").out
    assert "1 task: 1 runs; 10m00s of agents" in shown
    assert re.search(r"^STILL RUNNING  a/b#1 +kugetsu status$", shown, re.M)
    limited = {"resets_at": "2026-11-23T12:00:00.000000Z"}
    story.at("10:20:00").finish("q1.1", "fail", "limited", "usage limit", **limited)
    assert "1 task: 1 waits until 12:01" in report(kugetsu, at="10:30:00").out
    assert re.search(r"^WAITING  a/b#1 until 12:01 +kugetsu queue list$", report(kugetsu, at="10:30:00").out, re.M)


def test_a_worktree_that_is_not_ready_is_listed_with_its_reason_although_it_is_tried_again(kugetsu, story):
    story.at("10:00:00").enqueue("go", issue="github.com/a/b#1")
    problem = "npm ci failed (exit 7): error: no registry"
    set_up = {"code": "failed", "exit": 7, "problem": problem, "command": "npm ci"}
    story.finish(story.run("q1", alive=True), "fail", "unready", "not started", evidence={"set_up": set_up})
    (row,) = report(kugetsu, "--json", at="10:00:30").json["items"]
    assert row["until"] and row["for_a_person"]
    assert row["reason"] == f"its worktree is not ready: {problem} (output: kugetsu logs q1.1 --setup)"
    assert row["next"] == "kugetsu doctor --repo github.com/a/b"
    said = kugetsu("why", "q1", at="2026-11-23T10:00:30.000000Z", COLUMNS="200").out
    assert "--setup) until 10:01" in said, "the time is no part of the command"
    for width in ("40", "80"):
        shown = report(kugetsu, at="10:00:30", COLUMNS=width).out
        assert "exit 7" in shown and "doctor --repo" in " ".join(shown.split())


def test_tasks_behind_another_of_their_issue_wait(kugetsu, story):
    story.at("10:00:00").enqueue("first", issue="github.com/a/b#1")
    story.run("q1", alive=True)
    story.enqueue("second", issue="github.com/a/b#1")
    shown = report(kugetsu, at="10:10:00").out
    assert "2 tasks: 1 runs, 1 waits;" in shown
    assert re.search(r"^WAITING  1 behind another task of the issue +kugetsu queue list$", shown, re.M), shown
    assert report(kugetsu, "--json", at="10:10:00").json["counts"]["waiting"] == 1
    pasted = report(kugetsu, "--markdown", at="10:10:00").out
    assert "**Still running**: 1 issue" in pasted and "**Waiting**: 1 behind another task of the issue" in pasted
    assert "1 behind another task of the issue" in report(kugetsu, "--html", "-", at="10:10:00").out


def test_all_lists_also_what_needs_nobody(kugetsu, morning):
    shown = report(kugetsu, "--all").out
    assert "shoko/jigaido#10  Test the sorting" in shown and "shoko/jigaido#11  see to Rename the option" in shown
    assert "DONE  " not in shown and "and 1 listed with the issue" in shown


def test_nothing_happened(kugetsu, story):
    assert report(kugetsu, at="10:00:00").out == "since the beginning\nno tasks\n"
    assert report(kugetsu, "--json", at="10:00:00").json["counts"]["done"] == 0


def test_names_are_cut_before_the_number(kugetsu, story, fits):
    for number in (1, 2):
        story.enqueue(
            "go", issue=f"git.example-of-a-long-host.org/an-owner-with-a-name/a-repository-with-one#{number}234"
        )
        attempt = story.run(f"q{number}")
        story.finish(attempt, "succeed", "done", "1 commit", evidence={"commits": 1, "pushed": True})
    for width in ("40", "80"):
        shown = report(kugetsu, at="10:00:00", COLUMNS=width).out
        heads = [line for line in shown.splitlines() if line.startswith("  ") and line[2] != " "]
        assert fits("\n".join(heads), int(width)) and "#1234" in heads[0] and "#2234" in heads[1], shown


def test_an_acknowledged_failure_needs_nobody(kugetsu, morning):
    assert kugetsu("ack", "q7", at=MORNING).code == 0
    found = report(kugetsu, "--json").json
    assert (found["counts"]["failed"], found["done"]["acknowledged"], found["tasks"]) == (1, 1, 12)
    report(kugetsu, "--ack")
    assert kugetsu("ack", "--all", at=MORNING).code == 0
    assert "OPEN FROM BEFORE  1 asks you, 4 to review  " in report(kugetsu).out


# --- the period ------------------------------------------------------------------------------------------------------


def test_an_acknowledged_report_begins_the_next_and_can_be_undone(kugetsu, morning):
    shown = report(kugetsu, "--ack")
    seq = re.search(r"undo: kugetsu undo (\d+)", shown.err)
    assert seq is not None, shown
    after = report(kugetsu)
    assert after.out.splitlines()[0] == "since 07:00 UTC, the last acknowledged report"
    assert "2 tasks: 2 wait" in after.out
    assert re.search(r"^OPEN FROM BEFORE  1 asks you, 4 to review, 2 failed +kugetsu report --all$", after.out, re.M)
    assert "nothing new to acknowledge" in report(kugetsu, "--ack").err
    assert kugetsu("undo", seq[1], "--yes", at=MORNING).code == 0
    assert report(kugetsu).out.splitlines()[0] == "since the beginning (no report was acknowledged yet)"


def test_what_is_open_from_before_is_listed_with_all(kugetsu, morning):
    report(kugetsu, "--ack")
    found = report(kugetsu, "--json", at=LATER).json
    assert [row["group"] for row in found["older"]].count("review") == 4 and all(row["older"] for row in found["older"])
    listed = report(kugetsu, "--all", at=LATER).out
    assert "OPEN FROM BEFORE\n" in listed and "kugetsu open shoko/kugetsu#14" in listed


def test_a_new_task_takes_an_issue_out_of_what_is_open_from_before(kugetsu, morning):
    report(kugetsu, "--ack")
    morning.at("2026-11-24T08:00:00.000000Z").enqueue("on disk", "github.com/shoko/kugetsu#21")
    found = report(kugetsu, "--json", at=LATER).json
    assert found["counts"]["waiting"] == 3
    assert "github.com/shoko/kugetsu#21" not in [row["issue"] for row in found["older"]]


def test_since_names_a_time_or_an_event(kugetsu, morning):
    shown = report(kugetsu, "--since", "2026-11-23T22:00")
    assert shown.out.splitlines()[0] == "since yesterday 22:00 UTC"
    # The release and the network failed later, a task was cancelled; two wait.
    assert report(kugetsu, "--json", "--since", "2026-11-23T22:00").json["tasks"] == 5
    finished = next(event["seq"] for event in morning.log.read() if event["type"] == "task.completed")
    found = report(kugetsu, "--json", "--since", str(finished)).json
    assert (found["since"]["why"], found["tasks"]) == ("given", 10)  # neither that one nor the one cancelled before


def test_a_period_that_ends_before_it_begins_is_refused(kugetsu, morning):
    for since in ("60", "2026-11-24T06:00"):
        refused = kugetsu("report", "--at", "40", "--since", since, at=MORNING)
        assert refused.code == 3 and "--since is later than --at" in refused.err


def test_tasks_that_left_the_list_are_counted(kugetsu, morning):
    morning.at("2026-11-23T23:55:00.000000Z").do(lambda state: queue.clear(state, None))
    found = report(kugetsu, "--json", "--since", "0").json
    assert found["tasks"] == 12 and found["counts"]["review"] == 4 and found["tokens"] == 906_000
    first = report(kugetsu, "--json").json
    assert first["since"]["why"] == "listed"


def test_the_past_and_another_log_are_reported_and_not_acknowledged(kugetsu, morning):
    then = report(kugetsu, "--at", "2026-11-23T21:00:00").out
    assert then.startswith("as of event ") and "1 asks you" in then and "failed" not in then
    assert kugetsu("report", "--ack", "--at", "9", at=MORNING).code == 3
    bundle = kugetsu.folder / "night.jsonl"
    assert kugetsu("log", "export", "--jsonl", "--to", str(bundle), at=MORNING).code == 0
    shown = report(kugetsu, "--from", str(bundle))
    assert "4 to review, 1 asks you, 2 failed" in shown.out
    assert kugetsu("report", "--ack", "--from", str(bundle), at=MORNING).code == 3


# --- Markdown and the page -------------------------------------------------------------------------------------------

NASTY = "does not close #12, closes acme/web#3 | `rm` <b onload=x> @shoko [x](http://y) **now**"


@pytest.fixture
def nasty(story):
    story.enqueue(NASTY, issue="github.com/a/b#1")
    attempt = story.run("q1")
    evidence = {"commits": 1, "files": 1, "added": 1, "removed": 0, "pushed": True, "branch": "fix/<i>|1"}
    story.at("10:00:00").finish(
        attempt, "succeed", "done", "1 commit", evidence=evidence, outcome={"final_text": NASTY}
    )
    return story


def test_markdown_of_the_morning(kugetsu, morning, snapshot):
    snapshot("report-markdown", report(kugetsu, "--markdown").out)


def test_markdown_holds_foreign_text_as_text(kugetsu, nasty):
    shown = report(kugetsu, "--markdown", at="10:10:00").out
    (row,) = [line for line in shown.splitlines() if "a/b#1" in line]
    cells = re.split(r"(?<!\\)\|", row.strip("|"))
    assert len(cells) == 5
    assert not re.search(r"#12|web#3|@shoko|(?<!\\)<b|(?<!\\)`rm|(?<!\\)\[x|(?<!\\)\*\*now", row), row
    assert "no. 12" in row and "@\u200bshoko" in row


class Page(HTMLParser):
    """The elements of a page that are open at each text, and what it loads or runs."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "img", "iframe", "b", "link", "object"):
            self.wrong.append(tag)
        self.wrong += [name for name, _ in attrs if name in ("src", "onload", "srcset")]
        if tag not in ("meta", "rect", "line", "path", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag not in ("rect", "line", "path", "circle"):
            self.wrong.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title") and data.strip():
            self.texts.append(data.strip())


def page(kugetsu, *words: str, at: str = MORNING) -> tuple[str, Page]:
    made = report(kugetsu, "--html", "-", *words, at=at).out
    read = Page()
    read.feed(made)
    return made, read


def test_the_page_of_the_morning(kugetsu, morning, snapshot):
    made, read = page(kugetsu)
    assert read.open == [] and read.wrong == []
    assert "default-src 'none'" in made and 'name="viewport"' in made and "prefers-color-scheme: dark" in made
    assert "<svg" in made and "q7.3" in made
    body = re.sub(r"<svg.*?</svg>", "(timeline)", made.partition("<body>")[2], flags=re.S)
    lines = [html.unescape(re.sub(r"<[^>]+>", "", line)).strip() for line in body.splitlines()]
    snapshot("report-html", "\n".join(line for line in lines if line) + "\n")


def test_the_page_shows_foreign_text_as_text(kugetsu, nasty):
    made, read = page(kugetsu, at="10:10:00")
    assert read.open == [] and read.wrong == []
    assert NASTY in read.texts and "<b onload" not in made


def test_a_page_is_written_to_a_file_once(kugetsu, morning):
    path = kugetsu.folder / "night.html"
    shown = report(kugetsu, "--html", str(path))
    assert shown.out == f"wrote {path}\n" and path.read_text().startswith("<!doctype html>")
    assert path.stat().st_mode & 0o777 == 0o600
    assert kugetsu("report", "--html", str(path), at=MORNING).code == 5
    found = report(kugetsu, "--html", str(path), "--force", "--json").json
    assert found["written"] == [str(path)]


def test_two_forms_at_a_time_are_refused(kugetsu, morning):
    refused = kugetsu("report", "--json", "--markdown", at=MORNING)
    assert refused.code == 3
    assert kugetsu("report", "--markdown", "--html", "-", at=MORNING).code == 3


def test_the_checks_are_those_that_were_seen_last(kugetsu, morning):
    pull = {
        "number": 92,
        "url": "https://github.com/shoko/kugetsu/pull/92",
        "state": "open",
        "head": "c14",
        "checks": "failure",
        "review": None,
        "mergeable": True,
        "draft": False,
    }
    morning.do(lambda state: reviews.observe(state, "github.com/shoko/kugetsu#14", pull))
    (row,) = [row for row in report(kugetsu, "--json").json["items"] if row["issue"].endswith("kugetsu#14")]
    assert (row["group"], row["words"]) == ("review", "PR #92, checks failed")
    assert row["next"] == "kugetsu continue github.com/shoko/kugetsu#14 MESSAGE"
    merged = {**pull, "state": "merged"}
    morning.do(lambda state: reviews.observe(state, "github.com/shoko/kugetsu#14", merged))
    found = report(kugetsu, "--json").json
    assert (found["counts"]["review"], found["done"]["merged"], found["tasks"]) == (3, 1, 12)


def test_a_question_of_the_pm_agent_is_answered_by_delegating(kugetsu, story):
    story.enqueue("what next?", issue=None)
    story.finish(story.run("q1"), "succeed", "done", "done", outcome={"final_text": "Shall I begin with the parser?"})
    (row,) = report(kugetsu, "--json", at="10:00:00").json["items"]
    assert (row["group"], row["issue"], row["next"]) == ("asks", None, "kugetsu delegate MESSAGE")
