"""Folders that an agent may have filled: walk them however deep they are, and find what is mounted in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

_TABLE = "/proc/self/mountinfo"
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def walk(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`, which recurses before Python 3.12: each folder, its folders (links are listed, not followed) and
    its files, from the top down.

    Names removed from the list of folders are skipped; what cannot be listed is left out.
    """
    left = [top]
    while left:
        folder = left.pop()
        folders: list[str] = []
        files: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    (folders if _is_folder(entry) else files).append(entry.name)
        except OSError:
            continue
        yield folder, folders, files
        paths = [os.path.join(folder, name) for name in reversed(folders)]
        left += [path for path in paths if not os.path.islink(path)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def mounted_within(path: str) -> list[str]:
    """The mount points at `path` and below it: whoever removes the folder would empty them too. Empty without /proc."""
    top = os.path.realpath(path)
    return [point for point, _ in _mounts() if point == top or point.startswith(top + "/")]


def file_system(path: str) -> str | None:
    """The kernel's type of the file system that a path is on; None without /proc."""
    path = os.path.realpath(path)
    around = [(len(point), kind) for point, kind in _mounts() if (path + "/").startswith(point.rstrip("/") + "/")]
    longest = max((length for length, _ in around), default=0)
    return next((kind for length, kind in reversed(around) if length == longest), None)


def _mounts() -> Iterator[tuple[str, str]]:
    """Mount point and type of every mount, the topmost last; none without /proc."""
    try:
        with open(_TABLE, "rb") as file:
            table = file.read()
    except OSError:
        return
    for line in table.splitlines():
        fields = line.split(b" ")
        point = _ESCAPED.sub(lambda escaped: bytes([int(escaped[1], 8) & 0xFF]), fields[4])
        yield os.fsdecode(point), os.fsdecode(fields[fields.index(b"-") + 1])


def names(folder: str) -> list[str]:
    """The names in a folder, sorted; none if it is missing or unreadable."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
