"""Lines of log files obey nothing."""

from __future__ import annotations

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
