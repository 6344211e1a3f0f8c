"""The observer beside a real daemon: it looks at pull requests and branches, records what changed, dies and comes
back, and is in nobody's way."""

from __future__ import annotations

import os
import signal
from itertools import pairwise

import pytest

from forge.scripted import ScriptedForge
from kugetsu.runtime import daemon_control
from kugetsu.runtime.doctor import daemon
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.named_lease import OBSERVER
from kugetsu.runtime.reviews import observer as observing
from kugetsu.runtime.reviews.observer import Observer
from runtime import repos
from runtime.forged import OFTEN, PUSH, forge, forged, no_observer_is_left, worked
from runtime.stage import COMMIT, Stage, bare_stage, stage

__all__ = ["bare_stage", "forge", "forged", "no_observer_is_left", "stage"]


def daemon_log(stage: Stage) -> str:
    path = stage.directory / "logs" / "daemon.log"
    return path.read_text() if path.exists() else ""


def examine(stage: Stage) -> list[Finding]:
    return list(daemon.check(Context(stage.ws.paths, os.environ, "doctor")))


def observed(stage: Stage) -> list[tuple[str, str | None, str | None]]:
    """State, checks and review of each observation."""
    found = [event["data"] for event in stage.events("pull.observed")]
    return [(data["state"], data["checks"], data["review"]) for data in found]


def review(stage: Stage, key: str) -> str:
    return stage.state.sessions[key].review


def open_pull(stage: Stage, forge: ScriptedForge, number: int = 14) -> str:
    """An issue whose agent pushed, with an open pull request of what it pushed; the session's key."""
    forge.intake("acme/web").rights["bob"] = "write"
    forge.issue("acme/web", number)
    key = worked(stage, number, script=COMMIT + PUSH)
    head = repos.run(stage.worktree(number), "rev-parse", "HEAD")
    forge.pull("acme/web", number + 6, branch=f"fix/issue-{number}", sha=head)
    return key


def test_the_review_follows_the_pull_request_until_it_is_merged(forged: Stage, forge: ScriptedForge) -> None:
    key = open_pull(forged, forge)
    assert review(forged, key) == "to_review"
    forged.configure(OBSERVE_INTERVAL_MINUTES=OFTEN)
    forged.start_daemon()
    head = forge.head_of("acme/web", 20)
    forged.until(lambda: observed(forged) == [("open", "not_started", None)])
    assert forged.state.sessions[key].pr == f"{forge.url}/acme/web/pulls/20"
    forge.check("acme/web", head, "build", "failure")
    forged.until(lambda: review(forged, key) == "checks_failed")
    forge.check("acme/web", head, "build", "success")
    forge.repositories["acme/web"].checks[head].pop(0)
    forge.review("acme/web", 20, "changes_requested")
    forged.until(lambda: review(forged, key) == "changes_requested")
    forge.review("acme/web", 20, "approved")
    forged.until(lambda: review(forged, key) == "approved")
    forge.change_pull("acme/web", 20, sha="b" * 40)
    forged.until(lambda: review(forged, key) == "to_review")
    forge.change_pull("acme/web", 20, mergeable=False)
    forged.until(lambda: review(forged, key) == "conflicting")
    forge.change_pull("acme/web", 20, state="merged")
    forged.until(lambda: review(forged, key) == "merged")
    forged.until(lambda: not OBSERVER.alive(forged.ws.paths))
    assert "observer: ending: there is nothing to look at" in daemon_log(forged)
    assert len(observed(forged)) == len(set(map(str, [e["data"] for e in forged.events("pull.observed")])))


def test_without_a_forge_the_review_ends_when_the_base_branch_has_the_work(stage: Stage) -> None:
    key = worked(stage, 1, script=COMMIT)
    stage.configure(OBSERVE_INTERVAL_MINUTES=OFTEN)
    stage.start_daemon()
    stage.until(lambda: OBSERVER.alive(stage.ws.paths))
    repos.run(stage.repository, "merge", "-q", "--squash", "fix/issue-1")
    repos.run(stage.repository, "commit", "-q", "-m", "Squashed")
    event = stage.wait("branch.merged")
    assert event["data"]["branch"] == "fix/issue-1" and event["data"]["base_branch"] == "main"
    assert event["data"]["commit"] == repos.run(stage.repository, "rev-parse", "fix/issue-1")
    assert review(stage, key) == "merged"
    stage.until(lambda: not OBSERVER.alive(stage.ws.paths))
    assert len(stage.events("branch.merged")) == 1


def test_there_is_none_while_nothing_is_open(forged: Stage, forge: ScriptedForge) -> None:
    forge.issue("acme/web", 14)
    worked(forged, script="exit 0\n")
    forged.configure(OBSERVE_INTERVAL_MINUTES=OFTEN)
    forged.start_daemon()
    assert forged.finished(forged.enqueue(15)) == "completed"
    assert not OBSERVER.alive(forged.ws.paths)
    assert "observer" not in daemon_log(forged)


