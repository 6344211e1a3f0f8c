"""`kugetsu doctor --repo`: every step of a worktree's set-up and verification is tried, and nothing of it is left."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pytest

from kugetsu.host.paths import Paths
from kugetsu.runtime.git import scratch
from kugetsu.runtime.process import identity
from runtime import repos
from runtime.supervised import eventually

REPO = "example.com/o/r"


@pytest.fixture
def tried(ready):
    """A clone with an ignored file, and settings that need it."""
    (ready.work / ".gitignore").write_text(".env\nmade\n")
    repos.run(ready.work, "add", ".gitignore")
    repos.run(ready.work, "commit", "-qm", "ignore")
    repos.run(ready.work, "update-ref", "refs/remotes/origin/main", "HEAD")
    (ready.work / ".env").write_text("A=1\n")
    configure(ready, WORKTREE_COPY=".env", WORKTREE_SETUP="cat .env > made", VERIFY_COMMAND="cat made && echo 1 passed")
    return ready


def configure(kugetsu, **settings):
    for key, value in settings.items():
        assert kugetsu("config", "set", "--repo", REPO, key, value).code == 0


def levels(shown):
    return {one["name"]: one["level"] for one in shown.json["findings"]}


def is_clean(kugetsu):
    """Whether nothing of a trial is left: no folder, no record of git's, no lease."""
    paths = Paths(str(kugetsu.root))
    assert scratch.left_over(paths, ()) == [] and not list(kugetsu.root.glob("scratch/*"))
    assert len(repos.run(kugetsu.work, "worktree", "list").splitlines()) == 1
    return True


def test_every_step_is_told_and_nothing_is_left(tried):
    shown = tried("doctor", "--repo", REPO, "--json")
    assert shown.code == 0, shown
    assert set(levels(shown).values()) == {"ok"}
    assert list(levels(shown)) == ["base", "copies", "submodules", "large files", "set-up", "verification"]
    assert "1 file copied (.env)" in tried("doctor", "--repo", ".").out
    assert is_clean(tried)


def test_a_set_up_that_fails_is_a_problem_with_its_output_kept(tried):
    configure(tried, WORKTREE_SETUP="echo 'error: no registry'; exit 2")
    shown = tried("doctor", "--repo", REPO, "--json")
    assert shown.code == 1 and levels(shown)["set-up"] == "problem" and "verification" not in levels(shown)
    problem = next(one for one in shown.json["findings"] if one["level"] == "problem")
    assert problem["text"].endswith("failed (exit 2)") and "error: no registry; " in problem["text"]
    assert "error: no registry" in (tried.root / "logs" / "doctor-setup.log").read_text()
    assert is_clean(tried)


def test_settings_of_a_repository_that_nobody_registered_are_told(ready):
    assert ready("init", "--repo", str(ready.work)).code == 0
    assert "registered" not in ready("config", "set", "--repo", REPO, "MAX_ATTEMPTS", "2").err
    shown = ready("config", "set", "--repo", "example.org/o/r", "MAX_ATTEMPTS", "2")
    assert shown.code == 0 and f"no clone of example.org/o/r is registered, but of {REPO}" in shown.err


def test_what_is_not_set_names_the_command_for_this_repository(tried):
    configure(tried, WORKTREE_SETUP="", VERIFY_COMMAND="")
    fixes = {one["name"]: one["fix"] for one in tried("doctor", "--repo", REPO, "--json").json["findings"]}
    assert fixes["set-up"] == f"kugetsu config set --repo {REPO} WORKTREE_SETUP '…'"
    assert fixes["verification"] == f"kugetsu config set --repo {REPO} VERIFY_COMMAND '…'"


def test_what_set_up_leaves_and_git_does_not_ignore_is_told(tried):
    configure(tried, WORKTREE_SETUP="cat .env > made; echo 1 > lock")
    shown = tried("doctor", "--repo", REPO, "--json")
    (warning,) = [one for one in shown.json["findings"] if one["level"] == "warning"]
    assert shown.code == 0 and "1 uncommitted file (lock)" in warning["text"] and ".gitignore" in warning["fix"]


def test_a_verification_that_fails_on_the_base_branch_is_a_problem(tried):
    configure(tried, VERIFY_COMMAND="echo '1 failed'; exit 1")
    shown = tried("doctor", "--repo", REPO, "--json")
    assert shown.code == 1 and levels(shown)["verification"] == "problem", shown
    assert is_clean(tried)


def test_what_a_killed_trial_left_is_found_and_removed(tried):
    pid = tried.folder / "pid"
    configure(tried, WORKTREE_SETUP=f"echo $$ > {pid}; sleep 600")
    argv = [sys.executable, "-m", "kugetsu", "doctor", "--repo", REPO]
    process = subprocess.Popen(argv, cwd=tried.work, env=tried.environment, stdout=subprocess.DEVNULL)
    assert eventually(lambda: pid.exists() and pid.read_text().strip(), 60)
    set_up = identity.of(int(pid.read_text()))
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = [one for one in json.loads(tried("doctor", "--json").out)["findings"] if one["name"] == "checkouts"]
    assert [one["level"] for one in found] == ["warning"] and found[0]["mends"]
    tried("doctor", "--fix")
    assert set_up is not None and eventually(lambda: not identity.alive(set_up), 60)
    assert is_clean(tried)


def test_what_the_base_branch_supplies_is_told_and_accepted_by_its_hash(tried):
    def supply(*patterns):
        (tried.work / ".worktreeinclude").write_text("".join(f"{one}\n" for one in patterns))
        repos.run(tried.work, "add", ".worktreeinclude")
        repos.run(tried.work, "commit", "-qm", "supply")
        repos.run(tried.work, "update-ref", "refs/remotes/origin/main", "HEAD")

    def finding():
        found = tried("doctor", "--repo", REPO, "--json").json["findings"]
        return next(one for one in found if one["name"] == "supplied")

    supply("made")
    assert "the base branch supplies: copy made; the first agent's set-up accepts it" in finding()["text"]
    assert "setup.accepted" not in tried("history", "--all", "--json").out, "a trial records nothing"
    sha = _hash_of(tried)
    accepted = tried("doctor", "--repo", REPO, "--accept", sha[:12])
    assert accepted.code == 0 and f"accepted {sha[:12]}: copy made" in accepted.out
    again = tried("doctor", "--repo", REPO, "--accept", sha)
    assert again.code == 0 and "already accepted" in again.out
    assert finding()["level"] == "ok"
    supply("made", ".env.production")
    changed = finding()
    assert changed["level"] == "problem" and "+ copy .env.production" in changed["text"]
    assert changed["fix"] == f"kugetsu doctor --repo {REPO} --accept {_hash_of(tried)[:12]}"
    assert tried(*changed["fix"].split()[1:]).code == 0
    assert finding()["level"] == "ok"


def _hash_of(kugetsu):
    refused = kugetsu("doctor", "--repo", REPO, "--accept", "00000000")
    assert refused.code == 4
    return re.search(r"there is ([0-9a-f]+)", refused.err).group(1)


def test_accept_needs_a_repository(ready):
    refused = ready("doctor", "--accept", "0123456789ab")
    assert refused.code == 3 and "--accept needs --repo" in refused.err
