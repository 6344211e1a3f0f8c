"""What keeps every agent from being started holds the tasks until it is mended; none of them ends for it."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from kugetsu.agents import choose
from kugetsu.domain.decide import queue
from kugetsu.log.files.watch import Watch
from kugetsu.model.errors import AgentUnavailable
from kugetsu.redaction import known_values
from kugetsu.runtime import agent_preflight
from kugetsu.runtime.agent_preflight import RESTART
from kugetsu.runtime.facts import claim_facts
from runtime.stage import Stage, bare_stage, broken_after_the_look, stage

__all__ = ["bare_stage", "stage"]


def env_file(stage: Stage, name: str, mode: int = 0o600, text: str = "A=1\n") -> Path:
    path = stage.directory / "env" / name
    path.write_text(text)
    path.chmod(mode)
    return path


def program(stage: Stage, text: str = "exit 0\n") -> Path:
    """An agent's program that is not there yet, and what puts it there."""
    path = stage.root / "bin" / "my-agent"
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def others_read(stage: Stage) -> tuple[str, Callable[[], None]]:
    path = env_file(stage, "default.env", 0o644)
    return f"{path} holds secrets and others can read it", lambda: path.chmod(0o600)


def nonsense(stage: Stage) -> tuple[str, Callable[[], None]]:
    path = env_file(stage, "default.env", text="GOOD=1\nnonsense\n")
    return f"{path}:2: is not KEY=VALUE", lambda: path.write_text("GOOD=1\n") and None


def not_text(stage: Stage) -> tuple[str, Callable[[], None]]:
    path = env_file(stage, "default.env")
    path.write_bytes(b"A=\xff\n")
    return f"{path}:1: is not UTF-8 text", lambda: path.write_text("GOOD=1\n") and None


def no_program(stage: Stage) -> tuple[str, Callable[[], None]]:
    stage.configure(KUGETSU_AGENT_COMMAND=f"{stage.root}/bin/my-agent")
    cause = f"the program of KUGETSU_AGENT_COMMAND is not found: {stage.root}/bin/my-agent"
    return cause, lambda: program(stage) and None


def no_instructions(stage: Stage) -> tuple[str, Callable[[], None]]:
    path = stage.directory / "workflow.md"
    path.write_bytes(b"\xff")
    return f"{path}: byte 0 is not UTF-8 text", path.unlink


@pytest.mark.parametrize("broken", [others_read, nonsense, not_text, no_program, no_instructions])
def test_tasks_wait_until_the_agent_can_be_started_and_all_are_completed(
    broken: Callable[[Stage], tuple[str, Callable[[], None]]], stage: Stage
) -> None:
    cause, mend = broken(stage)
    stage.start_daemon()
    tasks = [stage.enqueue(number) for number in (1, 2, 3)]
    stage.until(lambda: all(stage.state.tasks[task].held == "agent" for task in tasks))
    assert {event["data"]["values"]["why"] for event in stage.events("task.held")} == {cause}
    with pytest.raises(AgentUnavailable, match="gate_closed"):
        stage.start(4)
    assert stage.events("attempt.claimed") == []
    mend()
    assert [stage.finished(task) for task in tasks] == ["completed"] * 3
    assert len(stage.events("task.held", task=tasks[0])) == 1


@pytest.mark.parametrize(("name", "held", "goes_on"), [("pm-agent.env", 1, 0), ("dev.env", 0, 1)])
def test_the_env_file_of_one_kind_of_agent_holds_its_tasks_only(
    name: str, held: int, goes_on: int, stage: Stage
) -> None:
    path = env_file(stage, name, 0o644)
    stage.start_daemon()
    made = stage.ws.log.transact(lambda state: queue.enqueue(state, kind="pm", issue=None, message="m", via="delegate"))
    tasks = [stage.enqueue(1), made[0]["task"]]
    assert stage.finished(tasks[goes_on]) == "completed"
    stage.until(lambda: stage.state.tasks[tasks[held]].held == "agent")
    path.chmod(0o600)
    assert stage.finished(tasks[held]) == "completed"


def test_what_breaks_between_the_look_and_the_start_is_tried_again(stage: Stage) -> None:
    path = env_file(stage, "default.env", 0o644)
    stage.configure(RETRY_BACKOFF_SECONDS="1")
    broken_after_the_look(stage)
    assert stage.start(1).state == "failed"
    stage.monkeypatch.undo()
    parked = stage.wait("task.parked")
    assert "others can read it" in parked["data"]["reason"]
    assert parked["data"]["outage"]["gate"] == "agent"
    assert stage.state.tasks["q1"].used == 0, "it is none of the task's doing"
    stage.start_daemon()
    stage.wait("task.held", task="q1")
    stage.until(lambda: stage.state.tasks["q1"].held == "agent")
    path.chmod(0o600)
    assert stage.finished("q1") == "completed"


