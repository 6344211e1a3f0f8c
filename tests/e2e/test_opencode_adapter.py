"""Each behaviour of the real opencode that kugetsu depends on."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from e2e.rig import Clone, Runs, git, script
from kugetsu.agents.opencode.adapter import OpenCode
from kugetsu.agents.opencode.leftovers import state_directory
from kugetsu.agents.protocol import Health
from kugetsu.model.errors import NotFound
from scripted_model.isolation import isolate
from scripted_model.server import ScriptedModel

pytestmark = pytest.mark.e2e


@pytest.mark.thorough
def test_two_forks_of_one_base_work_in_their_own_worktrees_and_go_on(
    agent: OpenCode, clone: Clone, runs: Runs, model: ScriptedModel
) -> None:
    base = agent.make_session(str(clone.main), "base")
    assert agent.session_directory(base) == str(clone.main)
    assert runs.turn(base, clone.main, "Remember the word heron." + script("say I remember.")).kind == "succeeded"

    trees = {name: clone.worktree(name) for name in ("one", "two")}
    sessions: dict[str, str] = {}

    def fork(name: str) -> None:
        sessions[name] = agent.fork(base, str(trees[name]), name)

    threads = [threading.Thread(target=fork, args=(name,)) for name in trees]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({base, *sessions.values()}) == 3

    started = {
        name: runs.start(
            sessions[name],
            tree,
            script(f"write {name}.txt", "| made here", f"run git add . && git commit -q -m {name} && pwd", "say Done."),
        )
        for name, tree in trees.items()
    }
    for name, run in started.items():
        outcome = run.end()
        assert outcome.kind == "succeeded", outcome
        assert outcome.final_text == "Done."
        assert outcome.tokens is not None
        assert outcome.tokens.total > 0
        seen = agent.progress(run.launch.stdout, run.launch.stderr)
        assert seen.tokens == outcome.tokens.total
        assert git(trees[name], "show", "--stat", "--format=%s", "HEAD").split()[0] == name
        assert f"{trees[name]}\n" in agent.transcript(sessions[name])
        assert "heron" in agent.transcript(sessions[name])
        assert agent.session_directory(sessions[name]) == str(trees[name])
    assert sorted(path.name for path in clone.main.iterdir()) == [".git", "README.md"]
    assert "made here" not in agent.transcript(base)

    before = [request["messages"] for request in model.requests() if request["session"] == sessions["one"]]
    assert runs.turn(sessions["one"], trees["one"], script("say Still here.")).final_text == "Still here."
    after = [request["messages"] for request in model.requests() if request["session"] == sessions["one"]]
    assert after[-1] > before[-1], "the session goes on with all that was said"
    locks = state_directory({"XDG_STATE_HOME": agent._environment["XDG_STATE_HOME"]}) / "locks"
    assert list(locks.glob("*.lock")) == [], "nobody leaves a lock that the next one waits for"


@pytest.mark.thorough
def test_long_prompt_arrives_as_it_is(agent: OpenCode, clone: Clone, runs: Runs, model: ScriptedModel) -> None:
    prompt = (
        "--help -x \"quoted\" 'single' $HOME `id` \\n ünï 月\n" + "another line of it\n" * 5500 + script("say Read.")
    )
    assert len(prompt) > 100_000
    session = agent.make_session(str(clone.main), "-- a \"title\" with 'quotes'")
    assert runs.turn(session, clone.main, prompt).final_text == "Read."
    received = [request["prompt"] for request in model.requests() if request["session"] == session]
    assert received[-1].strip() == prompt.strip()


@pytest.mark.thorough
def test_server_error_once_is_overcome_and_one_for_ever_is_seen(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    session = agent.make_session(str(clone.main), "t")
    assert runs.turn(session, clone.main, script("status 500", "say Well again.")).final_text == "Well again."
    run = runs.start(session, clone.main, script("status 500 forever the model is broken"))
    seen = run.checkup_until(Health.RETRYING)
    assert "the model is broken" in seen.message
    assert run.kill().kind == "retryable"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("status 429 forever retry-after=3600", True),
        pytest.param("status 429 forever You exceeded your current quota", False, marks=pytest.mark.thorough),
    ],
)
def test_usage_limit_is_seen_while_opencode_waits_in_silence(
    agent: OpenCode, clone: Clone, runs: Runs, fault: str, told: bool
) -> None:
    session = agent.make_session(str(clone.main), "t")
    run = runs.start(session, clone.main, script(fault))
    seen = run.checkup_until(Health.LIMITED)
    assert (seen.resets_at is not None) is told
    outcome = run.kill()
    assert (outcome.kind, outcome.resets_at) == ("limited", seen.resets_at)


@pytest.mark.thorough
def test_refused_credentials_are_the_providers_affair(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    session = agent.make_session(str(clone.main), "t")
    outcome = runs.turn(session, clone.main, script("status 401 bad key"))
    assert (outcome.kind, outcome.gate, outcome.details["status"]) == ("unavailable", "provider", 401)
    assert "bad key" in outcome.reason


def test_silent_model_is_not_taken_for_work_and_a_long_tool_is(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    session = agent.make_session(str(clone.main), "t")
    run = runs.start(session, clone.main, script("run echo first; sleep 8", "hang"))
    run.checkup_until(Health.HEALTHY, "runs bash echo first")
    last = agent.progress(run.launch.stdout, run.launch.stderr)
    assert (last.last, last.running) == ("bash echo first; sleep 8", True)
    run.checkup_until(Health.UNKNOWN, "waits for the model")
    assert run.kill().kind == "retryable"


@pytest.mark.thorough
def test_cut_and_empty_answers_are_incomplete(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    session = agent.make_session(str(clone.main), "t")
    cut = runs.turn(session, clone.main, script("say This is only ha", "cut"))
    assert (cut.kind, cut.reason) == ("incomplete", "the answer was cut at its length limit")
    empty = runs.turn(session, clone.main, script("empty"))
    assert (empty.kind, empty.reason) == ("incomplete", "the model answered nothing")


@pytest.mark.thorough
def test_permission_that_nobody_gives_does_not_end_the_turn(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    session = agent.make_session(str(clone.main), "t")
    (clone.main / ".env").write_text("SECRET=1\n")
    # The first is denied by kugetsu's rules, the second is asked for, with nobody there.
    steps = script("read /etc/hostname", "read .env", "run echo went on > on.txt", "say Done without it.")
    outcome = runs.turn(session, clone.main, steps)
    assert (outcome.kind, outcome.final_text) == ("succeeded", "Done without it.")
    assert (clone.main / "on.txt").exists()
    assert "SECRET=1" not in agent.transcript(session)


def test_what_is_not_there_is_told(agent: OpenCode, clone: Clone, runs: Runs) -> None:
    session = agent.make_session(str(clone.main), "t")
    assert agent.exists(session)
    agent.delete_session(session)
    agent.delete_session(session)
    assert not agent.exists(session)
    lost = runs.turn(session, clone.main, "x")
    assert (lost.kind, lost.session_lost) == ("failed", True)
    with pytest.raises(NotFound):
        agent.fork(session, str(clone.main), "t")


@pytest.mark.thorough
def test_unknown_model_is_named(agent: OpenCode, clone: Clone, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    assert agent.check() == []
    monkeypatch.setattr(agent, "_settings", {**agent._settings, "KUGETSU_MODEL": "scripted/none"})
    assert "scripted/none" in agent.check()[0].text
    session = agent.make_session(str(clone.main), "t")
    outcome = runs.turn(session, clone.main, "x")
    assert (outcome.kind, outcome.gate) == ("unavailable", "provider")
    assert "scripted/none" in outcome.reason


@pytest.mark.thorough
def test_first_starts_in_an_empty_home_may_come_together(
    opencode_program_path: str, opencode_home: dict[str, str], model: ScriptedModel, tmp_path: Path
) -> None:
    environment = opencode_home | isolate(tmp_path / "home", model.url)
    adapters = [
        OpenCode({"KUGETSU_OPENCODE": opencode_program_path, "KUGETSU_DIR": str(tmp_path / "k")}, environment)
        for _ in range(4)
    ]
    failures: list[Exception] = []

    def prepare(adapter: OpenCode) -> None:
        try:
            adapter.prepare_home()
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=prepare, args=(adapter,)) for adapter in adapters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (tmp_path / "home" / "data" / "opencode" / "opencode.db").is_file()
