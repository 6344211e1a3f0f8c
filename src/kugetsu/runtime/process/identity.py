"""Which process is meant: boot id + pid + start time, and signals that cannot hit another one.

A pid alone names whoever has it now; after a reboot or reuse that is another process. An identity adds the boot id and
the start time (clock ticks since boot, field 22 of ``/proc/<pid>/stat``). Signals go through a pidfd that is opened
first and compared afterwards, so it keeps meaning the compared process. What remains is a reuse of the pid within one
tick (10 ms).

Weaker without Linux: macOS has neither pidfd nor /proc. There the start time comes from ``ps`` in whole seconds, and
the pid could change hands between comparison and signal.

Kept free of imports: ``kugetsu status`` and the lean supervisor load it.
"""

from __future__ import annotations

import errno
import os

from kugetsu.host import proc
from kugetsu.model import lean
from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Identity as Identity
else:
    Identity = dict

HAS_PROC = os.path.exists("/proc/self/stat")

_DEAD = ("Z", "X", "x")
_boot: str | None = None


@record
class Stat:
    """What the kernel reports of a process: pid, parent, state letter, number of threads, start time."""

    pid: int
    parent: int
    state: str
    threads: int
    start: int

    @property
    def dead(self) -> bool:
        """Ended, and only waiting to be reaped. A leader whose threads still run is a zombie too, but not dead."""
        return self.state in _DEAD and self.threads <= 1

    def identity(self) -> Identity:
        """The identity to record, and to signal by."""
        return {"boot": boot_id(), "pid": self.pid, "start": self.start}


def boot_id() -> str:
    """The id of this boot."""
    global _boot
    if _boot is None:
        if HAS_PROC:
            fd = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY)
            try:
                _boot = os.read(fd, 100).decode("ascii").strip()
            finally:
                os.close(fd)
        else:
            _boot = output("sysctl", "-n", "kern.bootsessionuuid").strip()
    return _boot


def stat(pid: int) -> Stat | None:
    """The process that has ``pid`` now; None without one."""
    if not HAS_PROC:
        return table_of_ps(pid).get(pid)
    fields = proc.stat_fields(pid)
    if fields is None:
        return None
    return Stat(pid, int(fields[1]), fields[0].decode("ascii"), int(fields[17]), int(fields[19]))


def of(pid: int) -> Identity | None:
    """The identity of the process that has ``pid`` now (even a zombie); None without one."""
    found = stat(pid)
    return found.identity() if found is not None else None


def own() -> Identity:
    """This process's identity. Raises ProcessLookupError if the system shows no processes (neither /proc nor
    ``ps``)."""
    found = of(os.getpid())
    if found is None:
        raise ProcessLookupError(errno.ESRCH, "the system does not show this process")
    return found


def current(identity: Identity) -> Stat | None:
    """That process, even as a zombie; None if it is gone, whoever has its pid now."""
    if identity["boot"] != boot_id():
        return None
    found = stat(identity["pid"])
    return found if found is not None and found.start == identity["start"] else None


def pids() -> list[int]:
    """The pids of all processes, zombies included; none without /proc (macOS)."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()] if HAS_PROC else []


def alive(identity: Identity) -> bool:
    """Whether that process is running (a zombie is not)."""
    found = current(identity)
    return found is not None and not found.dead


def stopped(identity: Identity) -> bool:
    """Whether that process is stopped by a signal (SIGSTOP) until SIGCONT."""
    found = current(identity)
    return found is not None and found.state == "T"


def open_pidfd(identity: Identity) -> int | None:
    """A pidfd of exactly that process (the caller closes it); None if it has ended or there are no pidfds here.

    It is opened before the comparison, so that it cannot mean another process.
    """
    if identity["boot"] != boot_id() or not hasattr(os, "pidfd_open"):
        return None
    try:
        pidfd = os.pidfd_open(identity["pid"])
    except OSError as problem:
        # EINVAL: no pid or a thread; ENOSYS: a kernel before 5.3; EPERM: refused by a sandbox's filter.
        if problem.errno in (errno.ESRCH, errno.EINVAL, errno.ENOSYS, errno.EPERM):
            return None
        raise
    if not alive(identity):
        os.close(pidfd)
        return None
    return pidfd


def signal(identity: Identity, number: int) -> bool:
    """Send a signal to that process; False if it has ended (or the pid is another's now).

    Raises PermissionError if it belongs to another user.
    """
    if identity["pid"] <= 1:  # init, or (0, -1) a whole group: never meant
        return False
    pidfd = open_pidfd(identity)
    if pidfd is None:
        return not _pidfd_works() and _signal_by_pid(identity, number)
    try:
        lean.signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def _signal_by_pid(identity: Identity, number: int) -> bool:
    """Weaker: the pid could change hands between the comparison and the signal."""
    if not alive(identity):
        return False
    try:
        os.kill(identity["pid"], number)
    except ProcessLookupError:
        return False
    return True


def _pidfd_works() -> bool:
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def table_of_ps(pid: int | None = None) -> dict[int, Stat]:
    """All processes (or one) by ``ps``, for systems without /proc. Start time: epoch seconds."""
    import time

    which = ("-ax",) if pid is None else ("-p", str(pid))
    table = {}
    for line in output("ps", *which, "-o", "pid=,ppid=,stat=,lstart=").splitlines():
        number, parent, state, started = line.split(None, 3)
        start = int(time.mktime(time.strptime(started.strip(), "%a %b %d %H:%M:%S %Y")))
        table[int(number)] = Stat(int(number), int(parent), state[0], 1, start)
    return table


def output(*command: str) -> str:
    """What a system tool prints; empty if it finds nothing. Used only without /proc."""
    import subprocess

    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    return done.stdout
