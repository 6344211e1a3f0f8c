"""The line that names the cause is found among those that a program wrote, and it is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.agents import error_lines

TRACEBACK = """warming up
Traceback (most recent call last):
  File "/x/agent.py", line 3, in <module>
    main()
  File "/x/agent.py", line 2, in main
    raise ValueError("no such option")
ValueError: no such option
"""
QUERY = """Error: Unexpected error

Failed query: insert into "session" ("id") values (?)
params: ses_1,/wt,{"a":1}
"""
FULL = """npm warn old lockfile
npm error code ENOSPC
npm error write ENOSPC: no space left on device, write
npm error A complete log of this run can be found in: /root/.npm/_logs/debug.log
"""


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("", ""),
        ("one line\n", "one line"),
        (TRACEBACK, "ValueError: no such option"),
        (QUERY, 'Failed query: insert into "session" ("id") values (?)'),
        (FULL, "npm error code ENOSPC"),
        ("Error: cannot read x\n--- Input ---\n{\n--- End ---\n", "Error: cannot read x"),
        ("working\nstill working\n---\n}\n", "still working"),
        ("cc: error: no input files\nmake: *** [all] Error 2\n", "cc: error: no input files"),
        ("sh: 1: my-agent: not found\n", "sh: 1: my-agent: not found"),
        ("fatal: not a git repository\nhint: try git init\n", "fatal: not a git repository"),
        ("----\n", "----"),
    ],
)
def test_the_line_that_names_the_cause_is_told(said: str, cause: str) -> None:
    assert error_lines.cause(said.splitlines()) == cause


def test_a_long_line_is_cut_around_what_matters() -> None:
    line = "PlatformError: FileSystem.writeFile (/" + "x" * 300 + ") (cause: ENOSPC: no space left on device, write)"
    cause = error_lines.cause([line])
    assert "ENOSPC" in cause
    assert len(cause) <= error_lines.LENGTH


def test_no_half_of_a_secret_is_left_where_a_line_is_cut() -> None:
    key = "sk-ant-" + "a1B2" * 20
    assert "a1B2" not in error_lines.cause(["Error: " + "x" * 140 + " " + key])


@given(st.lists(st.text(max_size=300), max_size=8))
def test_a_cause_is_one_bounded_line(lines: list[str]) -> None:
    cause = error_lines.cause(lines)
    assert len(cause) <= error_lines.LENGTH
    assert len(cause.splitlines()) <= 1
