"""An identity means one process, also when another one gets its pid."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kugetsu.runtime.process import identity
from runtime.supervised import eventually


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "60"])
    yield child
    child.kill()
    child.wait()


def test_a_process_knows_itself() -> None:
    own = identity.own()
    assert own["pid"] == os.getpid()
    assert own == identity.of(os.getpid())
    assert identity.current(own) is not None
    assert identity.alive(own)


def test_a_process_that_cannot_be_looked_at_is_not_called_dead(sleeper: subprocess.Popen[bytes]) -> None:
    found = identity.of(sleeper.pid)
    assert found is not None
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            identity.alive(found)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert identity.alive(found)


def test_a_process_that_ended_has_no_identity_and_is_not_the_same(sleeper: subprocess.Popen[bytes]) -> None:
    found = identity.of(sleeper.pid)
    assert found is not None
    sleeper.kill()
    sleeper.wait()
    assert identity.of(sleeper.pid) is None
    assert identity.current(found) is None
    assert not identity.alive(found)
    assert identity.open_pidfd(found) is None
    assert not identity.signal(found, signal.SIGTERM)


def test_a_zombie_is_the_same_process_but_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    found = identity.of(sleeper.pid)
    assert found is not None
    sleeper.kill()
    assert eventually(lambda: not identity.alive(found))
    assert identity.current(found) is not None
    assert identity.open_pidfd(found) is None
    assert not identity.signal(found, signal.SIGTERM)


@pytest.mark.parametrize("wrong", [{"start": 1}, {"boot": "another-boot"}])
def test_another_start_or_boot_is_another_process(sleeper: subprocess.Popen[bytes], wrong: dict[str, object]) -> None:
    found = identity.of(sleeper.pid)
    assert found is not None
    stranger: identity.Identity = {**found, **wrong}  # type: ignore[typeddict-item]
    assert identity.current(stranger) is None
    assert not identity.alive(stranger)
    assert identity.open_pidfd(stranger) is None
    assert not identity.signal(stranger, signal.SIGKILL)
    assert sleeper.poll() is None


def test_a_signal_reaches_the_process(sleeper: subprocess.Popen[bytes]) -> None:
    found = identity.of(sleeper.pid)
    assert found is not None
    assert identity.signal(found, signal.SIGTERM)
    assert sleeper.wait(20) == -signal.SIGTERM


@pytest.mark.parametrize("pid", [1, 0, -1])
def test_init_and_groups_are_never_signalled(pid: int) -> None:
    found = identity.of(1)
    assert found is not None
    assert not identity.signal({**found, "pid": pid}, signal.SIGCONT)


def test_a_program_name_with_parentheses_and_spaces_is_read(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 (b"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([program, "60"])
    try:
        assert eventually(lambda: Path(f"/proc/{child.pid}/comm").read_text().strip() == program.name)
        found = identity.stat(child.pid)
        assert found is not None
        assert (found.parent, found.dead) == (os.getpid(), False)
    finally:
        child.kill()
        child.wait()


def test_ps_shows_the_same_processes(sleeper: subprocess.Popen[bytes]) -> None:
    table = identity.table_of_ps()
    assert table[sleeper.pid].parent == os.getpid()
    # On Linux, ps derives it from the uptime, and may round it to either of two seconds.
    assert abs(identity.table_of_ps(sleeper.pid)[sleeper.pid].start - table[sleeper.pid].start) <= 1
    assert identity.table_of_ps(2**22 + 1) == {}
