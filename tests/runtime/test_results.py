"""What came of a run is decided from evidence: git, the files of the run, what its own commands printed."""

from __future__ import annotations

import os
from typing import Any

import pytest

from kugetsu.agents.opencode import environment as opencode_environment
from kugetsu.runtime.runner import findings
from runtime.stage import ENDS, Stage, bare_stage, stage

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
