"""What opencode leaves on the disk and nobody needs any more: locks, unpacked libraries, snapshots of worktrees.

opencode takes a lock while it installs its plugin package at each start: a folder ``opencode/locks/<hash>.lock``
with a ``meta.json`` that names pid and host. One whose holder was killed is waited for a minute, by every start
(1.18.33), also when the holder merely ended before npm did. A lock of a process that lives, or of another host, is
left alone. Where nothing is to be installed no lock is taken: see `suppress_install`.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import orjson

from kugetsu.host import atomic

_LIBRARY = re.compile(r"\.[0-9a-f]{16}-[0-9a-f]{8}\.so")
_SYMBOL = b"fff_create_instance"
"""A function of the library for finding files, of which each start unpacks a copy of 5.6 MB (1.18.33)."""
_YOUNG_SECONDS = 60.0
"""A library is mapped right after it was written."""


def libraries(folder: str) -> list[str]:
    """opencode's unpacked libraries in a temporary folder that this user owns and no process uses."""
    old = time.time() - _YOUNG_SECONDS
    found = []
    sizes: dict[int, bool] = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not _LIBRARY.fullmatch(entry.name):
                continue
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if not entry.is_file(follow_symlinks=False) or status.st_uid != os.geteuid() or status.st_mtime > old:
                    continue
                if status.st_size not in sizes:  # copies of one library: one of each size is looked into
                    sizes[status.st_size] = _has_symbol(entry.path)
                if sizes[status.st_size]:
                    found.append(entry.path)
    used = _mapped() if found else ""
    return sorted(path for path in found if path not in used)


def _has_symbol(path: str) -> bool:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_SYMBOL) >= 0


def _mapped() -> str:
    """The libraries that processes have mapped, as the kernel lists them."""
    texts = []
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # it ended, or is another user's
            texts.append("\n".join(line for line in maps.read_text(errors="replace").splitlines() if ".so" in line))
    return "\n".join(texts)


def snapshots(data: Path) -> Iterator[tuple[str, str]]:
    """opencode's snapshot folders, each with the worktree of which it holds snapshots."""
    for config in sorted((data / "snapshot").glob("*/*/config")):
        with suppress(OSError):
            found = re.search(r"^\s*worktree = (.+)$", config.read_text(errors="replace"), re.M)
            if found is not None:
                yield str(config.parent), found[1]


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
