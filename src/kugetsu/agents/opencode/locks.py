"""Clears the locks that a killed opencode left in its state folder, so that the next start need not wait for them.

opencode takes a lock while it installs its plugin package at each start: a folder ``opencode/locks/<hash>.lock``
with a ``meta.json`` that names pid and host. One whose holder was killed is waited for a minute, by every start
(1.18.33), also when the holder merely ended before npm did. A lock of a process that lives, or of another host, is
left alone. Where nothing is to be installed no lock is taken: see `suppress_install`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import orjson

from kugetsu.host import atomic

_INSTALLED = {"lockfileVersion": 3, "packages": {"": {"dependencies": {"@opencode-ai/plugin": "*"}}}}


def state_directory(environment: Mapping[str, str]) -> Path:
    """Where opencode keeps its locks (XDG_STATE_HOME, else ~/.local/state)."""
    home = environment.get("HOME") or os.path.expanduser("~")
    return Path(environment.get("XDG_STATE_HOME") or f"{home}/.local/state") / "opencode"


def clear_abandoned(environment: Mapping[str, str]) -> list[Path]:
    """Remove the locks of this host whose holder is dead; returns them. What cannot be read or removed is left."""
    cleared: list[Path] = []
    with contextlib.suppress(OSError):
        for lock in sorted((state_directory(environment) / "locks").glob("*.lock")):
            if _is_abandoned(lock):
                # Renamed first: half-removed, it would look like a live lock without a holder.
                aside = lock.with_name(f".{lock.name}.{os.getpid()}")
                lock.rename(aside)
                shutil.rmtree(aside, ignore_errors=True)
                cleared.append(lock)
    return cleared


def suppress_install(folder: Path) -> None:
    """Makes a configuration folder in which opencode finds its plugin package installed: no lock, no npm."""
    (folder / "node_modules").mkdir(parents=True, exist_ok=True)
    listed = folder / "package-lock.json"
    if not listed.exists():
        atomic.write(str(listed), orjson.dumps(_INSTALLED), mode=None)


def _is_abandoned(lock: Path) -> bool:
    try:
        meta = orjson.loads((lock / "meta.json").read_bytes())
        pid, host = meta["pid"], meta["hostname"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return False
    return host == os.uname().nodename and isinstance(pid, int) and pid > 0 and not _lives(pid)


def _lives(pid: int) -> bool:
    """Whether any process has the pid: one that was recycled keeps the lock, which errs on the safe side."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
