"""Pull requests, their reviews and checks, on both kinds of forge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forge.asking import Asking, pulls_of_branch
from forge.scripted import Request, ScriptedForge
from kugetsu.forge.client import Limits
from kugetsu.forge.failures import ForgeBroken, ForgeFailure, ForgeNotFound, ForgeOversized, ForgeRefused
from kugetsu.forge.protocol import Forge, NewPull, Source, verdict_of

SHA = "a" * 40
ASKED = Request("GET", "", {}, {}, None, 0)


def test_pull_request_comes_with_all_its_parts(server: ScriptedForge, forge: Forge, kind: str) -> None:
    server.pull("acme/web", 15, branch="fix/issue-14", title="Faster", sha=SHA)
    pull = forge.pull("acme", "web", 15)
    assert pull.url == f"{server.url}/acme/web/{'pulls' if kind == 'gitea' else 'pull'}/15"
    assert (pull.number, pull.title, pull.state, pull.draft, pull.mergeable) == (15, "Faster", "open", False, True)
    assert (pull.head_branch, pull.head_repository, pull.head_sha) == ("fix/issue-14", "acme/web", SHA)
    assert (pull.base_branch, pull.updated_at) == ("main", "2026-01-01T10:00:15Z")


@pytest.mark.parametrize("state", ["open", "closed", "merged"])
def test_state_tells_merged_from_closed(server: ScriptedForge, forge: Forge, state: str) -> None:
    server.pull("acme/web", 15, branch="b", state=state)
    assert forge.pull("acme", "web", 15).state == state
    assert [pull.state for pull in pulls_of_branch(forge, "acme", "web", "b")] == [state]
    assert (forge.pull("acme", "web", 15).mergeable is None) == (state != "open")


def test_commits_of_a_pull_request_come_from_all_pages(server: ScriptedForge, forge: Forge) -> None:
    server.pull("acme/web", 15, branch="b", sha=SHA)
    server.change_pull("acme/web", 15, commits=tuple(f"{number:040x}" for number in range(120)))
    found = forge.pull_commits("acme", "web", 15)
    assert (len(found), found[0], found[-1]) == (121, "0" * 40, SHA)
    with pytest.raises(ForgeNotFound):
        forge.pull_commits("acme", "web", 16)


def test_conflict_and_draft_are_told_apart(server: ScriptedForge, forge: Forge, kind: str) -> None:
    server.pull("acme/web", 1, branch="conflict", mergeable=False)
    server.pull("acme/web", 2, branch="draft", draft=True)
    assert forge.pull("acme", "web", 1).mergeable is False
    draft = forge.pull("acme", "web", 2)
    assert draft.draft
    assert draft.mergeable is (None if kind == "gitea" else True)


def test_github_that_has_not_looked_yet_leaves_mergeable_open(server: ScriptedForge, asking: Asking) -> None:
    server.pull("acme/web", 1, branch="b", mergeable=None)
    assert asking("github").pull("acme", "web", 1).mergeable is None


def test_pulls_of_a_branch_come_open_first_then_newest(server: ScriptedForge, forge: Forge) -> None:
    for number, state in ((3, "closed"), (4, "open"), (5, "merged"), (6, "open"), (7, "closed")):
        server.pull("acme/web", number, branch="b", state=state)
    server.pull("acme/web", 8, branch="other")
    server.pull("acme/web", 9, branch="B")
    assert [pull.number for pull in pulls_of_branch(forge, "acme", "web", "b")] == [6, 4, 7, 5, 3]


def test_pull_of_a_deleted_branch_is_found(server: ScriptedForge, forge: Forge) -> None:
    server.pull("acme/web", 3, branch="fix/issue-1", state="merged", branch_deleted=True)
    (pull,) = pulls_of_branch(forge, "acme", "web", "fix/issue-1")
    assert (pull.number, pull.head_branch) == (3, "fix/issue-1")


def test_same_branch_of_a_strangers_fork_is_not_ours(server: ScriptedForge, forge: Forge) -> None:
    server.pull("acme/web", 3, branch="b", head_repository="mallory/web")
    server.pull("acme/web", 4, branch="b", head_repository=None)
    assert pulls_of_branch(forge, "acme", "web", "b") == ()
    (pull,) = pulls_of_branch(forge, "acme", "web", "b", head_owner="mallory")
    assert (pull.number, pull.head_repository) == (3, "mallory/web")


def test_github_that_does_not_filter_is_filtered(server: ScriptedForge, asking: Asking) -> None:
    # GitHub ignores a `head` that it cannot read, and gives all pull requests.
    for number, head in ((3, "mallory/web"), (4, "acme/web"), (5, None)):
        server.pull("acme/web", number, branch="b", head_repository=head)
    server.pull("acme/web", 6, branch="c")
    github = asking("github")
    unfiltered = [server.respond(replace(ASKED, path=f"/repos/acme/web/pulls/{n}"))[2] for n in (3, 4, 5, 6)]
    server.answer("GET", "/pulls", body=unfiltered)
    assert [pull.number for pull in pulls_of_branch(github, "acme", "web", "b")] == [4]


def test_owner_is_the_same_in_any_case(server: ScriptedForge, forge: Forge) -> None:
    server.pull("acme/web", 3, branch="b")
    server.repositories["Acme/Web"] = server.repositories["acme/web"]
    assert [pull.number for pull in pulls_of_branch(forge, "Acme", "Web", "b")] == [3]


def test_pull_request_is_found_by_the_commit_at_its_head_whatever_its_branch(
    server: ScriptedForge, forge: Forge
) -> None:
    server.pull("acme/web", 3, branch="renamed", sha=SHA)
    server.pull("acme/web", 4, branch="theirs", sha="b" * 40, head_repository="bob/web")
    server.pull("acme/web", 5, branch="other", sha="c" * 40)
    source = Source(frozenset(("fix/issue-14",)), frozenset((SHA, "b" * 40, "d" * 40)), owners=("bob",))
    assert [pull.number for pull in forge.pulls_from("acme", "web", source)] == [4, 3]


@pytest.mark.parametrize("state", ["open", "closed", "merged"])
def test_strangers_pull_request_is_not_ours_whatever_it_contains_and_says(
    server: ScriptedForge, forge: Forge, state: str
) -> None:
    title = "Closes #14, made by @kugetsu-bot from fix/issue-14"
    server.pull("acme/web", 3, branch="fix/issue-14", head_repository="mallory/web", sha=SHA, title=title, state=state)
    server.pull("acme/web", 4, branch="fix/issue-14", head_repository=None, sha=SHA, state=state)
    server.pull("acme/web", 5, branch="of-theirs", title=title, state=state)
    source = Source(frozenset(("fix/issue-14",)), frozenset((SHA,)), owners=("bob",))
    assert forge.pulls_from("acme", "web", source) == ()


def test_earlier_pull_request_of_a_branch_with_the_same_name_is_not_ours(server: ScriptedForge, forge: Forge) -> None:
    server.pull("acme/web", 3, branch="fix/issue-14", state="merged", sha="b" * 40)
    server.pull("acme/web", 4, branch="fix/issue-14", state="closed", sha="c" * 40)
    server.pull("acme/web", 5, branch="fix/issue-14", state="merged", sha=SHA)
    branches = frozenset(("fix/issue-14",))
    ours = forge.pulls_from("acme", "web", Source(branches, frozenset((SHA,))))
    assert [pull.number for pull in ours] == [5]
    # Where no commit is known, as before the first run, the name is all there is.
    assert [pull.number for pull in forge.pulls_from("acme", "web", Source(branches))] == [5, 4, 3]


def test_pull_request_of_a_fork_and_of_several_branches_are_found(server: ScriptedForge, forge: Forge) -> None:
    for number, branch, head in ((3, "a", "acme/web"), (4, "b", "bob/web"), (5, "b", "mallory/web")):
        server.pull("acme/web", number, branch=branch, head_repository=head)
    source = Source(frozenset("ab"), owners=("Bob",))
    assert [pull.number for pull in forge.pulls_from("acme", "web", source)] == [4, 3]


def test_github_gives_an_open_pull_request_that_somebody_pushed_more_to(server: ScriptedForge, asking: Asking) -> None:
    for number, state in ((3, "open"), (4, "merged")):
        server.pull("acme/web", number, branch=f"b{number}", state=state)
        server.change_pull("acme/web", number, commits=(SHA,))
    found = asking("github").pulls_from("acme", "web", Source(frozenset(), frozenset((SHA,))))
    assert [pull.number for pull in found] == [3]


def test_pull_request_of_a_repository_that_was_transferred_is_found_by_its_former_name(
    server: ScriptedForge, forge: Forge
) -> None:
    server.pull("newco/site", 3, branch="fix/issue-14")
    server.pull("newco/site", 4, branch="fix/issue-14", head_repository="acme/fork")
    server.moved["acme/web"] = "newco/site"
    assert [pull.number for pull in pulls_of_branch(forge, "acme", "web", "fix/issue-14")] == [3]


def test_token_is_not_sent_to_another_host_by_a_redirect(server: ScriptedForge, forge: Forge) -> None:
    with ScriptedForge() as other:
        server.answer("GET", "/pulls", status=307, headers={"Location": f"{other.url}/api/v1/repos/acme/web/pulls"})
        with pytest.raises(ForgeBroken, match="does not follow"):
            pulls_of_branch(forge, "acme", "web", "b")
        assert other.requests == []


@pytest.mark.parametrize("page", [4, 7, 50])
def test_pages_are_read_to_the_end_when_a_proxy_strips_what_tells_of_them(
    server: ScriptedForge, forge: Forge, kind: str, page: int
) -> None:
    # GitHub fills its pages as it was asked to; Gitea's administrator may have set any length.
    server.page, server.stripped = (100 if kind == "github" else page), True
    for number in range(1, 251 if kind == "github" else 15):
        server.pull("acme/web", number, branch="b" if number == 1 else "others", sha=SHA)
        server.review("acme/web", 1, "commented")
    found = forge.pulls_from("acme", "web", Source(frozenset("b"), frozenset()))
    assert [pull.number for pull in found] == [1]
    assert len(forge.reviews("acme", "web", 1)) == len(server.repositories["acme/web"].pulls)


def test_a_short_page_of_github_is_the_last(server: ScriptedForge, asking: Asking) -> None:
    server.stripped = True
    server.pull("acme/web", 1, branch="b")
    pulls_of_branch(asking("github"), "acme", "web", "b")
    assert len(server.requests) == 1


def test_branch_is_found_on_a_later_page(server: ScriptedForge, forge: Forge) -> None:
    server.page = 4
    for number in range(1, 15):
        server.pull("acme/web", number, branch="b" if number == 1 else f"b{number}")
    assert [pull.number for pull in pulls_of_branch(forge, "acme", "web", "b")] == [1]


def test_more_open_pulls_than_are_read_is_an_error_and_not_none(server: ScriptedForge, asking: Asking) -> None:
    server.page = 2
    for number in range(1, 9):
        server.pull("acme/web", number, branch="b" if number == 1 else f"b{number}")
    with pytest.raises(ForgeOversized, match="over 3 pages"):
        pulls_of_branch(asking("gitea", limits=Limits(pages=3)), "acme", "web", "b")


def test_server_that_ignores_the_page_asked_for_ends_the_list(server: ScriptedForge, asking: Asking) -> None:
    review = {"id": 1, "state": "APPROVED", "user": {"login": "bob"}, "submitted_at": "2026-01-01T00:00:00Z"}
    server.answer("GET", "/reviews", body=[review], headers={"X-Total-Count": "3"}, times=0)
    assert len(asking("gitea").reviews("acme", "web", 1)) == 1
    assert len(server.requests) == 2


def test_reviews_have_the_same_words_on_both(server: ScriptedForge, forge: Forge, kind: str) -> None:
    server.pull("acme/web", 15, branch="b")
    states = ["approved", "changes_requested", "commented", "dismissed", "pending"]
    for state in states:
        server.review("acme/web", 15, state, body=f"it is {state}")
    if kind == "gitea":
        server.review("acme/web", 15, "requested")
    reviews = forge.reviews("acme", "web", 15)
    assert [review.state for review in reviews] == states
    assert [review.body for review in reviews] == [f"it is {state}" for state in states]
    assert reviews[0].author == "bob"
    assert [bool(review.submitted_at) for review in reviews] == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("states", "together"),
    [
        ([], "none"),
        (["success", "success"], "success"),
        (["success", "pending"], "pending"),
        (["pending", "failure"], "failure"),
        (["error"], "failure"),
        (["warning"], "success"),
        (["success", "a word of the future"], "success"),
    ],
)
def test_checks_together(server: ScriptedForge, forge: Forge, states: list[str], together: str) -> None:
    server.pull("acme/web", 15, branch="b", sha=SHA)
    for number, state in enumerate(states):
        server.check("acme/web", SHA, f"ci/{number}", state)
    checks = forge.checks("acme", "web", SHA)
    assert checks.state == together
    assert [check.name for check in checks.items] == [f"ci/{n}" for n in range(len(states))]


@pytest.mark.parametrize(
    ("conclusion", "state"),
    [
        ("success", "success"),
        ("neutral", "other"),
        ("skipped", "other"),
        ("cancelled", "failure"),
        ("timed_out", "failure"),
        ("action_required", "failure"),
        ("in_progress", "pending"),
    ],
)
def test_github_joins_statuses_and_check_runs(
    server: ScriptedForge, asking: Asking, conclusion: str, state: str
) -> None:
    server.pull("acme/web", 15, branch="b", sha=SHA)
    server.check("acme/web", SHA, "status", "success")
    server.check("acme/web", SHA, "run", conclusion, run=True)
    checks = asking("github").checks("acme", "web", SHA)
    assert [(check.name, check.state) for check in checks.items] == [("status", "success"), ("run", state)]
    assert checks.state == {"other": "success"}.get(state, state)
    assert checks.items[1].url.startswith(f"{server.url}/runs/")


def test_checks_of_every_page_are_read(server: ScriptedForge, forge: Forge) -> None:
    server.page = 2
    server.pull("acme/web", 15, branch="b", sha=SHA)
    for number in range(5):
        server.check("acme/web", SHA, f"ci/{number}", "failure" if number == 4 else "success")
    checks = forge.checks("acme", "web", SHA)
    assert (len(checks.items), checks.state) == (5, "failure")


NEW = NewPull("Slow login", "It is.", "fix/issue-14", "dev")


def test_new_pull_request_is_open_and_found(server: ScriptedForge, forge: Forge, kind: str) -> None:
    server.issue("acme/web", 14)
    server.pushed("acme/web", "fix/issue-14", SHA)
    pull = forge.create_pull("acme", "web", NEW)
    assert (pull.number, pull.title, pull.state, pull.draft) == (15, "Slow login", "open", False)
    assert (pull.head_branch, pull.head_sha, pull.base_branch) == ("fix/issue-14", SHA, "dev")
    assert server.pulls("acme/web")[0].body == "It is."
    assert [found.number for found in pulls_of_branch(forge, "acme", "web", "fix/issue-14")] == [15]
    assert "draft" not in server.asked("POST", "/pulls")[0].body or kind == "github"


def test_new_pull_request_of_a_fork_names_its_owner(server: ScriptedForge, forge: Forge) -> None:
    server.pushed("acme/web", "bob:fix/issue-14", SHA)
    assert forge.create_pull("acme", "web", replace(NEW, head_owner="bob")).head_repository == "bob/web"
    server.pushed("acme/web", "fix/issue-14", SHA)
    assert forge.create_pull("acme", "web", replace(NEW, head_owner="Acme")).head_repository == "acme/web"


@pytest.mark.parametrize("title", ["Slow login", "WIP: Slow login", "[wip] Slow login"])
def test_draft_is_one_on_each_forge(server: ScriptedForge, forge: Forge, kind: str, title: str) -> None:
    server.pushed("acme/web", "fix/issue-14", SHA)
    forge.create_pull("acme", "web", replace(NEW, title=title, draft=True))
    (asked,) = server.asked("POST", "/pulls")
    prefixed = title if title != "Slow login" else "WIP: Slow login"
    assert asked.body["title"] == (prefixed if kind == "gitea" else title)
    assert asked.body.get("draft") is (None if kind == "gitea" else True)


def test_second_pull_request_of_a_branch_is_refused(server: ScriptedForge, forge: Forge) -> None:
    server.pushed("acme/web", "fix/issue-14", SHA)
    forge.create_pull("acme", "web", NEW)
    with pytest.raises(ForgeRefused, match="already exists"):
        forge.create_pull("acme", "web", NEW)
    assert len(server.pulls("acme/web")) == 1


def test_branch_that_the_forge_does_not_have_is_named(server: ScriptedForge, forge: Forge, kind: str) -> None:
    server.issue("acme/web", 14)
    with pytest.raises(ForgeNotFound if kind == "gitea" else ForgeRefused) as refused:
        forge.create_pull("acme", "web", NEW)
    assert "acme/web" in refused.value.message


def test_new_pull_request_whose_answer_is_lost_is_uncertain_and_not_sent_again(
    server: ScriptedForge, forge: Forge
) -> None:
    server.pushed("acme/web", "fix/issue-14", SHA)
    server.answer("POST", "/pulls", carry_out=True, cut=True)
    with pytest.raises(ForgeFailure) as lost:
        forge.create_pull("acme", "web", NEW)
    assert lost.value.uncertain and lost.value.passing
    assert len(server.asked("POST", "/pulls")) == len(server.pulls("acme/web")) == 1


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ([], None),
        ([("bob", "commented")], None),
        ([("bob", "approved")], "approved"),
        ([("bob", "changes_requested"), ("bob", "approved")], "approved"),
        ([("bob", "changes_requested"), ("eve", "approved")], "changes_requested"),
        ([("bob", "changes_requested"), ("bob", "commented")], "changes_requested"),
        ([("bob", "approved"), ("bob", "dismissed")], None),
        ([("bob", "changes_requested"), ("", "")], "outdated"),
        ([("bob", "approved"), ("", "")], "outdated"),
        ([("bob", "changes_requested"), ("", ""), ("eve", "approved")], "outdated"),
        ([("bob", "approved"), ("", ""), ("eve", "approved")], "approved"),
        ([("bob", "approved"), ("", ""), ("eve", "changes_requested")], "changes_requested"),
    ],
)
def test_the_verdict_is_the_latest_of_each_reviewer_on_the_present_commit(
    server: ScriptedForge, forge: Forge, given: list[tuple[str, str]], verdict: str | None
) -> None:
    server.pull("acme/web", 15, branch="fix/issue-14", sha="a" * 40)
    for author, state in given:
        if author:
            server.review("acme/web", 15, state, author=author)
        else:
            server.change_pull("acme/web", 15, sha="b" * 40)
    assert verdict_of(forge.reviews("acme", "web", 15), server.head_of("acme/web", 15)) == verdict
