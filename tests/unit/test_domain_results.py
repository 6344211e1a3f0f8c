"""Every attempt has exactly one result, decided from evidence."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain.events import attempts, upcast
from kugetsu.domain.results import SAID_LENGTH, asked, last_sentence, result_of

HEAD, BASE = "a" * 40, "b" * 40
CLEAN: dict[str, Any] = {"exists": True, "branch": "fix/issue-1", "dirty": 0, "untracked": 0, "head_before": BASE}
NO_COMMIT: dict[str, Any] = {**CLEAN, "commits": 0, "ahead": 0, "head": BASE, "pushed": True}
WORK: dict[str, Any] = {**CLEAN, "commits": 2, "ahead": 2, "head": HEAD, "pushed": False}
PUSHED: dict[str, Any] = {**WORK, "ahead": 0, "pushed": True}
OPEN: dict[str, Any] = {"number": 5, "url": "https://x/pulls/5", "state": "open", "head": HEAD}
REFUSED = {"code": "protected_branch", "words": "! [remote rejected]"}
QUESTION = "The issue names two formats. Which one do you want?"
DONE = "Everything is done."


def kind(evidence: dict[str, Any], said: str = DONE, end: str = "succeeded") -> str:
    return str(result_of(f"attempt.{end}", {"final_text": said}, evidence)["kind"])


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    # work on the forge
    "a pull request": ("pull_request", {**PUSHED, "pull": OPEN}),
    "a draft": ("pull_request", {**PUSHED, "pull": {**OPEN, "draft": True}}),
    "a pull request that others pushed to": ("pull_request", {**PUSHED, "pull": {**OPEN, "head": "c" * 40}}),
    "a pull request, of which only the forge knows": ("pull_request", {**WORK, "pull": OPEN}),
    "a pull request, and more commits that were not pushed": ("unpushed", {**WORK, "pull": {**OPEN, "head": BASE}}),
    "a pull request without a commit of this clone's": ("pull_request", {**NO_COMMIT, "pull": OPEN}),
    "a pull request and a stray file": ("pull_request", {**PUSHED, "untracked": 1, "pull": OPEN}),
    "merged": ("merged", {**PUSHED, "pull": {**OPEN, "state": "merged", "later": 0}}),
    "merged, nobody knows what came later": ("merged", {**PUSHED, "pull": {**OPEN, "state": "merged", "later": None}}),
    "merged, and pushed commits after it": ("pushed", {**PUSHED, "pull": {**OPEN, "state": "merged", "later": 1}}),
    "merged, and local commits after it": (
        "unpushed",
        {**WORK, "pull": {**OPEN, "head": BASE, "state": "merged", "later": 1}},
    ),
    "a pull request that was closed": ("pushed", {**PUSHED, "pull": {**OPEN, "state": "closed"}}),
    # work in git
    "pushed": ("pushed", PUSHED),
    "pushed, with files left over": ("pushed", {**PUSHED, "dirty": 1, "untracked": 2}),
    "pushed, and the forge in trouble": ("pushed", {**PUSHED, "forge_problem": "x is in trouble (502)"}),
    "pushed, worktree removed": ("pushed", {**PUSHED, "exists": False, "dirty": None, "untracked": None}),
    "not pushed": ("unpushed", WORK),
    "not pushed, without a remote": ("unpushed", {**WORK, "ahead": 2}),
    "refused": ("push_refused", {**WORK, "refused_push": REFUSED}),
    "refused, and nobody can be asked": ("push_refused", {**WORK, "pushed": None, "refused_push": REFUSED}),
    "refused, but it is there": ("pushed", {**PUSHED, "refused_push": REFUSED}),
    "refused, but the forge has it": ("pull_request", {**WORK, "refused_push": REFUSED, "pull": OPEN}),
    "refused on top of a pull request": (
        "push_refused",
        {**WORK, "refused_push": REFUSED, "pull": {**OPEN, "head": BASE}},
    ),
    "refused, without a commit": ("nothing", {**NO_COMMIT, "refused_push": REFUSED}),
    "uncommitted": ("uncommitted", {**NO_COMMIT, "dirty": 2}),
    "uncommitted new files": ("uncommitted", {**NO_COMMIT, "untracked": 1}),
    "committed elsewhere": ("unpushed", {**NO_COMMIT, "elsewhere": "/home/x/src"}),
    # no work wanted
    "findings": ("answered", {**NO_COMMIT, "findings": "/runs/q1.1/findings/findings.md"}),
    "a comment": ("answered", {**NO_COMMIT, "comments_before": 1, "comments": 2, "answer_url": "https://x/1#c2"}),
    "findings, and a commit in another checkout": (
        "answered",
        {**NO_COMMIT, "findings": "/f.md", "elsewhere": "/home/x/tried"},
    ),
    "findings and a stray file": ("answered", {**NO_COMMIT, "untracked": 1, "findings": "/f.md"}),
    "findings and a changed file": ("uncommitted", {**NO_COMMIT, "dirty": 1, "findings": "/f.md"}),
    "findings and a commit": ("pushed", {**PUSHED, "findings": "/f.md"}),
    "somebody else's comment": ("nothing", {**NO_COMMIT, "comments_before": 1, "comments": 2}),
    "nothing": ("nothing", NO_COMMIT),
    # what cannot be looked at
    "unknown whether pushed": ("unknown", {**WORK, "pushed": None}),
    "unknown commits": ("unknown", {"exists": True, "problem": "git log failed"}),
    "unknown commits, but findings": ("answered", {"exists": True, "problem": "x", "findings": "/f.md"}),
    "the PM agent's answer": ("answered", {}),
}


@pytest.mark.parametrize("name", KINDS)
def test_evidence_decides_the_kind(name: str) -> None:
    expected, evidence = KINDS[name]
    assert kind(evidence) == expected


ASKING: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing delivered": ("question", NO_COMMIT),
    "a stray file": ("question", {**NO_COMMIT, "untracked": 1}),
    "a changed file": ("uncommitted", {**NO_COMMIT, "dirty": 1}),
    "findings": ("answered", {**NO_COMMIT, "findings": "/f.md"}),
    "a commit": ("pushed", PUSHED),
    "an earlier run's commits": ("question", {**PUSHED, "head_before": HEAD}),
    "an earlier run's pull request": ("question", {**PUSHED, "head_before": HEAD, "pull": OPEN}),
    "a commit on an earlier run's pull request": ("pull_request", {**PUSHED, "pull": OPEN}),
    "an answered review": ("pull_request", {**PUSHED, "head_before": HEAD, "pull": OPEN, "answer_url": "https://x"}),
    "unknown commits": ("unknown", {"exists": True, "problem": "git log failed"}),
    "of the PM agent": ("question", {}),
}


@pytest.mark.parametrize("name", ASKING)
def test_a_question_is_one_when_the_run_delivered_nothing(name: str) -> None:
    expected, evidence = ASKING[name]
    assert kind(evidence, QUESTION) == expected
    assert kind(evidence) != "question"


@pytest.mark.parametrize("end", ["failed", "timed_out", "killed", "lost"])
@pytest.mark.parametrize("evidence", [{}, NO_COMMIT, WORK, {**PUSHED, "pull": OPEN}])
def test_an_attempt_that_did_not_succeed_failed_and_keeps_its_numbers(end: str, evidence: dict[str, Any]) -> None:
    result = result_of(f"attempt.{end}", {"final_text": QUESTION}, evidence)
    assert result["kind"] == "failed"
    assert result.get("commits") == evidence.get("commits")


def test_a_program_that_failed_because_its_push_was_refused_says_so() -> None:
    refused = {**WORK, "refused_push": REFUSED}
    assert kind(refused, end="failed") == "push_refused"
    assert kind(refused, end="killed") == "failed"
    assert kind({**PUSHED, "refused_push": REFUSED}, end="failed") == "failed"


def test_a_result_holds_what_is_known_and_nothing_else() -> None:
    pull = {**OPEN, "checks": "success", "draft": False, "mergeable": True, "later": None, "foreign": 0}
    evidence = {**PUSHED, "files": 3, "added": 20, "removed": 0, "pull": pull, "untracked": 1}
    assert result_of("attempt.succeeded", {"final_text": "Fixed. All tests pass."}, evidence) == {
        "kind": "pull_request",
        "commits": 2,
        "ahead": 0,
        "files": 3,
        "added": 20,
        "removed": 0,
        "uncommitted": 1,
        "branch": "fix/issue-1",
        "pull": {"number": 5, "url": "https://x/pulls/5", "state": "open", "checks": "success", "draft": False},
        "foreign": 0,
        "said": "All tests pass.",
    }
    result = result_of("attempt.succeeded", {}, {**NO_COMMIT, "answer_url": "https://x/1#c2"})
    assert (result["answer"], "said" in result, "pull" in result) == ("https://x/1#c2", False, False)
    result = result_of("attempt.succeeded", {}, {**PUSHED, "forge_problem": "x is in trouble (502)"})
    assert (result["kind"], result["unseen"]) == ("pushed", "x is in trouble (502)")
    assert set(result) <= set(attempts.Result.__annotations__)


OLD: dict[str, tuple[str, dict[str, Any]]] = {
    "a commit": ("unpushed", {"ahead": 1, "commits": 1, "dirty": 0, "exists": True, "head": HEAD, "pushed": False}),
    "pushed": ("pushed", {"commits": 1, "dirty": 0, "head": HEAD, "pushed": True, "comments": 3}),
    "a pull request": ("pull_request", {"commits": 1, "head": HEAD, "pushed": True, "pull": {**OPEN, "head": None}}),
    "a file": ("uncommitted", {"commits": 0, "dirty": 0, "untracked": 1, "head": BASE, "pushed": True}),
    "no commit": ("nothing", {"commits": 0, "dirty": 0, "untracked": 0, "head": BASE, "pushed": True}),
    "what git could not say": ("unknown", {"exists": True, "problem": "git log failed"}),
}


@pytest.mark.parametrize("name", OLD)
def test_an_event_of_before_results_gets_one_from_what_it_has(name: str) -> None:
    expected, evidence = OLD[name]
    data = {"reason": "x", "outcome": {"final_text": DONE}, "evidence": evidence, "exit": 0, "signal": None}
    old = {"type": "attempt.succeeded", "v": 1, "seq": 1, "at": "2026-11-01T00:00:00Z", "attempt": "q1.1", "data": data}
    assert upcast(old)["data"]["result"]["kind"] == expected
    asking = {**old, "data": {**data, "outcome": {"final_text": QUESTION}}}
    # What was there before that run is not recorded: commits count as its own.
    assert upcast(asking)["data"]["result"]["kind"] == (
        "question" if expected in ("nothing", "uncommitted") else expected
    )
    assert upcast({**old, "type": "attempt.lost"})["data"]["result"]["kind"] == "failed"


ASKS = (
    "Which one?",
    "I looked at both formats. Which one do you want? ",
    "**Should I remove the old option?**",
    "Should the old name stay?\n\n1. yes, as an alias\n2. no\n",
    "Which format do you want:\n- JSON?\n- TOML?\n\nShould I pick one?",
    "Do you want A or B? Please answer with the letter.",
    "Do you want A or B? I will wait for your answer.",
    "Should I go on?\n\n```sh\ngit push --force\n```",
    "Please tell me which of the two you mean.",
    "I need to know the name of the field before I can go on.",
    "どちらにしますか？",
)
DOES_NOT_ASK = (
    "",
    "Done.",
    "Why did it fail? The cache was stale.",
    "Does it matter? No. The bug is gone since 1.2, so nothing changes.",
    "It is fixed in main. Let me know if you need anything else.",
    "It is fixed in main. Is there anything else I can do?",
    "```\nwhat?\n```",
    "The URL is https://x/y?z=1",
    "Done:\n- is it fast? yes\n- is it small? yes",
)


@pytest.mark.parametrize("text", ASKS)
def test_a_last_message_that_wants_an_answer_asks(text: str) -> None:
    question = asked(text)
    assert question is not None
    result = result_of("attempt.succeeded", {"final_text": text}, NO_COMMIT)
    assert (result["kind"], result["said"]) == ("question", question)


@pytest.mark.parametrize("text", DOES_NOT_ASK)
def test_a_rhetorical_or_polite_question_is_none(text: str) -> None:
    assert asked(text) is None
    assert kind(NO_COMMIT, text) == "nothing"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", None),
        ("\n \n---\n", None),
        ("One. Two.", "Two."),
        ("One.\nTwo, e.g. three.", "Two, e.g. three."),
        ("All  done\n", "All done"),
        ("Done:\n- first\n- last", "- last"),
        ("See 1.2.3 for it. It works (see above).", "It works (see above)."),
        ("Text.\n```\ncode\n```\n", "Text."),
        ("x" * 300, "…" + "x" * (SAID_LENGTH - 1)),
    ],
)
def test_the_last_sentence_is_one_line_of_bounded_length(text: str, sentence: str | None) -> None:
    assert last_sentence(text) == sentence
