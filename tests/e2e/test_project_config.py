"""Projects with an opencode.json of their own: what opencode makes of it at its start, and what it forbids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e.rig import Clone, Runs, git, script
from kugetsu.agents.opencode import OpenCode

pytestmark = pytest.mark.e2e


def configured(clone: Clone, name: str, config: object, file: str = "opencode.json") -> Path:
    """A new worktree whose last commit holds a configuration of opencode."""
    tree = clone.worktree(name)
    path = tree / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(config))
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "Configure")
    return tree


@pytest.mark.parametrize("file", ["opencode.json", ".opencode/opencode.json"])
def test_what_opencode_adds_to_the_project_is_no_work(agent: OpenCode, clone: Clone, runs: Runs, file: str) -> None:
    tree = configured(clone, "one", {"permission": {"webfetch": "deny"}}, file)
    session = agent.make_session(str(tree), "t")
    steps = script("write a.txt", "| a", "run git add -A && git commit -q -m Work", "say Done.")
    run = runs.start(session, tree, steps)
    assert run.end().kind == "succeeded"
    agent.put_back(str(tree), run.launch.stdout)
    assert git(tree, "show", "--name-only", "--format=", "HEAD") == "a.txt"
    assert git(tree, "status", "--porcelain") == ""


def test_what_opencode_adds_is_put_back_when_its_plugin_could_not(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    tree = configured(clone, "one", {"permission": {"webfetch": "deny"}})
    session = agent.make_session(str(tree), "t")
    changed = (tree / "opencode.json").read_text()
    run = runs.start(session, tree, script("say Done."))
    run.end()
    (tree / "opencode.json").write_text('{\n  "$schema": "https://opencode.ai/config.json",' + changed[1:])
    assert agent.put_back(str(tree), run.launch.stdout) == ["opencode.json"]
    assert git(tree, "status", "--porcelain") == ""
