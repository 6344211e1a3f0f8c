"""Which labelled issues are queued, once for each label event, and what keeps the others waiting."""

from __future__ import annotations

from typing import Any, cast

import pytest

from kugetsu.domain.decide import attempts, claims, intake, pauses, persons, queue, reactions, reviews, undo
from kugetsu.domain.events import Event
from kugetsu.domain.facts import Ending, IntakeFacts
from kugetsu.domain.intake import blockers_in, history_of, is_asked_for, on_hold, priority_of
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.domain.state import State
from kugetsu.model.clock import add_seconds, seconds_between
from kugetsu.views import intake as words
from property.simulation import ISSUES, PROCESS, START, World

ISSUE = ISSUES[0]
LABELLED = "2026-11-23T09:00:00Z"
LATER = "2026-11-23T09:30:00Z"
MERGED = "2026-11-23T10:00:00.000000Z"


def sight(**changed: Any) -> IntakeFacts:
    facts: dict[str, Any] = {"label": "kugetsu", "labels": ["kugetsu"], "body": "h1", "blockers": []}
    facts |= {"labelled_by": "bob", "labelled_at": LABELLED, "right": "triage", "labellers": []}
    return cast("IntakeFacts", {**facts, "edited_by": None, "edited_at": None, **changed})


def look(world: World, history: dict[str, Any] | None = None, **changed: Any) -> list[Event]:
    facts = sight(**changed)
    return world.do(
        lambda state: intake.look(state, ISSUE, "Slow", "alice", "none", facts, message="Slow\n\nvery", history=history)
    )


def code(world: World, **changed: Any) -> str:
    look(world, **changed)
    return str(world.state.intake[ISSUE]["code"])


def gone(world: World, why: str = "unlabelled") -> list[Event]:
    return world.do(lambda state: intake.gone(state, ISSUE, why))


def of_the_log(world: World) -> dict[str, Any] | None:
    return history_of(event for event in world.memory.events if event.get("issue") == ISSUE)


def tasks(world: World) -> list[str]:
    return [event["task"] for event in world.memory.events if event["type"] == "task.queued"]


def end(world: World, how: str) -> None:
    """Let the task that waits run, and end so."""
    facts, offer = world.claim_facts(), world.offer()
    world.do(lambda state: claims.dispatch(state, claims.plan(state, facts), offer, facts))
    world.run(0, 0)
    (attempt,) = world.state.attempts
    ending = Ending("succeed", "done", "done") if how == "completed" else Ending("fail", "give_up", "broken")
    world.do(lambda state: attempts.finish(state, attempt, ending, world.outcome_facts()))
    assert world.state.tasks[tasks(world)[-1]].state == how


def test_a_label_queues_one_task_whoever_looks() -> None:
    world = World()
    seen, queued = look(world, labels=["kugetsu", "Priority: High"])
    assert seen["type"] == "intake.seen" and queued["type"] == "task.queued"
    assert queued["cause"] == seen["seq"] and queued["data"]["message"] == "Slow\n\nvery"
    assert (queued["data"]["priority"], queued["data"]["via"], queued["data"]["from_issue"]) == (10, "intake", True)
    assert look(world) == []
    assert world.state.tasks["q1"].by_intake


@pytest.mark.parametrize(("how", "then"), [("completed", "done_before"), ("error", "failed_before")])
def test_only_a_new_label_event_queues_another(how: str, then: str) -> None:
    world = World()
    look(world)
    end(world, how)
    assert code(world) == then
    world.do(lambda state: queue.clear(state, None))
    assert code(world) == then and tasks(world) == ["q1"]
    look(world, labelled_at=LATER)
    assert tasks(world) == ["q1", "q2"]


def test_an_undone_or_cancelled_task_is_not_queued_again_for_the_same_label() -> None:
    world = World()
    queued = look(world)[-1]
    facts = undo.described(queued, world.state, START)
    world.do(lambda state: undo.compensate(state, [facts]))
    assert world.state.tasks["q1"].state == "cancelled"
    assert code(world) == "cancelled_before" and tasks(world) == ["q1"]
    assert code(world, labelled_at=LATER) == "queued" and tasks(world) == ["q1", "q2"]


