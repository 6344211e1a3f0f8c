"""Every kind of event is told in words."""

from __future__ import annotations

import pytest

from kugetsu.domain.events import CATALOGUE
from kugetsu.views import wording


@pytest.mark.parametrize(("kind", "version"), [("of.tomorrow", 1), ("task.parked", 9)])
def test_what_a_later_version_wrote_is_shown_by_its_data(kind, version):
    said = wording.words({"type": kind, "v": version, "data": {"thing": "odd \x1b[2J"}})
    assert said.startswith("thing odd")
    assert "\x1b" not in said


@pytest.mark.parametrize("kind", CATALOGUE)
def test_the_words_of_a_known_kind_need_its_data(kind):
    with pytest.raises(KeyError):
        wording.words({"type": kind, "v": CATALOGUE[kind].version, "at": "", "data": {}})


@pytest.mark.parametrize(
    ("command", "who", "verb"),
    [
        ("kugetsu queue enqueue a/b#1 fix it", "cli", "kugetsu queue enqueue …"),
        ("kugetsu start --debug a/b#1 x", "cli", "kugetsu start …"),
        ("kugetsu start fix it", "cli", "kugetsu start …"),
        ("kugetsu status", "cli", "kugetsu status"),
        ("kugetsu queue-daemon run", "daemon", "kugetsu queue-daemon run"),
        ("runner q1.1", "runner", "runner …"),
    ],
)
def test_who_wrote_an_event(command, who, verb):
    assert (wording.who({"cmd": command}), wording.verb({"cmd": command})) == (who, verb)


@pytest.mark.parametrize(
    ("until", "said"),
    [("2026-11-29T22:14:00.000000Z", "until 22:14,"), ("2026-12-01T07:01:00.000000Z", "until 12-01 07:01,")],
)
def test_a_wait_that_ends_on_another_day_names_that_day(until, said):
    data = {"until": until, "stated": True, "limit": "x", "reason": "r", "gate": "provider"}
    event = {"type": "task.parked", "v": 2, "at": "2026-11-29T21:14:14.000000Z", "data": data}
    assert wording.words(event).startswith(said)
    held = {"gate": "parked", "reason": "parked", "rests_on": 1, "until": until}
    assert f"{wording.words({**event, 'type': 'task.held', 'v': 1, 'data': held})},".endswith(said)
