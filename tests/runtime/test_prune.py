"""Prune: what nobody needs goes, what anybody could miss stays, and each says why."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forge.scripted import ScriptedForge
from kugetsu.domain.decide import sessions
from kugetsu.runtime import prune
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.process.named_lease import NOTIFIER
from kugetsu.runtime.prune import Plan
from profiles import examples
from runtime import repos
from runtime.forged import PUSH, forge, forged, worked
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "forge", "forged", "stage"]


def pruned(stage: Stage, **options: bool) -> tuple[list[str], dict[str, list[str]]]:
    """What went (kinds and subjects), and the reasons of what stayed by its subject."""
    plan = prune.plan(stage.ws, **options)
    outcome = prune.carry_out(stage.ws, plan)
    kept = {one.subject: one.reasons for one in (*plan.kept, *outcome.kept)}
    return [f"{item.kind} {item.subject}" for item, _ in outcome.removed], kept


def why(plan: Plan) -> dict[str, str]:
    """Each item's reason by its subject."""
    return {item.subject: item.reason for item in plan.items}


# --- sessions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["merged", "closed"])
def test_a_session_whose_pull_request_is_over_goes(forged: Stage, forge: ScriptedForge, state: str) -> None:
    forge.issue("acme/web", 14)
    key = worked(forged, script=COMMIT + PUSH)
    forge.pull("acme/web", 20, branch="fix/issue-14", state=state)
    tree = forged.worktree(14)
    assert why(prune.plan(forged.ws)) == {key: f"its pull request #20 is {state}"}
    assert tree.is_dir() and not forged.events("session.destroying")
    assert pruned(forged)[0] == [f"session {key}"]
    assert not tree.exists() and key not in forged.state.sessions
    assert forged.events("session.destroying")[0]["data"]["reason"] == f"prune: its pull request #20 is {state}"
    assert "base:" + forged.name in forged.state.sessions and "pm" in forged.state.sessions


def test_a_session_whose_issue_is_closed_goes(forged: Stage, forge: ScriptedForge) -> None:
    forge.issue("acme/web", 14, state="closed")
    key = worked(forged)
    assert pruned(forged)[0] == [f"session {key}"]


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda f: f.issue("acme/web", 14), "its issue is open"),
        (lambda f: f.pull("acme/web", 20, branch="fix/issue-14"), "its pull request #20 is open"),
        (lambda f: f.answer("GET", "/issues/14", status=403, times=0), "its issue may be open"),
        (lambda f: f.answer("GET", "/pulls", status=500, times=0), "it may have one open"),
    ],
)
def test_a_session_that_is_not_over_or_may_not_be_stays(
    forged: Stage, forge: ScriptedForge, prepare: Callable[[ScriptedForge], None], reason: str
) -> None:
    forge.issue("acme/web", 14, state="closed")
    key = worked(forged, script=COMMIT + PUSH)
    prepare(forge)
    removed, kept = pruned(forged)
    assert removed == [] and reason in kept[key][0]
    assert forged.worktree(14).is_dir()


def test_without_a_forge_no_session_goes_and_it_says_what_helps(stage: Stage) -> None:
    stage.agent("exit 0")
    stage.finished(stage.start(1).task)
    removed, kept = pruned(stage)
    assert removed == [] and "its issue may be open: local cannot be queried" in kept[str(stage.ref(1))][0]


def test_an_open_pull_request_of_a_closed_issue_keeps_the_session_whatever_the_setting(
    forged: Stage, forge: ScriptedForge
) -> None:
    forge.issue("acme/web", 14, state="closed")
    forge.pull("acme/web", 20, branch="fix/issue-14")
    key = worked(forged, script=COMMIT + PUSH)
    forged.configure(WORKTREE_CHECK_PR_STATUS="false")
    assert pruned(forged) == ([], {key: ["its pull request #20 is open"]})


def test_what_works_or_is_waited_for_stays(forged: Stage, forge: ScriptedForge) -> None:
    for number in (14, 15):
        forge.issue("acme/web", number, state="closed")
    forged.enqueue(14)
    forged.agent(UNTIL_GO)
    forged.start(15)
    forged.at_work("q2.1")
    removed, kept = pruned(forged)
    assert removed == [] and kept[str(forged.ref(15))] == ["q2.1 works in it"]
    forged.go()
    forged.finished("q2")
    waiting = forged.enqueue(15)
    assert pruned(forged)[1][str(forged.ref(15))] == [f"{waiting} waits for it"]


