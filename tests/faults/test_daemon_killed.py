"""The daemon killed again and again while it dispatches: every task is done, no agent is lost or started twice."""

from __future__ import annotations

import random
import time

import pytest

from kugetsu.runtime import daemon_control
from runtime.stage import COMMIT, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.thorough)])
def test_a_daemon_killed_at_random_moments_finishes_the_queue_all_the_same(stage: Stage, seed: int) -> None:
    chance = random.Random(seed)
    stage.configure(MAX_CONCURRENT_AGENTS="2")
    stage.agent('echo "$KUGETSU_ATTEMPT" >> "$STAGE/starts"; sleep 0.1\n' + COMMIT)
    tasks = [stage.enqueue(number) for number in range(1, 9)]
    for _ in range(8):
        stage.start_daemon()
        time.sleep(chance.uniform(0.0, 0.25))
        stage.kill_daemon()
    stage.start_daemon()
    assert [stage.finished(task) for task in tasks] == ["completed"] * len(tasks)
    starts = stage.file("starts").split()
    assert len(starts) == len(set(starts)), "no attempt was started twice"
    for lost in stage.events("attempt.lost"):
        assert "claimer" in lost["data"]["reason"], "a daemon's death costs no agent that was there"
    assert daemon_control.status(stage.ws).state == "running"
