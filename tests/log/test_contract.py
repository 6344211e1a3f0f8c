"""What every engine of the event log promises; written against the protocol only."""

from __future__ import annotations

import hashlib
import select
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kugetsu.domain.new_event import NewEvent
from kugetsu.log.codec import GENESIS, verified
from kugetsu.log.files.segments import Head
from kugetsu.log.protocol import EventLog
from kugetsu.model.errors import CapReached
from log.counting import BY, Counting, fill, note, noted
from profiles import examples

Reopen = Callable[[], EventLog]


def test_an_empty_log_has_nothing_and_says_so(log: EventLog) -> None:
    assert list(log.read()) == [] == list(log.read_key("host/o/r#1"))
    assert log.head() == Head(0, "0" * 32)
    assert log.state()["seq"] == 0
    assert log.verify().ok
    assert log.stats().events == 0
    assert not log.repair().repaired


def test_an_event_has_its_envelope_in_order(log: EventLog) -> None:
    note(log)
    new_event = NewEvent(
        "note.made", {"a": 1}, issue="host/o/r#1", task="q1", attempt="q1.1", session="s", cause=1, facts={"cap": 3}
    )
    (event,) = log.transact(lambda state: [new_event])
    keys = ["seq", "at", "type", "v", "issue", "task", "attempt", "session", "cause", "by", "data", "facts", "sha"]
    assert list(event) == keys
    assert event["seq"] == 2
    assert event["v"] == 1
    assert event["by"] == BY
    assert event["cause"] == 1
    assert event["facts"] == {"cap": 3}
    assert len(event["at"]) == len("2026-11-23T10:00:02.123456Z")
    assert event["at"].endswith("Z")


def test_what_does_not_apply_is_left_out(log: EventLog) -> None:
    assert list(note(log)) == ["seq", "at", "type", "v", "by", "data", "sha"]


def test_each_digest_covers_the_event_and_the_digest_before(log: EventLog) -> None:
    fill(log, 12)
    previous = "0" * 32
    for event in log.read():
        sha = event.pop("sha")
        body = orjson.dumps(event)[:-1]
        assert sha == hashlib.sha256(previous.encode() + body).hexdigest()[:32]
        previous = sha
    assert log.head() == Head(12, previous)


def test_what_transact_returns_is_what_is_read(log: EventLog, reopen: Reopen) -> None:
    data = {"tuple": (1, 2), "text": "ünï\ncode\u2028 \x00", "big": 2**60, "nested": [{"more": 3, "sha": "x"}]}
    events = log.transact(lambda state: [NewEvent("note.made", data), noted("second", cause=-1)])
    assert list(log.read()) == events == list(reopen().read())


def test_text_that_is_no_unicode_is_written_readably(log: EventLog) -> None:
    assert note(log, "caf\udce9")["data"]["text"] == "caf\\udce9"


def test_a_transaction_is_framed_by_how_many_events_follow(log: EventLog) -> None:
    events = log.transact(lambda state: [noted(n) for n in range(3)])
    assert [event.get("more", 0) for event in events] == [2, 1, 0]
    assert "more" not in events[-1]


def test_a_relative_cause_becomes_a_seq(log: EventLog) -> None:
    note(log)
    events = log.transact(lambda state: [noted(), noted(cause=-1), noted(cause=-2), noted(cause=1)])
    assert [event.get("cause") for event in events] == [None, 2, 2, 1]


@pytest.mark.parametrize("cause", [0, 2, 99, -2])
def test_a_cause_that_is_no_earlier_event_is_refused(log: EventLog, cause: int) -> None:
    note(log)
    with pytest.raises(ValueError, match="not an earlier event"):
        log.transact(lambda state: [noted(cause=cause)])
    assert log.head().seq == 1


def test_a_decision_sees_everything_that_was_appended(log: EventLog, reopen: Reopen) -> None:
    other = reopen()
    for expected in range(0, 40, 2):
        seen: dict[int, int] = {}  # by the last run of each: a decision may run several times
        for turn, each in enumerate((log, other)):
            each.transact(lambda state, seen=seen, turn=turn: (seen.update({turn: state["seq"]}), [noted()])[1])
        assert seen == {0: expected, 1: expected + 1}


def test_a_decision_without_drafts_appends_nothing(log: EventLog) -> None:
    note(log)
    before = log.head()
    assert log.transact(lambda state: []) == []
    assert log.head() == before


