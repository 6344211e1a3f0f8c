"""Issues and comments, on both kinds of forge."""

from __future__ import annotations

from forge.asking import Asking
from forge.scripted import ScriptedForge
from kugetsu.forge.protocol import Forge


def test_issue_comes_with_all_its_parts(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 14, title="Slow login", body="It is.", labels=("bug", "ui"), comments=["me too", "same"])
    issue = forge.issue("acme", "web", 14)
    assert (issue.number, issue.title, issue.body, issue.state) == (14, "Slow login", "It is.", "open")
    assert (issue.author, issue.labels, issue.is_pull) == ("alice", ("bug", "ui"), False)
    assert issue.url == f"{server.url}/acme/web/issues/14"
    assert [comment.body for comment in issue.comments] == ["me too", "same"]
    assert issue.comments[0].author == "alice"
    assert issue.comments[0].created_at == "2026-01-01T10:00:01Z"
    assert issue.comments[0].url.endswith("#issuecomment-1")


def test_closed_issue_without_a_body_reads_as_empty(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1, body=None, state="closed")
    issue = forge.issue("acme", "web", 1)
    assert (issue.body, issue.state, issue.comments) == ("", "closed", ())


def test_pull_request_reads_as_an_issue_that_is_one(server: ScriptedForge, forge: Forge) -> None:
    server.pull("acme/web", 2, branch="x")
    server.say("acme/web", 2, "looks good")
    issue = forge.issue("acme", "web", 2)
    assert issue.is_pull
    assert [comment.body for comment in issue.comments] == ["looks good"]


def test_comments_of_every_page_are_read(server: ScriptedForge, forge: Forge) -> None:
    server.page = 3
    server.issue("acme/web", 14, comments=[f"comment {n}" for n in range(8)])
    assert [c.body for c in forge.issue("acme", "web", 14).comments] == [f"comment {n}" for n in range(8)]


def test_posted_comment_is_there_and_comes_back(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 14)
    comment = forge.comment("acme", "web", 14, 'done: "é" & <b>\n\n- a list')
    assert server.posted("acme/web", 14) == ['done: "é" & <b>\n\n- a list']
    assert comment.body == server.posted("acme/web", 14)[0]
    assert comment.author == server.login
    assert forge.issue("acme", "web", 14).comments == (comment,)


def test_comments_after_a_time_leave_older_ones_out(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 14)
    for day in (1, 2, 3):
        server.say("acme/web", 14, f"day {day}", at=f"2026-03-0{day}T00:00:00Z")
    later = forge.comments_after("acme", "web", 14, "2026-03-02T00:00:00.500000Z")
    assert [comment.body for comment in later] == ["day 2", "day 3"]
    assert len(forge.comments_after("acme", "web", 14, None)) == 3


def test_old_comment_that_was_edited_is_not_a_later_one(server: ScriptedForge, asking: Asking) -> None:
    # The servers filter by the time of the last change.
    value = {"id": 1, "body": "b", "user": None, "html_url": "u", "created_at": "2020-01-01T00:00:00Z"}
    server.issue("acme/web", 14)
    for kind in ("gitea", "github"):
        server.answer("GET", "/comments", body=[value, {**value, "id": 2, "created_at": "2026-03-02T02:00:00+02:00"}])
        found = asking(kind).comments_after("acme", "web", 14, "2026-03-02T00:00:00Z")
        assert [(c.id, c.created_at, c.author) for c in found] == [(2, "2026-03-02T00:00:00Z", "ghost")]


def test_whoami_names_the_account_or_nobody(server: ScriptedForge, asking: Asking, kind: str) -> None:
    assert asking(kind).whoami() == server.login
    assert asking(kind, token="").whoami() is None
    assert [request.method for request in server.requests] == ["GET"]


def test_connection_is_kept_between_calls(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 14)
    forge.issue("acme", "web", 14)
    forge.comment("acme", "web", 14, "x")
    assert len({request.port for request in server.requests}) == 1
    forge.close()
    forge.comment("acme", "web", 14, "y")
    assert len({request.port for request in server.requests}) == 2
