"""Run a user's command line in a worktree: set-up and verification.

It is the leader of its own session, carries the mark of the lease (`termination`) and holds its lock, so that whoever
finds its starter dead ends it; whatever it leaves running is ended with it. Its output goes to a file, bounded as an
agent's (`output_cap`), and it reads nothing.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kugetsu.host import run_files
from kugetsu.runtime.process import termination
from kugetsu.runtime.process.output_cap import OutputCap

_SLICE = 0.5
"""Seconds between two looks at the size of the output."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command line ended. ``exit``: negative for a signal; None if it was ended, ``why`` is then ``timed_out`` or
    ``output`` (too much of it, where files cannot have holes)."""

    exit: int | None
    seconds: float
    why: str | None = None


def run(
    line: str,
    *,
    directory: str,
    output: str,
    environment: Mapping[str, str],
    nonce: str,
    seconds: float,
    grace: float,
    most_bytes: int | None,
    held: Sequence[int] = (),
    step: Callable[[], object] | None = None,
) -> Ran:
    """Run a shell's line in a folder, appending what it writes to the file ``output``.

    ``environment`` is complete but for the mark; ``nonce`` is that of the lease, ``held`` its descriptor, if any;
    ``seconds`` the time limit, ``grace`` lies between SIGTERM and SIGKILL; ``step`` is called from time to time
    meanwhile. Everything with that mark, and what this process started, is ended when it returns or raises. Raises
    OSError if it cannot be started.
    """
    began = time.monotonic()
    before = termination.below(os.getpid())
    fd = run_files.open_file(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    process = None
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", line],
            cwd=directory,
            env={**environment, termination.MARK: nonce},
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=fd,
            start_new_session=True,
            pass_fds=held,
            preexec_fn=_fresh_signals,  # runners and commands have one thread
        )
        why = _wait(process, began + seconds, OutputCap((output,), most_bytes) if most_bytes else None, step)
    finally:
        os.close(fd)
        termination.end(nonce, grace, root=os.getpid(), spare=before)
        if process is not None:
            process.wait()
    return Ran(None if why is not None else process.returncode, time.monotonic() - began, why)


def _wait(
    process: subprocess.Popen[bytes], deadline: float, cap: OutputCap | None, step: Callable[[], object] | None
) -> str | None:
    """Wait for its end; why it must be ended instead, None if it ended by itself."""
    poll = select.poll()
    with contextlib.ExitStack() as opened:
        pidfd = None
        with contextlib.suppress(AttributeError, OSError):  # macOS, or a kernel before 5.3
            pidfd = os.pidfd_open(process.pid)
            opened.callback(os.close, pidfd)
            poll.register(pidfd, select.POLLIN)
        while process.poll() is None:
            if time.monotonic() >= deadline:
                return "timed_out"
            if cap is not None and not cap.step():
                return "output"
            if step is not None:
                step()
            pause = max(min(_SLICE if pidfd is not None else _SLICE / 10, deadline - time.monotonic()), 0.0)
            poll.poll(1000 * pause)
    if cap is not None:
        cap.step()
    return None


def _fresh_signals() -> None:
    """The defaults: a runner holds some signals back."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
