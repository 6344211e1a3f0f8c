"""Verification of a run's work: of what is committed, by real processes, and nothing of it is left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from forge.scripted import ScriptedForge
from kugetsu.model import result_words
from kugetsu.runtime import liveness, reconcile, stop_attempt
from kugetsu.runtime.git import scratch
from kugetsu.runtime.process import identity, termination
from runtime.forged import PUSH, forge, forged, worked
from runtime.repos import commit, run
from runtime.stage import COMMIT, ENDS, Stage, bare_stage, stage
from runtime.supervised import eventually

__all__ = ["bare_stage", "forge", "forged", "stage"]

HANGS = 'echo testing; touch "$STAGE/verifying-$KUGETSU_ATTEMPT"; setsid sleep 600 & sleep 600'


def ended(stage: Stage, attempt: str) -> dict[str, Any]:
    """What is recorded of an attempt's end."""
    return dict(stage.wait(*ENDS, attempt=attempt)["data"])


def verification(stage: Stage, attempt: str = "q1.1") -> dict[str, Any]:
    """What is recorded of an attempt's verification."""
    return dict(ended(stage, attempt)["evidence"]["verification"])


def result(stage: Stage, attempt: str = "q1.1") -> dict[str, Any]:
    """The attempt's result."""
    return dict(ended(stage, attempt)["result"])


def run_one(stage: Stage, command: str, agent: str = COMMIT, number: int = 1, **settings: str) -> None:
    """An attempt with this agent, whose work is verified by this command; waits for its end."""
    stage.agent(agent)
    stage.configure(VERIFY_COMMAND=command, **settings)
    stage.start(number)
    stage.finished(f"q{number}")


def nothing_left(stage: Stage) -> None:
    """No checkout, no record of one, no process."""
    assert scratch.left_over(stage.ws.paths, ()) == []
    assert not os.path.isdir(stage.ws.paths.scratch) or os.listdir(stage.ws.paths.scratch) == []
    assert "scratch" not in run(stage.repository, "worktree", "list")
    for nonce in stage.nonces().values():
        assert eventually(lambda nonce=nonce: not termination.marked(nonce))


def test_work_that_passes_is_bound_to_commit_and_tree(stage: Stage) -> None:
    run_one(stage, "pwd; cat work; git status --porcelain; echo fine")
    found = verification(stage)
    head = run(stage.worktree(1), "rev-parse", "HEAD")
    assert (found["code"], found["exit"], found["commit"]) == ("passed", 0, head)
    assert found["tree"] == run(stage.worktree(1), "rev-parse", "HEAD^{tree}")
    folder, *lines = found["tail"].splitlines()
    assert lines == ["q1.1", "fine"] and folder.startswith(stage.ws.paths.scratch)
    assert Path(found["output"]).read_text().endswith("fine\n")
    assert result(stage)["verification"]["code"] == "passed"
    assert result(stage)["kind"] == "unpushed"
    nothing_left(stage)


def test_what_works_only_with_an_uncommitted_file_fails(stage: Stage) -> None:
    agent = "touch there; echo ignored > ignored;" + COMMIT + "rm work; echo changed > work\n"
    run_one(stage, "test ! -e work -o -e there || { echo 'Error: there is missing'; exit 7; }", agent)
    assert (stage.worktree(1) / "there").exists()
    found = result(stage)
    assert (found["kind"], found["verification"]["exit"]) == ("checks_failed", 7)
    assert found["uncommitted"] == 2 and found["commits"] == 1
    (seen,) = stage.events("feedback.seen")
    (item,) = seen["data"]["items"]
    assert item["id"] == f"verification:{verification(stage)['commit']}:{verification(stage)['sha']}"
    assert (item["kind"], item["counts"], item["log"]) == ("verification", True, "Error: there is missing")
    assert "-e there" in item["name"]
    assert stage.state.tasks["q1"].state == "completed"


def test_a_later_run_that_passes_ends_the_feedback(stage: Stage) -> None:
    run_one(stage, "test ! -e work -o -e there")
    stage.agent("touch there; git add there; git commit -qm there\n")
    stage.start(1, "add it")
    stage.finished("q2")
    assert verification(stage, "q2.1")["code"] == "passed"
    assert stage.events("feedback.seen")[-1]["data"]["gone"] == [
        stage.events("feedback.seen")[0]["data"]["items"][0]["id"]
    ]


