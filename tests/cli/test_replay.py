"""`kugetsu replay`."""

from __future__ import annotations

import pytest


def test_the_state_at_an_event_is_what_it_was(kugetsu, parked, snapshot, fits):
    then = kugetsu("replay", "--until", "9", "--json").json
    assert then["seq"] == 9 and then["agents"][0]["attempt"] == "q1.1" and then["tasks"][0]["state"] == "notified"
    now = kugetsu("replay", "--json").json
    assert now["seq"] == 11 and now["agents"] == [] and now["tasks"][0]["state"] == "parked"
    shown = kugetsu("replay", "--until", "9", at="10:43:00")
    assert fits(shown.out)
    snapshot("replay", shown.out)


@pytest.mark.parametrize(
    ("when", "seq"),
    [
        ("@", 11),
        ("@-2", 9),
        ("0", 0),
        ("2026-11-23T10:00:05Z", 9),
        ("2026-11-23T12:00:05+02:00", 9),
        ("2026-11-23T10:00", 2),
        ("2026-11-24", 11),
        ("2026-11-23", 0),
        ("30m ago", 9),
        ("2h ago", 0),
    ],
)
def test_when_is_a_seq_a_distance_a_time_or_a_span(kugetsu, parked, when, seq):
    assert kugetsu("replay", "--json", "--until", *when.split(), at="10:41:30").json["seq"] == seq


def test_a_time_without_a_zone_is_this_machines(kugetsu, parked):
    assert kugetsu("replay", "--until", "2026-11-23T19:00:05", "--json", TZ="JST-9").json["seq"] == 9


@pytest.mark.parametrize("when", ["", "yesterday", "@+1", "@x", "-3", "10x ago", "2026-13-01", "ago"])
def test_what_is_no_point_in_time_shows_the_forms(kugetsu, parked, when):
    shown = kugetsu("replay", "--until", when)
    assert shown.code == 3 and "hint: " in shown.err, shown


def test_a_point_beyond_the_log_is_not_found(kugetsu, parked):
    assert kugetsu("replay", "--until", "12").code == 4
    assert kugetsu("replay", "--until", "@-12").code == 4


def test_what_a_machine_refused_is_listed(kugetsu, story):
    from kugetsu.domain.draft import Draft

    story.do(lambda state: [Draft("task.completed", {"summary": "?"}, task="q77")])
    shown = kugetsu("replay")
    assert "event 3: task.completed names the task q77" in shown.out
    assert kugetsu("replay", "--json").json["violations_seen"] == 1


def test_an_empty_log_is_before_the_first_event(kugetsu):
    shown = kugetsu("replay")
    assert shown.code == 0 and "before the first event" in shown.out
