"""What people are told of a worktree that is not ready: while it is tried again, and once it waits for them."""

from __future__ import annotations

from typing import Any

import pytest

from cli.conftest import ISSUE
from kugetsu.domain import worktree_setup
from kugetsu.domain.new_event import NewEvent
from kugetsu.host import config
from kugetsu.runtime.worktree_setup import recipe

NOW = "2026-11-23T10:09:30.000000Z"
FOUND = {"worktree": "/w", "code": "failed", "command": "false", "exit": 1, "seconds": 0.0, "copied": 0}


def fail(story: Any, clock: str) -> None:
    """A run ends before its agent starts, for its set-up failed."""
    attempt = story.at(clock).claim("q1", alive=True)
    problem = "`false` ended with exit code 1"
    sha = recipe.of(config.load(str(story.root / "config"), {})).sha
    found = {**FOUND, "sha": sha, "notes": [], "problem": problem, "output": "setup.log"}
    story.do(lambda _: [NewEvent("worktree.set_up", found, issue=ISSUE, task="q1", attempt=attempt, session=ISSUE)])
    evidence = {"set_up": {"code": "failed", "problem": problem, "command": "false"}}
    story.finish(attempt, "fail", worktree_setup.UNREADY, "not started", evidence=evidence)


@pytest.fixture
def failing(story: Any) -> Any:
    """A task whose set-up failed once."""
    story.at("10:00:00").enqueue()
    fail(story, "10:00:01")
    return story


def attention(kugetsu: Any, at: str) -> list[dict[str, str]]:
    rows = kugetsu("status", "--json", at=at).json["attention"]
    return [row for row in rows if row["subject"] == "q1"]


def parks(kugetsu: Any, at: str) -> list[str]:
    notices = kugetsu("notify", "list", "--json", at=at).json["notices"]
    return [notice["text"] for notice in notices if notice["type"] == "task_parked"]


def test_a_set_up_that_is_tried_again_by_itself_has_a_quiet_line(kugetsu, failing, fits):
    now = "2026-11-23T10:00:30.000000Z"
    (row,) = attention(kugetsu, now)
    assert row["state"] == "parked" and row["command"] == "kugetsu why q1"
    assert row["text"].startswith("tried again at 10:01, in 31s: its worktree is not ready: `false` ended"), row
    for columns in (80, 40):
        assert fits(kugetsu("status", at=now, COLUMNS=str(columns)).out, columns)
    assert parks(kugetsu, now) == []


def test_a_set_up_that_waits_for_a_person_needs_attention_and_is_notified(kugetsu, failing, fits):
    fail(failing, "10:01:02")
    fail(failing, "10:06:03")
    (row,) = attention(kugetsu, NOW)
    assert row["state"] == "needs you" and "`false` ended with exit code 1" in row["text"]
    (text,) = parks(kugetsu, NOW)
    assert text == "`false` ended with exit code 1, until someone unblocks it"
    for columns in (80, 40):
        assert fits(kugetsu("status", at=NOW, COLUMNS=str(columns)).out, columns)
