"""What an intake asks a forge: labelled issues, who set a label, edits, rights, blockers; labels that it changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from forge.asking import Asking
from forge.scripted import ScriptedForge
from kugetsu.forge.failures import (
    ForgeBroken,
    ForgeFailure,
    ForgeForbidden,
    ForgeLimited,
    ForgeNotFound,
    ForgeUnauthorised,
    ForgeUnreachable,
)
from kugetsu.forge.protocol import GHOST, IMPORTED, Blocker, Edit, Forge, LabelEvent, Listing

WEB = ("acme", "web")
ODD = "to do/später 👩‍💻 & 100%?"
"""A label with spaces, a slash, other scripts, and a character that is not printable."""


def numbers(forge: Forge, label: str = "kugetsu") -> list[int]:
    """The issues with a label."""
    return [issue.number for issue in forge.labelled(*WEB, label, None).items or ()]


# --- lists by label -------------------------------------------------------------------------------------------------


def test_open_issues_with_the_label_are_listed_the_oldest_first(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1, title="Slow", body=None, author="alice")
    server.issue("acme/web", 2, labels=("kugetsu", "bug"))
    server.issue("acme/web", 3, labels=("kugetsu",), state="closed")
    server.issue("acme/web", 4, labels=("kugetsu-later",))
    server.pull("acme/web", 5, branch="x")
    server.label("acme/web", 5, "kugetsu")
    server.label("acme/web", 1, "kugetsu", at="2026-02-01T10:00:00Z")
    first, second = forge.labelled(*WEB, "kugetsu", None).items or ()
    assert (first.number, first.title, first.body, first.author) == (1, "Slow", "", "alice")
    assert (first.labels, first.url) == (("kugetsu",), f"{server.url}/acme/web/issues/1")
    assert (second.number, second.labels) == (2, ("kugetsu", "bug"))
    assert second.updated_at.endswith("Z")


def test_list_of_a_label_that_the_repository_has_not_is_empty(server: ScriptedForge, forge: Forge) -> None:
    # Gitea ignores such a label, and would give all issues, page by page.
    server.page = 2
    for number in range(1, 9):
        server.issue("acme/web", number, labels=("bug",))
    assert numbers(forge) == []
    assert len(server.requests) <= 3


def test_label_of_an_organisation_counts_like_one_of_the_repository(server: ScriptedForge, asking: Asking) -> None:
    # Gitea's list knows none of them: it gives all issues, each with all its labels.
    server.page = 2
    for number in range(1, 6):
        server.issue("acme/web", number)
    server.organisations["acme"]["kugetsu"] = 7
    server.label("acme/web", 2, "kugetsu")
    assert numbers(asking("gitea")) == [2]
    server.answer("GET", "/orgs/acme/labels", status=403, body={"message": "token does not have the scope"})
    assert numbers(asking("gitea")) == [2]


def test_label_with_odd_characters_is_asked_for_as_it_is(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1, labels=(ODD,))
    server.issue("acme/web", 2, labels=("to do",))
    assert numbers(forge, ODD) == [1]


def test_case_of_a_label_does_not_count(server: ScriptedForge, forge: Forge) -> None:
    server.page = 2
    for number in range(1, 6):
        server.issue("acme/web", number, labels=("bug",))
    server.issue("acme/web", 6)
    server.label("acme/web", 6, "Kugetsu", by="bob")
    assert numbers(forge) == [6]
    assert len(server.requests) <= 3, "not all issues are read"
    found = forge.label_event(*WEB, 6, "kugetsu")
    assert found is not None and found.account == "bob"
    forge.change_labels(*WEB, 6, ["KUGETSU"], ["BUG"])
    assert server.labels_of("acme/web", 6) == ("Kugetsu",)


@pytest.mark.parametrize("stripped", [False, True])
def test_every_page_is_read(server: ScriptedForge, asking: Asking, kind: str, stripped: bool) -> None:
    server.page, server.stripped = (100 if stripped and kind == "github" else 3), stripped
    for number in range(1, 8):
        server.issue("acme/web", number, labels=("kugetsu",))
    assert numbers(asking(kind)) == list(range(1, 8))


def test_unchanged_list_is_not_sent_again(server: ScriptedForge, asking: Asking) -> None:
    forge = asking("github")
    server.issue("acme/web", 1, labels=("kugetsu",))
    etag = forge.labelled(*WEB, "kugetsu", None).etag
    assert forge.labelled(*WEB, "kugetsu", etag) == Listing(None, etag)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda server: server.label("acme/web", 9, "kugetsu"),
        lambda server: server.unlabel("acme/web", 1, "kugetsu"),
        lambda server: server.change_issue("acme/web", 1, state="closed"),
        lambda server: server.edit("acme/web", 1, body="otherwise"),
        lambda server: server.edit("acme/web", 1, title="otherwise"),
    ],
    ids=["labelled", "unlabelled", "closed", "edited", "renamed"],
)
def test_change_on_any_page_is_noticed(
    server: ScriptedForge, asking: Asking, change: Callable[[ScriptedForge], None]
) -> None:
    # The oldest issue is on the last of two full pages, and the first page does not change when it goes.
    forge = asking("github")
    server.page = 2
    for number in range(1, 5):
        server.issue("acme/web", number, labels=("kugetsu",))
    server.issue("acme/web", 9)
    before = forge.labelled(*WEB, "kugetsu", None)
    assert forge.labelled(*WEB, "kugetsu", before.etag).items is None
    change(server)
    after = forge.labelled(*WEB, "kugetsu", before.etag)
    assert after.items is not None
    assert after.items != before.items
    assert after.items == forge.labelled(*WEB, "kugetsu", None).items


def test_gitea_names_no_state_and_is_read_whole(server: ScriptedForge, asking: Asking) -> None:
    server.issue("acme/web", 1, labels=("kugetsu",))
    assert asking("gitea").labelled(*WEB, "kugetsu", None).etag is None
    assert len(server.requests) == 1


def test_304_that_was_not_asked_for_is_a_failure(server: ScriptedForge, forge: Forge) -> None:
    server.answer("GET", "/issues", status=304)
    with pytest.raises(ForgeFailure):
        forge.labelled(*WEB, "kugetsu", None)


# --- who set the label, and who edited ------------------------------------------------------------------------------


def test_last_one_who_set_the_label_is_told(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1, labels=("bug",), author="mallory")
    server.label("acme/web", 1, "kugetsu", by="mallory", at="2026-01-02T10:00:00Z")
    server.unlabel("acme/web", 1, "kugetsu", by="bob", at="2026-01-03T10:00:00Z")
    server.label("acme/web", 1, "kugetsu", by="bob", at="2026-01-04T10:00:00Z")
    server.label("acme/web", 1, "later", by="carol", at="2026-01-05T10:00:00Z")
    server.unlabel("acme/web", 1, "bug", by="carol", at="2026-01-06T10:00:00Z")
    assert forge.label_event(*WEB, 1, "kugetsu") == LabelEvent("bob", "2026-01-04T10:00:00Z")


def test_nobody_set_a_label_that_is_not_there(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1, labels=("kugetsu",))
    server.unlabel("acme/web", 1, "kugetsu")
    assert forge.label_event(*WEB, 1, "kugetsu") is None
    assert forge.label_event(*WEB, 1, "never") is None


@pytest.mark.parametrize("size", [2, 3, 5, 100])
def test_event_of_any_page_is_found(server: ScriptedForge, forge: Forge, size: int) -> None:
    server.page = size
    server.issue("acme/web", 1, comments=["a", "b"])
    server.label("acme/web", 1, "kugetsu", by="bob")
    for number in range(5):
        server.label("acme/web", 1, f"later {number}")
    event = forge.label_event(*WEB, 1, "kugetsu")
    assert event is not None
    assert event.account == "bob"


def test_newest_page_is_enough_where_the_last_is_known(server: ScriptedForge, asking: Asking) -> None:
    server.page = 2
    server.issue("acme/web", 1)
    for number in range(8):
        server.label("acme/web", 1, f"label {number}")
    server.label("acme/web", 1, "kugetsu", by="bob")
    assert asking("github").label_event(*WEB, 1, "kugetsu") is not None
    assert [request.query.get("page", "1") for request in server.requests] == ["1", "5"]


def test_who_is_gone_is_told_as_ghost(server: ScriptedForge, asking: Asking) -> None:
    server.issue("acme/web", 1)
    event = {"id": 1, "event": "labeled", "actor": None, "created_at": "2026-01-01T00:00:00Z"}
    server.answer("GET", "/issues/1/events", body=[{**event, "label": {"name": "kugetsu", "color": "red"}}])
    found = asking("github").label_event(*WEB, 1, "kugetsu")
    assert found is not None
    assert found.account == GHOST


def test_last_edit_is_told_as_far_as_the_forge_tells(server: ScriptedForge, forge: Forge, kind: str) -> None:
    server.issue("acme/web", 1)
    assert forge.last_edit(*WEB, 1) is None
    server.edit("acme/web", 1, title="more", by="carol", at="2026-01-02T10:00:00Z")
    renamed = Edit("carol", "2026-01-02T10:00:00Z", title_only=kind == "gitea")
    assert forge.last_edit(*WEB, 1) == renamed
    server.edit("acme/web", 1, body="more", by="mallory", at="2026-01-03T10:00:00Z")
    # Of a body Gitea's API tells nothing.
    assert forge.last_edit(*WEB, 1) == (Edit("mallory", "2026-01-03T10:00:00Z") if kind == "github" else renamed)


def test_edits_are_not_known_where_github_cannot_be_asked(server: ScriptedForge, asking: Asking) -> None:
    server.issue("acme/web", 1)
    server.edit("acme/web", 1, body="more")
    assert asking("github", token="").last_edit(*WEB, 1) is None
    server.answer("POST", "/graphql", status=404, body={"message": "Not Found"})
    assert asking("github").last_edit(*WEB, 1) is None


def test_query_that_is_refused_is_not_taken_for_no_edit(server: ScriptedForge, asking: Asking) -> None:
    server.issue("acme/web", 1)
    with pytest.raises(ForgeForbidden, match="Could not resolve to an Issue"):
        asking("github").last_edit(*WEB, 9)


def test_limit_of_queries_is_a_limit(server: ScriptedForge, asking: Asking) -> None:
    errors = [{"type": "RATE_LIMITED", "message": "API rate limit exceeded for user ID 1."}]
    server.answer("POST", "/graphql", body={"errors": errors}, headers={"X-RateLimit-Reset": "99999999999"})
    with pytest.raises(ForgeLimited) as limited:
        asking("github").last_edit(*WEB, 1)
    assert limited.value.retry_at is not None


# --- rights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "github", "gitea"),
    [
        ("admin", "admin", "admin"),
        ("maintain", "write", "write"),
        ("write", "write", "write"),
        ("triage", "triage", "read"),
        ("read", "read", "read"),
        ("none", "none", "none"),
    ],
)
def test_right_is_what_the_role_allows(
    server: ScriptedForge, forge: Forge, kind: str, role: str, github: str, gitea: str
) -> None:
    server.issue("acme/web", 1)
    server.intake("acme/web").rights["bob"] = role
    assert forge.right(*WEB, "bob") == (github if kind == "github" else gitea)


def test_role_of_an_organisations_own_counts_as_the_older_word_says(server: ScriptedForge, asking: Asking) -> None:
    body = {"permission": "write", "role_name": "release manager", "user": {"login": "bob"}}
    server.answer("GET", "/permission", body=body)
    server.answer("GET", "/permission", body={**body, "permission": "unheard of"})
    assert asking("github").right(*WEB, "bob") == "write"
    assert asking("github").right(*WEB, "bob") == "none"


def test_owner_of_a_gitea_repository_is_its_admin(server: ScriptedForge, asking: Asking) -> None:
    server.answer("GET", "/permission", body={"permission": "owner", "role_name": "owner", "user": {"login": "acme"}})
    assert asking("gitea").right(*WEB, "acme") == "admin"


@pytest.mark.parametrize("account", ["dependabot[bot]", "bob.smith-x_1", "böb/../x?y#z", "100%"])
def test_account_with_odd_characters_is_asked_for_as_it_is(server: ScriptedForge, forge: Forge, account: str) -> None:
    server.issue("acme/web", 1)
    server.intake("acme/web").rights[account] = "write"
    assert forge.right(*WEB, account) == "write"


def test_account_that_is_not_there_has_no_right(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1)
    server.intake("acme/web").unknown.add("github-actions[bot]")
    assert forge.right(*WEB, "github-actions[bot]") == "none"


def test_who_wrote_what_was_imported_has_no_right(server: ScriptedForge, asking: Asking) -> None:
    # It is somebody of another server, and here an account may have the same name.
    server.intake("acme/web").rights |= {"bob": "admin", "importer": "admin"}
    user, at = {"login": "importer"}, "2026-02-01T10:00:00Z"
    said = {"id": 7, "body": "go", "html_url": "", "created_at": at, "updated_at": at, "user": user}
    server.issue("acme/web", 1)
    server.answer("GET", "/issues/1/comments", body=[{**said, "original_author": "bob"}])
    (comment,) = asking("gitea").issue(*WEB, 1).comments
    assert comment.author == f"bob{IMPORTED}"
    asked = len(server.requests)
    assert asking("gitea").right(*WEB, comment.author) == "none"
    assert len(server.requests) == asked


def test_right_is_not_known_where_the_token_may_not_ask(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1)
    server.intake("acme/web").tells_rights = False
    assert forge.right(*WEB, "bob") is None


# --- blockers -------------------------------------------------------------------------------------------------------


def test_blockers_are_told_with_their_repository_and_state(server: ScriptedForge, forge: Forge) -> None:
    for number in (1, 2, 3):
        server.issue("acme/web", number)
    server.issue("acme/api", 3, state="closed")
    server.intake("acme/web").blockers[1] = [("acme/web", 2), ("acme/api", 3), ("acme/web", 3)]
    server.page = 2
    assert forge.blockers(*WEB, 1) == (
        Blocker("acme/web", 2, open=True),
        Blocker("acme/api", 3, open=False),
        Blocker("acme/web", 3, open=True),
    )
    assert forge.blockers(*WEB, 2) == ()


def test_blocker_that_gitea_hides_is_told(server: ScriptedForge, asking: Asking) -> None:
    server.issue("acme/web", 1)
    server.intake("acme/web").blockers[1] = [("acme/secret", 7)]
    assert asking("gitea").blockers(*WEB, 1) == (Blocker("", 0, open=True),)


@pytest.mark.parametrize("status", [404, 405, 410])
def test_forge_without_dependencies_has_no_blockers(
    server: ScriptedForge, forge: Forge, kind: str, status: int
) -> None:
    path = "/dependencies" if kind == "gitea" else "/dependencies/blocked_by"
    server.answer("GET", path, status=status, body={"message": "Not Found"})
    assert forge.blockers(*WEB, 1) == ()


# --- labels that are changed ----------------------------------------------------------------------------------------


def test_labels_are_added_and_removed(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1, labels=("kugetsu", "bug", "working/on it"))
    forge.change_labels(*WEB, 1, [ODD, "bug", "bug"], ["working/on it", "never there"])
    assert server.labels_of("acme/web", 1) == ("kugetsu", "bug", ODD)
    forge.change_labels(*WEB, 1, ["working/on it"], [ODD])
    assert server.labels_of("acme/web", 1) == ("kugetsu", "bug", "working/on it")


def test_labels_that_are_as_they_should_be_are_not_sent(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1, labels=("kugetsu",))
    forge.change_labels(*WEB, 1, ["kugetsu"], ["done"])
    assert [request.method for request in server.requests] == ["GET"]


def test_label_to_add_and_to_remove_stays(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1, labels=("kugetsu",))
    forge.change_labels(*WEB, 1, ["kugetsu"], ["kugetsu"])
    assert server.labels_of("acme/web", 1) == ("kugetsu",)


def test_missing_label_is_made_once(server: ScriptedForge, asking: Asking) -> None:
    forge = asking("gitea")
    for number in (1, 2):
        server.issue("acme/web", number)
        forge.change_labels(*WEB, number, ["in progress"], [])
    assert [request.body["name"] for request in server.asked("POST", "/web/labels")] == ["in progress"]
    assert server.labels_of("acme/web", 2) == ("in progress",)


def test_label_of_an_organisation_is_taken_before_one_is_made(server: ScriptedForge, asking: Asking) -> None:
    server.issue("acme/web", 1)
    server.organisations["acme"]["in progress"] = 7
    asking("gitea").change_labels(*WEB, 1, ["in progress"], [])
    assert server.labels_of("acme/web", 1) == ("in progress",)
    assert server.asked("POST", "/web/labels") == []


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize("cut", [True, False])
def test_lost_answer_is_asked_for_again(server: ScriptedForge, forge: Forge, kind: str, method: str, cut: bool) -> None:
    server.issue("acme/web", 1, labels=("old",))
    server.intake("acme/web").label_id("new")
    path = (
        "/issues/1/labels"
        if method == "POST"
        else "/issues/1/labels/" + ("old" if kind == "github" else str(server.intake("acme/web").labels["old"]))
    )
    server.answer(method, path, carry_out=True, cut=cut, status=200 if cut else 502)
    forge.change_labels(*WEB, 1, ["new"], ["old"])
    assert server.labels_of("acme/web", 1) == ("new",)
    assert len(server.asked(method, path)) == 2


def test_label_that_may_not_be_removed_is_not_said_to_be_gone(server: ScriptedForge, asking: Asking) -> None:
    # What an account may not do, GitHub may call not found.
    server.issue("acme/web", 1, labels=("old",))
    server.answer("DELETE", "/labels/old", status=404, body={"message": "Not Found"})
    with pytest.raises(ForgeNotFound):
        asking("github").change_labels(*WEB, 1, [], ["old"])


def test_login_page_is_not_taken_for_a_removal(server: ScriptedForge, asking: Asking) -> None:
    # A proxy asks for a login by a page, with 200.
    server.issue("acme/web", 1, labels=("old",))
    server.answer("DELETE", "/labels/old", body="<html>log in</html>", content="text/html")
    with pytest.raises(ForgeBroken, match="a web page"):
        asking("github").change_labels(*WEB, 1, [], ["old"])


# --- every method ---------------------------------------------------------------------------------------------------

METHODS: dict[str, Callable[[Forge], object]] = {
    "labelled": lambda forge: forge.labelled(*WEB, "kugetsu", None),
    "label_event": lambda forge: forge.label_event(*WEB, 1, "kugetsu"),
    "last_edit": lambda forge: forge.last_edit(*WEB, 1),
    "right": lambda forge: forge.right(*WEB, "bob"),
    "blockers": lambda forge: forge.blockers(*WEB, 1),
    "change_labels": lambda forge: forge.change_labels(*WEB, 1, ["new"], ["kugetsu"]),
}
FAILURES = {
    401: ForgeUnauthorised,
    429: ForgeLimited,
    500: ForgeBroken,
    503: ForgeBroken,
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", FAILURES)
def test_failure_is_the_one_that_the_status_means(
    server: ScriptedForge, forge: Forge, method: str, status: int
) -> None:
    for verb in ("GET", "POST"):
        server.answer(verb, "", status=status, body={"message": "no"}, headers={"Retry-After": "60"}, times=0)
    with pytest.raises(FAILURES[status]) as failed:
        METHODS[method](forge)
    assert failed.value.retry_at is not None or status < 429
    assert not failed.value.uncertain


@pytest.mark.parametrize("method", [name for name in METHODS if name != "right"])
def test_forbidden_is_not_taken_for_nothing(server: ScriptedForge, forge: Forge, method: str) -> None:
    for verb in ("GET", "POST"):
        server.answer(verb, "", status=403, body={"message": "Resource not accessible by integration"}, times=0)
    with pytest.raises(ForgeForbidden):
        METHODS[method](forge)


@pytest.mark.parametrize("method", ["labelled", "label_event", "change_labels"])
def test_repository_that_is_not_there_is_named(server: ScriptedForge, forge: Forge, method: str) -> None:
    with pytest.raises(ForgeNotFound, match="acme/web"):
        METHODS[method](forge)


def test_cut_connection_is_tried_again(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1, labels=("kugetsu",))
    server.answer("GET", "/issues", cut=True)
    assert numbers(forge) == [1]
    server.answer("GET", "/issues", cut=True, times=3)
    with pytest.raises(ForgeUnreachable):
        numbers(forge)


def test_repository_that_moved_is_followed(server: ScriptedForge, forge: Forge) -> None:
    server.issue("newco/site", 1, labels=("kugetsu",))
    server.label("newco/site", 1, "later", by="bob")
    server.intake("newco/site").rights["bob"] = "write"
    server.intake("newco/site").blockers[1] = [("newco/site", 1)]
    server.moved["acme/web"] = "newco/site"
    etag = forge.labelled(*WEB, "kugetsu", None).etag
    assert (forge.labelled(*WEB, "kugetsu", etag).items is None) == (etag is not None)
    assert forge.label_event(*WEB, 1, "later") is not None
    assert forge.right(*WEB, "bob") == "write"
    assert forge.blockers(*WEB, 1) == (Blocker("newco/site", 1, open=True),)
    forge.change_labels(*WEB, 1, ["done"], ["kugetsu"])
    assert server.labels_of("newco/site", 1) == ("later", "done")
