"""A lease: a file that somebody holds locked for as long as an attempt (or the daemon) lives.

The lock is ``flock``: it belongs to the open file description, not to a process. A fork shares it, an exec keeps it
(when the descriptor is inheritable), and the kernel frees it when the last copy of the descriptor is closed, however
its holder ended. So "does anybody hold it" is the operating system's answer to "does the attempt live", and
neither a recycled pid nor a file that was left behind can fake it.

The creator locks a file that nobody knows yet and gives it its name afterwards: a file with a lease's name is never
seen unlocked while its creator lives. Probes take a *shared* lock for an instant, on a descriptor of their own: any
number of them at once do not see each other, and the creator, who never locks again, cannot be disturbed.

A network file system turns flock into byte-range locks, which belong to a process and do not survive this use.
"""

from __future__ import annotations

import errno
import os

from kugetsu.host import run_files
from kugetsu.model.errors import Conflict

_NEW = ".new"
_OPEN = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC


class Lease:
    """A held lease. Forked children hold it as well; dropping the object does not free it, closing ``fd`` does."""

    __slots__ = ("directory", "fd", "nonce")

    def __init__(self, directory: str, nonce: str, fd: int) -> None:
        self.directory = directory
        self.nonce = nonce
        self.fd = fd

    @classmethod
    def create(cls, directory: str, nonce: str | None = None) -> Lease:
        """A new lease, held by this process, in ``directory`` (``KUGETSU_DIR/leases``; made, mode 0700, when missing).

        ``nonce`` is its name; without one, 128 random bits are taken. The descriptor is not inheritable by an exec
        until :meth:`make_inheritable`; a fork shares it at once.

        Raises Conflict when a lease of that name exists, OSError when the file cannot be made.
        """
        # Whoever claims has portalocker loaded already, for the log; whoever only probes must not pay for it (33 ms).
        import portalocker

        nonce = nonce if nonce is not None else os.urandom(16).hex()
        path = _path(directory, nonce)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        # The pid keeps two creators of one name apart; the second one is refused below.
        unnamed = f"{path}.{os.getpid()}{_NEW}"
        fd = os.open(unnamed, _OPEN, 0o600)
        try:
            portalocker.lock(fd, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
            if os.path.lexists(path):
                raise Conflict(f"a lease named {nonce} exists already")
            os.rename(unnamed, path)
        except BaseException:
            os.close(fd)
            os.unlink(unnamed)
            raise
        return cls(directory, nonce, fd)

    @classmethod
    def adopt(cls, directory: str, nonce: str, fd: int) -> Lease:
        """The lease that this process inherited as descriptor ``fd`` across an exec; from here on no exec passes it on.

        Raises Conflict when the descriptor is not that lease's.
        """
        path = _path(directory, nonce)
        try:
            held, named = os.fstat(fd), os.stat(path)
        except OSError as problem:
            raise Conflict(f"descriptor {fd} or the lease {nonce} is gone: {problem.strerror}") from problem
        if (held.st_dev, held.st_ino) != (named.st_dev, named.st_ino):
            raise Conflict(f"descriptor {fd} is not the lease {nonce}")
        os.set_inheritable(fd, False)
        return cls(directory, nonce, fd)

    def make_inheritable(self) -> None:
        """Let every exec from here on keep the descriptor: the agent, and this process's next phase."""
        os.set_inheritable(self.fd, True)

    def close(self) -> None:
        """Close this process's copy only: forked and spawned holders keep the lease alive, the file stays."""
        os.close(self.fd)

    def release(self) -> None:
        """Drop the lease, never used or over: its file goes, this copy of the descriptor is closed."""
        _unlink(_path(self.directory, self.nonce))
        os.close(self.fd)


def alive(directory: str, nonce: str) -> bool:
    """Whether anybody holds the lease. A missing file, or what is no regular file, is not alive. 7 microseconds.

    The lock is taken with ``fcntl`` and not with portalocker, because every ``kugetsu status`` probes each running
    attempt and must not pay that import (33 ms); both are the same system call. The descriptor is
    close-on-exec. A fork at that very moment may copy it, but what it copies is a shared lock, which no probe minds.

    Raises OSError when the file is there but cannot be opened: then nobody can tell.
    """
    import fcntl

    try:
        fd = run_files.open_file(_path(directory, nonce))
    except (FileNotFoundError, run_files.NotRegularFileError):
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return True
    finally:
        os.close(fd)
    return False


def exists(directory: str, nonce: str) -> bool:
    """Whether there is a lease of that name, held or not; not where somebody deleted or replaced it."""
    return run_files.is_regular(_path(directory, nonce))


def forget(directory: str, nonce: str) -> bool:
    """Delete the file of a lease that nobody holds. False, and nothing done, when somebody does."""
    if alive(directory, nonce):
        return False
    _unlink(_path(directory, nonce))
    return True


def names(directory: str) -> list[str]:
    """The nonces of all lease files, held or not, in no order; without those that a crash left half made, and without
    what is hidden (`.nfs…`): that is no lease's name."""
    try:
        return [name for name in os.listdir(directory) if not name.endswith(_NEW) and name[0] != "."]
    except FileNotFoundError:
        return []


def close_inherited(directory: str, keep: int | None = None) -> int:
    """Close every descriptor of a lease in ``directory`` that this process holds, but ``keep``; returns how many.

    A command typed inside an agent's tool may have inherited that agent's lease. A runner or daemon forked from it
    would keep the lease alive long after that agent is gone, so both call this first.
    """
    listing = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    leases: set[tuple[int, int]] = set()
    for name in names(directory):
        try:
            found = os.stat(os.path.join(directory, name))
        except FileNotFoundError:  # dropped between the listing and here
            continue
        leases.add((found.st_dev, found.st_ino))
    closed = 0
    for entry in os.listdir(listing):
        fd = int(entry)
        if fd == keep:
            continue
        try:
            found = os.fstat(fd)
        except OSError:  # the listing's own descriptor, closed by now
            continue
        if (found.st_dev, found.st_ino) in leases:
            os.close(fd)
            closed += 1
    return closed


def _path(directory: str, nonce: str) -> str:
    if not nonce or "/" in nonce or nonce.startswith("."):
        raise ValueError(f"not the name of a lease: {nonce!r}")
    return os.path.join(directory, nonce)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return  # somebody else dropped it: the same end
