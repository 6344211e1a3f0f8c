"""PM tasks through the real dispatcher: no slot, one at a time, and what the PM agent starts is not the PM agent's."""

from __future__ import annotations

import os
import subprocess
import sys

from kugetsu.runtime import daemon_control, stop_attempt, submit
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]


def by_kind(pm: str, dev: str) -> str:
    """A script of its own for each kind of task."""
    return f'if [ -z "$KUGETSU_ISSUE" ]; then\n{pm}\nelse\n{dev}\nfi\n'


def delegate(stage: Stage, message: str = "what is open?") -> str:
    """`kugetsu delegate`; the task's id."""
    return str(submit.delegate(stage.ws, message).events[0]["task"])


def environment(text: str) -> dict[str, str]:
    """What `env -0` left in a file."""
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def test_pm_tasks_hold_no_slot_and_run_one_at_a_time(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1")
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    stage.at_work(f"{stage.enqueue(1)}.1")
    first, second = delegate(stage), delegate(stage, "and then?")
    stage.at_work(f"{first}.1")
    held = stage.wait("task.held", task=second)
    assert held["data"]["gate"] == "pm" and held["data"]["values"]["task"] == first
    waiting = stage.enqueue(2)
    assert stage.wait("task.held", task=waiting)["data"]["gate"] == "slots"
    stage.go()
    assert [stage.finished(task) for task in (first, second, waiting)] == ["completed"] * 3
    claims = {event["task"]: event for event in stage.events("attempt.claimed")}
    assert [claims[task]["data"]["slot"] for task in ("q1", first, second)] == [1, None, None]
    assert stage.wait("task.completed", task=first)["seq"] < claims[second]["seq"]
    assert stage.state.sessions["pm"].state == "idle"


def test_a_message_that_names_an_issue_is_worked_on_in_its_worktree(stage: Stage) -> None:
    stage.agent(COMMIT)
    stage.start_daemon()
    task = delegate(stage, f"do {stage.ref(4)} now")
    assert stage.finished(task) == "completed"
    assert stage.wait("attempt.succeeded", task=task)["data"]["evidence"]["commits"] == 1


def test_a_pm_task_that_fails_is_tried_again_and_told_why(stage: Stage) -> None:
    stage.agent('cat > "$STAGE/prompt-$KUGETSU_ATTEMPT"; case "$KUGETSU_ATTEMPT" in *.1) echo oh no >&2; exit 3;; esac')
    stage.start_daemon()
    task = delegate(stage, "what is open?")
    assert stage.finished(task) == "completed"
    again = stage.file(f"prompt-{task}.2")
    assert "An earlier attempt" in again and again.endswith("Delegator's message:\n\nwhat is open?")


def test_the_answer_of_the_pm_agent_is_the_summary_of_its_task(stage: Stage) -> None:
    (stage.directory / "env" / "pm-agent.env").write_text("GITEA_TOKEN=s3cret-of-the-pm\n")
    stage.agent('echo "Two issues are open:"; echo "#1 and #2, with $GITEA_TOKEN"')
    stage.start_daemon()
    task = delegate(stage)
    assert stage.finished(task) == "completed"
    summary = stage.wait("task.completed", task=task)["data"]["summary"]
    assert "#1 and #2" in summary and "s3cret" not in summary
    stage.agent("exit 0")
    quiet = delegate(stage)
    assert stage.finished(quiet) == "completed"
    assert stage.wait("task.completed", task=quiet)["data"]["summary"] == "done"


def test_what_the_pm_agent_starts_outlives_it_and_is_completed(stage: Stage) -> None:
    stage.agent(by_kind(f'kugetsu start {stage.ref(7)} - < "$STAGE/wish" > "$STAGE/said" 2>&1', UNTIL_GO + COMMIT))
    (stage.folder / "wish").write_text("do it\nwell\n")
    stage.start_daemon()
    task = delegate(stage, "get 7 done")
    assert stage.finished(task) == "completed", stage.story()
    [queued] = stage.events("task.queued", issue=str(stage.ref(7)))
    assert queued["data"]["message"] == "do it\nwell\n"
    assert queued["by"]["attempt"] == f"{task}.1" and queued["by"]["cmd"].startswith("kugetsu start")
    assert stage.state.tasks[queued["task"]].state == "notified", "it works on"
    assert "q2.1 running" in stage.file("said")
    stage.go()
    assert stage.finished(queued["task"]) == "completed"
    assert stage.wait("attempt.succeeded", task=queued["task"])["data"]["evidence"]["commits"] == 1
    of_runners = [event["by"] for event in stage.events() if event["by"]["cmd"].startswith("runner")]
    assert of_runners and not any("attempt" in by for by in of_runners), "no agent typed that"


def test_cancelling_the_pm_task_leaves_what_it_started_alone(stage: Stage) -> None:
    stage.agent(by_kind(f'kugetsu start {stage.ref(7)} go && touch "$STAGE/started"; sleep 60', UNTIL_GO + COMMIT))
    stage.start_daemon()
    task = delegate(stage, "get 7 done")
    stage.file("started")
    stage.at_work("q2.1")
    agent = stage.wait("attempt.running", attempt="q2.1")["data"]["agent"]
    stop_attempt.cancel(stage.ws, task)
    assert stage.finished(task) == "cancelled"
    from kugetsu.runtime.process import identity

    assert identity.alive(agent) and stage.state.attempts["q2.1"].stop is None
    stage.go()
    assert stage.finished("q2") == "completed"


def test_a_full_machine_is_exit_2_and_the_queue_takes_it(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1")
    start = f'kugetsu start {stage.ref(7)} "it" ; code=$?; echo $code > "$STAGE/code"\n'
    enqueue = f'[ $code = 2 ] && kugetsu queue enqueue {stage.ref(7)} "it"'
    stage.agent(by_kind(start + enqueue, UNTIL_GO))
    stage.start_daemon()
    stage.at_work(f"{stage.enqueue(1)}.1")
    task = delegate(stage, "get 7 done")
    assert stage.finished(task) == "completed"
    assert stage.file("code") == "2\n"
    [queued] = stage.events("task.queued", issue=str(stage.ref(7)))
    assert (queued["data"]["via"], queued["by"]["attempt"]) == ("enqueue", f"{task}.1")
    stage.go()
    assert stage.finished(queued["task"]) == "completed"


def test_an_agent_that_starts_its_own_issue_is_refused_by_the_gate(stage: Stage) -> None:
    stage.agent('kugetsu start "$KUGETSU_ISSUE" again > "$STAGE/said" 2>&1; echo $? > "$STAGE/code"')
    stage.start_daemon()
    task = stage.enqueue(1)
    assert stage.finished(task) == "completed"
    assert stage.file("code") == "5\n"
    assert f"{task}.1 works on the same issue" in stage.file("said")
    assert len(stage.events("attempt.claimed")) == len(stage.events("task.queued")) == 1


def test_an_agent_gets_nothing_of_the_attempt_in_which_it_was_started(stage: Stage) -> None:
    secrets = stage.directory / "env" / "pm-agent.env"
    secrets.write_text("PM_SECRET=only for the pm\nGITEA_TOKEN=pm's\nTMPDIR=/tmp\n")
    own = stage.directory / "env" / "dev.env"
    own.write_text("DEV_SECRET=only for dev\n")
    show = 'env -0 > "$STAGE/env.new"; mv "$STAGE/env.new" "$STAGE/env-{}"\n'
    stage.agent(by_kind(show.format("pm") + f"kugetsu start {stage.ref(7)} it", show.format("dev")))
    stage.start_daemon()
    task = delegate(stage, "get 7 done")
    assert stage.finished(task) == "completed" and stage.finished("q2") == "completed"
    pm, dev = environment(stage.file("env-pm")), environment(stage.file("env-dev"))
    assert (pm["PM_SECRET"], pm["KUGETSU_ATTEMPT"], pm["KUGETSU_ISSUE"]) == ("only for the pm", f"{task}.1", "")
    assert not set(pm) & {"DEV_SECRET", "KUGETSU_NUMBER", "KUGETSU_BRANCH", "KUGETSU_API"}
    assert (dev["DEV_SECRET"], dev["KUGETSU_ATTEMPT"]) == ("only for dev", "q2.1")
    assert (dev["KUGETSU_ISSUE"], dev["KUGETSU_NUMBER"]) == (str(stage.ref(7)), "7")
    assert (dev["KUGETSU_BRANCH"], dev["KUGETSU_BASE_BRANCH"], dev["KUGETSU_API"]) == ("fix/issue-7", "main", "")
    assert not set(dev) & {"PM_SECRET", "GITEA_TOKEN"}
    assert dev["KUGETSU_LEASE"] != pm["KUGETSU_LEASE"]
    assert dev["PATH"] == pm["PATH"] and dev["PATH"].startswith(f"{stage.directory}/bin:")


def test_a_daemon_that_an_agent_starts_outlives_it_and_hands_on_nothing_of_it(stage: Stage) -> None:
    (stage.directory / "env" / "dev.env").write_text("ONLY_DEV=x\n")
    show = 'env -0 > "$STAGE/env.new"; mv "$STAGE/env.new" "$STAGE/env-pm"\n'
    stage.agent(by_kind(show, "kugetsu queue-daemon start"))
    started = stage.start(3)
    assert stage.finished(started.task) == "completed", stage.story()
    assert daemon_control.status(stage.ws).running
    assert stage.finished(delegate(stage)) == "completed"
    pm = environment(stage.file("env-pm"))
    assert (pm["KUGETSU_ISSUE"], pm["KUGETSU_ATTEMPT"]) == ("", "q2.1") and "ONLY_DEV" not in pm
    assert not set(pm) & {"KUGETSU_NUMBER", "KUGETSU_BRANCH", "KUGETSU_BASE_BRANCH"}


def test_an_outer_attempt_of_another_kugetsu_does_not_shine_through(stage: Stage) -> None:
    for name, value in {
        "KUGETSU_ATTEMPT": "q99.9",
        "KUGETSU_ISSUE": "example.com/a/b#99",
        "KUGETSU_NUMBER": "99",
        "KUGETSU_LEASE": "another",
        "KUGETSU_ENV_NAMES": "OUTER",
        "OUTER": "secret",
    }.items():
        stage.monkeypatch.setenv(name, value)
    stage.agent('env -0 > "$STAGE/env.new"; mv "$STAGE/env.new" "$STAGE/env"')
    run = [sys.executable, "-m", "kugetsu"]
    subprocess.run([*run, "queue-daemon", "start"], check=True, capture_output=True, env=dict(os.environ))
    subprocess.run([*run, "delegate", "hello"], check=True, capture_output=True, env=dict(os.environ))
    assert stage.finished("q1") == "completed"
    got = environment(stage.file("env"))
    assert (got["KUGETSU_ATTEMPT"], got["KUGETSU_ISSUE"]) == ("q1.1", "")
    assert "OUTER" not in got and "KUGETSU_NUMBER" not in got
    assert stage.wait("task.queued")["by"]["attempt"] == "q99.9"
    assert "attempt" not in stage.wait("attempt.claimed")["by"]
    assert "attempt" not in stage.wait("attempt.succeeded")["by"]


def test_the_command_is_found_also_when_an_agent_set_a_python_path_of_its_own(stage: Stage) -> None:
    stage.agent('cd /; PYTHONPATH=/nowhere kugetsu --version > "$STAGE/version"; which python3 > "$STAGE/python"')
    stage.start(1)
    assert stage.finished("q1") == "completed"
    assert stage.file("version").startswith("kugetsu ")
    assert os.listdir(stage.directory / "bin") == ["kugetsu"], "nothing else comes before the project's own tools"


def test_a_destroyed_pm_session_is_made_anew(stage: Stage) -> None:
    from kugetsu.runtime.destroy import destroy

    stage.start_daemon()
    assert stage.finished(delegate(stage)) == "completed"
    destroy(stage.ws, "pm", force=False, reason="test")
    assert stage.finished(delegate(stage)) == "completed"
    assert stage.state.sessions["pm"].state == "idle"
