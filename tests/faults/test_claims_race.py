"""Many processes at one moment: exactly as many as there are slots win, and the others change nothing."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

import pytest

from kugetsu.model.errors import KugetsuError
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import initialisation, submit
from kugetsu.runtime.workspace import open_workspace
from runtime import repos
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]


def race(stage: Stage, numbers: list[int], name: Callable[[int], str] | None = None) -> list[str]:
    """Fork a process for each number, release all at once, each starts on its issue: what each of them met."""
    barrier_read, barrier_write = os.pipe()
    answers_read, answers_write = os.pipe()
    stage.ws.close()
    children = []
    for number in numbers:
        child = os.fork()
        if child == 0:
            try:
                os.close(barrier_write)
                os.read(barrier_read, 1)  # end of file: the parent has let go
                os.write(answers_write, f"{attempt_of(name(number) if name else str(stage.ref(number)))}\n".encode())
            finally:
                os._exit(0)
        children.append(child)
    os.close(barrier_read)
    os.close(answers_write)
    os.close(barrier_write)
    with os.fdopen(answers_read) as answers:
        for child in children:
            os.waitpid(child, 0)
        # Runners hold no copy of the pipe: they closed what they were passed down, or were executed anew.
        return answers.read().split("\n")[:-1]


def attempt_of(issue: str) -> str:
    try:
        started = submit.start(open_workspace(os.environ, "racer"), parse_ref(issue), "race")
    except KugetsuError as problem:
        return problem.code
    except BaseException:  # noqa: BLE001  whatever it is, the test must hear of it
        traceback.print_exc()
        return "failed"
    return f"{started.state} {started.attempt}"


@pytest.mark.parametrize("slots", [pytest.param(1, marks=pytest.mark.thorough), 3])
def test_64_processes_for_a_few_slots_give_exactly_that_many_agents(stage: Stage, slots: int) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS=str(slots))
    stage.agent(UNTIL_GO)
    answers = race(stage, list(range(1, 65)))
    assert len(answers) == 64
    assert answers.count("cap_reached") == 64 - slots, answers
    won = sorted(answer for answer in answers if answer.startswith("running"))
    assert won == [f"running q{number}.1" for number in range(1, slots + 1)]
    assert sorted(attempt.slot or 0 for attempt in stage.state.attempts.values()) == list(range(1, slots + 1))
    assert len(stage.events("task.queued")) == slots, "who was refused has queued nothing"
    lost = stage.events("claim.lost")
    assert len(lost) <= 64 - slots
    assert {event["data"]["to"] for event in lost} <= {f"q{number}.1" for number in range(1, slots + 1)}
    assert len(stage.events("attempt.claimed")) == slots
    assert len(os.listdir(stage.ws.paths.leases)) == slots
    stage.go()
    stage.until(lambda: not stage.state.attempts)


def second_repository(stage: Stage) -> str:
    """Another registered repository; its name."""
    folder = stage.root / "work" / "other"
    repos.make_plain(folder)
    return initialisation.initialise(stage.ws, repo=str(folder), force=False).registered or ""


@pytest.mark.parametrize(("slots", "each", "expected"), [pytest.param(3, 2, 3, marks=pytest.mark.thorough), (8, 2, 4)])
def test_64_processes_for_two_repositories_keep_their_caps_and_the_slots(
    stage: Stage, slots: int, each: int, expected: int
) -> None:
    other = second_repository(stage)
    stage.configure(MAX_CONCURRENT_AGENTS=str(slots), MAX_AGENTS_PER_REPOSITORY=str(each))
    stage.agent(UNTIL_GO)
    first = stage.name
    answers = race(stage, list(range(1, 65)), lambda number: f"{first if number % 2 else other}#{number}")
    assert answers.count("cap_reached") == 64 - expected, answers
    live = list(stage.state.attempts.values())
    assert len([answer for answer in answers if answer.startswith("running")]) == len(live) == expected
    assert sorted(attempt.slot or 0 for attempt in live) == list(range(1, expected + 1))
    of_each = [sum((attempt.issue or "").startswith(name + "#") for attempt in live) for name in (first, other)]
    assert max(of_each) == each
    assert len(stage.events("task.queued")) == expected
    stage.go()
    stage.until(lambda: not stage.state.attempts)


def test_16_processes_for_an_issue_whose_budget_one_run_uses_up_start_none_after_it(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="8", ISSUE_MAX_TOKENS="100")
    stage.agent(COMMIT + "echo '{\"tokens\": 100}'\n")
    first = race(stage, [1] * 16)
    ran = [answer for answer in first if answer[:2] in ("ru", "su")]
    assert len(ran) == 1 and first.count("conflict") == 15, first
    stage.until(lambda: not stage.state.attempts)
    assert stage.state.sessions[str(stage.ref(1))].usage.tokens == 100
    assert race(stage, [1] * 16) == ["conflict"] * 16
    assert len(stage.events("attempt.claimed")) == 1


def test_16_processes_for_one_issue_give_exactly_one_agent(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="8")
    stage.agent(UNTIL_GO)
    answers = race(stage, [1] * 16)
    assert answers.count("running q1.1") == 1
    assert answers.count("conflict") == 15, answers
    assert len(stage.events("task.queued")) == 1
    stage.go()
    assert stage.finished("q1") == "completed"
