"""How attempts end, and what follows: retried, parked, completed, an error; the work is never lost."""

from __future__ import annotations

import os

import pytest

from kugetsu.domain.decide import queue
from kugetsu.model import clock
from kugetsu.views import gates
from runtime import repos
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage
from runtime.supervised import ended

__all__ = ["bare_stage", "stage"]

LIMITED_ONCE = (
    'if ! test -e "$STAGE/limited"; then touch "$STAGE/limited"; echo "usage limit reached" >&2; exit 1; fi\n'
)


@pytest.mark.parametrize(
    ("script", "kind", "exit_code", "signal_number"),
    [
        ("exit 0", "attempt.succeeded", 0, None),
        ("exit 3", "attempt.failed", 3, None),
        ("kill -9 $$", "attempt.failed", None, 9),
        ("kill -SEGV $$", "attempt.failed", None, 11),
        ("exit 75", "attempt.failed", 75, None),
        ("exit 127", "attempt.failed", 127, None),
    ],
)
def test_how_an_agent_ends_is_recorded_as_it_was(
    stage: Stage, script: str, kind: str, exit_code: int | None, signal_number: int | None
) -> None:
    stage.agent(script)
    stage.start(1)
    ended = stage.wait(kind, attempt="q1.1")
    assert (ended["data"]["exit"], ended["data"]["signal"]) == (exit_code, signal_number)
    assert not stage.state.attempts


def test_a_failing_task_is_tried_again_up_to_its_attempts_and_then_an_error_with_the_reason(stage: Stage) -> None:
    stage.configure(MAX_ATTEMPTS="3", RETRY_BACKOFF_SECONDS="1")
    stage.agent('echo "cannot reach the moon" >&2; exit 4')
    stage.start_daemon()
    task = stage.enqueue(1)
    assert stage.finished(task) == "error"
    reason = gates.of_task(stage.state.tasks[task]) or ""
    assert "3 attempts failed" in reason and "cannot reach the moon" in reason
    assert [event["attempt"] for event in stage.events("attempt.claimed")] == [f"{task}.{n}" for n in (1, 2, 3)]
    retries = stage.events("task.retried")
    pauses = [
        clock.seconds_between(failed["facts"]["now"], retried["data"]["not_before"])
        for failed, retried in zip(stage.events("attempt.failed"), retries, strict=False)
    ]
    assert len(pauses) == 2 and pauses[1] > pauses[0] * 1.5, "the pause grows"
    for retried, claimed in zip(retries, stage.events("attempt.claimed")[1:], strict=True):
        assert claimed["at"] >= retried["data"]["not_before"]
    assert {event["data"]["gate"] for event in stage.events("task.held", task=task)} == {"backoff"}


def test_what_every_task_would_meet_holds_the_queue_until_it_is_mended_and_uses_up_no_attempt(stage: Stage) -> None:
    stage.configure(MAX_ATTEMPTS="1", MAX_CONCURRENT_AGENTS="1")
    stage.agent('test -e "$STAGE/mended" || exit 127')
    stage.start_daemon()
    tasks = [stage.enqueue(number) for number in (1, 2, 3)]
    stage.until(lambda: len(stage.events("task.parked")) >= 2)
    assert {task.state for task in stage.state.tasks.values()} <= {"pending", "parked", "notified"}
    assert any("outage" in limit for limit in stage.state.limits.values())
    (stage.folder / "mended").touch()
    assert [stage.finished(task) for task in tasks] == ["completed"] * 3
    assert {stage.state.tasks[task].used for task in tasks} == {1}
    assert len(stage.events("hold.lifted")) == 1
    assert stage.state.limits == {}


def test_a_retry_by_hand_gives_new_attempts(stage: Stage) -> None:
    stage.configure(MAX_ATTEMPTS="1")
    stage.agent("exit 1")
    stage.start_daemon()
    task = stage.enqueue(1)
    assert stage.finished(task) == "error"
    stage.agent("exit 0")
    stage.ws.log.transact(lambda state: queue.retry(state, task))
    stage.wait("task.completed", task=task)
    assert stage.wait("attempt.succeeded")["attempt"] == f"{task}.2"


def test_the_work_of_a_failed_attempt_is_rescued_and_the_next_goes_on_with_it_and_knows_why(stage: Stage) -> None:
    stage.agent(
        'if test "$KUGETSU_ATTEMPT" = q1.1; then\n'
        '  printf "\\001\\377bytes" > untracked; echo changed >> README; echo staged > staged; git add staged\n'
        '  mkdir deep; echo x > deep/er; echo "the net is down" >&2; exit 9\n'
        "fi\n"
        'cat > "$STAGE/prompt"; pwd > "$STAGE/where"; git status --porcelain > "$STAGE/status"\n'
    )
    stage.start_daemon()
    task = stage.enqueue(1, "mend the moon")
    assert stage.finished(task) == "completed"
    branch = stage.wait("attempt.failed")["data"]["rescue"]
    assert branch.endswith("q1.1")
    shown = repos.run(stage.repository, "ls-tree", "-r", "--name-only", branch).split()
    assert {"untracked", "README", "staged", "deep/er"} <= set(shown)
    import subprocess

    kept = subprocess.run(["git", "show", f"{branch}:untracked"], cwd=stage.repository, capture_output=True, check=True)
    assert kept.stdout == b"\001\377bytes"
    assert stage.file("where").strip() == str(stage.worktree(1))
    assert "untracked" in stage.file("status"), "it is all still there"
    prompt = stage.file("prompt")
    assert "the net is down" in prompt and prompt.endswith("mend the moon")


