"""Each attempt has a temporary folder of its own, which goes with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kugetsu.runtime import reconcile
from kugetsu.runtime.doctor import leftovers
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.runner import temp_folders
from kugetsu.runtime.workspace import outside
from runtime.stage import UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

WRITES = 'echo "$TMPDIR" > "$STAGE/tmpdir"; mkdir "$TMPDIR/cache"; touch "$TMPDIR/cache/a"; chmod 500 "$TMPDIR/cache"\n'


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of whoever starts agents here."""
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_temporary_files_of_an_attempt_go_with_it(stage: Stage, temporary: Path) -> None:
    stage.agent(WRITES)
    stage.start(1)
    stage.finished("q1")
    used = Path(stage.file("tmpdir").strip())
    assert used.parent == temporary and used.name.startswith("kugetsu-q1.1-")
    assert list(temporary.iterdir()) == []


def test_temporary_files_of_a_lost_attempt_go_when_it_is_recorded(stage: Stage, temporary: Path) -> None:
    stage.agent(WRITES + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    attempt = stage.state.attempts["q1.1"]
    stage.kill(attempt.runner)
    stage.kill(attempt.agent)
    assert len(list(temporary.iterdir())) == 1
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert list(temporary.iterdir()) == []


def test_a_deep_tree_in_the_temporary_folder_keeps_no_slot(stage: Stage, temporary: Path) -> None:
    deep = "import os; os.chdir(os.environ['TMPDIR'])\nfor n in range(5000): os.mkdir('deeper'); os.chdir('deeper')"
    (stage.folder / "deep.py").write_text(deep)
    stage.agent(f'{sys.executable} "$STAGE/deep.py"\n')
    stage.start(1)
    assert stage.finished("q1") == "completed"
    assert list(temporary.iterdir()) == []


def test_the_env_files_own_temporary_folder_is_used(stage: Stage, temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (stage.directory / "env" / "dev.env").write_text(f"TMPDIR={tmp_path}/mine\n")
    stage.agent(WRITES)
    stage.start(1)
    assert stage.finished("q1") == "completed"
    assert stage.file("tmpdir").strip() == f"{tmp_path}/mine"
    assert (tmp_path / "mine" / "cache").is_dir(), "it is the user's, and stays"


def test_what_an_agent_starts_outlives_its_temporary_folder(temporary: Path) -> None:
    given = {"KUGETSU_ATTEMPT": "q1.1", "TMPDIR": f"{temporary}/kugetsu-q1.1-0123abcd"}
    assert outside(given)["TMPDIR"] == str(temporary)
    assert outside({**given, "TMPDIR": "/elsewhere"})["TMPDIR"] == "/elsewhere"


def test_only_the_attempts_own_folder_is_removed(stage: Stage, tmp_path: Path) -> None:
    """An agent can write into its run's folder: what it names there must not make kugetsu remove other things."""
    run = Path(stage.ws.paths.make(stage.ws.paths.run("q1.1")))
    precious = tmp_path / "precious"
    (precious / "kugetsu-q1.2-0123abcd").mkdir(parents=True)
    (tmp_path / "kugetsu-q1.1-0123abcd").symlink_to(precious)
    for named in (precious, precious / "kugetsu-q1.2-0123abcd", tmp_path / "kugetsu-q1.1-0123abcd"):
        (run / "tmpdir").write_text(str(named))
        temp_folders.remove(stage.ws.paths, "q1.1")
        assert precious.is_dir() and (precious / "kugetsu-q1.2-0123abcd").is_dir()


def test_doctor_finds_and_removes_what_was_left(stage: Stage, temporary: Path) -> None:
    stage.agent("exit 0\n")
    stage.start(1)
    stage.finished("q1")
    path = temp_folders.make(stage.ws.paths, os.environ, "q1.1", "0123456789")
    assert path is not None and os.path.isdir(path)
    [one] = [one for one in leftovers.check(Context(stage.ws.paths, os.environ, "doctor")) if one.name == "temporary"]
    assert one.repair is not None
    one.repair.do()
    assert not os.path.exists(path)


def test_what_is_mounted_in_a_temporary_folder_is_not_emptied(tmp_path: Path) -> None:
    mounted_in(tmp_path / "cloud", "temp_folders.remove(paths, 'q1.1')", tmp_path)
    assert (tmp_path / "cloud" / "precious").exists()


def test_what_is_mounted_in_a_worktree_is_not_emptied_by_force(tmp_path: Path) -> None:
    mounted_in(tmp_path / "cloud", "removal.remove_locked(repository, folder, '', force=True)", tmp_path)
    assert (tmp_path / "cloud" / "precious").exists()


def mounted_in(source: Path, statement: str, root: Path) -> None:
    """Run a statement in a mount namespace of its own, where `source`, with a file in it, is mounted in an attempt's
    temporary folder, which is a worktree as well."""
    source.mkdir()
    (source / "precious").touch()
    script = f"""
import os, subprocess
from kugetsu.model.errors import Conflict
from kugetsu.host.paths import Paths
from kugetsu.runtime.runner import temp_folders
from kugetsu.runtime.git import removal, repositories
paths = Paths({str(root / "kugetsu")!r})
paths.make(paths.run("q1.1"))
folder = temp_folders.make(paths, {{"TMPDIR": {str(root)!r}}}, "q1.1", "0123456789")
clone = {str(root / "clone")!r}
os.rmdir(folder)
for command in ("init -q", "commit -q --allow-empty -m start", "worktree add -q " + folder):
    subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e", *command.split()], cwd=clone, check=True)
os.mkdir(folder + "/at work")
subprocess.run(["mount", "--bind", {str(source)!r}, folder + "/at work"], check=True)
repository = repositories.at_path("host/owner/repo", clone)
try:
    {statement}
except Conflict as problem:
    print(problem)
"""
    (root / "clone").mkdir()
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this system lets nobody mount anything")
    subprocess.run(["unshare", "-rm", sys.executable, "-c", script], check=True)


def test_doctor_leaves_a_temporary_folder_that_is_in_use(stage: Stage, temporary: Path) -> None:
    nonce = "0123456789abcdef"
    stage.ws.paths.make(stage.ws.paths.run("q1.1"))
    path = temp_folders.make(stage.ws.paths, os.environ, "q1.1", nonce)
    given = {**os.environ, "KUGETSU_LEASE": nonce, "KUGETSU_DIR": stage.ws.paths.root}
    with subprocess.Popen(["sleep", "60"], env=given) as process:
        found = leftovers.check(Context(stage.ws.paths, os.environ, "doctor"))
        [one] = [one for one in found if one.name == "temporary"]
        process.kill()
    assert one.repair is None and os.path.isdir(path or "")
