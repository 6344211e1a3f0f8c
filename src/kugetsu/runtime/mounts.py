"""Other file systems and folders that are mounted within a folder: whoever removes the folder would empty them as well.

An agent or its tools may mount something where they work: a bind mount of a container, a disk image, a cloud drive
(FUSE). `shutil.rmtree` and git go through a mount like through any folder.
"""

from __future__ import annotations

import os
import re

_TABLE = "/proc/self/mountinfo"
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def within(path: str) -> list[str]:
    """The mount points at `path` and below it; empty also where the system lists none (no /proc)."""
    try:
        with open(_TABLE, "rb") as file:
            table = file.read()
    except OSError:
        return []
    top = os.fsencode(os.path.realpath(path))
    points = [_ESCAPED.sub(_byte, line.split(b" ")[4]) for line in table.splitlines()]
    return [os.fsdecode(point) for point in points if point == top or point.startswith(top + b"/")]


def _byte(escaped: re.Match[bytes]) -> bytes:
    return bytes([int(escaped[1], 8) & 0xFF])
