"""Doctor beside a daemon at work: what comes and goes is no leftover, and --fix touches nothing that lives."""

from __future__ import annotations

import os

from kugetsu.runtime.doctor import examination, leftovers
from kugetsu.runtime.doctor.context import Context
from runtime.stage import Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]


def test_doctor_finds_and_mends_nothing_in_a_directory_that_is_at_work(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="4")
    stage.agent("sleep 0.05\n")
    stage.start_daemon()
    tasks = [stage.enqueue(number) for number in range(1, 17)]
    looks = 0
    while stage.state.tasks[tasks[-1]].state != "completed":
        case = Context(stage.ws.paths, os.environ, "doctor")
        case.state()  # as the other groups have: seconds may lie between
        seen = [stage.wait("attempt.succeeded", count=min(looks * 2 + 2, 16))["seq"]]
        found = list(leftovers.check(case))
        assert [one.text for one in found if one.level != "ok"] == [], (seen, stage.story())
        assert examination.repair(found) == []
        case.close()
        looks += 1
    assert looks > 1
    assert [stage.finished(task) for task in tasks] == ["completed"] * len(tasks)
    assert not stage.events("attempt.lost")