def test_nothing_ran_is_told_from_passed(stage: Stage) -> None:
    run_one(stage, "echo; echo '==== no tests ran in 0.01s ===='; exit 5")
    assert (verification(stage)["code"], verification(stage)["why"]) == ("nothing_ran", "pytest")
    assert result(stage)["kind"] == "unpushed"
    assert not stage.events("feedback.seen")


def test_a_base_that_fails_too_is_no_failure_of_the_work_and_verified_once(stage: Stage) -> None:
    command = 'echo "$PWD" >> "$STAGE/verified"; exit 1'
    run_one(stage, command)
    assert verification(stage)["code"] == "base_failed"
    assert result(stage)["kind"] == "unpushed"
    assert not stage.events("feedback.seen")
    bases = [base["data"] for base in stage.events("base.verified")]
    assert [base["tries"] for base in bases] == [1, 2], "a red base is tried again before it is believed"
    assert {base["commit"] for base in bases} == {run(stage.repository, "rev-parse", "main")}
    stage.start(2)
    stage.finished("q2")
    assert verification(stage, "q2.1")["code"] == "base_failed"
    assert len(stage.events("base.verified")) == 2
    assert len((stage.folder / "verified").read_text().splitlines()) == 4, "two works, and the base twice"


def test_a_base_that_fails_by_a_flake_is_not_red(stage: Stage) -> None:
    flaky = (
        'case "$PWD" in *verify-base) test -e "$STAGE/tried" || { touch "$STAGE/tried"; exit 1; };; *) exit 3;; esac'
    )
    run_one(stage, flaky)
    assert [base["data"]["code"] for base in stage.events("base.verified")] == ["failed", "passed"]
    assert (result(stage)["kind"], verification(stage)["exit"]) == ("checks_failed", 3)


def test_a_command_that_cannot_be_run_says_nothing_of_the_work(stage: Stage) -> None:
    run_one(stage, "no-such-program --all")
    found = verification(stage)
    assert (found["code"], found["exit"]) == ("not_found", 127) and "no-such-program" in found["why"]
    assert result(stage)["kind"] == "unpushed" and not stage.events("feedback.seen")
    assert "not verified: VERIFY_COMMAND not found" in result_words.words(result(stage))
    assert not stage.events("base.verified"), "what is not installed may be tomorrow"
    run_one(stage, "./README", number=2)
    assert verification(stage, "q2.1")["code"] == "not_executable"
    run_one(stage, "test ! -e work || exit 127", number=3)
    assert (verification(stage, "q3.1")["code"], result(stage, "q3.1")["kind"]) == ("failed", "checks_failed")


def test_an_output_is_kept_without_escapes_and_secrets(stage: Stage) -> None:
    token = "ghp_0123456789012345678901234567890123ab"
    coloured = f"{token[:12]}\\033[1m{token[12:]}"
    run_one(
        stage,
        f"printf '\\033[31mred\\033[0m \\a\\033]0;title\\007x {coloured}\\n10%%\\r20%%\\n'; yes long | head -c 9000",
    )
    tail = verification(stage)["tail"]
    assert len(tail) <= 1500 and set(tail.split()) == {"long"}
    run_one(stage, f"printf '\\033[31mred\\033[0m \\a\\033]0;title\\007x {coloured}\\n10%%\\r20%%\\n'", number=2)
    lines = verification(stage, "q2.1")["tail"].splitlines()
    assert lines[0].startswith("red x ") and token not in lines[0] and lines[1] == "20%"


def test_two_at_once_have_a_checkout_each_and_the_base_runs_once(stage: Stage) -> None:
    command = 'case "$PWD" in *base*) echo base;; *) echo work;; esac >> "$STAGE/verified"; exit 1'
    both = 'touch "$STAGE/here-$NUMBER"; while ! test -e "$STAGE/here-1" -a -e "$STAGE/here-2"; do sleep 0.02; done\n'
    stage.configure(VERIFY_COMMAND=f"{{ {command}; }}", MAX_CONCURRENT_AGENTS="2")
    stage.agent(both + COMMIT)
    stage.start(1)
    stage.start(2)
    stage.finished("q1")
    stage.finished("q2")
    assert {verification(stage, one)["code"] for one in ("q1.1", "q2.1")} == {"base_failed"}
    assert sorted((stage.folder / "verified").read_text().split()) == ["base", "base", "work", "work"]
    assert [base["data"]["tries"] for base in stage.events("base.verified")] == [1, 2]
    nothing_left(stage)


