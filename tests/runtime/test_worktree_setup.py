"""A checkout is made ready: what is copied and what never, submodules, large files, the command of the user."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from kugetsu.model import setting_kinds
from kugetsu.model.errors import GitFailed
from kugetsu.runtime.git import changes, command, comparison, copies, pins, removal
from kugetsu.runtime.git.repositories import Repository
from kugetsu.runtime.process import identity, termination
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.worktree_setup import copying, making, supplied
from kugetsu.runtime.worktree_setup.making import Outcome, make_ready
from kugetsu.runtime.worktree_setup.recipe import Recipe
from runtime import repos
from runtime.repos import Place, run

NOTHING = Recipe(command="", minutes=10, patterns=(), submodules=True, secrets=False)


class Ready:
    """A clone, a worktree of it, and what makes that ready."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.source = place.root / "source"
        self.worktree = place.root / "kugetsu" / "worktrees" / "one"
        self.output = place.root / "setup.log"
        place.fill()
        place.clone.rename(self.source)
        (self.source / ".gitignore").write_text("ignored\n.env*\nprivate/\n*.key\n")
        self.commit()

    def commit(self, message: str = "more") -> str:
        """Commit everything in the clone; the commit's id."""
        run(self.source, "add", "-A")
        run(self.source, "commit", "-qm", message)
        return run(self.source, "rev-parse", "HEAD")

    def add(self) -> None:
        """Make the worktree."""
        if not self.worktree.exists():
            run(self.source, "worktree", "add", "-q", "-b", "fix/1", str(self.worktree))

    def ready(self, wanted: Recipe = NOTHING, seconds: float = 60.0, **about: object) -> Outcome:
        """Make the worktree ready."""
        self.add()
        lease = Lease.create(self.place.paths.leases)
        base = run(self.source, "rev-parse", "main")
        try:
            given = {
                "paths": self.place.paths,
                "source": str(self.source),
                "worktree": str(self.worktree),
                "base_commit": base,
                "supplied": supplied.of(str(self.source), base, wanted),
                "refused": None,
                "output": str(self.output),
                "environment": {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]},
                "nonce": lease.nonce,
                "deadline": time.monotonic() + seconds,
                "grace": 0.3,
                "most_bytes": None,
                "held": (lease.fd,),
                **about,
            }
            outcome = make_ready(wanted, making.Place(**given))  # type: ignore[arg-type]
            assert termination.marked(lease.nonce) == []
        finally:
            lease.release()
        return outcome

    def copying(self, *patterns: str) -> Outcome:
        """Make it ready with these WORKTREE_COPY patterns."""
        return self.ready(Recipe(command="", minutes=10, patterns=patterns, submodules=True, secrets=False))

    def running(self, command: str, minutes: float = 10, **about: object) -> Outcome:
        """Make it ready with this WORKTREE_SETUP."""
        wanted = Recipe(command=command, minutes=minutes, patterns=(), submodules=True, secrets=False)
        return self.ready(wanted, **about)  # type: ignore[arg-type]


def has_ended(pid: int) -> bool:
    """Whether a process has ended; one that nobody has reaped yet has."""
    found = identity.of(pid)
    return found is None or not identity.alive(found)


@pytest.fixture
def it(place: Place) -> Ready:
    return Ready(place)


place = repos.place


# --- copies ---------------------------------------------------------------------------------------------------------


def test_ignored_files_are_copied_with_their_modes_and_nothing_else(it: Ready) -> None:
    (it.source / ".env").write_text("A=1\n")
    (it.source / ".env").chmod(0o600)
    (it.source / "private").mkdir(mode=0o700)
    (it.source / "private" / "tool").write_text("#!/bin/sh\n")
    (it.source / "private" / "tool").chmod(0o750)
    (it.source / "note.txt").write_text("untracked, and not ignored\n")
    outcome = it.copying(".env", "private/", "note.txt", "README")
    assert outcome.done and len(outcome.copied) == 2
    assert (it.worktree / ".env").read_text() == "A=1\n"
    assert (it.worktree / ".env").stat().st_mode & 0o777 == 0o600
    assert (it.worktree / "private").stat().st_mode & 0o777 == 0o700
    assert (it.worktree / "private" / "tool").stat().st_mode & 0o777 == 0o750
    assert not (it.worktree / "note.txt").exists()
    assert run(it.worktree, "status", "--porcelain") == ""