def test_a_record_of_which_nothing_is_left_goes_and_one_whose_branch_is_there_stays(
    forged: Stage, forge: ScriptedForge
) -> None:
    for number in (14, 15):
        forge.issue("acme/web", number)
        key = worked(forged, number)
        shutil.rmtree(forged.worktree(number))
    repos.run(forged.repository, "worktree", "prune")
    repos.run(forged.repository, "branch", "-D", "fix/issue-14")
    removed, kept = pruned(forged)
    assert removed == [f"session {forged.ref(14)}"]
    assert kept == {key: ["its issue is open"]}


def test_a_session_whose_worktree_lies_elsewhere_stays(forged: Stage, forge: ScriptedForge) -> None:
    forge.issue("acme/web", 14, state="closed")
    key = worked(forged)
    moved = forged.root / "elsewhere"
    repos.run(forged.repository, "worktree", "move", str(forged.worktree(14)), str(moved))
    Path(forged.state.sessions[key].worktree or "").symlink_to(moved)
    removed, kept = pruned(forged)
    assert removed == [] and "outside" in kept[key][0]
    assert moved.is_dir()


@pytest.mark.parametrize("how", ["intent", "files", "worktree"])
def test_one_that_was_killed_in_the_middle_is_finished_by_the_next(
    forged: Stage, forge: ScriptedForge, how: str
) -> None:
    forge.issue("acme/web", 14)  # open: only that it was begun says that it can go
    key = worked(forged)
    tree = forged.worktree(14)
    forged.ws.log.transact(lambda state: sessions.destroying(state, key, False, "prune: its issue is closed"))
    if how == "files":
        (tree / "README").unlink()
        (tree / ".git").unlink()
    elif how == "worktree":
        repos.run(forged.repository, "worktree", "remove", str(tree))
    assert pruned(forged)[0] == [f"session {key}"]
    assert not tree.exists()


def test_what_changed_since_the_plan_was_made_stays(forged: Stage, forge: ScriptedForge) -> None:
    forge.issue("acme/web", 14, state="closed")
    key = worked(forged)
    stray = stray_of(forged)
    plan = prune.plan(forged.ws)
    assert len(plan.items) == 2
    for tree in (forged.worktree(14), stray):
        (tree / "new").write_text("just written\n")
    outcome = prune.carry_out(forged.ws, plan)
    assert outcome.removed == [] and {one.subject for one in outcome.kept} == {key, str(stray)}
    assert not any(one.failed for one in outcome.kept)
    assert (stray / "new").exists() and (forged.worktree(14) / "new").exists()


# --- folders ----------------------------------------------------------------------------------------------------------


def stray_of(stage: Stage, name: str = "stray", branch: str = "own/idea") -> Path:
    """A worktree below worktrees/ that no session names."""
    path = stage.directory / "worktrees" / name
    repos.run(stage.repository, "worktree", "add", "-q", "-b", branch, str(path))
    return path


def test_a_clean_worktree_that_no_session_names_goes_and_its_branch_stays(stage: Stage) -> None:
    path = stray_of(stage)
    assert pruned(stage) == ([f"worktree {path}"], {})
    assert not path.exists()
    assert "own/idea" in repos.run(stage.repository, "branch", "--list")
    intent, outcome = stage.events("files.pruning", "files.pruned")
    assert intent["data"] == outcome["data"] and outcome["cause"] == intent["seq"]
    assert intent["data"]["paths"] == [str(path)]


def test_what_is_no_worktree_of_a_known_repository_stays_and_nothing_outside_is_touched(stage: Stage) -> None:
    folder = stage.directory / "worktrees"
    folder.mkdir(exist_ok=True)
    outside = stage.root / "outside"
    outside.mkdir()
    (outside / "precious").write_text("p\n")
    (folder / "link").symlink_to(outside)
    (folder / "file").write_text("f\n")
    (folder / "plain").mkdir()
    (folder / "plain" / "notes").write_text("n\n")
    repos.make_plain(folder / "clone")
    repos.make_plain(stage.root / "unknown")
    repos.run(stage.root / "unknown", "worktree", "add", "-q", str(folder / "theirs"))
    repos.make_plain(stage.root / "lost")
    repos.run(stage.root / "lost", "worktree", "add", "-q", str(folder / "orphan"))
    shutil.rmtree(stage.root / "lost")
    removed, kept = pruned(stage)
    assert removed == []
    assert {Path(subject).name: reasons[0] for subject, reasons in kept.items()} == {
        "link": "it is a link, and links are not followed",
        "file": "it is a file",
        "plain": "it is not a git worktree",
        "clone": "it is a repository itself",
        "theirs": f"it is a worktree of {stage.root / 'unknown'}, unknown to kugetsu",
        "orphan": "it is a worktree of a repository that is gone",
    }
    assert (outside / "precious").exists() and (folder / "plain" / "notes").exists()