def test_its_time_limit_ends_it_and_the_attempts_own_too(stage: Stage) -> None:
    run_one(stage, HANGS, VERIFY_MINUTES="0.01")
    assert (verification(stage)["code"], result(stage)["kind"]) == ("too_slow", "unpushed"), "the base hangs as well"
    assert [base["data"]["code"] for base in stage.events("base.verified")] == ["timed_out"]
    stage.configure(VERIFY_MINUTES="10")
    run_one(stage, "sleep 600", number=2, TASK_TIMEOUT_HOURS="0.0005")
    assert (verification(stage, "q2.1")["code"], verification(stage, "q2.1")["why"]) == ("not_run", "time_limit")
    nothing_left(stage)


STUBBORN = """trap "" TERM; setsid sh -c 'trap "" TERM; echo $$ > "$STAGE/grandchild"; exec sleep 600' & \
while ! test -s "$STAGE/grandchild"; do sleep 0.02; done; touch "$STAGE/verifying-$KUGETSU_ATTEMPT"; wait; sleep 600"""


def test_a_cancel_ends_one_that_ignores_sigterm_with_its_grandchild(stage: Stage) -> None:
    stage.agent(COMMIT)
    stage.configure(VERIFY_COMMAND=STUBBORN)
    stage.start(1)
    stage.file("verifying-q1.1")
    seen = liveness.progress(stage.ws, stage.state, stage.state.attempts["q1.1"])
    assert seen is not None and seen.last == "verifying", "it prints nothing"
    stop_attempt.cancel(stage.ws, "q1")
    assert stage.finished("q1") == "cancelled"
    left = identity.stat(stage.written_pid("grandchild"))
    assert left is None or left.dead
    assert "cancelled while its work was verified" in ended(stage, "q1.1")["reason"]
    nothing_left(stage)


def test_a_cancel_ends_it_and_cancels_the_task(stage: Stage) -> None:
    stage.agent(COMMIT)
    stage.configure(VERIFY_COMMAND=HANGS)
    stage.start(1)
    stage.file("verifying-q1.1")
    stop_attempt.cancel(stage.ws, "q1")
    assert stage.finished("q1") == "cancelled"
    assert (verification(stage)["code"], verification(stage)["why"]) == ("not_run", "cancelled")
    assert run(stage.worktree(1), "log", "-1", "--format=%s") == "Work on q1.1", "commits stay"
    nothing_left(stage)


@pytest.fixture
def opening(forged: Stage, forge: ScriptedForge) -> Stage:
    """A stage whose pushed work gets a pull request."""
    forged.configure(OPEN_PULL_REQUEST="missing", RETRY_BACKOFF_SECONDS="0")
    forge.issue("acme/web", 14, title="Login is slow")
    return forged


def test_a_pull_request_is_opened_when_it_passes_and_not_before(opening: Stage, forge: ScriptedForge) -> None:
    opening.configure(VERIFY_COMMAND="test ! -e work -o -e there")
    worked(opening, script=COMMIT + PUSH)
    found = opening.state.sessions[str(opening.ref(14))].result
    assert found is not None and found["kind"] == "checks_failed"
    assert result_words.words(found) == "pushed, verification failed (exit 1)"
    assert not opening.events("pull.opening") and not forge.pulls("acme/web")
    opening.agent("touch there; git add there; git commit -qm there\n" + PUSH)
    opening.start(14, "add it")
    opening.wait("pull.opened")
    assert len(forge.pulls("acme/web")) == 1
    found = opening.state.sessions[str(opening.ref(14))].result
    assert found is not None and result_words.words(found).endswith("verified")


def test_an_open_pull_request_is_kept_in_the_result(opening: Stage, forge: ScriptedForge) -> None:
    opening.configure(VERIFY_COMMAND="test ! -e work")
    forge.pull("acme/web", 20, branch="fix/issue-14")
    worked(opening, script=COMMIT + PUSH)
    found = opening.state.sessions[str(opening.ref(14))].result
    assert found is not None and found["pull"]["number"] == 20
    assert result_words.words(found) == "PR #20, verification failed (exit 1)"


