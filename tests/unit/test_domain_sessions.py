"""Sessions: their machine is asked before an event is made, and nothing starts in one that goes."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain.decide import attempts, queue, sessions
from kugetsu.domain.facts import Ending
from kugetsu.domain.state import State, empty
from kugetsu.model.errors import Conflict, KugetsuError, NotFound
from kugetsu.views.refusals import words
from property.simulation import ISSUES, Event, World

ISSUE = ISSUES[0]
GONE: dict[str, Any] = {"worktree": "/w", "branch": "fix/issue-1", "rescue": None, "kept": []}
INTENT = {"repository": "example.org/o/a", "source": "/r", "branch": "fix/issue-1", "agent": "opencode"}


@pytest.fixture
def world() -> World:
    """An issue whose session is idle, with its task completed."""
    made = World()
    made.warmup = 0.0
    made.start(0, 1)
    made.run(0, 0)
    end(made)
    assert made.state.sessions[ISSUE].state == "idle"
    return made


def end(world: World) -> None:
    facts = world.outcome_facts()
    attempt = next(iter(world.state.attempts))
    world.do(lambda state: attempts.finish(state, attempt, Ending("succeed", "done", ""), facts))


def destroying(world: World, key: str = ISSUE, force: bool = False) -> list[Event]:
    return world.do(lambda state: sessions.destroying(state, key, force, "destroy"))


def types(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def test_init_makes_the_log_and_the_directory_once() -> None:
    made = [new_event.type for new_event in sessions.initialise(empty(), "l", "1", "opencode")]
    assert made == ["log.created", "kugetsu.initialised"]
    assert sessions.initialise(World().state, "l", "1", "opencode") == []
    assert sessions.create_log(World().state, "other", "1") == []


def test_a_repository_is_registered_when_it_is_new_or_elsewhere() -> None:
    world = World()
    for source, count in (({"path": "/a"}, 1), ({"path": "/a"}, 0), ({"url": "https://h/o/r"}, 1)):
        made = world.do(lambda state, source=source: sessions.register(state, "h/o/r", source))  # type: ignore[misc]
        assert len(made) == count
        assert world.state.repositories == {"h/o/r": source}


@pytest.mark.parametrize(
    "ask", [lambda s: sessions.register(s, "r", {}), lambda s: sessions.request(s, "pm", "pm", None)]
)
def test_before_init_nothing_is_registered_or_requested(ask: Any) -> None:
    with pytest.raises(KugetsuError) as refused:
        ask(empty())
    assert words(refused.value)[1] == "kugetsu init"


def test_a_session_is_requested_once() -> None:
    world = World()
    key = sessions.base_key("h/o/r")
    made = world.do(lambda state: sessions.request(state, key, "base", "h/o/r"))
    assert (made[0]["session"], made[0].get("issue"), made[0]["data"]) == (
        "base:h/o/r",
        None,
        {"kind": "base", "repository": "h/o/r"},
    )
    assert world.do(lambda state: sessions.request(state, key, "base", "h/o/r")) == []


def test_an_issue_session_tells_its_issue(world: World) -> None:
    assert sessions.issue_of(world.state.sessions[ISSUE]) == ISSUE
    assert world.do(lambda state: sessions.set_pr(state, ISSUE, "https://x/1", "set-pr"))[0]["issue"] == ISSUE


def test_a_pull_request_is_tied_once(world: World) -> None:
    world.do(lambda state: sessions.set_pr(state, ISSUE, "https://x/1", "set-pr"))
    assert world.do(lambda state: sessions.set_pr(state, ISSUE, "https://x/1", "set-pr")) == []
    assert world.state.sessions[ISSUE].pr == "https://x/1"


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: sessions.preparing(s, "h/o/r#9", INTENT),
        lambda s: sessions.prepared(s, "h/o/r#9", {}),
        lambda s: sessions.broken(s, "h/o/r#9", "x"),
        lambda s: sessions.destroying(s, "h/o/r#9", False, "x"),
        lambda s: sessions.destroyed(s, "h/o/r#9", GONE),
        lambda s: sessions.set_pr(s, "h/o/r#9", "x", "set-pr"),
    ],
)
def test_a_session_that_is_not_there_is_not_found(ask: Any, world: World) -> None:
    with pytest.raises(NotFound):
        ask(world.state)


def test_an_idle_session_is_prepared_anew_only_after_it_was_called_broken(world: World) -> None:
    with pytest.raises(Conflict, match=r"session_not_ready.*idle"):
        sessions.preparing(world.state, ISSUE, INTENT)
    with pytest.raises(Conflict, match=r"session_not_ready.*idle"):
        sessions.prepared(world.state, ISSUE, {})
    world.do(lambda state: sessions.broken(state, ISSUE, "no worktree"))
    assert world.do(lambda state: sessions.broken(state, ISSUE, "no worktree")) == []
    made = world.do(lambda state: sessions.preparing(state, ISSUE, INTENT))
    assert types(made) == ["session.preparing"]
    assert world.state.sessions[ISSUE].branch == "fix/issue-1"


def test_a_preparation_tells_the_attempt_that_it_is_made_for() -> None:
    world = World()
    world.start(0, 1)
    world.step(0, 0)
    made = world.step(0, 0)
    assert (made[0]["type"], made[0]["task"], made[0]["attempt"]) == ("session.preparing", "q1", "q1.1")


def test_a_session_can_break_while_its_agent_works() -> None:
    world = World()
    world.start(0, 1)
    world.run(0, 0)
    world.do(lambda state: sessions.broken(state, ISSUE, "worktree removed"))
    end(world)
    assert world.state.sessions[ISSUE].state == "broken"
    assert world.state.violations == []


# --- destroy


def test_a_session_is_destroyed_in_two_steps(world: World) -> None:
    intent = destroying(world)
    assert types(intent) == ["session.destroying"]
    assert world.state.sessions[ISSUE].destroying == intent[0]["seq"]
    made = world.do(lambda state: sessions.destroyed(state, ISSUE, GONE))
    assert made[0]["cause"] == intent[0]["seq"]
    assert ISSUE not in world.state.sessions


def test_a_destruction_that_was_cut_short_can_be_finished(world: World) -> None:
    destroying(world)
    destroying(world)
    world.do(lambda state: sessions.destroyed(state, ISSUE, GONE))
    assert world.state.violations == []


@pytest.mark.parametrize("broken_before", [False, True])
def test_a_destruction_that_did_not_come_off_leaves_a_broken_session(broken_before: bool, world: World) -> None:
    if broken_before:
        world.do(lambda state: sessions.broken(state, ISSUE, "x"))
    destroying(world)
    assert types(world.do(lambda state: sessions.broken(state, ISSUE, "in use"))) == ["session.broken"]
    session = world.state.sessions[ISSUE]
    assert (session.state, session.destroying, session.reason) == ("broken", 0, "in use")
    assert world.state.violations == []


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("force", [False, True])
def test_a_session_in_use_is_not_destroyed(steps: int, force: bool) -> None:
    world = World()
    world.start(0, 1)
    for _ in range(steps):
        world.step(0, 0)
    with pytest.raises(Conflict) as refused:
        destroying(world, force=force)
    assert words(refused.value)[1] == "kugetsu queue cancel q1"
    with pytest.raises(Conflict):
        sessions.destroyed(world.state, ISSUE, GONE)


@pytest.mark.parametrize(("issue", "key"), [(ISSUE, ISSUE), (None, "pm")])
def test_waiting_tasks_keep_their_session_unless_forced(issue: str | None, key: str) -> None:
    world = World()
    kind = "dev" if issue else "pm"
    world.do(lambda state: sessions.request(state, key, "issue" if issue else "pm", None))
    for _ in range(2):
        world.do(lambda state: queue.enqueue(state, kind=kind, issue=issue, message="m", via="test"))
    with pytest.raises(Conflict, match=r"session_wanted.*q1.*q2") as refused:
        destroying(world, key)
    assert words(refused.value)[1] == "kugetsu queue cancel q1"
    made = destroying(world, key, force=True)
    assert types(made) == ["task.cancelled", "task.cancelled", "session.destroying"]
    assert [event.get("issue") for event in made] == [issue] * 3
    assert made[0]["cause"] == world.state.tasks["q1"].queued
    assert world.state.waiting() == []


def test_a_setting_that_changed_is_told() -> None:
    def changed(state: State) -> list[Any]:
        return sessions.setting_changed("MAX_CONCURRENT_AGENTS", None, "4")

    made = World().do(changed)
    assert made[0]["data"] == {"key": "MAX_CONCURRENT_AGENTS", "old": None, "new": "4"}


def test_work_that_could_not_be_saved_is_known_until_it_is(world: World) -> None:
    assert world.do(lambda state: sessions.rescued(state, ISSUE, "b")) == []
    world.start(0, 1)
    world.run(0, 0)
    facts, attempt = world.outcome_facts(), next(iter(world.state.attempts))
    ending = Ending("fail", "give_up", "why", rescue_failed="full")
    world.do(lambda state: attempts.finish(state, attempt, ending, facts))
    assert world.state.sessions[ISSUE].unsaved == {"attempt": attempt, "reason": "full"}
    made = world.do(lambda state: sessions.rescued(state, ISSUE, "kugetsu/rescue/q1.1"))
    assert (made[0]["session"], made[0]["data"]) == (ISSUE, {"branch": "kugetsu/rescue/q1.1", "of": attempt})
    assert world.state.sessions[ISSUE].unsaved is None
    assert world.state.violations == []
