"""A point in the middle of a transaction: nothing was ever so there, and so the state after all of it is meant."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from kugetsu.cli import main
from kugetsu.log import transactions

FIXTURES = Path(__file__).parents[1] / "fixtures" / "logs"
NAMES = sorted(path.name for path in FIXTURES.iterdir() if path.is_dir())
NOW = "12:10:00"


def events_of(name: str) -> list[dict[str, Any]]:
    lines = (FIXTURES / name / "00000000000000000001.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process, in a directory with the log of a fixture: its exit status and what it prints."""
    monkeypatch.setenv("KUGETSU_DIR", str(tmp_path / "kugetsu"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")

    def ask(*words: str) -> tuple[int, str]:
        code = main.main(words)
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return ask


@pytest.mark.parametrize("name", NAMES)
def test_at_no_event_of_a_log_an_invariant_is_broken_or_a_value_of_python_on_the_screen(asked, tmp_path, name):
    events = events_of(name)
    shutil.copytree(FIXTURES / name, tmp_path / "kugetsu" / "log")
    for event in events:
        seq, last = event["seq"], event["seq"] + event.get("more", 0)
        if name != "opencode" and seq == last:
            continue  # of the longer ones only what is not the end of its transaction
        if random.random() > (0.2 if name == "campaign" else 0.5):
            continue  # and of that some, others each time: of the longest less
        code, replayed = asked("replay", "--until", str(seq))
        assert code == 0 and f"after event {last}," in replayed, replayed
        assert "do not hold" not in replayed, replayed
        code, status = asked("status", "--at", str(seq))
        assert code == 0 and f"as of event {last}," in status, status
        said = [replayed, status]
        for task in {one["task"] for one in events[:seq] if one["seq"] > seq - 4 and one.get("task")}:
            code, why = asked("why", task, "--at", str(seq))
            assert code == 0, why
            said.append(why)
        for bound in ("--since", "--until"):
            code, audit = asked("audit", "invariants", bound, str(seq))
            assert code == 0 and "broken" not in audit, audit
            said.append(audit)
        for text in said:
            assert "None" not in text, text


@pytest.mark.parametrize("name", NAMES)
def test_every_event_knows_the_first_and_the_last_of_its_transaction(name):
    from log.test_fixtures import opened

    log = opened(name)
    groups: list[list[int]] = [[]]
    for event in log.read():
        groups[-1].append(event["seq"])
        if not event.get("more"):
            groups.append([])
    for group in groups[:-1]:
        for seq in group:
            assert (transactions.first_of(log, seq), transactions.last_of(log, seq)) == (group[0], group[-1])
    assert transactions.first_of(log, 0) == transactions.last_of(log, 0) == 0


def test_a_long_transaction_is_found_from_any_of_its_events(kugetsu, story):
    from kugetsu.domain.new_event import NewEvent

    made = story.do(
        lambda _: [NewEvent("record.imported", {"kind": "x", "name": str(number)}) for number in range(700)]
    )
    first, last = made[0]["seq"], made[-1]["seq"]
    for seq in (first, first + 1, first + 300, last):
        assert (transactions.first_of(story.log, seq), transactions.last_of(story.log, seq)) == (first, last)


@pytest.mark.parametrize(
    "words",
    ["status", "list", "queue list", "queue stats", "why q1", "history q1", "history --all"],
)
def test_a_seq_or_a_distance_into_a_transaction_is_the_point_after_it(kugetsu, parked, words):
    """Events 10 and 11 are the end of q1.1 and what comes of it."""
    whole = kugetsu(*words.split(), "--at", "11", at=NOW)
    assert whole.code == 0 and "as of event 11" in whole.out
    for when in ("10", "@-1"):
        inside = kugetsu(*words.split(), "--at", when, at=NOW)
        assert (inside.code, inside.out) == (0, whole.out), inside


def test_ranges_take_transactions_as_a_whole(kugetsu, parked):
    assert kugetsu("replay", "--until", "10", at=NOW).out == kugetsu("replay", at=NOW).out
    assert kugetsu("diff", "9", "10", at=NOW).out == kugetsu("diff", "9", "11", at=NOW).out
    assert kugetsu("diff", "10", "11", "--json", at=NOW).json["events"] == 0
    since = kugetsu("audit", "--since", "11", at=NOW)
    assert since.code == 0 and "2 events (10 to 11)" in since.out
    assert kugetsu("audit", "--since", "10", at=NOW).out == since.out
    until = kugetsu("audit", "--until", "10", "--json", at=NOW).json
    assert (until["first"], until["last"], until["events"]) == (1, 11, 11)
    assert kugetsu("timeline", "--until", "10", "--json", at=NOW).json["seq"] == 11


def test_a_file_of_another_place_is_asked_at_whole_transactions_too(kugetsu, parked, tmp_path):
    path = tmp_path / "log.jsonl"
    assert kugetsu("log", "export", "--jsonl", "--to", str(path)).code == 0
    for words in ("status --at", "why q1 --at", "replay --until", "audit invariants --since", "history q1 --at"):
        there = kugetsu(*words.split(), "10", "--from", str(path))
        assert there.code == 0 and there.out == kugetsu(*words.split(), "11", "--from", str(path)).out, there
        assert "None" not in there.out


def test_a_file_that_ends_in_a_transaction_shows_the_state_before_it(kugetsu, parked, tmp_path):
    path = tmp_path / "log.jsonl"
    assert kugetsu("log", "export", "--jsonl", "--until", "10", "--to", str(path)).code == 0
    for words in ("status", "why q1", "replay", "audit", "status --at 10", "replay --until @"):
        shown = kugetsu(*words.split(), "--from", str(path))
        assert shown.code == 0 and "None" not in shown.out and "not hold" not in shown.out, shown
        assert "it ends in the middle of a transaction: the state is that after event 9" in shown.err
    assert kugetsu("status", "--json", "--from", str(path)).json["as_of"]["seq"] == 9
    assert kugetsu("history", "--all", "--from", str(path)).out.count("attempt.failed") == 1, "what there is, is shown"


def test_where_the_event_that_says_what_came_of_an_attempt_is_missing_nothing_is_made_up(kugetsu, parked, tmp_path):
    parked.at("11:00:00", "kugetsu queue-daemon").daemon()
    path = tmp_path / "log.jsonl"
    assert kugetsu("log", "export", "--jsonl", "--to", str(path)).code == 0
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:10] + lines[11:]))
    for words in ("status", "why q1", "replay", "queue list", "history q1", "list"):
        shown = kugetsu(*words.split(), "--from", str(path))
        assert shown.code == 0 and "None" not in shown.out, shown
    assert "q1 is notified with no attempt" in kugetsu("replay", "--from", str(path)).out


def test_events_that_were_picked_out_are_all_folded(kugetsu, story, tmp_path):
    for number in (1, 2):
        story.enqueue(f"do {number}", issue=f"github.com/a/b#{number}")
    assert kugetsu("queue", "clear", "--all", "--yes").code == 0
    path = tmp_path / "q1.jsonl"
    assert kugetsu("log", "export", "--jsonl", "q1", "--to", str(path)).code == 0
    assert "was cancelled" in kugetsu("why", "q1", "--from", str(path)).out


def test_an_event_is_undone_as_the_very_event_it_is(kugetsu, story):
    for number in (1, 2):
        story.enqueue(f"do {number}", issue=f"github.com/a/b#{number}")
    assert kugetsu("queue", "clear", "--all", "--yes").code == 0
    assert kugetsu("undo", "@-1", "--yes", "--json").json["undone"] == [5]