@pytest.mark.parametrize("command", [HANGS, f'case "$PWD" in *base) {HANGS};; *) exit 1;; esac'], ids=["work", "base"])
def test_a_killed_runner_leaves_nothing_and_no_pass(stage: Stage, command: str) -> None:
    stage.agent(COMMIT)
    stage.configure(VERIFY_COMMAND=command)
    stage.start(1)
    stage.file("verifying-q1.1")
    seen = liveness.progress(stage.ws, stage.state, stage.state.attempts["q1.1"])
    assert command != HANGS or (seen is not None and seen.last == "verifying: testing")
    stage.kill(stage.state.attempts["q1.1"].runner)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert (verification(stage)["code"], verification(stage)["why"]) == ("not_run", "runner_killed")
    assert result(stage)["kind"] == "unpushed"
    nothing_left(stage)


def test_secrets_and_forge_tokens_do_not_reach_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "key-of-the-shell")
    monkeypatch.setenv("GITEA_TOKEN_GIT_EXAMPLE_ORG", "token-of-the-shell")
    monkeypatch.setenv("PLAIN", "plain-of-the-shell")
    env = Path(stage.ws.paths.env)
    env.mkdir(mode=0o700, exist_ok=True)
    file = env / "default.env"
    file.write_text(
        "GITEA_TOKEN=token-of-the-file\nCOPY=x-token-of-the-file\nNPM_TOKEN=npm-of-the-file\nSETTING=some\n"
    )
    file.chmod(0o600)
    command = 'env | cut -d= -f1 > "$STAGE/names-$KUGETSU_ATTEMPT"'
    run_one(stage, command)
    names = set(stage.file("names-q1.1").split())
    assert {"PLAIN", "PATH", "HOME", "KUGETSU_DIR", "KUGETSU_LEASE"} <= names
    assert not names & {"MY_API_KEY", "GITEA_TOKEN_GIT_EXAMPLE_ORG", "GITEA_TOKEN", "COPY", "NPM_TOKEN", "SETTING"}
    run_one(stage, command, number=2, VERIFY_SECRETS="true")
    names = set(stage.file("names-q2.1").split())
    assert {"PLAIN", "MY_API_KEY", "NPM_TOKEN", "SETTING"} <= names
    assert not names & {"GITEA_TOKEN_GIT_EXAMPLE_ORG", "GITEA_TOKEN", "COPY"}


def test_the_checkout_is_made_ready_and_a_failed_set_up_says_so(stage: Stage) -> None:
    run_one(stage, "cat made", WORKTREE_SETUP="test ! -e work || touch work-seen; echo done > made")
    assert (verification(stage)["code"], verification(stage)["tail"]) == ("passed", "done")
    run_one(stage, "true", number=2, WORKTREE_SETUP='case "$PWD" in *verify) exit 4;; esac')
    found = verification(stage, "q2.1")
    assert (found["code"], found["exit"]) == ("set_up_failed", 4)
    assert result(stage, "q2.1")["kind"] == "checks_failed"
    assert not [seen for seen in stage.events("base.verified") if seen["data"]["code"] == "set_up_failed"]


def test_without_a_commit_or_a_command_nothing_is_verified(stage: Stage) -> None:
    run_one(stage, "touch $STAGE/ran; false", "echo change >> README\n")
    assert "verification" not in ended(stage, "q1.1")["evidence"]
    run_one(stage, "", number=2)
    assert "verification" not in ended(stage, "q2.1")["evidence"]
    assert not (stage.folder / "ran").exists()


def test_the_agents_processes_have_ended_before_it_starts(stage: Stage) -> None:
    agent = (
        COMMIT
        + 'setsid sh -c \'echo $$ > "$STAGE/left"; exec sleep 600\' & while ! test -s "$STAGE/left"; do :; done\n'
    )
    run_one(stage, 'kill -0 "$(cat "$STAGE/left")" && exit 1; exit 0', agent)
    assert verification(stage)["code"] == "passed"
    commit(stage.repository, "more")
    left = identity.stat(stage.written_pid("left"))
    assert left is None or left.dead
