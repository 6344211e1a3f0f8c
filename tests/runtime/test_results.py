"""What came of a run is decided from evidence: git, the files of the run, what its own commands printed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from kugetsu.agents.opencode import environment as opencode_environment
from kugetsu.runtime.runner import findings
from runtime import repos
from runtime.stage import COMMIT, ENDS, UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]


def evidence(stage: Stage, script: str, number: int = 1) -> dict[str, Any]:
    """The evidence of one run of an agent."""
    stage.agent(script)
    task = stage.start(number).task
    stage.finished(task)
    return dict(stage.events(*ENDS, task=task)[-1]["data"]["evidence"])


# --- findings ---------------------------------------------------------------------------------------------------------


def test_a_findings_file_is_evidence_and_names_its_path(stage: Stage) -> None:
    seen = evidence(stage, 'printf "# Found\\n\\nIt is the cache.\\n" > "$KUGETSU_FINDINGS"\n')
    path = f"{stage.directory}/runs/q1.1/findings/findings.md"
    assert seen["findings"] == path
    assert findings.read(path) == "# Found\n\nIt is the cache.\n"
    prompt = (stage.directory / "runs/q1.1/prompt.md").read_text()
    assert f"- findings: {path}\n" in prompt


@pytest.mark.parametrize(
    "script",
    [
        "true\n",
        'printf "\\n \\n" > "$KUGETSU_FINDINGS"\n',
        'mkfifo "$KUGETSU_FINDINGS"\n',
        'mkdir "$KUGETSU_FINDINGS"\n',
        'ln -s "$HOME/.gitconfig" "$KUGETSU_FINDINGS"\n',
        'rmdir "${KUGETSU_FINDINGS%/*}"; ln -s "$HOME" "${KUGETSU_FINDINGS%/*}"; echo x > "$KUGETSU_FINDINGS"\n',
    ],
)
def test_what_is_no_file_with_words_in_it_is_no_finding(stage: Stage, script: str) -> None:
    assert "findings" not in evidence(stage, script)


def test_each_attempt_has_findings_of_its_own(stage: Stage) -> None:
    first = evidence(stage, 'echo one > "$KUGETSU_FINDINGS"\n')
    second = evidence(stage, "true\n")
    assert "findings" in first and "findings" not in second


def test_an_opencode_agent_may_write_where_its_findings_belong() -> None:
    given = {"HOME": "/home/x", "KUGETSU_FINDINGS": "/k/runs/q1.1/findings/findings.md"}
    folder = os.path.dirname(given["KUGETSU_FINDINGS"])
    chosen = opencode_environment.for_turn(given, "/w", ("/tmp/x", None, folder, ""))
    assert '"/k/runs/q1.1/findings/*":"allow"' in chosen["OPENCODE_PERMISSION"]
    assert '"/*":"allow"' not in chosen["OPENCODE_PERMISSION"]


# --- a refused push ---------------------------------------------------------------------------------------------------

REFUSING = '#!/bin/sh\necho "Forgejo: Not allowed to push to protected branch main" >&2\nexit 1\n'
PUSH = COMMIT + "git push -q origin HEAD 2>&1 || true\n"


@pytest.fixture
def remote(stage: Stage) -> Path:
    """A bare remote of the repository, whose hook refuses every push."""
    remote = stage.root / "srv" / "sample.git"
    repos.run(stage.root, "clone", "-q", "--bare", str(stage.repository), str(remote))
    repos.run(stage.repository, "remote", "add", "origin", str(remote))
    repos.run(stage.repository, "fetch", "-q", "origin")
    refuse(remote)
    return remote


def refuse(remote: Path, hook: str = REFUSING) -> None:
    """Let the remote refuse every push with the words of this hook."""
    path = remote / "hooks" / "pre-receive"
    path.parent.mkdir(exist_ok=True)
    path.write_text(hook)
    path.chmod(0o755)


def ended(stage: Stage, script: str, number: int = 1) -> dict[str, Any]:
    """The last end of a finished task."""
    stage.agent(script)
    task = stage.start(number).task
    stage.finished(task)
    return dict(stage.events(*ENDS, task=task)[-1]["data"])


def test_a_refused_push_is_a_result_with_the_servers_words(stage: Stage, remote: Path) -> None:
    data = ended(stage, PUSH)
    result = data["result"]
    assert (result["kind"], result["commits"], result["refused"]["code"]) == ("push_refused", 1, "protected_branch")
    assert "remote: Forgejo: Not allowed to push to protected branch main" in result["refused"]["words"]
    assert "(pre-receive hook declined)" in result["refused"]["words"]
    assert "push refused by the server" in data["reason"]
    assert stage.state.tasks["q1"].state == "completed"
    assert repos.run(stage.worktree(1), "log", "-1", "--format=%s") == "Work on q1.1"
    refuse(remote, "#!/bin/sh\n")
    again = ended(stage, "git push -q origin HEAD\n")
    assert (again["result"]["kind"], "refused" in again["result"]) == ("pushed", False)


def test_a_program_that_fails_with_a_refused_push_is_not_tried_again(stage: Stage, remote: Path) -> None:
    data = ended(stage, COMMIT + "git push -q origin HEAD\n")
    assert data["result"]["kind"] == "push_refused"
    assert stage.state.tasks["q1"].state == "error"
    assert len(stage.events("attempt.claimed")) == 1
    assert data["rescue"] and repos.run(stage.repository, "log", "-1", "--format=%s", data["rescue"])
    # Without a commit nothing was refused that could be refused again.
    stage.agent("git push -q origin HEAD:main; exit 1\n")
    stage.start(2)
    stage.wait("task.retried", task="q2")


def test_a_remote_that_does_not_answer_is_no_refusal(stage: Stage, remote: Path) -> None:
    remote.rename(remote.with_name("away"))
    result = ended(stage, PUSH)["result"]
    assert (result["kind"], "refused" in result) == ("unpushed", False)


def test_a_push_behind_the_remote_is_refused_and_one_after_a_rebase_went_through(stage: Stage, remote: Path) -> None:
    refuse(remote, "#!/bin/sh\n")
    other = stage.root / "other"
    repos.run(stage.root, "clone", "-q", str(remote), str(other))
    theirs = f'(cd "{other}"; git switch -qc fix/issue-1; git commit -q --allow-empty -m x; git push -q origin HEAD)\n'
    result = ended(stage, COMMIT + theirs + "git push origin HEAD:fix/issue-1 2>&1 || true\n")["result"]
    assert (result["kind"], result["refused"]["code"]) == ("push_refused", "non_fast_forward")
    push = "git push origin HEAD:fix/issue-1 2>&1\n"
    result = ended(stage, push + "git pull -q --rebase origin fix/issue-1\n" + push)["result"]
    assert (result["kind"], "refused" in result) == ("pushed", False)


# --- another checkout -------------------------------------------------------------------------------------------------

# git notes whole seconds: what was committed in the second in which the run began may be of before.
IN_CLONE = 'sleep 1.1; cd "{clone}" && echo x > elsewhere && git add elsewhere && git commit -qm "In the wrong place"\n'


def test_commits_in_the_clone_are_found_and_named(stage: Stage) -> None:
    result = ended(stage, IN_CLONE.format(clone=stage.repository))["result"]
    assert (result["kind"], result["commits"], result["elsewhere"]) == ("unpushed", 0, str(stage.repository))


def test_commits_in_the_clone_are_named_beside_those_of_the_run(stage: Stage) -> None:
    result = ended(stage, f"({IN_CLONE.format(clone=stage.repository).strip()})\n" + COMMIT)["result"]
    assert (result["kind"], result["commits"], result["elsewhere"]) == ("unpushed", 1, str(stage.repository))


def test_commits_of_before_and_of_other_sessions_are_not_this_runs(stage: Stage) -> None:
    repos.commit(stage.repository, "mine", message="of the user, before")
    assert "elsewhere" not in ended(stage, "true\n")["result"]
    ended(stage, COMMIT, 2)
    result = ended(stage, f'cd "{stage.worktree(2)}" && {COMMIT}', 3)["result"]
    assert (result["kind"], "elsewhere" in result) == ("nothing", False)
    repos.run(stage.repository, "switch", "-q", "-c", "other")  # moves nothing, commits nothing
    assert "elsewhere" not in ended(stage, "true\n", 4)["result"]


def test_while_several_work_nothing_shows_who_committed_in_the_clone(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    other = stage.start(2).task
    stage.at_work("q1.1")
    assert "elsewhere" not in ended(stage, IN_CLONE.format(clone=stage.repository))["result"]
    stage.go()
    stage.finished(other)


# --- findings and questions -------------------------------------------------------------------------------------------


def test_research_is_answered_and_a_stray_file_changes_nothing(stage: Stage) -> None:
    result = ended(stage, 'echo "It is the cache." > "$KUGETSU_FINDINGS"; echo x > notes.txt\n')["result"]
    assert (result["kind"], result["uncommitted"]) == ("answered", 1)
    assert result["answer"] == f"{stage.directory}/runs/q1.1/findings/findings.md"
    assert stage.state.tasks["q1"].state == "completed"


def test_a_question_is_one_until_the_run_delivers(stage: Stage) -> None:
    result = ended(stage, 'echo "Two formats are named. Which one do you want?"\n')["result"]
    assert (result["kind"], result["said"]) == ("question", "Which one do you want?")
    result = ended(stage, COMMIT + 'echo "Done. Should I also add a test?"\n')["result"]
    assert (result["kind"], result["said"]) == ("unpushed", "Should I also add a test?")
    result = ended(stage, 'echo "Which test do you mean?"\n')["result"]
    assert (result["kind"], result["commits"]) == ("question", 1)


@pytest.mark.parametrize(
    ("script", "kind"),
    [("true\n", "nothing"), ("echo x > new\n", "uncommitted"), ("echo x >> README\n", "uncommitted")],
)
def test_a_run_without_a_commit_says_what_it_left(stage: Stage, script: str, kind: str) -> None:
    assert ended(stage, script)["result"]["kind"] == kind
    assert stage.state.tasks["q1"].state == "completed"