def test_a_label_that_is_set_again_while_its_task_is_open_queues_no_other() -> None:
    world = World()
    look(world)
    look(world, labelled_at=LATER)
    assert world.state.intake[ISSUE]["task"] == "q1"
    end(world, "completed")
    assert code(world, labelled_at=LATER) == "done_before" and tasks(world) == ["q1"]


def test_a_forge_that_forgets_for_a_while_who_set_the_label_queues_nothing_twice() -> None:
    world = World()
    look(world)
    end(world, "completed")
    assert code(world, labelled_by=None, labelled_at=None) == "needs_label"
    assert code(world) == "done_before"
    gone(world, "closed")
    assert code(world, labelled_by=None, labelled_at=None) == "needs_label"
    look(world, history=of_the_log(world))
    assert world.state.intake[ISSUE]["code"] == "done_before" and tasks(world) == ["q1"]


def test_an_issue_that_a_forge_did_not_show_for_a_while_is_queued_again_unless_its_task_has_ended() -> None:
    world = World()
    look(world)
    gone(world, "missing")
    assert world.state.tasks["q1"].state == "cancelled"
    look(world, history=of_the_log(world))
    assert world.state.intake[ISSUE]["code"] == "queued" and tasks(world) == ["q1", "q2"]
    end(world, "completed")
    gone(world, "missing")
    look(world, history=of_the_log(world))
    assert world.state.intake[ISSUE]["code"] == "done_before" and tasks(world) == ["q1", "q2"]


def test_reopened_with_the_old_label_it_is_not_queued_again() -> None:
    world = World()
    look(world)
    end(world, "completed")
    gone(world, "closed")
    assert ISSUE not in world.state.intake
    look(world, history=of_the_log(world))
    assert world.state.intake[ISSUE]["code"] == "done_before"
    assert code(world) == "done_before"
    assert code(world, labelled_at=LATER) == "queued" and tasks(world) == ["q1", "q2"]


def test_unlabelled_before_it_starts_it_is_cancelled_for_that_reason() -> None:
    world = World()
    look(world)
    over, cancelled = gone(world)
    assert (over["data"], cancelled["data"]) == ({"code": "unlabelled"}, {"reason": "intake_unlabelled"})
    assert gone(world) == [] and world.state.tasks["q1"].state == "cancelled"


def test_unlabelled_while_it_runs_the_run_goes_on() -> None:
    world = World()
    world.start(0, 1)
    world.run(0, 0)
    look(world)
    assert world.state.intake[ISSUE]["code"] == "has_work"
    assert [event["type"] for event in gone(world)] == ["intake.gone"]
    assert len(world.state.attempts) == 1


@pytest.mark.parametrize("withdrawn", [False, True])
def test_unlabelled_while_it_runs_no_other_run_follows(withdrawn: bool) -> None:
    world = World()
    look(world)
    facts, offer = world.claim_facts(), world.offer()
    world.do(lambda state: claims.dispatch(state, claims.plan(state, facts), offer, facts))
    world.run(0, 0)
    if withdrawn:
        gone(world)
    ending = Ending("fail", "retry", "it broke")
    world.do(lambda state: attempts.finish(state, "q1.1", ending, world.outcome_facts()))
    task = world.state.tasks["q1"]
    assert (task.state, task.reason) == (("cancelled", "intake_gone") if withdrawn else ("pending", "it broke"))


def claimed(world: World) -> None:
    facts, offer = world.claim_facts(), world.offer()
    world.do(lambda state: claims.dispatch(state, claims.plan(state, facts), offer, facts))


