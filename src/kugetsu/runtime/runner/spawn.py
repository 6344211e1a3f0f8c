"""The parts of a runner around the lean supervisor: how phase A detaches, starts the agent and becomes the supervisor;
how phase C begins.

The order in phase A, in the child that the claimer forked::

    detach(directory, lease, output)     # own session, subreaper, signals held, no terminal, no other lease
    …                                    # worktree, session; os.environ has the attempt's mark before the first child
    pid = spawn_agent(…)
    …                                    # append attempt.running
    become_supervisor(orders, lease)         # exec, does not return

In phase C::

    begin_finalizing()
    ended = parse_ended(arguments)
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from kugetsu.host import run_files
from kugetsu.model.errors import AgentFailed, AgentUnavailable
from kugetsu.model.record import value
from kugetsu.runtime.process import identity, termination
from kugetsu.runtime.process import lease as leases
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.runner import supervisor
from kugetsu.runtime.runner.orders import HELD_SIGNALS, Orders

#: The supervisor's result is some ten short lines.
ENDED_BYTES = 65536


@value
class Ended:
    """How the agent ended. ``exit_code`` and ``signal`` both None: unknown; ``stopped`` None: by itself."""

    exit_code: int | None
    signal: int | None
    stopped: str | None
    ended_at: str
    leftover: int


def detach(directory: str, lease: Lease, output: str) -> bool:
    """Detach a forked child from the command's caller; returns whether it is a subreaper now.

    It becomes the leader of its own session (no controlling terminal, no SIGHUP), reads nothing, writes to the file
    ``output`` (so that readers of the command's output do not wait for it), and keeps no lease in ``directory`` but
    ``lease`` and no other descriptor passed down. Signals stay pending until the supervisor takes them: no stop is
    lost. Descriptors that Python opened are not inheritable, and stay.
    """
    if os.getsid(0) != os.getpid():
        os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _connect(os.devnull, output, output)
    leases.close_inherited(directory, keep=lease.fd)
    _close_passed_down(keep=lease.fd)
    os.environ[termination.MARK] = lease.nonce
    return termination.become_subreaper()


def spawn_agent(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: str,
    files: tuple[str, str, str] | None,
    lease: Lease,
) -> int:
    """Start the agent in ``directory`` as the leader of its own process group, holding the lease; returns its pid.

    ``files`` are paths: stdin is read, stdout and stderr are appended to (never pipes: opencode loses what a pipe does
    not take). None: it gets the terminal of this process, in its group, and ends when this process is killed.
    ``environment`` is complete but for the attempt's mark, which is added. No signal is blocked or ignored.

    Done by hand, because a garbage-collected ``Popen`` is reaped by the next ``Popen``, and the agent's status with it.

    Raises AgentUnavailable if the program cannot be executed; AgentFailed if another try or worktree may work: a file
    cannot be opened, the folder or a program in it is missing.
    """
    read_end, write_end = os.pipe()  # closed by a successful exec, else it carries the error
    pid = os.fork()
    if pid == 0:
        stage = "prepare"
        try:
            if files is not None:
                os.setpgid(0, 0)
                _connect(*files)
            else:
                termination.die_with_parent(signal.SIGHUP)
            os.chdir(directory)
            lease.make_inheritable()
            _fresh_signals()
            stage = "exec"
            os.execvpe(command[0], list(command), {**environment, termination.MARK: lease.nonce})
        except BaseException as problem:  # noqa: BLE001  a forked child must never return into its parent's code
            number = problem.errno if isinstance(problem, OSError) else None
            os.write(write_end, f"{stage} {number or 0} {problem}".encode("utf-8", "replace")[:4000])
        finally:
            os._exit(127)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        told = pipe.read().decode("utf-8", "replace")
    if told:
        os.waitpid(pid, 0)
        raise _not_started(command[0], *told.split(" ", 2))
    return pid


def _not_started(program: str, stage: str, number: str, text: str) -> AgentUnavailable:
    passing = stage != "exec" or int(number) in (errno.EAGAIN, errno.ENOMEM, errno.ETXTBSY)
    in_worktree = "/" in program and not os.path.isabs(program)
    kind = AgentFailed if passing or in_worktree else AgentUnavailable
    return kind(f"cannot start {program}: {text}", "check KUGETSU_AGENT and that it is installed")


def supervisor_command(orders: Orders) -> list[str]:
    """The command line of phase B: isolated, without site-packages."""
    return [sys.executable, "-I", "-S", supervisor.__file__, *orders.arguments()]


def become_supervisor(orders: Orders, lease: Lease) -> NoReturn:
    """Replace this process by phase B, which keeps the lease. Raises OSError if it cannot be executed."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
    lease.make_inheritable()
    orders.lease_fd = lease.fd
    command = supervisor_command(orders)
    os.execve(command[0], command, {**os.environ, termination.MARK: lease.nonce})


def begin_finalizing() -> None:
    """Let phase C run undisturbed: SIGTERM, SIGINT and SIGHUP do nothing here, and are default in its children."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)


def parse_ended(arguments: Sequence[str]) -> Ended:
    """What the supervisor appended to phase C's command. Raises ValueError or KeyError if incomplete."""
    values = dict(zip(arguments[::2], arguments[1::2], strict=True))
    code = values.get("--exit", "unknown")
    return Ended(
        exit_code=None if code == "unknown" else int(code),
        signal=int(values["--signal"]) if "--signal" in values else None,
        stopped=None if values["--stopped"] == "none" else values["--stopped"],
        ended_at=values["--ended-at"],
        leftover=int(values["--leftover"]),
    )


def read_ended(path: str) -> Ended | None:
    """The supervisor's result from its file, for a runner that died before it concluded; None without one.

    Raises OSError if it exists and cannot be read: that may pass.
    """
    try:
        return parse_ended(run_files.read(path, ENDED_BYTES).decode("utf-8").splitlines())
    except (FileNotFoundError, NotADirectoryError, run_files.NotRegularFileError, ValueError, KeyError):
        return None


def _fresh_signals() -> None:
    # All of them: Python itself ignores SIGPIPE and SIGXFSZ, and nohup or a cron job may have ignored others.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _close_passed_down(keep: int) -> None:
    """Close the inheritable descriptors after stderr, such as a pipe of the caller's whose reader waits for its end."""
    for entry in os.listdir("/proc/self/fd" if identity.HAS_PROC else "/dev/fd"):
        fd = int(entry)
        if fd <= 2 or fd == keep:
            continue
        try:
            if os.get_inheritable(fd):
                os.close(fd)
        except OSError:  # the listing's own descriptor, closed by now
            continue


def _connect(stdin: str, stdout: str, stderr: str) -> None:
    """Make the three files the standard streams of this process and its children."""
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, (path, flags) in enumerate(((stdin, os.O_RDONLY), (stdout, append), (stderr, append))):
        fd = os.open(path, flags | os.O_CLOEXEC) if path == os.devnull else run_files.open_file(path, flags)
        if fd != number:
            os.dup2(fd, number)
            os.close(fd)
        else:
            os.set_inheritable(fd, True)


def _nothing(number: int, frame: object) -> None:
    """A handler, unlike SIG_IGN, is not inherited by an exec."""
