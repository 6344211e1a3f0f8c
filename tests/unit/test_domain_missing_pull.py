"""Why pushed work has no pull request: the reason that the log has, in words, with the command that comes next."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain import intake, missing_pull
from kugetsu.domain.decide import attempts, reviews
from kugetsu.domain.facts import Ending
from kugetsu.domain.state import EVERYTHING
from kugetsu.views import missing_pull as told
from property.simulation import ISSUES, World

KEY = ISSUES[0]
REPOSITORY = KEY.partition("#")[0]
INTENT = {"head": "c1", "branch": "fix/issue-1", "base": "main", "title": "Slow", "draft": False}
EVIDENCE = {"commits": 1, "pushed": True, "head": "c1", "dirty": 0, "branch": "fix/issue-1"}


def ended(world: World, opening: dict[str, Any] | None = None, how: str = "succeed", **evidence: Any) -> None:
    """A run of the issue that ended with this evidence."""
    world.start(0, 1)
    world.run(0, 0)
    (attempt,) = world.state.attempts
    verdict = "done" if how == "succeed" else "give_up"
    ending = Ending(how, verdict, "ended", evidence={**EVIDENCE, **evidence}, opening=opening)
    world.do(lambda state: attempts.finish(state, attempt, ending, world.outcome_facts()))


def failed(world: World, *, passes: bool, remedy: str) -> None:
    owed = world.state.sessions[KEY].owed
    assert owed is not None
    seq, now = owed["seq"], world.now
    world.do(lambda state: reviews.failed(state, KEY, seq, "no right (403)", remedy, now, 10.0, passes))


def said(world: World, refusal: tuple[str, dict[str, Any]] | None = None) -> tuple[str, str, str | None] | None:
    """Code, words and next command."""
    found = missing_pull.reason(world.state, world.state.sessions[KEY], world.now, lambda _: refusal)
    return (found[0], told.words(*found), told.next_command(KEY, *found)) if found is not None else None


@pytest.mark.parametrize(
    ("verification", "words", "then"),
    [
        ({"code": "not_run", "why": "runner_killed"}, "not verified: its runner was killed", f"kugetsu verify {KEY}"),
        (
            {"code": "not_found", "exit": 127, "why": "sh: 1: mkae: not found"},
            "not verified: VERIFY_COMMAND not found: sh: 1: mkae: not found",
            f"kugetsu config set --repo {REPOSITORY} VERIFY_COMMAND 'make test'",
        ),
        (
            {"code": "too_slow"},
            "not verified: VERIFY_MINUTES too few",
            f"kugetsu config set --repo {REPOSITORY} VERIFY_MINUTES 60",
        ),
    ],
)
def test_work_that_was_not_verified(verification: dict[str, Any], words: str, then: str) -> None:
    world = World()
    ended(world, verification={"commit": "c1", "sha": "s", **verification})
    assert said(world) == ("not_verified", f"no pull request, {words}", then)


def test_a_forge_that_refuses() -> None:
    world = World()
    ended(world, INTENT)
    assert said(world) == ("owed", "its pull request is still to be opened", None)
    failed(world, passes=True, remedy="wait")
    assert said(world) == ("failed", "no pull request, no right (403); it is tried again", None)
    failed(world, passes=False, remedy="kugetsu env set GITEA_TOKEN")
    assert said(world) == (
        "given_up",
        "no pull request, no right (403); not tried again",
        "kugetsu env set GITEA_TOKEN",
    )
    ended(world, head="c2")
    assert said(world) is None, "that was said of earlier work"


def test_later_work_that_nobody_verified() -> None:
    world = World()
    ended(world, INTENT, verification={"code": "passed", "commit": "c1"})
    ended(world, how="fail", head="c2")
    assert said(world) == (
        "later_work",
        "its pull request waits: the branch has later work that has not been verified",
        f"kugetsu verify {KEY}",
    )


def test_a_setting_that_wants_none() -> None:
    world = World()
    ended(world)
    assert said(world) is None
    then = f"kugetsu config set --repo {REPOSITORY} OPEN_PULL_REQUEST missing"
    assert said(world, ("never", {})) == ("never", "no pull request, OPEN_PULL_REQUEST is never", then)
    token = {"reason": "no token for example.com", "remedy": "kugetsu env set GITEA_TOKEN"}
    assert said(world, ("no_forge", token)) == (
        "no_forge",
        "no pull request, no token for example.com",
        "kugetsu env set GITEA_TOKEN",
    )


@pytest.mark.parametrize(
    ("of", "what", "then"), [(EVERYTHING, "the queue", ""), (REPOSITORY, REPOSITORY, f" {REPOSITORY}")]
)
def test_a_pause_names_what_is_paused(of: str, what: str, then: str) -> None:
    found = "paused", {"of": of}
    assert told.words(*found) == f"its pull request waits: {what} is paused"
    assert told.next_command(KEY, *found) == f"kugetsu queue resume{then}"


def test_the_pause_of_one_repository_is_told_as_that() -> None:
    state, now = World().state, "2026-11-23T10:00:00.000000Z"
    state.paused[REPOSITORY] = {"until": None}
    assert intake.pause_of(state, KEY, now) == REPOSITORY
    state.paused[EVERYTHING] = {"until": None}
    assert intake.pause_of(state, KEY, now) == EVERYTHING
    state.paused = {REPOSITORY: {"until": now}}
    assert intake.pause_of(state, KEY, now) is None and not intake.is_paused(state, KEY, now)
