"""`kugetsu prune`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from forge.scripted import ScriptedForge


@pytest.fixture
def forged(ready):
    """One session whose pull request is merged, one that is open and one with an untracked file; a stray folder."""
    with ScriptedForge() as forge:
        ready.environment["GIT_SERVERS"] = f"example.com={forge.url}"
        git = ["git", "-C", str(ready.work)]
        subprocess.run([*git, "remote", "set-url", "origin", f"{forge.url}/o/r.git"], check=True)
        for number in (1, 2, 3):
            forge.issue("o/r", number, state="open" if number == 2 else "closed")
            ready.agent("echo x > loose" if number == 3 else "true")
            assert ready("start", "--wait", f"example.com/o/r#{number}", "x").code == 0
        (ready.root / "worktrees" / "stray").mkdir()
        yield ready


def _sessions(kugetsu):
    return [session["session"] for session in kugetsu("list", "--json").json["sessions"]]


def test_the_plan_is_shown_and_nothing_is_done_without_a_yes(forged, snapshot):
    dry = forged("prune", "--dry-run")
    assert dry.code == 0
    snapshot("prune", dry.out)
    assert dry.err == "do it: kugetsu prune\n"
    plain = forged("prune")
    assert plain.code == 5 and plain.out == dry.out and "kugetsu prune --force" in plain.err
    refused = forged("prune", "--json")
    assert refused.code == 5 and refused.json["error"]["code"] == "conflict"
    assert len(_sessions(forged)) == 3


def test_forced_it_does_not_ask_and_keeps_what_is_dirty(forged, snapshot):
    done = forged("prune", "--force")
    assert done.code == 0
    snapshot("prune-force", done.out)
    assert sorted(_sessions(forged)) == ["example.com/o/r#2", "example.com/o/r#3"]
    again = forged("prune", "--force", "--json").json
    assert again["removed"] == [] and again["dry_run"] is False
    assert {one["subject"].rsplit("/", 1)[-1] for one in again["kept"]} == {"r#2", "r#3", "stray"}
    assert forged("prune").out.startswith("nothing to remove\n")
    assert forged("log", "verify").code == 0


def test_a_server_that_cannot_be_asked_is_named_once_with_what_lets_it_be(ready):
    for number in (1, 2):
        assert ready("start", "--wait", f"example.com/o/r#{number}", "x").code == 0
    helps = "to query example.com: kugetsu server add example.com https://example.com\n"
    each = "each of them, with its reason: kugetsu prune --dry-run --all\n"
    assert ready("prune", "--dry-run").err == ready("prune", "--force").err == each + helps
    assert ready("prune", "--dry-run", "--json").err == ""


def test_json_says_what_went_and_by_which_event(forged):
    data = forged("prune", "--dry-run", "--json").json
    assert data["dry_run"] is True and data["removed"][0]["seq"] is None
    data = forged("prune", "--force", "--json").json
    (removed,) = data["removed"]
    assert (removed["kind"], removed["subject"], removed["reason"]) == (
        "session",
        "example.com/o/r#1",
        "its issue is closed",
    )
    assert f'"seq":{removed["seq"]},' in forged("history", "example.com/o/r#1", "--json").out


def test_a_fresh_directory_has_nothing_to_remove_and_none_is_an_error(kugetsu, ready):
    assert ready("prune").out == "nothing to remove\n"


def test_where_kugetsu_is_not_set_up_it_says_so(kugetsu):
    shown = kugetsu("prune")
    assert shown.code == 1 and "kugetsu init" in shown.err
    assert not kugetsu.root.exists()


@pytest.fixture
def local(ready):
    """Issues of a folder without a forge, on which agents worked; #1 is merged, #2 squashed, #4 has an unsaved file."""
    git = ["git", "-C", str(ready.work)]
    subprocess.run([*git, "remote", "remove", "origin"], check=True)
    ready.agent(
        'n="${KUGETSU_ISSUE##*#}"; cat > "got-$n"; git add .; git commit -qm work; test $n != 4 || echo > loose'
    )
    assert ready("init", "--repo", ".").code == 0
    for number in range(1, 8):
        assert ready("start", "--wait", f"#{number}", "x").code == 0
    subprocess.run([*git, "merge", "-q", "--no-ff", "-m", "merge", "fix/issue-1"], check=True)
    for number in (2, 4):
        subprocess.run([*git, "merge", "-q", "--squash", f"fix/issue-{number}"], check=True)
        subprocess.run([*git, "commit", "-qm", f"squashed {number}"], check=True)
    return ready


def test_without_a_forge_what_is_merged_goes_and_the_rest_is_counted(local, snapshot, fits):
    dry = local("prune", "--dry-run")
    snapshot("prune-local", dry.out)
    assert fits(dry.out) and fits(local("prune", "--dry-run", COLUMNS="40").out, 40)
    assert dry.err.splitlines() == [
        "each of them, with its reason: kugetsu prune --dry-run --all",
        "do it: kugetsu prune",
    ]
    snapshot("prune-local-all", local("prune", "--dry-run", "--all").out)
    kept = local("prune", "--dry-run", "--json").json["kept"]
    assert len(kept) == 5 and {one["group"] for one in kept} == {
        "its issue is or may be open",
        "it holds unsaved work",
    }
    assert local("prune", "--force").code == 0
    assert [int(key.rpartition("#")[2]) for key in _sessions(local)] == [3, 4, 5, 6, 7]
    branches = subprocess.run(["git", "-C", str(local.work), "branch"], capture_output=True, text=True, check=True)
    assert "fix/issue-2" in branches.stdout, "branches stay"


def test_more_work_after_a_merge_keeps_the_session(local):
    tree = next(one["worktree"] for one in local("list", "--json").json["sessions"] if one["session"].endswith("#2"))
    Path(tree, "later").write_text("x")
    subprocess.run(["git", "-C", tree, "add", "later"], check=True)
    subprocess.run(["git", "-C", tree, "commit", "-qm", "later"], check=True)
    local("prune", "--force")
    assert any(key.endswith("#2") for key in _sessions(local))
