"""Every result has words, a remark for what else one must know, and one command that comes next."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain import results
from kugetsu.model.result_words import NAMES, REFUSALS, words
from kugetsu.runtime.git.refused_push import CODES
from kugetsu.views.results import next_command, remarks, result_words

KEY = "git.example.org/shoko/sample#14"
PULL = {"number": 5, "url": "https://x/pulls/5", "state": "open", "checks": "success", "draft": False}

WORDS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "pull_request", "pull": PULL}, "PR #5, checks ok"),
    ({"kind": "pull_request", "pull": {**PULL, "draft": True, "checks": None}}, "PR #5 draft"),
    ({"kind": "merged", "pull": {**PULL, "state": "merged"}}, "PR #5, merged"),
    ({"kind": "pushed"}, "pushed, no PR"),
    ({"kind": "pushed", "unseen": "x is in trouble (502)"}, "pushed, PR unknown"),
    ({"kind": "push_refused", "refused": {"code": "too_large", "words": "x"}}, "push refused: too large"),
    ({"kind": "push_refused", "refused": {"code": "of a later version", "words": "x"}}, "push refused: by the server"),
    ({"kind": "unpushed", "commits": 3, "ahead": 1}, "1 commit not pushed"),
    ({"kind": "unpushed", "commits": 2}, "2 commits not pushed"),
    ({"kind": "unpushed", "commits": 0, "elsewhere": "/home/x/src"}, "committed in /home/x/src"),
    ({"kind": "uncommitted", "uncommitted": 2}, "2 uncommitted files"),
    ({"kind": "answered"}, "answered"),
    ({"kind": "of a later version"}, "of a later version"),
]


@pytest.mark.parametrize(("result", "expected"), WORDS)
def test_a_result_is_told_in_a_few_words(result: dict[str, Any], expected: str) -> None:
    assert words(result) == result_words(result) == expected


def test_what_a_server_or_a_folder_is_called_changes_no_screen() -> None:
    assert "\x1b" not in result_words({"kind": "unpushed", "commits": 0, "elsewhere": "/x\x1b[2J"})
    assert "\x1b" not in "".join(remarks({"kind": "pushed", "unseen": "x\x1b[2J", "elsewhere": "/x\x1b[2J"}))


def test_remarks_say_what_the_kind_does_not() -> None:
    assert remarks(None) == remarks({"kind": "nothing", "uncommitted": 0}) == []
    assert remarks({"kind": "uncommitted", "uncommitted": 2}) == []
    told = {"kind": "pushed", "foreign": 1, "later": 2, "elsewhere": "/x", "uncommitted": 3, "unseen": "no answer"}
    assert remarks(told) == [
        "1 commit in the pull request not made by this session",
        "2 commits after the merge in no pull request",
        "commits of the agent landed in /x",
        "3 uncommitted files",
        "the forge could not be asked: no answer",
    ]


def test_every_refusal_has_words_and_one_remedy_that_can_be_typed() -> None:
    assert set(REFUSALS) == set(CODES)
    for code in CODES:
        command = next_command(KEY, {"kind": "push_refused", "refused": {"code": code, "words": "x"}}, "to_review")
        if code == "no_right":
            assert command == "kugetsu env set GITEA_TOKEN"
        else:
            assert command.startswith(f"kugetsu continue {KEY} ") and command.count('"') == 2
    refused = {"kind": "push_refused", "refused": {"code": "no_right", "words": "x"}}
    assert next_command("github.com/a/b#1", refused, "to_review") == "kugetsu env set GITHUB_TOKEN"


def test_every_kind_has_a_name() -> None:
    assert set(results.TO_REVIEW) < set(NAMES)
    for evidence in ({"commits": 0, "head": "a"}, {"commits": 1, "pushed": True}, {"problem": "x"}):
        assert results.result_of("attempt.succeeded", {}, evidence)["kind"] in NAMES