def test_an_existing_file_is_never_replaced(it: Ready) -> None:
    (it.source / ".env").write_text("A=1\n")
    it.add()
    (it.worktree / ".env").write_text("A=mine\n")
    outcome = it.copying(".env")
    assert outcome.done and len(outcome.copied) == 0
    assert (it.worktree / ".env").read_text() == "A=mine\n"


def test_no_link_is_followed_out_of_the_clone_or_into_another_folder(it: Ready) -> None:
    outside = it.place.root / "outside"
    outside.mkdir()
    (outside / "id.key").write_text("secret\n")
    (it.source / ".env").symlink_to(outside / "id.key")
    (it.source / "private").symlink_to(outside)
    (it.source / "ignored").mkdir()
    (it.source / "ignored" / "a.key").write_text("a\n")
    it.add()
    (it.worktree / "ignored").symlink_to(outside)
    outcome = it.copying(".env", "private/", "*.key")
    assert outcome.done and len(outcome.copied) == 0
    assert not (it.worktree / ".env").exists() and not (outside / "a.key").exists()
    assert ".env" in " ".join(outcome.notes) and "ignored/a.key" in " ".join(outcome.notes)


def test_a_file_that_the_worktree_does_not_ignore_is_not_copied(it: Ready) -> None:
    (it.source / ".env").write_text("A=1\n")
    it.add()
    (it.worktree / ".gitignore").write_text("ignored\n")
    outcome = it.copying(".env")
    assert not (it.worktree / ".env").exists()
    assert outcome.notes == ["not copied, because git does not ignore it in the worktree: .env"]


def test_worktreeinclude_is_that_of_the_base_commit_not_of_the_work_branch(it: Ready) -> None:
    for name in (".env", ".env.local", "ignored"):
        (it.source / name).write_text(f"{name}\n")
    (it.source / ".worktreeinclude").write_text("# what is needed\n.env*\n!.env.local\n")
    it.commit()
    it.add()
    (it.worktree / ".worktreeinclude").write_text("ignored\n")
    run(it.worktree, "commit", "-qam", "more files, please")
    assert len(it.ready().copied) == 1
    assert (it.worktree / ".env").exists() and not (it.worktree / "ignored").exists()


def test_the_users_own_patterns_leave_out_what_the_repository_asks_for(it: Ready) -> None:
    for name in (".env", ".env.production"):
        (it.source / name).write_text(f"{name}\n")
    (it.source / ".worktreeinclude").write_text(".env*\n")
    it.commit()
    assert it.copying(*setting_kinds.read_copies("!.env.production").split()).copied == [".env"]
    for bad in ("!../.env", "!", "!!.env", "../.env"):
        with pytest.raises(ValueError, match="neither a file name"):
            setting_kinds.read_copies(bad)


def test_too_many_files_are_an_error_that_names_the_setting(it: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "MOST_FILES", 1)
    (it.source / ".env").write_text("A=1\n")
    assert it.copying(".env*").done
    (it.source / ".env.local").write_text("A=1\n")
    outcome = it.copying(".env*")
    assert outcome.code == "copy"
    assert "match 2 files" in str(outcome.problem) and "WORKTREE_COPY" in str(outcome.problem)


