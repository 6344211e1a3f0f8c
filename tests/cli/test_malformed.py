"""Events of a wrong shape are told with their place, by every command that reads, and hide nothing of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.foreign import Event, events_in, reading, replace, sealed
from kugetsu.domain.events import CATALOGUE
from kugetsu.log.files import segments

DEEP: Any = []
for _ in range(400):
    DEEP = [DEEP]
#: In place of a value of data: none of them what any kind has there.
WRONG = [None, 7, -1, 10**30, 1.5, True, "", "yesterday", [], {}, [None], ["q1", 2], {"a": {"b": 1}}]
#: In place of a value of the envelope; each alone makes a line that is no event.
ENVELOPES: list[dict[str, Any]] = [
    {"type": 5},
    {"type": None},
    {"type": ["task.queued"]},
    {"data": None},
    {"data": []},
    {"data": "text"},
    {"task": ["q1"]},
    {"task": None},
    {"task": 7},
    {"issue": {"a": 1}},
    {"session": 7},
    {"attempt": []},
    {"at": "yesterday"},
    {"at": None},
    {"at": 10**30},
    {"at": "2026-02-30T10:00:00.000000Z"},
    {"by": "me"},
    {"facts": 7},
    {"v": None},
    {"cause": "one"},
    {"more": "one"},
    {"data": {"x": DEEP}},
]


@pytest.fixture
def lived(kugetsu: Any, parked: Any) -> list[Event]:
    """A day of many kinds of events, as they stand in the log; nobody has it open."""
    parked.at("11:00:00", "kugetsu queue-daemon").daemon()
    parked.at("12:02:00").enqueue("later", issue="github.com/a/b#2", after=["q1"])
    attempt = parked.run(parked.enqueue("more", issue="github.com/a/b#3"))
    parked.finish(attempt, "succeed", "done", "it is done", tokens=9)
    parked.finish(parked.run(parked.enqueue("break", issue="github.com/a/b#4")), "fail", "give_up", "tests fail")
    parked.run(parked.enqueue("last", issue="github.com/a/b#5"))
    parked.log.close()
    return events_in(kugetsu.root / "log")


def assert_told(words: list[str], shown: Any) -> None:
    assert shown.code in (0, 1, 3, 4, 6), (words, shown)
    assert "internal error" not in shown.err and "Traceback" not in shown.err, (words, shown)


def exported(kugetsu: Any, events: list[Event]) -> str:
    path = kugetsu.folder / "foreign.jsonl"
    path.write_bytes(sealed(events))
    return str(path)


@pytest.mark.parametrize("turn", range(4))
def test_data_of_a_wrong_shape_breaks_no_command_and_hides_nothing(kugetsu, lived, turn):
    """In every other event one value is replaced, another one and another value in each turn."""
    events: list[Event] = json.loads(json.dumps(lived))
    for number, event in enumerate(events):
        keys = list(event["data"])
        if (number + turn) % 2 and keys:
            event["data"][keys[(number + turn) % len(keys)]] = WRONG[(number * 3 + turn * 5) % len(WRONG)]
    replace(kugetsu.root / "log", events)
    place = exported(kugetsu, events)
    for words in reading():
        assert_told(words, kugetsu(*words))
        assert_told([*words, "--from"], kugetsu(*words, "--from", place))
    rows = kugetsu("history", "--all", COLUMNS="300").out.splitlines()
    assert [int(row.split()[0]) for row in rows if row[:6].strip().isdigit()] == [event["seq"] for event in events]


@pytest.mark.parametrize("wrong", ENVELOPES, ids=lambda wrong: json.dumps(wrong)[:40])
def test_a_line_that_verifies_and_is_no_event_is_damage_with_its_place_and_the_rest_is_shown(kugetsu, lived, wrong):
    events: list[Event] = json.loads(json.dumps(lived))
    events[12].update(wrong)
    replace(kugetsu.root / "log", events)
    (problem,) = kugetsu("log", "verify", "--json").json["problems"]
    segment = kugetsu.root / "log" / segments.name(1)
    offset = sum(len(line) + 1 for line in segment.read_bytes().split(b"\n")[:12])
    assert (problem["seq"], problem["kind"]) == (13, "shape")
    assert (problem["segment"], problem["offset"]) == (segment.name, offset)
    shown = kugetsu("history", "--all", COLUMNS="300")
    seqs = [int(row.split()[0]) for row in shown.out.splitlines() if row[:6].strip().isdigit()]
    assert shown.code == 6 and seqs == [event["seq"] for event in events if event["seq"] != 13], shown
    assert "damaged at event 13" in shown.err and segment.name in shown.err
    refused = kugetsu("queue", "enqueue", "a/b#9", "go")
    assert refused.code in (0, 6) and "fault" not in refused.err, refused
    for words in (["status"], ["audit"]):
        assert_told(words, kugetsu(*words))
        told = kugetsu(*words, "--from", exported(kugetsu, events))
        assert_told([*words, "--from"], told)
        assert "1 line is not an event and was skipped: line 13" in told.err, (words, told)


def test_every_command_shows_a_log_and_a_file_with_lines_that_are_no_events(kugetsu, lived):
    events: list[Event] = json.loads(json.dumps(lived))
    for number, wrong in enumerate(ENVELOPES):
        events[number + 9].update(wrong)
    place = exported(kugetsu, events)
    replace(kugetsu.root / "log", events)
    for words in reading():
        assert_told(words, kugetsu(*words))
        told = kugetsu(*words, "--from", place)
        assert_told([*words, "--from"], told)
        said = f"{len(ENVELOPES)} lines are not events and were skipped, the first is line 10"
        assert said in told.err, (words, told)
    assert len(kugetsu("log", "verify", "--json").json["problems"]) == len(ENVELOPES)


def test_a_state_that_was_folded_from_such_data_is_told_as_damage_and_shown_without_it(kugetsu, lived):
    events: list[Event] = json.loads(json.dumps(lived))
    queued = next(event for event in events if event["type"] == "task.queued" and event["task"] == "q2")
    queued["data"]["priority"] = ["a", "list"]
    replace(kugetsu.root / "log", events)
    shown = kugetsu("queue", "list", "--all")
    said = f"event {queued['seq']} cannot be read: task.queued says a list as 'priority'"
    assert shown.code == 6 and said in shown.err, shown
    assert "q3" in shown.out and "q4" in shown.out, shown
    for words in (["history", "--all"], ["audit"], ["replay"], ["log", "verify"]):
        told = kugetsu(*words, COLUMNS="300")
        assert "task.queued says a list as 'priority', not a whole number" in told.out + told.err, (words, told)


@pytest.mark.parametrize("name", ["task", "attempt", "session", "issue"])
def test_events_that_do_not_name_what_they_are_about_break_no_command(kugetsu, lived, name):
    """Every second event that names one does not do so here."""
    events: list[Event] = json.loads(json.dumps(lived))
    named = [event for event in events if name in event]
    for event in named[1::2]:
        del event[name]
    place = exported(kugetsu, events)
    replace(kugetsu.root / "log", events)
    for words in reading():
        assert_told(words, kugetsu(*words))
        assert_told([*words, "--from"], kugetsu(*words, "--from", place))
    if name != "issue":  # tasks for the PM agent have none
        told = kugetsu("log", "verify")
        assert "refused" in told.out and name in told.out, told


@pytest.mark.parametrize("kind", ["task.queued", "session.requested", "attempt.claimed", "attempt.starting"])
def test_a_file_that_lacks_what_its_records_began_with_breaks_no_command(kugetsu, lived, kind):
    """Without its start an attempt never ends, also when its task was retired long ago."""
    over = [event["task"] for event in lived if event["type"] == "task.completed"]
    cleared = {"seq": len(lived) + 1, "type": "queue.cleared", "data": {"tasks": over, "older_than": None}}
    events = [event for event in [*lived, {**lived[-1], **cleared}] if event["type"] != kind]
    place = exported(kugetsu, events)
    names = sorted({event[key] for event in lived for key in ("attempt", "task", "issue") if key in event})
    each = [[command, name] for name in names for command in ("why", "history")]
    for words in [*reading(), *each]:
        assert_told([*words, "--from"], kugetsu(*words, "--from", place))


def test_every_kind_of_the_table_is_tried_here_or_in_its_own_test(lived):
    assert len({event["type"] for event in lived} & CATALOGUE.keys()) > 12


def test_a_bundle_of_such_a_log_can_be_made_and_read(kugetsu, lived):
    events: list[Event] = json.loads(json.dumps(lived))
    events[5]["data"] = {"odd": None}
    replace(kugetsu.root / "log", events)
    path = Path(kugetsu.folder / "kugetsu.tar.gz")
    made = kugetsu("doctor", "--bundle", str(path))
    assert path.is_file() and "fault" not in made.err, made
    assert kugetsu("history", "--all", "--from", str(path)).code == 0
