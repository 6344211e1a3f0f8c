"""The queue: what is asked for is taken or refused as a whole, and every refusal names its remedy."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain.decide import attempts, queue
from kugetsu.domain.facts import Ending
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State, empty
from kugetsu.model import clock
from kugetsu.model.errors import BadInput, Conflict, KugetsuError, NotFound
from kugetsu.views.refusals import words
from property.simulation import AGENT, ISSUES, World


@pytest.fixture
def world() -> World:
    made = World()
    made.warmup = 0.0
    return made


def ask(state: State, **wish: Any) -> list[NewEvent]:
    wish = {"kind": "dev", "issue": ISSUES[0], "message": "do it", "via": "queue enqueue", **wish}
    return queue.enqueue(state, **wish)


def finish(world: World, verdict: str) -> None:
    facts = world.outcome_facts()
    world.do(lambda state: attempts.finish(state, "q1.1", Ending("fail", verdict, "why"), facts))


# --- enqueue


def test_a_task_is_all_that_was_asked_for(world: World) -> None:
    world.do(ask)
    clone = {"path": "/home/u/r"}
    made = world.do(lambda state: ask(state, message="a\nb", priority=3, after=["q1"], repository=clone))
    assert (made[0]["task"], made[0]["issue"]) == ("q2", ISSUES[0])
    assert made[0]["data"] == {
        "kind": "dev",
        "message": "a\nb",
        "title": "a",
        "priority": 3,
        "after": ["q1"],
        "repository": clone,
        "via": "queue enqueue",
    }
    task = world.state.tasks["q2"]
    assert (task.priority, task.after, task.repository, task.session) == (3, ["q1"], clone, ISSUES[0])
    assert (task.queued, task.order, task.queued_at) == (made[0]["seq"], made[0]["seq"], world.now)


def test_ids_are_never_given_twice(world: World) -> None:
    for number in (1, 2, 3):
        assert world.do(ask)[0]["task"] == f"q{number}"
        world.do(lambda state: queue.cancel(state, f"q{state.tasks_made}", "x"))
        world.do(lambda state: queue.clear(state, None))


def test_before_init_nothing_is_queued() -> None:
    with pytest.raises(KugetsuError) as refused:
        ask(empty())
    assert words(refused.value)[1] == "kugetsu init"


@pytest.mark.parametrize(("kind", "issue"), [("dev", None), ("pm", ISSUES[0])])
def test_dev_tasks_have_an_issue_and_pm_tasks_have_none(kind: str, issue: str | None, world: World) -> None:
    with pytest.raises(BadInput):
        ask(world.state, kind=kind, issue=issue)


def test_a_task_comes_after_each_other_once(world: World) -> None:
    world.do(ask)
    assert ask(world.state, after=["q1", "q1"])[0].data["after"] == ["q1"]


@pytest.mark.parametrize("after", ["q2", "q0", "q", "x1", "q-1", ""])
def test_nothing_comes_after_a_task_that_never_was(after: str, world: World) -> None:
    world.do(ask)
    with pytest.raises(NotFound, match="earlier_task_unknown") as refused:
        ask(world.state, after=[after])
    assert words(refused.value)[1] == "kugetsu queue list"


def test_nothing_comes_after_a_task_that_has_left(world: World) -> None:
    world.do(ask)
    world.do(lambda state: queue.cancel(state, "q1", "x"))
    world.do(lambda state: queue.clear(state, None))
    with pytest.raises(NotFound, match="earlier_task_unknown") as refused:
        ask(world.state, after=["q1"])
    assert words(refused.value)[1] == "kugetsu history q1"


@pytest.mark.parametrize(
    ("message", "title"),
    [
        ("fix it", "fix it"),
        ("\n \n  fix\t it \nnow", "fix it"),
        ("", ""),
        ("--help", "--help"),
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 99 + "…"),
        ("ü" * 100_000, "ü" * 99 + "…"),
    ],
    ids=["plain", "first line that says something", "empty", "dashes", "fits", "one too long", "long"],
)
def test_the_title_is_the_first_line_that_says_something(message: str, title: str) -> None:
    assert queue.title_of(message) == title


# --- cancel, dequeue


@pytest.mark.parametrize("parked", [False, True])
def test_a_waiting_task_is_cancelled_at_once(parked: bool, world: World) -> None:
    world.start(0, 1)
    finish(world, "limited" if parked else "retry")
    made = world.do(lambda state: queue.cancel(state, "q1", "mine"))
    assert [(event["type"], event["data"]) for event in made] == [("task.cancelled", {"reason": "mine"})]
    assert world.state.tasks["q1"].not_before is None


@pytest.mark.parametrize("verdict", ["give_up", "cancelled"])
def test_a_finished_task_cannot_be_cancelled(verdict: str, world: World) -> None:
    world.start(0, 1)
    finish(world, verdict)
    with pytest.raises(Conflict) as refused:
        queue.cancel(world.state, "q1", "x")
    assert words(refused.value)[1] == "kugetsu history q1"


@pytest.mark.parametrize("command", [lambda s: queue.cancel(s, "q9", "x"), lambda s: queue.retry(s, "q9")])
def test_an_unknown_task_is_not_found(command: Any, world: World) -> None:
    with pytest.raises(NotFound) as refused:
        command(world.state)
    assert (refused.value.exit_code, words(refused.value)[1]) == (4, "kugetsu queue list")


def test_of_a_task_that_has_left_the_history_is_named(world: World) -> None:
    world.do(ask)
    world.do(lambda state: queue.cancel(state, "q1", "x"))
    world.do(lambda state: queue.clear(state, None))
    with pytest.raises(NotFound) as refused:
        queue.retry(world.state, "q1")
    assert words(refused.value)[1] == "kugetsu history q1"


def test_dequeue_takes_the_next_one(world: World) -> None:
    world.do(ask)
    world.do(lambda state: ask(state, priority=1))
    assert world.do(lambda state: queue.dequeue(state, None))[0]["task"] == "q2"
    assert world.do(lambda state: queue.dequeue(state, "q1"))[0]["task"] == "q1"
    with pytest.raises(NotFound, match="queue_empty"):
        queue.dequeue(world.state, None)


def test_dequeue_leaves_a_task_alone_that_is_worked_on(world: World) -> None:
    world.start(0, 1)
    with pytest.raises(Conflict) as refused:
        queue.dequeue(world.state, "q1")
    assert words(refused.value)[1] == "kugetsu queue cancel q1"


def test_all_that_waits_can_be_cancelled_in_one_transaction(world: World) -> None:
    world.start(0, 1)
    world.do(ask)
    world.do(lambda state: ask(state, issue=ISSUES[1]))
    made = world.do(lambda state: queue.cancel_waiting(state, "clear --all"))
    assert [(event["task"], event.get("more", 0)) for event in made] == [("q2", 1), ("q3", 0)]
    assert world.state.tasks["q1"].state == "notified"
    assert world.do(lambda state: queue.cancel_waiting(state, "clear --all")) == []


# --- move, lift


def order(world: World) -> list[str]:
    return [task.id for task in world.state.waiting()]


def test_a_task_moves_to_the_front_and_to_the_end(world: World) -> None:
    for _ in range(3):
        world.do(ask)
    made = world.do(lambda state: queue.move(state, "q3", first=True))
    assert order(world) == ["q3", "q1", "q2"]
    assert world.do(lambda state: queue.move(state, "q3", first=True)) == []
    world.do(lambda state: queue.move(state, "q3", last=True))
    assert order(world) == ["q1", "q2", "q3"]
    data = made[0]["data"]
    assert data["order"] < data["was_order"]


def test_first_is_before_those_of_a_higher_priority_too(world: World) -> None:
    world.do(ask)
    world.do(lambda state: ask(state, priority=5))
    world.do(lambda state: queue.move(state, "q1", first=True))
    assert order(world) == ["q1", "q2"]
    assert world.state.tasks["q1"].priority == 5


def test_a_new_priority_keeps_the_order_within_it(world: World) -> None:
    for _ in range(3):
        world.do(ask)
    world.do(lambda state: queue.move(state, "q3", priority=2))
    world.do(lambda state: queue.move(state, "q2", priority=2))
    assert order(world) == ["q2", "q3", "q1"]


def test_a_task_queued_later_stands_behind_one_that_was_moved_to_the_end(world: World) -> None:
    for _ in range(2):
        world.do(ask)
    world.do(lambda state: queue.move(state, "q1", last=True))
    world.do(ask)
    assert order(world) == ["q2", "q1", "q3"]


def test_what_does_not_wait_cannot_be_moved(world: World) -> None:
    world.start(0, 1)
    with pytest.raises(Conflict, match=r"task_not_waiting.*notified"):
        queue.move(world.state, "q1", first=True)
    finish(world, "give_up")
    with pytest.raises(Conflict) as refused:
        queue.move(world.state, "q1", first=True)
    assert words(refused.value)[1] == "kugetsu queue retry q1"


def test_tasks_that_would_wait_for_each_other_are_refused_with_the_circle(world: World) -> None:
    world.do(ask)
    world.do(lambda state: ask(state, issue=ISSUES[1], after=["q1"]))
    world.do(lambda state: ask(state, issue=ISSUES[2], after=["q2"]))
    with pytest.raises(BadInput, match=r"task_after_itself.*'q1', 'q3', 'q2', 'q1'"):
        queue.move(world.state, "q1", after=["q3"])
    with pytest.raises(BadInput, match=r"task_after_itself.*'q1', 'q1'"):
        queue.move(world.state, "q1", after=["q1"])
    with pytest.raises(NotFound):
        queue.move(world.state, "q1", after=["q99"])
    assert world.state.tasks["q1"].after == []


def test_what_a_task_comes_after_can_be_changed(world: World) -> None:
    world.do(ask)
    world.do(lambda state: ask(state, issue=ISSUES[1], after=["q1"]))
    world.do(lambda state: ask(state, issue=ISSUES[2]))
    world.do(lambda state: queue.move(state, "q2", after=["q3", "q3"]))
    assert world.state.tasks["q2"].after == ["q3"]
    assert world.state.successors == {"q3": ["q2"]}
    world.do(lambda state: queue.move(state, "q2", after=[]))
    assert (world.state.tasks["q2"].after, world.state.successors) == ([], {})


def test_lifting_a_limit_lets_the_tasks_that_it_parked_go_on(world: World) -> None:
    world.start(0, 1)
    finish(world, "limited")
    made = world.do(lambda state: queue.unblock(state, "provider", AGENT))
    assert [event["type"] for event in made] == ["hold.lifted", "task.resumed"]
    assert (world.state.tasks["q1"].state, world.state.limits) == ("pending", {})


@pytest.mark.parametrize(("gate", "subject"), [("provider", AGENT), ("progress", ISSUES[0])])
def test_there_must_be_something_to_lift(gate: str, subject: str, world: World) -> None:
    world.do(ask)
    with pytest.raises(NotFound):
        queue.unblock(world.state, gate, subject)


# --- retry, clear


@pytest.mark.parametrize("verdict", ["done", "give_up", "cancelled"])
def test_a_finished_task_is_queued_again_at_the_end(verdict: str, world: World) -> None:
    world.start(0, 1)
    world.run(0, 0)
    finish(world, verdict)
    world.do(lambda state: ask(state, issue=ISSUES[1]))
    was = world.state.tasks["q1"].state
    made = world.do(lambda state: queue.retry(state, "q1"))
    assert (made[0]["type"], made[0]["data"]) == ("task.requeued", {"was": was})
    assert [task.id for task in world.state.waiting()] == ["q2", "q1"]
    assert world.state.finished == {}


@pytest.mark.parametrize("verdict", ["retry", "limited"])
def test_retry_ends_a_wait(verdict: str, world: World) -> None:
    world.start(0, 1)
    finish(world, verdict)
    used = world.state.tasks["q1"].used
    made = world.do(lambda state: queue.retry(state, "q1"))
    assert (made[0]["type"], made[0]["data"]) == ("task.resumed", {"why": "retry"})
    task = world.state.tasks["q1"]
    assert (task.state, task.not_before, task.used, world.state.limits) == ("pending", None, used, {})


def test_retry_of_what_waits_for_its_turn_or_works_is_a_conflict(world: World) -> None:
    world.do(ask)
    with pytest.raises(Conflict) as refused:
        queue.retry(world.state, "q1")
    assert words(refused.value)[1] == "kugetsu why q1"
    world.start(1, 1)
    with pytest.raises(Conflict) as refused:
        queue.retry(world.state, "q2")
    assert words(refused.value)[1] == "kugetsu logs q2.1 -f"


def test_clear_retires_the_finished_ones_of_before_a_time(world: World) -> None:
    for _ in range(2):
        world.do(ask)
        world.do(lambda state: queue.cancel(state, f"q{state.tasks_made}", "x"))
        world.now = clock.add_seconds(world.now, 60.0)
    world.do(ask)
    before = clock.add_seconds(world.now, -60.0)
    made = world.do(lambda state: queue.clear(state, before))
    assert made[0]["data"] == {"tasks": ["q1"], "older_than": before}
    assert world.do(lambda state: queue.clear(state, before)) == []
    assert world.do(lambda state: queue.clear(state, None))[0]["data"]["tasks"] == ["q2"]
    assert list(world.state.tasks) == ["q3"]
    assert world.state.retired == {"cancelled": 2}


def test_clear_keeps_a_failed_task_that_an_open_one_comes_after(world: World) -> None:
    world.start(0, 1)
    world.do(lambda state: ask(state, issue=ISSUES[1], after=["q1"]))
    finish(world, "give_up")
    assert world.do(lambda state: queue.clear(state, None)) == []
    world.do(lambda state: queue.cancel(state, "q2", "x"))
    assert world.do(lambda state: queue.clear(state, None))[0]["data"]["tasks"] == ["q1", "q2"]