@pytest.mark.parametrize("running", [False, True])
def test_a_text_that_is_edited_before_the_agent_runs_withdraws_the_task(running: bool) -> None:
    world = World()
    look(world)
    claimed(world)
    if running:
        world.run(0, 0)
    edited = {"body": "h2", "edited_by": "alice", "edited_at": LATER}
    assert [event["data"]["code"] for event in look(world, **edited)] == (["queued"] if running else ["needs_label"])
    assert look(world, **edited) == []
    ending = Ending("lose", "retry", "its runner was killed")
    world.do(lambda state: attempts.finish(state, "q1.1", ending, world.outcome_facts()))
    assert world.state.tasks["q1"].state == ("pending" if running else "cancelled")


def test_a_withdrawn_task_says_why() -> None:
    world = World()
    look(world)
    claimed(world)
    gone(world, "closed")
    ending = Ending("kill", "withdrawn", "not started: it was closed", withdrawn="intake_closed")
    world.do(lambda state: attempts.finish(state, "q1.1", ending, world.outcome_facts()))
    assert world.state.tasks["q1"].reason == "intake_closed" and world.state.attempts == {}


def test_an_issue_that_cannot_be_read_parks_its_task_and_uses_no_attempt_up() -> None:
    world, ends = World(), []
    look(world)
    now = world.outcome_facts()["now"]
    for resets_at in (None, None, add_seconds(now, 7200.0)):
        claimed(world)
        (attempt,) = world.state.attempts
        ending = Ending("fail", "unread", "no answer", resets_at=resets_at)
        events = world.do(lambda state: attempts.finish(state, attempt, ending, world.outcome_facts()))  # noqa: B023
        parked = next(event for event in events if event["type"] == "task.parked")["data"]
        ends.append(seconds_between(world.outcome_facts()["now"], parked["until"]))
        task = world.state.tasks["q1"]
        assert (task.state, task.used, parked["stated"]) == ("parked", 0, resets_at is not None)
        world.do(lambda state: queue.retry(state, "q1"))
    assert ends[:2] == [60.0, 120.0] and ends[2] > 7000.0


def test_work_that_follows_on_an_answered_label_is_no_news_of_it() -> None:
    world = World()
    look(world)
    end(world, "completed")
    assert code(world) == "done_before"
    world.start(0, 1)
    assert look(world) == []
    world.run(0, 0)
    (attempt,) = world.state.attempts
    world.do(lambda state: attempts.finish(state, attempt, Ending("succeed", "done", "done"), world.outcome_facts()))
    assert look(world) == []


@pytest.mark.parametrize(
    ("changed", "then"),
    [
        ({"right": "read"}, "no_right"),
        ({"right": "none"}, "no_right"),
        ({"right": None}, "right_unknown"),
        ({"right": "read", "labellers": ["BOB"]}, None),
        ({"labelled_by": None, "labelled_at": None}, "unknown"),
        ({"edited_by": "alice", "edited_at": LATER}, "edited"),
        ({"edited_by": "alice", "edited_at": LABELLED}, "edited"),
        ({"edited_by": "alice", "edited_at": "2026-11-23T08:59:59Z"}, None),
        ({"edited_by": "Bob", "edited_at": LATER}, None),
    ],
)
def test_who_may_start_work(changed: dict[str, Any], then: str | None) -> None:
    world = World()
    assert code(world, **changed) == ("queued" if then is None else "needs_label")
    assert then is None or world.state.intake[ISSUE]["values"]["why"] == then
    assert tasks(world) == ([] if then else ["q1"])


def test_a_text_that_changed_since_the_label_needs_it_again_and_nobody_need_tell_by_whom() -> None:
    world = World()
    blocked = {"blockers": [{"issue": ISSUES[1], "open": True}]}
    assert code(world, **blocked) == "blocked"
    assert code(world, body="h2") == "needs_label"
    assert code(world, body="h2") == "needs_label"  # what was seen last is not what the label was set for
    gone(world, "closed")
    look(world, history=of_the_log(world), body="h2")
    assert world.state.intake[ISSUE]["code"] == "needs_label"
    assert code(world, body="h1") == "queued"
    world = World()
    assert code(world, **blocked) == "blocked"
    assert code(world, body="h2", labelled_at=LATER) == "queued"