def test_a_problem_of_the_task_itself_ends_it_as_before(stage: Stage) -> None:
    from kugetsu.model.refs import parse_ref
    from kugetsu.runtime import submit

    started = submit.start(stage.ws, parse_ref("local/work/nowhere#1"), "do it")
    assert started.state == "failed"
    assert stage.finished(started.task) == "error"


COMMANDS = {
    "": False,
    "my-agent": True,
    "my-agent -p 'do it' --flag=1": True,
    '"my-agent" --quoted': True,
    "my-agent 'open": False,
    "my-agent \"'\" '": False,
    "my-agent \\": False,
    "other-agent": False,
    "other-agent 'x y'": False,
    "other-agent | tee log": True,
    "A=1 other-agent": True,
    "./other-agent": True,
    "/bin/sh script": True,
    "/nope/agent": False,
    "cd /tmp && other-agent": True,
}


@pytest.mark.parametrize("line", COMMANDS)
def test_the_look_says_what_the_adapter_says(line: str, stage: Stage) -> None:
    program(stage)
    stage.monkeypatch.setenv("PATH", f"{stage.root}/bin{os.pathsep}{os.environ['PATH']}")
    stage.monkeypatch.setenv("KUGETSU_AGENT_COMMAND", line)
    stage.configure(KUGETSU_AGENT_COMMAND="")
    found = agent_preflight.problems(stage.ws)
    try:
        choose(stage.ws.config.texts(), stage.ws.environment).require()
        said = None
    except AgentUnavailable as problem:
        said = problem.message
    assert (said is None) == COMMANDS[line]
    assert {problem["cause"] for problem in found.values()} == ({said} if said is not None else set())


def test_opencode_is_looked_for_where_its_adapter_looks(stage: Stage) -> None:
    stage.configure(KUGETSU_AGENT="opencode", KUGETSU_OPENCODE="my-agent")
    found = agent_preflight.problems(stage.ws)
    assert found["dev"] == found["pm"]
    assert found["dev"]["cause"] == "KUGETSU_OPENCODE is not an executable file: my-agent"
    assert found["dev"]["remedy"] == "kugetsu config set KUGETSU_OPENCODE PATH"
    program(stage)
    env_file(stage, "dev.env", text=f"PATH={stage.root}/bin:/usr/bin:/bin\n")
    assert set(agent_preflight.problems(stage.ws)) == {"pm"}, "a PATH of an env file is that of its agent"
    stage.monkeypatch.setenv("PATH", "/usr/bin:/bin")
    stage.configure(KUGETSU_OPENCODE="")
    assert agent_preflight.problems(stage.ws)["pm"]["remedy"] == "npm install -g opencode-ai@1.18.33"


def test_a_value_of_an_env_file_is_not_told_with_the_cause(stage: Stage) -> None:
    env_file(stage, "dev.env", text="AGENT_TOKEN=s3cret-7f2a9c\n")
    stage.configure(KUGETSU_AGENT_COMMAND="/nope/s3cret-7f2a9c")
    known_values.refresh()  # the file is younger than what counts as fresh
    assert "s3cret" not in str(claim_facts(stage.ws, "self")["agent_problems"])


def test_what_is_looked_for_is_what_the_daemon_would_start(stage: Stage) -> None:
    """The PATH of a daemon is that of where it was started."""
    from kugetsu.runtime import liveness

    there = stage.monkeypatch
    program(stage)
    stage.configure(KUGETSU_AGENT_COMMAND="my-agent")
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.until(lambda: stage.state.tasks[task].held == "agent")
    there.setenv("PATH", f"{stage.root}/bin{os.pathsep}{os.environ['PATH']}")
    assert agent_preflight.problems(stage.ws) == {}
    environment = liveness.daemon_environment(stage.ws.paths, stage.state)
    found = claim_facts(stage.ws, "daemon", environment)["agent_problems"]
    assert set(found) == {"dev", "pm"}
    assert found["dev"]["remedy"] == "kugetsu queue-daemon restart"
    from kugetsu.runtime.doctor import daemon as diagnosis
    from kugetsu.runtime.doctor.context import Context

    told = [one for one in diagnosis.check(Context(stage.ws.paths, os.environ, "doctor")) if one.level == "problem"]
    assert [(one.name, one.text, one.fix) for one in told] == [("agent", found["dev"]["cause"], RESTART)]


