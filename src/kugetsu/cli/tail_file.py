"""Reading a growing file: its last lines, and what comes after them."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterable, Iterator

from kugetsu.host import run_files
from kugetsu.model.errors import KugetsuError
from kugetsu.views.screen import Screen
from kugetsu.views.text import block

#: Seconds between two looks at a file that does not grow.
PAUSE = 0.2
_BLOCK = 1 << 16
_MOST = 1 << 20
"""Bytes that are read for the last lines: a file need not have a line end at all."""


def last_lines(path: str, count: int) -> list[bytes] | None:
    """The last ``count`` lines of a file; None when there is no such file. Reads from its end.

    Raises KugetsuError when it cannot be read.
    """
    try:
        fd = run_files.open_file(path)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise unreadable(path, problem) from problem
    try:
        at = os.fstat(fd).st_size
        data = b""
        while at > 0 and data.count(b"\n") <= count and len(data) < _MOST:
            start = max(0, at - _BLOCK)
            data = os.pread(fd, at - start, start) + data
            at = start
    finally:
        os.close(fd)
    lines = data.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return lines[-count:] if count else []


def follow(path: str, offset: int | None = None) -> Iterator[list[bytes] | None]:
    """Whole lines as they are written from ``offset`` (None: the present end) on; None when nothing came for a while.

    A file that is not there yet is waited for; one that was replaced or cut is read from its start. Raises KugetsuError
    when it cannot be read, BrokenPipeError when nobody reads what is printed.
    """
    rest = b""
    at = offset if offset is not None else size(path)
    inode = _inode(path)
    while True:
        data = _read(path, at)
        if data:
            at += len(data)
            *lines, rest = (rest + data).split(b"\n")
            if lines:
                yield lines
            continue
        now = _inode(path)
        if now != inode or size(path) < at:
            inode, at, rest = now, 0, b""
        require_reader()
        yield None
        time.sleep(PAUSE)


def require_reader() -> None:
    """Raise BrokenPipeError if nobody reads standard output any more.

    What waits for news would find out at its next write only: a command that another host asked for over ssh would wait
    on for a reader that is long gone.
    """
    poll = select.poll()
    poll.register(1, 0)
    if any(flags & (select.POLLERR | select.POLLHUP) for _, flags in poll.poll(0)):
        raise BrokenPipeError


def unreadable(path: str, problem: OSError) -> KugetsuError:
    """The error for a file that cannot be read."""
    return KugetsuError(f"{path} cannot be read: {problem.strerror or problem}", f"check it: ls -ld {path}")


def _read(path: str, at: int) -> bytes:
    try:
        fd = run_files.open_file(path)
    except FileNotFoundError:
        return b""
    except OSError as problem:
        raise unreadable(path, problem) from problem
    try:
        return os.pread(fd, _BLOCK, at)
    finally:
        os.close(fd)


def size(path: str) -> int:
    """The size of a file; 0 when it cannot be read."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def print_lines(lines: Iterable[bytes], screen: Screen | None = None) -> None:
    """Print lines of a file, made harmless for the terminal, and flush; folded where ``screen`` is small."""
    for raw in lines:
        shown = block(raw.decode("utf-8", "replace"))
        for line in shown if screen is None or not screen.small else screen.folded(shown):
            print(line)

    sys.stdout.flush()
