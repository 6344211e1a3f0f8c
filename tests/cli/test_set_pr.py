"""`kugetsu set-pr`."""

from __future__ import annotations

import pytest

from forge.scripted import ScriptedForge

REF = "example.com/o/r#1"
URL = "https://example.com/o/r/pulls/15"


@pytest.fixture
def worked(ready):
    assert ready("start", "--wait", REF, "x").code == 0
    return ready


def _ties(kugetsu):
    events = [line for line in kugetsu("history", REF, "--json").out.splitlines() if '"session.pr"' in line]
    return len(events)


def test_without_a_forge_it_is_taken_and_said_and_the_same_twice_changes_nothing(worked):
    first = worked("set-pr", REF, URL)
    assert first.code == 0 and first.out == f"tied to {REF}: {URL}\n"
    assert "not checked whether it exists: example.com cannot be queried" in first.err
    for same in (URL, f"{URL}/files", f"{URL}#issuecomment-3", "HTTPS://Example.com/O/R/pulls/15"):
        again = worked("set-pr", REF, same, "--json")
        assert again.code == 0 and again.json["seq"] is None and again.json["pr"] == URL, same
    assert _ties(worked) == 1
    assert worked("list", "--json").json["sessions"][0]["pr"] == URL
    assert worked("set-pr", REF, "https://example.com/o/r/pulls/16").code == 0
    assert _ties(worked) == 2


def test_another_repositorys_is_refused_unless_forced(worked):
    other = "https://example.com/o/other/pulls/15"
    refused = worked("set-pr", REF, other)
    assert refused.code == 5 and "example.com/o/other" in refused.err and "--force" in refused.err
    assert worked("set-pr", REF, other, "--force").code == 0


@pytest.mark.parametrize(
    "url",
    ["nonsense", "https://example.com/o/r/issues/15", "https://example.com/o/r", "ftp://example.com/o/r/pulls/1", ""],
)
def test_what_is_no_pull_requests_url_is_refused(worked, url):
    shown = worked("set-pr", REF, url)
    assert shown.code == 3 and "pull request's URL" in shown.err and "hint: " in shown.err


def test_an_issue_without_a_session_is_not_found(ready):
    assert ready("set-pr", "example.com/o/r#9", "https://example.com/o/r/pulls/15").code == 4
    assert ready("set-pr", "example.com/o/r#9").code == 3


def test_the_forge_is_asked_whether_it_is_there(kugetsu, story):
    with ScriptedForge() as forge:
        kugetsu.environment["GIT_SERVERS"] = f"{forge.host}={forge.url}"
        issue = f"{forge.host}/o/r#1"
        story.enqueue(issue=issue)
        story.run("q1")
        forge.pull("o/r", 15, branch="b", state="merged")
        missing = kugetsu("set-pr", issue, f"{forge.url}/o/r/pulls/16")
        assert missing.code == 4 and "has no pull request o/r#16" in missing.err
        tied = kugetsu("set-pr", issue, f"{forge.url}/o/r/pulls/15", "--json").json
        assert (tied["state"], tied["checked"], tied["number"]) == ("merged", True, 15)
        forge.answer("GET", "/pulls/15", status=403)
        again = kugetsu("set-pr", issue, f"{forge.url}/o/r/pulls/15")
        assert again.code == 0 and "not checked whether it exists" in again.err