def test_a_worktrees_folder_that_is_a_link_is_not_left_by_it(stage: Stage) -> None:
    real = stage.root / "disk"
    real.mkdir()
    (stage.directory / "worktrees").rmdir()
    (stage.directory / "worktrees").symlink_to(real)
    path = stray_of(stage)
    assert pruned(stage)[0] == [f"worktree {path}"]
    assert real.is_dir() and list(real.iterdir()) == []


def test_a_folder_that_an_issue_in_the_queue_will_have_stays(stage: Stage) -> None:
    from kugetsu.model.refs import folder_name

    stray_of(stage, folder_name(stage.ref(1)), "fix/issue-1")
    stage.enqueue(1)
    assert pruned(stage)[0] == []
    stage.agent("exit 0")


def test_an_open_pull_request_of_a_strays_branch_keeps_it(forged: Stage, forge: ScriptedForge) -> None:
    path = stray_of(forged)
    repos.run(path, "push", "-q", "origin", "HEAD")
    forge.pull("acme/web", 20, branch="own/idea")
    assert pruned(forged) == ([], {str(path): ["pull request #20 of its branch own/idea is open"]})
    forge.answer("GET", "/pulls", status=500, times=0)
    assert "may have an open pull request" in pruned(forged)[1][str(path)][0]
    forge.answers.clear()
    forge.change_pull("acme/web", 20, state="closed")
    assert pruned(forged)[0] == [f"worktree {path}"]


def test_a_stray_that_a_killed_removal_left_is_finished(stage: Stage) -> None:
    path = stray_of(stage)
    (path / ".git").unlink()
    (path / "README").unlink()
    assert pruned(stage)[0] == [f"worktree {path}"]
    assert not path.exists()


def test_a_prune_that_is_killed_at_any_moment_is_finished_by_the_next(stage: Stage) -> None:
    for number in range(6):
        path = stray_of(stage, f"stray{number}", f"own/{number}")
        repos.commit(path, "work")
        repos.run(stage.repository, "branch", f"kept/{number}", f"own/{number}")
    code = (
        "import os\nfrom kugetsu.runtime import prune as pruning\n"
        "from kugetsu.runtime.workspace import open_workspace\n"
        "ws = open_workspace(os.environ, 'kugetsu prune')\npruning.carry_out(ws, pruning.plan(ws))\n"
    )
    for kill in range(4):
        process = stage.python(code, stderr=subprocess.DEVNULL)
        stage.until(
            lambda kill=kill, process=process: len(stage.events("files.pruning")) > kill or process.poll() is not None
        )
        process.send_signal(signal.SIGKILL)
        process.wait()
    _, kept = pruned(stage)
    assert kept == {} and list((stage.directory / "worktrees").iterdir()) == []
    assert "prunable" not in repos.run(stage.repository, "worktree", "list", "--porcelain")


# --- records, leases, runs ------------------------------------------------------------------------------------------


def test_records_of_worktrees_that_are_gone_go_and_only_those_of_ours(stage: Stage) -> None:
    ours = stray_of(stage)
    theirs = stage.root / "unmounted"
    repos.run(stage.repository, "worktree", "add", "-q", str(theirs))
    for path in (ours, theirs):
        shutil.rmtree(path)
    assert pruned(stage)[0] == [f"registration {ours}"]
    listed = repos.run(stage.repository, "worktree", "list", "--porcelain")
    assert str(theirs) in listed and str(ours) not in listed


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: (repos.run(path, "checkout", "-q", "--detach"), repos.commit(path, "x")), "commits that no"),
        (lambda path: ((path / "x").write_text("x"), repos.run(path, "add", "x")), "what was staged"),
        (lambda path: repos.run(path, "worktree", "lock", str(path)), "locked"),
    ],
)
def test_a_record_that_alone_holds_some_work_stays(stage: Stage, spoil: Callable[[Path], object], reason: str) -> None:
    path = stray_of(stage)
    spoil(path)
    shutil.rmtree(path)
    removed, kept = pruned(stage)
    assert removed == [] and reason in kept[str(path)][0]


