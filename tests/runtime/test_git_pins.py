"""kugetsu's own git: it prints the same under any configuration, and runs nothing that a repository names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kugetsu.runtime.git import evidence, local_state, pins, removal, repositories, rescue, worktrees
from kugetsu.runtime.git.command import ask, git
from kugetsu.runtime.git.repositories import Repository
from runtime.repos import Place, commit, place, run, sample

__all__ = ["place", "sample"]

HOSTILE = {
    "advice.detachedHead": "true",
    "branch.autoSetupMerge": "always",
    "branch.sort": "-committerdate",
    "color.branch": "always",
    "color.diff": "always",
    "color.status": "always",
    "color.ui": "always",
    "column.ui": "always",
    "core.abbrev": "4",
    "core.fsmonitor": "true",
    "core.pager": "false",
    "core.quotePath": "true",
    "core.untrackedCache": "true",
    "diff.ignoreSubmodules": "all",
    "diff.mnemonicPrefix": "true",
    "diff.noprefix": "true",
    "diff.renames": "copies",
    "fetch.output": "compact",
    "fetch.prune": "true",
    "format.pretty": "format:nothing of use",
    "gc.auto": "1",
    "i18n.commitEncoding": "ISO-8859-1",
    "i18n.logOutputEncoding": "ISO-8859-1",
    "index.sparse": "true",
    "log.abbrevCommit": "true",
    "log.date": "relative",
    "log.decorate": "full",
    "log.follow": "true",
    "log.showSignature": "true",
    "pager.log": "true",
    "pager.status": "true",
    "status.aheadBehind": "false",
    "status.branch": "true",
    "status.relativePaths": "true",
    "status.renames": "copies",
    "status.short": "true",
    "status.showStash": "true",
    "status.showUntrackedFiles": "no",
    "status.submoduleSummary": "true",
    "submodule.recurse": "true",
    "tag.sort": "-creatordate",
    "user.useConfigOnly": "true",
}
"""Settings of a person's own; each changes what some git command prints or does."""

SIGN = """#!/bin/sh
# Stands for gpg: signs anything, and its verdict is what `log.showSignature` shows.
cat > /dev/null
case "$*" in
*--verify*) printf '[GNUPG:] GOODSIG 1234567890123456 Shoko\\n'; echo 'gpg: Good signature from "Shoko"' >&2 ;;
*) echo '-----BEGIN PGP SIGNATURE-----'; echo x; echo '-----END PGP SIGNATURE-----'
   printf '\\n[GNUPG:] SIG_CREATED D\\n' >&2 ;;
esac
"""


def _program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def _life(sample: Place, path: str) -> dict[str, object]:
    """An issue's worktree from its making to its end; what each step gave, without what differs by itself."""
    repository = repositories.at_path(sample.name, str(sample.clone))
    made = worktrees.ensure(repository, path, "fix/issue-1", sample.paths)
    tree = Path(made.path)
    dated = {"GIT_AUTHOR_DATE": "@1700000000 +0000", "GIT_COMMITTER_DATE": "@1700000000 +0000"}
    (tree / "gr\u00fcn").write_text("x\n")
    git(["add", "."], made.path)
    signed = ["-c", f"gpg.program={sample.root}/gpg", "commit", "-q", "-S", "-m", "Wir \u00e4ndern gr\u00fcne Dateien"]
    git(signed, made.path, env=dated)
    (tree / "README").write_text("changed\n")
    (tree / "new \u00e4").write_text("x\n")
    (tree / "folder").mkdir()
    (tree / "folder" / "deep").write_text("x\n")
    (tree / "ignored").write_text("x\n")
    care = removal.RemovalPolicy(strict=True)
    found: dict[str, object] = {"made": (made.branch, made.base_branch, made.base_commit, made.fetched)}
    found["again"] = worktrees.ensure(repository, path, "fix/issue-1", sample.paths).base_commit
    found["evidence"] = evidence.collect(made.path, made.base_commit, made.branch).as_data()
    found["keep"] = removal.why_keep(made.path, made.branch, repository, care)
    found["ignored"] = local_state.why_keep(made.path)
    kept = rescue.rescue(made.path, "q1.1", branch=made.branch)
    assert kept is not None
    found["rescue"] = (kept.branch, kept.left_out, rescue.made(made.path, "q1.1"))
    found["files"] = git(["ls-tree", "-r", "-z", "--name-only", kept.commit], made.path)
    found["same"] = rescue.rescue(made.path, "q1.1", branch=made.branch).branch  # type: ignore[union-attr]
    found["removed"] = removal.remove(repository, made.path, made.branch, sample.paths, force=True)
    found["branch"] = removal.has_branch(repository, "fix/issue-1")
    return found


