"""Lines of log files obey nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kugetsu.runtime import log_lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("127.0.0.1: \x1b[2Jgone\r\nINFO forged", r"127.0.0.1: \x1b[2Jgone INFO forged"),
        ("title \x1b]0;owned\x07 \u202egnp", r"title \x1b]0;owned\x07 \u202egnp"),
        ("café  kept", "café kept"),
    ],
)
def test_what_a_terminal_obeys_is_escaped_and_one_line_stays_one(text: str, line: str) -> None:
    assert log_lines.harmless(text) == line


def test_a_note_is_one_line_that_obeys_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    log_lines.note("no rescue branch: \x1b[2Jgit said\nso")
    assert capsys.readouterr().err == "no rescue branch: \\x1b[2Jgit said so\n"


def test_no_other_place_prints_a_problem_to_standard_error() -> None:
    found = []
    for path in Path(log_lines.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                names = {ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "file"}
                if "sys.stderr" in names and path.name != "log_lines.py":
                    found.append(f"{path.name}:{node.lineno}")
    assert found == []
