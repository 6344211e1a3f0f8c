"""Run a program for a bounded time, with a text as its input; nothing of its process group is left afterwards."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Seconds between asking a program that took too long to end, and killing it.
GRACE_SECONDS = 1.0
#: Bytes of what it printed last that are kept.
_KEPT = 4096
_LOOK_SECONDS = 0.05


class Ran:
    """How it ended: ``code`` is its exit status (negative: the signal), None when it took too long; ``said`` is what
    it printed last."""

    __slots__ = ("code", "said")

    def __init__(self, code: int | None, said: str) -> None:
        self.code = code
        self.said = said


def run(argv: Sequence[str], *, environment: Mapping[str, str], input: str, seconds: float) -> Ran:
    """Run ``argv`` in the root folder. Raises OSError when it cannot be started."""
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=dict(environment),
        start_new_session=True,
        bufsize=0,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        talk = _Talk(process.stdin.fileno(), process.stdout.fileno(), input.encode("utf-8", "replace"))
        in_time = _attend(process, talk, seconds)
        if not in_time:
            _signal_group(process.pid, signal.SIGTERM)
            _attend(process, talk, GRACE_SECONDS)
    finally:
        # The leader is not reaped yet: its number, which is the group's, cannot be another's.
        _signal_group(process.pid, signal.SIGKILL)
        code = process.wait()
        process.stdin.close()
        process.stdout.close()
    return Ran(code if in_time else None, talk.said.decode("utf-8", "replace"))


def _attend(process: subprocess.Popen[bytes], talk: _Talk, seconds: float) -> bool:
    """Serve its pipes until it has ended; False when it does not within ``seconds``."""
    give_up = time.monotonic() + seconds
    while not _has_ended(process):
        left = give_up - time.monotonic()
        if left <= 0:
            return False
        talk.serve(min(left, _LOOK_SECONDS))
    talk.serve(0.0)
    return True


class _Talk:
    """Its input and what it prints; neither is waited for."""

    def __init__(self, into: int, out: int, text: bytes) -> None:
        self._into: int | None = into
        self._out: int | None = out
        self._rest = text
        self.said = b""
        os.set_blocking(into, False)
        os.set_blocking(out, False)

    def serve(self, seconds: float) -> None:
        poll = select.poll()
        if self._into is not None:
            poll.register(self._into, select.POLLOUT)
        if self._out is not None:
            poll.register(self._out, select.POLLIN)
        ready = dict(poll.poll(seconds * 1000))
        if self._into is None and self._out is None:
            time.sleep(seconds)
        if self._into in ready:
            self._write(self._into)
        if self._out in ready:
            self._read(self._out)

    def _write(self, into: int) -> None:
        try:
            self._rest = self._rest[os.write(into, self._rest[:65536]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # it does not want to know
            self._rest = b""
        if not self._rest:
            # The end of its input; the number stays taken, so that closing it again later closes nothing else.
            nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nothing, into, inheritable=False)
            os.close(nothing)
            self._into = None

    def _read(self, out: int) -> None:
        try:
            part = os.read(out, 65536)
        except BlockingIOError:
            return
        self.said = (self.said + part)[-_KEPT:]
        if not part:
            self._out = None


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    if hasattr(os, "waitid"):
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is not None
    return process.poll() is not None  # macOS before Python 3.13: reaped at once


def _signal_group(leader: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # all ended; or (macOS) only zombies are left in it
        os.killpg(leader, number)
