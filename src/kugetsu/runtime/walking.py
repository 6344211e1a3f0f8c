"""Folders below a folder, however deep an agent made them: `os.walk` recurses before Python 3.12, a thousand levels."""

from __future__ import annotations

import os
from collections.abc import Iterator


def walk(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`: each folder, its folders (links are listed and not followed) and its files, from the top down.

    Names taken out of the list of folders are not walked into. What cannot be listed is left out.
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
