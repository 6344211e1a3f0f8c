"""The two ends of a daemon's life: it is there whole or not at all, and is called stopped when it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from kugetsu.runtime import daemon_control
from kugetsu.runtime.process import identity, lease
from runtime.stage import Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

#: Python's own start-up file: the daemon, once it has done all, stays until the test lets it go.
LINGERS = """
import atexit, os, sys, time
def linger():
    if sys.orig_argv[-1] == "kugetsu.runtime.daemon":
        open(os.environ["STAGE"] + "/leaving", "w").close()
        while not os.path.exists(os.environ["STAGE"] + "/leave"):
            time.sleep(0.02)
atexit.register(linger)
"""


def test_a_daemon_whose_starter_was_killed_stands_all_the_same(stage: Stage) -> None:
    """`queue-daemon start` reads one line; killed before, it leaves a pipe that nobody reads."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    errors = stage.folder / "errors"
    with errors.open("wb") as file:
        daemon = subprocess.Popen(
            [sys.executable, "-P", "-m", "kugetsu.runtime.daemon"],
            stdin=subprocess.DEVNULL,
            stdout=write_end,
            stderr=file,
            start_new_session=True,
        )
    os.close(write_end)
    try:
        stage.wait("daemon.started")
        task = stage.enqueue(1)
        assert stage.finished(task) == "completed"
        assert daemon.poll() is None and errors.read_text() == ""
        assert daemon_control.status(stage.ws).running
        daemon_control.stop(stage.ws, drain=False)
        assert daemon.wait(30) == 0
        assert errors.read_text() == ""
    finally:
        daemon.kill()
        daemon.wait()


def test_stop_says_stopped_only_when_the_process_and_its_lease_are_gone(stage: Stage) -> None:
    stage.at_start_up(LINGERS)
    stage.start_daemon()
    who, nonce = stage.state.daemon.identity, stage.state.daemon.lease
    assert who is not None and nonce is not None
    stopping = threading.Thread(target=daemon_control.stop, args=(stage.ws,), kwargs={"drain": False})
    stopping.start()
    stage.file("leaving")
    assert stage.events("daemon.stopped")
    stopping.join(1.0)
    assert stopping.is_alive(), "it said stopped while the process was there"
    (stage.folder / "leave").touch()
    stopping.join(30.0)
    assert not stopping.is_alive()
    assert not identity.alive(who) and not lease.alive(stage.ws.paths.leases, nonce)
