"""Every request of kugetsu against the published API descriptions of Gitea, Forgejo and GitHub, by way of Prism."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from forge import prism
from forge.asking import TOKEN, pulls_of_branch
from forge.scripted import ScriptedForge
from kugetsu.forge.client import Limits
from kugetsu.forge.credentials import Credential
from kugetsu.forge.failures import ForgeFailure, ForgeRefused
from kugetsu.forge.gitea import Gitea
from kugetsu.forge.github import GitHub
from kugetsu.forge.protocol import Blocker, Check, Forge, NewPull, Source

GITEAS = ["gitea-1.22.swagger.json", "forgejo.swagger.json"]
ALL = [*GITEAS, "github.json"]
SHA = "6dcb09b5b57875f334f61aebed695e2e4193db5e"

NEW = NewPull("Amazing new feature", "Please pull these in!", "new-topic", "master")
FORKED = replace(NEW, head_owner="hubot", draft=True)

RUN = Check("build", "failure", "https://example.com/acme/web/actions/runs/7/jobs/0", "", id=42)

CALLS: dict[str, Callable[[Forge], object]] = {
    "issue": lambda forge: forge.issue("octocat", "Hello-World", 1347),
    "comment": lambda forge: forge.comment("octocat", "Hello-World", 1347, "a *comment*"),
    "comments": lambda forge: forge.comments_after("octocat", "Hello-World", 1347, None),
    "comments_after": lambda forge: forge.comments_after("octocat", "Hello-World", 1347, "2011-04-14T16:00:49.5Z"),
    "pull": lambda forge: forge.pull("octocat", "Hello-World", 1347),
    "create_pull": lambda forge: forge.create_pull("octocat", "Hello-World", NEW),
    "create_draft_from_a_fork": lambda forge: forge.create_pull("octocat", "Hello-World", FORKED),
    "pulls_of_branch": lambda forge: pulls_of_branch(forge, "octocat", "Hello-World", "new-topic"),
    "pulls_from": lambda forge: forge.pulls_from("octocat", "Hello-World", Source(frozenset(), frozenset((SHA,)))),
    "pull_commits": lambda forge: forge.pull_commits("octocat", "Hello-World", 12),
    "reviews": lambda forge: forge.reviews("octocat", "Hello-World", 12),
    "checks": lambda forge: forge.checks("octocat", "Hello-World", SHA),
    "labelled": lambda forge: forge.labelled("octocat", "Hello-World", "good first/issue", None),
    "label_event": lambda forge: (forge.label_event("octocat", "Hello-World", 1347, "bug"),),
    "right": lambda forge: forge.right("octocat", "Hello-World", "octocat"),
    "blockers": lambda forge: forge.blockers("octocat", "Hello-World", 1347),
    "change_labels": lambda forge: (forge.change_labels("octocat", "Hello-World", 1347, ["to do"], ["bug"]),),
    "open_pulls": lambda forge: forge.open_pulls("octocat", "Hello-World", 'W/"0123"'),
    "remarks": lambda forge: forge.remarks("octocat", "Hello-World", 12),
    "check_output": lambda forge: forge.check_output("octocat", "Hello-World", SHA, RUN),
    "whoami": lambda forge: forge.whoami(),
}

WRONG = [
    ("GET", "/repos/a/b/issues/fourteen", None),
    ("POST", "/repos/a/b/issues/1/comments", {"text": "x"}),
    ("POST", "/repos/a/b/issues/1/comments", {"body": 3}),
    ("POST", "/repos/a/b/issues/1/labels", {"labels": "bug"}),
    ("DELETE", "/repos/a/b/issues/1/labels/to/do", None),
    ("GET", "/repos/a/b/issues?state=opened", None),
    ("POST", "/repos/a/b/pulls", {"title": 5, "head": "b", "base": "main"}),
    ("GET", "/repos/a/b/pulls?state=merged", None),
    ("GET", "/repos/a/b/pulls?page=two", None),
    ("GET", "/repos/a/b/issues/1/comments?since=yesterday", None),
    ("GET", "/repositories/a/b/issues/1", None),
    ("POST", "/repos/a/b/pulls/1/reviewers", {}),
]


PATIENT = Limits(connect=60, read=60, deadline=60)
"""Prism takes long for its first answers from the larger descriptions where the machine is busy."""


def asking(api: str, *, github: bool = False, token: str = TOKEN) -> Forge:
    """A forge object for an API that lies at a URL."""
    kind, variable = (GitHub, "GITHUB_TOKEN") if github else (Gitea, "GITEA_TOKEN")
    return kind(api, host="forge.test", credential=Credential(variable, token), limits=PATIENT)


@pytest.fixture(scope="module", params=ALL)
def described(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A server made from each description: the description's name, the server's URL."""
    with prism.mock(request.param) as url:
        yield request.param, url


@pytest.mark.parametrize("name", CALLS)
def test_request_is_as_described(described: tuple[str, str], name: str) -> None:
    description, url = described
    forge = asking(url, github=description == "github.json")
    assert CALLS[name](forge) is not None
    forge.close()


