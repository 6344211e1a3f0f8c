"""`kugetsu attach` with the real opencode: its own program on a terminal, in the agent's session."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.terminal import Terminal
from e2e.rig import script
from e2e.test_kugetsu_opencode import House, commit, ref
from scripted_model.server import ScriptedModel

pytestmark = pytest.mark.e2e


@pytest.fixture
def house(tmp_path: Path, opencode_home: dict[str, str], opencode_program_path: str) -> House:
    """kugetsu set up, without a daemon."""
    made = House(tmp_path, opencode_home, opencode_program_path)
    made.ok("init", "--repo", str(made.main))
    return made


@pytest.mark.thorough
def test_the_person_goes_on_in_the_agents_session_and_worktree(house: House, model: ScriptedModel) -> None:
    house.ok("start", ref(1), "FIRST-WORDS " + commit("one"), "--wait")
    session = house.events("attempt.running", issue=1)[0]["data"]["agent_session"]
    terminal = Terminal(["attach", ref(1)], house.environment, house.main, columns=120, rows=40)
    try:
        terminal.until(lambda text: "FIRST-WORDS" in text)  # the conversation so far
        house.run("queue", "enqueue", ref(1), "later")
        assert "held by a person since" in house.ok("why", "q2", COLUMNS="200")
        terminal.type(script("run echo by-hand > hand.txt", "say Done."))
        terminal.type("\r")
        made = house.worktree(1) / "hand.txt"
        terminal.until(lambda _: made.exists() and made.read_text() == "by-hand\n")
        asked = [request for request in model.requests() if request["session"] == session]
        assert len(asked) > 1, "another session was asked"
        terminal.type("\x04")
        assert terminal.end() == 0
    finally:
        terminal.process.kill()
        terminal.process.wait()
        terminal.close()
    assert "was given back" in terminal.seen
    (left,) = house.events("person.left")
    assert left["data"]["how"] == "ended" and left["data"]["result"]["uncommitted"] == 1
    house.ok("replay", "--verify", "--all")
    assert "unverified" not in house.ok("log", "verify")
