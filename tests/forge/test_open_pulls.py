"""The list of open pull requests: asked for again and again, and mostly unchanged."""

from __future__ import annotations

import pytest

from forge.asking import Asking
from forge.scripted import ScriptedForge
from kugetsu.forge.failures import ForgeFailure
from kugetsu.forge.protocol import Forge


def numbers(forge: Forge, etag: str | None = None) -> tuple[list[int] | None, str | None]:
    """The numbers of the open pull requests, and what names this state of the list."""
    found = forge.open_pulls("acme", "web", etag)
    return None if found.items is None else [pull.number for pull in found.items], found.etag


def test_open_pulls_come_with_those_that_changed_last_first(server: ScriptedForge, forge: Forge) -> None:
    for number, state in ((3, "open"), (4, "merged"), (5, "open"), (6, "open"), (7, "closed")):
        server.pull("acme/web", number, branch=f"b{number}", state=state)
    assert numbers(forge)[0] == [6, 5, 3]
    server.say("acme/web", 3, "one more thing")
    assert numbers(forge)[0] == [3, 6, 5]
    server.review("acme/web", 5, "approved")
    assert numbers(forge)[0] == [5, 3, 6]


def test_unchanged_list_of_github_costs_one_request_and_no_answer(server: ScriptedForge, asking: Asking) -> None:
    for number in range(1, 41):
        server.pull("acme/web", number, branch=f"b{number}")
    github = asking("github")
    found, etag = numbers(github)
    assert found is not None and len(found) == 40
    server.requests.clear()
    assert numbers(github, etag) == (None, etag)
    assert [request.headers["if-none-match"] for request in server.requests] == [etag]


def test_list_of_gitea_without_etag_comes_whole(server: ScriptedForge, asking: Asking) -> None:
    server.pull("acme/web", 3, branch="b")
    for _ in range(2):
        assert numbers(asking("gitea"), None) == ([3], None)
    assert all("if-none-match" not in request.headers for request in server.requests)


def test_change_on_a_later_page_is_noticed(server: ScriptedForge, asking: Asking) -> None:
    server.page = 2
    for number in range(1, 6):
        server.pull("acme/web", number, branch=f"b{number}")
    github = asking("github")
    found, etag = numbers(github)
    assert found == [5, 4, 3, 2, 1]
    server.requests.clear()
    assert numbers(github, etag)[0] is None
    assert len(server.requests) == 3
    # Closing the last one leaves the first two pages as they were.
    server.pull("acme/web", 1, branch="b1", state="closed")
    found, etag = numbers(github, etag)
    assert found == [5, 4, 3, 2]
    assert numbers(github, etag)[0] is None


def test_change_on_the_first_page_asks_for_each_page_once(server: ScriptedForge, asking: Asking) -> None:
    server.page = 2
    for number in range(1, 6):
        server.pull("acme/web", number, branch=f"b{number}")
    github = asking("github")
    _, etag = numbers(github)
    server.say("acme/web", 2, "hello")
    server.requests.clear()
    assert numbers(github, etag)[0] == [2, 5, 4, 3, 1]
    assert len(server.requests) == 3


def test_304_that_was_not_asked_for_is_a_failure(server: ScriptedForge, forge: Forge) -> None:
    server.answer("GET", "/pulls", status=304)
    with pytest.raises(ForgeFailure):
        forge.open_pulls("acme", "web", None)


def test_moved_repository_is_unchanged_too(server: ScriptedForge, asking: Asking) -> None:
    server.pull("newco/site", 3, branch="b")
    server.moved["acme/web"] = "newco/site"
    github = asking("github")
    _, etag = numbers(github)
    assert numbers(github, etag)[0] is None


def test_mergeable_and_checks_leave_the_time_of_the_last_change(server: ScriptedForge, forge: Forge) -> None:
    server.pull("acme/web", 3, branch="b")
    (before,) = forge.open_pulls("acme", "web", None).items or ()
    server.change_pull("acme/web", 3, mergeable=False)
    server.check("acme/web", before.head_sha, "build", "failure")
    server.review("acme/web", 3, "pending")
    (after,) = forge.open_pulls("acme", "web", None).items or ()
    assert after.updated_at == before.updated_at
    server.review("acme/web", 3, "commented")
    (after,) = forge.open_pulls("acme", "web", None).items or ()
    assert after.updated_at > before.updated_at
