"""`kugetsu diff`: a line for each record that changed, from → to, with the event that did it."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain.decide import notifications, queue, sessions
from kugetsu.domain.new_event import NewEvent

NOW = "12:10:00"


@pytest.fixture
def lived(parked: Any) -> Any:
    """A day on which nearly every kind of record changes."""
    parked.at("11:00:00", "kugetsu queue-daemon").daemon()
    parked.do(lambda state: sessions.register(state, "github.com/a/b", {"path": "/src/b", "url": "https://x/a/b"}))
    parked.do(lambda _: sessions.setting_changed("MAX_ATTEMPTS", "3", "5"))
    parked.at("12:02:00", "kugetsu queue enqueue …").enqueue("later", issue="github.com/a/b#2")
    parked.do(lambda state: queue.retry(state, "q1"))
    parked.at("12:03:00", "kugetsu queue-daemon").run("q1")
    parked.do(lambda state: queue.move(state, "q2", first=True, priority=5))
    parked.at("12:04:00").enqueue("more", issue="github.com/a/b#3")
    parked.finish(parked.run("q3"), "succeed", "done", "it is done", tokens=1000)
    parked.do(lambda state: notifications.mark_read(state, 20))
    parked.do(lambda _: [NewEvent("task.completed", {"summary": "?"}, task="q77")])
    return parked


@pytest.mark.parametrize("words", ["9", "9 11", "11 9", "2 @ a/b#3", "0 2"])
def test_each_record_is_a_line(kugetsu, lived, snapshot, fits, words):
    shown = kugetsu("diff", *words.split(), at=NOW)
    assert shown.code == 0 and fits(shown.out) and shown.err == "", shown
    name = words.replace(" ", "-").replace("/", "-").replace("#", "-").replace("@", "now")
    snapshot(f"diff-{name}", shown.out)


def test_without_a_terminal_each_record_is_one_line(kugetsu, lived):
    shown = kugetsu("diff", "9", "11", at=NOW, COLUMNS="")
    [line] = [line for line in shown.out.splitlines() if line.startswith("q1 ")]
    assert "running → parked until 12:01 · result failed" in line and line.endswith("event 11")


def changes(kugetsu: Any, *words: str) -> dict[tuple[str, str], Any]:
    found = kugetsu("diff", "--json", *words, at=NOW)
    assert found.code == 0, found
    return {(one["record"], one["key"]): one for one in found.json["changes"]}


def test_every_kind_of_record_is_told(kugetsu, lived):
    found = changes(kugetsu, "9")
    kinds = {kind for kind, _ in found}
    assert kinds == {"daemon", "slot", "task", "attempt", "session", "repository", "setting", "notices", "log"}
    assert found["setting", "MAX_ATTEMPTS"]["fields"] == [{"field": "value", "from": "3", "to": "5", "event": 14}]
    assert found["attempt", "q1.1"]["change"] == "went" and found["attempt", "q1.2"]["change"] == "came"
    assert found["task", "q1"]["issue"] == "github.com/shoko/kugetsu#14"


def test_each_field_has_the_event_that_changed_it_last(kugetsu, lived):
    events = {event["seq"]: event for event in lived.log.read()}
    for one in changes(kugetsu, "9").values():
        for field in one["fields"]:
            assert 9 < field["event"] in events
    task = {field["field"]: field for field in changes(kugetsu, "9")["task", "q1"]["fields"]}
    assert events[task["parks"]["event"]]["type"] == "task.parked"
    assert events[task["tokens"]["event"]]["type"] == "attempt.failed"
    assert events[task["attempt"]["event"]]["type"] == "attempt.claimed"
    assert (task["tokens"]["from"], task["tokens"]["to"]) == (0, 412_000)


def test_the_other_way_round_it_is_the_reverse(kugetsu, lived):
    there, back = changes(kugetsu, "9", "@"), changes(kugetsu, "@", "9")
    assert list(there) == list(back)
    opposite = {"came": "went", "went": "came"}
    for key, one in there.items():
        other = back[key]
        assert other["change"] == opposite.get(one["change"], one["change"])
        assert [(f["from"], f["to"]) for f in one["fields"]] == [(f["to"], f["from"]) for f in other["fields"]]
    data = kugetsu("diff", "@", "9", "--json", at=NOW).json
    assert data["reversed"] and data["from"]["seq"] > data["to"]["seq"] == 9


def test_a_name_leaves_only_what_is_its(kugetsu, lived):
    assert {key for _, key in changes(kugetsu, "9", "@", "q1")} == {"q1", "q1.1", "q1.2"}
    assert {key for _, key in changes(kugetsu, "2", "a/b#3")} == {"q3", "github.com/a/b#3"}
    assert set(changes(kugetsu, "2", "q1.2")) == {("attempt", "q1.2")}
    assert changes(kugetsu, "2", "11", "q2") == {}, "it came later"


def test_nothing_changed_says_so(kugetsu, lived):
    shown = kugetsu("diff", "9", "9", at=NOW)
    assert shown.code == 0 and "0 events" in shown.out and shown.out.endswith("nothing changed\n")
    shown = kugetsu("diff", "@", at=NOW)
    assert shown.code == 0 and "nothing changed" in shown.out


def test_points_are_taken_in_every_form(kugetsu, lived):
    assert kugetsu("diff", "1h", "ago", at=NOW).out == kugetsu("diff", "1h ago", "@", at=NOW).out
    one = kugetsu("diff", "2026-11-23", "10:30", "10m", "ago", "q1", at=NOW)
    assert one.code == 0 and "parked until 12:01" in one.out
    assert kugetsu("diff", "2020-01-01", "9", at=NOW).out.startswith("from the beginning to event 9")


def test_what_came_and_ended_in_between_is_counted(kugetsu, lived):
    data = kugetsu("diff", "9", "--json", at=NOW).json
    assert data["passed"] == {"attempt": 1}
    assert "created and ended in between: 1 attempt" in kugetsu("diff", "9", at=NOW).out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("", 3, "between which points?"),
        ("q1", 3, "not a point in time"),
        ("9 11 q1 q2", 3, "unexpected argument 'q2'"),
        ("9 nonsense", 3, "not known"),
        ("2 9 q99", 4, "nothing ever happened to q99"),
        ("999", 4, "no event 999"),
        ("9 2026-12-01", 3, "is in the future"),
        ("9 --at 3", 3, "unknown option"),
    ],
)
def test_what_cannot_be_compared_is_told(kugetsu, lived, words, code, said):
    shown = kugetsu("diff", *words.split(), at=NOW)
    assert shown.code == code and said in shown.err and "hint: " in shown.err and shown.out == "", shown


def test_an_empty_log_has_no_changes(kugetsu):
    shown = kugetsu("diff", "@")
    assert shown.code == 0 and "nothing changed" in shown.out and not kugetsu.root.exists()
