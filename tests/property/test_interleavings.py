"""Whatever users, daemon and runners do in whatever order: no invariant breaks, and the log alone explains it all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kugetsu.domain import state_codec
from kugetsu.domain.decide import sessions
from kugetsu.domain.events import CATALOGUE, missing_keys
from kugetsu.domain.events.declaration import keys
from kugetsu.domain.fold import fold
from kugetsu.domain.invariants import broken, cap_kept
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.domain.state import ENDS, State, empty
from kugetsu.log import DomainProjection
from kugetsu.log.files import snapshots
from kugetsu.log.files.engine import FileLog
from profiles import examples
from property.simulation import (
    COMMANDS,
    START,
    Event,
    World,
    folded,
    random_commands,
    short_listing,
    transactions,
)

# The same examples at every run where others wait for the result; new ones at the desk.
quick = settings(
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=examples(150),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
numbers = st.integers(min_value=0, max_value=59)
# Without a least length hypothesis makes lists of five, in which nothing happens.
histories = st.lists(st.tuples(st.sampled_from(COMMANDS), numbers, numbers), min_size=25, max_size=120)
SEEDS = range(8)


def played(commands: list[tuple[str, int, int]], kept: int = 3) -> World:
    world = World()
    with short_listing(kept):
        for _ in world.play(commands):
            pass
    return world


def dumped(state: State) -> Any:
    return orjson.loads(orjson.dumps(state_codec.dump(state)))


@quick
@given(histories)
def test_no_interleaving_breaks_an_invariant(commands: list[tuple[str, int, int]]) -> None:
    world = World()
    with short_listing(3):
        for _ in world.play(commands):
            assert broken(world.state) == []
            assert world.state.violations == []


@pytest.mark.parametrize("seed", SEEDS)
def test_no_long_history_breaks_an_invariant(seed: int) -> None:
    world = World()
    for _ in world.play(random_commands(seed, 2000)):
        assert broken(world.state) == []
        assert world.state.violations == []
    assert len(world.memory.events) > 1000


def test_the_histories_played_hold_every_kind_that_a_command_makes() -> None:
    told = {"issue.read", *(kind for kind in CATALOGUE if kind.startswith(("notice.", "sink.", "host.")))}
    elsewhere = told | {
        "log.repaired",
        "setting.changed",
        "attempt.continued",
        "orphans.ended",
        "lock.removed",
        "record.imported",
        "files.pruning",
        "files.pruned",
        "counters.corrected",
        "queue.acknowledged",  # of more failed tasks than these histories have
        "queue.unacknowledged",
        "worktree.set_up",
        "setting.shared",
        "attempt.late",
    }
    seen: set[str] = set()
    for seed in range(60):
        seen |= {event["type"] for event in played(random_commands(seed, 1000)).memory.events}
        if seed > 2 and seen >= CATALOGUE.keys() - elsewhere:
            break
    assert seen == CATALOGUE.keys() - elsewhere


@quick
@given(histories)
def test_every_event_says_all_that_its_kind_asks_for_and_nothing_else(commands: list[tuple[str, int, int]]) -> None:
    for event in played(commands).memory.events:
        assert missing_keys(event["type"], event["data"]) == []
        assert event["data"].keys() <= keys(CATALOGUE[event["type"]].shape).keys()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_claim_goes_beyond_the_cap_that_it_recorded(seed: int) -> None:
    state = empty()
    claims = 0
    for event in played(random_commands(seed, 2500)).memory.events:
        if event["type"] == "attempt.claimed":
            assert cap_kept(event["data"], event["facts"])
            assert event["data"]["live"] == [attempt.id for attempt in state.live("dev")]
            claims += 1
        fold(state, event)
        if event["type"] == "attempt.claimed" and event["data"]["kind"] == "dev":
            assert len(state.live("dev")) <= event["facts"]["cap"]
    assert claims > 10


@pytest.mark.parametrize("seed", SEEDS)
def test_each_attempt_ends_in_exactly_one_outcome(seed: int) -> None:
    world = played(random_commands(seed, 1000))
    claimed = Counter(e["attempt"] for e in world.memory.events if e["type"] == "attempt.claimed")
    ended = Counter(e["attempt"] for e in world.memory.events if e["type"] in ENDS)
    assert set(claimed.values()) == {1}
    assert set(ended.values()) == {1}
    assert claimed.keys() - ended.keys() == world.state.attempts.keys()
    assert ended.keys() <= claimed.keys()


@pytest.mark.parametrize("seed", SEEDS)
def test_used_counts_the_claims_since_the_last_requeue_less_the_parks(seed: int) -> None:
    world = played(random_commands(seed, 1000))
    used: Counter[str] = Counter()
    made: Counter[str] = Counter()
    for event in world.memory.events:
        task = event.get("task", "")
        match event["type"]:
            case "attempt.claimed":
                used[task] += 1
                made[task] += 1
            case "task.parked":
                used[task] -= event["data"]["gate"] == "provider" and "again" not in event["data"]
            case "task.requeued" if "kept" not in event["data"]:
                used[task] = 0
            case "task.retried":
                assert event["data"]["used"] == used[task] < 3
            case "task.failed":
                assert event["data"]["used"] == used[task] <= 3
    for task in world.state.tasks.values():
        assert (task.used, task.usage.attempts) == (used[task.id], made[task.id])


@pytest.mark.parametrize("seed", SEEDS)
def test_tokens_and_cost_fold_over_the_whole_life(seed: int) -> None:
    world = played(random_commands(seed, 1000), kept=10_000)
    ended = [event for event in world.memory.events if event["type"] in ENDS]
    for task in world.state.tasks.values():
        own = [event["data"] for event in ended if event["task"] == task.id]
        assert task.usage.tokens == sum(data["tokens"] for data in own)
        assert task.usage.cost == sum(data["cost"] for data in own)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_task_that_comes_after_others_starts_only_when_all_are_completed(seed: int) -> None:
    now: dict[str, str] = {}
    after: dict[str, list[str]] = {}
    becomes = {
        "task.completed": "completed",
        "task.failed": "error",
        "task.cancelled": "cancelled",
        "task.requeued": "pending",
    }
    for event in played(random_commands(seed, 2000)).memory.events:
        kind = event["type"]
        if kind == "task.queued":
            after[event["task"]] = event["data"]["after"]
        if kind == "task.requeued" and "record" in event["data"] and event["data"]["was"] == "completed":
            # It had left the list as completed: those after it wait for it no more.
            after = {task: [one for one in earlier if one != event["task"]] for task, earlier in after.items()}
        if kind in becomes:
            now[event["task"]] = becomes[kind]
        if kind == "attempt.claimed":
            assert all(now.get(earlier) == "completed" for earlier in after[event["task"]]), event


@pytest.mark.parametrize("seed", range(20))
def test_nothing_waits_for_ever(seed: int) -> None:
    """Once nobody interferes and every agent succeeds, only what rests on something that failed is left waiting."""
    world = played(random_commands(seed, 300), kept=200)
    world.cap, world.free_memory_mb, world.free_disk_mb, world.agent_problems = 2, 4000, 5000, {}
    world.lift_limits()
    for place in range(len(world.state.paused), 0, -1):
        world.resume(place - 1, 0)
    for key in [session.key for session in world.state.sessions.values() if session.destroying]:
        world.do(partial(sessions.broken, key=key, reason="could not be removed"))
    for _ in [session for session in world.state.sessions.values() if session.person is not None]:
        world.leave(0, 1)
    if world.state.daemon.state != "running":
        world.daemon_start(1, 1)
    for _ in range(400):
        world.planned = None
        world.dispatch(1, 2)
        for place in range(len(world.state.attempts)):
            world.run(place, 0)
        world.finish(0, 0)
        world.pass_time(4, 0)
    left = {task.id: task for task in world.state.tasks.values() if task.state in ("pending", "parked", "notified")}
    assert world.state.attempts == {}
    for task in left.values():
        assert any(
            earlier in left or earlier not in world.state.tasks or world.state.tasks[earlier].state != "completed"
            for earlier in task.after
        ), task.id


@quick
@given(histories)
def test_every_transaction_is_decided_again_the_same(commands: list[tuple[str, int, int]]) -> None:
    redecided(played(commands).memory.events)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_transaction_of_a_long_history_is_decided_again_the_same(seed: int) -> None:
    redecided(played(random_commands(seed, 600)).memory.events)


def redecided(events: list[Event]) -> None:
    verifier = ReplayChecker(lambda seq: folded(events[:seq]), "0")
    with short_listing(3):
        for event in events:
            found = verifier.add(event)
            assert found is None, (found.seq, found.category, found.refusal, found.recorded, found.decided)
    assert verifier.redecided == sum(1 for _ in transactions(events)) and verifier.unfinished == 0


@quick
@given(histories)
def test_load_of_dump_is_the_same_state_at_every_prefix(commands: list[tuple[str, int, int]]) -> None:
    world = World()
    with short_listing(3):
        for _ in world.play(commands):
            kept = dumped(world.state)
            assert dumped(state_codec.load(kept)) == kept


@pytest.mark.parametrize("seed", SEEDS)
def test_a_loaded_state_folds_on_as_the_one_it_was_dumped_from(seed: int) -> None:
    world = played(random_commands(seed, 600))
    with short_listing(3):
        whole = dumped(folded(world.memory.events))
        for cut in range(0, len(world.memory.events), 37):
            state = state_codec.load(dumped(folded(world.memory.events[:cut])))
            for event in world.memory.events[cut:]:
                fold(state, event)
            assert dumped(state) == whole
    assert whole == dumped(world.state)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_state_stays_small_however_long_the_history(seed: int) -> None:
    world = played(random_commands(seed, 2000), kept=5)
    open_tasks = [task for task in world.state.tasks.values() if task.id not in world.state.finished]
    wanted = [task_id for task_id in world.state.finished if world.state.wanted(task_id)]
    assert len(world.state.finished) <= max(5, len(wanted) + 5)
    assert len(world.state.tasks) == len(open_tasks) + len(world.state.finished)
    assert sum(map(len, world.state.of_issue.values())) <= len(open_tasks)
    assert sum(map(len, world.state.successors.values())) <= sum(len(task.after) for task in world.state.tasks.values())


# --- the same through the log of a directory -------------------------------------------------------------------


@settings(parent=quick, max_examples=examples(25))
@given(commands=histories)
def test_the_fold_of_the_log_is_the_live_state(
    commands: list[tuple[str, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    through_the_log(commands, tmp_path_factory.mktemp("log"))


@pytest.mark.parametrize("seed", range(2))
def test_the_fold_of_a_long_log_is_the_live_state(seed: int, tmp_path: Path) -> None:
    used = through_the_log(random_commands(seed, 1500), tmp_path)
    assert len(set(used) - {0}) > 2, "no checkpoint was used"


def through_the_log(commands: list[tuple[str, int, int]], directory: Path) -> list[int]:
    """Play the commands through two processes' logs that take turns; the seqs of the checkpoints that were used."""
    now = START
    used: list[int] = []

    def opened() -> FileLog:
        by = {"cmd": "test", "pid": 1, "host": "h", "user": "u"}
        return FileLog(str(directory), DomainProjection(), by, lambda: now, segment_bytes=50_000, latest_every=16)

    logs = [opened(), opened()]

    def transact(decide: Callable[[State], Sequence[NewEvent]]) -> list[Event]:
        logs.reverse()
        return logs[0].transact(decide)

    world = World(transact, lambda: logs[0].state())
    with short_listing(3):
        for place, _ in enumerate(world.play(commands)):
            now = world.now
            assert broken(world.state) == []
            if place % 20 == 0:
                found = snapshots.load(str(directory), state_codec.VERSION)
                used.append(found.cursor.seq if found else 0)
                fresh = opened()
                assert dumped(fresh.state()) == dumped(logs[0].state()), "checkpoint and tail give another state"
                fresh.close()
        live = dumped(logs[0].state())
        assert dumped(logs[1].state()) == live, "the other process sees another state"
        assert dumped(folded(logs[0].read())) == live, "the whole log gives another state"
        assert live["violations"] == []
    for log in logs:
        log.close()
    return used
