"""Decisions decided again: every kind has somebody who decides it, and a record that was tampered with is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from kugetsu.domain import state_codec
from kugetsu.domain.decide import (
    attempts,
    claims,
    importing,
    intake,
    marks,
    notifications,
    queue,
    reactions,
    sessions,
    verification,
    worktree_setup,
)
from kugetsu.domain.decision import DECISIONS
from kugetsu.domain.events import CATALOGUE
from kugetsu.domain.facts import Ending
from kugetsu.domain.fold import usage
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.replay import MODULES, OBSERVED, UnknownError, UnnamedError, checker, observed
from kugetsu.domain.replay.alternatives import SETTINGS
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.domain.replay.divergence import Divergence
from kugetsu.domain.state import State
from kugetsu.domain.verdict import Verdict
from kugetsu.model.errors import Conflict
from kugetsu.model.settings import SETTINGS as KNOWN
from kugetsu.runtime.doctor import bundle
from property import hosts_story, simulation
from property.simulation import ISSUES, PROCESS, Event, World, folded, random_commands

VERSION = "0.1.0"


def test_every_observed_kind_is_one() -> None:
    assert CATALOGUE.keys() >= OBSERVED


def test_every_setting_that_is_tried_is_one() -> None:
    assert {part for key, _, _ in SETTINGS.values() for part in key.split(":")} <= KNOWN.keys()


def differences(events: list[Event]) -> list[Divergence]:
    seen = ReplayChecker(lambda seq: folded(events[:seq]), VERSION, explained=100)
    return [found for event in events if (found := seen.add(event)) is not None]


@pytest.fixture
def world() -> World:
    """Two tasks that run in slots 1 and 2 of 2, one that waits, and a daemon."""
    made = World()
    made.daemon_start(0, 0)
    for number in (0, 1, 2):
        made.enqueue(number, 1)
    for _ in range(2):
        made.dispatch(1, 2)
    made.run(0, 0)
    made.run(1, 0)
    made.pass_time(1, 0)
    return made


@pytest.fixture
def events(world: World) -> list[Event]:
    """The same and its ends: one task completed, one to be tried again."""
    world.finish(0, 0)
    world.finish(0, 3)
    copied: list[Event] = orjson.loads(orjson.dumps(world.memory.events))
    assert differences(copied) == []
    return copied


def place(events: list[Event], kind: str, number: int = 0) -> int:
    return [at for at, event in enumerate(events) if event["type"] == kind][number]


def only(events: list[Event]) -> Divergence:
    found = differences(events)
    assert found, "nothing was found"
    return found[0]


def renumbered(events: list[Event], at: int, by: int) -> list[Event]:
    """``events`` with room for ``by`` more (or fewer) at that place: seqs behind it move, and what points to them."""

    def moved(value: int) -> int:
        return value + by if value > at else value

    for event in events[max(at, 0) :]:
        event["seq"] += by
        if "cause" in event:
            event["cause"] = moved(event["cause"])
        if "planned" in event.get("facts", {}):
            event["facts"]["planned"] = moved(event["facts"]["planned"])
        if event["type"] == "task.held":
            event["data"]["rests_on"] = moved(event["data"]["rests_on"])
    return events


# --- what was dropped, added, changed -------------------------------------------------------------------------------


def test_a_consequence_that_was_dropped_is_missing(events: list[Event]) -> None:
    at = place(events, "task.retried")
    del events[at]
    del events[at - 1]["more"]
    found = only(events)
    assert (found.category, found.found, found.seq) == ("missing", "missing", at + 1)
    assert found.recorded is None and found.decided is not None and found.decided["type"] == "task.retried"


def test_an_event_that_was_dropped_from_the_middle_of_a_transaction_is_missing(world: World) -> None:
    world.cap = 3
    world.start(3, 1)
    events: list[Event] = orjson.loads(orjson.dumps(world.memory.events))
    at = place(events, "session.requested", 2)
    assert events[at - 1]["type"] == "task.queued"
    events[at - 1]["more"] = 1
    del events[at]
    found = only(renumbered(events, at, -1))
    assert (found.category, found.seq) == ("missing", at + 1)
    assert found.decided is not None and found.decided["type"] == "session.requested"


def test_a_transaction_that_lost_its_first_event_is_unexpected(events: list[Event]) -> None:
    at = place(events, "session.requested")
    del events[at]
    found = only(renumbered(events, at, -1))
    assert (found.category, found.seq) == ("unexpected", at + 1)
    assert isinstance(found.refusal, UnnamedError)


def test_a_claim_that_was_dropped_from_a_dispatch_is_missing(world: World) -> None:
    world.cap = 3
    world.enqueue(0, 1)  # behind the attempt that works on the same issue
    world.move(3, 0)
    made = world.dispatch(1, 2)
    assert [event["type"] for event in made][-1] == "attempt.claimed" and made[0]["type"] == "task.held"
    events: list[Event] = orjson.loads(orjson.dumps(world.memory.events))
    while events[-1]["type"] != "task.held":
        events.pop()
    del events[-1]["more"]
    found = only(events)
    assert found.found == "missing" and found.decided is not None
    assert found.decided["task"] == made[-1]["task"]


def test_a_cancel_of_what_has_ended_is_unexpected_and_the_refusal_is_told(events: list[Event]) -> None:
    done = events[place(events, "task.completed")]
    extra = {
        "seq": len(events) + 1,
        "at": done["at"],
        "type": "task.cancelled",
        "v": 1,
        "task": done["task"],
        "issue": done["issue"],
        "cause": done["seq"],
        "decision": "queue.cancel",
        "data": {"reason": "cancel"},
    }
    found = only([*events, extra])
    assert (found.category, found.seq) == ("unexpected", extra["seq"])
    assert isinstance(found.refusal, Conflict) and found.refusal.refusal == "task_finished"
    assert found.decided is None


def test_an_event_that_was_added_to_a_transaction_is_unexpected(events: list[Event]) -> None:
    at = place(events, "task.completed")
    extra = {
        **events[at],
        "seq": at + 2,
        "type": "session.broken",
        "session": events[at]["issue"],
        "data": {"reason": "?"},
    }
    events[at - 1]["more"], events[at]["more"] = 2, 1
    renumbered(events[at + 1 :], 0, 0)
    tail = renumbered(events[at + 1 :], -1, 0)
    found = only([*events[: at + 1], extra, *tail])
    assert (found.category, found.seq) == ("unexpected", at + 2)


def test_a_slot_that_was_changed_is_different_and_the_place_is_told(events: list[Event]) -> None:
    claim = events[place(events, "attempt.claimed", 1)]
    claim["data"]["slot"] = 7
    found = only(events)
    assert (found.category, found.seq) == ("different", claim["seq"])
    assert [(one.path, one.recorded, one.decided) for one in found.places] == [("data.slot", 7, 2)]


def test_a_cause_that_was_changed_is_different(events: list[Event]) -> None:
    event = events[place(events, "attempt.starting")]
    event["cause"] = 1
    [place_] = only(events).places
    assert (place_.path, place_.recorded) == ("cause", 1)


def test_a_claim_for_another_task_than_the_plan_chose_is_different(world: World) -> None:
    world.cap = 4
    world.enqueue(3, 1)
    world.dispatch(1, 2)
    events: list[Event] = orjson.loads(orjson.dumps(world.memory.events))
    claim = events[-1]
    claim["task"], claim["attempt"] = "q4", "q4.1"
    assert "task" in {one.path for one in only(events).places}


def test_a_decision_that_this_version_does_not_have_is_the_versions(events: list[Event]) -> None:
    events[place(events, "task.queued")]["decision"] = "queue.teleport"
    found = only(events)
    assert found.category == "code version"
    assert isinstance(found.refusal, UnknownError) and found.refusal.name == "queue.teleport"


def test_another_decision_than_the_one_that_was_taken_is_found(events: list[Event]) -> None:
    for name in sorted(DECISIONS.keys() - {"claims.claim", "claims.dispatch", "claims.start"}):
        forged = [dict(event) for event in events]
        at = place(forged, "session.requested")
        forged[at]["decision"] = name
        assert only(forged).first == forged[at]["seq"], name


def test_an_argument_that_was_changed_is_found(events: list[Event]) -> None:
    ended = events[place(events, "attempt.succeeded")]
    assert ended["arguments"] == {"how": "succeed"}
    ended["arguments"]["how"] = "kill"
    found = only(events)
    assert (found.seq, found.category) == (ended["seq"], "unexpected")


@pytest.mark.parametrize("argument", ["how", "colour"])
def test_arguments_that_the_decision_does_not_take_are_found(events: list[Event], argument: str) -> None:
    ended = events[place(events, "attempt.succeeded")]
    ended["arguments"] = {argument: "red"}
    assert only(events).seq == ended["seq"]


def test_an_event_that_names_what_is_not_there_is_found_and_stops_nothing(events: list[Event]) -> None:
    for kind, name in zip(sorted(CATALOGUE.keys() - OBSERVED) * 2, sorted(DECISIONS) * 2, strict=False):
        for data in ({}, {"reason": "x", "sink": "?", "delivery": "?"}):
            strange = {"seq": len(events) + 1, "at": events[-1]["at"], "type": kind, "v": CATALOGUE[kind].version}
            strange |= {"task": "q99", "attempt": "q99.1", "session": "nowhere", "data": data, "decision": name}
            [found] = differences([*events, strange])
            assert found.seq == strange["seq"]


def test_what_names_no_decision_was_folded_and_is_counted(events: list[Event]) -> None:
    seen = ReplayChecker(lambda seq: folded(events[:seq]), VERSION)
    claim = events[place(events, "attempt.claimed", 1)]
    old = {"cmd": "kugetsu queue-daemon", "pid": 3, "host": "h"}
    for event in (events[place(events, "attempt.succeeded")], events[claim["seq"] - 2]):
        del event["decision"]
        event["by"] = old
    claim["data"]["slot"] = 1
    assert [seen.add(event) for event in events] == [None] * len(events)
    assert (seen.folded, seen.last_folded, seen.differences) == (2, events[-3]["seq"] - 1, 0)


# --- settings -------------------------------------------------------------------------------------------------------


def test_a_claim_beyond_the_recorded_cap_names_the_cap_under_which_it_would_be_right(events: list[Event]) -> None:
    claim = events[place(events, "attempt.claimed", 1)]
    claim["facts"]["cap"] = 1
    found = only(events)
    assert (found.category, found.found) == ("config", "unexpected")
    assert isinstance(found.refusal, Verdict) and found.refusal.code == "slots_full"
    assert found.setting is not None
    assert (found.setting.key, found.setting.recorded, found.setting.would) == ("MAX_CONCURRENT_AGENTS", "1", "2")


def _change(events: list[Event], kind: str, fact: str, value: Any) -> None:
    events[place(events, kind)]["facts"][fact] = value


@pytest.mark.parametrize(
    ("kind", "fact", "value", "key", "recorded", "would"),
    [
        ("attempt.failed", "max_attempts", 1, "MAX_ATTEMPTS", "1", "3"),
        ("attempt.failed", "backoff_seconds", 60.0, "RETRY_BACKOFF_SECONDS", "60", "10"),
        ("attempt.claimed", "min_free_memory_mb", 9000, "MIN_FREE_MEMORY_MB", "9000", "700"),
        ("attempt.claimed", "min_free_disk_mb", 9000, "MIN_FREE_DISK_MB", "9000", "200"),
    ],
)
def test_a_fact_that_was_changed_names_the_setting_that_was_in_force(
    events: list[Event], kind: str, fact: str, value: Any, key: str, recorded: str, would: str
) -> None:
    _change(events, kind, fact, value)
    found = only(events)
    assert found.category == "config" and found.setting is not None
    assert (found.setting.key, found.setting.recorded, found.setting.would) == (key, recorded, would)


def test_the_pause_after_an_unstated_limit_names_its_setting(world: World) -> None:
    limited = Ending("fail", "limited", "usage limit")
    facts = world.outcome_facts()
    attempt = next(iter(world.state.attempts))
    world.do(lambda state: attempts.finish(state, attempt, limited, facts))
    events: list[Event] = orjson.loads(orjson.dumps(world.memory.events))
    _change(events, "attempt.failed", "pause_seconds", 60.0)
    found = only(events)
    assert found.setting is not None
    assert (found.setting.key, found.setting.would) == ("USAGE_LIMIT_PAUSE_MINUTES", "30")


def test_a_task_that_was_parked_for_its_runs_names_the_setting_of_runs(world: World) -> None:
    world.max_fruitless = 1
    issue = ISSUES[0]
    same = {"commits": 0, "dirty": 0, "pushed": False, "head": "c0ffee"}
    ending = Ending("succeed", "done", "done", evidence=same)
    attempt = next(one.id for one in world.state.attempts.values() if one.issue == issue)
    facts = world.outcome_facts()
    world.do(lambda state: attempts.finish(state, attempt, ending, facts))
    world.enqueue(0, 1)
    made = world.dispatch(1, 2)
    assert "task.parked" in {event["type"] for event in made}
    events: list[Event] = orjson.loads(orjson.dumps(world.memory.events))
    for event in events[made[0]["seq"] - 1 :]:
        if "facts" in event:
            event["facts"]["max_runs_without_progress"] = 9
    found = only(events)
    assert found.category == "config" and found.setting is not None
    assert (found.setting.key, found.setting.would) == ("MAX_RUNS_WITHOUT_PROGRESS", "1")


def test_only_so_many_differences_are_explained(events: list[Event]) -> None:
    for number in (0, 1):
        events[place(events, "attempt.claimed", number)]["facts"]["min_free_memory_mb"] = 9000
    seen = ReplayChecker(lambda seq: folded(events[:seq]), VERSION, explained=1)
    found = [one for event in events if (one := seen.add(event)) is not None]
    assert [one.category for one in found] == ["config", "unexpected"] and seen.differences == 2


# --- versions -------------------------------------------------------------------------------------------------------


def test_a_difference_in_what_another_version_wrote_is_the_versions(events: list[Event]) -> None:
    claim = events[place(events, "attempt.claimed", 1)]
    claim["data"]["slot"] = 7
    claim["by"] = {"cmd": "kugetsu queue-daemon", "kugetsu": "0.0.9"}
    events[place(events, "session.requested", 1)]["by"] = claim["by"]
    found = only(events)
    assert (found.category, found.found, found.written_by) == ("code version", "different", "0.0.9")


def test_what_another_version_wrote_and_this_one_would_write_is_no_difference(events: list[Event]) -> None:
    for event in events:
        event["by"] = {"cmd": "kugetsu", "kugetsu": "0.0.9"}
    assert differences(events) == []


@pytest.mark.parametrize(
    ("kind", "fact"), [("attempt.claimed", "warm_before"), ("attempt.failed", "verdict"), ("attempt.failed", "agent")]
)
def test_a_fact_that_was_not_recorded_is_the_versions(events: list[Event], kind: str, fact: str) -> None:
    del events[place(events, kind)]["facts"][fact]
    found = only(events)
    assert (found.category, found.missing_fact) == ("code version", fact)


def test_facts_that_the_first_version_did_not_record_are_not_asked_for(events: list[Event]) -> None:
    later = ("free_disk_mb", "min_free_disk_mb", "issue_max_tokens", "issue_max_cost", "max_runs_without_progress")
    for event in events:
        for name in (*later, "repository_caps", "agent_problems"):
            event.get("facts", {}).pop(name, None)
    assert differences(events) == []


def test_a_hold_without_the_state_that_it_was_planned_in_cannot_be_decided_again(world: World) -> None:
    world.enqueue(3, 1)
    [held] = [event for event in world.dispatch(1, 2) if event["type"] == "task.held"][:1]
    events: list[Event] = orjson.loads(orjson.dumps(world.memory.events))
    del events[held["seq"] - 1]["facts"]["planned"]
    for event in events[held["seq"] :]:
        event.get("facts", {}).pop("planned", None)
    assert only(events).missing_fact == "planned"


def test_a_kind_of_a_later_version_is_the_versions(events: list[Event]) -> None:
    last = len(events) + 1
    told = {"seq": last, "at": events[-1]["at"], "v": 1, "decision": "task.explode", "data": {}}
    assert only([*events, {**told, "type": "task.exploded"}]).category == "code version"


def test_an_event_of_an_older_version_is_brought_up_before_it_is_compared(world: World) -> None:
    world.do(lambda state: attempts.finish(state, "q1.1", _limited(), world.outcome_facts()))
    events: list[Event] = orjson.loads(orjson.dumps(world.memory.events))
    parked = events[place(events, "task.parked")]
    parked["v"] = 1
    del parked["data"]["gate"]
    assert differences(events) == []


def _limited() -> Ending:
    return Ending("fail", "limited", "usage limit")


# --- the pass over the log ------------------------------------------------------------------------------------------


def test_after_a_difference_it_goes_on_from_what_is_recorded(events: list[Event]) -> None:
    events[place(events, "attempt.claimed", 1)]["data"]["slot"] = 7
    found = differences(events)
    assert [one.recorded["type"] for one in found if one.recorded] == ["attempt.claimed"]


def test_the_rest_of_a_transaction_that_is_not_there_yet_is_waited_for(events: list[Event]) -> None:
    seen = ReplayChecker(lambda seq: folded(events[:seq]), VERSION)
    for event in events[:-1]:
        assert seen.add(event) is None
    assert seen.unfinished == len(events) - 1 - seen.state.seq > 0
    assert events[seen.state.seq]["more"] == seen.unfinished


def _decided_far_back(events: list[Event], asked: list[int]) -> list[Any]:
    def far(seq: int) -> State:
        asked.append(seq)
        return folded(events[:seq])

    seen = ReplayChecker(far, VERSION)
    return [found for event in events if (found := seen.add(event)) is not None]


def test_a_plan_on_any_earlier_state_is_made_again_on_that_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "LAG", 0)
    asked: list[int] = []
    for seed in range(5, 12):
        world = World()
        for _ in world.play(random_commands(seed, 600)):
            pass
        assert _decided_far_back(world.memory.events, asked) == []
    assert asked, "no plan was older than what is kept"


def test_only_so_many_events_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "LAG", 10)
    world = World()
    for _ in world.play(random_commands(6, 500)):
        pass
    seen = ReplayChecker(lambda seq: folded(world.memory.events[:seq]), VERSION)
    for event in world.memory.events:
        assert seen.add(event) is None
        assert len(seen._lagging._ahead) <= 10


@pytest.mark.parametrize("mark", ["[redacted]", "stopped: token [redacted]", "[17 characters]"])
def test_a_text_that_was_taken_out_is_no_difference(events: list[Event], mark: str) -> None:
    ended = events[place(events, "attempt.failed")]
    retried = events[ended["seq"]]
    retried["data"]["reason"] = "another text"
    assert only(events).places[0].path == "data.reason"
    retried["data"]["reason"] = mark
    assert differences(events) == []


# --- what no play of the simulation makes ---------------------------------------------------------------------------


def _set_up() -> World:
    world = World()
    world.do(lambda state: sessions.register(state, "example.org/o/a", {"url": "https://example.org/o/a.git"}))
    return world


def _notices() -> Iterator[Callable[[State], list[Any]]]:
    yield lambda state: notifications.enable(state, "webhook")
    yield lambda state: notifications.enable(state, "comment")
    yield lambda state: queue.enqueue(state, kind="dev", issue=ISSUES[0], message="go", via="enqueue")
    yield lambda state: queue.enqueue(state, kind="dev", issue=ISSUES[1], message="go", via="enqueue")
    one, two = notifications.Batch(ISSUES[0], [5]), notifications.Batch(ISSUES[1], [6])
    yield lambda state: notifications.sending(state, "comment", [one, two], 4, 6)
    yield lambda state: notifications.sending(state, "webhook", [notifications.Batch("all", [5, 6])], 4, 6)
    delivery = "log-1-webhook-5-6"
    yield lambda state: notifications.failed(state, "webhook", delivery, "no answer", now="2026-11-23T10:00:00.000000Z")
    yield lambda state: notifications.sending_again(state, "webhook", delivery, 0)
    yield lambda state: notifications.sent(state, "webhook", delivery, "200")
    yield lambda state: notifications.mark_read(state, 6)
    yield lambda state: notifications.disable(state, "comment")
    yield lambda state: notifications.enable(state, "desktop", "1" * 32)
    yield lambda state: notifications.enable(state, "desktop", "2" * 32)
    last = notifications.Batch("all", [6])
    yield lambda state: notifications.sending(state, "desktop", [last], state.outbox["desktop"]["upto"], 99, "2" * 32)
    yield lambda state: notifications.disable(state, "desktop", "1" * 32)


def _imports() -> Iterator[Callable[[State], list[Any]]]:
    record = {"source": "queue/items/1.json", "kind": "task", "record": {}, "digest": "0", "became": None}
    found: dict[str, Any] = {
        "agent_session": "ses_9",
        "worktree": "/w",
        "source": "/r",
        "branch": "fix/issue-1",
        "base_branch": "main",
        "base_commit": None,
    }

    pull, url = "https://example.org/o/a/pulls/1", "https://example.org/o/b.git"
    one, two = ({"pr": pull, "carried": {"attempts": 2}}, {"pr": None, "carried": None})
    yield lambda state: importing.keep_record(state, None, record)
    yield lambda state: importing.take_setting(state, "MAX_ATTEMPTS", "3", "2", None, record)
    for _ in range(2):
        yield lambda state: importing.take_repository(state, "example.org/o/b", url, None, record)
    yield lambda state: importing.take_session(state, ISSUES[0], **found, **one, imported=record)
    yield lambda state: importing.take_session(state, ISSUES[1], **found, **two, imported=record)
    yield lambda state: importing.take_task(state, ISSUES[0], message="go", priority=3, imported=record)


def _labelled() -> Iterator[Callable[[State], list[Any]]]:
    issue, now = ISSUES[0], "2026-11-23T10:00:00.000000Z"
    sight: Any = {"label": "kugetsu", "labels": ["priority:low"], "body": "h", "blockers": [], "right": "write"}
    sight |= {"labelled_by": "bob", "labelled_at": "2026-11-23T09:00:00Z", "labellers": []}
    sight |= {"edited_by": None, "edited_at": None}
    blocked = {**sight, "blockers": [{"issue": "example.org/x/y#1", "open": True}]}
    edited = {**sight, "edited_by": "eve", "edited_at": "2026-11-23T09:30:00Z"}
    yield lambda state: intake.look(state, issue, "Slow", "eve", "none", blocked)
    yield lambda state: intake.look(state, issue, "Slow", "eve", "none", sight, message="Slow")
    yield lambda state: marks.show(state, issue, "a label")
    owed = 7  # the event that this appended
    yield lambda state: marks.failed(state, issue, owed, "no answer", "wait", now, 10.0, passes=True, retry_at=now)
    yield lambda state: marks.shown(state, issue, owed)
    yield lambda state: intake.look(state, issue, "Slow", "eve", "none", edited)
    yield lambda state: queue.retry(state, "q1")
    yield lambda state: intake.gone(state, issue, "closed")


def _loops() -> Iterator[Callable[[State], list[Any]]]:
    issue, url = ISSUES[0], "https://example.org/o/a/pulls/7"
    said = {"id": "comment:1", "kind": "comments", "counts": True, "author": "bob", "text": "Rename it."}
    facts: Any = {"now": "2026-11-23T10:00:00.000000Z", "kinds": ["comments"], "delay_seconds": 0.0, "max_reactions": 5}
    yield lambda state: sessions.request(state, issue, "issue", issue.rpartition("#")[0])
    yield lambda state: reactions.observe(state, issue, url, None, [said], [])
    yield lambda state: reactions.hold(state, issue, "check_not_run", {"name": "build"})
    yield lambda state: reactions.react(state, issue, "Rename it.", ["comment:1"], facts)
    yield lambda state: reactions.withdrawn(state, issue, "issue_closed")


def _verified_later() -> Iterator[Callable[[State], list[Any]]]:
    issue, facts, offer = ISSUES[0], World().claim_facts(), claims.ClaimRequest("lease", PROCESS)
    said: dict[str, Any] = {"command": "make test", "sha": "s1", "commit": "c1", "exit": None, "seconds": None}
    evidence = {"commits": 1, "pushed": True, "head": "c1", "dirty": 0, "branch": "fix/issue-1"}
    evidence["verification"] = {**said, "code": "not_run", "why": "runner_killed"}
    pull = {"head": "c1", "branch": "fix/issue-1", "base": "main", "title": "Slow", "draft": False}
    item = {"id": "verification:c1:s1", "kind": "verification", "counts": True, "name": "make test", "log": "bad"}
    intent = {"source": "/r", "branch": "fix/issue-1", "agent": "opencode"}
    prepared: dict[str, Any] = {**intent, "agent_session": "ses_1", "worktree": "/w", "base_branch": "main"}
    prepared |= {"base_commit": "c0", "created": [], "notes": []}
    yield lambda state: queue.enqueue(state, kind="dev", issue=issue, message="go", via="enqueue")
    yield lambda state: claims.claim(state, "q1", offer, facts)
    yield lambda state: attempts.starting(state, "q1.1", PROCESS)
    yield lambda state: sessions.preparing(state, issue, intent, "q1.1")
    yield lambda state: sessions.prepared(state, issue, prepared, "q1.1")
    yield lambda state: attempts.running(state, "q1.1", PROCESS, "ses_1", "/w", "opencode")
    done = Ending("succeed", "done", "1 commit", evidence=evidence)
    yield lambda state: attempts.finish(state, "q1.1", done, World().outcome_facts())
    yield lambda state: verification.begin(state, issue, "c1", "s1", "make test", 60.0)
    unknown = verification.data_of(
        {**said, "code": "not_run", "exit": None, "seconds": None, "why": "x"}, by_hand=False
    )
    yield lambda state: verification.verified(state, issue, unknown, now=World().now)
    yield lambda state: verification.begin(state, issue, "c1", "s1", "make test", 60.0)
    failed = verification.data_of({**said, "code": "failed", "exit": 1, "seconds": 2.0}, by_hand=False)
    yield lambda state: verification.verified(state, issue, failed, failed_check=item)
    passed = verification.data_of({**said, "code": "passed", "exit": 0, "seconds": 2.0}, by_hand=True)
    yield lambda state: verification.verified(state, issue, passed, opening=pull)


def _supplied() -> Iterator[Callable[[State], list[Any]]]:
    issue, name, facts = ISSUES[0], ISSUES[0].rpartition("#")[0], World().claim_facts()
    sha, lines = "5" * 64, ["copy .env.production"]
    yield lambda state: queue.enqueue(state, kind="dev", issue=issue, message="go", via="enqueue")
    yield lambda state: claims.claim(state, "q1", claims.ClaimRequest("lease", PROCESS), facts)
    yield lambda state: worktree_setup.first(state, name, "4" * 64, ["copy .env"], "q1.1")
    found = {"worktree": "/w", "sha": "1", "code": "changed", "command": None, "exit": None, "seconds": 0.0}
    found |= {"copied": 0, "notes": [], "supplied": sha, "lines": lines}
    yield lambda state: [NewEvent("worktree.set_up", found, issue=issue, task="q1", attempt="q1.1", session=issue)]
    ending = Ending("fail", "unready", "not started", evidence={"set_up": {"code": "changed", "supplied": sha}})
    yield lambda state: attempts.finish(state, "q1.1", ending, World().outcome_facts())
    yield lambda state: worktree_setup.accept(state, name, sha, lines)
    named: Any = {**facts, "names_set_up": True}
    yield lambda state: claims.claim(state, "q1", claims.ClaimRequest("lease", PROCESS), named)


def _others() -> Iterator[Callable[[State], list[Any]]]:
    yield lambda state: sessions.request(state, "base:example.org/o/a", "base", "example.org/o/a")
    yield lambda state: queue.enqueue(state, kind="dev", issue=ISSUES[2], message="go", via="enqueue")
    yield lambda state: queue.cancel_waiting(state, "queue clear --all")
    yield lambda state: queue.clear(state, None)
    yield lambda state: queue.enqueue(state, kind="pm", issue=None, message="see to it", via="delegate")
    yield lambda state: queue.dequeue(state, None)
    yield lambda state: sessions.set_pr(state, "base:example.org/o/a", "https://example.org/p/1", "set-pr")


def _rest() -> Iterator[Callable[[State], list[Any]]]:
    issue, facts, offer = ISSUES[0], World().claim_facts(), claims.ClaimRequest("lease", PROCESS)
    yield lambda state: queue.enqueue(state, kind="dev", issue=issue, message="go", via="enqueue")
    full = {**facts, "cap": 0}
    yield lambda state: claims.hold(state, claims.plan(state, full), full)
    yield lambda state: claims.claim(state, "q1", offer, facts)
    yield lambda state: claims.lost_start(state, ISSUES[1], 5, {**facts, "cap": 1})
    yield lambda state: attempts.stop(state, "q1.1", "timeout")
    yield lambda state: attempts.unsettled(state, "q1.1", "its worktree cannot be read")
    lost = Ending("lose", "retry", "its runner was killed", rescue_failed="no room")
    yield lambda state: attempts.finish(state, "q1.1", lost, World().outcome_facts())
    yield lambda state: sessions.rescued(state, issue, "kugetsu/rescue/q1.1")
    yield lambda state: sessions.correct_counters(
        state, issue, {**(usage.of_issue(state, issue) or {}), "tokens": 7}, 1
    )


def _parted() -> Iterator[Callable[[State], list[Any]]]:
    issue, world, offer = ISSUES[0], World(), claims.ClaimRequest("lease", PROCESS)
    commits = {"kind": "parted", "branch": "fix", "remote": "origin", "here": "a1", "there": "b2", "worktree": "/w"}
    yield lambda state: queue.enqueue(state, kind="dev", issue=issue, message="go", via="enqueue")
    yield lambda state: claims.claim(state, "q1", offer, world.claim_facts())
    parted = Ending("fail", "diverged", "not started: fix has parted", evidence={"diverged": commits})
    yield lambda state: attempts.finish(state, "q1.1", parted, world.outcome_facts())
    yield lambda state: queue.retry(state, "q1")
    yield lambda state: claims.claim(state, "q1", offer, world.claim_facts())
    yield lambda state: attempts.finish(state, "q1.2", parted, world.outcome_facts())
    moved: Any = {**world.claim_facts(), "branch_heads": {issue: "c3"}}
    yield lambda state: claims.claim(state, "q1", offer, moved)


#: Those whose decisions may all be taken twice on one state.
REPEATED = (_notices, _imports, _labelled, _loops, _verified_later, _others, _rest, _parted, hosts_story.story)


@pytest.mark.parametrize("story", [*REPEATED, _supplied])
def test_what_users_and_couriers_decide_is_decided_again_the_same(story: Any) -> None:
    world = _set_up()
    for decide in story():
        assert world.do(decide), "nothing was decided"
    assert differences(world.memory.events) == []


# --- an engine that compares and appends decides again when somebody was faster --------------------------------------


class Contended(simulation.Memory):
    """A log whose first append always finds that somebody was faster: each decision is taken twice."""

    rival: Sequence[NewEvent] = (NewEvent("lock.removed", {"path": "/x", "age_seconds": 1.0}),)

    def transact(self, decide: Callable[[State], Sequence[NewEvent]]) -> list[Event]:
        before = orjson.dumps(state_codec.dump(self.state))
        decide(self.state)
        assert orjson.dumps(state_codec.dump(self.state)) == before, "a decision changed the state"
        super().transact(lambda _: self.rival)
        return super().transact(decide)


class Repeated(Contended):
    """Nobody was faster, and the decision is taken twice all the same: for stories that name seqs."""

    rival = ()


def test_every_module_of_decisions_is_looked_up_in():
    folder = Path(str(attempts.__file__)).parent
    named = {module.__name__.rpartition(".")[2] for module in MODULES}
    assert named == {path.stem for path in folder.glob("*.py") if "@decision(" in path.read_text(encoding="utf-8")}


def test_every_decision_may_be_taken_again_after_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    worlds = []
    monkeypatch.setattr(simulation, "Memory", Repeated)
    for story in REPEATED:
        worlds.append(_set_up())
        for decide in story():
            assert worlds[-1].do(decide), "nothing was decided"
    monkeypatch.setattr(simulation, "Memory", Contended)
    untaken = DECISIONS.keys() - _decisions(*worlds)
    for seed in range(60):
        world = World()
        for _ in world.play(random_commands(seed, 400)):
            pass
        worlds.append(world)
        untaken -= _decisions(world)
        if seed > 3 and not untaken:
            break
    assert untaken == set()
    for world in worlds:
        assert differences(world.memory.events) == [] and world.state.violations == []


def test_a_question_is_one_still_where_only_the_length_of_a_text_is_kept(world: World) -> None:
    asked = {"final_text": "I read it all. Shall the cache live in memory?"}
    ending = Ending("succeed", "done", "no commit", outcome=asked, evidence={"commits": 0, "dirty": 0})
    attempt = next(iter(world.state.attempts))
    world.do(lambda state: attempts.finish(state, attempt, ending, world.outcome_facts()))
    masked = [{**event, "data": bundle._measured(event["data"], event["type"])} for event in world.memory.events]
    end = masked[place(masked, "attempt.succeeded")]["data"]
    assert end["result"]["kind"] == "question" and "cache" not in str(end)
    assert differences(masked) == []


def _decisions(*worlds: World) -> set[str | None]:
    return {event.get("decision") for world in worlds for event in world.memory.events}


def test_notifications_that_two_couriers_took_up_are_unexpected() -> None:
    world = _set_up()
    for decide in _notices():
        world.do(decide)
    events: list[Event] = orjson.loads(orjson.dumps(world.memory.events))
    at = place(events, "notice.sent")
    again = {**events[place(events, "notice.sending", 2)], "seq": at + 2}
    rest = [{**event, "seq": event["seq"] + 1} for event in events[at + 1 :]]
    found = only([*events[: at + 1], again, *rest])
    assert (found.category, found.seq) == ("unexpected", at + 2)


def test_a_start_that_lost_its_claim_is_decided_again_from_both_states(world: World) -> None:
    facts = {**world.claim_facts(), "cap": 3}
    looked = world.state.seq

    def start(state: State) -> list[Any]:
        return claims.lost_start(state, ISSUES[3], looked, facts)  # type: ignore[arg-type]

    world.cap = 3
    world.dispatch(1, 2)
    assert [event["type"] for event in world.do(start)] == ["claim.lost"]
    events: list[Event] = orjson.loads(orjson.dumps(world.memory.events))
    assert differences(events) == []
    events[-1]["facts"]["planned"] += 2
    assert "slots_full" in str(only(events).refusal)


def test_observations_are_not_decided_again() -> None:
    assert observed([{"type": "issue.read"}]) and not observed([{"type": "setting.changed"}, {"type": "task.moved"}])
    assert PROCESS["pid"] == 7