def test_a_file_that_grows_while_it_is_copied_ends_as_an_error(it: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    (it.source / ".env").write_text("x" * 100)
    monkeypatch.setattr(copying, "_require_few", lambda *given: monkeypatch.setattr(copying, "MOST_BYTES", 99))
    outcome = it.copying(".env")
    assert outcome.code == "copy" and "it has grown beyond" in str(outcome.problem)
    assert not (it.worktree / ".env").exists() and not (it.worktree / ".kugetsu-copying").exists()


def test_what_a_killed_copy_left_goes_although_nothing_is_copied_any_more(it: Ready) -> None:
    it.add()
    (it.worktree / ".kugetsu-copying").write_text("half")
    assert it.running("true").done
    assert not (it.worktree / ".kugetsu-copying").exists()


def test_a_copy_counts_as_nobodys_work_until_it_is_changed(it: Ready) -> None:
    (it.source / ".env").write_text("A=1\n")
    it.copying(".env")
    (it.source / ".env").write_text("A=2\n")  # the clone's may change
    assert copies.unchanged(str(it.worktree)) == {".env"}
    (it.worktree / ".env").write_text("A=3\n")
    assert copies.unchanged(str(it.worktree)) == set()


# --- submodules ------------------------------------------------------------------------------------------------------


@pytest.fixture
def modular(it: Ready) -> Ready:
    """The clone has a submodule `sub`, which has one of its own, `sub/deep`."""
    run(it.place.root, "config", "--global", "protocol.file.allow", "always")
    for name, holds in (("deep", ""), ("inner", "deep")):
        repos.make_plain(it.place.root / name)
        if holds:
            run(it.place.root / name, "submodule", "-q", "add", str(it.place.root / holds), "deep")
            run(it.place.root / name, "commit", "-qm", "Add a submodule")
    run(it.source, "submodule", "-q", "add", f"file://{it.place.root}/inner", "sub")
    it.commit()
    return it


def test_submodules_and_theirs_are_checked_out(modular: Ready) -> None:
    assert modular.ready().done
    assert (modular.worktree / "sub" / "README").exists()
    assert (modular.worktree / "sub" / "deep" / "README").exists()


def test_objects_of_a_submodule_come_from_the_clone_and_stay_when_that_goes(modular: Ready) -> None:
    blob = run(modular.source / "sub", "rev-parse", "HEAD:README")
    (modular.place.root / "inner" / ".git" / "objects" / blob[:2] / blob[2:]).unlink()  # the server cannot send it
    assert modular.ready().done
    shutil.rmtree(modular.source / ".git" / "modules" / "sub")
    run(modular.worktree / "sub", "fsck", "--no-dangling")


def test_a_submodule_without_a_clone_of_its_own_comes_from_its_server(modular: Ready) -> None:
    shutil.rmtree(modular.source / ".git" / "modules")
    assert modular.ready().done
    assert (modular.worktree / "sub" / "README").exists()


def test_a_submodule_of_the_work_branch_alone_is_left_out(modular: Ready) -> None:
    modular.add()
    run(modular.worktree, "submodule", "-q", "add", str(modular.place.root / "deep"), "evil")
    run(modular.worktree, "commit", "-qm", "Add a submodule")
    shutil.rmtree(modular.worktree / "evil")
    shutil.rmtree(Path(run(modular.worktree, "rev-parse", "--absolute-git-dir")) / "modules")
    outcome = modular.ready()
    assert outcome.done and (modular.worktree / "sub" / "README").exists()
    assert not (modular.worktree / "evil" / "README").exists()
    assert "evil" in outcome.notes[0]


def test_a_submodule_that_the_agent_moved_stays_where_it_is(modular: Ready) -> None:
    modular.ready()
    moved = repos.commit(modular.worktree / "sub", "mine", "mine\n", "mine")
    assert modular.ready().done
    assert run(modular.worktree / "sub", "rev-parse", "HEAD") == moved


def test_a_submodule_whose_clone_was_killed_is_cloned_again(modular: Ready) -> None:
    modular.add()
    git_dir = Path(run(modular.worktree, "rev-parse", "--absolute-git-dir"))
    half = git_dir / "modules" / "sub"
    half.parent.mkdir()
    run(modular.place.root, "init", "-q", "--bare", str(half))  # what git has made before it fetches
    (modular.worktree / "sub").mkdir(exist_ok=True)
    (modular.worktree / "sub" / ".git").write_text(f"gitdir: {half}\n")
    assert modular.ready().done
    assert (modular.worktree / "sub" / "README").exists()


def test_a_submodule_that_cannot_be_had_fails_with_gits_last_line(modular: Ready) -> None:
    shutil.rmtree(modular.source / ".git" / "modules")
    shutil.rmtree(modular.place.root / "inner")
    outcome = modular.ready()
    assert outcome.code == "submodules"
    assert "the submodule sub cannot be checked out: fatal: " in str(outcome.problem)


# --- large files -----------------------------------------------------------------------------------------------------


def test_without_git_lfs_one_line_names_the_files_and_the_remedy(it: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (it.source / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (it.source / "a.bin").write_text(pointer)
    (it.source / "b.bin").write_text("real\n")
    it.commit()
    outcome = it.ready()
    assert outcome.done
    assert outcome.notes == [
        "1 file (a.bin) kept by git-lfs have no content: install git-lfs, then run git lfs install"
    ]


needs_lfs = pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed here")


@pytest.fixture
def large(it: Ready) -> Ready:
    """The clone's server has `assets/a.bin` in git-lfs; the clone itself does not have its content."""
    run(it.source, "lfs", "install")
    server = it.place.root / "large.git"
    run(it.place.root, "init", "-q", "--bare", "-b", "main", str(server))
    (it.source / "assets").mkdir()
    (it.source / "assets" / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (it.source / "assets" / "a.bin").write_bytes(b"large" * 100)
    it.commit()
    run(it.source, "remote", "remove", "origin")
    run(it.source, "remote", "add", "origin", f"file://{server}")
    run(it.source, "push", "-q", "origin", "main")
    shutil.rmtree(it.source / ".git" / "lfs")
    added = ["worktree", "add", "-q", "-b", "fix/1", str(it.worktree)]
    command.git(added, str(it.source), env=pins.POINTERS, checkout=True)
    return it


@needs_lfs
def test_a_large_file_comes_from_the_server_and_the_worktree_stays_clean(large: Ready) -> None:
    assert (large.worktree / "assets" / "a.bin").read_bytes().startswith(b"version ")
    outcome = large.ready()
    assert outcome.done and outcome.notes == []
    assert (large.worktree / "assets" / "a.bin").read_bytes() == b"large" * 100
    assert run(large.worktree, "status", "--porcelain") == ""


@needs_lfs
def test_a_server_that_does_not_give_a_large_file_fails_the_set_up_in_one_line(large: Ready) -> None:
    shutil.rmtree(large.place.root / "large.git" / "lfs")
    outcome = large.ready()
    assert outcome.code == "large_files"
    assert str(outcome.problem).startswith("git lfs pull failed: ") and "\n" not in str(outcome.problem)


@needs_lfs
@pytest.mark.parametrize("where", ["worktree", "index", "commit"])
def test_a_work_branch_cannot_name_another_server_for_large_files(large: Ready, where: str) -> None:
    settings = large.worktree / ".lfsconfig"
    settings.write_text("[lfs]\n\turl = http://127.0.0.1:9/elsewhere\n")
    if where != "worktree":
        run(large.worktree, "add", ".lfsconfig")
    if where == "commit":
        run(large.worktree, "commit", "-qm", "another server")
        run(large.worktree, "rm", "-q", "--cached", ".lfsconfig")
    if where != "worktree":
        settings.unlink()
    outcome = large.ready()
    assert outcome.done and outcome.notes == [
        "1 file (assets/a.bin) kept by git-lfs have no content: .lfsconfig is not as the base branch has it"
    ]


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_runs_in_the_worktree_reads_nothing_and_its_output_is_kept(it: Ready) -> None:
    outcome = it.running("pwd; cat; echo to stderr >&2; echo done > ignored")
    assert outcome.done and outcome.exit == 0
    assert it.output.read_text() == f"{it.worktree}\nto stderr\n"
    assert (it.worktree / "ignored").exists()


def test_what_it_leaves_is_nobodys_work_until_it_is_changed(it: Ready) -> None:
    it.add()
    (it.worktree / "mine").write_text("mine\n")
    (it.worktree / "README").write_text("mine\n")
    assert it.running(
        "mkdir -p gen/é; echo 1 > gen/é/lock; echo 2 >> LICENSE; echo set-up >> mine; echo x > ignored"
    ).done
    assert changes.changed_files(str(it.worktree)) == ["README", "mine"]
    assert [file.path for file in comparison.uncommitted(str(it.worktree))] == ["README", "mine"]
    (it.worktree / "gen" / "é" / "lock").write_text("agent\n")
    assert changes.changed_files(str(it.worktree)) == ["README", "gen/é/lock", "mine"]
    assert it.running("echo 3 > more").done
    assert changes.changed_files(str(it.worktree)) == ["README", "gen/é/lock", "mine"], "an earlier one is still known"


def test_what_is_staged_is_work_whatever_the_set_up_left_there(it: Ready) -> None:
    it.add()
    assert it.running("echo 1 > lock; echo 2 >> LICENSE").done
    assert changes.changed_files(str(it.worktree)) == []
    for name in ("lock", "LICENSE"):
        left = (it.worktree / name).read_bytes()
        (it.worktree / name).write_text("agent\n")
        run(it.worktree, "add", name)
        (it.worktree / name).write_bytes(left)
    assert sorted(changes.changed_files(str(it.worktree))) == ["LICENSE", "lock"]


def test_what_it_leaves_is_told_if_it_is_too_much_to_keep_track_of(it: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_MOST_LEFT", 1)
    outcome = it.running("echo 1 > one; echo 2 > two")
    assert outcome.notes == ["WORKTREE_SETUP leaves 2 files that git does not ignore: they count as uncommitted"]
    assert changes.changed_files(str(it.worktree)) == ["one", "two"]


def test_a_failure_has_exit_code_tail_and_the_line_that_names_the_cause(it: Ready) -> None:
    outcome = it.running("echo fetching; echo 'error: registry is down' >&2; exit 7")
    assert (outcome.code, outcome.exit) == ("failed", 7)
    assert outcome.tail == "fetching\nerror: registry is down"
    assert str(outcome.problem).startswith("error: registry is down; "), "a long command line does not push it out"
    assert str(outcome.problem).endswith("failed (exit 7)")


def test_at_its_time_limit_it_is_ended_with_what_it_started(it: Ready) -> None:
    pids = [it.place.root / name for name in ("own-session", "without-mark")]
    script = f"setsid sleep 600 & echo $! > {pids[0]}; env -i sleep 600 & echo $! > {pids[1]}; trap '' TERM; sleep 600"
    outcome = it.running(f"{script}; sleep 600", minutes=0.02)
    assert outcome.code == "timed_out" and outcome.exit is None
    assert all(has_ended(int(pid.read_text())) for pid in pids)


def test_what_it_leaves_behind_is_ended(it: Ready) -> None:
    assert it.running(f"setsid sleep 600 & echo $! > {it.place.root}/pid").done
    assert has_ended(int((it.place.root / "pid").read_text()))


def test_its_output_is_bounded(it: Ready) -> None:
    it.running("i=0; while [ $i -lt 64 ]; do head -c 65536 /dev/zero; i=$((i+1)); done; echo end", most_bytes=1 << 20)
    assert it.output.stat().st_blocks * 512 <= (1 << 20) + (1 << 17)
    assert making.tail(str(it.output)).endswith("end")


def test_what_appears_while_somebody_works_there_is_theirs(it: Ready) -> None:
    it.add()
    with subprocess.Popen(["sleep", "600"], cwd=it.worktree) as person:
        try:
            outcome = it.running("echo 1 > lock")
        finally:
            person.kill()
    assert outcome.done and changes.changed_files(str(it.worktree)) == ["lock"]
    (note,) = outcome.notes
    assert note.startswith("WORKTREE_SETUP: 1 new or changed file beside a process at work in it (pid ")


def test_a_file_that_comes_after_the_last_look_keeps_a_worktree_whose_set_up_left_files(
    it: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    it.add()
    assert it.running("mkdir gen; echo 1 > gen/lock; echo 2 > log").done
    repository = Repository("example.org/acme/web", str(it.source), str(it.source / ".git"), None)
    look = removal.why_keep

    def looked(*about: object) -> list[str]:
        reasons = look(*about)  # type: ignore[arg-type]
        (it.worktree / "mine").write_text("mine\n")
        return reasons

    with monkeypatch.context() as patch:
        patch.setattr(removal, "why_keep", looked)
        with pytest.raises(GitFailed):
            removal.remove(repository, str(it.worktree), "fix/1", it.place.paths)
    assert (it.worktree / "mine").exists()
    (it.worktree / "mine").unlink()
    assert it.running("echo 1 > lock").done
    assert removal.remove(repository, str(it.worktree), "fix/1", it.place.paths) and not it.worktree.exists()
