"""Run a short program to its end: it is waited for, not its pipes.

A program may leave a process behind that keeps its output open: ssh with ControlPersist, a hook's background process.
Whoever reads a pipe to its end waits for that one too. Here output goes to files in memory, and what is in them when
the program ends is its output; what it left goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from subprocess import Popen

_GRACE = 2.0
"""Seconds between SIGTERM, at which git removes its lock files, and SIGKILL."""


class Result:
    """Exit code (negative: the signal), output and error output."""

    __slots__ = ("code", "err", "out")

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code = code
        self.out = out
        self.err = err


def run(
    argv: Sequence[str],
    *,
    cwd: str | None,
    env: Mapping[str, str],
    timeout: float,
    stdin: bytes | None = None,
) -> Result:
    """Run a program in a session of its own.

    Raises OSError when it cannot be started, TimeoutError after `timeout` seconds: then it is ended, with all that it
    started in its session.
    """
    import subprocess

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


@contextlib.contextmanager
def _scratch(content: bytes = b"") -> Iterator[int]:
    """A file without a name, holding `content`, at its beginning."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("kugetsu")
    else:  # macOS
        import tempfile

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
    """What a file holds now; its position, which a process that is left may share, stays."""
    parts, at = [], 0
    size = os.fstat(fd).st_size
    while at < size:
        part = os.pread(fd, min(size - at, 1 << 24), at)
        if not part:
            break
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def _ended(process: Popen[bytes], seconds: float) -> bool:
    """Wait for the end of a process, which stays unreaped: its number is the group's and cannot be another's yet."""
    import select
    import subprocess

    try:
        pidfd = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # macOS, or a kernel before 5.3
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return True
        return False
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(pidfd)


def _end(process: Popen[bytes]) -> None:
    """End a program and what it started (ssh, hooks): its session holds nothing else."""
    _signal_group(process.pid, signal.SIGTERM)
    _ended(process, _GRACE)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all ended; or (macOS) only zombies are left in it
        os.killpg(leader, number)