def test_a_waiting_task_is_withdrawn_when_its_text_is_edited() -> None:
    world = World()
    look(world)
    _, cancelled = look(world, body="h2", edited_by="alice", edited_at=LATER)
    assert cancelled["data"]["reason"] == "intake_needs_label"
    assert look(world, body="h2", edited_by="alice", edited_at=LATER) == []
    look(world, body="h2", edited_by="alice", edited_at=LATER, labelled_at="2026-11-23T09:45:00Z")
    assert tasks(world) == ["q1", "q2"]


def test_open_blockers_count_and_one_that_cannot_be_read_is_shown() -> None:
    world = World()
    unread = {"issue": "example.org/x/y#9", "open": None, "problem": "hidden"}
    assert code(world, blockers=[{"issue": ISSUES[1], "open": True}, unread]) == "blocker_unknown"
    assert world.state.intake[ISSUE]["values"] == {"issues": ["example.org/x/y#9"], "problem": "hidden"}
    assert code(world, blockers=[{"issue": ISSUES[1], "open": True}]) == "blocked"
    assert code(world, blockers=[{"issue": ISSUES[1], "open": False}]) == "queued"


def with_pull(world: World, state_of_pull: str) -> None:
    """Work that a person asked for, with a pull request in that state."""
    world.start(0, 1)
    world.run(0, 0)
    (attempt,) = world.state.attempts
    world.do(lambda state: attempts.finish(state, attempt, Ending("succeed", "done", "done"), world.outcome_facts()))
    observed = {"number": 5, "url": "https://example.org/o/a/pulls/5", "state": state_of_pull, "head": "c1"}
    observed |= {"checks": None, "review": None, "mergeable": None, "draft": False}
    world.do(lambda state: reviews.observe(state, ISSUE, observed))


@pytest.mark.parametrize(
    ("state_of_pull", "labelled_at", "then"),
    [
        ("open", "2027-01-01T00:00:00Z", "open_pull"),
        ("merged", LABELLED, "merged_pull"),
        ("merged", "2027-01-01T00:00:00Z", "queued"),
        ("closed", LABELLED, "queued"),
    ],
)
def test_one_piece_of_work(state_of_pull: str, labelled_at: str, then: str) -> None:
    world = World()
    with_pull(world, state_of_pull)
    assert code(world, labelled_at=labelled_at) == then


FUTURE = "2027-01-01T00:00:00Z"


def persons_run(world: World, how: str = "succeed", **more: Any) -> None:
    """A run that a person asked for, and its end."""
    world.start(0, 1)
    world.run(0, 0)
    (attempt,) = world.state.attempts
    ending = Ending(how, "done" if how == "succeed" else "give_up", "it ended", **more)
    world.do(lambda state: attempts.finish(state, attempt, ending, world.outcome_facts()))


def test_one_piece_of_work_at_a_time_and_a_run_that_died_frees_the_issue() -> None:
    world = World()
    world.start(0, 1)
    assert code(world, labelled_at=FUTURE) == "has_work"
    world.run(0, 0)
    assert code(world, labelled_at=FUTURE) == "has_work"
    world.do(lambda state: attempts.finish(state, "q1.1", Ending("lose", "give_up", "it died"), world.outcome_facts()))
    assert code(world, labelled_at=FUTURE) == "queued" and tasks(world) == ["q1", "q2"]


def test_an_issue_in_which_a_person_works_waits_for_him() -> None:
    world = World()
    persons_run(world)
    world.do(lambda state: persons.attach(state, ISSUE, "lease", PROCESS, "alice", "desk"))
    assert code(world, labelled_at=FUTURE) == "has_work"
    assert world.state.intake[ISSUE]["values"]["person"] is True
    world.do(lambda state: persons.leave(state, ISSUE, "lease", "left", "he is done", {}))
    assert code(world, labelled_at=FUTURE) == "queued"


