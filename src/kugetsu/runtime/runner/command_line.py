"""Run a command line of the settings (VERIFY_COMMAND, WORKTREE_SETUP) to its end, and leave none of its processes.

It is a session of its own with the mark of a lease, and holds the lease: whoever settles a dead runner finds what it
started. It reads nothing; its output goes to a file, of which the middle is dropped when it is too large.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping

from kugetsu.host import run_files
from kugetsu.model.errors import KugetsuError
from kugetsu.model.record import value
from kugetsu.runtime.process import termination
from kugetsu.runtime.process import tree as trees
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.process.output_cap import OutputCap

SHELL = "/bin/sh"
STEP_SECONDS = 1.0
"""Between two looks at its output."""


@value
class Ran:
    """How it ended: its exit code (negative: the signal), None if it was ended at its time limit or, with ``too_much``,
    because its output could not be bounded."""

    code: int | None
    seconds: float
    too_much: bool = False


@value
class Limits:
    """``seconds`` until it is ended, ``grace`` of them between SIGTERM and SIGKILL, ``output`` bytes that are kept."""

    seconds: float
    grace: float
    output: int


def run(
    line: str,
    directory: str,
    environment: Mapping[str, str],
    *,
    output: str,
    lease: Lease,
    limits: Limits,
    tree_file: str | None = None,
    step: Callable[[], object] | None = None,
) -> Ran:
    """Run the line with the shell; what it wrote is in ``output``, behind what was there.

    ``tree_file``: this process is a runner, which adopts orphans (`process.tree`). ``step`` is called from time to time
    while it runs. Whatever is raised meanwhile, its processes are ended. Raises KugetsuError if it cannot be started.
    """
    process = _start(line, directory, environment, output, lease)
    cap = OutputCap((output,), limits.output) if limits.output else None
    tree = trees.Tree(tree_file, lease.nonce) if tree_file is not None else None
    began = time.monotonic()
    ended, bounded = False, True
    try:
        while not ended and time.monotonic() < began + limits.seconds:
            ended = _ended(process, min(STEP_SECONDS, began + limits.seconds - time.monotonic()))
            bounded = cap is None or cap.step()
            if not bounded:
                break
            if tree is not None:
                tree.step(time.monotonic())
            if step is not None:
                step()
    finally:
        seconds = time.monotonic() - began
        root = os.getpid() if tree is not None else process.pid
        termination.end(lease.nonce, limits.grace, root=root, wait=lambda pause: _reap(process, pause))
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel
            process.wait(termination.KILL_SECONDS)
        if step is not None:
            step()
    return Ran(process.returncode if ended else None, seconds, too_much=not (ended or bounded))


def _start(
    line: str, directory: str, environment: Mapping[str, str], output: str, lease: Lease
) -> subprocess.Popen[bytes]:
    try:
        fd = run_files.open_file(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            return subprocess.Popen(
                [SHELL, "-c", line],
                cwd=directory,
                env={**environment, termination.MARK: lease.nonce},
                stdin=subprocess.DEVNULL,
                stdout=fd,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lease.fd,),
            )
        finally:
            os.close(fd)
    except OSError as problem:
        text = f"cannot start {SHELL} in {directory}: {problem.strerror or problem}"
        raise KugetsuError(text, "check the disk and the machine's limits: kugetsu doctor") from problem


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for it for so long; whether it has ended."""
    try:
        fd = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # macOS, or a kernel before 5.3
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return process.poll() is not None
    try:
        select.select([fd], [], [], max(seconds, 0.0))
    finally:
        os.close(fd)
    return process.poll() is not None


def _reap(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Pass the time between two scans for its processes."""
    process.poll()
    time.sleep(seconds)
