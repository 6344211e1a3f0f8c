"""Whoever types a command, from whatever place: an agent works in its own worktree, index and name.

git gives hooks and aliases variables that name its own repository. Nothing that kugetsu starts inherits them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kugetsu.runtime.caller_environment import FOREIGN

COMMIT = 'env > "$KUGETSU_TEMP_DIR/env-$KUGETSU_ATTEMPT"; echo x > made; git add made; git commit -qm "agent work"\n'


@pytest.fixture
def typed(ready):
    """A clone whose aliases and hooks can call `kugetsu`; the agent commits and keeps its environment."""
    script = ready.folder / "bin" / "kugetsu"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m kugetsu "$@"\n')
    script.chmod(0o755)
    ready.environment["PATH"] = f"{script.parent}:{ready.environment['PATH']}"
    ready.agent(COMMIT)
    return ready


def git(typed, *words: str, cwd: Path | None = None, **more: str) -> str:
    """git as it is typed, with its aliases and hooks."""
    done = subprocess.run(
        ["git", *words],
        cwd=cwd or typed.work,
        env={**typed.environment, **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def seen_by(typed, attempt: str) -> dict[str, str]:
    """The environment of an attempt's agent."""
    text = (typed.folder / "handed-on" / f"env-{attempt}").read_text()
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def subject(typed, branch: str) -> str:
    return git(typed, "log", "-1", "--format=%s", branch).strip()


def test_a_start_from_an_alias_in_a_linked_worktree_commits_on_the_issues_branch(typed):
    git(typed, "worktree", "add", "-q", "../mine", "-b", "mine")
    git(typed, "config", "alias.agent", "!kugetsu start --wait")
    dated = {"GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z", "GIT_AUTHOR_NAME": "Someone Else"}
    said = git(typed, "agent", "#1", "x", cwd=typed.folder / "mine", **dated)
    assert "q1 completed: 1 commit" in said
    assert (subject(typed, "mine"), subject(typed, "fix/issue-1")) == ("first", "agent work")
    assert not FOREIGN & set(seen_by(typed, "q1.1")) - {"GIT_CEILING_DIRECTORIES"}
    assert git(typed, "log", "-1", "--format=%an %ad", "--date=format:%Y", "fix/issue-1").split()[0] == "a"


def test_a_start_from_a_hook_of_the_clone_leaves_the_clone_alone(typed):
    hook = typed.work / ".git" / "hooks" / "post-commit"
    hook.write_text('#!/bin/sh\ntest -n "$KUGETSU_ATTEMPT" || kugetsu start --wait "#2" x\n')
    hook.chmod(0o755)
    said = git(typed, "commit", "-q", "--allow-empty", "-m", "typed by hand", "--author", "B <b@example.com>")
    assert "q1 completed: 1 commit" in said
    assert (subject(typed, "main"), subject(typed, "fix/issue-2")) == ("typed by hand", "agent work")
    assert git(typed, "log", "-1", "--format=%an", "fix/issue-2").strip() == "a"


def test_a_daemon_that_a_hook_started_gives_its_agents_nothing_of_it(typed):
    hook = typed.work / ".git" / "hooks" / "post-commit"
    hook.write_text('#!/bin/sh\ntest -n "$KUGETSU_ATTEMPT" || kugetsu queue-daemon start\n')
    hook.chmod(0o755)
    git(typed, "commit", "-q", "--allow-empty", "-m", "typed by hand")
    assert typed("queue", "enqueue", "#3", "x").code == 0
    assert "task.completed" in typed("history", "q1", "-f").out
    assert (subject(typed, "main"), subject(typed, "fix/issue-3")) == ("typed by hand", "agent work")
    assert not FOREIGN & set(seen_by(typed, "q1.1")) - {"GIT_CEILING_DIRECTORIES"}


def test_a_notification_command_gets_nothing_of_the_surrounding_git(typed):
    told = typed.folder / "told"
    typed.environment |= {
        "NOTIFY_SINKS": "command",
        "NOTIFY_EVENTS": "task_completed",
        "NOTIFY_COMMAND": f"sh -c 'env > {told}.new; mv {told}.new {told}'",
    }
    hook = typed.work / ".git" / "hooks" / "post-commit"
    hook.write_text('#!/bin/sh\ntest -n "$KUGETSU_ATTEMPT" || kugetsu queue-daemon start\n')
    hook.chmod(0o755)
    git(typed, "commit", "-q", "--allow-empty", "-m", "typed by hand")
    typed("queue", "enqueue", "#3", "x")
    typed("history", "q1", "-f")
    git(typed, "--version")
    from runtime.supervised import eventually

    assert eventually(told.exists, 30)
    names = {line.partition("=")[0] for line in told.read_text().splitlines()}
    assert not FOREIGN & names


def test_settings_of_the_user_and_of_an_env_file_reach_the_agent(typed):
    (typed.root / "env" / "dev.env").write_text("GIT_AUTHOR_NAME=Robot\nGIT_CEILING_DIRECTORIES=/srv\n")
    (typed.root / "env" / "dev.env").chmod(0o600)
    kept = {
        "GIT_SSH_COMMAND": "ssh -v",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "user.email",
        "GIT_CONFIG_VALUE_0": "given@example.com",
    }
    assert typed("start", "--wait", "#1", "x", **kept).code == 0
    seen = seen_by(typed, "q1.1")
    assert {name: seen.get(name) for name in kept} == kept
    assert git(typed, "log", "-1", "--format=%an %ae", "fix/issue-1").strip() == "Robot given@example.com"
    assert "/srv" in seen["GIT_CEILING_DIRECTORIES"].split(":")


def test_a_number_alone_finds_the_clone_that_a_git_folder_names(typed):
    git(typed, "config", "alias.agent", "!cd /; kugetsu queue enqueue")
    assert "example.com/o/r#7" in git(typed, "agent", "#7", "x", GIT_DIR=str(typed.work / ".git"))
