"""`timeline`, `audit` and `report` of a log that three hosts share: what was on which of them."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest

from cli.conftest import Command, Story
from kugetsu.domain.decide import attempts, claims, daemon, hosts
from kugetsu.host import host_file

BOX = {"box1": "1" * 32, "box2": "2" * 32, "build-server-3": "3" * 32}
CAPS = {"box1": 2, "box2": 1, "build-server-3": 1}
END = "2026-11-23T12:00:00.000000Z"


def who(host: str, pid: int = 4120) -> Any:
    return {"boot": "b", "pid": pid, "start": 1, "host": BOX[host]}


def begin(story: Story, clock: str, number: int, host: str) -> str:
    """Queue a task, and let an agent of a host begin on it."""
    story.at(clock)
    issue = f"github.com/shoko/kugetsu#{number}"
    task = story.enqueue(f"do {number}", issue)
    facts = {**story.facts(CAPS[host]), "host": BOX[host], "term": 1}
    offer = claims.ClaimRequest(f"lease-{task}", who(host))
    attempt = str(story.do(lambda state: claims.claim(state, task, offer, facts))[-1]["attempt"])
    story.do(lambda state: attempts.starting(state, attempt, who(host)))
    place = {"worktree": f"/w/{number}", "branch": f"fix/issue-{number}", "host": BOX[host]}
    story.prepare(issue, attempt, **place)
    story.do(lambda state: attempts.running(state, attempt, who(host), "ses_1", f"/w/{number}", "opencode"))
    return attempt


def end(story: Story, clock: str, attempt: str, reason: str, **evidence: Any) -> None:
    story.at(clock).finish(attempt, "succeed", "done", reason, evidence={"dirty": 0, **evidence}, tokens=1000)


@pytest.fixture
def day(kugetsu: Command, story: Story) -> Command:
    """On box1 pushed work and a question; on box2 work that is only there; the third is lost, and its task goes on."""
    (kugetsu.root / host_file.NAME).write_text(BOX["box1"] + "\n")
    for name, host in BOX.items():
        story.do(partial(hosts.join, host=host, term=1, name=name, labels=[], cap=CAPS[name]))
        story.do(partial(daemon.started, identity=who(name, 3760), lease=f"d-{name}"))
    pushed = begin(story, "09:00:00", 1, "box1")
    kept = begin(story, "09:05:00", 2, "box2")
    gone = begin(story, "09:10:00", 3, "build-server-3")
    end(story, "09:30:00", pushed, "1 commit, pushed", commits=1, pushed=True, head="c1", branch="fix/issue-1")
    end(story, "09:40:00", kept, "2 commits", commits=2, pushed=False, head="c2", branch="fix/issue-2")
    story.at("10:00:00")
    silent, why, facts = story.time, "its host was lost", {**story.facts(), "backoff_seconds": 10.0}
    lost = partial(hosts.lost, host=BOX["build-server-3"], term=1, silent_since=silent, by=BOX["box1"])
    story.do(lambda state: lost(state, reason=why, facts=facts))
    assert gone not in story.log.state().attempts
    failed = begin(story, "10:30:00", 4, "box2")
    left = {"commits": 1, "pushed": False, "head": "c4", "branch": "fix/issue-4", "dirty": 1}
    story.at("10:40:00").finish(failed, "fail", "give_up", "make: no such file", exit=1, tokens=500, evidence=left)
    begin(story, "11:00:00", 5, "box2")
    return kugetsu


@pytest.mark.parametrize("width", ["80", "40"])
def test_each_screen_names_the_host(day: Command, snapshot: Any, fits: Any, width: str) -> None:
    shown = ""
    for words in (("timeline",), ("audit", "waits"), ("report",)):
        screen = day(*words, at=END, COLUMNS=width)
        assert screen.code == 0, screen
        assert fits(screen.out, int(width)), screen.out
        shown += f"$ kugetsu {' '.join(words)}\n{screen.out}\n"
    snapshot(f"over-hosts-{width}", shown)


def test_no_slot_of_two_hosts_is_taken_for_one(day: Command) -> None:
    assert day("audit", "invariants", at=END).code == 0
    found = day("timeline", "--json", at=END).json
    held = [(one["host"], one["slot"], one["attempt"]) for one in found["holdings"]]
    assert held == [
        ("box1", 1, "q1.1"),
        ("box2", 1, "q2.1"),
        ("build-server-3", 1, "q3.1"),
        ("box2", 1, "q4.1"),
        ("box2", 1, "q5.1"),
    ]
    assert {one["host"]: one["slots"] for one in found["hosts"]} == CAPS and found["slots"] == 4


def test_the_use_of_each_host_is_by_its_own_cap(day: Command) -> None:
    waits = day("audit", "waits", "--json", at=END).json["waits"]
    use = {one["host"]: (one["used_seconds"], one["used_seconds"] + one["empty_seconds"]) for one in waits["hosts"]}
    assert use["box1"] == (1800, 2 * 3 * 3600) and use["box2"] == (2100 + 600 + 3600, 3 * 3600)
    assert use["build-server-3"] == (3000, 3600), "until it was lost"
    assert waits["slots"]["used_seconds"] == 1800 + 6300 + 3000


def test_the_page_has_a_lane_for_each_slot_of_each_host(day: Command) -> None:
    path = day.folder / "night.html"
    assert day("timeline", "--html", str(path), at=END).code == 0
    page = path.read_text()
    lanes = re.findall(r'class="lane"[^>]*>([^<]+)<', page)
    assert lanes[:4] == ["box1:1", "box1:2", "box2:1", "build-server-3:1"]


def test_the_report_is_of_all_hosts_and_says_what_is_elsewhere(day: Command) -> None:
    found = day("report", "--json", at=END).json
    rows = {row["task"]: row for row in found["items"]}
    assert {task: (row["group"], row["host"]) for task, row in rows.items()} == {
        "q1": ("review", None),
        "q2": ("review", "box2"),
        "q3": ("waiting", "build-server-3"),
        "q4": ("failed", "box2"),
        "q5": ("running", "box2"),
    }
    assert rows["q2"]["result"]["kind"] == "unpushed" and "box2" in rows["q2"]["next"]
    assert "box2" not in rows["q1"]["next"]
    assert found["tokens"] == 2500, "those of all hosts"


def test_a_trace_names_the_host_of_the_slot(day: Command) -> None:
    traced = day("log", "export", "--otlp", at=END)
    assert traced.code == 0, traced
    named = re.findall(r'"key": ?"kugetsu.host", ?"value": ?\{"stringValue": ?"([^"]+)"', traced.out)
    assert named == ["box1", "box2", "build-server-3", "box2"], "of each attempt that has ended"
