"""git runs without anyone watching, and its failures are words with a remedy."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kugetsu.model.errors import GitFailed, KugetsuError
from kugetsu.runtime.git import remedies
from kugetsu.runtime.git.child import environment
from kugetsu.runtime.git.command import ask, git
from runtime.repos import Place, place, run, sample

__all__ = ["place", "sample"]


def test_output_comes_back(sample: Place) -> None:
    assert git(["log", "-1", "--format=%s"], str(sample.clone)) == "first"


def test_the_surrounding_repository_does_not_leak_in(sample: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    assert git(["rev-parse", "--show-toplevel"], str(sample.clone)) == str(sample.clone)
    assert git(["status", "--porcelain"], str(sample.clone)) == ""


def test_an_editor_never_opens(sample: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("GIT_EDITOR", "EDITOR", "VISUAL", "GIT_SEQUENCE_EDITOR"):
        monkeypatch.setenv(key, "sleep 100; false")
    git(["commit", "-q", "--amend"], str(sample.clone), timeout=20)
    git(["rebase", "-q", "-i", "--root"], str(sample.clone), timeout=20)


def test_credentials_are_never_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIT_ASKPASS", raising=False)
    monkeypatch.setenv("SSH_ASKPASS", "/bin/echo")
    answer = ask(["credential", "fill"], stdin=b"protocol=https\nhost=example.org\n\n", timeout=20)
    assert answer.code != 0
    assert "prompts disabled" in answer.err
    assert "SSH_ASKPASS" not in environment()


def test_a_failure_carries_what_git_said_without_secrets(sample: Place) -> None:
    with pytest.raises(GitFailed) as caught:
        git(["fetch", "https://me:hunter2secret@127.0.0.1:9/x.git"], str(sample.clone), timeout=20)
    assert "git fetch failed" in caught.value.message
    assert "hunter2secret" not in caught.value.message
    assert caught.value.hint


def test_missing_git_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KugetsuError, match="not installed") as caught:
        git(["version"])
    assert "install" in (caught.value.hint or "")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(KugetsuError, match="gone does not exist"):
        git(["version"], str(tmp_path / "gone"))


def test_a_git_that_hangs_is_stopped_with_all_that_it_started(sample: Place) -> None:
    mark = sample.root / "pid"
    run(sample.clone, "config", "alias.hang", f"!echo $$ > {mark}; sleep 60")
    with pytest.raises(GitFailed, match=r"timed out after 1\.5 seconds"):
        git(["hang"], str(sample.clone), timeout=1.5)
    pid = int(mark.read_text())
    until = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < until:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{pid}")


def test_names_that_are_no_text_survive(sample: Place) -> None:
    name = os.fsdecode(b"\xff\xfe")
    (sample.clone / name).write_text("x")
    assert name in git(["status", "--porcelain", "-z"], str(sample.clone))


@pytest.mark.parametrize(
    ("url", "login"),
    [
        ("git@git.example.com:owner/project.git", "git@git.example.com"),
        ("ssh://me@git.example.com:2222/owner/project.git", "-p 2222 me@git.example.com"),
        ("ssh://git.example.com/owner/project.git", "git@git.example.com"),
        ("origin", "git@HOST"),
    ],
)
def test_an_unknown_key_of_a_server_is_met_by_a_line_to_type(url: str, login: str) -> None:
    said = "Host key verification failed.\nfatal: Could not read from remote repository.\n"
    hint = remedies.hint(["clone", "--", url, "/there"], said)
    assert hint == f"connect once manually to accept the host's key: ssh -T {login}"