def test_every_step_gives_the_same_under_a_hostile_configuration(
    place: Place, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    dated = {"GIT_AUTHOR_DATE": "@1600000000 +0000", "GIT_COMMITTER_DATE": "@1600000000 +0000"}
    for key, value in dated.items():
        monkeypatch.setenv(key, value)
    place.fill()
    _program(place.root, "gpg", SIGN)
    plain = _life(place, place.paths.worktree("plain"))
    run(place.clone, "branch", "-D", "fix/issue-1", "kugetsu/rescue/q1.1")
    for key, value in HOSTILE.items():
        run(place.root, "config", "--global", key, value)
    run(place.root, "config", "--global", "gpg.program", str(place.root / "gpg"))
    for key, value in {"LANG": "de_DE.UTF-8", "LANGUAGE": "de", "GIT_TRACE": "1", "GIT_PAGER_IN_USE": "1"}.items():
        monkeypatch.setenv(key, value)
    assert _life(place, place.paths.worktree("hostile")) == plain
    assert plain["evidence"]["subject"] == "Wir \u00e4ndern gr\u00fcne Dateien"  # type: ignore[index]


def test_work_outside_of_a_sparse_checkouts_cone_is_rescued(sample: Place) -> None:
    commit(sample.clone, "in/file")
    commit(sample.clone, "out/file")
    run(sample.clone, "sparse-checkout", "set", "in")
    (sample.clone / "out").mkdir(exist_ok=True)
    (sample.clone / "out" / "new").write_text("mine\n")
    (sample.clone / "out" / "file").write_text("changed\n")
    kept = rescue.rescue(str(sample.clone), "q1.1", branch="main")
    assert kept is not None
    assert run(sample.clone, "show", f"{kept.commit}:out/new") == "mine"
    assert run(sample.clone, "show", f"{kept.commit}:out/file") == "changed"
    assert run(sample.clone, "ls-tree", "-r", "--name-only", kept.commit).split() == [
        ".gitignore", "README", "in/file", "out/file", "out/new",
    ]  # fmt: skip


HOOKS = ("post-checkout", "post-commit", "post-index-change", "pre-auto-gc", "pre-commit", "reference-transaction")


class Traps:
    """A clone in which each setting that runs a program runs one that leaves a mark."""

    def __init__(self, sample: Place) -> None:
        self.sample = sample
        self.marks = sample.root / "marks"
        self.marks.mkdir()
        (sample.clone / ".gitattributes").write_text("*.bin filter=trap diff=trap merge=trap\n")
        (sample.clone / "a.bin").write_text("as it is\n")
        run(sample.clone, "add", ".")
        run(sample.clone, "commit", "-q", "-m", "attributes")
        run(sample.clone, "push", "-q", "origin", "main")
        self.repository: Repository = repositories.at_path(sample.name, str(sample.clone))
        self.worktree = worktrees.ensure(self.repository, sample.paths.worktree("w"), "fix/issue-1", sample.paths)

    def set(self) -> None:
        """As an agent in the worktree might."""
        folder = Path(self.worktree.path)
        keys = ["core.fsmonitor", "core.pager", "pager.log", "pager.status", "diff.external", "diff.trap.textconv"]
        keys += ["diff.trap.command", "merge.trap.driver", "gpg.program", "core.alternateRefsCommand", "core.editor"]
        keys += ["filter.trap.clean", "filter.trap.smudge", "core.askPass", "sequence.editor"]
        for key in keys:
            run(folder, "config", key, str(self.trap(key)))
        run(folder, "config", "filter.trap.required", "true")
        run(folder, "config", "log.showSignature", "true")
        for alias in ("status", "log", "rev-parse", "add", "worktree"):
            run(folder, "config", f"alias.{alias}", f"!{self.trap(f'alias-{alias}')}")
        run(folder, "config", "core.hooksPath", str(self.sample.root / "hooks"))
        (self.sample.root / "hooks").mkdir()
        for hook in HOOKS:
            self.trap(f"hook-{hook}").rename(self.sample.root / "hooks" / hook)
        self.clear()

    def trap(self, name: str) -> Path:
        return _program(self.sample.root, f"trap-{name}", f"#!/bin/sh\ntouch '{self.marks}/{name}'\ncat\n")

    def clear(self) -> None:
        for mark in self.marks.iterdir():
            mark.unlink()

    def sprung(self) -> list[str]:
        return sorted(mark.name for mark in self.marks.iterdir())


@pytest.fixture
def traps(sample: Place) -> Traps:
    return Traps(sample)


def test_looking_saving_and_removing_run_nothing_that_an_agent_configured(traps: Traps) -> None:
    traps.set()
    path, sample, repository = traps.worktree.path, traps.sample, traps.repository
    (Path(path) / "a.bin").write_text("changed\n")
    (Path(path) / "b.bin").write_text("new\n")
    sample.push_from_elsewhere()
    seen = evidence.collect(path, traps.worktree.base_commit, "fix/issue-1")
    assert (seen.dirty, seen.untracked, seen.problem) == (1, 1, None)
    assert removal.why_keep(path, "fix/issue-1", repository, removal.RemovalPolicy(strict=True))
    assert worktrees.ensure(repository, path, "fix/issue-1", sample.paths).created is False
    kept = rescue.rescue(path, "q1.1", branch="fix/issue-1")
    assert kept is not None
    assert git(["cat-file", "blob", f"{kept.branch}:b.bin"], path) == "new", "as it lies there"
    assert rescue.made(path, "q1.1") == [kept.branch]
    git(["fetch", "-q", "origin"], repository.path)
    assert removal.remove(repository, path, "fix/issue-1", sample.paths, force=True)
    assert traps.sprung() == []


def test_the_traps_do_spring(traps: Traps) -> None:
    """What the test above relies on: the user's own git runs them."""
    traps.set()
    (Path(traps.worktree.path) / "a.bin").write_text("changed\n")
    run(Path(traps.worktree.path), "add", ".")
    assert {"core.fsmonitor", "filter.trap.clean", "hook-post-index-change"} <= set(traps.sprung())


def test_an_included_file_is_no_way_around(traps: Traps) -> None:
    included = traps.sample.root / "included"
    run(traps.sample.clone, "config", "-f", str(included), "filter.trap.clean", str(traps.trap("clean")))
    run(traps.sample.clone, "config", "include.path", str(included))
    (Path(traps.worktree.path) / "a.bin").write_text("changed\n")
    assert rescue.rescue(traps.worktree.path, "q1.1", branch="fix/issue-1") is not None
    assert traps.sprung() == []


def test_a_worktrees_own_configuration_is_no_way_around(traps: Traps) -> None:
    path = Path(traps.worktree.path)
    run(path, "config", "extensions.worktreeConfig", "true")
    run(path, "config", "--worktree", "filter.trap.clean", str(traps.trap("clean")))
    run(path, "config", "--worktree", "core.fsmonitor", str(traps.trap("monitor")))
    (path / "a.bin").write_text("changed\n")
    assert rescue.rescue(str(path), "q1.1", branch="fix/issue-1") is not None
    assert traps.sprung() == []


def test_a_submodules_configuration_is_no_way_around(traps: Traps) -> None:
    sample, path = traps.sample, Path(traps.worktree.path)
    inner = sample.root / "inner"
    inner.mkdir()
    run(inner, "init", "-q")
    (inner / ".gitattributes").write_text("*.bin filter=trap\n")
    commit(inner, "c.bin")
    run(inner, "add", ".gitattributes")
    run(inner, "commit", "-q", "-m", "attributes")
    run(path, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    run(path / "sub", "config", "filter.trap.clean", str(traps.trap("clean")))
    run(path / "sub", "config", "core.fsmonitor", str(traps.trap("monitor")))
    (path / "sub" / "c.bin").write_text("changed\n")
    traps.clear()
    assert "sub" in evidence.collect(str(path), traps.worktree.base_commit, "fix/issue-1").names
    assert traps.sprung() == []


def test_a_filter_of_the_users_own_configuration_is_used(traps: Traps) -> None:
    upper = _program(traps.sample.root, "upper", "#!/bin/sh\ntr a-z A-Z\n")
    run(traps.sample.root, "config", "--global", "filter.trap.clean", str(upper))
    run(traps.sample.clone, "config", "filter.trap.clean", str(traps.trap("clean")))
    (Path(traps.worktree.path) / "a.bin").write_text("changed\n")
    kept = rescue.rescue(traps.worktree.path, "q1.1", branch="fix/issue-1")
    assert kept is not None
    assert git(["cat-file", "blob", f"{kept.branch}:a.bin"], traps.worktree.path) == "CHANGED"
    assert traps.sprung() == []


def test_a_known_filter_that_is_installed_is_used_wherever_it_is_configured(
    traps: Traps, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = traps.sample.root / "tools"
    tools.mkdir()
    _program(tools, "git-lfs", '#!/bin/sh\necho "pointer of $(cat)"\n')
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    run(traps.sample.clone, "config", "filter.trap.clean", "git-lfs clean -- %f")
    (Path(traps.worktree.path) / "a.bin").write_text("changed\n")
    kept = rescue.rescue(traps.worktree.path, "q1.1", branch="fix/issue-1")
    assert kept is not None
    assert git(["cat-file", "blob", f"{kept.branch}:a.bin"], traps.worktree.path) == "pointer of changed"
    run(traps.sample.clone, "config", "filter.trap.clean", f"git-lfs clean; touch {traps.marks}/shell")
    assert rescue.rescue(traps.worktree.path, "q1.2", branch="fix/issue-1") is not None
    assert traps.sprung() == []


def test_hooks_and_filters_run_where_a_worktree_is_checked_out(traps: Traps) -> None:
    traps.set()
    worktrees.ensure(traps.repository, traps.sample.paths.worktree("other"), "fix/issue-2", traps.sample.paths)
    assert {"filter.trap.smudge", "hook-post-checkout"} <= set(traps.sprung())
    assert "core.fsmonitor" not in traps.sprung()


def test_an_address_that_is_a_command_line_runs_nothing(traps: Traps) -> None:
    clone = traps.sample.clone
    run(clone, "config", "protocol.ext.allow", "always")
    run(clone, "config", "protocol.allow", "always")
    run(clone, "config", f"url.ext::{traps.trap('ext')} .insteadOf", str(traps.sample.remote))
    assert ask(["fetch", "-q", "origin"], str(clone)).code != 0
    assert traps.sprung() == []


def test_settings_that_a_user_passes_by_the_environment_hold(sample: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Given")
    assert git(["config", "user.name"], str(sample.clone)) == "Given"
    assert git(["config", "color.ui"], str(sample.clone)) == dict(pins.OUTPUT)["color.ui"]
