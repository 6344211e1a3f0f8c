"""The pull request that kugetsu writes: facts of git and of the agent's program; the agent's words as a quotation."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kugetsu.agents.commands import Command
from kugetsu.forge.references import closing
from kugetsu.runtime.git.comparison import ChangedFile
from kugetsu.runtime.pull_body import COMMANDS, COMMITS, FILES, TITLE_LENGTH, Work, body_of, title_of
from unit.test_forge_references import PIECES, acts


def changed(path: str, added: int | None, removed: int | None) -> ChangedFile:
    return ChangedFile(path, "modified", None, added, removed)


WORK = Work(
    commits=["Fix the parser", "Add a test"],
    files=[changed("src/x.py", 48, 12), changed("logo.png", None, None)],
    commands=[Command("pytest -q", 0), Command("ruff check", 1), Command("make\nall", None), Command("", 0)],
    message="Done.\nThe parser takes empty input.",
)


def test_body_has_the_facts_and_quotes_the_agent() -> None:
    assert body_of(WORK, "q7", 14).splitlines() == [
        "**2 commits**",
        "",
        "- `Fix the parser`",
        "- `Add a test`",
        "",
        "**Changes: 2 files, +48 −12**",
        "",
        "- `src/x.py +48 −12`",
        "- `logo.png (binary)`",
        "",
        "**Commands that the agent ran**",
        "",
        "- `pytest -q`: exit 0",
        "- `ruff check`: exit 1",
        "- `make all`: stopped",
        "",
        "**The agent's last message**",
        "",
        "> Done.",
        "> The parser takes empty input.",
        "",
        "Closes #14",
        "",
        "Opened by kugetsu for its task q7.",
    ]


def test_nothing_known_is_a_body_all_the_same() -> None:
    assert body_of(Work(), None, None) == "Opened by kugetsu.\n"
    assert body_of(Work(), "q7", 14).startswith("Closes #14\n")


def test_long_work_is_bounded_and_says_so() -> None:
    work = Work(
        commits=["x" * 5000] * 100,
        files=[changed("y" * 5000, 1, 1)] * 100,
        commands=[Command(f"z{number} " + "z" * 5000, 0) for number in range(100)],
        message="w" * 100_000,
    )
    body = body_of(work, "q7", 14)
    assert len(body) < 30_000
    assert f"- and {100 - COMMITS} more" in body and f"- and {100 - FILES} more" in body
    assert f"(the last {COMMANDS} of 100)" in body and "`z99 " in body and "`z1 " not in body


def test_foreign_text_is_shown_and_not_obeyed() -> None:
    work = Work(
        commits=["`see` @all <!-- hidden"], files=[], commands=[], message="<!-- hidden\n</details>\x1b[31m\n# Head"
    )
    body = body_of(work, "q7", 14)
    assert "- `'see' @all <! -- hidden`" in body
    assert "> &lt;!-- hidden\n> &lt;/details>" in body and "\x1b" not in body
    assert body.splitlines()[-3] == "Closes #14"
    assert not any(line.startswith("#") for line in body.splitlines())


def test_secrets_are_taken_out() -> None:
    token = "ghp_" + "a1B2" * 9
    work = Work(
        commits=[f"use {token}"], commands=[Command(f"curl -H 'Authorization: Bearer {token}'", 0)], message=token
    )
    assert token not in body_of(work, "q7", 14) + title_of(f"why {token}")


TEXT = st.lists(PIECES, max_size=8).map("".join)


@given(st.lists(TEXT, max_size=3), st.lists(TEXT, max_size=3), st.lists(TEXT, max_size=3), TEXT, st.booleans())
def test_a_body_closes_its_own_issue_and_no_other(
    commits: list[str], paths: list[str], lines: list[str], message: str, own: bool
) -> None:
    work = Work(commits, [changed(path, 1, 2) for path in paths], [Command(line, 1) for line in lines], message)
    body = body_of(work, "q7", 14 if own else None)
    assert body.count(closing(14)) == own
    assert not acts(body.replace(f"{closing(14)}\n", "")), body


@given(TEXT)
def test_a_title_closes_nothing_and_is_one_line(text: str) -> None:
    title = title_of(text)
    assert not acts(title) and title.splitlines() in ([title], []) and len(title) <= TITLE_LENGTH
    assert title_of(title) == title


def test_title_is_the_first_line() -> None:
    assert title_of("\n Fix #12, the  parser \nand more") == "Fix no. 12, the parser"
    assert len(title_of("x" * 1000)) == TITLE_LENGTH
