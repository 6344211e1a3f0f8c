"""Reads an agent's output, whose middle may have been dropped (MAX_OUTPUT_MB): what is asked for, never the hole.

A dropped middle is a hole in the file: its size stays, so that the agent can go on appending.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from kugetsu.host import run_files

CHUNK = 1 << 20
MOST = 16 << 20
"""Bytes of one line: a longer one is given in pieces."""


def left_out(path: str) -> int:
    """Bytes of the file that were dropped; 0 for one that cannot be read."""
    try:
        fd = run_files.open_file(path)
    except OSError:
        return 0
    try:
        known = list(_stretches(fd, 0))
        return os.fstat(fd).st_size - sum(end - begin for begin, end in known) if known else 0
    finally:
        os.close(fd)


def lines(path: str, start: int = 0) -> Iterator[bytes | int]:
    """The lines of a file from ``start`` on, without their ends; a number for so many bytes that were dropped there.

    The two lines that a gap cuts through are left out. The last line may have no end yet. Raises OSError for a file
    that is missing or not regular.
    """
    fd = run_files.open_file(path)
    try:
        at, size = start, os.fstat(fd).st_size
        for begin, end in _stretches(fd, start):
            if begin > at:
                yield begin - at
            yield from _lines_between(fd, begin, end, torn=begin > at, cut=end < size)
            at = end
    finally:
        os.close(fd)


def _lines_between(fd: int, begin: int, end: int, *, torn: bool, cut: bool) -> Iterator[bytes]:
    rest = b""
    while begin < end and (data := os.pread(fd, min(CHUNK, end - begin), begin)):
        begin += len(data)
        *complete, rest = (rest + data).split(b"\n")
        if torn and complete:
            del complete[0]
            torn = False
        yield from complete
        if len(rest) > MOST and not torn:
            yield rest
            rest = b""
    if rest and not torn and not cut:
        yield rest


def tail(path: str, limit: int, *, ended: bool = False) -> tuple[list[bytes], int, int]:
    """The lines in the last ``limit`` bytes, how many bytes come before them, and where the file ends.

    The first line is left out when it begins earlier, unless the file has no line end in these bytes. With ``ended``,
    a last line that is still being written comes after the end. Raises OSError for a file that is missing or not
    regular.
    """
    fd = run_files.open_file(path)
    try:
        begin = end = 0
        for begin, end in _stretches(fd, max(0, os.fstat(fd).st_size - limit)):  # noqa: B007  the last one counts
            continue
        data = os.pread(fd, end - begin, begin)
    finally:
        os.close(fd)
    if begin and (at := data.find(b"\n")) >= 0:
        begin, data = begin + at + 1, data[at + 1 :]
    *found, last = data.split(b"\n")
    if last and ended:
        return found, begin, begin + len(data) - len(last)
    return [*found, last] if last else found, begin, begin + len(data)


def _stretches(fd: int, start: int) -> Iterator[tuple[int, int]]:
    """(beginning, end) of each stretch of a file that holds data, from ``start`` on."""
    size = os.fstat(fd).st_size
    if not hasattr(os, "SEEK_DATA"):
        if start < size:
            yield start, size
        return
    while start < size:
        try:
            begin = os.lseek(fd, start, os.SEEK_DATA)
        except OSError:  # only a hole is left
            return
        start = os.lseek(fd, begin, os.SEEK_HOLE)
        yield begin, start
