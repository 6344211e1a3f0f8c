"""Run a short program to its end: it is waited for, not its pipes.

A program may leave a process that keeps its output open: ssh with ControlPersist, a hook's background process. `run`
sends output to files in memory and takes what is in them when the program ends; what it left continues. `run_contained`
keeps a bounded tail of the output and ends what was left.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_GRACE = 2.0
"""Seconds between SIGTERM, at which git removes its lock files, and SIGKILL."""
_TAIL = 4096
_SLICE = 0.05
"""Seconds between two checks of a process where there is no pidfd."""


@dataclass(frozen=True, slots=True)
class Result:
    """Exit code (negative: the signal), output and error output."""

    code: int
    out: bytes
    err: bytes


def run(
    argv: Sequence[str],
    *,
    cwd: str | None,
    env: Mapping[str, str],
    timeout: float,
    stdin: bytes | None = None,
) -> Result:
    """Run a program in its own session.

    Raises OSError if it cannot be started, TimeoutError after `timeout` seconds: then its session is ended.
    """
    with _scratch() as out, _scratch() as err, _scratch(stdin or b"") as given:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL if stdin is None else given,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            if not _ended(process, timeout):
                raise TimeoutError
        except BaseException:
            _end(process)
            raise
        return Result(process.wait(), _content(out), _content(err))


def run_contained(
    argv: Sequence[str], *, env: Mapping[str, str], timeout: float, stdin: bytes = b""
) -> tuple[int | None, str]:
    """Run a program in the root folder, and end whatever it leaves in its session.

    Returns the exit code (None: it exceeded ``timeout`` seconds and was ended) and the end of its output. Raises
    OSError if it cannot be started.
    """
    with _scratch(stdin) as given:
        process = subprocess.Popen(
            argv,
            cwd="/",
            env=env,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            bufsize=0,
        )
    assert process.stdout is not None
    with process.stdout as output:
        tail = _Tail(output.fileno())
        in_time = False
        try:
            in_time = _ended(process, timeout, tail)
        finally:
            code = _end(process, tail)
    return (code if in_time else None), tail.content.decode("utf-8", "replace")


@contextlib.contextmanager
def _scratch(content: bytes = b"") -> Iterator[int]:
    """An unnamed file with this content, at its beginning."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("kugetsu")
    else:  # macOS
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def _content(fd: int) -> bytes:
    """The file's content; its position, which a leftover process may share, is unchanged."""
    parts, at = [], 0
    size = os.fstat(fd).st_size
    while at < size:
        part = os.pread(fd, min(size - at, 1 << 24), at)
        if not part:
            break
        parts.append(part)
        at += len(part)
    return b"".join(parts)


class _Tail:
    """The last bytes of a pipe, read without blocking."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.content = b""
        os.set_blocking(fd, False)

    def read(self) -> bool:
        """Read once; False if nothing is there."""
        try:
            part = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return False
        self.content = (self.content + part)[-_TAIL:]
        return bool(part)


def _ended(process: subprocess.Popen[bytes], seconds: float, tail: _Tail | None = None) -> bool:
    """Wait for a process while reading its output; False if it takes longer.

    With a pidfd it stays unreaped: its pid is the group's and cannot be reused yet.
    """
    end = time.monotonic() + seconds
    poll = select.poll()
    pidfd = None
    with contextlib.suppress(AttributeError, OSError):  # macOS, or a kernel before 5.3
        pidfd = os.pidfd_open(process.pid)
        poll.register(pidfd, select.POLLIN)
    try:
        if tail is not None:
            poll.register(tail.fd, select.POLLIN)
        while True:
            left = max(0.0, end - time.monotonic())
            ready = dict(poll.poll(1000 * (min(left, _SLICE) if pidfd is None else left)))
            if pidfd in ready if pidfd is not None else process.poll() is not None:
                for _ in range(16):  # a pipe's largest content; what was left behind may print without end
                    if tail is None or not tail.read():
                        break
                return True
            if tail is not None and tail.fd in ready and not tail.read():
                poll.unregister(tail.fd)
            if not left:
                return False
    finally:
        if pidfd is not None:
            os.close(pidfd)


def _end(process: subprocess.Popen[bytes], tail: _Tail | None = None) -> int:
    """End a program's session: the program and what it started (ssh, hooks). Returns its exit code."""
    _signal_group(process.pid, signal.SIGTERM)
    _ended(process, _GRACE, tail)
    _signal_group(process.pid, signal.SIGKILL)
    return process.wait()


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all ended; or (macOS) only zombies are left in it
        os.killpg(leader, number)