def test_an_unreachable_forge_is_logged_once_and_holds_nothing_up(forged: Stage, forge: ScriptedForge) -> None:
    key = open_pull(forged, forge)
    forge.answer("GET", "/pulls", status=500, times=0)
    forged.configure(OBSERVE_INTERVAL_MINUTES=OFTEN)
    forged.start_daemon()
    forged.until(lambda: len(forge.asked("GET", "/pulls")) > 12)
    assert forged.finished(forged.enqueue(15)) == "completed"
    assert daemon_log(forged).count(f"observer: {forge.host}: ") == 1
    (finding,) = [one for one in examine(forged) if one.name == "observer"]
    assert finding.level == "warning" and forge.host in finding.text
    forge.answers.clear()
    forged.until(lambda: observed(forged))
    assert review(forged, key) == "to_review"
    assert f"{forge.host}: can be looked at again" in daemon_log(forged)
    forged.until(lambda: [one.level for one in examine(forged) if one.name == "observer"] == ["ok"])


def rounds(stage: Stage, count: int) -> Observer:
    """An observer in this process, after so many rounds."""
    held = OBSERVER.take(stage.ws.paths)
    assert held is not None
    observer = Observer(stage.ws, held)
    for _ in range(count):
        observer.began = None  # an interval later
        while observer.step() <= 0 and observer.wanted:
            pass
    os.close(held)
    return observer


def test_a_forge_that_names_a_time_is_not_asked_before(forged: Stage, forge: ScriptedForge) -> None:
    open_pull(forged, forge)
    forge.answer("GET", "/pulls", status=429, headers={"Retry-After": "3600"}, times=0)
    forged.configure(OBSERVE_INTERVAL_MINUTES="60")
    asked = len(forge.requests)
    rounds(forged, 4)
    assert len(forge.requests) == asked + 1
    assert daemon_log(forged).count("accepts no requests until") == 1


@pytest.mark.parametrize("status", [429, 503])
def test_the_time_that_a_forge_names_holds_for_the_next_observer(
    forged: Stage, forge: ScriptedForge, status: int
) -> None:
    open_pull(forged, forge)
    forge.answer("GET", "/pulls", status=status, headers={"Retry-After": "3600"}, times=0)
    forged.configure(OBSERVE_INTERVAL_MINUTES="60")
    rounds(forged, 1)
    asked = len(forge.requests)
    rounds(forged, 2)
    assert len(forge.requests) == asked


def test_a_round_asks_for_a_list_and_looks_at_those_that_waited_longest(
    forged: Stage, forge: ScriptedForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (14, 15, 16):
        open_pull(forged, forge, number)
    monkeypatch.setattr(observing, "MOST_IN_ROUND", 2)
    forged.configure(OBSERVE_INTERVAL_MINUTES="60")
    rounds(forged, 2)
    assert sorted(event["data"]["number"] for event in forged.events("pull.observed")) == [20, 21, 22]
    asked = len(forge.requests)
    rounds(forged, 1)
    paths = [request.path.partition("/acme/web/")[2] for request in forge.requests[asked:]]
    assert [path for path in paths if path.startswith("pulls")] == ["pulls", "pulls/20/reviews", "pulls/21/reviews"]
    assert len(paths) == 5, paths


def test_killed_at_any_moment_it_comes_back_and_nothing_is_recorded_twice(forged: Stage, forge: ScriptedForge) -> None:
    keys = [open_pull(forged, forge, number) for number in (14, 15, 16)]
    forged.configure(OBSERVE_INTERVAL_MINUTES=OFTEN)
    forged.start_daemon()
    states = ["failure", "success"]
    for turn in range(4):
        forged.until(lambda: OBSERVER.holder(forged.ws.paths) is not None)
        for number in (20, 21, 22):
            head = forge.head_of("acme/web", number)
            forge.repositories["acme/web"].checks.pop(head, None)
            forge.check("acme/web", head, "build", states[turn % 2])
        seen = len(forge.requests)
        forged.until(lambda seen=seen, more=turn: len(forge.requests) > seen + more)
        who = OBSERVER.holder(forged.ws.paths)
        if who is not None:
            identity.signal(who, signal.SIGKILL)
    forged.until(lambda: [review(forged, key) for key in keys] == ["to_review"] * 3)
    forged.until(lambda: "the observer ended with signal 9" in daemon_log(forged))
    for key in keys:
        told = [event["data"] for event in forged.events("pull.observed", session=key)]
        assert all(one != other for one, other in pairwise(told)), told


def test_it_ends_with_the_daemon(forged: Stage, forge: ScriptedForge) -> None:
    open_pull(forged, forge)
    forged.configure(OBSERVE_INTERVAL_MINUTES=OFTEN)
    forged.start_daemon()
    forged.until(lambda: OBSERVER.alive(forged.ws.paths))
    assert daemon_control.stop(forged.ws, drain=False)
    forged.until(lambda: not OBSERVER.alive(forged.ws.paths))
    assert "observer: ending: no daemon lives" in daemon_log(forged)
