"""A session that the bash tool began with the real opencode goes on under kugetsu: same conversation, same worktree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from e2e.rig import Runs, git, script
from kugetsu.agents.opencode.adapter import OpenCode
from runtime.old_directory import REPOSITORY, OldDirectory, file_name
from scripted_model.server import ScriptedModel

pytestmark = pytest.mark.e2e

REF = f"{REPOSITORY}#14"


def commit(name: str) -> str:
    """A script that writes and commits a file."""
    return script(f"write {name}.txt", f"| {name}", f"run git add {name}.txt && git commit -qm {name}", "say Done.")


@pytest.mark.thorough
def test_an_imported_session_goes_on_in_its_conversation(
    tmp_path: Path,
    agent: OpenCode,
    runs: Runs,
    model: ScriptedModel,
    opencode_home: dict[str, str],
    opencode_program_path: str,
) -> None:
    old = OldDirectory(tmp_path / "old")
    worktree = old.worktree(REF)
    session = agent.fork(agent.make_session(str(old.clone()), "base"), str(worktree), file_name(REF))
    assert runs.turn(session, worktree, commit("one")).kind.value == "succeeded"
    old.session(REF, worktree=worktree, opencode_session_id=session)
    environment = opencode_home | {"KUGETSU_DIR": str(tmp_path / "new"), "KUGETSU_OPENCODE": opencode_program_path}

    def kugetsu(*arguments: str) -> str:
        command = [sys.executable, "-m", "kugetsu", *arguments]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done
        return done.stdout

    kugetsu("import", str(old.root), "--yes")
    kugetsu("continue", REF, commit("two"), "--wait")
    assert git(worktree, "log", "--format=%s", "fix/issue-14").split() == ["two", "one", "first"]
    assert session in kugetsu("list", "--json")
    asked = [request["messages"] for request in model.requests() if request["session"] == session]
    assert asked[-1] > asked[0]
