"""`kugetsu history`."""

from __future__ import annotations

import json

from kugetsu.domain.decide import queue


def test_the_story_of_an_issue_reads_as_in_the_manual(kugetsu, parked, snapshot, fits):
    shown = kugetsu("history", "shoko/kugetsu#14", at="10:43:00")
    assert shown.code == 0 and fits(shown.out)
    snapshot("history", shown.out)
    snapshot("history-wide", kugetsu("history", "shoko/kugetsu#14", at="10:43:00", COLUMNS="132").out)


def test_every_way_to_name_it_tells_the_same_rows(kugetsu, parked):
    rows = _rows(kugetsu("history", "q1").out)
    assert len(rows) == 9
    assert _rows(kugetsu("history", "https://github.com/shoko/kugetsu/issues/14").out)[0] == rows[0]
    assert _rows(kugetsu("history", "github.com/shoko/kugetsu#14").out)[0] == rows[0]
    attempt = _rows(kugetsu("history", "q1.1").out)
    assert len(attempt) < len(rows) and all("q1.1" in row for row in attempt if "attempt." in row)
    assert "nothing scheduled" not in kugetsu("history", "q1").out


def test_all_tells_every_event(kugetsu, parked):
    rows = _rows(kugetsu("history", "--all").out)
    assert len(rows) == parked.log.head().seq


def test_a_point_of_the_past_shows_what_there_was_then(kugetsu, parked):
    rows = _rows(kugetsu("history", "q1").out)
    then = kugetsu("history", "q1", "--at", "9", at="10:43:00")
    assert _rows(then.out) == [row for row in rows if int(row.split()[0]) <= 9]
    assert "as of event 9" in then.out and "kugetsu why q1 --at 9" in then.out
    assert "· running · 1 attempt ·" in then.out, "the summary is that of then"
    ago = kugetsu("history", "--all", "--at", "2m", "ago", "--json", at="10:43:00")
    assert [json.loads(line)["seq"] for line in ago.out.splitlines()] == list(range(1, 10))
    early = kugetsu("history", "q1", "--at", "2")
    assert early.code == 4 and "nothing had happened to q1 by event 2" in early.err
    assert kugetsu("history", "q1", "-f", "--at", "9").code == 3


def test_json_prints_the_events_themselves(kugetsu, parked):
    lines = kugetsu("history", "q1", "--json").out.splitlines()
    assert [json.loads(line) for line in lines] == list(parked.log.read_key("q1"))


def test_a_new_day_is_said(kugetsu, story):
    story.at("2026-11-23T23:59:59.000000Z").enqueue()
    story.at("2026-11-24T00:00:01.000000Z").do(lambda state: queue.cancel(state, "q1", "cancel"))
    shown = kugetsu("history", "q1").out
    assert shown.index("2026-11-23") < shown.index("23:59:59") < shown.index("2026-11-24") < shown.index("00:00:01")


def test_times_are_in_the_zone_of_this_machine_which_is_named(kugetsu, parked):
    shown = kugetsu("history", "q1", TZ="JST-9").out
    assert "times in JST" in shown and "19:00:02" in shown


def test_nothing_known_is_not_found_and_says_what_to_do(kugetsu, story):
    for subject, hint in (("q9", "queue list"), ("q9.1", "queue list"), ("a/b#1", "kugetsu start"), ("pm", "list")):
        shown = kugetsu("history", subject)
        assert shown.code == 4 and hint in shown.err, shown


def test_a_subject_is_needed_and_must_be_one(kugetsu, story):
    for words in ((), ("q1", "--all"), ("no such thing",), ("../..",)):
        shown = kugetsu("history", *words)
        assert shown.code == 3 and shown.err.startswith("kugetsu: error: ") and "hint: " in shown.err, shown


def test_an_empty_log_says_so(kugetsu):
    shown = kugetsu("history", "--all")
    assert shown.code == 0 and "nothing has happened" in shown.out and "kugetsu init" in shown.err


def test_a_message_with_escapes_and_newlines_stays_one_harmless_row(kugetsu, story):
    story.enqueue("first\nsecond \x1b]0;owned\x07\x9b31m \u202egnp.exe")
    shown = kugetsu("history", "q1", COLUMNS="200")
    assert "\x1b" not in shown.out and "\x07" not in shown.out and "\x9b" not in shown.out and "\u202e" not in shown.out
    assert "first second" in shown.out


def test_follow_shows_what_comes_and_ends_with_the_task(kugetsu, story):
    story.enqueue()
    process = kugetsu.popen("history", "q1", "-f")
    assert process.stdout is not None
    seen = b""
    while b"task.queued" not in seen:
        seen += process.stdout.readline()
    attempt = story.run("q1", alive=True)
    while b"attempt.running" not in seen:
        seen += process.stdout.readline()
    story.finish(attempt, "succeed", "done", "1 commit, pushed")
    rest, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert b"task.completed" in seen + rest


def test_a_reader_that_goes_away_is_no_error(kugetsu, story):
    for _ in range(300):
        story.enqueue("x" * 200)
    process = kugetsu.popen("history", "--all")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=20) in (0, 141)
    assert err == b""


def _rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.split()[:1] and line.split()[0].isdigit()]
