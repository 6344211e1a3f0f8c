"""Any command line as an agent."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kugetsu.agents import choose
from kugetsu.agents.command import needs_shell
from kugetsu.agents.outcome import Outcome
from kugetsu.agents.protocol import Ended, Running, Turn
from kugetsu.model.errors import AgentUnavailable


def run(folder: Path, line: str, prompt: str = "the prompt") -> Outcome:
    """Runs a command as the runner does, and returns the adapter's verdict."""
    agent = choose({"KUGETSU_AGENT": "command", "KUGETSU_AGENT_COMMAND": line, "KUGETSU_MODEL": "m"})
    session = agent.make_session(str(folder), "t")
    (folder / "p").write_text(prompt)
    launch = agent.launch(Turn(session, str(folder), str(folder / "p"), str(folder / "o"), str(folder / "e")))
    with (
        Path(launch.stdin).open() as stdin,
        Path(launch.stdout).open("ab") as out,
        Path(launch.stderr).open("ab") as err,
    ):
        environment = launch.environment(os.environ)
        done = subprocess.run(
            launch.argv, cwd=launch.cwd, env=environment, stdin=stdin, stdout=out, stderr=err, check=False
        )
    code = done.returncode
    return agent.outcome(
        Ended(session, launch.stdout, launch.stderr, None if code < 0 else code, -code if code < 0 else None)
    )


def test_prompt_arrives_whole_in_the_worktree(tmp_path: Path) -> None:
    prompt = '-- "quoted" $HOME `x`\n' + "long ünï line\n" * 8000
    outcome = run(tmp_path, "sh -c 'cat > got; pwd; echo $PWD $KUGETSU_MODEL'", prompt)
    assert outcome.kind == "succeeded"
    assert outcome.final_text == f"{tmp_path}\n{tmp_path} m"
    assert (tmp_path / "got").read_text() == prompt


@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        ("true", "succeeded", "exit code 0"),
        ("echo broken >&2; exit 3", "retryable", "exit code 3: broken"),
        ("exit 75", "retryable", "asks to be tried again"),
        ("exit 127", "unavailable", "could not be started"),
        ("kill -9 $$", "retryable", "signal 9"),
        ("echo 'usage limit reached|4102444800' && exit 1", "limited", "usage limit"),
        ("echo 'fixed the usage limit bug' && exit 0", "succeeded", "exit code 0"),
    ],
)
def test_ends_are_told_apart(tmp_path: Path, line: str, kind: str, reason: str) -> None:
    outcome = run(tmp_path, line)
    assert outcome.kind == kind
    assert reason in outcome.reason


def test_stated_reset_is_passed_on(tmp_path: Path) -> None:
    assert run(tmp_path, "echo 'Usage limit reached, try again in 2h' >&2; exit 1").resets_at is not None


@pytest.mark.parametrize(
    "line",
    [
        "echo 'cc: Disk quota exceeded' >&2; exit 1",
        "printf 'usage limit reached|4102444800\\nmake: *** [all] Error 2\\n'; exit 2",
        "echo 'FAILED tests/test_quota.py::test_quota_exceeded' && exit 1",
        "echo 'billing.QuotaExceededError: quota exceeded' >&2; exit 1",
        "echo 'ERROR: HTTP error 429 while getting https://pypi.example/simple/x' >&2; exit 1",
    ],
)
def test_a_failure_that_prints_of_quotas_is_no_usage_limit(tmp_path: Path, line: str) -> None:
    assert run(tmp_path, line).kind == "retryable"


@pytest.mark.parametrize(
    "line",
    [
        'echo \'{"type":"result","is_error":true,"result":"Claude AI usage limit reached|4102444800"}\'; exit 1',
        "echo \"You've hit your weekly limit · resets Mon 9am\"; echo 'done' >&2; exit 1",
        "echo 'Usage limit reached'; echo '{\"tokens\": 5}'; exit 1",
        "echo 'the budget of the team renews in 2 hours' >&2; exit 75",
    ],
)
def test_the_last_line_of_either_stream_tells_of_a_usage_limit(tmp_path: Path, line: str) -> None:
    assert run(tmp_path, line).kind == "limited"


def test_last_line_may_report_tokens_and_cost(tmp_path: Path) -> None:
    outcome = run(tmp_path, """printf 'done\\n{"tokens": {"input": 5, "output": 2}, "cost": 0.5}\\n'""")
    assert outcome.tokens is not None
    assert (outcome.tokens.total, outcome.cost, outcome.final_text) == (7, 0.5, "done")
    silent = run(tmp_path, "echo '{\"other\": 1}'")
    assert (silent.tokens, silent.cost) == (None, None)


@pytest.mark.parametrize("tokens", ["-5", '{"total": -5}', '{"input": 18446744073709551615}', "true", '"9"', "0.5"])
def test_a_report_that_no_issue_can_have_used_is_none(tmp_path: Path, tokens: str) -> None:
    outcome = run(tmp_path, f"""echo '{{"tokens": {tokens}, "cost": -3}}'""")
    assert (outcome.tokens.total if outcome.tokens is not None else 0, outcome.cost) == (0, None)


@pytest.mark.parametrize(
    ("line", "shell"),
    [
        ("my-agent --flag value", False),
        ("my-agent 'a; b | c'", False),
        ('my-agent "a; b"', False),
        ('my-agent "$HOME"', True),
        ("a | b", True),
        ("a && b", True),
        ("a > file", True),
        ("NAME=value a", True),
        ("a *.md", True),
        ("a it\\;self", False),
    ],
)
def test_shell_is_used_where_its_syntax_is(line: str, shell: bool) -> None:
    assert needs_shell(line) is shell


@pytest.mark.parametrize("line", ["", "  ", "no-such-program-anywhere --x", "broken 'quote"])
def test_unusable_command_is_a_clear_error(line: str) -> None:
    agent = choose({"KUGETSU_AGENT": "command", "KUGETSU_AGENT_COMMAND": line})
    if "broken" not in line:
        assert agent.check()[0].fatal
    with pytest.raises(AgentUnavailable) as caught:
        agent.require()
    assert "KUGETSU_AGENT_COMMAND" in (caught.value.hint or "")


def test_busy_command_is_healthy_and_idle_one_unknown(tmp_path: Path) -> None:
    agent = choose({"KUGETSU_AGENT": "command", "KUGETSU_AGENT_COMMAND": "x"})
    for line, health in ((["sh", "-c", "while :; do :; done"], "healthy"), (["sleep", "60"], "unknown")):
        with subprocess.Popen(line) as process:
            try:
                seen = agent.checkup(Running("cmd_1", str(tmp_path / "o"), str(tmp_path / "e"), process.pid, 60))
            finally:
                process.kill()
        assert seen.health == health


def test_progress_is_the_last_line(tmp_path: Path) -> None:
    agent = choose({"KUGETSU_AGENT": "command", "KUGETSU_AGENT_COMMAND": "x"})
    (tmp_path / "o").write_text("one\ntwo  words\n")
    assert agent.progress(str(tmp_path / "o")).last == "two words"
    assert agent.progress(str(tmp_path / "no")).last is None
