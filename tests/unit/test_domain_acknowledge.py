"""Failed tasks stay until somebody has seen them, at no cost for the fold; what left the state comes back whole."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain.decide import attempts, claims, queue, undo
from kugetsu.domain.events.declaration import SHAPES, keys
from kugetsu.domain.facts import Ending
from kugetsu.domain.invariants import broken
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.domain.state import State, Task, Usage
from kugetsu.model.errors import Conflict, KugetsuError, NotFound
from kugetsu.model.record import fields, values
from kugetsu.runtime.query import retired
from kugetsu.views import queue as view
from kugetsu.views import status
from kugetsu.views.refusals import words
from property.simulation import ISSUES, Event, World, folded, short_listing


@pytest.fixture
def world() -> World:
    made = World()
    made.warmup = 0.0
    made.cap = 8
    made.daemon_start(1, 1)
    return made


def add(world: World, *after: str, issue: str = ISSUES[0]) -> str:
    wish: dict[str, Any] = {"kind": "dev", "issue": issue, "message": "do it", "via": "queue enqueue", "after": after}
    return str(world.do(lambda state: queue.enqueue(state, **wish))[0]["task"])


def end(world: World, task: str, verdict: str) -> None:
    """Let the task's next attempt run and end."""
    offer, facts = world.offer(), world.claim_facts("daemon")
    claimed = world.do(lambda state: claims.claim(state, task, offer, facts))
    attempt = next(event["attempt"] for event in claimed if event["type"] == "attempt.claimed")
    world.run(list(world.state.attempts).index(attempt), 0)
    ending = Ending("succeed" if verdict == "done" else "fail", verdict, f"{verdict}", tokens=10)
    world.do(lambda state: attempts.finish(state, attempt, ending, world.outcome_facts()))


def fail(world: World, **wish: Any) -> str:
    task = add(world, **wish)
    end(world, task, "give_up")
    assert world.state.tasks[task].state == "error"
    return task


def complete(world: World, count: int = 1) -> None:
    for _ in range(count):
        end(world, add(world, issue=ISSUES[2]), "done")


def acknowledge(world: World, *subjects: str) -> list[Event]:
    return world.do(lambda state: queue.acknowledge(state, subjects))


def differences(world: World) -> list[Any]:
    """What is decided otherwise now."""
    checker = ReplayChecker(lambda seq: folded(world.memory.events[:seq]), "0")
    return [found for event in world.memory.events if (found := checker.add(event)) is not None]


def agree(state: State, seen: int) -> None:
    """Counters, attention list and queue list have one answer."""
    figures = view.stats(state)
    assert figures["unacknowledged"] == seen
    assert len(view.listed(state, ("error",))) + state.unacknowledged_gone == seen
    entries = status._errors(state)
    more = next((entry for entry in entries if entry["subject"] == "queue"), None)
    number = int(more["text"].split()[0]) if more else 0
    assert len([entry for entry in entries if entry is not more]) + number == seen


def test_a_failed_task_stays_while_hundreds_are_completed_after_it(world: World) -> None:
    failed = fail(world)
    with short_listing(3):
        complete(world, 10)
    assert world.state.tasks[failed].state == "error"
    assert list(world.state.unacknowledged) == [failed] and len(world.state.finished) == 3
    agree(world.state, 1)
    assert broken(world.state) == []


def test_once_acknowledged_it_leaves_as_any_other(world: World) -> None:
    failed = fail(world)
    with short_listing(3):
        complete(world, 10)
        made = acknowledge(world, failed)
        assert [event["type"] for event in made] == ["task.acknowledged"]
        agree(world.state, 0)
        assert view.listed(world.state, ("error",), acknowledged=True) != []
        complete(world, 3)
    assert failed not in world.state.tasks
    assert (world.state.retired["error"], view.counts(world.state)["error"]) == (1, 1)


def test_all_of_an_issue_or_all_are_acknowledged_and_again_changes_nothing(world: World) -> None:
    first, second = fail(world), fail(world)
    other = fail(world, issue=ISSUES[1])
    assert {event["task"] for event in acknowledge(world, ISSUES[0])} == {first, second}
    assert acknowledge(world, ISSUES[0]) == [] == acknowledge(world, first)
    assert [event["task"] for event in acknowledge(world)] == [other]
    assert acknowledge(world) == []
    agree(world.state, 0)


