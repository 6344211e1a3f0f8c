"""Whatever happened in a period: every task of it counts in one group of the report, also when it left the state."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kugetsu.domain import report
from kugetsu.domain.decide import attempts
from kugetsu.domain.facts import Ending
from kugetsu.domain.report import GROUPS, Report, Start
from kugetsu.domain.state import empty
from profiles import examples
from property.simulation import COMMANDS, World, random_commands, short_listing

quick = settings(
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=examples(100),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
numbers = st.integers(min_value=0, max_value=59)
histories = st.lists(st.tuples(st.sampled_from(COMMANDS), numbers, numbers), min_size=25, max_size=120)

FINISHES = ("task.completed", "task.failed", "task.cancelled")


def counted_by_hand(world: World, after: int) -> set[str]:
    """The tasks that are unfinished, or finished after an event: from the events alone."""
    finished: dict[str, int] = {}
    for event in world.memory.events:
        if event["type"] in ("task.queued", "task.requeued"):
            finished[event["task"]] = 0
        elif event["type"] in FINISHES:
            finished[event["task"]] = event["seq"]
    return {task for task, seq in finished.items() if seq == 0 or seq > after}


def reported(world: World, start: Start) -> Report:
    state = world.state
    gone = []
    if report.reads_the_log(state, start):
        assert start.seq is not None
        gone = report.left(state, world.memory.events[start.seq :])
    return report.collect(state, start, world.now, gone)


def check(world: World, after: int) -> None:
    at = world.memory.events[after - 1]["at"] if after else ""
    found = reported(world, Start(after, at, "given"))
    tasks = counted_by_hand(world, after)
    assert found.tasks == len(tasks)
    assert sum(found.done.values()) == found.counts["done"]
    # A labelled issue that waits for a person is told also where no task of the period is of it.
    of_tasks = [item for item in found.items if item.task.id in tasks]
    assert {item.group for item in found.items if item not in of_tasks} <= {"label"}
    assert sum(1 + item.others for item in of_tasks) == found.tasks
    for group in GROUPS[:-1]:
        if group != "waiting":
            assert len([item for item in of_tasks if item.group == group]) == found.counts[group]
    # Tasks that wait behind another of their issue have no item of their own.
    waits = [task for task in world.state.tasks.values() if task.state in ("pending", "parked")]
    assert found.counts["waiting"] == len(waits) >= len(found.of("waiting"))
    issues = [item.task.issue for item in (*found.items, *found.older) if item.task.issue is not None]
    assert len(found.items) == len({item.task.issue or item.task.id for item in found.items})
    assert len(set(issues)) == len(issues) or any(item.code == "cancelled" for item in found.items)


@quick
@given(histories, st.floats(min_value=0.0, max_value=1.0))
def test_every_task_of_the_period_counts_once(commands: list[tuple[str, int, int]], share: float) -> None:
    world = World()
    with short_listing(3):
        for _ in world.play(commands):
            pass
    check(world, int(share * world.state.seq))


@pytest.mark.parametrize("seed", range(6))
def test_every_task_of_a_long_history_counts_once(seed: int) -> None:
    world = World()
    with short_listing(5):
        for _ in world.play(random_commands(seed, 1500)):
            pass
    for part in range(5):
        check(world, world.state.seq * part // 5)


def test_the_first_report_reads_no_log() -> None:
    world = World()
    with short_listing(5):
        for _ in world.play([command for command in random_commands(3, 1500) if command[0] != "acknowledge"]):
            pass
    assert sum(world.state.retired.values()) > 20
    assert not report.reads_the_log(world.state, report.start_of(world.state))


def test_a_task_of_before_results_that_left_the_state_has_one() -> None:
    world = World()
    world.start(0, 1)
    world.run(0, 0)
    (attempt,) = world.state.attempts
    evidence = {"commits": 1, "dirty": 0, "untracked": 0, "pushed": True, "head": "c1"}
    ending = Ending("succeed", "done", "done", evidence=evidence)
    world.do(lambda state: attempts.finish(state, attempt, ending, world.outcome_facts()))
    events = [
        {**event, "v": 1, "data": {name: one for name, one in event["data"].items() if name != "result"}}
        if event["type"] == "attempt.succeeded"
        else event
        for event in world.memory.events
    ]
    (task,) = report.left(empty(), events)
    assert task.result is not None and task.result["kind"] == "pushed"
