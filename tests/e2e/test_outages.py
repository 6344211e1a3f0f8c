"""What breaks every task, with the real opencode: named with its cause, and never taken for the fault of one task."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from e2e.rig import Clone, Runs, script
from kugetsu.agents.opencode.adapter import OpenCode
from kugetsu.agents.outcome import Outcome
from kugetsu.model.errors import AgentFailed, AgentUnavailable
from scripted_model.isolation import isolate
from scripted_model.server import ScriptedModel

pytestmark = pytest.mark.e2e


class Home:
    """An opencode whose home a test may break."""

    def __init__(self, root: Path, program: str, url: str) -> None:
        self.root = root
        self.program = program
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENCODE", "GIT_", "XDG"))}
        self.environment = kept | isolate(root / "home", url) | {"KUGETSU_DIR": str(root / "kugetsu")}
        self.clone = Clone(root)

    def agent(self, **settings: str) -> OpenCode:
        """The adapter."""
        return OpenCode({"KUGETSU_OPENCODE": self.program, **settings}, self.environment)

    def turn(self, agent: OpenCode, session: str, *steps: str) -> Outcome:
        """A whole turn in the clone, with the verdict that the runner would get."""
        folder = self.root / f"runs-{len(list(self.root.glob('runs-*')))}"
        folder.mkdir()
        runs = Runs(agent, self.environment, folder)
        try:
            return runs.turn(session, self.clone.main, script(*steps))
        finally:
            runs.close()


@pytest.fixture
def home(tmp_path: Path, opencode_program_path: str, model: ScriptedModel) -> Home:
    return Home(tmp_path, opencode_program_path, model.url)


@pytest.mark.thorough
def test_a_broken_configuration_is_named_with_its_file(home: Home) -> None:
    agent = home.agent()
    session = agent.make_session(str(home.clone.main), "t")
    everybodys = home.root / "home" / "config" / "opencode" / "opencode.json"
    everybodys.parent.mkdir(parents=True, exist_ok=True)
    everybodys.write_text("{ nope")
    outcome = home.turn(agent, session, "say hi")
    assert (outcome.kind, outcome.gate) == ("unavailable", "agent")
    assert f"configuration {everybodys} is not valid: InvalidSymbol" in outcome.reason
    [problem] = agent.check()
    assert str(everybodys) in problem.text
    assert "login" not in problem.hint


@pytest.mark.thorough
def test_a_model_that_nobody_knows_is_named_with_the_setting(home: Home) -> None:
    agent = home.agent(KUGETSU_MODEL="scripted/nope")
    outcome = home.turn(agent, agent.make_session(str(home.clone.main), "t"), "say hi")
    assert (outcome.kind, outcome.gate) == ("unavailable", "provider")
    assert "(Model not found: scripted/nope)" in outcome.reason
    assert "KUGETSU_MODEL" in outcome.remedy


def test_a_locked_database_and_a_killed_import_may_pass(home: Home) -> None:
    agent = home.agent()
    agent.make_session(str(home.clone.main), "t")
    with closing(sqlite3.connect(agent._database(), isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(AgentFailed, match="cannot import a session: Failed query"):
            agent.make_session(str(home.clone.main), "t")
    killed = home.root / "killed"
    killed.write_text(f'#!/bin/sh\n[ "$1" = import ] && kill -9 $$\nexec {home.program} "$@"\n')
    killed.chmod(0o755)
    with pytest.raises(AgentFailed, match="ended by signal 9"):
        home.agent(KUGETSU_OPENCODE=str(killed)).make_session(str(home.clone.main), "t")
    assert agent.make_session(str(home.clone.main), "t")


@pytest.fixture
def small_disk(home: Home) -> Iterator[Path]:
    """A disk of 60 MB for opencode's data."""
    folder = home.root / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except OSError:
        pytest.skip("there is no mount")
    if done.returncode != 0:
        pytest.skip("not allowed to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.mark.thorough
def test_a_full_disk_is_named(home: Home, small_disk: Path) -> None:
    home.environment["XDG_DATA_HOME"] = str(small_disk)
    agent = home.agent()
    session = agent.make_session(str(home.clone.main), "t")
    with suppress(OSError), (small_disk / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    outcome = home.turn(agent, session, "say hi")
    assert (outcome.kind, outcome.gate) == ("unavailable", "agent")
    assert f"is full ({small_disk}/opencode)" in outcome.reason or "no space left on device" in outcome.reason
    with suppress(AgentUnavailable):
        agent.make_session(str(home.clone.main), "t")
    for problem in agent.check():
        assert "login" not in problem.hint
