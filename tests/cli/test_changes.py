"""`kugetsu changes`: what an issue's branch changes against its base."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from cli.terminal import Terminal
from cli.test_json_shapes import compare, documented
from kugetsu.domain.decide import persons
from kugetsu.log import open_log
from kugetsu.model import clock

ISSUE = "example.com/o/r#1"


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def worked(ready):
    """An agent changed one file, renamed another, removed lines, added a binary one, and left two uncommitted."""
    (ready.work / "a.txt").write_text("".join(f"line {n}\n" for n in range(20)))
    (ready.work / "old.txt").write_text("".join(f"old {n}\n" for n in range(20)))
    git(ready.work, "add", ".")
    git(ready.work, "commit", "-qm", "files")
    git(ready.work, "update-ref", "refs/remotes/origin/main", "HEAD")
    ready.agent(
        "sed -i 1,3d a.txt; echo more >> a.txt; git mv old.txt new.txt; git commit -qam 'Change a'\n"
        "printf 'x\\0y' > data.bin; git add data.bin; git commit -qm 'Add data'\n"
        "echo loose >> a.txt; printf 'one\\ntwo\\n' > fresh.txt\n"
    )
    assert ready("start", "--wait", ISSUE, "do it").code == 0
    return ready


def worktree(kugetsu) -> Path:
    return Path(kugetsu("list", "--json").json["sessions"][0]["worktree"])


def totals(kugetsu, *words: str) -> dict[str, int]:
    return kugetsu("changes", ISSUE, "--json", *words).json["totals"]


def test_json_has_every_number(worked):
    data = worked("changes", ISSUE, "--json").json
    assert data["totals"] == {"commits": 2, "files": 3, "added": 1, "removed": 3, "binary": 1, "uncommitted": 2}
    assert [one["subject"] for one in data["commits"]] == ["Add data", "Change a"]
    files = {one["path"]: one for one in data["files"]}
    assert (files["a.txt"]["status"], files["a.txt"]["added"], files["a.txt"]["removed"]) == ("modified", 1, 3)
    assert (files["new.txt"]["status"], files["new.txt"]["was"]) == ("renamed", "old.txt")
    assert files["data.bin"]["binary"] and files["data.bin"]["added"] is None
    loose = {one["path"]: (one["status"], one["added"]) for one in data["uncommitted"]}
    assert loose == {"a.txt": ("modified", 1), "fresh.txt": ("added", 2)}
    tree = worktree(worked)
    assert data["source"] == "worktree" and data["worktree"] == str(tree)
    assert data["head"] == git(tree, "rev-parse", "HEAD")
    assert (data["base"], data["base_found"]) == (git(worked.work, "rev-parse", "origin/main"), "merge_base")
    compare(data, documented("changes"))
    assert data["unknown"] == [] and data["recorded"] is None and data["as_of"] is None


def test_looking_changes_nothing_in_the_worktree(worked):
    tree = worktree(worked)
    index = Path(git(tree, "rev-parse", "--absolute-git-dir")) / "index"
    before = (index.read_bytes(), git(tree, "status", "--porcelain"))
    for words in ((), ("--patch",), ("--uncommitted", "--patch"), ("--json",)):
        assert worked("changes", ISSUE, *words).code == 0
    assert (index.read_bytes(), git(tree, "status", "--porcelain")) == before


def test_the_screen(worked, snapshot, fits):
    shown = worked("changes", ISSUE)
    assert shown.code == 0 and fits(shown.out)
    snapshot("changes", re.sub(r"\b[0-9a-f]{9}\b", "123456789", shown.out))
    files = worked("changes", ISSUE, "--files")
    snapshot("changes-files", re.sub(r"\b[0-9a-f]{9}\b", "123456789", files.out))


@pytest.mark.parametrize("words", [(), ("--files",), ("--uncommitted",)])
def test_it_fits_40_columns(worked, words):
    shown = worked("changes", ISSUE, *words, COLUMNS="40").out
    assert all(len(line) <= 40 for line in shown.splitlines()), shown


def test_a_patch_on_a_pipe_is_exact(worked, tmp_path):
    (worktree(worked) / "latin.txt").write_bytes(b"caf\xe9\n")
    git(worktree(worked), "add", "latin.txt")
    git(worktree(worked), "commit", "-qm", "Latin")
    (worked.folder / ".gitconfig").write_text("[color]\n ui=always\n[diff]\n noprefix=true\n mnemonicPrefix=true\n")
    patch, told = worked.popen("changes", "--patch", ISSUE).communicate()
    assert b"+more" in patch and b"\x1b" not in patch
    assert b"2 uncommitted files not included" in told and b"--uncommitted" in told
    other = tmp_path / "other"
    git(worked.work, "worktree", "add", "-q", "--detach", str(other), "origin/main")
    subprocess.run(["git", "apply", "--index", "--exclude=data.bin"], cwd=other, input=patch, check=True)
    assert (other / "latin.txt").read_bytes() == b"caf\xe9\n" and (other / "new.txt").exists()


def test_uncommitted_work_can_be_seen_alone(worked):
    patch = worked("changes", "--patch", "--uncommitted", ISSUE).out
    assert "+loose" in patch and "+++ b/fresh.txt" in patch and "+more" not in patch
    assert "fresh.txt" in worked("changes", "--files", "--uncommitted", ISSUE).out


def test_a_base_branch_that_was_merged_in_is_no_part_of_the_work(worked):
    tree = worktree(worked)
    (worked.work / "news.txt").write_text("news\n" * 50)
    git(worked.work, "add", ".")
    git(worked.work, "commit", "-qm", "news")
    git(worked.work, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(tree, "stash", "-q")
    git(tree, "merge", "-q", "--no-edit", "origin/main")
    data = worked("changes", ISSUE, "--json").json
    assert "news.txt" not in {one["path"] for one in data["files"]} and data["totals"]["commits"] == 3
    assert data["base_found"] == "merge_base"


def test_a_squashed_branch_shows_the_same(worked):
    before = totals(worked)
    git(worktree(worked), "stash", "-qu")
    git(worked.work, "merge", "-q", "--squash", git(worktree(worked), "rev-parse", "HEAD"))
    git(worked.work, "commit", "-qm", "Squashed (#1)")
    git(worked.work, "update-ref", "refs/remotes/origin/main", "HEAD")
    assert totals(worked) == {**before, "uncommitted": 0}


@pytest.mark.parametrize("how", ["--no-ff", "--ff-only"])
def test_a_merged_branch_still_shows_its_work(worked, how):
    before = totals(worked)
    if how == "--no-ff":
        git(worked.work, "commit", "-q", "--allow-empty", "-m", "meanwhile")
    git(worked.work, "merge", "-q", how, git(worktree(worked), "rev-parse", "HEAD"), "-m", "merge")
    git(worked.work, "commit", "-q", "--allow-empty", "-m", "afterwards")
    git(worked.work, "update-ref", "refs/remotes/origin/main", "HEAD")
    assert totals(worked) == before
    found = worked("changes", ISSUE, "--json").json["base_found"]
    assert found == ("before_merge" if how == "--no-ff" else "recorded")


def test_without_its_worktree_the_branch_in_the_clone_is_shown(worked):
    before = totals(worked)
    tree = worktree(worked)
    git(tree, "stash", "-qu")
    subprocess.run(["rm", "-rf", str(tree)], check=True)
    data = worked("changes", ISSUE, "--json").json
    assert data["source"] == "branch" and data["totals"] == {**before, "uncommitted": None}
    assert "its worktree is gone" in worked("changes", ISSUE).out


def test_of_a_destroyed_session_the_branch_is_shown(worked):
    before = totals(worked)
    assert worked("destroy", "--force", ISSUE).code == 0
    data = worked("changes", ISSUE, "--json").json
    assert data["source"] == "branch" and data["totals"]["commits"] == before["commits"]


def test_without_branch_and_worktree_the_recorded_numbers_are_shown(worked):
    branch = worked("list", "--json").json["sessions"][0]["branch"]
    assert worked("destroy", "--force", ISSUE).code == 0
    git(worked.work, "branch", "-D", branch)
    shown = worked("changes", ISSUE)
    assert shown.code == 0 and "2 commits" in shown.out and "not known: " in shown.out
    assert worked("changes", "--patch", ISSUE).code == 4


def test_of_a_bundle_and_of_the_past_the_recorded_numbers_are_known(worked, tmp_path):
    bundle = str(tmp_path / "it.bundle")
    assert worked("doctor", "--bundle", bundle).code in (0, 1)
    for words in (("--from", bundle), ("--at", "@")):
        shown = worked("changes", ISSUE, *words)
        assert shown.code == 0 and "2 commits" in shown.out and "which files and lines" in shown.out, shown
        data = worked("changes", ISSUE, "--json", *words).json
        compare(data, documented("changes"))
        assert data["source"] == "recorded" and data["totals"]["commits"] == 2
        assert data["totals"]["uncommitted"] == 2 and data["files"] == [] and data["as_of"]["seq"] > 0
        refused = worked("changes", "--patch", ISSUE, *words)
        assert refused.code == 4 and "not known" in refused.err and "hint:" in refused.err


def test_what_a_person_left_is_recorded_too(worked):
    log = open_log(str(worked.root / "log"), by={"cmd": "t"}, now=clock.now)
    holder = {"boot": "b", "pid": 7, "start": 1}
    evidence = {"commits": 3, "files": 4, "added": 5, "removed": 6, "dirty": 0, "untracked": 0, "head": "c0ffee"}
    for seen in (evidence, {}):
        log.transact(lambda state: persons.attach(state, ISSUE, "lease", holder, "ann", "h"))
        log.transact(lambda state, seen=seen: persons.leave(state, ISSUE, "lease", "ended", "done", seen))
    log.close()
    shown = worked("changes", ISSUE, "--at", "@", COLUMNS="100")
    assert shown.code == 0 and "3 commits" in shown.out and "as recorded when a person left" in shown.out, shown
    data = worked("changes", ISSUE, "--at", "@", "--json").json
    assert data["recorded"]["attempt"] is None and data["totals"]["uncommitted"] == 0
    compare(data, documented("changes"))


def test_before_the_first_run_there_is_nothing_to_show(ready):
    assert ready("changes", ISSUE).code == 4
    ready("queue", "enqueue", ISSUE, "later")
    shown = ready("changes", ISSUE)
    assert shown.code == 4 and f"kugetsu why {ISSUE}" in shown.err


def test_a_task_stands_for_its_issue(worked):
    assert worked("changes", "q1", "--json").json["issue"] == ISSUE
    assert worked("changes", "q9").code == 4 and worked("changes", "pm").code == 4


def test_two_forms_exclude_each_other(worked):
    assert worked("changes", "--stat", "--patch", ISSUE).code == 3


def test_commits_left_on_another_branch_are_the_work(ready):
    ready.agent("git switch -qc mine; echo x > x; git add x; git commit -qm mine; git switch -q -; true")
    assert ready("start", "--wait", ISSUE, "do it").code == 0
    data = ready("changes", ISSUE, "--json").json
    assert data["branch"] == "mine" and data["totals"]["commits"] == 1


# --- on a terminal --------------------------------------------------------------------------------------------------


def on_terminal(kugetsu, *words: str, **more: str) -> str:
    terminal = Terminal(words, {**kugetsu.environment, **more}, kugetsu.work)
    assert terminal.end() == 0, terminal.seen
    terminal.close()
    return terminal.seen


def test_on_a_terminal_git_colours_it_and_the_users_pager_shows_it(worked):
    (worked.folder / ".gitconfig").write_text('[core]\n pager = sed s/^/PAGED:/\n[color "diff"]\n new = magenta\n')
    shown = on_terminal(worked, "changes", "--patch", ISSUE)
    assert "PAGED:" in shown and "\x1b[35m+" in shown
    assert "\x1b[" not in on_terminal(worked, "changes", "--patch", ISSUE, NO_COLOR="1")


@pytest.mark.parametrize(
    ("config", "environment", "paged"),
    [
        ("[core]\n pager = sed s/^/CORE:/\n", {"GIT_PAGER": "sed s/^/ENV:/"}, "ENV:"),
        ("[core]\n pager = sed s/^/CORE:/\n[pager]\n diff = sed s/^/DIFF:/\n", {"GIT_PAGER": "sed s/^/ENV:/"}, "DIFF:"),
        ("[core]\n pager = sed s/^/CORE:/\n", {"PAGER": "sed s/^/ANY:/"}, "CORE:"),
        ("", {"PAGER": "sed s/^/ANY:/"}, "ANY:"),
        ("[core]\n pager = sed s/^/CORE:/\n[pager]\n diff = false\n", {}, ""),
        ("[core]\n pager = cat\n", {"PAGER": "sed s/^/ANY:/"}, ""),
        ("[core]\n pager = no-such-pager-is-installed\n", {}, ""),
    ],
)
def test_the_pager_is_the_one_that_git_would_take(worked, config, environment, paged):
    (worked.folder / ".gitconfig").write_text(config)
    shown = on_terminal(worked, "changes", "--stat", ISSUE, **environment)
    assert "a.txt" in shown
    found = set(re.findall(r"\b(ENV:|DIFF:|CORE:|ANY:)", shown))
    assert found == ({paged} if paged else set())


def test_nothing_that_the_repository_names_is_run(worked):
    trap = worked.folder / "trap"
    trap.write_text(f'#!/bin/sh\ntouch {worked.folder}/sprung\ncat "$1"\n')
    trap.chmod(0o755)
    tree = worktree(worked)
    (tree / ".gitattributes").write_text("* diff=trap filter=trap\n")
    for key in ("core.pager", "pager.diff", "diff.external", "diff.trap.command", "diff.trap.textconv"):
        git(worked.work, "config", key, str(trap))
    git(worked.work, "config", "filter.trap.clean", str(trap))
    git(worked.work, "config", "core.fsmonitor", str(trap))
    for words in ((), ("--patch",), ("--files",), ("--uncommitted", "--patch")):
        on_terminal(worked, "changes", *words, ISSUE, PAGER="cat")
        assert worked("changes", *words, ISSUE).code == 0
    assert not (worked.folder / "sprung").exists()


def test_the_users_own_textconv_and_external_diff_are_used_on_a_terminal(worked):
    (worktree(worked) / ".gitattributes").write_text("*.bin diff=mine\n")
    (worked.folder / ".gitconfig").write_text('[diff "mine"]\n textconv = echo CONVERTED; true\n')
    assert "CONVERTED" in on_terminal(worked, "changes", "--patch", ISSUE, PAGER="cat")
    assert "CONVERTED" not in worked("changes", "--patch", ISSUE).out
    (worked.folder / ".gitconfig").write_text("[diff]\n external = echo EXTERNAL\n")
    assert "EXTERNAL" in on_terminal(worked, "changes", "--patch", ISSUE, PAGER="cat")


def test_what_is_in_a_file_cannot_steer_the_terminal(worked):
    (worktree(worked) / "evil.txt").write_text("a\x1b]0;title\x07b\x1b[8mhidden\x1b[2Jc\n")
    shown = on_terminal(worked, "changes", "--patch", "--uncommitted", ISSUE, PAGER="cat")
    assert "\x1b]" not in shown and "\x1b[8m" not in shown and "\x1b[2J" not in shown and "hidden" in shown


def test_a_name_of_a_file_is_harmless_everywhere(worked):
    (worktree(worked) / "a\x1b[2Jb.txt").write_text("x\n")
    for words in ((), ("--files",), ("--json",)):
        shown = worked("changes", ISSUE, *words)
        assert shown.code == 0 and "\x1b" not in shown.out
    assert json.loads(worked("changes", ISSUE, "--json").out)["uncommitted"][0]["path"] == "a\x1b[2Jb.txt"
