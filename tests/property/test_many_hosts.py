"""Whatever stands still, is cut off, killed, copied or called lost: by the log never two live attempts of one issue,
and two agents at work on it only where the guide says that it may be."""

from __future__ import annotations

import random

import pytest

from kugetsu.domain.invariants import broken
from property.many_hosts import COMMANDS, OFTEN, RARE, ManyHosts
from property.test_interleavings import redecided


def commands(seed: int, count: int) -> list[tuple[str, int, int]]:
    chance = random.Random(seed)
    names = [*COMMANDS, *COMMANDS, *8 * OFTEN]
    names = [name for place, name in enumerate(names) if name not in RARE or place < len(COMMANDS)]
    return [(chance.choice(names), chance.randrange(3), chance.randrange(30)) for _ in range(count)]


@pytest.mark.parametrize("seed", range(8))
def test_no_story_of_three_hosts_gives_an_issue_two_attempts(seed: int) -> None:
    played = ManyHosts()
    for _ in played.play(commands(seed, 400)):
        assert played.broken == []
        assert broken(played.state) == []
        assert played.state.violations == []
    assert set(played.ended.values()) <= {1}
    redecided(played.events)


def test_the_stories_hold_what_becomes_of_a_lost_host() -> None:
    seen: set[str] = set()
    for seed in range(10):
        played = ManyHosts()
        for _ in played.play(commands(seed, 400)):
            pass
        seen |= {event["type"] for event in played.events} | {name for name, count in played.done.items() if count}
    assert {"host.lost", "host.draining", "host.left", "attempt.lost", "attempt.late", "attempt.succeeded"} <= seen
    assert {"session.broken", "a runner gave up", "refused", "call_lost", "reconcile", "fence"} <= seen