def test_a_refused_decision_leaves_the_log_untouched(log: EventLog) -> None:
    note(log)
    before = log.head()

    def refuse(state: Any) -> list[NewEvent]:
        raise CapReached("no slot")

    with pytest.raises(CapReached):
        log.transact(refuse)
    assert log.head() == before
    assert note(log)["seq"] == 2


def test_a_draft_that_cannot_be_written_spoils_the_whole_transaction(log: EventLog) -> None:
    with pytest.raises(TypeError):
        log.transact(lambda state: [noted(), noted(object())])
    assert log.head().seq == 0
    assert note(log)["seq"] == 1


def test_a_transaction_inside_a_decision_is_refused(log: EventLog) -> None:
    with pytest.raises(RuntimeError):
        log.transact(lambda state: [noted(note(log))])
    with pytest.raises(RuntimeError):
        log.transact(lambda state: [noted(log.append([noted()]))])
    assert note(log)["seq"] == 1


def test_append_needs_no_decision_and_mixes_with_transactions(log: EventLog, reopen: Reopen) -> None:
    other = reopen()
    assert log.append([]) == []
    for turn in range(20):
        (event,) = log.append([noted(turn)])
        assert event["seq"] == 3 * turn + 1
        assert note(other)["seq"] == 3 * turn + 2
        assert other.append([noted()])[0]["seq"] == 3 * turn + 3
    assert log.state()["seq"] == other.state()["seq"] == 60
    assert log.verify().ok


def test_state_is_the_fold_of_all_events_in_every_opened_log(log: EventLog, reopen: Reopen) -> None:
    fill(log, 103)
    expected = Counting().empty()
    projection = Counting()
    for event in log.read():
        projection.fold(expected, event)
    assert log.state() == expected == reopen().state()


def test_a_log_opened_before_sees_what_others_append(log: EventLog, reopen: Reopen) -> None:
    reader = reopen()
    for count in range(1, 30):
        note(log)
        assert reader.state()["seq"] == count == reader.head().seq


@pytest.mark.parametrize(("after", "until"), [(0, None), (0, 5), (3, 9), (57, None), (103, None), (200, None), (9, 3)])
def test_reading_a_range_gives_exactly_that_range(log: EventLog, after: int, until: int | None) -> None:
    fill(log, 103)
    last = 103 if until is None else until
    assert [event["seq"] for event in log.read(after, until)] == list(range(after + 1, last + 1))


@pytest.mark.parametrize(("after", "until"), [(0, None), (0, 5), (3, 9), (57, None), (103, None), (200, None), (9, 3)])
def test_the_lines_of_a_range_are_what_their_digests_are_of(log: EventLog, after: int, until: int | None) -> None:
    fill(log, 103)
    previous = GENESIS if not after else next(log.read(after - 1, after), {"sha": ""})["sha"].encode()
    pairs = list(log.read_lines(after, until))
    assert [event for event, _ in pairs] == list(log.read(after, until))
    for event, line in pairs:
        assert orjson.loads(line) == event
        previous = verified(previous, line)
        assert previous == event["sha"].encode()


def test_a_range_of_a_long_log_is_read_from_its_place(log: EventLog) -> None:
    for start in range(0, 2000, 100):
        log.transact(lambda state, start=start: [noted("x" * 300, task=f"q{start + n}") for n in range(100)])
    for after in (0, 1, 99, 100, 101, 777, 1500, 1998, 1999, 2000):
        assert [event["seq"] for event in log.read(after, after + 3)] == list(
            range(after + 1, min(after + 3, 2000) + 1)
        )


def test_the_events_of_a_key_are_found_by_issue_task_and_session(log: EventLog, reopen: Reopen) -> None:
    fill(log, 400)
    everything = list(log.read())
    for key in ("host/o/r#3", "q2", "ses_1", "nothing"):
        expected = [event for event in everything if key in (event["issue"], event["task"], event["session"])]
        assert list(log.read_key(key)) == expected == list(reopen().read_key(key))


