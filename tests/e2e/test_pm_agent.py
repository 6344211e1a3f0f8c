"""The PM agent with the real opencode: what it starts with its shell tool is an agent of its own; skills are found."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from e2e.rig import script
from e2e.test_kugetsu_opencode import PATIENCE, REPOSITORY, House, commit, house, ref
from kugetsu.runtime.process import identity

__all__ = ["house"]

pytestmark = pytest.mark.e2e


def start(house: House, issue: int, message: str, *more: str) -> str:
    """A message for the PM agent, which names no issue, that makes it start an agent on one with its shell tool."""
    wish, command = house.main.parent / f"wish-{issue}.md", house.main.parent / f"start-{issue}.sh"
    wish.write_text(message)
    command.write_text(f"kugetsu start {ref(issue)} --file {shlex.quote(str(wish))}\n")
    return script(f"run sh {shlex.quote(str(command))}", *more, "say Handed on.")


def delegate(house: House, message: str) -> str:
    """`kugetsu delegate`; the task's id."""
    return str(json.loads(house.ok("delegate", "--json", message))["task"])


def ended(house: House, task: str) -> str:
    """Wait for the end of a task that belongs to no issue; what it was."""
    found: list[str] = []

    def look() -> bool:
        found[:] = [
            event["type"]
            for event in house.events("task.completed", "task.failed", "task.cancelled")
            if event["task"] == task
        ]
        return bool(found)

    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end, [event["type"] for event in house.events()]
        time.sleep(0.1)
    return found[0]


@pytest.mark.thorough
def test_an_agent_that_the_pm_agent_starts_outlives_it_and_commits(house: House) -> None:
    task = delegate(house, start(house, 21, commit("twentyone", "sleep 12")))
    running = house.await_event("attempt.running", issue=21)
    assert ended(house, task) == "task.completed"
    assert identity.alive(running["data"]["agent"]), "it works on when the PM agent has ended"
    queued = house.await_event("task.queued", issue=21)
    assert queued["by"]["attempt"] == f"{task}.1"
    completed = house.await_event("task.completed", issue=21)
    assert completed["task"] == queued["task"]
    assert house.events("attempt.succeeded", issue=21)[0]["data"]["evidence"]["commits"] == 1
    assert f"by {task}.1" in house.ok("history", ref(21))
    [claim] = [event for event in house.events("attempt.claimed") if event["task"] == task]
    assert claim["data"]["slot"] is None


@pytest.mark.thorough
def test_cancelling_the_pm_task_leaves_the_agent_that_it_started(house: House) -> None:
    task = delegate(house, start(house, 22, commit("twentytwo", "sleep 12"), "run sleep 600"))
    running = house.await_event("attempt.running", issue=22)
    house.ok("queue", "cancel", task)
    assert ended(house, task) == "task.cancelled"
    assert identity.alive(running["data"]["agent"])
    house.await_event("task.completed", issue=22)
    assert (house.worktree(22) / "twentytwo.txt").exists()
    assert len(house.events("attempt.claimed", issue=22)) == 1


@pytest.mark.thorough
def test_an_agent_cannot_start_a_second_one_on_its_own_issue(house: House) -> None:
    text = script('run kugetsu start "$KUGETSU_ISSUE" again > said.txt 2>&1; echo $? >> said.txt', "say Done.")
    house.ok("start", ref(23), text, "--wait")
    said = (house.worktree(23) / "said.txt").read_text()
    assert "works on the same issue" in said and said.endswith("\n5\n")
    assert len(house.events("attempt.claimed", issue=23)) == 1


def test_a_message_that_names_an_issue_goes_to_its_agent(house: House) -> None:
    delegate(house, f"Do {ref(24)}.\n" + commit("twentyfour"))
    house.await_event("task.completed", issue=24)
    assert (house.worktree(24) / "twentyfour.txt").exists()


@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "OPENCODE_CONFIG_DIR"])
def test_opencode_finds_the_skills_that_were_installed(house: House, tmp_path: Path, variable: str) -> None:
    installed = json.loads(house.ok("skill", "install", "--json", **{variable: str(tmp_path / "config")}))
    listing = tmp_path / "listing"
    with listing.open("wb") as out:  # opencode cuts what it writes into a pipe
        subprocess.run(
            [house.environment["KUGETSU_OPENCODE"], "debug", "skill"],
            env=house.environment | {variable: str(tmp_path / "config")},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=out,
            timeout=60,
            check=True,
        )
    found = {skill["name"]: skill for skill in json.loads(listing.read_text())}
    for skill in installed["skills"]:
        assert found[skill["name"]]["location"] == f"{skill['path']}/SKILL.md"
        assert len(found[skill["name"]]["description"]) > 50


@pytest.mark.thorough
def test_an_agent_loads_an_installed_skill(house: House, tmp_path: Path) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    if shutil.which("rg") is None:
        # opencode asks ripgrep for the skill's other files, and would load it from the internet: here, none are found.
        (tmp_path / "rg").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "rg").chmod(0o755)
        home["PATH"] = f"{tmp_path}:{house.environment['PATH']}"
    house.ok("skill", "install", **home)
    house.ok("start", ref(25), script('tool skill {"name": "kugetsu-research"}', "say Read."), "--wait", **home)
    attempt = house.events("attempt.succeeded", issue=25)[0]["attempt"]
    output = Path(house.environment["KUGETSU_DIR"], "runs", attempt, "output.jsonl").read_text()
    [used] = [event["part"] for line in output.splitlines() if (event := json.loads(line))["type"] == "tool_use"]
    assert used["tool"] == "skill" and used["state"]["status"] == "completed"
    assert "Research on an issue" in used["state"]["output"]


def test_every_prompt_names_the_repository_of_its_issue_only(house: House) -> None:
    for event in house.events("attempt.running"):
        if event.get("issue"):
            prompt = Path(house.environment["KUGETSU_DIR"], "runs", event["attempt"], "prompt.md").read_text()
            assert f"- issue: {event['issue']}\n" in prompt and REPOSITORY in prompt
