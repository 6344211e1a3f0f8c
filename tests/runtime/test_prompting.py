"""The prompt: the workflow, what went wrong before, and the message, whole and last, byte for byte."""

from __future__ import annotations

import pytest

from kugetsu.domain.decide import sessions
from runtime.stage import Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

MESSAGES = {
    "long": "line of a long message, ünïcødé 月月\n" * 2800,
    "newlines": "\n\n  first\r\n\tsecond\n\n\n",
    "quotes": 'it\'s "quoted" `back` $HOME ${x} $(id) \\ %s {issue} {worktree}',
    "dashes": "--force\n-rf /\n--",
    "markup": "<a>&amp;</a> \x1b[31m\x07 end",
    "wide": "日本語 🦊 ‮ \u200b",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_arrives_byte_for_byte_on_the_agents_input(stage: Stage, name: str) -> None:
    stage.agent('cat > "$STAGE/prompt"')
    message = MESSAGES[name]
    stage.start(1, message)
    assert stage.finished("q1") == "completed"
    got = (stage.folder / "prompt").read_bytes()
    workflow, found, _ = got.partition(message.encode())
    assert found == message.encode()
    assert got == workflow + message.encode(), "nothing comes after it"
    assert str(stage.ref(1)).encode() in workflow


def test_the_workflow_names_issue_worktree_branch_and_base(stage: Stage) -> None:
    stage.agent('cat > "$STAGE/prompt"')
    stage.start(1)
    stage.finished("q1")
    prompt = stage.file("prompt")
    for text in (
        str(stage.ref(1)),
        str(stage.worktree(1)),
        "fix/issue-1",
        "main at ",
        stage.settings["KUGETSU_TEMP_DIR"],
    ):
        assert text in prompt
    assert "An earlier attempt" not in prompt


def test_a_workflow_of_ones_own_replaces_the_packages(stage: Stage) -> None:
    (stage.directory / "workflow.md").write_text("Mind {issue} and {unknown}.\n")
    stage.agent('cat > "$STAGE/prompt"')
    stage.start(1, "the message")
    stage.finished("q1")
    prompt = stage.file("prompt")
    assert prompt.startswith(f"Mind {stage.ref(1)} and {{unknown}}.\n")
    assert prompt.endswith("the message")


def test_the_pull_request_is_named_once_it_is_known(stage: Stage) -> None:
    url = "https://git.example.com/a/b/pulls/7"
    stage.start(1)
    stage.finished("q1")
    stage.ws.log.transact(lambda state: sessions.set_pr(state, str(stage.ref(1)), url, "said"))
    stage.agent('cat > "$STAGE/prompt"')
    stage.start(1)
    stage.finished("q2")
    assert url in stage.file("prompt")
