"""`--at WHEN`: the screens as they were at a point of the past; only read, nothing probed, nothing made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kugetsu.cli import catalogue, main
from kugetsu.cli.catalogue import COMMANDS
from kugetsu.domain.decide import queue

NOW = "12:10:00"
TRAVELLERS = ("status", "list", "queue list", "queue stats", "history", "why", "report", "review")


@pytest.fixture
def lived(parked: Any) -> Any:
    """q1 is parked at 10:41 and goes on at 12:02; a daemon runs from 11:00 on; q2 waits."""
    parked.at("11:00:00", "kugetsu queue-daemon").daemon()
    parked.at("12:02:00").enqueue("later", issue="github.com/a/b#2")
    parked.do(lambda state: queue.retry(state, "q1"))
    parked.run("q1", alive=True)
    return parked


@pytest.mark.parametrize(("name", "at"), [("running", "9"), ("parked", "11"), ("daemon", "2026-11-23 11:30")])
def test_status_is_the_screen_of_that_time(kugetsu, lived, snapshot, fits, name, at):
    shown = kugetsu("status", "--at", *at.split(), at=NOW)
    assert shown.code == 0 and fits(shown.out) and shown.err == "", shown
    snapshot(f"status-at-{name}", shown.out)


def test_spans_count_from_the_point(kugetsu, lived):
    assert "running, pid 3760, 30m00s" in kugetsu("status", "--at", "2026-11-23T11:30", at=NOW).out
    assert "q1 at 12:01, in 31m00s" in kugetsu("status", "--at", "40m", "ago", at=NOW).out
    assert " 48m50s " in kugetsu("queue", "list", "--at", "2026-11-23T11:30", at=NOW).out


def test_lists_are_those_of_that_time(kugetsu, lived, snapshot, fits):
    shown = [kugetsu(*words, "--at", "9", at=NOW) for words in (("list",), ("queue", "list"), ("queue", "stats"))]
    assert all(one.code == 0 and fits(one.out) for one in shown), shown
    snapshot("lists-at", "".join(one.out for one in shown))
    nothing = kugetsu("queue", "list", "--state", "error", "--at", "9", at=NOW)
    assert "no task was error (1 running)" in nothing.out and nothing.err == ""


def test_json_says_of_which_point_it_is_and_what_nobody_can_tell_is_null(kugetsu, lived):
    data = kugetsu("status", "--json", "--at", "9", at=NOW).json
    assert data["as_of"] == {
        "seq": 9,
        "at": "2026-11-23T10:00:05.000000Z",
        "facts_from": 5,
        "facts_at": "2026-11-23T10:00:03.000000Z",
    }
    assert data["seq"] == 9 and data["now"] == data["as_of"]["at"] and data["agents"][0]["alive"] is None
    [session] = kugetsu("list", "--json", "--at", "9", at=NOW).json["sessions"]
    assert (session["state"], session["attempt"], session["agent_alive"]) == ("working", "q1.1", None)
    stats = kugetsu("queue", "stats", "--json", "--at", "30m ago", at=NOW).json
    assert stats["as_of"] == {"seq": 12, "at": "2026-11-23T11:40:00.000000Z"} and stats["counts"]["parked"] == 1
    assert kugetsu("status", "--json").json["as_of"] is None


def test_the_next_dispatch_is_asked_with_what_was_known_then(kugetsu, lived):
    lived.enqueue("third", issue="github.com/a/b#3")
    point = lived.log.head().seq
    then = kugetsu("status", "--json", "--at", str(point), at="12:02:00", MAX_CONCURRENT_AGENTS="1").json
    assert then["cap"] == 3 and then["next"] == {"task": "q2", "gate": None, "reason": "now", "until": None}
    assert kugetsu("status", "--json", at=NOW, MAX_CONCURRENT_AGENTS="1").json["next"]["gate"] == "slots"


def test_no_process_is_asked_and_a_dead_one_is_not_told_of_the_past(kugetsu, lived):
    while lived.held:
        lived.held.pop().release()
    assert "lost" in kugetsu("status", at=NOW).out
    then = kugetsu("status", "--at", "@", at=NOW)
    assert "lost" not in then.out and "daemon  running, pid 3760" in then.out


def test_nothing_is_written_but_what_is_disposable(kugetsu, lived):
    def files() -> dict[str, int]:
        found = [path for path in kugetsu.root.rglob("*") if path.is_file()]
        return {str(path): path.stat().st_mtime_ns for path in found if not set(path.parts) & {"index", "milestones"}}

    lived.log.state()
    before = files()
    for name in TRAVELLERS:
        subject = ("q1",) if name in ("why", "history") else ()
        assert kugetsu(*name.split(), *subject, "--at", "9", at=NOW).code == 0
    after = files()
    after.pop(str(kugetsu.root / "log" / "checkpoint"), None)
    before.pop(str(kugetsu.root / "log" / "checkpoint"), None)
    assert after == before


def test_a_log_that_cannot_be_written_is_travelled_all_the_same(kugetsu, lived):
    for path in (kugetsu.root / "log").rglob("*"):
        path.chmod(0o500 if path.is_dir() else 0o400)
    (kugetsu.root / "log").chmod(0o500)
    try:
        assert kugetsu("status", "--at", "9", at=NOW).code == 0
    finally:
        (kugetsu.root / "log").chmod(0o700)


@pytest.mark.parametrize("name", TRAVELLERS)
@pytest.mark.parametrize(
    ("when", "code", "said"),
    [
        ("yesterday", 3, "not a point in time"),
        ("", 3, "not a point in time"),
        ("@+1", 3, "not a point in time"),
        ("10x ago", 3, "not a point in time"),
        ("2026-12-01", 3, "is in the future"),
        ("0", 4, "nothing was recorded yet: the log begins with event 1, 2026-11-23T09:00:00Z"),
        ("2026-11-22", 4, "nothing was recorded yet"),
        ("500d ago", 4, "nothing was recorded yet"),
        ("999", 4, "no event 999"),
        ("@-999", 4, "no event"),
    ],
)
def test_what_is_no_point_of_the_past_is_told(kugetsu, lived, name, when, code, said):
    subject = ("q1",) if name in ("why", "history") else ()
    shown = kugetsu(*name.split(), *subject, "--at", when, at=NOW)
    assert shown.code == code and said in shown.err and "hint: " in shown.err and shown.out == "", shown


def test_an_empty_log_has_no_past(kugetsu):
    shown = kugetsu("status", "--at", "1")
    assert shown.code == 4 and "the log is empty" in shown.err and not kugetsu.root.exists()


def test_what_is_over_is_not_watched_and_not_followed(kugetsu, lived):
    for words in (("status", "--watch"), ("history", "q1", "-f")):
        shown = kugetsu(*words, "--at", "9", at=NOW)
        assert shown.code == 3 and "drop" in shown.err, shown


@pytest.mark.parametrize("words", [("--at", "10m", "ago"), ("--at", "10m ago"), ("--at=10m ago",)])
def test_a_span_needs_no_quotes(kugetsu, lived, words):
    assert kugetsu("why", *words, "q1", at=NOW).out == kugetsu("why", "q1", "--at", "10m ago", at=NOW).out
    assert kugetsu("why", *words, "q1", at=NOW).code == 0


def test_only_commands_that_read_take_it():
    takers = [name for name in COMMANDS if any("--at" in one.names for one in catalogue.load(name)[0].declared)]
    assert set(takers) == {*TRAVELLERS, "changes"}, "changes needs an issue with a branch: its own tests travel"


def test_replay_reaches_a_point_without_folding_from_the_start(kugetsu, lived):
    assert kugetsu("replay", "--until", "9", at=NOW).out.startswith("after event 9")
    source = (Path(main.__file__).parent / "replay.py").read_text()
    assert "state_at(" in source and "fold(" not in source


@pytest.mark.parametrize("name", [name for name in TRAVELLERS if name != "history"])
def test_the_keys_of_a_point_are_documented(kugetsu, lived, name):
    from cli.test_json_shapes import compare, documented

    subject = ("q1",) if name == "why" else ()
    data = kugetsu(*name.split(), *subject, "--at", "11", "--json", at=NOW).json
    assert data["as_of"]["seq"] == 11
    compare(data, documented(name))
