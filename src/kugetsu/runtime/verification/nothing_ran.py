"""Whether a test program says that it executed nothing, although it ended as if all were well.

The words are those of the programs' own sources and documentation, as named in the table. Only with the exit codes
named there: one that fails otherwise has failed. Where anything else in the output says that tests were executed, some
were.
"""

from __future__ import annotations

import re

from kugetsu.model.record import value


@value
class Sign:
    """How one program says that it executed nothing, and with which exit codes."""

    program: str
    words: str
    codes: tuple[int, ...] = (0,)


SIGNS = (
    # pytest: ExitCode.NO_TESTS_COLLECTED is 5; TerminalReporter.build_summary_stats_line
    Sign("pytest", r"^=* ?no tests (?:ran|collected)\b", (0, 5)),
    Sign("pytest", r"^=* ?\d+ (?:deselected|skipped)\b[^\n]* in \d", (0, 5)),
    # pytest: TerminalReporter.report_collect; a script may hide the exit code and cut the summary off
    Sign("pytest", r"^collected 0 items(?: / \d+ (?:deselected|skipped)[^\n]*)?$", (0, 5)),
    # unittest: TextTestRunner.run; exit code 5 since Python 3.12
    Sign("unittest", r"^Ran 0 tests in ", (0, 5)),
    # go test: "?   PACKAGE [no test files]"; "[no tests to run]" where -run matches none; go list's warning
    Sign("go test", r"\[no test files\]|\[no tests to run\]|^no test files$|matched no packages$"),
    # cargo test: "running 0 tests", once for each target
    Sign("cargo test", r"^running 0 tests$"),
    # cargo nextest: exit code 4 is NO_TESTS_RUN; a warning with --no-tests=warn
    Sign("cargo nextest", r"^(?:error|warning): no tests to run\b", (0, 4)),
    # mocha: reporter spec
    Sign("mocha", r"^\s*0 passing\b"),
    # jest (getNoTestsFoundMessage and its kin) and vitest, without --passWithNoTests with code 1
    Sign("jest", r"^No tests found\b", (0, 1)),
    Sign("vitest", r"^\s*No test files found\b", (0, 1)),
    # node --test: reporters spec and tap
    Sign("node", r"^(?:ℹ|#) tests 0$"),
    # TAP: a plan of none
    Sign("TAP", r"^1\.\.0\b"),
    # npm init's own script "test"
    Sign("npm", r"^Error: no test specified$", (1,)),
    # ctest: cmCTest; with --no-tests=error it fails with 8
    Sign("ctest", r"^No tests were found!!!$", (0, 8)),
    # rspec: summary line
    Sign("rspec", r"^0 examples, 0 failures\b"),
    # minitest: summary line
    Sign("minitest", r"^0 runs, 0 assertions\b"),
    # phpunit: "No tests executed!", with code 1 by --fail-on-empty-test-suite
    Sign("phpunit", r"^No tests executed!$", (0, 1)),
    # maven surefire, gradle's tasks, dotnet test, swift test
    Sign("maven", r"\bNo tests to run\.$|\bTests are skipped\.$"),
    Sign("gradle", r"^> Task :\S*[tT]est NO-SOURCE$"),
    Sign("dotnet", r"^No test is available in "),
    Sign("swift", r"\bExecuted 0 tests\b"),
    # GNU make, where a file or folder has the target's name; recipes that print nothing else
    Sign("make", r"\A(?:g?make(?:\[\d+\])?: (?:Nothing to be done for .*|['`]\S+' is up to date\.)\s*)+\Z"),
)
"""Every program that is known to say so."""

_EXECUTED = re.compile(
    r"(?<![\d.])[1-9]\d* (?:(?:tests?|examples?|runs?|specs?|assertions?) )?(?:passed|passing|failed|failing|errors?)\b"
    r"|\bRan [1-9]\d* tests? in |^running [1-9]\d* tests?$|^ok\s+\S+\s+(?:[\d.]+s|\(cached\))(?!.*\[no tests to run\])"
    r"|^--- (?:PASS|FAIL): |^(?:ℹ|#) tests [1-9]|^(?:not )?ok [1-9]|^[1-9]\d* (?:examples?|runs?), "
    r"|^OK \([1-9]\d* tests?"
    r"|\bTests run: [1-9]|^> Task :\S*[tT]est$|\bPassed!|\bExecuted [1-9]\d* tests?\b|^1\.\.[1-9]"
    r"|^\s*Tests?:? .*\b[1-9]\d* (?:passed|failed)\b",
    re.M,
)


def found(code: int | None, output: str) -> str | None:
    """The program that says so; None if none does."""
    said = [sign for sign in SIGNS if code in sign.codes and re.search(sign.words, output, re.M)]
    return said[0].program if said and not _EXECUTED.search(output) else None
