"""The window of a log that ends at its last error line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kugetsu.runtime import error_window

NOISE = "\n".join(f"src/module_{number}.py     120      3    97%" for number in range(400))


@pytest.mark.parametrize(
    ("log", "error"),
    [
        (
            "x = 1\nE       assert 1 == 2\nFAILED tests/test_a.py::test_a - assert 1 == 2\n1 passed in 0.1s",
            "FAILED tests",
        ),
        (
            "--- FAIL: TestA (0.00s)\n    a_test.go:5: got 1\nFAIL\nFAIL\texample/a\t0.003s\nok  \texample/b",
            "FAIL\texample",
        ),
        (
            "test a ... FAILED\ntest result: FAILED. 1 passed; 1 failed; 0 ignored\nSaving the cache",
            "test result: FAILED",
        ),
        ("src/a.ts(3,5): error TS2304: Cannot find name 'x'.\ndone in 3s", "src/a.ts(3,5): error"),
        ("a.c:3:5: error: expected ';'\nmake: *** [Makefile:2: a.o] Error 1", "a.c:3:5: error"),
        ("Traceback (most recent call last):\n  File 'a.py'\nKeyError: 'x'\nremoving container", "KeyError: 'x'"),
        ("  1 passing (3ms)\n  1 failing\n\n  at Context", "  1 failing"),
        ("sh: 1: tox: not found\n/bin/sh: tox: command not found\nbye", "/bin/sh: tox"),
        ("make: *** [Makefile:2: test] Error 2\n", "make: ***"),
    ],
)
def test_the_window_ends_at_the_last_error_line(log: str, error: str) -> None:
    found = error_window.window(log)
    assert found.error is not None and found.error.startswith(error)
    assert found.lines[-1] == found.error


@pytest.mark.parametrize(
    "log", ["12 passed, 0 failed\nno errors", "test_error_handling ok\nsrc/errors.py 100%", "done"]
)
def test_a_log_without_an_error_line_says_so(log: str) -> None:
    found = error_window.window(log)
    assert found.error is None and found.lines[-1] == log.splitlines()[-1]
    assert "no error line found" in found.told()
    assert error_window.window("").told() == "[no output]"


def test_what_comes_after_the_error_does_not_push_it_out() -> None:
    found = error_window.window(f"{NOISE}\nE   assert 3 == 4\n{NOISE}\nmake: *** [test] Error 1", 300)
    assert found.error == "E   assert 3 == 4"
    assert found.before > 390 and found.after == 401
    told = found.told()
    assert "401 lines after the last error line" in told and len(told) < 400


def test_the_budget_holds_whole_lines_and_bounds_long_ones() -> None:
    found = error_window.window("a" * 5000 + "\nError: b" + "c" * 5000, 500)
    assert sum(len(line) + 1 for line in found.lines) <= 501
    assert len(found.lines) == 1 and found.before == 1


def test_it_shows_what_a_terminal_would_and_no_secret() -> None:
    log = "10%\r50%\r100%\n\x1b[31mError: no\x1b[0m \x1b]0;title\x07x\x00 https://u:hunter2secret@example.com/\n"
    shown = error_window.window(log).lines
    assert shown[0] == "100%"
    assert shown[1].startswith("Error: no x https://") and "hunter2secret" not in shown[1]


def test_a_checks_log_shows_each_failing_step_with_its_command() -> None:
    at = "2026-11-30T10:00:00.1234567Z "
    lines = [
        "##[group]Run actions/checkout@v4",
        "error: ignored by the step",
        "##[endgroup]",
        "##[group]Run npm ci",
        "npm ci",
        "npm test",
        "shell: /usr/bin/bash -e {0}",
        "##[endgroup]",
        "  ✕ adds",
        "Tests: 1 failed, 3 passed",
        "##[error]Process completed with exit code 1.",
        "##[group]Run ./lint",
        "./lint",
        "shell: /usr/bin/bash -e {0}",
        "##[endgroup]",
        "all good, 0 errors",
        "##[error]Process completed with exit code 3.",
        "Post job cleanup.",
    ]
    told = error_window.of_log("\n".join(at + line for line in lines))
    first, second = told.split("\n\n")
    assert first.startswith("$ npm ci\nnpm test\n") and "Tests: 1 failed, 3 passed" in first
    assert second.startswith("$ ./lint\n") and "exit code 3" in second
    assert "checkout" not in told and "2026" not in told and "cleanup" not in told


def test_a_log_of_giteas_runner_has_steps_too() -> None:
    told = error_window.of_log(
        "⭐ Run Main make test\na.c:1:1: error: bad\n  ❌  Failure - Main make test\nCleaning up"
    )
    assert told.startswith("$ make test\n") and "a.c:1:1: error: bad" in told
    assert "Cleaning" not in told


def test_a_real_failing_test_is_found() -> None:
    code = "import unittest\nclass T(unittest.TestCase):\n def test_a(self): self.assertEqual(1, 2)\nunittest.main()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    found = error_window.window(ran.stderr + NOISE)
    assert found.error == "FAILED (failures=1)"
    assert any("AssertionError: 1 != 2" in line for line in found.lines)
