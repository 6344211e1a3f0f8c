"""What Linux tells of processes and memory in /proc; without it (macOS) nothing is known.

Imports nothing: the lean supervisor and `kugetsu status` load it.
"""

from __future__ import annotations

import errno
import os

_OUT_OF_MEANS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""This process could not look. Taken for "nothing there", it would call a living process dead."""


def stat_fields(pid: int) -> list[bytes] | None:
    """The fields of a process's `stat` behind its name, from the state on; None if it is gone or hidden."""
    line = _read(f"/proc/{pid}/stat")
    # The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
    return line[line.rindex(b")") + 2 :].split() if line else None


def environ(pid: int) -> bytes:
    """The environment that a process was started with, each variable between two NULs; b"" if it may not be read."""
    content = _read(f"/proc/{pid}/environ")
    return b"\0" + content if content else b""


def open_files(pid: int) -> list[tuple[str, str]]:
    """The descriptors of a process, each with what it names as of now: a file that was moved by its new path, one that
    was deleted with " (deleted)" behind it; [] if it has ended or may not be looked at, and without /proc."""
    found = []
    try:
        for entry in os.listdir(f"/proc/{pid}/fd"):
            try:
                found.append((entry, os.readlink(f"/proc/{pid}/fd/{entry}")))
            except FileNotFoundError:
                continue  # closed meanwhile
    except OSError as problem:
        if problem.errno in _OUT_OF_MEANS:
            raise
        return []
    return found


def command_line(pid: int) -> list[bytes]:
    """The words of a process's command; [b""] if it may not be read."""
    return _read(f"/proc/{pid}/cmdline").split(b"\0")


def memory_mb(name: str) -> int | None:
    """A value of `meminfo` in MB, for example MemAvailable: what new processes can have without swapping."""
    for line in _read("/proc/meminfo").decode("ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) // 1024
    return None


def _read(path: str) -> bytes:
    """A file's content; b"" if it is not there, may not be read, or its process ended between open and read.

    Raises OSError when there are no descriptors or no memory left to look with.
    """
    parts = []
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while part := os.read(fd, 65536):
                parts.append(part)
        finally:
            os.close(fd)
    except OSError as problem:
        if problem.errno in _OUT_OF_MEANS:
            raise
        return b""
    return b"".join(parts)
