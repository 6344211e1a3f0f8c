"""What opencode leaves on the disk and nobody needs any more: libraries that it unpacked, snapshots of worktrees."""

from __future__ import annotations

import mmap
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

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