@pytest.mark.parametrize(("method", "path", "body"), WRONG)
def test_wrong_request_is_refused(described: tuple[str, str], method: str, path: str, body: object) -> None:
    # Shows that the tests above can fail.
    _, url = described
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
    asked = urllib.request.Request(url + path, data=data, method=method, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(asked)
    assert caught.value.code in (400, 404, 405, 422)
    caught.value.close()


@pytest.mark.parametrize("described", GITEAS, indirect=True)
def test_token_header_is_demanded_and_sent(described: tuple[str, str]) -> None:
    forge = asking(described[1], token="")
    with pytest.raises(ForgeFailure, match="requires a token"):
        forge.issue("octocat", "Hello-World", 1347)
    forge.close()


@pytest.mark.parametrize("described", ["github.json"], indirect=True)
def test_github_examples_are_read_as_they_are_meant(described: tuple[str, str]) -> None:
    forge = asking(described[1], github=True)
    assert forge.issue("octocat", "Hello-World", 1347).title == "Found a bug"
    assert [pull.number for pull in pulls_of_branch(forge, "octocat", "Hello-World", "new-topic")] == [1347]
    assert forge.create_pull("octocat", "Hello-World", NEW).number == 1347
    assert forge.right("octocat", "Hello-World", "octocat") == "admin"
    assert forge.blockers("octocat", "Hello-World", 1347) == (Blocker("octocat/Hello-World", 1347, open=True),)
    assert forge.whoami() == "octocat"
    forge.close()


@pytest.fixture(scope="module", params=GITEAS)
def checked(request: pytest.FixtureRequest) -> Iterator[tuple[ScriptedForge, Forge]]:
    """The scripted forge, asked through a server that compares both ways with a description."""
    with ScriptedForge() as server, prism.proxy(request.param, f"{server.url}/api/v1") as url:
        forge = asking(url)
        yield server, forge
        forge.close()


def test_scripted_forge_answers_as_described(checked: tuple[ScriptedForge, Forge]) -> None:
    server, forge = checked
    server.issue("acme/web", 14, title="Slow", labels=("bug",), comments=["me too"])
    server.pull("acme/web", 15, branch="fix/issue-14", sha=SHA, draft=True)
    server.pull("acme/web", 16, branch="fix/issue-14", state="merged", branch_deleted=True)
    for state in ("approved", "changes_requested", "commented", "dismissed", "pending", "requested"):
        server.review("acme/web", 15, state)
    server.check("acme/web", SHA, "build", "success")
    server.remark("acme/web", 15, "why?")
    server.remark("acme/web", 15, "gone", line=None)
    assert [remark.body for remark in forge.remarks("acme", "web", 15)] == ["why?", "gone"]
    assert forge.open_pulls("acme", "web", None).items is not None
    assert forge.issue("acme", "web", 14).comments[0].body == "me too"
    assert forge.comment("acme", "web", 14, "done").author == server.login
    assert len(forge.comments_after("acme", "web", 14, "2026-01-01T00:00:00Z")) == 2
    assert forge.issue("acme", "web", 15).is_pull
    assert forge.pull("acme", "web", 15).head_sha == SHA
    assert [pull.number for pull in pulls_of_branch(forge, "acme", "web", "fix/issue-14")] == [15, 16]
    server.pushed("acme/web", "fix/issue-20", "a" * 40)
    new = NewPull("Slow", "It is.", "fix/issue-20", "main", draft=True)
    created = forge.create_pull("acme", "web", new)
    assert (created.head_sha, created.draft, created.title) == ("a" * 40, True, "WIP: Slow")
    with pytest.raises(ForgeRefused, match="already exists"):
        forge.create_pull("acme", "web", new)
    assert len(forge.reviews("acme", "web", 15)) == 7
    assert forge.pull_commits("acme", "web", 15) == (SHA,)
    assert forge.checks("acme", "web", SHA).state == "success"
    assert forge.whoami() == server.login


def test_scripted_forge_answers_an_intake_as_described(checked: tuple[ScriptedForge, Forge]) -> None:
    server, forge = checked
    server.issue("acme/loop", 1, title="First", comments=["me too"])
    server.issue("acme/loop", 2, title="Second")
    server.label("acme/loop", 2, "kugetsu", by="bob")
    server.edit("acme/loop", 2, title="Second, by another", by="carol")
    server.intake("acme/loop").rights["bob"] = "write"
    server.intake("acme/loop").as_described = True
    server.intake("acme/loop").blockers[2] = [("acme/loop", 1)]
    listing = forge.labelled("acme", "loop", "kugetsu", None)
    assert [issue.number for issue in listing.items or ()] == [2]
    event, edit = forge.label_event("acme", "loop", 2, "kugetsu"), forge.last_edit("acme", "loop", 2)
    assert event is not None
    assert edit is not None
    assert (event.account, edit.account) == ("bob", "carol")
    assert forge.right("acme", "loop", "bob") == "write"
    assert forge.blockers("acme", "loop", 2) == (Blocker("acme/loop", 1, open=True),)
    forge.change_labels("acme", "loop", 2, ["in progress"], ["kugetsu"])
    assert server.labels_of("acme/loop", 2) == ("in progress",)


def test_answer_against_the_description_is_noticed(checked: tuple[ScriptedForge, Forge]) -> None:
    # Shows that the test above can fail.
    server, forge = checked
    server.answer("GET", "/issues/99", body={"number": 99, "title": 5, "state": "open"}, times=0)
    with pytest.raises(ForgeFailure, match=r"in trouble \(500\)"):
        forge.issue("acme", "web", 99)