def test_leases_of_nobody_go_and_held_new_and_named_ones_stay(stage: Stage) -> None:
    folder = stage.directory / "leases"
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    held = Lease.create(str(folder), "held")
    stay = {"held", "fresh", ".nfs0001", NOTIFIER.name, "host", "clock", "heard"}
    for name in ("free", *stay):
        (folder / name).touch()
    for path in folder.iterdir():
        if path.name != "fresh":
            os.utime(path, (time.time() - 7200,) * 2)
    plan = prune.plan(stage.ws)
    assert [item.paths for item in plan.items] == [[str(folder / "free")]]
    prune.carry_out(stage.ws, plan)
    assert {path.name for path in folder.iterdir()} == {*stay, stage.nonces()["q1.1"]}
    held.release()
    stage.go()
    stage.finished("q1")


def test_a_lease_that_was_taken_since_the_plan_stays(stage: Stage) -> None:
    path = stage.directory / "leases" / "free"
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.utime(path, (0, 0))
    plan = prune.plan(stage.ws)
    with open(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        prune.carry_out(stage.ws, plan)
        assert path.exists()


def prune_in_a_process(stage: Stage) -> subprocess.Popen[bytes]:
    """A process that plans, waits for a line, carries out, and says what went."""
    return stage.python(
        "import os, sys\n"
        "from kugetsu.runtime import prune as pruning\n"
        "from kugetsu.runtime.workspace import open_workspace\n"
        "ws = open_workspace(os.environ, 'prune')\n"
        "plan = pruning.plan(ws, runs=True)\n"
        "print(len(plan.items), flush=True)\n"
        "sys.stdin.readline()\n"
        "outcome = pruning.carry_out(ws, plan)\n"
        "print(len(outcome.removed), [one.reasons for one in outcome.kept], flush=True)\n",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_of_two_prunes_at_once_each_thing_is_removed_and_recorded_by_one(stage: Stage) -> None:
    for number in (1, 2, 3):
        stray_of(stage, f"stray-{number}", f"own/idea-{number}")
    shutil.rmtree(stray_of(stage, "gone", "own/gone"))
    old = [stage.directory / "leases" / "free", stage.directory / "runs" / "q0.1" / "prompt.md"]
    for path in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (0, 0))
    os.utime(old[1].parent, (0, 0))
    both = [prune_in_a_process(stage) for _ in range(2)]
    assert [process.stdout.readline() for process in both if process.stdout] == [b"6\n"] * 2
    for process in both:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    told = [process.stdout.readline().decode().split(maxsplit=1) for process in both if process.stdout]
    assert sum(int(count) for count, _ in told) == 6
    assert [kept.strip() for _, kept in told] == ["[]", "[]"]
    for kind in ("files.pruning", "files.pruned"):
        recorded = [path for event in stage.events(kind) for path in event["data"]["paths"]]
        assert len(recorded) == len(set(recorded)) == 6


def test_transcripts_go_only_when_asked_for_when_old_and_when_their_task_is_retired(stage: Stage) -> None:
    from kugetsu.domain.decide import queue

    stage.agent("exit 0")
    for number in (1, 2, 3):
        stage.finished(stage.start(number).task)
    stage.check()  # until then a run's processes may write there
    runs = stage.directory / "runs"
    (runs / "notes").mkdir()
    for task in ("q1.1", "q2.1", "notes"):
        for path in (*(runs / task).iterdir(), runs / task):
            os.utime(path, (time.time() - 30 * 86_400,) * 2)
    stage.ws.log.transact(lambda state: queue.clear(state, None))
    assert "q1" not in stage.state.tasks
    assert pruned(stage)[0] == [] and (runs / "q1.1").is_dir()
    assert [line.split()[0] for line in pruned(stage, runs=True)[0]] == ["run"]
    assert sorted(path.name for path in runs.iterdir()) == ["notes", "q3.1"]


def test_findings_outlive_the_transcripts_of_other_runs(stage: Stage) -> None:
    from kugetsu.domain.decide import queue

    stage.agent('test "$NUMBER" = 2 || echo found > "$KUGETSU_FINDINGS"')
    for number in (1, 2):
        stage.finished(stage.start(number).task)
    stage.check()  # until then a run's processes may write there
    for path in [*stage.directory.glob("runs/*/*"), *stage.directory.glob("runs/*")]:
        os.utime(path, (time.time() - 30 * 86_400,) * 2)
    stage.ws.log.transact(lambda state: queue.clear(state, None))
    removed, kept = pruned(stage, runs=True)
    assert [line.split()[0] for line in removed] == ["run"]
    assert "it holds findings" in kept[f"{stage.directory}/runs/q1.1"][0]
    assert [path.name for path in (stage.directory / "runs").iterdir()] == ["q1.1"]


# --- nothing is ever lost -------------------------------------------------------------------------------------------


def _rebase(path: Path) -> None:
    repos.commit(path, "README", "ours\n")
    base = repos.run(path, "rev-parse", "HEAD~1")
    repos.run(path, "branch", "-f", "side", base)
    repos.run(path, "update-ref", "refs/heads/side", _child(path, base))
    subprocess.run(["git", "rebase", "side"], cwd=path, capture_output=True, check=False)


def _child(path: Path, base: str) -> str:
    """A commit on `base` that conflicts with every change to README."""
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=path, input=b"theirs\n", capture_output=True, check=True
    )
    env = {**os.environ, "GIT_INDEX_FILE": str(path.parent / "scratch.index")}
    subprocess.run(["git", "read-tree", base], cwd=path, env=env, check=True)
    entry = f"100644,{blob.stdout.decode().strip()},README"
    subprocess.run(["git", "update-index", "--cacheinfo", entry], cwd=path, env=env, check=True)
    tree = subprocess.run(["git", "write-tree"], cwd=path, env=env, check=True, capture_output=True, text=True)
    os.unlink(env["GIT_INDEX_FILE"])
    return repos.run(path, "commit-tree", tree.stdout.strip(), "-p", base, "-m", "theirs")