def test_what_did_not_fail_is_refused_with_a_remedy(world: World) -> None:
    done = add(world)
    end(world, done, "done")
    for subject, kind in ((done, Conflict), ("q99", NotFound), (ISSUES[1], NotFound)):
        with pytest.raises(kind) as refused:
            acknowledge(world, subject)
        assert words(refused.value)[1]
    acknowledge(world)


def test_a_cancelled_task_was_seen_by_whoever_cancelled_it(world: World) -> None:
    task = add(world)
    world.do(lambda state: queue.cancel(state, task, "cancel"))
    agree(world.state, 0)


def test_a_retried_task_that_fails_again_is_to_be_acknowledged_again(world: World) -> None:
    task = fail(world)
    acknowledge(world, task)
    world.do(lambda state: queue.retry(state, task))
    agree(world.state, 0)
    end(world, task, "give_up")
    agree(world.state, 1)


def test_beyond_the_bound_they_are_counted_and_acknowledged_together(world: World) -> None:
    with short_listing(2):
        failed = [fail(world) for _ in range(9)]
        assert list(world.state.unacknowledged) == failed[5:7] and world.state.unacknowledged_gone == 5
        agree(world.state, 9)
        with pytest.raises(NotFound) as refused:
            acknowledge(world, failed[0])
        assert "ack --all" in str(words(refused.value)[1])
        made = acknowledge(world)
        assert made[-1]["type"] == "queue.acknowledged" and made[-1]["data"] == {"gone": 5, "left": 0}
        agree(world.state, 0)


def there_and_back(world: World, event: Event) -> list[Event]:
    """Undo it, undo that, and undo that again."""
    made = [event]
    for _ in range(3):
        described = undo.described(made[0], world.state_after(made[0]["seq"] - 1), world.now)
        made = world.do(lambda state, one=described: undo.compensate(state, [one]))  # type: ignore[misc]
    return made


def test_an_acknowledgement_is_undone_and_that_too(world: World) -> None:
    with short_listing(4):
        for _ in range(3):
            fail(world)
        complete(world, 5)
        agree(world.state, 3)
        for event in acknowledge(world):
            assert [one["type"] for one in there_and_back(world, event)] == ["task.unacknowledged"]
        agree(world.state, 3)
        for _ in range(7):
            fail(world)
        assert world.state.unacknowledged_gone == 2
        there_and_back(world, acknowledge(world)[-1])
        assert world.state.unacknowledged_gone == 2
    assert world.state.violations == [] == broken(world.state)


def test_an_acknowledgement_is_not_undone_once_the_task_goes_on(world: World) -> None:
    task = fail(world)
    event = acknowledge(world, task)[0]
    world.do(lambda state: queue.retry(state, task))
    described = undo.described(event, world.state_after(event["seq"] - 1), world.now)
    with pytest.raises(Conflict) as refused:
        world.do(lambda state: undo.compensate(state, [described]))
    assert words(refused.value)[1]


def test_clear_leaves_what_nobody_has_seen(world: World) -> None:
    failed, seen = fail(world), fail(world)
    complete(world)
    acknowledge(world, seen)
    cleared = world.do(lambda state: queue.clear(state, None, failed=False))
    assert failed not in cleared[0]["data"]["tasks"] and seen in cleared[0]["data"]["tasks"]
    agree(world.state, 1)


def test_the_clear_of_an_old_log_is_decided_again_as_it_was(world: World) -> None:
    failed = fail(world)
    cleared = world.do(lambda state: queue.clear(state, None))
    assert cleared[0]["data"]["tasks"] == [failed]
    agree(world.state, 0)
    assert differences(world) == []


