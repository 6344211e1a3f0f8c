"""Programs that say that they executed nothing, and others that only look like it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kugetsu.runtime.verification import nothing_ran


@pytest.mark.parametrize(
    ("code", "output", "program"),
    [
        (5, "collected 0 items\n\n============ no tests ran in 0.01s ============\n", "pytest"),
        (5, "============ 5 deselected in 0.01s ============\n", "pytest"),
        (0, "============ 2 skipped in 0.01s ============\n", "pytest"),
        (0, "collected 0 items\n", "pytest"),
        (0, "collected 0 items / 3 deselected\n", "pytest"),
        (0, "Ran 0 tests in 0.000s\n\nNO TESTS RAN\n", "unittest"),
        (0, "?   \texample.org/a\t[no test files]\n?   \texample.org/b\t[no test files]\n", "go test"),
        (0, "ok  \texample.org/a\t0.002s [no tests to run]\n", "go test"),
        (0, "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored\n\nrunning 0 tests\n", "cargo test"),
        (0, "\n\n  0 passing (1ms)\n\n", "mocha"),
        (1, "No tests found, exiting with code 1\nRun with `--passWithNoTests`", "jest"),
        (0, "No tests found\n", "jest"),
        (1, "No tests found, exiting with code 1\n", "jest"),
        (1, "No test files found, exiting with code 1\n\nfilter: x\n", "vitest"),
        (0, "# tests 0\n# pass 0\n", "node"),
        (1, '> test\n> echo "Error: no test specified" && exit 1\n\nError: no test specified\n', "npm"),
        (0, "make: 'test' is up to date.\n", "make"),
        (0, "make: Nothing to be done for 'test'.\n", "make"),
    ],
)
def test_it_is_told_by_the_programs_words(code: int, output: str, program: str) -> None:
    assert nothing_ran.found(code, output) == program


@pytest.mark.parametrize(
    ("code", "output"),
    [
        (0, ""),
        (0, "built\n"),
        (0, "============ 3 passed, 2 skipped in 0.01s ============\n"),
        (0, "no tests ran in 0.01s\n\n3 passed in 0.2s\n"),
        (0, "?   \texample.org/a\t[no test files]\nok  \texample.org/b\t0.003s\n"),
        (0, "ok  \texample.org/b\t(cached)\n?   \texample.org/a\t[no test files]\n"),
        (0, "running 3 tests\ntest result: ok. 3 passed; 0 failed\n\n   Doc-tests a\n\nrunning 0 tests\n"),
        (0, "  0 passing (1ms)\n\n  12 passing (3ms)\n"),
        (0, "collected 0 items\n\ncollected 4 items\n\n4 passed in 0.1s\n"),
        (0, "collected 0 items / 1 error\n"),
        (0, "No tests found in a/\nTests:       2 passed, 2 total\n"),
        (0, "I collected 0 items of the shop\n"),
        (2, "collected 0 items / 1 error\nno tests ran in 0.01s\n"),
        (1, "running 0 tests\nerror: could not compile\n"),
        (None, "no tests ran in 0.01s\n"),
        (0, "make[1]: Nothing to be done for 'all'.\n./check\nall good\n"),
        (0, "make: 'lib' is up to date.\n\nRan 4 tests in 0.000s\n\nOK\n"),
    ],
)
def test_where_something_ran_or_failed_it_is_not(code: int | None, output: str) -> None:
    assert nothing_ran.found(code, output) is None


def test_the_real_unittest_and_pytest_say_so(tmp_path: Path) -> None:
    def ran(*arguments: str) -> str | None:
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return nothing_ran.found(done.returncode, done.stdout + done.stderr)

    (tmp_path / "test_a.py").write_text("")
    assert ran("unittest") == "unittest"
    assert ran("pytest", "-p", "no:cacheprovider") == "pytest"
    (tmp_path / "test_a.py").write_text("def test_a(): pass\n")
    assert ran("pytest", "-p", "no:cacheprovider") is None
    assert ran("pytest", "-p", "no:cacheprovider", "-q", "-k", "nothing") == "pytest"