def _submodule(path: Path) -> None:
    inner = path.parent.parent.parent / "inner"
    if not inner.exists():
        repos.make_plain(inner)
    repos.run(path, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "sub")
    repos.run(path, "commit", "-qm", "Add a submodule")
    repos.commit(path / "sub", "deep", "only in the submodule\n")


def _overlooked(path: Path) -> None:
    repos.run(path, "update-index", "--assume-unchanged", "README")
    (path / "README").write_text("edited behind git's back\n")


ACTIONS: dict[str, Callable[[Path], object]] = {
    "untracked": lambda path: (path / "untracked").write_text("untracked\n"),
    "untracked folder": lambda path: ((path / "d").mkdir(exist_ok=True), (path / "d" / "u").write_text("deep\n")),
    "changed": lambda path: (path / "README").write_text("changed\n"),
    "staged": lambda path: ((path / "s").write_text("staged\n"), repos.run(path, "add", "s")),
    "staged then changed": lambda path: (
        (path / "t").write_text("one\n"),
        repos.run(path, "add", "t"),
        (path / "t").write_text("two\n"),
    ),
    "deleted": lambda path: (path / ".gitignore").unlink(missing_ok=True),
    "ignored": lambda path: (path / "ignored").write_text("ignored by git\n"),
    "commit": lambda path: repos.commit(path, "c", f"{time.time_ns()}\n"),
    "push": lambda path: repos.run(path, "push", "-qf", "origin", "HEAD:refs/heads/pushed-" + path.name),
    "detach": lambda path: repos.run(path, "checkout", "-q", "--detach"),
    "rebase": _rebase,
    "stash": lambda path: (
        (path / "README").write_text("stashed\n"),
        subprocess.run(["git", "stash", "-q"], cwd=path, capture_output=True, check=False),
    ),
    "submodule": _submodule,
    "nested": lambda path: repos.make_plain(path / "nested") if not (path / "nested").exists() else None,
    "overlooked": _overlooked,
    "own ref": lambda path: repos.run(path, "update-ref", "refs/worktree/mine", _child(path, "HEAD")),
}


def contents(path: Path, repository: Path) -> tuple[set[bytes], set[str]]:
    """Every byte that no commit has: the files of a worktree; and the commits that anything of it reaches."""
    files = set()
    for folder, names, found in os.walk(path):
        if ".git" in names:
            names.remove(".git")
        files |= {(Path(folder) / name).read_bytes() for name in found if name != ".git"}
    commits: set[str] = set()
    for where in (path, repository):
        tips = subprocess.run(
            ["git", "rev-list", "--all", "HEAD"], cwd=where, capture_output=True, text=True, check=False
        )
        commits |= set(tips.stdout.split())
    return files, commits