def test_folding_a_finish_asks_for_few_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many failed ones stay, each with a task that waits for it."""
    with short_listing(40):
        for _ in range(40):
            add(world, fail(world), issue=ISSUES[1])
        asked: list[str] = []
        wanted = State.wanted
        monkeypatch.setattr(State, "wanted", lambda state, task: asked.append(task) or wanted(state, task))
        complete(world, 80)
    assert len(asked) <= 2 * 80, "each finish looked at many that stay"


# --- back from the log


def bring_back(world: World, task: str) -> list[Event]:
    record = retired.record(world, world.state, task)  # type: ignore[arg-type]
    return world.do(lambda state: queue.retry(state, task, record))


@pytest.mark.parametrize("verdict", ["done", "give_up"])
def test_a_task_that_left_the_state_is_retried_and_counts_on(world: World, verdict: str) -> None:
    task = add(world)
    end(world, task, verdict)
    acknowledge(world)
    was = world.state.tasks[task]
    with short_listing(2):
        complete(world, 4)
        assert task not in world.state.tasks
        counted = view.counts(world.state)
        made = bring_back(world, task)
    assert made[0]["type"] == "task.requeued" and made[0]["data"]["was"] == was.state
    now = world.state.tasks[task]
    assert now.state == "pending" and values(now.usage) == values(was.usage)
    assert (now.queued, now.title, now.result) == (was.queued, was.title, was.result)
    after = view.counts(world.state)
    assert sum(after.values()) == sum(counted.values()) and after[was.state] == counted[was.state] - 1
    end(world, task, "done")
    claimed = [event["attempt"] for event in world.memory.events if event["type"] == "attempt.claimed"]
    assert len(claimed) == len(set(claimed)) and f"{task}.2" in claimed
    assert world.state.violations == [] == broken(world.state)
    with short_listing(2):
        assert differences(world) == []


def test_what_waits_for_a_task_that_left_goes_on_once_that_is_completed(world: World) -> None:
    first = fail(world)
    acknowledge(world)
    later = add(world, first)
    world.do(lambda state: queue.cancel(state, later, "cancel"))
    with short_listing(1):
        complete(world, 2)
        bring_back(world, later)
        assert world.state.tasks[later].after == [first]
        bring_back(world, first)
        end(world, first, "done")
        complete(world, 2)
        assert first not in world.state.tasks
    assert world.state.tasks[later].after == [], "it was completed before it left"


def test_a_record_holds_every_field_of_a_task_that_a_retry_does_not_set() -> None:
    counted = {"attempts", "retries", "parks", "tokens", "cost", "seconds"}
    kept = {*keys(SHAPES["Recorded"])} - counted - {"carried"} | {"usage", "prior_usage"}
    by_retry = {"order", "used", "changed", "changed_at", "not_before", "reason", "reason_values", "held", "held_seq"}
    by_retry |= {"attempt", "parked_for", "accepted", "asked_at", "asked", "outage", "acknowledged", "withdrawn"}
    by_retry |= {"unprepared"}
    named = {"id", "begun"}  # by the envelope of the event, and by the attempts
    assert kept | by_retry | named == set(fields(Task)), "let the record hold it, or a retry set it"
    assert counted == set(fields(Usage)) - {"no_progress_runs"}, "which belongs to an issue"


def test_a_task_in_the_state_needs_no_record(world: World) -> None:
    task = fail(world)
    made = world.do(lambda state: queue.retry(state, task))
    assert "record" not in made[0]["data"] and "arguments" not in made[0]


def test_every_task_that_left_is_listed_once(world: World) -> None:
    task = fail(world)
    acknowledge(world)
    with short_listing(2):
        complete(world, 4)
        bring_back(world, task)
        end(world, task, "done")
        complete(world, 4)
        gone = [one.id for one in retired.tasks(Read(world), world.state.seq)]  # type: ignore[arg-type]
    assert sorted(gone) == sorted({f"q{n}" for n in range(1, world.state.tasks_made + 1)} - world.state.tasks.keys())


class Read:
    """As of the log."""

    def __init__(self, world: World) -> None:
        self.events = world.memory.events

    def read(self, after: int = 0, until: int | None = None) -> list[Event]:
        return self.events[after:until]


def test_an_unknown_task_is_refused(world: World) -> None:
    assert retired.record(world, world.state, "q77") is None  # type: ignore[arg-type]
    with pytest.raises(KugetsuError):
        world.do(lambda state: queue.retry(state, "q77"))