def test_a_long_transaction_is_one(log: EventLog, reopen: Reopen) -> None:
    text = "y" * 100_000
    events = log.transact(lambda state: [noted(text, issue="host/o/r#1") for _ in range(30)])
    assert [event["seq"] for event in events] == list(range(1, 31))
    note(log)
    assert reopen().state()["seq"] == 31
    assert len(list(log.read(after=12))) == 19
    assert len(list(log.read_key("host/o/r#1"))) == 30
    assert log.verify().ok


def test_wait_tells_whether_the_head_moved(log: EventLog, reopen: Reopen) -> None:
    assert not log.wait(0, 0)
    note(log)
    assert log.wait(0, 0)
    assert not log.wait(1, 0.05)
    writer = threading.Timer(0.1, lambda: note(reopen()))
    writer.start()
    assert log.wait(1, 30)
    writer.join()


def test_wait_begins_before_the_first_event(log: EventLog, reopen: Reopen) -> None:
    writer = threading.Timer(0.1, lambda: note(reopen()))
    writer.start()
    assert log.wait(0, 30)
    writer.join()


def test_follow_hands_out_events_as_they_come_and_none_when_idle(log: EventLog, reopen: Reopen) -> None:
    note(log)
    note(log)
    following = log.follow(1)
    assert next(following)["seq"] == 2  # type: ignore[index]
    assert next(following) is None
    writer = threading.Timer(0.05, lambda: fill(reopen(), 30))
    writer.start()
    came = []
    while len(came) < 30:
        event = next(following)
        if event is not None:
            came.append(event["seq"])
    writer.join()
    following.close()  # type: ignore[attr-defined]
    assert came == list(range(3, 33))


def test_a_watch_wakes_a_select_with_other_descriptors(log: EventLog, reopen: Reopen) -> None:
    note(log)
    watch = log.watch()
    watch.drain()
    seen = log.head().seq
    writer = threading.Timer(0.05, lambda: note(reopen()))
    writer.start()
    deadline = time.monotonic() + 30
    while not log.wait(seen, 0) and time.monotonic() < deadline:
        fd = watch.fileno()
        select.select([] if fd is None else [fd], [], [], 0.05 if fd is None else 1)
        watch.drain()
    writer.join()
    watch.close()
    assert log.head().seq == seen + 1


def test_the_sealed_head_is_found_again_or_missed(log: EventLog) -> None:
    fill(log, 20)
    sealed = log.head()
    fill(log, 20)
    assert log.verify(sealed).ok
    assert not log.verify(Head(sealed.seq, "f" * 32)).ok
    assert not log.verify(Head(99, sealed.sha)).ok


def test_stats_count_events_by_type(log: EventLog) -> None:
    fill(log, 50)
    stats = log.stats()
    events = list(log.read())
    assert (stats.events, stats.types) == (50, {"note.made": 50})
    assert (stats.first_at, stats.last_at) == (events[0]["at"], events[-1]["at"])
    assert stats.bytes == sum(len(orjson.dumps(event)) + 1 for event in events)


def test_a_closed_log_can_be_used_again(log: EventLog) -> None:
    note(log)
    log.close()
    assert log.state()["seq"] == 1
    assert note(log)["seq"] == 2


def test_threads_of_one_process_take_turns(log: EventLog) -> None:
    threads = [threading.Thread(target=lambda: [note(log) for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event["seq"] for event in log.read()] == list(range(1, 101))
    assert log.state()["seq"] == 100


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["host/o/r#1", "host/o/r#2", "q1", None])
transactions = st.lists(st.lists(st.tuples(values, names), max_size=4), max_size=12)


@given(script=transactions, reopened=st.sets(st.integers(0, 12)), appended=st.sets(st.integers(0, 12)))
@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
def test_any_transactions_are_read_back_whatever_was_reopened(
    reopen: Reopen, script: list[Any], reopened: set[int], appended: set[int]
) -> None:
    log = reopen()
    start = log.head().seq
    written: list[dict[str, Any]] = []
    for turn, new_events in enumerate(script):
        if turn in reopened:
            log = reopen()
        made = [noted(value, issue=issue) for value, issue in new_events]
        written += log.append(made) if turn in appended else log.transact(lambda state, made=made: made)
    fresh = reopen()
    assert list(fresh.read(after=start)) == written
    assert fresh.state() == log.state()
    assert fresh.verify().ok
    for key in ("host/o/r#1", "q1"):
        expected = [event for event in fresh.read() if event.get("issue") == key]
        assert list(fresh.read_key(key)) == expected