def test_a_pull_request_that_is_still_to_be_opened_counts_as_open() -> None:
    world = World()
    intent = {"head": "c1", "branch": "fix/issue-1", "base": "main", "title": "Slow", "draft": False}
    evidence = {"commits": 1, "pushed": True, "head": "c1", "dirty": 0, "branch": "fix/issue-1"}
    persons_run(world, evidence=evidence, opening=intent)
    assert code(world, labelled_at=FUTURE) == "open_pull"
    owed = world.state.sessions[ISSUE].owed
    assert owed is not None
    world.do(lambda state: reviews.failed(state, ISSUE, owed["seq"], "no", "", world.now, 10.0, passes=False))
    assert code(world, labelled_at=FUTURE) == "queued"


def test_a_pause_holds_what_a_label_or_feedback_asked_for_and_nothing_of_a_person() -> None:
    def held(world: World) -> bool:
        return on_hold(world.state, ISSUE, world.now)

    world = World()
    persons_run(world)
    world.do(lambda state: pauses.pause(state, None, None, world.now))
    assert not held(world)
    world.do(lambda state: pauses.resume(state, None))
    said = {"id": "comment:1", "kind": "comments", "counts": True, "author": "bob", "text": "Rename it."}
    facts: Any = {"now": world.now, "kinds": ["comments"], "delay_seconds": 0.0, "max_reactions": 5}
    world.do(lambda state: reactions.observe(state, ISSUE, "https://example.org/o/a/pulls/7", None, [said], []))
    world.do(lambda state: reactions.react(state, ISSUE, "Rename it.", ["comment:1"], facts))
    claimed(world)
    assert not held(world)
    world.do(lambda state: pauses.pause(state, None, None, world.now))
    assert held(world) and not is_asked_for(world.state, ISSUE)


def test_a_merged_pull_request_counts_after_its_session_was_destroyed() -> None:
    world = World()
    with_pull(world, "merged")
    del world.state.sessions[ISSUE]  # what `destroy` and `prune` leave
    history = of_the_log(world)
    assert history is not None and history["merged"] is not None
    look(world, history=history)
    assert world.state.intake[ISSUE]["code"] == "merged_pull"


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("Depends on #12", [("", 12)]),
        ("this is blocked by #12, #13 and Acme/Web#3.", [("", 12), ("", 13), ("acme/web", 3)]),
        ("Depends-On: #7", [("", 7)]),
        ("> depends on #12\n```\ndepends on #13\n```\nIt depends on the weather, see #14", []),
        ("~~~\n```\n~~~\ndepends on #15\n````\n```\ndepends on #16", [("", 15)]),
        ("depends on #" + "9" * 30, []),
    ],
)
def test_what_a_text_depends_on(text: str, then: list[tuple[str, int]]) -> None:
    assert blockers_in(text) == then


def test_a_hostile_text_names_few_blockers() -> None:
    assert len(blockers_in("\n".join(f"depends on #{n}" for n in range(1, 100_000)))) == 20


@pytest.mark.parametrize(
    ("labels", "then"),
    [([], 0), (["priority:high"], 10), (["priority/low"], -10), (["priority:low", "Priority: HIGH"], 10), (["x"], 0)],
)
def test_labels_give_the_priority(labels: list[str], then: int) -> None:
    assert priority_of(labels) == then


def test_every_decision_is_decided_again_the_same() -> None:
    world = World()
    look(world, blockers=[{"issue": ISSUES[1], "open": True}])
    look(world)
    look(world, body="h2", edited_by="alice", edited_at=LATER)
    gone(world)
    look(world, history=of_the_log(world), body="h2", labelled_at=LATER)
    checker = ReplayChecker(lambda seq: world.state_after(seq), "test")
    for event in world.memory.events:
        assert checker.add(event) is None, event
    assert world.state.violations == []


def test_every_code_has_words() -> None:
    known: State = World().state
    assert known.intake == {}
    for name in (*words._CODES, "queued"):
        assert words.words(name, {"issues": ["a/b#1"], "task": "q1", "why": "edited"}) != name