def test_a_successful_attempt_leaves_no_rescue_branch(stage: Stage) -> None:
    stage.agent(COMMIT)
    stage.start(1)
    assert stage.finished("q1") == "completed"
    assert "rescue" not in repos.run(stage.repository, "branch", "--list", "--all")


def test_an_agent_that_takes_too_long_is_stopped_with_all_its_tools(stage: Stage) -> None:
    stage.configure(TASK_TIMEOUT_HOURS="0.0005", MAX_ATTEMPTS="1")
    stage.agent("setsid sh -c 'echo $$ > \"$STAGE/tool\"; exec sleep 60' &\n" + UNTIL_GO)
    stage.start(1)
    tool = stage.written_pid("tool")
    assert stage.finished("q1") == "error"
    assert "TASK_TIMEOUT_HOURS" in stage.wait("attempt.timed_out")["data"]["reason"]
    assert ended(tool)


def test_an_agent_that_obeys_its_time_limit_with_exit_code_0_has_not_completed(stage: Stage) -> None:
    stage.configure(TASK_TIMEOUT_HOURS="0.0001", MAX_ATTEMPTS="1")
    stage.agent("trap 'exit 0' TERM\n" + UNTIL_GO)
    stage.start(1)
    assert stage.finished("q1") == "error"


def test_an_agent_that_says_and_does_nothing_is_stopped_as_stalled(stage: Stage) -> None:
    stage.configure(TASK_STALL_MINUTES="0.01", MAX_ATTEMPTS="1")
    stage.agent("exec sleep 60")
    stage.start(1)
    assert stage.finished("q1") == "error"
    assert "stalled" in stage.wait("attempt.failed")["data"]["reason"]


def test_an_agent_that_says_nothing_but_works_is_left_alone(stage: Stage) -> None:
    stage.configure(TASK_STALL_MINUTES="0.01", MAX_ATTEMPTS="1", TASK_TIMEOUT_HOURS="1")
    # Busy for as long as three looks take, then done.
    stage.agent('end=$(($(date +%s) + 5)); while test "$(date +%s)" -lt $end; do :; done; exit 0')
    stage.start(1)
    assert stage.finished("q1") == "completed"


def test_a_usage_limit_parks_the_task_uses_no_attempt_and_resumes_by_itself(stage: Stage) -> None:
    stage.configure(USAGE_LIMIT_PAUSE_MINUTES="0.02", MAX_ATTEMPTS="1")
    stage.agent(LIMITED_ONCE)
    stage.start_daemon()
    task = stage.enqueue(1)
    parked = stage.wait("task.parked", task=task)
    assert not parked["data"]["stated"]
    assert stage.finished(task) == "completed"
    assert stage.wait("attempt.claimed", attempt=f"{task}.2")["at"] >= parked["data"]["until"]
    assert stage.state.tasks[task].used == 1


def test_a_stated_reset_is_waited_for_also_by_a_new_daemon_and_by_the_other_tasks(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1")
    stage.agent('echo "usage limit reached, retry after 3600 seconds" >&2; exit 1')
    stage.start_daemon()
    first, second = stage.enqueue(1), stage.enqueue(2)
    parked = stage.wait("task.parked", task=first)
    assert parked["data"]["stated"]
    assert 3600 <= clock.seconds_between(parked["at"], parked["data"]["until"]) <= 3720
    assert stage.wait("task.held", task=first)["data"]["gate"] == "parked"
    stage.until(lambda: stage.state.tasks[second].held == "provider")
    stage.kill_daemon()
    stage.agent("exit 0")
    stage.start_daemon()
    third = stage.enqueue(3)
    stage.until(lambda: stage.state.tasks[third].held == "provider")
    assert stage.state.tasks[first].state == "parked"
    assert len(stage.events("attempt.claimed")) == 1, "nobody runs into the wall again"
    stage.ws.log.transact(lambda state: queue.retry(state, first))
    assert [stage.finished(task) for task in (first, second, third)] == ["completed"] * 3


def test_tokens_and_cost_that_an_agent_reports_are_added_up_over_its_attempts(stage: Stage) -> None:
    stage.agent(
        'if test "$KUGETSU_ATTEMPT" = q1.1; then code=1; else code=0; fi\n'
        'echo \'{"tokens": 100, "cost": 0.25}\'; exit $code\n'
    )
    stage.start_daemon()
    task = stage.enqueue(1)
    assert stage.finished(task) == "completed"
    assert (stage.state.tasks[task].usage.tokens, stage.state.tasks[task].usage.cost) == (200, 0.5)
    assert stage.state.sessions[str(stage.ref(1))].usage.tokens == 200


def test_an_agent_whose_tools_live_on_does_not_keep_the_slot(stage: Stage) -> None:
    stage.agent(
        'setsid sh -c \'trap "" TERM; echo $$ > "$STAGE/tool"; while :; do sleep 1; done\' &\n'
        'while ! test -s "$STAGE/tool"; do sleep 0.02; done; exit 0'
    )
    stage.start(1)
    tool = stage.written_pid("tool")
    assert stage.finished("q1") == "completed"
    assert ended(tool)
    stage.until(lambda: os.listdir(stage.ws.paths.leases) == [])


def test_an_agent_is_judged_as_what_it_was_when_the_settings_name_another_by_now(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    stage.configure(KUGETSU_AGENT="opencode")
    stage.go()
    assert stage.finished("q1") == "completed"