def reachable(repository: Path) -> tuple[set[bytes], set[str]]:
    """What the repository's refs still reach: contents of files, and commits."""
    commits = set(repos.run(repository, "rev-list", "--all").split())
    objects = repos.run(repository, "rev-list", "--all", "--objects").splitlines()
    names = "\n".join(line.split(" ")[0] for line in objects)
    batch = subprocess.run(
        ["git", "cat-file", "--batch"], cwd=repository, input=names.encode(), capture_output=True, check=True
    ).stdout
    blobs, at = set(), 0
    while at < len(batch):
        end = batch.index(b"\n", at)
        _, kind, size = batch[at:end].split()
        if kind == b"blob":
            blobs.add(batch[end + 1 : end + 1 + int(size)])
        at = end + 2 + int(size)
    return blobs, commits


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.sampled_from(sorted(ACTIONS)), max_size=4))
def test_prune_never_loses_a_commit_or_a_byte(stage: Stage, steps: list[str]) -> None:
    remote = stage.root / "srv.git"
    if not remote.exists():
        repos.run(stage.root, "init", "-q", "--bare", "-b", "main", str(remote))
        repos.run(stage.repository, "remote", "add", "origin", str(remote))
        repos.run(stage.repository, "push", "-q", "origin", "main")
    name = f"s{time.time_ns()}"
    path = stray_of(stage, name, f"own/{name}")
    done = []
    for step in steps:
        try:
            ACTIONS[step](path)
            done.append(step)
        except (AssertionError, subprocess.CalledProcessError, OSError):
            continue  # git does not do that after the steps before it
    files, commits = contents(path, stage.repository)
    removed, kept = pruned(stage)
    if path.exists():
        assert kept[str(path)], done
        assert contents(path, stage.repository)[0] == files, done
        shutil.rmtree(path)
        shutil.rmtree(stage.repository / ".git" / "worktrees" / name)
        return
    assert f"worktree {path}" in removed
    left, still = reachable(stage.repository)
    assert files <= left, (done, files - left)
    assert commits <= still, done


@pytest.mark.parametrize("step", sorted(set(ACTIONS) - {"push", "stash", "detach", "deleted", "nested"}))
def test_each_of_these_keeps_a_worktree(stage: Stage, step: str) -> None:
    path = stray_of(stage)
    ACTIONS[step](path)
    removed, kept = pruned(stage)
    assert removed == [] and kept[str(path)], step
    assert path.is_dir()


def test_what_tools_make_again_keeps_nothing_unless_someone_worked_in_it(stage: Stage) -> None:
    with (stage.repository / ".git" / "info" / "exclude").open("a") as file:
        file.write("node_modules/\n__pycache__/\n.venv/\ncache/\n")
    path = stray_of(stage)
    for name, inner, text in (
        ("node_modules", "a.js", b"x"),
        ("__pycache__", "a.pyc", b"x"),
        (".venv", "pyvenv.cfg", b"home = /usr\n"),
        ("cache", "CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55\n"),
    ):
        (path / name).mkdir()
        (path / name / inner).write_bytes(text)
    assert [item.subject for item in prune.plan(stage.ws).items] == [str(path)]
    repos.make_plain(path / ".venv" / "src" / "tool")
    (kept,) = prune.plan(stage.ws).kept
    assert "1 commit that no remote has in the repository .venv/src/tool" in kept.reasons[0]


def test_a_fifo_in_the_place_of_a_tools_mark_hangs_nobody_and_keeps_the_worktree(stage: Stage) -> None:
    with (stage.repository / ".git" / "info" / "exclude").open("a") as file:
        file.write("cache/\n")
    path = stray_of(stage)
    (path / "cache").mkdir()
    (path / "cache" / "data").write_text("x")  # git calls nothing ignored that holds special files only
    os.mkfifo(path / "cache" / "CACHEDIR.TAG")
    (kept,) = prune.plan(stage.ws).kept
    assert "1 ignored file (cache/)" in kept.reasons[0]


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells where a process is")
def test_a_worktree_in_which_someone_is_stays(stage: Stage) -> None:
    path = stray_of(stage)
    someone = subprocess.Popen(["sleep", "60"], cwd=path)
    try:
        removed, kept = pruned(stage)
        assert removed == [] and f"a process at work in it (pid {someone.pid})" in kept[str(path)][0]
    finally:
        someone.kill()
        someone.wait()
    assert pruned(stage)[0] == [f"worktree {path}"]
