"""GitHub's own published examples, read to the last field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forge.asking import Asking, pulls_of_branch
from forge.scripted import ScriptedForge
from kugetsu.forge.protocol import Check, Checks, Comment, Issue, NewPull, PullRequest, Review

REPO = ("octocat", "Hello-World")


def example(name: str) -> Any:
    """The published example of an answer."""
    return json.loads(Path(__file__).with_name("github").joinpath(f"{name}.json").read_text())


ME_TOO = Comment(
    id=1,
    author="octocat",
    body="Me too",
    url="https://github.com/octocat/Hello-World/issues/1347#issuecomment-1",
    created_at="2011-04-14T16:00:49Z",
    relation="collaborator",
)


def test_issue_with_its_comments(server: ScriptedForge, asking: Asking) -> None:
    server.answer("GET", "/issues/1347", body={**example("issue"), "comments": 1})
    server.answer("GET", "/issues/1347/comments", body=example("comments"))
    assert asking("github").issue(*REPO, 1347) == Issue(
        number=1347,
        title="Found a bug",
        body="I'm having a problem with this.",
        state="open",
        author="octocat",
        labels=("bug",),
        url="https://github.com/octocat/Hello-World/issues/1347",
        is_pull=True,
        comments=(ME_TOO,),
    )


def test_comment(server: ScriptedForge, asking: Asking) -> None:
    server.answer("POST", "/comments", status=201, body=example("comment"))
    assert asking("github").comment(*REPO, 1347, "Me too") == ME_TOO
    assert server.requests[0].body == {"body": "Me too"}


def test_pull_request(server: ScriptedForge, asking: Asking) -> None:
    value = example("pull")
    expected = PullRequest(
        number=1347,
        url="https://github.com/octocat/Hello-World/pull/1347",
        title="Amazing new feature",
        state="merged",
        head_branch="new-topic",
        head_repository="octocat/Hello-World",
        head_sha="6dcb09b5b57875f334f61aebed695e2e4193db5e",
        base_branch="master",
        mergeable=None,
        draft=False,
        updated_at="2011-01-26T19:01:12Z",
        base_repository="octocat/Hello-World",
        head_owner="octocat",
    )
    server.answer("GET", "/pulls/1347", body=value)
    assert asking("github").pull(*REPO, 1347) == expected
    server.answer("GET", "/pulls/1347", body={**value, "merged_at": None})
    pull = asking("github").pull(*REPO, 1347)
    assert (pull.state, pull.mergeable) == ("open", True)


def test_new_pull_request(server: ScriptedForge, asking: Asking) -> None:
    # GitHub answers with the pull request, as when it is asked for one.
    server.answer("POST", "/pulls", status=201, body=example("pull"))
    new = NewPull("Amazing new feature", "Please pull these in!", "new-topic", "master", draft=True)
    assert asking("github").create_pull(*REPO, new).number == 1347
    assert server.requests[0].body == {
        "title": "Amazing new feature",
        "body": "Please pull these in!",
        "head": "new-topic",
        "base": "master",
        "draft": True,
    }


def test_pulls_of_a_branch(server: ScriptedForge, asking: Asking) -> None:
    server.answer("GET", "/pulls", body=example("pulls"))
    (pull,) = pulls_of_branch(asking("github"), *REPO, "new-topic")
    assert (pull.number, pull.state) == (1347, "merged")
    assert server.requests[0].query == {"head": "octocat:new-topic", "state": "all", "per_page": "100"}


def test_reviews(server: ScriptedForge, asking: Asking) -> None:
    server.answer("GET", "/reviews", body=example("reviews"))
    assert asking("github").reviews(*REPO, 12) == (
        Review(
            80,
            "octocat",
            "approved",
            "Here is the body for the review.",
            "2019-11-17T17:43:43Z",
            "ecdd80bb57125d7ba9641ffaa4d7d2c19d3f3091",
            "collaborator",
        ),
    )


def test_checks_of_both_apis(server: ScriptedForge, asking: Asking) -> None:
    server.answer("GET", "/status", body=example("status"))
    server.answer("GET", "/check-runs", body=example("check_runs"))
    jenkins, brakeman, readme = "continuous-integration/jenkins", "security/brakeman", "mighty_readme"
    assert asking("github").checks(*REPO, "abc") == Checks(
        "success",
        (
            Check(jenkins, "success", "https://ci.example.com/1000/output", "Build has completed successfully"),
            Check(brakeman, "success", "https://ci.example.com/2000/output", "Testing has completed successfully"),
            Check(readme, "other", "https://github.com/github/hello-world/runs/4", "Mighty Readme report", 4),
        ),
    )


def test_account(server: ScriptedForge, asking: Asking) -> None:
    server.answer("GET", "/user", body=example("user"))
    assert asking("github").whoami() == "octocat"