def test_a_file_that_is_no_program_is_none(stage: Stage) -> None:
    path = program(stage)
    path.chmod(stat.S_IRUSR)
    stage.configure(KUGETSU_AGENT_COMMAND=str(path))
    assert "is not found" in agent_preflight.problems(stage.ws)["dev"]["cause"]


def test_the_daemon_is_woken_by_what_mends_an_env_file(stage: Stage) -> None:
    path = env_file(stage, "dev.env", 0o644)
    for mend in (lambda: path.chmod(0o600), lambda: path.write_text("B=1\n"), path.unlink):
        with Watch(stage.ws.paths.env, rights=True) as watch:
            watch.drain()
            mend()
            assert select.select([watch], [], [], 30.0)[0] == [watch]


def script_of(stage: Stage, first: str) -> Path:
    """An agent whose first line names its interpreter."""
    path = program(stage)
    path.write_text(f"{first}\nexit 0\n")
    return path


def test_a_missing_interpreter_holds_the_tasks_and_doctor_asks_as_the_daemon(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version manager's node is in the shell's PATH, and not in that of a daemon that systemd started."""
    node = stage.root / "nvm" / "my-node"
    node.parent.mkdir()
    node.symlink_to("/bin/sh")
    agent = script_of(stage, "#!/usr/bin/env my-node")
    stage.configure(KUGETSU_AGENT_COMMAND=str(agent))
    stage.start_daemon()
    tasks = [stage.enqueue(number) for number in (1, 2)]
    stage.until(lambda: all(stage.state.tasks[task].held == "agent" for task in tasks))
    assert stage.events("attempt.claimed") == []
    cause = f"the interpreter of {agent} is not found in PATH: my-node"
    assert {event["data"]["values"]["why"] for event in stage.events("task.held")} == {cause}
    monkeypatch.setenv("PATH", f"{node.parent}{os.pathsep}{os.environ['PATH']}")
    assert agent_preflight.problems(stage.ws) == {}, "here all is well"
    from kugetsu.runtime import liveness
    from kugetsu.runtime.doctor import daemon as diagnosis
    from kugetsu.runtime.doctor.context import Context

    found = agent_preflight.problems(stage.ws, liveness.daemon_environment(stage.ws.paths, stage.state))
    assert found["dev"]["cause"].startswith(cause)
    told = [one for one in diagnosis.check(Context(stage.ws.paths, os.environ, "doctor")) if one.level == "problem"]
    assert [(one.text, one.fix) for one in told] == [(found["dev"]["cause"], RESTART)]
    env_file(stage, "default.env", text=f"PATH={os.environ['PATH']}\n")
    assert [stage.finished(task) for task in tasks] == ["completed"] * 2


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        ("#!/bin/sh", None),
        ("#! /bin/sh -e", None),
        ("#!/usr/bin/env sh", None),
        ("#!/usr/bin/env -S sh -e", None),
        ("#!/usr/bin/env -S A=1 sh", None),
        ("#!/usr/bin/env -i sh", None),  # env's own options are not interpreted
        ("# no interpreter is named", None),
        ("#!sh", None),  # relative: the kernel's affair
        ("#!", None),
        ("#!/nowhere/python3", "is not found: /nowhere/python3"),
        ("#!/usr/bin/env nowhere-node", "is not found in PATH: nowhere-node"),
        ("#!/usr/bin/env -S nowhere-node --flag", "is not found in PATH: nowhere-node"),
        ("#!/nowhere/env node", "is not found: /nowhere/env"),
    ],
)
def test_the_interpreter_of_a_script_is_looked_for_where_the_kernel_and_env_do(
    first: str, problem: str | None, stage: Stage
) -> None:
    agent = script_of(stage, first)
    for settings in (
        {"KUGETSU_AGENT": "command", "KUGETSU_AGENT_COMMAND": f"{agent} --flag"},
        {"KUGETSU_AGENT": "opencode", "KUGETSU_OPENCODE": str(agent)},
    ):
        stage.configure(**settings)
        found = agent_preflight.problems(stage.ws)
        said = None
        try:
            choose(stage.ws.config.texts(), stage.ws.environment).require()
        except AgentUnavailable as error:
            said = error.message
        assert said == (f"the interpreter of {agent} {problem}" if problem else None)
        assert {one["cause"] for one in found.values()} == ({said} if said else set())
