"""The commands of a run are those that its program recorded, each with its exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kugetsu.agents.command import Command as CommandAgent
from kugetsu.agents.commands import OUTPUT_LIMIT, Command, commands_of
from kugetsu.agents.protocol import Ended


def call(command: object, *, tool: str = "bash", **state: Any) -> dict[str, Any]:
    given = {"command": command, "description": "x"}
    whole = {"status": "completed", "input": given, "output": "", "metadata": {"output": "", "exit": 0}, **state}
    return {"type": "tool_use", "timestamp": 1, "sessionID": "ses_1", "part": {"tool": tool, "state": whole}}


def write(folder: Path, *events: object) -> str:
    path = folder / "output.jsonl"
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in events))
    return str(path)


def test_commands_come_in_order_with_their_exit_codes(tmp_path: Path) -> None:
    output = write(
        tmp_path,
        {"type": "step_start", "part": {}},
        call("make test", output="3 failed\n", metadata={"output": "3 failed\n", "exit": 2}),
        call("README.md", tool="read"),
        call("git push", input={"command": "git push", "workdir": "/elsewhere"}),
    )
    assert commands_of(output) == [
        Command("make test", 2, "3 failed\n"),
        Command("git push", 0, "", "/elsewhere"),
    ]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"metadata": {"output": "…", "exit": None}}, [Command("make", None, "…")]),  # ended at its time limit
        ({"metadata": {"output": "…", "exit": True}}, [Command("make", None, "…")]),
        ({"status": "error", "metadata": {"output": "half"}, "output": None}, [Command("make", None, "half")]),
        ({"status": "error", "metadata": {}, "output": None}, []),  # refused by a permission
        ({"metadata": "none"}, []),
        ({"input": {"command": 7}}, []),
        ({"input": None}, []),
    ],
)
def test_a_call_without_an_exit_code_has_none_and_a_refused_one_ran_nothing(
    tmp_path: Path, state: dict[str, Any], expected: list[Command]
) -> None:
    assert commands_of(write(tmp_path, call("make", **state))) == expected


def test_what_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    assert commands_of(str(tmp_path / "missing")) == []
    os.mkfifo(tmp_path / "fifo")
    assert commands_of(str(tmp_path / "fifo")) == []
    garbled = ['{"type":"tool_use","part":{"tool":"ba', '["tool_use"]', '{"type":"tool_use","part":"x"}', "not JSON"]
    assert commands_of(write(tmp_path, *garbled, call("true"))) == [Command("true", 0)]


def test_of_a_long_output_the_end_is_kept(tmp_path: Path) -> None:
    [command] = commands_of(write(tmp_path, call("make", output="x" * OUTPUT_LIMIT + "the end")))
    assert len(command.output) == OUTPUT_LIMIT
    assert command.output.endswith("xthe end")


def test_a_command_agent_reports_what_it_printed_and_no_line(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("working\n")
    (tmp_path / "errors").write_text("error: failed to push some refs\n")
    ended = Ended("cmd_1", str(tmp_path / "output"), str(tmp_path / "errors"), exit_code=1)
    [command] = CommandAgent({}, {}).commands(ended)
    assert (command.line, command.exit) == ("", 1)
    assert command.output.split("\n") == ["working", "", "error: failed to push some refs", ""]
    assert CommandAgent({}, {}).commands(Ended("cmd_1", str(tmp_path / "no"), str(tmp_path / "no"))) == []
