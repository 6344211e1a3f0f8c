"""kill -9 at each step by which a log changes its place: the same command typed again ends well, with every line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from kugetsu.domain.decide import queue
from kugetsu.host import host_file
from kugetsu.log.files.segments import is_shared
from kugetsu.log.shared import marker, schema, sharing
from kugetsu.log.shared.postgres import Database
from kugetsu.runtime import host_id, host_lease, log_sharing, membership
from kugetsu.runtime.initialisation import initialise
from kugetsu.runtime.workspace import Workspace, open_workspace

Step = tuple[Callable[..., Any], str]
"""A function, and where the process is killed: when it is "called", or when it has "returned"."""


def killed_at(step: Step, work: Callable[[], object]) -> None:
    """Do it in a process that is killed at that step."""
    function, when = step
    code: CodeType = function.__code__

    def watch(frame: FrameType, event: str, _: object) -> None:
        if frame.f_code is code and event == {"called": "call", "returned": "return"}[when]:
            os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if pid == 0:
        try:
            sys.setprofile(watch)
            work()
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL, f"{function.__name__} was not {when}"


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    """Opens the workspace of a host that is a directory of this machine."""
    made: list[Workspace] = []

    def open_one(name: str) -> Workspace:
        folder = tmp_path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "config").write_text(f"HOST_NAME={name}\nKUGETSU_AGENT=command\nKUGETSU_AGENT_COMMAND=true\n")
        made.append(open_workspace({**os.environ, "KUGETSU_DIR": str(folder)}, "kugetsu"))
        return made[-1]

    yield open_one
    for ws in made:
        ws.close()


def set_up(ws: Workspace) -> None:
    """A log of one host with a task."""
    initialise(ws, repo=None, force=False)
    enqueue(ws, "first")


def enqueue(ws: Workspace, text: str) -> None:
    ws.log.transact(lambda state: queue.enqueue(state, kind="dev", issue="h/o/r#1", message=text, via="enqueue"))


def lines(ws: Workspace) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(Path(ws.paths.log).glob("*.jsonl")))


def is_there(ws: Workspace) -> None:
    """The host takes part, and what it appends is in a log that verifies."""
    assert membership.takes_part(ws, ws.state())
    enqueue(ws, "later")
    assert ws.log.verify().ok and not ws.state().violations
    assert [event["data"]["message"] for event in ws.log.read() if event["type"] == "task.queued"] == ["first", "later"]


@pytest.mark.parametrize(
    "step",
    [
        (schema.migrate, "returned"),
        (sharing._copy, "returned"),
        (marker.write, "called"),
        (marker.write, "returned"),
        (Database.join_host, "returned"),
        (Database.append, "returned"),
        (host_file.write_term, "called"),
    ],
    ids=lambda step: f"{step[0].__qualname__} {step[1]}",
)
def test_share_killed_and_typed_again_shares_the_log(step: Step, opened: Any, database: str) -> None:
    one = opened("one")
    set_up(one)
    before = lines(one)
    one.close()
    killed_at(step, lambda: log_sharing.share(one, database))
    log_sharing.share(one, database)
    assert lines(one).startswith(before) and is_shared(one.paths.log)
    is_there(one)


@pytest.mark.parametrize(
    "step",
    [
        (host_id.own, "returned"),
        (marker.write, "returned"),
        (host_lease.renew, "called"),
        (Database.append, "called"),
        (host_file.write_term, "called"),
    ],
    ids=lambda step: f"{step[0].__qualname__} {step[1]}",
)
def test_join_killed_and_typed_again_joins(step: Step, opened: Any, database: str) -> None:
    one, two = opened("one"), opened("two")
    set_up(one)
    log_sharing.share(one, database)
    one.close()
    killed_at(step, lambda: log_sharing.join(two, database))
    log_sharing.join(two, database)
    is_there(two)
    one.log.pull()
    assert lines(one) == lines(two)


@pytest.mark.parametrize(
    "step",
    [
        (Database.append, "called"),
        (Database.append, "returned"),
        (sharing._locked_head, "returned"),
        (marker.remove, "called"),
    ],
    ids=lambda step: f"{step[0].__qualname__} {step[1]}",
)
def test_unshare_killed_and_typed_again_takes_the_log_back(step: Step, opened: Any, database: str) -> None:
    one, two = opened("one"), opened("two")
    set_up(one)
    log_sharing.share(one, database)
    log_sharing.join(two, database)
    one.close()
    two.close()
    killed_at(step, lambda: log_sharing.unshare(one))
    log_sharing.unshare(one)
    assert not is_shared(one.paths.log)
    is_there(one)
    assert [host.state for host in one.state().hosts.values()] == ["joined", "left"]
