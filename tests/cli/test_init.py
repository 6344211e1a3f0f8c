"""`kugetsu init`, with the real runtime and an agent that is any command."""

from __future__ import annotations

import stat
import subprocess

import pytest


@pytest.fixture
def clone(kugetsu):
    """A git repository with one commit, named shoko/kugetsu on github.com."""
    git = ["git", "-C", str(kugetsu.work), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    return kugetsu.work


def test_it_makes_what_is_missing_and_a_second_run_changes_nothing(kugetsu):
    first = kugetsu("init")
    assert first.code == 0 and "is set up in" in first.out and "queue-daemon start" in first.err
    assert stat.S_IMODE(kugetsu.root.stat().st_mode) == 0o700
    assert stat.S_IMODE((kugetsu.root / "env" / "default.env").stat().st_mode) == 0o600
    (kugetsu.root / "config").write_text("MAX_ATTEMPTS=7\n")
    before = kugetsu("log", "stats", "--json").json["events"]
    second = kugetsu("init")
    assert second.code == 0 and "nothing was changed" in second.out
    assert kugetsu("log", "stats", "--json").json["events"] == before
    assert (kugetsu.root / "config").read_text() == "MAX_ATTEMPTS=7\n"


def test_force_retires_the_old_sessions(kugetsu):
    old = kugetsu("init", "--json").json
    made = {entry["session"]: entry["agent_session"] for entry in old["sessions"]}
    new = kugetsu("init", "--force", "--json").json
    assert any(made["pm"] in text for text in new["retired"])
    assert {entry["session"]: entry["agent_session"] for entry in new["sessions"]}["pm"] != made["pm"]


def test_a_clone_is_registered(kugetsu, clone):
    data = kugetsu("init", "--repo", ".", "--json").json
    assert data["registered"] == "local/" + "/".join(clone.parts[-2:]).replace("_", "_").lower()
    assert data["source"] == {"path": str(clone)}
    again = kugetsu("init", "--repo", ".", "--json").json
    assert again == data | {"created": [], "sessions": []}, "what --repo is registered as is told every time"
    assert "register " not in kugetsu("init", "--repo", ".").out


@pytest.mark.parametrize("place", ["/not/there", "nonsense", "--", "https://example.com"])
def test_what_is_no_repository_is_bad_input(kugetsu, place):
    shown = kugetsu("init", "--repo", place)
    assert shown.code == 3 and "hint: " in shown.err, shown


def test_a_repository_without_a_name_is_said_to_be_that(kugetsu):
    shown = kugetsu("init", "--repo", "")
    assert shown.code == 3 and "--repo is empty" in shown.err and "hint: " in shown.err


def test_a_missing_agent_is_a_note_and_its_remedy(kugetsu):
    shown = kugetsu("init", KUGETSU_AGENT="opencode", KUGETSU_OPENCODE="/not/there/opencode")
    assert shown.code == 0 and "note: " in shown.err and "later" in shown.err
