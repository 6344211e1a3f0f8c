"""`kugetsu review`."""

from __future__ import annotations

import re
import subprocess

import pytest

from forge.scripted import ScriptedForge

REF = "example.com/o/r#1"


@pytest.fixture
def forged(ready):
    """An issue on which an agent worked and pushed, with an open pull request; the forge is `ready.forge`."""
    with ScriptedForge() as forge:
        ready.environment["GIT_SERVERS"] = f"example.com={forge.url}"
        bare = ready.folder / "bare.git"
        subprocess.run(["git", "clone", "-q", "--bare", str(ready.work), str(bare)], check=True)
        git = ["git", "-C", str(ready.work)]
        subprocess.run([*git, "remote", "set-url", "origin", f"{forge.url}/o/r.git"], check=True)
        config = ready.folder / ".gitconfig"
        config.write_text(f'[url "{bare}"]\n\tinsteadOf = {forge.url}/o/r.git\n')
        ready.agent("cat > got; git add got; git commit -qm work; git push -q origin HEAD; echo all done.")
        forge.issue("o/r", 1, title="Fix the parser")
        assert ready("start", "--wait", REF, "x").code == 0
        tree = ready("list", "--json").json["sessions"][0]["worktree"]
        head = subprocess.run(["git", "-C", tree, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        forge.pull("o/r", 9, branch="fix/issue-1", sha=head.stdout.strip(), title="Fix the parser")
        ready.forge = forge
        yield ready


def _stable(forged, text: str) -> str:
    return text.replace(forged.forge.url, "https://example.com")


def test_it_looks_now_records_what_changed_and_shows_it(forged, snapshot, fits):
    forge = forged.forge
    head = forge.head_of("o/r", 9)
    forge.check("o/r", head, "build", "success")
    forge.check("o/r", head, "lint", "failure")
    forge.review("o/r", 9, "commented", body="looks good so far")
    shown = forged("review", REF)
    assert shown.code == 0
    snapshot("review", re.sub(r" for [\d.]+s", " for 1s", _stable(forged, shown.out)))
    assert fits(forged("review", REF, COLUMNS="40").out, 40)
    assert shown.err.splitlines() == [
        f"next: kugetsu continue {REF} MESSAGE",
        f"reviewed: kugetsu review {REF} --done",
    ]
    told = forged("review", REF, "--json").json
    assert told["review"] == "checks_failed" and told["events"] == [] and told["looked"] is True
    assert [(check["name"], check["state"]) for check in told["checks"]] == [("build", "success"), ("lint", "failure")]
    forge.change_pull("o/r", 9, state="merged")
    told = forged("review", REF, "--json").json
    assert told["review"] == "merged" and len(told["events"]) == 1
    assert forged("review").out == "nothing to review\n"
    assert forged("review", REF, "--done").code == 5


def test_done_ends_the_review_of_this_commit_and_can_be_undone(forged):
    assert forged("review", REF).code == 0
    done = forged("review", REF, "--done")
    assert done.code == 0 and done.out == f"{REF} is reviewed\n"
    seq = forged("review", REF, "--done", "--json").json
    assert seq["seq"] is None and seq["review"] == "approved"
    assert forged("review", REF, "--json").json["review"] == "approved", "the forge has no verdict, the user has"
    undo = done.err.splitlines()[0].removeprefix("undo: kugetsu ").split()
    assert forged(*undo, "--yes").code == 0
    assert forged("review", REF, "--json").json["review"] == "to_review"
    assert forged("review", REF, "--done").code == 0
    forged.forge.change_pull("o/r", 9, sha="c" * 40)
    assert forged("review", REF, "--json").json["review"] == "to_review", "somebody pushed more"


def test_a_forge_that_does_not_answer_is_told_and_the_recorded_is_shown(forged):
    assert forged("review", REF).code == 0
    forged.forge.answer("GET", "/pulls/9", status=503, times=0)
    shown = forged("review", REF)
    assert shown.code == 0 and "not seen" in shown.out and "#9 open" in shown.out
    assert forged("review", REF, "--json").json["problem"]


def test_the_list_and_the_past_show_what_was_recorded(forged, snapshot):
    before = forged("history", "--all", "--json").out.count("\n")
    assert forged("review", REF).code == 0
    asked = len(forged.forge.requests)
    shown = forged("review")
    assert shown.out.splitlines()[1].startswith(f"{REF}  to review")
    assert shown.err == "1 to review        each: kugetsu review REF\n"
    then = forged("review", REF, "--at", str(before), "--json").json
    assert then["pull"] is None and then["looked"] is False and then["as_of"]["seq"] == before
    assert len(forged.forge.requests) == asked, "the past is not asked of a forge"
    assert forged("review", "--done").code == 3
    assert forged("review", REF, "--done", "--at", "3").code == 3
    assert forged("review", "example.com/o/r#77").code == 4


def test_without_a_forge_git_and_the_user_end_a_review(ready):
    git = ["git", "-C", str(ready.work)]
    subprocess.run([*git, "remote", "remove", "origin"], check=True)
    ready.agent('n="${KUGETSU_ISSUE##*#}"; cat > "got-$n"; git add .; git commit -qm work')
    assert ready("init", "--repo", ".").code == 0
    for number in (1, 2):
        assert ready("start", "--wait", f"#{number}", "x").code == 0
    shown = ready("review", "#1")
    assert "fix/issue-1, not merged into main" in shown.out
    assert "its work waits for someone to look at it" in ready("why", "#1").out
    assert ready("why", "#1", "--json").json["review"] == "to_review"
    subprocess.run([*git, "merge", "-q", "--squash", "fix/issue-1"], check=True)
    subprocess.run([*git, "commit", "-qm", "squashed"], check=True)
    shown = ready("review", "#1")
    assert "fix/issue-1, merged into main" in shown.out and "clean up: kugetsu destroy" in shown.err
    assert ready("review", "#2", "--done").code == 0
    reviews = ready("review", "--json").json["sessions"]
    assert [one["review"] for one in reviews] == ["approved"]
    assert ready("replay", "--verify").code == 0 and ready("log", "verify").code == 0


def test_the_list_has_titles_and_whole_numbers(kugetsu, story, fits):
    issues = [f"git.an-example-of-a-host.org/owner/repository#{number}" for number in (14, 15)]
    for issue in issues:
        story.enqueue("fix the parser", issue)
    for task in ("q1", "q2"):
        evidence = {"commits": 12, "files": 3, "added": 1234, "removed": 987, "pushed": False, "head": "c1"}
        story.finish(story.run(task), "succeed", "done", "12 commits", evidence=evidence)
    for width in (80, 40):
        shown = kugetsu("review", COLUMNS=str(width)).out
        assert fits(shown, width) and shown.count("+1234 −987") == 2, shown
        assert shown.count("12 commits not pushed") == 2 and shown.count("fix") == 2, shown
