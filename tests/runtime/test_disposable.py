"""Ignored files: one rule for every way in which a worktree goes, DISPOSABLE_FILES; what it does not name stays."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forge.scripted import ScriptedForge
from kugetsu.model.errors import Conflict
from kugetsu.model.settings import SETTINGS
from kugetsu.runtime import destroy, prune
from kugetsu.runtime.git import removal, repositories
from kugetsu.views.wording import words
from profiles import examples
from runtime import repos
from runtime.forged import PUSH, forge, forged, worked
from runtime.stage import COMMIT, Stage, bare_stage, stage

__all__ = ["bare_stage", "forge", "forged", "stage"]


def ignore(stage: Stage, *patterns: str) -> None:
    with (stage.repository / ".git" / "info" / "exclude").open("a") as file:
        file.write("".join(f"{pattern}\n" for pattern in patterns))


def write(path: Path, text: str = "x\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def merged(stage: Stage, forge: ScriptedForge) -> tuple[str, Path]:
    """A session whose pull request is merged: both commands may end it; its key and its worktree."""
    forge.issue("acme/web", 14)
    key, tree = worked(stage, script=COMMIT + PUSH), stage.worktree(14)
    forge.pull("acme/web", 20, branch="fix/issue-14", state="merged", sha=repos.run(tree, "rev-parse", "HEAD"))
    return key, tree


# --- one rule for both ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "setting", "goes"),
    [
        ((".env",), None, False),
        (("build/main.o", "lib/node_modules/a.js", "x.pyc"), None, True),
        (("build/main.o", ".env"), None, False),
        (("out/page.html",), None, False),
        (("out/page.html", "out/.env"), "out/", True),
        (("out/page.html", "out/.env"), "*.html", False),
        (("build/main.o",), "", False),
        ((".env", "out/a"), "*", True),
    ],
)
@pytest.mark.parametrize("how", ["destroy", "prune"])
def test_destroy_and_prune_have_one_rule_for_ignored_files(
    forged: Stage, forge: ScriptedForge, how: str, files: tuple[str, ...], setting: str | None, goes: bool
) -> None:
    key, tree = merged(forged, forge)
    ignore(forged, ".env", "build/", "out/", "node_modules/", "*.pyc")
    for name in files:
        write(tree / name)
    if setting is not None:
        forged.configure(DISPOSABLE_FILES=setting)
    reasons = []
    if how == "prune":
        reasons = [reason for kept in prune.plan(forged.ws).kept for reason in kept.reasons]
        prune.carry_out(forged.ws, prune.plan(forged.ws))
    else:
        try:
            destroy.destroy(forged.ws, key, force=False)
        except Conflict as refused:
            reasons = [refused.message]
            assert f"git -C {tree} clean -ndX" in (refused.hint or "")
            assert "DISPOSABLE_FILES" in (refused.hint or "") and "which deletes them" in (refused.hint or "")
    assert tree.exists() is not goes and bool(reasons) is not goes
    assert (key in forged.state.sessions) is not goes
    assert goes or ("ignored file" in reasons[0] and "that DISPOSABLE_FILES does not name" in reasons[0])
    assert goes or all((tree / name).read_text() == "x\n" for name in files)


def test_forced_it_deletes_ignored_files_and_names_them_but_for_what_can_be_made_again(
    forged: Stage, forge: ScriptedForge
) -> None:
    key, tree = merged(forged, forge)
    ignore(forged, ".env", "build/", "out/")
    for name in (".env", "build/main.o", "out/page.html"):
        write(tree / name, "secret\n")
    event = destroy.destroy(forged.ws, key, force=True)
    assert not tree.exists()
    assert event["data"]["ignored"] == [".env", "out/"] and event["data"]["rescue"] is None
    assert words(event).endswith("deleted ignored files: .env, out/")


def test_a_file_that_git_was_told_to_overlook_keeps_the_worktree_for_both(forged: Stage, forge: ScriptedForge) -> None:
    key, tree = merged(forged, forge)
    repos.run(tree, "update-index", "--assume-unchanged", "README")
    write(tree / "README", "edited behind git's back\n")
    with pytest.raises(Conflict, match=r"1 file that git is configured to overlook \(README\)"):
        destroy.destroy(forged.ws, key, force=False)
    assert "configured to overlook (README)" in prune.plan(forged.ws).kept[0].reasons[0]


def test_a_process_in_the_worktree_keeps_it_from_prune_only(
    forged: Stage, forge: ScriptedForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, tree = merged(forged, forge)
    monkeypatch.chdir(tree)  # the shell in which somebody types
    assert "a process at work in it" in prune.plan(forged.ws).kept[0].reasons[0]
    destroy.destroy(forged.ws, key, force=False)
    assert not tree.exists()


# --- repositories within ----------------------------------------------------------------------------------------------


def test_an_ignored_file_of_a_clone_in_a_disposable_folder_keeps_the_worktree(
    forged: Stage, forge: ScriptedForge
) -> None:
    key, tree = merged(forged, forge)
    ignore(forged, "node_modules/")
    inner = tree / "node_modules" / "tool"
    inner.parent.mkdir()
    repos.run(tree, "clone", "-q", str(forged.root / "srv.git"), str(inner))
    write(inner / ".git" / "info" / "exclude", ".env\n")
    write(inner / ".env")
    with pytest.raises(Conflict, match=r"1 ignored file \(node_modules/tool/\.env\)"):
        destroy.destroy(forged.ws, key, force=False)
    (inner / ".env").unlink()
    destroy.destroy(forged.ws, key, force=False)
    assert not tree.exists()


def test_files_beside_a_pointer_to_a_repository_that_is_gone_keep_the_worktree(
    forged: Stage, forge: ScriptedForge
) -> None:
    key, tree = merged(forged, forge)
    ignore(forged, "vendor/")
    write(tree / "vendor" / ".git", "gitdir: /nowhere\n")
    write(tree / "vendor" / "notes")
    with pytest.raises(Conflict, match=r"1 ignored file \(vendor/\)"):
        destroy.destroy(forged.ws, key, force=False)


def test_folders_within_each_other_without_end_are_examined(forged: Stage, forge: ScriptedForge) -> None:
    key, tree = merged(forged, forge)
    ignore(forged, "deep/")
    bottom = f"deep/{'d/' * 1200}build"  # beyond what Python recurses into
    subprocess.run(["sh", "-c", f"mkdir -p {bottom} && echo x > {bottom}/a.o"], cwd=tree, check=True)
    try:
        destroy.destroy(forged.ws, key, force=False)
        assert not tree.exists()
    finally:
        subprocess.run(["rm", "-rf", str(tree)], check=True)  # pytest's own cleaning cannot


# --- any tree ---------------------------------------------------------------------------------------------------------

NAMES = ("build", "out", "a.o", "b.txt", ".env", "src")
PATTERNS = ("build/", "build", "*.o", "out/", "src/out/", "/out", "src/*", "?uild/", ".env", "[ab].*", "*")

files = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join), max_size=6)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    files=files,
    ignored=st.lists(st.sampled_from(PATTERNS), max_size=3),
    patterns=st.lists(st.sampled_from(PATTERNS), max_size=3),
)
@example(files=["build/a.o/b.txt"], ignored=["*"], patterns=["*.o"])
@example(files=["src/out/build/b.txt"], ignored=["src/*"], patterns=["src/out/"])
def test_a_worktree_goes_when_git_ignores_all_that_is_left_by_these_patterns_too(
    stage: Stage, files: list[str], ignored: list[str], patterns: list[str]
) -> None:
    name = f"s{time.time_ns()}"
    tree = stage.root / name
    repos.run(stage.repository, "worktree", "add", "-q", "-b", f"own/{name}", str(tree))
    (stage.repository / ".git" / "info" / "exclude").write_text("".join(f"{line}\n" for line in ignored))
    for file in files:
        try:
            write(tree / file)
        except OSError:
            continue  # a file is where a folder would be
    wanted = stage.root / "patterns"
    wanted.write_text("".join(f"{line}\n" for line in patterns))
    others = set(repos.run(tree, "ls-files", "--others").splitlines())
    ours = set(repos.run(tree, "ls-files", "--others", "--ignored", f"--exclude-from={wanted}").splitlines())
    git_ignores = set(repos.run(tree, "ls-files", "--others", "--ignored", "--exclude-standard").splitlines())
    source = repositories.at_path(stage.name, str(stage.repository))
    reasons = removal.why_keep(str(tree), f"own/{name}", source, removal.RemovalPolicy(disposable=patterns))
    assert (reasons == []) == (others <= git_ignores & ours), (others, reasons)
    assert any("ignored file" in reason for reason in reasons) == bool(git_ignores - ours)
    shutil.rmtree(tree)
    repos.run(stage.repository, "worktree", "prune")


@pytest.mark.parametrize("text", ["!build/", "a//b", "../x", "**/x", "/", "a/./b"])
def test_a_pattern_that_would_mean_something_else_in_a_gitignore_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither a file name nor a path"):
        SETTINGS["DISPOSABLE_FILES"].read(text)
