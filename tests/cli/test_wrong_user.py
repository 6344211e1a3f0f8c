"""One command typed with sudo leaves nothing behind that locks the owner of the directory out."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from cli.conftest import Command, Story

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play two users")

#: Somebody else, with or without a name on this machine.
OTHER = 61_234
REF = "github.com/shoko/kugetsu#14"
WRITING = [
    ("init",),
    ("start", REF, "x"),
    ("continue", REF, "x"),
    ("delegate", "fix it"),
    ("queue", "enqueue", REF, "x"),
    ("queue", "cancel", "q1"),
    ("queue", "move", "q1", "--first"),
    ("queue", "clear", "--yes"),
    ("queue-daemon", "start"),
    ("queue-daemon", "run"),
    ("undo", "--yes", "6"),
    ("config", "set", "MAX_ATTEMPTS", "2"),
    ("env", "set", "A_TOKEN", "abcdefgh12345678"),
    ("server", "add", "home", "https://git.example.com"),
    ("notify", "clear"),
    ("destroy", "--pm-agent", "--yes"),
]
READING = [("status",), ("queue", "list"), ("why", "q1"), ("history", "--all"), ("log", "verify"), ("list",)]


def files(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Owner, mode and content of all that is there."""
    found = {}
    for path in [root, *root.rglob("*")]:
        status = path.stat()
        found[str(path)] = (status.st_uid, status.st_mode, path.read_bytes() if path.is_file() else b"")
    return found


def give(place: Path, uid: int) -> None:
    subprocess.run(["chown", "-R", f"{uid}:{uid}", str(place)], check=True)


@pytest.fixture
def theirs(kugetsu, story):
    """A directory with a task in it that belongs to another user."""
    assert kugetsu("init").code == 0
    story.enqueue()
    (kugetsu.root / "config").write_text("")
    give(kugetsu.root, OTHER)
    return kugetsu


@pytest.mark.parametrize("words", WRITING, ids=" ".join)
def test_root_is_refused_at_once_in_another_users_directory(theirs, words):
    before = files(theirs.root)
    shown = theirs(*words)
    assert shown.code == 1, shown
    assert f"{theirs.root}" in shown.err and "this is root" in shown.err and "Traceback" not in shown.err
    assert f"hint: run the command as its owner: sudo -u '#{OTHER}' kugetsu" in shown.err
    assert files(theirs.root) == before


def test_root_does_not_mend_another_users_log(theirs):
    (segment,) = (theirs.root / "log").glob("*.jsonl")
    with segment.open("ab") as file:
        file.write(b'{"seq": 8, "torn')
    before = files(theirs.root)
    refused = theirs("log", "repair")
    assert refused.code == 1 and "sudo -u" in refused.err, refused
    theirs("doctor", "--fix", "--yes")
    assert files(theirs.root) == before


def test_a_users_skills_are_not_installed_by_sudo(kugetsu):
    opencode = kugetsu.folder / ".config" / "opencode"
    opencode.mkdir(parents=True)
    give(kugetsu.folder, OTHER)
    refused = kugetsu("skill", "install", SUDO_UID=str(OTHER))
    assert refused.code == 1 and "sudo -u" in refused.err, refused
    assert all(path.lstat().st_uid == OTHER for path in kugetsu.folder.rglob("*"))


def test_doctor_does_not_tell_root_to_take_the_directory(theirs):
    shown = theirs("doctor")
    assert f"sudo -u '#{OTHER}' kugetsu" in " ".join(shown.out.split()) and "chown" not in shown.out, shown


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_root_reads_another_users_directory_and_leaves_nothing(theirs, words):
    before = files(theirs.root)
    assert theirs(*words).code == 0
    assert files(theirs.root) == before


def test_a_directory_is_not_made_by_sudo_in_a_users_home(kugetsu):
    give(kugetsu.folder, OTHER)
    refused = kugetsu("init", SUDO_UID=str(OTHER))
    assert refused.code == 1 and "sudo -u" in refused.err and not kugetsu.root.exists()
    # Without sudo it is a container whose root works in a folder that was mounted.
    assert kugetsu("init").code == 0 and kugetsu.root.stat().st_uid == 0


def test_a_users_clone_is_not_worked_on_by_sudo(ready):
    give(ready.work, OTHER)
    (ready.folder / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
    for words in (
        ("init", "--repo", "."),
        ("start", "example.com/o/r#1", "x"),
        ("queue", "enqueue", "example.com/o/r#1", "x"),
    ):
        refused = ready(*words, SUDO_UID=str(OTHER))
        assert refused.code == 1 and str(ready.work) in refused.err and "sudo -u" in refused.err, refused
    assert all(path.lstat().st_uid == OTHER for path in ready.work.rglob("*"))
    give(ready.work, 0)


def test_a_user_who_may_not_write_is_told_whose_it_is(fork_server):
    folder = Path(tempfile.mkdtemp(prefix="kugetsu-other-"))
    try:
        folder.chmod(0o755)
        command = Command(folder, fork_server)
        story = Story(command.root)
        story.enqueue()
        story.close()
        command.root.chmod(0o755)
        for words in (("queue", "cancel", "q1"), ("config", "set", "MAX_ATTEMPTS", "2"), ("init",)):
            before = files(command.root)
            refused = command(*words, user=OTHER)
            assert refused.code == 1 and "Traceback" not in refused.err, refused
            assert f"it belongs to root: sudo chown -R {OTHER} " in refused.err, refused
            assert files(command.root) == before
    finally:
        shutil.rmtree(folder)
