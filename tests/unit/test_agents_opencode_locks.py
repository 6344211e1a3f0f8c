"""Locks that a killed opencode left behind are cleared; those of the living are not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import orjson

from kugetsu.agents.opencode.leftovers import clear_abandoned


def lock(state: Path, name: str, pid: int, host: str) -> Path:
    folder = state / "opencode" / "locks" / f"{name}.lock"
    folder.mkdir(parents=True)
    (folder / "heartbeat").touch()
    (folder / "meta.json").write_bytes(orjson.dumps({"token": "t", "pid": pid, "hostname": host}))
    return folder


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_only_a_dead_holder_of_this_host_loses_its_lock(tmp_path: Path) -> None:
    here, gone = os.uname().nodename, dead_pid()
    abandoned = lock(tmp_path, "abandoned", gone, here)
    held = lock(tmp_path, "held", os.getpid(), here)
    elsewhere = lock(tmp_path, "elsewhere", gone, "another-host")
    unreadable = lock(tmp_path, "unreadable", gone, here)
    (unreadable / "meta.json").write_text("{")
    assert clear_abandoned({"XDG_STATE_HOME": str(tmp_path)}) == [abandoned]
    assert not abandoned.exists()
    assert held.is_dir() and elsewhere.is_dir() and unreadable.is_dir()


def test_no_state_folder_is_no_lock(tmp_path: Path) -> None:
    assert clear_abandoned({"HOME": str(tmp_path)}) == []
