"""`kugetsu verify`: VERIFY_COMMAND by hand, on what is committed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from cli.test_json_shapes import compare, documented
from forge.scripted import ScriptedForge
from kugetsu.runtime.process import identity
from runtime.supervised import eventually

ISSUE = "example.com/o/r#1"


def git(folder: Path, *words: str) -> str:
    """The output of git."""
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def worked(ready):
    """An agent committed one file and left another uncommitted."""
    ready.agent("echo 1 > committed; git add committed; git commit -qm 'Add it'; touch loose\n")
    assert ready("start", "--wait", ISSUE, "do it").code == 0
    return ready


def worktree(kugetsu) -> Path:
    """The issue's worktree."""
    return Path(kugetsu("list", "--json").json["sessions"][0]["worktree"])


def left(kugetsu) -> list[str]:
    """What is left of clean checkouts."""
    folder = kugetsu.root / "scratch"
    return os.listdir(folder) if folder.exists() else []


def test_it_passes_on_the_commit_and_says_what_it_was_bound_to(worked):
    worked(
        "config",
        "set",
        "VERIFY_COMMAND",
        "cat committed; ls; token=ghp_0123456789012345678901234567890123ab; echo $token",
    )
    shown = worked("verify", ISSUE)
    assert shown.code == 0, shown.err
    lines = shown.out.splitlines()
    assert lines[0] == "1" and "committed" in lines and "loose" not in lines
    assert "ghp_01234567890" not in shown.out
    head, tree = (git(worktree(worked), "rev-parse", what) for what in ("HEAD", "HEAD^{tree}"))
    assert f"of commit {head[:12]}, tree {tree[:12]}, in a clean checkout" in shown.out
    assert "1 uncommitted file" in shown.err and "does not count" in shown.err
    assert left(worked) == []


def test_each_run_stands_below_a_heading_of_its_own(worked):
    worked("config", "set", "VERIFY_COMMAND", "echo Error: bad; false")
    shown = worked("verify", ISSUE)
    head, base = (git(worktree(worked), "rev-parse", what)[:12] for what in ("HEAD", "HEAD~1"))
    where = ", in a clean checkout"
    headings = [line.partition("Error: bad; false ")[2] for line in shown.err.splitlines() if where in line]
    assert headings == [f"on commit {head}{where}"] + [
        f"{again}on the base commit {base}{where}" for again in ("", "again ")
    ]
    assert shown.out.count("Error: bad\n") == 3, "the second run on the base commit is shown as well"


def test_it_fails_with_1_and_as_json(worked):
    worked("config", "set", "VERIFY_COMMAND", "echo Error: bad; test ! -e committed")
    shown = worked("verify", ISSUE, "--json")
    assert shown.code == 1
    data = shown.json
    compare(data, documented("verify"))
    assert (data["code"], data["exit"], data["uncommitted"]) == ("failed", 1, 1)
    assert data["tail"] == "Error: bad"
    worked("config", "set", "VERIFY_COMMAND", "false")
    assert worked("verify", ISSUE, "--json").json["code"] == "base_failed"


def test_work_that_passes_after_its_base_was_at_fault_is_told_as_verified(worked):
    worked("config", "set", "VERIFY_COMMAND", "false")
    assert worked("verify", ISSUE, "--json").json["code"] == "base_failed"
    worked("config", "set", "VERIFY_COMMAND", "true")
    assert "recorded (event " in worked("verify", ISSUE).out
    assert "recorded" not in worked("verify", ISSUE).out, "nothing new is said of it"


def test_the_base_is_verified_again_by_hand(worked, tmp_path):
    worked("config", "set", "VERIFY_COMMAND", f"echo on $(ls); test -e {tmp_path}/healthy")
    assert worked("verify", ISSUE, "--json").json["code"] == "base_failed"
    (tmp_path / "healthy").touch()
    base = git(worktree(worked), "rev-parse", "origin/main")
    shown = worked("verify", ISSUE, "--base")
    assert shown.code == 0 and f"of commit {base[:12]}" in shown.out and "committed" not in shown.out
    (tmp_path / "healthy").unlink()
    worked("config", "set", "VERIFY_COMMAND", f"test ! -e committed; echo on $(ls); test -e {tmp_path}/healthy")
    again = worked("verify", ISSUE, "--base", "--json")
    assert (again.code, again.json["code"], again.json["commit"]) == (1, "failed", base)


