"""A lease lives exactly as long as somebody holds it."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kugetsu.model.errors import Conflict
from kugetsu.runtime.process import lease
from runtime.supervised import eventually


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "leases")


def held_by_a_fork(held: lease.Lease) -> int:
    """A forked child that holds the lease until it is killed."""
    pid = os.fork()
    if pid == 0:
        try:
            time.sleep(60)
        finally:
            os._exit(0)
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_lease_is_alive_while_its_creator_holds_it(directory: str) -> None:
    held = lease.Lease.create(directory)
    assert lease.alive(directory, held.nonce)
    held.close()
    assert not lease.alive(directory, held.nonce)


def test_a_lease_that_never_was_is_not_alive(directory: str) -> None:
    assert not lease.alive(directory, "nothing")


def test_only_the_owner_may_read_leases(directory: str) -> None:
    held = lease.Lease.create(directory, "a")
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(f"{directory}/a").st_mode) == 0o600
    held.release()


def test_the_lock_belongs_to_the_open_file_and_not_to_a_process(directory: str) -> None:
    held = lease.Lease.create(directory)
    inode = f":{os.fstat(held.fd).st_ino} "
    kinds = [line.split()[1] for line in Path("/proc/locks").read_text().splitlines() if inode in line]
    assert kinds == ["FLOCK"]
    held.close()


def test_probing_from_the_creating_process_does_not_free_the_lease(directory: str) -> None:
    held = lease.Lease.create(directory)
    for _ in range(3):
        assert lease.alive(directory, held.nonce)
    held.close()


def test_a_fork_holds_the_lease_until_it_is_killed(directory: str) -> None:
    held = lease.Lease.create(directory)
    child = held_by_a_fork(held)
    held.close()
    assert lease.alive(directory, held.nonce)
    kill(child)
    assert not lease.alive(directory, held.nonce)


def test_the_last_of_several_holders_frees_the_lease(directory: str) -> None:
    held = lease.Lease.create(directory)
    first, second = held_by_a_fork(held), held_by_a_fork(held)
    held.close()
    kill(first)
    assert lease.alive(directory, held.nonce)
    kill(second)
    assert not lease.alive(directory, held.nonce)


@pytest.mark.parametrize("inheritable", [True, False])
def test_an_exec_keeps_the_lease_only_when_it_is_inheritable(directory: str, inheritable: bool) -> None:
    held = lease.Lease.create(directory)
    if inheritable:
        held.make_inheritable()
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    held.close()
    assert lease.alive(directory, held.nonce) is inheritable
    child.kill()
    child.wait()
    assert not lease.alive(directory, held.nonce)


def test_an_inherited_lease_is_adopted_after_an_exec(directory: str) -> None:
    held = lease.Lease.create(directory)
    held.make_inheritable()
    script = (
        "import sys; from kugetsu.runtime.process import lease; d, n, fd = sys.argv[1:];"
        "mine = lease.Lease.adopt(d, n, int(fd)); assert lease.alive(d, n);"
        "mine.release(); assert not lease.alive(d, n)"
    )
    child = subprocess.run(
        [sys.executable, "-c", script, directory, held.nonce, str(held.fd)], close_fds=False, check=False
    )
    assert child.returncode == 0
    held.close()


def test_a_descriptor_of_something_else_is_not_adopted(directory: str) -> None:
    held, other = lease.Lease.create(directory), lease.Lease.create(directory)
    with pytest.raises(Conflict):
        lease.Lease.adopt(directory, held.nonce, other.fd)
    held.release()
    other.release()


def test_a_name_is_leased_once(directory: str) -> None:
    held = lease.Lease.create(directory, "daemon")
    with pytest.raises(Conflict):
        lease.Lease.create(directory, "daemon")
    assert lease.alive(directory, "daemon")
    assert lease.names(directory) == ["daemon"]
    assert os.listdir(directory) == ["daemon"]
    held.release()


def test_a_released_lease_leaves_no_file(directory: str) -> None:
    held = lease.Lease.create(directory)
    held.release()
    assert os.listdir(directory) == []


def test_a_held_lease_is_not_forgotten(directory: str) -> None:
    held = lease.Lease.create(directory)
    assert not lease.forget(directory, held.nonce)
    assert lease.names(directory) == [held.nonce]
    held.close()
    assert lease.forget(directory, held.nonce)
    assert lease.forget(directory, held.nonce)
    assert lease.names(directory) == []


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".", ".hidden"])
def test_a_name_that_leads_elsewhere_is_refused(directory: str, name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a lease"):
        lease.alive(directory, name)


def test_inherited_leases_are_closed_but_the_kept_one(directory: str) -> None:
    inherited, own = lease.Lease.create(directory), lease.Lease.create(directory)
    assert lease.close_inherited(directory, keep=own.fd) == 1
    assert not lease.alive(directory, inherited.nonce)
    assert lease.alive(directory, own.nonce)
    own.release()


def probe_a_free_lease(directory: str, seen: object) -> None:
    for _ in range(2000):
        if lease.alive(directory, "free"):
            seen.value += 1  # type: ignore[attr-defined]


def test_probers_do_not_take_each_other_for_holders(directory: str) -> None:
    lease.Lease.create(directory, "free").close()
    fork = multiprocessing.get_context("fork")
    seen = fork.Value("i", 0)
    probers = [fork.Process(target=probe_a_free_lease, args=(directory, seen)) for _ in range(8)]
    for prober in probers:
        prober.start()
    for prober in probers:
        prober.join()
    assert seen.value == 0
    assert lease.forget(directory, "free")


def probe_without_end(directory: str, started: object, wrong: object) -> None:
    """Probe every lease that has a name; one that is free although its creator holds it is wrong."""
    started.release()  # type: ignore[attr-defined]
    while True:
        for name in lease.names(directory):
            if not lease.alive(directory, name) and os.path.exists(f"{directory}/{name}"):
                wrong.value += 1  # type: ignore[attr-defined]
        time.sleep(random.random() / 200)


def test_a_hundred_probers_disturb_neither_creators_nor_each_other(directory: str) -> None:
    os.makedirs(directory)
    fork = multiprocessing.get_context("fork")
    started, wrong = fork.Semaphore(0), fork.Value("i", 0)
    probers = [fork.Process(target=probe_without_end, args=(directory, started, wrong)) for _ in range(100)]
    for prober in probers:
        prober.start()
    try:
        for _ in probers:
            assert started.acquire(timeout=20)
        held = [lease.Lease.create(directory) for _ in range(25)]
        assert all(lease.alive(directory, each.nonce) for each in held)
    finally:
        for prober in probers:
            prober.kill()
        for prober in probers:
            prober.join()
    assert wrong.value == 0
    for each in held:
        each.close()
    # A prober that was killed in its probe held a shared lock, which does not outlive it.
    assert eventually(lambda: not any(lease.alive(directory, each.nonce) for each in held))
