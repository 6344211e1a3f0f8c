"""What a turn of the real opencode used is counted once, sub-agents included, however the turn ends."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from e2e.rig import Clone, Run, Runs, script
from kugetsu.agents.commands import commands_of
from kugetsu.agents.opencode.adapter import OpenCode
from kugetsu.agents.protocol import Ended

pytestmark = pytest.mark.e2e

CONTEXT = 200_000
"""The context of the scripted model (`isolation.opencode_config`): no call can use more."""


def delegating(first: str, inner: str, *after: str) -> str:
    """A prompt whose first model call hands a script to a sub-agent."""
    call = json.dumps({"description": "sub", "prompt": inner, "subagent_type": "general"})
    return "\n".join(["Do it.", "", "~~~script", first, f"tool task {call}", *after, "~~~", ""])


def await_sign(run: Run, words: str) -> None:
    """Wait until kugetsu's plugin has said these words."""
    end = time.monotonic() + 60
    while words not in Path(run.launch.stderr).read_text():
        assert run.process.poll() is None and time.monotonic() < end, Path(run.launch.stderr).read_text()
        time.sleep(0.1)


def total(outcome: object) -> int:
    """The tokens of an outcome."""
    tokens = getattr(outcome, "tokens", None)
    return tokens.total if tokens is not None else 0


def test_tokens_of_sub_agents_count(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    session = agent.make_session(str(clone.main), "t")
    inner = script("usage input=5000 output=100 cached=1000", "run echo sub", "usage input=7000 output=50", "say Sub.")
    text = delegating("usage input=1000 output=10", inner, "usage input=2000 output=20", "say Done.")
    outcome = runs.turn(session, clone.main, text)
    assert (outcome.kind, total(outcome)) == ("succeeded", 5100 + 7050 + 1010 + 2020)
    assert outcome.tokens is not None and (outcome.tokens.input, outcome.tokens.cache_read) == (14_000, 1000)
    assert outcome.cost == pytest.approx((14_000 + 180 * 2) / 1e6)
    assert "unfinished_calls" not in outcome.details


@pytest.mark.thorough
def test_tokens_of_a_killed_turn_count_and_what_is_unknown_is_bounded(
    agent: OpenCode, clone: Clone, runs: Runs
) -> None:
    session = agent.make_session(str(clone.main), "t")
    inner = script("usage input=5000 output=100", "run echo sub", "hang")
    run = runs.start(session, clone.main, delegating("usage input=1000 output=10", inner))
    await_sign(run, '"total":5100')
    outcome = run.kill()
    assert total(outcome) == 5100
    # The call that asked for the sub-agent, and the one that hung: neither was reported.
    assert outcome.details["unfinished_calls"] in (1, 2)  # the second may not have been sent yet
    assert outcome.details["unfinished_tokens"] == outcome.details["unfinished_calls"] * CONTEXT


@pytest.mark.thorough
def test_database_alone_tells_what_this_turn_used(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    """Neither what the base used before the fork, nor what earlier turns of the session used, counts again."""
    base = agent.make_session(str(clone.main), "base")
    runs.turn(base, clone.main, script("usage input=9000 output=1", "say Remembered."))
    fork = agent.fork(base, str(clone.worktree("one")), "one")
    for used in (300, 500):
        run = runs.start(fork, clone.main.parent / "one", script(f"usage input={used} output=1", "run true", "hang"))
        await_sign(run, f'"total":{used + 1}')
        run.process.kill()
        run.process.wait()
        for lost in (run.launch.stdout, run.launch.stderr):  # as when the disk was full while the agent worked
            Path(lost).write_text("")
        assert total(run.kill()) == used + 1


@pytest.mark.thorough
def test_commands_of_a_turn_and_its_sub_agents_are_recorded_with_their_exit_codes(
    agent: OpenCode, clone: Clone, runs: Runs
) -> None:
    session = agent.make_session(str(clone.main), "t")
    runs.turn(
        session, clone.main, delegating("run echo earlier", script("run echo earlier sub", "say Sub."), "say Done.")
    )
    inner = script("run sh -c 'echo sub; exit 3'", "say Sub.")
    run = runs.start(session, clone.main, delegating("run echo first", inner, "run false", "say Done."))
    assert run.end().kind == "succeeded"
    ended = Ended(session, run.launch.stdout, run.launch.stderr, 0, directory=str(clone.main))
    ran = [(command.line, command.exit, command.output.strip()) for command in agent.commands(ended)]
    assert ran[:2] == [("echo first", 0, "first"), ("sh -c 'echo sub; exit 3'", 3, "sub")]
    assert [(line, code) for line, code, _ in ran[2:]] == [("false", 1)]
    assert [command.line for command in commands_of(run.launch.stdout)] == ["echo first", "false"]