@pytest.fixture
def pushed(ready, tmp_path):
    """Work that a server has got, on a forge (`pushed.forge`) with a token, whose verification could not be run."""
    bare = str(tmp_path / "bare.git")
    subprocess.run(["git", "init", "-q", "--bare", bare], check=True)
    git(ready.work, "config", f"url.{bare}.insteadOf", "https://example.com/o/r.git")
    git(ready.work, "push", "-q", "origin", "main")
    with ScriptedForge(token="tok-4f2c9d81aa") as forge:
        ready.environment["GIT_SERVERS"] = f"example.com={forge.url}"
        ready("env", "set", "GITEA_TOKEN", input=b"tok-4f2c9d81aa\n")
        forge.issue("o/r", 1, title="Add it")
        forge.has_branches_of("o/r", bare)
        ready("config", "set", "VERIFY_COMMAND", "no-such-program")
        ready.agent("touch committed; git add committed; git commit -qm 'Add it'; git push -q origin HEAD\n")
        assert ready("start", "--wait", ISSUE, "do it").code == 0
        ready.forge = forge
        yield ready


@pytest.mark.parametrize("columns", [80, 40])
def test_a_pass_opens_the_pull_request_that_waited_for_it(pushed, columns, fits):
    shown = pushed("why", ISSUE, COLUMNS=str(columns))
    assert "no pull request, not verified" in " ".join(shown.out.split()) and fits(shown.out, columns)
    refused = pushed("verify", ISSUE, COLUMNS=str(columns))
    assert refused.code == 1 and "VERIFY_COMMAND" in refused.out and not pushed.forge.asked("POST", "/pulls")
    pushed("config", "set", "VERIFY_COMMAND", "true")
    passed = pushed("verify", ISSUE, COLUMNS=str(columns))
    assert passed.code == 0 and "pull request: http" in " ".join(passed.out.split()), passed.out
    assert fits(passed.out, columns)
    assert "no pull request" not in pushed("why", ISSUE).out


def test_a_pass_whose_pull_request_cannot_be_opened_says_why(pushed):
    pushed.forge.answer("POST", "/pulls", status=403)
    pushed("config", "set", "VERIFY_COMMAND", "true")
    passed = pushed("verify", ISSUE)
    assert passed.code == 0 and "recorded (event " in passed.out
    assert "no pull request, example.com forbids it" in passed.out and "not tried again" in passed.out


def test_what_cannot_be_verified_names_the_remedy(worked):
    none = worked("verify", ISSUE)
    assert none.code == 4 and "VERIFY_COMMAND" in none.err and "kugetsu config set --repo" in none.err
    assert worked("verify", "example.com/o/r#2").code == 4


def test_ctrl_c_leaves_nothing(worked, tmp_path):
    worked("config", "set", "VERIFY_COMMAND", f"echo $$ > {tmp_path}/pid; sleep 600")
    process = worked.popen("verify", ISSUE)
    pid = tmp_path / "pid"
    assert eventually(lambda: pid.exists() and pid.read_text().strip())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0
    shell = identity.stat(int(pid.read_text()))
    assert shell is None or shell.dead
    assert left(worked) == []
    assert "scratch" not in git(worktree(worked), "worktree", "list")


def test_a_checkout_that_a_kill_left_is_pruned(worked, tmp_path):
    worked(
        "config", "set", "VERIFY_COMMAND", f"touch {tmp_path}/begun; while ! test -e {tmp_path}/go; do sleep 0.1; done"
    )
    process = worked.popen("verify", ISSUE)
    assert eventually((tmp_path / "begun").exists)
    process.kill()
    process.communicate(timeout=60)
    assert len(left(worked)) == 1
    (tmp_path / "go").touch()

    def found() -> bool:
        return [one["kind"] for one in worked("prune", "--dry-run", "--json").json["removed"]] == ["checkout"]

    assert eventually(found), "when its processes have ended"
    assert "checkout" in worked("doctor").out
    assert worked("prune", "--force").code == 0
    assert left(worked) == []
    assert "scratch" not in git(worktree(worked), "worktree", "list")


def test_context_and_changes_tell_what_it_said(ready):
    ready("config", "set", "VERIFY_COMMAND", "echo Error: bad; test ! -e committed")
    ready.agent("touch committed; git add committed; git commit -qm 'Add it'\n")
    assert ready("start", "--wait", ISSUE, "do it").code == 0
    context = ready("context", ISSUE).out
    assert "test ! -e committed: failed (exit 1)" in context and "| Error: bad" in context
    changes = ready("changes", ISSUE)
    assert "verification failed (exit 1)\n" in changes.out
    assert ready("changes", ISSUE, "--json").json["verification"]["code"] == "failed"
    (tree := worktree(ready)).joinpath("more").touch()
    git(tree, "add", "more")
    git(tree, "commit", "-qm", "More")
    assert "verification failed (exit 1): of the earlier commit" in ready("changes", ISSUE).out
    assert "verification failed (exit 1)" in ready("list", "--wide").out + ready("review").out
