"""Projects with an opencode.json of their own: what opencode makes of it at its start, and what it forbids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e.rig import Clone, Runs, git, script
from kugetsu.agents.opencode.adapter import OpenCode
from kugetsu.agents.protocol import Health, Running

pytestmark = [pytest.mark.e2e, pytest.mark.thorough]


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
    agent.put_back(str(tree), run.launch.stdout, ["opencode.json", ".opencode/"])
    assert git(tree, "show", "--name-only", "--format=", "HEAD") == "a.txt"
    assert git(tree, "status", "--porcelain") == ""


def test_what_opencode_adds_is_put_back_when_its_plugin_could_not(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    tree = configured(clone, "one", {"permission": {"webfetch": "deny"}})
    session = agent.make_session(str(tree), "t")
    changed = (tree / "opencode.json").read_text()
    run = runs.start(session, tree, script("say Done."))
    run.end()
    (tree / "opencode.json").write_text('{\n  "$schema": "https://opencode.ai/config.json",' + changed[1:])
    assert agent.put_back(str(tree), run.launch.stdout, ["opencode.json"]) == ["opencode.json"]
    assert git(tree, "status", "--porcelain") == ""


def test_a_turn_in_which_permissions_refused_every_call_failed(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    """Denied altogether, by a pattern, or to be asked for: the reason names the key and the file."""
    steps = script("run echo hi", "write a.txt", "| a", "say Done.")
    for name, bash in (("denied", "deny"), ("pattern", {"*": "allow", "echo *": "deny"}), ("asked", "ask")):
        tree = configured(clone, name, {"permission": {"bash": bash, "edit": bash if bash == "ask" else "deny"}})
        outcome = runs.turn(agent.make_session(str(tree), "t"), tree, steps)
        assert outcome.kind == "failed", outcome
        assert "permission.bash in opencode.json" in outcome.reason and "permission.edit in" in outcome.reason
        assert outcome.details["refused"] == outcome.details["tools"] == 2


def test_refused_calls_beside_others_are_noted(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    tree = configured(clone, "one", {"permission": {"bash": {"git push*": "deny"}}})
    steps = script("run git push origin x", "read /etc/hostname", "run echo fine", "say Done.")
    outcome = runs.turn(agent.make_session(str(tree), "t"), tree, steps)
    assert outcome.kind == "succeeded"
    [note] = outcome.notes
    assert note.startswith("permissions refused 2 of 3 tool calls: bash git push* (permission.bash in opencode.json)")
    assert "external_directory (kugetsu's default; permission.external_directory" in note


def test_what_permissions_refused_to_a_sub_agent_is_counted_once(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    """The first turn's calls were all its sub-agent's, and all refused; the second one hands over what is allowed."""
    tree = configured(clone, "one", {"permission": {"edit": "deny", "bash": {"*": "allow", "git push*": "deny"}}})
    session = agent.make_session(str(tree), "t")
    refused = runs.turn(session, tree, delegated("run git push origin x", "write a.txt", "| a"))
    assert refused.kind == "failed" and refused.reason.startswith("permissions refused every tool call: "), refused
    assert "permission.bash in opencode.json" in refused.reason and "permission.edit in" in refused.reason
    assert refused.details["refused"] == refused.details["tools"] == 2
    allowed = runs.turn(session, tree, delegated("run echo fine"))
    assert allowed.kind == "succeeded" and allowed.notes == (), allowed


def delegated(*steps: str) -> str:
    """A prompt whose work a sub-agent does."""
    task = {"description": "part", "prompt": script(*steps, "say Part done."), "subagent_type": "general"}
    return script(f"tool task {json.dumps(task)}", "say Done.")


def test_the_same_call_three_times_in_an_answer_ends_no_turn(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    steps = script("times 3", "run echo same >> same.txt", "say Done.")
    tree = clone.worktree("one")
    outcome = runs.turn(agent.make_session(str(tree), "t"), tree, steps)
    assert (outcome.kind, outcome.notes) == ("succeeded", ()), outcome
    assert (tree / "same.txt").read_text() == "same\n" * 3
    guarded = configured(clone, "two", {"permission": {"doom_loop": "deny"}})
    outcome = runs.turn(agent.make_session(str(guarded), "t"), guarded, steps)
    assert outcome.kind == "retryable"
    assert "permission.doom_loop in opencode.json forbids" in outcome.reason


def test_a_start_that_a_plugin_holds_up_is_not_told_as_waiting_for_the_model(
    agent: OpenCode, clone: Clone, runs: Runs
) -> None:
    tree = clone.worktree("one")
    (tree / ".opencode" / "plugin").mkdir(parents=True)
    hangs = "export const Hangs = async () => { await new Promise(() => {}) }\n"
    (tree / ".opencode" / "plugin" / "hangs.js").write_text(hangs)
    run = runs.start(agent.make_session(str(tree), "t"), tree, script("say Done."))
    run.checkup_until(Health.UNKNOWN, "has not called the model yet")
    launch = run.launch
    seen = agent.checkup(Running(run.session, launch.stdout, launch.stderr, run.process.pid, 301))
    assert (seen.health, "never called the model" in seen.message) == (Health.STUCK, True)
    run.kill()
