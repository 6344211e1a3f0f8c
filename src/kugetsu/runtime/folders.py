"""Folders that an agent may have filled: walk and remove them however deep they are, and find what is mounted there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress

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


def remove(path: str) -> bool:
    """Remove a folder with everything in it, also what is read-only; whether it is gone.

    It stays if something is mounted in it (`mounted_within`).
    """
    if not os.path.lexists(path):
        return True
    if mounted_within(path):
        return False
    with suppress(RecursionError):  # some 1000 folders within each other: rm takes what is left
        shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        _open_up(path)  # a build cache may be read-only
        with suppress(OSError):
            subprocess.run(["/bin/rm", "-rf", "--", path], check=False, capture_output=True, stdin=subprocess.DEVNULL)
    return not os.path.lexists(path)


def _open_up(path: str) -> None:
    """Make read-only folders removable."""
    with suppress(OSError):
        os.chmod(path, 0o700)
    for folder, names, _ in walk(path):
        for name in names:
            below = f"{folder}/{name}"
            if not os.path.islink(below):
                with suppress(OSError):
                    os.chmod(below, 0o700)


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
