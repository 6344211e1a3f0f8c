"""The disk refuses: the command fails clearly, the log is as it was, and goes on when there is room again."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kugetsu.log.files import segments
from kugetsu.model.errors import LogWriteFailed
from log.counting import fill, note, noted, open_files


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file grows past ``size`` bytes (EFBIG); Python ignores the signal that comes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("way", ["transact", "append"])
@pytest.mark.parametrize("room", [0, 1, 100, 230, 700])
def test_a_write_cut_short_leaves_the_log_as_it_was(tmp_path: Path, room: int, way: str) -> None:
    directory = str(tmp_path / "log")
    log = open_files(directory)
    fill(log, 10)
    path = Path(directory) / segments.name(1)
    before = path.read_bytes()
    new_events = [noted("x" * 50) for _ in range(5)]
    with file_size_limit(len(before) + room), pytest.raises(LogWriteFailed) as caught:
        log.append(new_events) if way == "append" else log.transact(lambda state: new_events)
    assert path.read_bytes() == before
    assert "as it was" in caught.value.message
    assert caught.value.hint is not None
    assert "ulimit" in caught.value.hint
    assert log.state()["seq"] == 10
    events = log.append(new_events) if way == "append" else log.transact(lambda state: new_events)
    assert [event["seq"] for event in events] == list(range(11, 16))
    assert log.state() == open_files(directory).state()
    check = log.verify()
    assert check.ok
    assert check.torn is None


def test_a_torn_tail_that_cannot_be_kept_stays(tmp_path: Path) -> None:
    directory = str(tmp_path / "log")
    fill(open_files(directory), 10)
    path = Path(directory) / segments.name(1)
    before = path.read_bytes()
    torn = before + b"{" * 3000
    path.write_bytes(torn)
    with file_size_limit(1000), pytest.raises(LogWriteFailed, match="torn"):
        note(open_files(directory))
    assert path.read_bytes() == torn
    log = open_files(directory)
    assert note(log)["seq"] == 12
    assert log.verify().ok


def test_bytes_that_cannot_be_cut_back_are_repaired_by_the_next_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = str(tmp_path / "log")
    log = open_files(directory)
    fill(log, 10)
    size = (Path(directory) / segments.name(1)).stat().st_size

    def refuse(fd: int, length: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched, file_size_limit(size + 100):
        patched.setattr(os, "ftruncate", refuse)
        with pytest.raises(LogWriteFailed, match="could not be cut off"):
            note(log, "x" * 500)
    assert open_files(directory).state()["seq"] == 10
    assert note(log)["seq"] == 12
    assert [event["type"] for event in log.read(10)] == ["log.repaired", "note.made"]


def test_a_sync_that_fails_says_that_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = str(tmp_path / "log")
    log = open_files(directory)
    fill(log, 10)

    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("kugetsu.log.files.append.sync_data", refuse)
        for append in (lambda: note(log), lambda: log.append([noted()])):
            with pytest.raises(LogWriteFailed, match="may or may not"):
                append()
    assert note(log)["seq"] == 13
    assert log.state() == open_files(directory).state()


def test_a_new_segment_that_cannot_be_born_leaves_the_old_one(tmp_path: Path) -> None:
    directory = str(tmp_path / "log")
    log = open_files(directory, segment_bytes=1000)
    note(log)
    while (Path(directory) / segments.name(1)).stat().st_size < 1000:
        note(log)
    head = log.head()
    with file_size_limit(0), pytest.raises(LogWriteFailed):
        note(log)
    assert log.head() == head
    assert open_files(directory).append([noted()])[0]["seq"] == head.seq + 1
    assert note(log)["seq"] == head.seq + 2
    assert log.verify().ok


def as_nobody(action: Any) -> str:
    """What ``action`` raises in a child without root's rights."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "nothing"
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            action()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent is told
            said = f"{type(error).__name__}: {error} | {getattr(error, 'hint', '')}"
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


@pytest.fixture
def reachable(tmp_path: Path) -> Path:
    """A folder that nobody else may write, on a path that everybody may walk."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o005 != 0o005 and folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path


def test_a_read_only_directory_is_read_and_not_written(reachable: Path) -> None:
    directory = reachable / "log"
    fill(open_files(str(directory), latest_every=10**9), 100)
    directory.chmod(0o555)
    for file in directory.iterdir():
        file.chmod(0o444)
    log = open_files(str(directory), latest_every=10)

    def read() -> None:
        assert log.state()["seq"] == 100
        assert len(list(log.read_key("host/o/r#1"))) == 15
        assert log.verify().ok

    try:
        assert as_nobody(read) == "nothing"
        for append in (lambda: note(log), lambda: log.append([noted()])):
            said = as_nobody(append)
            assert said.startswith("LogWriteFailed")
            assert "KUGETSU_DIR" in said
        directory.chmod(0o000)
        said = as_nobody(lambda: open_files(str(directory)).state())
        assert "cannot be read" in said
    finally:
        directory.chmod(0o700)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB; skipped where mounting is not permitted."""
    place = tmp_path / "tiny"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting is not permitted here")
    yield place
    gc.collect()  # opened logs close their files
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_loses_nothing_and_the_log_goes_on_when_there_is_room(tiny_disk: Path) -> None:
    directory = str(tiny_disk / "log")
    log = open_files(directory, latest_every=50)
    acknowledged = 0
    with pytest.raises(LogWriteFailed) as caught:
        while True:
            acknowledged = note(log, "x" * 700)["seq"]
    assert caught.value.hint is not None
    assert "space" in caught.value.hint
    for _ in range(3):
        with pytest.raises(LogWriteFailed):
            note(log, "x" * 5000)
        assert log.head().seq == acknowledged
    check = log.verify()
    assert check.ok
    assert check.torn is None
    assert check.head.seq == acknowledged
    subprocess.run(["mount", "-o", "remount,size=1m", str(tiny_disk)], check=True)
    assert note(log, "x" * 5000)["seq"] == acknowledged + 1
    assert log.state() == open_files(directory).state()
    log.close()
