"""Clears the locks that a killed opencode left in its state folder, so that the next start need not wait for them.

opencode takes a lock while it installs its plugin package at each start: a folder ``opencode/locks/<hash>.lock``
with a ``meta.json`` that names pid and host. One whose holder was killed is waited for a minute, by every start
(1.18.33). A lock of a process that lives, or of another host, is left alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import orjson


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
                shutil.rmtree(lock, ignore_errors=True)
                cleared.append(lock)
    return cleared


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
