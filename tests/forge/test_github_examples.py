"""GitHub's own published examples, read to the last field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forge.asking import Asking, pulls_of_branch
from forge.scripted import ScriptedForge
from kugetsu.forge.protocol import Check, CheckOutput, Checks, Comment, Issue, NewPull, PullRequest, Remark, Review

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
        closed_at="2011-01-26T19:01:12Z",
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
            official=True,
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


def test_remarks(server: ScriptedForge, asking: Asking) -> None:
    server.answer("GET", "/pulls/1/comments", body=example("remarks"))
    assert asking("github").remarks(*REPO, 1) == (
        Remark(
            id=10,
            author="octocat",
            body="Great stuff!",
            url="https://github.com/octocat/Hello-World/pull/1#discussion-diff-1",
            path="file1.txt",
            line=2,
            hunk="@@ -16,33 +16,40 @@ public class Connection : IConnection...",
            review=42,
            created_at="2011-04-14T16:00:49Z",
        ),
    )


def test_words_of_a_check(server: ScriptedForge, asking: Asking) -> None:
    server.answer("GET", "/check-runs/4", body=example("check_run"))
    (warning,) = example("annotations")
    server.answer("GET", "/annotations", body=[warning, {**warning, "annotation_level": "failure"}])
    found = asking("github").check_output(*REPO, "abc", Check("mighty_readme", "failure", "", "", id=4))
    assert found == CheckOutput(
        ran=True,
        steps=(),
        words="Mighty Readme report\n\nThere are 0 failures, 2 warnings, and 1 notice.\n\nYou may have some misspelled "
        "words on lines 2 and 4. You also may want to add a section in your README about how to install your app.\n\n"
        "README.md:2: Check your spelling for 'banaas'.",
    )


def test_steps_of_a_job(server: ScriptedForge, asking: Asking) -> None:
    job = example("job")
    job["steps"][1]["conclusion"] = "failure"
    run = example("check_run")
    server.answer("GET", "/check-runs/4", body={**run, "conclusion": "failure", "app": {"slug": "github-actions"}})
    server.answer("GET", "/annotations", body=[])
    server.answer("GET", "/jobs/4", body=job)
    log = "\n".join(f"2020-01-20T17:42:{second}.1234567Z at {second}" for second in range(40, 51))
    server.answer("GET", "/jobs/4/logs", body=log, content="text/plain")
    found = asking("github").check_output(*REPO, "abc", Check("build", "failure", "", "", id=4))
    (step,) = job["steps"][1:2]
    assert (step["started_at"], step["completed_at"]) == (
        "2020-01-20T09:42:41.000-08:00",
        "2020-01-20T09:42:45.000-08:00",
    )
    assert (found.ran, found.steps) == (True, ((step["name"], "at 41\nat 42\nat 43\nat 44\nat 45"),))


def test_account(server: ScriptedForge, asking: Asking) -> None:
    server.answer("GET", "/user", body=example("user"))
    assert asking("github").whoami() == "octocat"
