"""`kugetsu audit`."""

from __future__ import annotations

import pytest

from cli import nights

MORNING = "2026-11-24T07:12:00.000000Z"


@pytest.fixture
def night(story):
    nights.stuck(story)
    return story


def test_a_night_in_short(kugetsu, night, snapshot, fits):
    shown = kugetsu("audit", at=MORNING)
    assert shown.code == 0 and fits(shown.out), shown
    snapshot("audit", shown.out)


@pytest.mark.parametrize("part", ["invariants", "races", "retries", "waits"])
def test_each_part_at_length(part, kugetsu, night, snapshot, fits):
    shown = kugetsu("audit", part, at=MORNING)
    assert shown.code == 0 and fits(shown.out), shown
    snapshot(f"audit-{part}", shown.out)
